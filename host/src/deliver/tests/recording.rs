//! How much is sent before results are on disk, and that none is forgotten.

use super::*;
use crate::deliver::recorder::Recorder;
use crate::spool::{DueBatch, Result as SpoolResult};
use tokio::sync::Semaphore;

/// A queue whose commits take until they are let go.
struct SlowDisk {
    queue: Arc<MemoryQueue>,
    commits: Semaphore,
}

impl DeliveryQueue for SlowDisk {
    async fn due(&self, limit: usize) -> SpoolResult<Option<DueBatch>> {
        self.queue.due(limit).await
    }
    async fn next_due(&self) -> SpoolResult<Option<i64>> {
        self.queue.next_due().await
    }
    async fn record(&self, outgoing: i64, results: Vec<(i64, DeliveryResult)>, patient: bool) -> SpoolResult<()> {
        self.commits.acquire().await.expect("open").forget();
        self.queue.record(outgoing, results, patient).await
    }
    async fn release(&self, outgoing: i64, recipients: Vec<i64>) -> SpoolResult<()> {
        self.queue.release(outgoing, recipients).await
    }
    async fn changed(&self) {
        self.queue.changed().await;
    }
    fn is_pressed(&self) -> bool {
        self.queue.is_pressed()
    }
}

/// One connection to a sink; `messages` wait, of which each is a job.
fn start(sink: &Sink, messages: &[Message]) -> (Running, Arc<SlowDisk>) {
    start_with(DeliverySettings { connections: 1, ..settings(sink) }, messages)
}

fn start_with(settings: DeliverySettings, messages: &[Message]) -> (Running, Arc<SlowDisk>) {
    let queue = Arc::new(MemoryQueue::new(true));
    let disk = Arc::new(SlowDisk { queue: Arc::clone(&queue), commits: Semaphore::new(0) });
    let (stop, stopped) = oneshot::channel::<()>();
    let deliverer = Deliverer::new(settings, Arc::clone(&disk), Outgoing::Smtp);
    let task = tokio::spawn(deliverer.run(async { drop(stopped.await) }));
    let running = Running { queue, stop, task };
    for message in messages {
        push(&running, message);
    }
    (running, disk)
}

/// Until the sink has so many, and a moment longer.
async fn sent(sink: &Sink, count: usize) -> usize {
    let enough = async {
        while sink.messages().len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, enough).await.expect("they are sent");
    tokio::time::sleep(Duration::from_millis(100)).await;
    sink.messages().len()
}

#[tokio::test]
async fn one_transaction_is_sent_while_the_one_before_is_committed_whatever_message_it_is_of() {
    let sink = sink(Script::default()).await;
    let (running, disk) = start(&sink, &[people(2), people(2), people(2), people(2)]);
    for commits in 0..3 {
        assert_eq!(sent(&sink, commits + 2).await, commits + 2, "after {commits} commits");
        disk.commits.add_permits(1);
    }
    disk.commits.add_permits(1);
    assert_eq!(running.results(8).await.len(), 8);
}

#[tokio::test]
async fn with_verp_too_the_next_post_begins_while_the_one_before_is_committed() {
    let sink = sink(Script::default()).await;
    let posts: Vec<Message> = std::iter::repeat_with(|| verp(people(15))).take(4).collect();
    let (running, disk) = start(&sink, &posts);
    assert_eq!(sent(&sink, 30).await, 30);
    disk.commits.add_permits(1);
    assert_eq!(sent(&sink, 45).await, 45);
    disk.commits.add_permits(10);
    assert_eq!(running.results(60).await.len(), 60);
}

#[tokio::test]
async fn a_stop_waits_for_the_results_of_connections_that_are_idle_already() {
    let sink = sink(Script::default()).await;
    let (running, disk) = start(&sink, &[people(2)]);
    sent(&sink, 1).await;
    let stopping = tokio::spawn(running.stop());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!stopping.is_finished());
    disk.commits.add_permits(1);
    assert_eq!(delivered(&stopping.await.expect("no panic")), 2);
}

#[tokio::test]
async fn results_of_a_connection_that_died_meanwhile_are_waited_for_before_another_is_made() {
    let hang_up = |moment: &Moment<'_>| {
        if moment.step == Step::EndOfData { Answer::say_and_close("250 2.0.0 stored") } else { Answer::Usual }
    };
    let sink = sink(Script::new(hang_up)).await;
    let (running, disk) = start(&sink, &[people(2), people(2), people(2)]);
    assert!(sent(&sink, 1).await <= 2);
    disk.commits.add_permits(10);
    assert_eq!(delivered(&running.results(6).await), 6);
}

#[tokio::test]
async fn a_connection_that_was_idle_for_too_long_leaves_no_room_for_more_that_is_not_on_disk() {
    let sink = sink(Script::default()).await;
    let hasty = DeliverySettings { connections: 1, idle: Duration::from_millis(50), ..settings(&sink) };
    let (running, disk) = start_with(hasty, &[people(2)]);
    sent(&sink, 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..3 {
        push(&running, &people(2));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(sink.messages().len(), 1, "a new connection waits for the results of the old one");
    disk.commits.add_permits(10);
    assert_eq!(delivered(&running.results(8).await), 8);
}

#[tokio::test]
async fn batches_wait_until_messages_to_one_recipient_of_another_post_are_on_disk() {
    let sink = sink(Script::default()).await;
    let (running, disk) = start(&sink, &[verp(people(15)), people(2)]);
    assert_eq!(sent(&sink, 15).await, 15);
    disk.commits.add_permits(1);
    assert_eq!(sent(&sink, 16).await, 16);
    disk.commits.add_permits(10);
    assert_eq!(running.results(17).await.len(), 17);
}

#[tokio::test]
async fn who_is_replaced_ends_when_the_results_of_what_it_has_sent_are_on_disk() {
    let sink = sink(Script::default()).await;
    let queue = Arc::new(MemoryQueue::new(true));
    let disk = Arc::new(SlowDisk { queue: Arc::clone(&queue), commits: Semaphore::new(0) });
    let impatient = DeliverySettings { connections: 1, grace: Duration::from_millis(50), ..settings(&sink) };
    let deliverer = Deliverer::new(impatient, Arc::clone(&disk), Outgoing::Smtp);
    let (replace, replaced) = oneshot::channel::<()>();
    let (stop, stopped) = oneshot::channel::<()>();
    let until = |told: oneshot::Receiver<()>| async { drop(told.await) };
    let task = tokio::spawn(deliverer.run_until_replaced(until(replaced), until(stopped)));
    let running = Running { queue, stop, task };
    push(&running, &people(2));
    sent(&sink, 1).await;
    replace.send(()).expect("it listens");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!running.task.is_finished(), "no next start would record them");
    disk.commits.add_permits(1);
    assert_eq!(delivered(&running.results(2).await), 2);
}

#[tokio::test]
async fn a_batch_begins_when_what_was_sent_alone_before_it_is_on_disk() {
    let queue = Arc::new(MemoryQueue::new(true));
    queue.push(&people(1), Duration::ZERO);
    let leased = queue.due(1).await.expect("queue").expect("due");
    let disk = Arc::new(SlowDisk { queue, commits: Semaphore::new(0) });
    let (_ending, ending) = tokio::sync::watch::channel(false);
    let mut recorder = Recorder::new(Arc::clone(&disk), leased.outgoing, ending);
    recorder.push(leased.recipients[0].id, DeliveryResult::Delivered);
    recorder.checkpoint(true).await;
    let waits = tokio::time::timeout(Duration::from_millis(50), recorder.begin(true)).await;
    assert!(waits.is_ok(), "another one alone need not wait");
    let mut begun = tokio::spawn(async move { recorder.begin(false).await });
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut begun).await.is_err());
    disk.commits.add_permits(1);
    tokio::time::timeout(PATIENCE, begun).await.expect("it goes on").expect("no panic");
    assert_eq!(disk.queue.results().len(), 1);
}
