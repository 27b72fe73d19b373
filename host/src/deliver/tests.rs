//! Delivery against servers that behave as real ones were seen to.

mod adapters;
mod chunking;
mod connections;
mod early;
mod encrypted;
mod lmtp;
mod login;
mod personal;
mod recording;
mod refusals;
mod replies;
mod transactions;
mod verp;

use super::login::Login;
use super::memory::MemoryQueue;
use super::session::{Target, Timeouts};
use super::sink::{Answer, Moment, Script, Sink, Step};
use super::tls::{Verify, connector_with_roots};
use super::{Deliverer, DeliveryQueue, DeliverySettings, Handover, Outgoing};
use crate::config::{Chunking, SecureMode};
use crate::lists::EmailAddress;
use crate::plugins::Watch;
use crate::spool::{DeliveryResult, EnvelopeSender, Outgoing as Message};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

const PATIENCE: Duration = Duration::from_secs(30);

/// A deliverer at work.
struct Running {
    queue: Arc<MemoryQueue>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(settings: DeliverySettings, outgoing: Outgoing) -> Self {
        let queue = Arc::new(MemoryQueue::new(true));
        let (stop, stopped) = oneshot::channel::<()>();
        let deliverer = Deliverer::new(settings, Arc::clone(&queue), outgoing);
        let task = tokio::spawn(deliverer.run(async {
            let _ = stopped.await;
        }));
        Running { queue, stop, task }
    }

    fn to(sink: &Sink) -> Self {
        Self::start(settings(sink), Outgoing::Smtp)
    }

    /// Waits until so many results are there, stops, and returns all of them sorted by address.
    async fn results(self, count: usize) -> Vec<(String, DeliveryResult)> {
        self.wait(|queue| queue.results().len() >= count).await;
        self.stop().await
    }

    async fn wait(&self, holds: impl Fn(&MemoryQueue) -> bool) {
        tokio::time::timeout(PATIENCE, self.queue.wait_until(holds)).await.expect("it never happened");
    }

    async fn stop(self) -> Vec<(String, DeliveryResult)> {
        let _ = self.stop.send(());
        tokio::time::timeout(PATIENCE, self.task).await.expect("it does not stop").expect("it panicked");
        let mut results: Vec<_> =
            self.queue.results().into_iter().map(|(address, result)| (address.to_string(), result)).collect();
        results.sort_by(|a, b| a.0.cmp(&b.0));
        results
    }
}

fn settings(sink: &Sink) -> DeliverySettings {
    let mut target = Target::plain("127.0.0.1", sink.address().port());
    // As if it were on another machine.
    target.chunking = Chunking::Yes;
    target.distant = Some(true);
    target.timeouts = Timeouts { connect: PATIENCE, banner: PATIENCE, reply: PATIENCE, end_of_data: PATIENCE };
    DeliverySettings {
        max_recipients: 100,
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(100),
        grace: Duration::from_secs(5),
        ..DeliverySettings::for_target(target)
    }
}

async fn sink(script: Script) -> Sink {
    Sink::start(script).await.expect("sink")
}

fn message(recipients: &[&str]) -> Message {
    Message {
        list: Some(1),
        list_address: "ants@lists.example.com".into(),
        message_id: "<1@example.com>".into(),
        sender: EnvelopeSender::Fixed("ants-bounces@lists.example.com".into()),
        message: Arc::from(&b"Subject: hello\r\n\r\n.dot\r\nend\r\n"[..]),
        recipients: recipients.iter().map(|one| EmailAddress::parse(one).expect("address")).collect(),
        personal: None,
    }
}

fn people(count: usize) -> Message {
    let names: Vec<String> = (0..count).map(|n| format!("u{n:05}@example.com")).collect();
    message(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn verp(mut message: Message) -> Message {
    message.sender = EnvelopeSender::Verp("ants-bounces@lists.example.com".into());
    message
}

fn push(running: &Running, message: &Message) {
    running.queue.push(message, Duration::ZERO);
}

/// Sends one message to a server of this kind and returns it with the results.
async fn deliver(script: Script, message: &Message) -> (Sink, Vec<(String, DeliveryResult)>) {
    let sink = sink(script).await;
    let running = Running::to(&sink);
    push(&running, message);
    let results = running.results(message.recipients.len()).await;
    (sink, results)
}

/// The ways in which a transaction can go: with DATA and with BDAT, in groups and command by command.
fn kinds(make: impl Fn() -> Script) -> [Script; 4] {
    let without = |script: Script| script.without("PIPELINING");
    [make(), without(make()), make().with("CHUNKING"), without(make().with("CHUNKING"))]
}

fn rude(step: Step, answer: Answer) -> Script {
    Script::new(move |moment| if moment.step == step { answer.clone() } else { Answer::Usual })
}

/// Does it only the first time.
fn rude_once(step: Step, answer: Answer) -> Script {
    let times = AtomicUsize::new(0);
    Script::new(move |moment| {
        if moment.step == step && times.fetch_add(1, Ordering::SeqCst) == 0 { answer.clone() } else { Answer::Usual }
    })
}

fn delivered(results: &[(String, DeliveryResult)]) -> usize {
    results.iter().filter(|(_, result)| *result == DeliveryResult::Delivered).count()
}

fn retry_reply(result: &DeliveryResult) -> &str {
    match result {
        DeliveryResult::Retry { reply, .. } => reply,
        other => panic!("not a retry: {other:?}"),
    }
}

fn failed(reply: &str) -> DeliveryResult {
    DeliveryResult::Failed { reply: reply.into() }
}

fn refuse_some(moment: &Moment<'_>) -> Answer {
    match moment.step {
        Step::Rcpt if moment.line.contains("u00001@") => Answer::say("550-5.1.1 no such\r\n550 5.1.1 user"),
        Step::Rcpt if moment.line.contains("u00003@") => Answer::say("451 4.2.0 busy"),
        _ => Answer::Usual,
    }
}
