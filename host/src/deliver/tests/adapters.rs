//! Adapters that deliver themselves.

use super::*;
use postrider_plugin_api::sdk::{
    Batch, Error, ErrorKind, HostLog, Outcome, OutgoingAdapter, RecipientResult, Result, Settings,
};

type Answer = dyn Fn(Batch<'_>) -> Result<Vec<RecipientResult>> + Send + Sync;
struct Plugin(Box<Answer>);

impl OutgoingAdapter for Plugin {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Err(Error::failed("not needed"))
    }
    fn deliver(&self, batch: Batch<'_>) -> Result<Vec<RecipientResult>> {
        (self.0)(batch)
    }
}

async fn through(answer: Box<Answer>, letter: &Message) -> Vec<(String, DeliveryResult)> {
    let settings =
        DeliverySettings { max_recipients: 3, ..DeliverySettings::for_target(Target::plain("nowhere.invalid", 25)) };
    let running = Running::start(settings, Outgoing::adapter(Arc::new(Plugin(answer)), "test.Outgoing"));
    push(&running, letter);
    running.results(letter.recipients.len()).await
}

fn result(outcome: Outcome, reply: &str) -> RecipientResult {
    RecipientResult::new(outcome, reply)
}

#[tokio::test]
async fn an_adapter_gets_message_and_envelope_and_its_results_count() {
    let answer = Box::new(|batch: Batch<'_>| {
        assert!(batch.recipients.len() <= 3);
        assert_eq!(batch.sender, "ants-bounces@lists.example.com");
        assert_eq!(batch.message, b"Subject: hello\r\n\r\n.dot\r\nend\r\n");
        Ok(batch
            .recipients
            .iter()
            .map(|one| match &one[..6] {
                "u00001" => result(Outcome::PermanentFailure, "550 5.1.1 no"),
                "u00002" => result(Outcome::TemporaryFailure, "451 busy"),
                _ => result(Outcome::Delivered, ""),
            })
            .collect())
    });
    let results = through(answer, &people(5)).await;
    assert_eq!(delivered(&results), 3);
    assert_eq!(results[1].1, failed("550 5.1.1 no"));
    assert_eq!(retry_reply(&results[2].1), "451 busy");
}

#[tokio::test]
async fn an_adapter_that_fails_loses_nobody() {
    for (answer, text) in [
        (Box::new(|_: Batch<'_>| Err(Error::new(ErrorKind::Panic, "oops"))) as Box<Answer>, "oops"),
        (Box::new(|_: Batch<'_>| Ok(Vec::new())), "answered for 0 of 2"),
        (Box::new(|_: Batch<'_>| panic!("bad plugin")), "broke off"),
    ] {
        let results = through(answer, &people(2)).await;
        assert!(results.iter().all(|(_, result)| retry_reply(result).contains(text)), "{results:?}");
    }
}

#[tokio::test]
async fn an_adapter_that_hangs_is_left_behind_and_judges_nobody_else() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let plugin = Plugin(Box::new(move |_: Batch<'_>| {
        counter.fetch_add(1, Ordering::SeqCst);
        loop {
            std::thread::park();
        }
    }));
    let watch = Watch::over("the outgoing adapter hangs.Outgoing", Duration::from_millis(50));
    let settings = DeliverySettings {
        max_recipients: 3,
        connections: 1,
        ..DeliverySettings::for_target(Target::plain("nowhere.invalid", 25))
    };
    let running = Running::start(settings, Outgoing::Adapter(Arc::new(Handover::watched(Arc::new(plugin), watch))));
    push(&running, &people(9));
    running.wait(|queue| !queue.results().is_empty() && queue.released() == 6).await;
    let results = running.stop().await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(results.len(), 3);
    let reply = retry_reply(&results[0].1);
    assert!(reply.contains("hangs.Outgoing did not return from deliver()"), "{reply}");
}

/// A deliverer that is replaced while an adapter delivers to two recipients, which takes until `go` is sent.
async fn replaced_in_mid_delivery() -> (Running, std::sync::mpsc::Sender<()>) {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let (gone, called) = (std::sync::Mutex::new(gone), Arc::new(AtomicBool::new(false)));
    let is_called = Arc::clone(&called);
    let plugin = Plugin(Box::new(move |batch: Batch<'_>| {
        called.store(true, Ordering::SeqCst);
        let _ = gone.lock().expect("one at a time").recv();
        Ok(batch.recipients.iter().map(|_| result(Outcome::Delivered, "")).collect())
    }));
    let settings = DeliverySettings {
        grace: Duration::from_millis(50),
        ..DeliverySettings::for_target(Target::plain("nowhere.invalid", 25))
    };
    let queue = Arc::new(MemoryQueue::new(true));
    let deliverer = Deliverer::new(settings, Arc::clone(&queue), Outgoing::adapter(Arc::new(plugin), "test.Outgoing"));
    let (replace, replaced) = oneshot::channel::<()>();
    let (stop, stopped) = oneshot::channel::<()>();
    let until = |told: oneshot::Receiver<()>| async { drop(told.await) };
    let task = tokio::spawn(deliverer.run_until_replaced(until(replaced), until(stopped)));
    let running = Running { queue, stop, task };
    push(&running, &people(2));
    while !is_called.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    replace.send(()).expect("it listens");
    tokio::time::sleep(Duration::from_millis(300)).await;
    (running, go)
}

#[tokio::test]
async fn what_a_replaced_deliverer_has_begun_takes_its_time_and_is_recorded() {
    let (running, go) = replaced_in_mid_delivery().await;
    assert!(!running.task.is_finished(), "no next start would send it again");
    go.send(()).expect("it waits");
    running.wait(|queue| queue.results().len() == 2).await;
    assert_eq!(delivered(&running.results(2).await), 2);
}

#[tokio::test]
async fn a_replaced_deliverer_ends_with_the_program_like_any_other() {
    let (running, _go) = replaced_in_mid_delivery().await;
    let start = std::time::Instant::now();
    assert_eq!(running.stop().await, []);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_adapter_gets_verp_senders() {
    let answer = Box::new(|batch: Batch<'_>| {
        assert_eq!(batch.sender, format!("ants-bounces+{}@lists.example.com", batch.recipients[0].replace('@', "=")));
        Ok(vec![result(Outcome::Delivered, "")])
    });
    assert_eq!(delivered(&through(answer, &verp(people(4))).await), 4);
}
