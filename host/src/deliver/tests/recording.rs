//! How much is sent before results are on disk, and that none is forgotten.

use super::*;
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
    let queue = Arc::new(MemoryQueue::new(true));
    let disk = Arc::new(SlowDisk { queue: Arc::clone(&queue), commits: Semaphore::new(0) });
    let (stop, stopped) = oneshot::channel::<()>();
    let settings = DeliverySettings { connections: 1, ..settings(sink) };
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
