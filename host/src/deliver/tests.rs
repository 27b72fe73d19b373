//! Delivery against servers that behave as real ones were seen to.

mod chunking;
mod encrypted;
mod lmtp;
mod login;
mod personal;
mod recording;
mod replies;
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
    // Else only with servers on another machine.
    target.chunking = Chunking::Yes;
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

#[tokio::test]
async fn a_message_arrives_as_it_was_in_one_transaction() {
    let (sink, results) = deliver(Script::default(), &message(&["anne@example.com", "bart@example.com"])).await;
    assert_eq!(delivered(&results), 2);
    let messages = sink.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].message, b"Subject: hello\r\n\r\n.dot\r\nend\r\n");
    assert_eq!(messages[0].sender, "ants-bounces@lists.example.com");
    assert_eq!(messages[0].parameters, "SIZE=29");
    assert_eq!(messages[0].recipients, ["anne@example.com", "bart@example.com"]);
    assert_eq!(sink.dialogues()[0].last().map(String::as_str), Some("QUIT"));
}

#[tokio::test]
async fn bulk_mail_is_cut_into_batches_and_all_connections_are_reused() {
    let sink = sink(Script::default()).await;
    let running = Running::start(DeliverySettings { max_recipients: 10, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &people(1005));
    let results = running.results(1005).await;
    assert_eq!(delivered(&results), 1005);
    let all = sink.recipients();
    assert_eq!(all.len(), 1005, "nobody twice");
    assert!(sink.messages().iter().all(|one| one.recipients.len() <= 10));
    assert!(sink.dialogues().len() <= 4, "{} connections", sink.dialogues().len());
}

#[tokio::test]
async fn verp_gives_each_recipient_its_own_sender() {
    let (sink, results) = deliver(Script::default(), &verp(people(300))).await;
    assert_eq!(delivered(&results), 300);
    for one in sink.messages() {
        let recipient = &one.recipients[0];
        assert_eq!(one.recipients.len(), 1);
        assert_eq!(one.sender, format!("ants-bounces+{}@lists.example.com", recipient.replace('@', "=")));
    }
}

#[tokio::test]
async fn several_connections_work_on_one_message() {
    // Each message waits until all four connections have one: it would never end with fewer.
    let barrier = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&barrier);
    let sink = sink(Script::new(move |moment| {
        if moment.step == Step::Connect {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        let lonely = moment.step == Step::Mail && seen.load(Ordering::SeqCst) < 4;
        if lonely { Answer::say("451 4.3.0 alone") } else { Answer::Usual }
    }))
    .await;
    let running = Running::to(&sink);
    push(&running, &verp(people(400)));
    running.results(400).await;
    assert_eq!(barrier.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_server_without_pipelining_is_spoken_to_command_by_command() {
    let script = Script::default().without("PIPELINING");
    let (sink, results) = deliver(script, &people(5)).await;
    assert_eq!(delivered(&results), 5);
    assert_eq!(sink.messages().len(), 1);
    let (_, results) = deliver(rude(Step::Ehlo, Answer::say("502 what?")), &people(3)).await;
    assert_eq!(delivered(&results), 3);
}

#[tokio::test]
async fn replies_split_at_every_octet_are_understood() {
    let script = Script { trickle: true, ..Script::new(refuse_some) };
    let (sink, results) = deliver(script, &people(6)).await;
    assert_eq!(delivered(&results), 4);
    assert_eq!(sink.recipients().len(), 4);
}

fn refuse_some(moment: &Moment<'_>) -> Answer {
    match moment.step {
        Step::Rcpt if moment.line.contains("u00001@") => Answer::say("550-5.1.1 no such\r\n550 5.1.1 user"),
        Step::Rcpt if moment.line.contains("u00003@") => Answer::say("451 4.2.0 busy"),
        _ => Answer::Usual,
    }
}

#[tokio::test]
async fn recipients_are_refused_one_by_one() {
    for script in kinds(|| Script::new(refuse_some)) {
        let (sink, results) = deliver(script, &people(5)).await;
        assert_eq!(results[1].1, failed("550 5.1.1 no such user"));
        assert_eq!(retry_reply(&results[3].1), "451 4.2.0 busy");
        assert_eq!(delivered(&results), 3);
        assert_eq!(sink.messages().len(), 1);
    }
}

#[tokio::test]
async fn a_transaction_without_recipients_is_ended_before_the_next() {
    for script in kinds(|| Script::new(refuse_some)) {
        let sink = sink(script).await;
        let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
        push(&running, &verp(people(5)));
        let results = running.results(5).await;
        assert_eq!(delivered(&results), 3, "{results:?}");
        assert_eq!(sink.dialogues().len(), 1);
        assert!(sink.dialogues()[0].iter().any(|line| line == "RSET"));
    }
}

#[tokio::test]
async fn temporary_failures_are_tried_again_until_they_pass() {
    let times = AtomicUsize::new(0);
    let script = Script::new(move |moment| {
        let busy =
            moment.step == Step::Rcpt && moment.line.contains("u00001@") && times.fetch_add(1, Ordering::SeqCst) < 2;
        if busy { Answer::say("451 4.2.0 busy") } else { Answer::Usual }
    });
    let sink = sink(script).await;
    let running = Running::to(&sink);
    push(&running, &people(3));
    for results in [3, 4] {
        running.wait(|queue| queue.results().len() == results).await;
        running.queue.retry_now();
    }
    let results = running.results(5).await;
    assert_eq!(delivered(&results), 3);
    assert_eq!(sink.recipients(), ["u00000@example.com", "u00001@example.com", "u00002@example.com"]);
}

#[tokio::test]
async fn after_the_retry_period_it_fails_with_the_last_reply() {
    let sink = sink(rude(Step::Rcpt, Answer::say("451 4.2.0 busy"))).await;
    let running = Running::to(&sink);
    running.queue.push(&people(1), Duration::from_hours(6 * 24));
    let results = running.results(1).await;
    assert_eq!(results[0].1, failed("4.4.7 delivery time expired: retry period of 5d is over; last: 451 4.2.0 busy"));
}

#[tokio::test]
async fn too_many_recipients_is_learned_and_the_rest_follows_at_once() {
    for script in kinds(|| Script { max_recipients: 7, ..Script::default() }) {
        let (sink, results) = deliver(script, &people(50)).await;
        assert_eq!(delivered(&results), 50);
        assert_eq!(results.len(), 50, "no attempt was counted");
        assert_eq!(sink.recipients().len(), 50, "nobody twice");
        let refused = sink.dialogues().concat().iter().filter(|line| line.starts_with("RCPT")).count();
        assert!(refused <= 50 + 43, "the limit was not learned: {refused} RCPT");
    }
}

#[tokio::test]
async fn a_refused_sender_is_about_the_message_and_503_is_no_bounce() {
    let (_, results) = deliver(rude(Step::Mail, Answer::say("450 4.7.1 too much mail")), &people(3)).await;
    for (_, result) in &results {
        assert_eq!(retry_reply(result), "450 4.7.1 too much mail (in reply to MAIL FROM)");
    }
    let (_, results) = deliver(rude(Step::Mail, Answer::say("550 5.7.1 not you")), &people(1)).await;
    assert_eq!(results[0].1, failed("550 5.7.1 not you (in reply to MAIL FROM)"));
}

#[tokio::test]
async fn data_without_recipients_that_gets_354_is_ended_by_a_lone_dot() {
    let script = Script::new(|moment| match moment.step {
        Step::Rcpt if moment.line.contains("u00000@") => Answer::say("550 5.1.1 no"),
        Step::Data if moment.recipients.is_empty() => Answer::say("354 go ahead"),
        _ => Answer::Usual,
    });
    let sink = sink(script).await;
    let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &verp(people(3)));
    let results = running.results(3).await;
    assert_eq!(results[0].1, failed("550 5.1.1 no"));
    assert_eq!(delivered(&results), 2);
    assert_eq!(sink.dialogues().len(), 1, "the connection stays in step");
    assert!(sink.messages().iter().all(|one| one.message.ends_with(b"end\r\n")));
}

#[tokio::test]
async fn an_early_refusal_of_data_concerns_the_accepted_recipients() {
    for (reply, permanent) in [("554 5.7.1 no", true), ("451 4.3.0 later", false), ("503 5.5.1 odd", false)] {
        let (_, results) = deliver(rude(Step::Data, Answer::say(reply)), &people(2)).await;
        for (_, result) in results {
            let text = format!("{reply} (in reply to DATA)");
            if permanent {
                assert_eq!(result, failed(&text));
            } else {
                assert_eq!(retry_reply(&result), text);
            }
        }
    }
}

#[tokio::test]
async fn the_reply_to_the_final_dot_counts_for_all_accepted_recipients() {
    let (sink, results) = deliver(rude(Step::EndOfData, Answer::say("554 5.7.1 spam")), &people(2)).await;
    assert!(sink.messages().is_empty());
    assert_eq!(results[1].1, failed("554 5.7.1 spam (in reply to end of data)"));
    let (_, results) = deliver(rude(Step::EndOfData, Answer::say("452 4.3.1 disk full")), &people(2)).await;
    assert_eq!(retry_reply(&results[0].1), "452 4.3.1 disk full (in reply to end of data)");
}

#[tokio::test]
async fn a_refused_connection_touches_no_recipient() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = listener.local_addr().expect("address");
    drop(listener);
    let dead = sink(Script::default()).await;
    let mut settings = settings(&dead);
    settings.target.port = address.port();
    let running = Running::start(settings, Outgoing::Smtp);
    push(&running, &people(3));
    running.wait(|queue| queue.released() == 3).await;
    let listener = tokio::net::TcpListener::bind(address).await.expect("the port is still free");
    let alive = Sink::serve(listener, Script::default()).expect("sink");
    let results = running.results(3).await;
    assert_eq!(delivered(&results), 3);
    assert_eq!(alive.recipients().len(), 3);
}

#[tokio::test]
async fn a_person_who_asks_for_a_retry_need_not_wait_for_the_end_of_a_pause() {
    let busy = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&busy);
    let script = Script::new(move |moment| match moment.step {
        Step::Connect if still.load(Ordering::SeqCst) => Answer::say_and_close("421 4.3.2 busy"),
        _ => Answer::Usual,
    });
    let sink = sink(script).await;
    let settings = DeliverySettings { first_pause: Duration::from_hours(1), ..settings(&sink) };
    let running = Running::start(settings, Outgoing::Smtp);
    push(&running, &people(3));
    running.wait(|queue| queue.released() == 3).await;
    busy.store(false, Ordering::SeqCst);
    let asked = async {
        while running.queue.results().len() < 3 {
            // Asked before the pause began, it would be of no use.
            running.queue.retry_now();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("it was not tried");
    assert_eq!(delivered(&running.stop().await), 3);
}

#[tokio::test]
async fn trouble_before_a_message_was_begun_touches_no_recipient() {
    for (step, answer) in [
        (Step::Connect, Answer::say_and_close("421 4.7.0 too many connections")),
        (Step::Connect, Answer::say_and_close("554 5.7.1 go away")),
        (Step::Connect, Answer::Close),
        (Step::Connect, Answer::say("hello?")),
        (Step::Connect, Answer::say("220-a\r\n554 b")),
        (Step::Ehlo, Answer::say_and_close("421 4.3.2 shutting down")),
        (Step::Ehlo, Answer::say("451 4.3.0 later")),
        (Step::Ehlo, Answer::Close),
        (Step::Mail, Answer::say_and_close("421 4.3.2 shutting down")),
        (Step::Mail, Answer::say("530 5.7.0 log in first")),
        (Step::Mail, Answer::Close),
    ] {
        let (sink, results) = deliver(rude_once(step, answer.clone()), &people(2)).await;
        assert_eq!(delivered(&results), 2, "{step:?} {answer:?}");
        assert_eq!(results.len(), 2, "an attempt was counted: {step:?} {answer:?}");
        assert_eq!(sink.dialogues().len(), 2, "{step:?} {answer:?}");
    }
}

#[tokio::test]
async fn a_server_that_ends_a_used_connection_gets_a_new_one_at_once() {
    let script = Script::new(|moment| match moment.step {
        Step::Mail if moment.transaction > 10 => Answer::say_and_close("421 too many messages in this connection"),
        _ => Answer::Usual,
    });
    let (sink, results) = deliver(script, &verp(people(100))).await;
    assert_eq!(results.len(), 100);
    assert_eq!(delivered(&results), 100);
    assert_eq!(sink.recipients().len(), 100, "nobody twice");
}

#[tokio::test]
async fn connections_are_renewed_before_the_limit() {
    let sink = sink(Script::default()).await;
    let limited = DeliverySettings { max_transactions: 5, connections: 1, ..settings(&sink) };
    let running = Running::start(limited, Outgoing::Smtp);
    push(&running, &verp(people(20)));
    assert_eq!(delivered(&running.results(20).await), 20);
    assert!(sink.dialogues().len() >= 4);
    for dialogue in sink.dialogues() {
        assert!(dialogue.iter().filter(|line| line.starts_with("MAIL")).count() <= 5);
    }
}

#[tokio::test]
async fn closing_in_the_middle_keeps_verdicts_and_sends_to_the_rest_at_once() {
    let script = Script::new(|moment| match moment.step {
        Step::Rcpt if moment.line.contains("u00001@") => Answer::say("550 5.1.1 no"),
        Step::Rcpt if moment.line.contains("u00002@") && moment.session == 1 => {
            Answer::say_and_close("421 4.7.0 too many errors")
        }
        _ => Answer::Usual,
    });
    let (sink, results) = deliver(script, &people(5)).await;
    assert_eq!(results.len(), 5);
    assert_eq!(results[1].1, failed("550 5.1.1 no"));
    assert_eq!(delivered(&results), 4);
    assert_eq!(sink.recipients().len(), 4);
}

#[tokio::test]
async fn a_message_on_which_the_server_always_hangs_up_is_put_off_and_others_pass() {
    let script = Script::new(|moment| match moment.step {
        Step::EndOfData if moment.recipients[0].starts_with("poison") => Answer::say_and_close("421 4.7.0 crash"),
        _ => Answer::Usual,
    });
    let sink = sink(script).await;
    let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &message(&["poison@example.com"]));
    push(&running, &people(3));
    let results = running.results(4).await;
    assert!(retry_reply(&results[0].1).contains("421 4.7.0 crash"));
    assert_eq!(delivered(&results), 3);
}

#[tokio::test]
async fn lost_after_the_final_dot_is_unknown_and_tried_again() {
    let sink = sink(rude_once(Step::EndOfData, Answer::Close)).await;
    let running = Running::to(&sink);
    push(&running, &people(2));
    running.wait(|queue| queue.results().len() == 2).await;
    for (_, result) in running.queue.results() {
        assert!(retry_reply(&result).starts_with("no reply to the end of the message, so it may have arrived"));
    }
    running.queue.retry_now();
    let results = running.results(4).await;
    assert_eq!(delivered(&results), 2);
    // The documented window: the sink had taken the first one too.
    assert_eq!(sink.recipients().len(), 4);
}

#[tokio::test]
async fn lost_before_the_final_dot_is_surely_not_delivered() {
    let mut large = people(1);
    large.message = Arc::from(vec![b'x'; 20_000_000]);
    let (sink, results) = deliver(rude_once(Step::Data, Answer::say_and_close("354 go")), &large).await;
    let reply = retry_reply(&results[0].1);
    assert!(!reply.contains("may have arrived"), "{reply}");
    assert!(sink.messages().is_empty());
}

#[tokio::test]
async fn a_multi_line_reply_that_disagrees_ends_the_connection_and_is_tried_again() {
    let (sink, results) = deliver(rude_once(Step::EndOfData, Answer::say("250-kept\r\n550 no")), &people(1)).await;
    assert!(retry_reply(&results[0].1).contains("disagree: 250 and then 550"));
    assert!(sink.dialogues()[0].iter().all(|line| line != "QUIT"));
}

#[tokio::test]
async fn replies_that_nobody_asked_for_end_the_connection() {
    let sink = sink(rude_once(Step::EndOfData, Answer::say("250 kept\r\n250 and more"))).await;
    let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &verp(people(3)));
    let results = running.results(3).await;
    assert_eq!(delivered(&results), 3);
    assert_eq!(sink.recipients().len(), 3, "nobody twice");
    assert_eq!(sink.dialogues().len(), 2);
}

#[tokio::test]
async fn an_endless_reply_ends_the_connection() {
    let (_, results) = deliver(rude_once(Step::EndOfData, Answer::say("2".repeat(100_000))), &people(1)).await;
    assert!(retry_reply(&results[0].1).contains("longer than"));
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let sink = sink(rude_once(Step::Connect, Answer::Silence)).await;
    let mut settings = settings(&sink);
    settings.target.timeouts.banner = Duration::from_millis(100);
    let running = Running::start(settings, Outgoing::Smtp);
    push(&running, &people(1));
    assert_eq!(delivered(&running.results(1).await), 1);
}

#[tokio::test]
async fn fewer_connections_are_used_when_the_server_takes_no_more() {
    let script = Script::new(|moment| match moment.step {
        Step::Connect if moment.session > 2 => Answer::say_and_close("421 4.7.0 too many connections"),
        _ => Answer::Usual,
    });
    let sink = sink(script).await;
    // The sink counts connections and never forgets, so none may be renewed.
    let all = DeliverySettings { max_recipients: 1, max_transactions: usize::MAX, ..settings(&sink) };
    let running = Running::start(all, Outgoing::Smtp);
    push(&running, &people(2000));
    let results = running.results(2000).await;
    assert_eq!(delivered(&results), 2000);
    assert_eq!(sink.recipients().len(), 2000);
}

#[tokio::test]
async fn a_message_larger_than_size_fails_without_being_sent() {
    let mut script = Script::default().without("SIZE");
    script.extensions.push("SIZE 20".into());
    let (sink, results) = deliver(script, &people(2)).await;
    for (_, result) in results {
        assert!(
            matches!(result, DeliveryResult::Failed { reply } if reply.starts_with("552 5.3.4 the message has 29 octets"))
        );
    }
    assert!(sink.dialogues()[0].iter().all(|line| !line.starts_with("MAIL")));
}

#[tokio::test]
async fn eight_bit_messages_say_so_where_it_is_known() {
    let mut letter = people(1);
    letter.message = Arc::from("Subject: x\r\n\r\nü\r\n".as_bytes());
    let (sink, _) = deliver(Script::default(), &letter).await;
    assert_eq!(sink.messages()[0].parameters, "SIZE=18 BODY=8BITMIME");
    let (sink, results) = deliver(Script::default().without("8BITMIME"), &letter).await;
    assert_eq!(delivered(&results), 1);
    assert_eq!(sink.messages()[0].parameters, "SIZE=18");
}

#[tokio::test]
async fn raw_octets_in_a_header_go_as_8bitmime_whatever_the_server_offers() {
    let mut letter = people(1);
    let text = [b"Subject: gr\xfc\xdfe \xff\r\nFrom: ", "Jürgen <j@example.com>\r\n\r\nx\r\n".as_bytes()].concat();
    letter.message = Arc::from(text.as_slice());
    for script in [Script::default(), Script::default().without("SMTPUTF8")] {
        let (sink, results) = deliver(script, &letter).await;
        assert_eq!(delivered(&results), 1);
        assert!(sink.messages()[0].parameters.ends_with(" BODY=8BITMIME"), "{:?}", sink.messages()[0]);
        assert_eq!(sink.messages()[0].message, text, "octet by octet");
    }
}

#[tokio::test]
async fn addresses_beyond_ascii_need_smtputf8() {
    let letter = message(&["anne@example.com", "grüße@example.com"]);
    let (sink, results) = deliver(Script::default(), &letter).await;
    assert_eq!(delivered(&results), 2);
    for one in sink.messages() {
        assert_eq!(one.parameters.contains("SMTPUTF8"), one.recipients == ["grüße@example.com"]);
    }
    let (sink, results) = deliver(Script::default().without("SMTPUTF8"), &letter).await;
    assert_eq!(sink.recipients(), ["anne@example.com"]);
    assert!(matches!(&results[1].1, DeliveryResult::Failed { reply } if reply.starts_with("553 5.6.7")));
}

#[tokio::test]
async fn quoted_recipients_cannot_inject_commands() {
    let letter = verp(message(&["\"a> SIZE=0\"@example.com", "\"a b\"@example.com"]));
    let (sink, results) = deliver(Script::default(), &letter).await;
    assert_eq!(delivered(&results), 2);
    let senders: Vec<String> = sink.messages().into_iter().map(|one| one.sender).collect();
    assert!(senders.contains(&"ants-bounces@lists.example.com".to_owned()));
    assert!(senders.contains(&"\"ants-bounces+a b=example.com\"@lists.example.com".to_owned()));
}

#[tokio::test]
async fn a_sender_with_a_line_end_is_never_written() {
    let mut letter = people(2);
    letter.sender = EnvelopeSender::Fixed("a@b>\r\nRCPT TO:<victim@example.com".into());
    let (sink, results) = deliver(Script::default(), &letter).await;
    assert!(retry_reply(&results[0].1).contains("cannot be written as envelope sender"));
    assert!(sink.dialogues().is_empty());
}

#[tokio::test]
async fn the_null_sender_is_written_as_such() {
    let mut letter = people(1);
    letter.sender = EnvelopeSender::Null;
    let (sink, _) = deliver(Script::default(), &letter).await;
    assert!(sink.dialogues()[0].iter().any(|line| line.starts_with("MAIL FROM:<> ")));
}

#[tokio::test]
async fn stopping_gives_back_what_was_not_begun() {
    let sink = sink(Script::default()).await;
    let slow = DeliverySettings { max_recipients: 1, connections: 2, ..settings(&sink) };
    let running = Running::start(slow, Outgoing::Smtp);
    push(&running, &people(5000));
    running.wait(|queue| queue.results().len() > 10).await;
    let queue = Arc::clone(&running.queue);
    let results = running.stop().await;
    assert_eq!(delivered(&results), results.len());
    assert_eq!(sink.recipients().len(), results.len(), "each delivery is recorded");
    assert_eq!(queue.open(), 5000 - results.len());
    assert!(queue.is_idle(), "everything else was given back");
}

#[tokio::test]
async fn stopping_records_what_is_known_though_the_server_hangs() {
    let script = Script::new(|moment| match moment.step {
        Step::EndOfData if moment.transaction == 6 => Answer::Silence,
        _ => Answer::Usual,
    });
    let sink = sink(script).await;
    let hasty = DeliverySettings { connections: 1, grace: Duration::from_millis(200), ..settings(&sink) };
    let running = Running::start(hasty, Outgoing::Smtp);
    push(&running, &verp(people(10)));
    // The sink stores the sixth too, but its client is never told.
    tokio::time::timeout(PATIENCE, sink.wait_for(6)).await.expect("six");
    assert_eq!(delivered(&running.stop().await), 5);
}

#[tokio::test]
async fn idle_connections_are_closed_politely() {
    let sink = sink(Script::default()).await;
    let running =
        Running::start(DeliverySettings { idle: Duration::from_millis(50), ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &people(1));
    running.wait(|queue| queue.results().len() == 1).await;
    let quit = async {
        while sink.dialogues()[0].last().map(String::as_str) != Some("QUIT") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, quit).await.expect("no QUIT");
    push(&running, &people(1));
    running.results(2).await;
    assert_eq!(sink.dialogues().len(), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_not_used() {
    let script = Script::new(|moment| match moment.step {
        Step::EndOfData if moment.session == 1 => Answer::say_and_close("250 kept, but I leave"),
        _ => Answer::Usual,
    });
    let sink = sink(script).await;
    let running = Running::to(&sink);
    push(&running, &people(1));
    running.wait(|queue| queue.results().len() == 1).await;
    push(&running, &people(1));
    assert_eq!(delivered(&running.results(2).await), 2);
    assert_eq!(sink.recipients().len(), 2);
}

mod adapters {
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
        let settings = DeliverySettings {
            max_recipients: 3,
            ..DeliverySettings::for_target(Target::plain("nowhere.invalid", 25))
        };
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
        let deliverer =
            Deliverer::new(settings, Arc::clone(&queue), Outgoing::adapter(Arc::new(plugin), "test.Outgoing"));
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
            assert_eq!(
                batch.sender,
                format!("ants-bounces+{}@lists.example.com", batch.recipients[0].replace('@', "="))
            );
            Ok(vec![result(Outcome::Delivered, "")])
        });
        assert_eq!(delivered(&through(answer, &verp(people(4))).await), 4);
    }
}
