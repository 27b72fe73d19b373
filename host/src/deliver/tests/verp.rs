//! XVERP: the server makes senders.

use super::*;
use crate::deliver::verp::VerpFormat;
use std::sync::OnceLock;

fn postfix() -> Script {
    Script::default().with("XVERP")
}

fn own_sender(recipient: &str) -> String {
    let address = EmailAddress::parse(recipient).expect("address");
    VerpFormat::default().expand("ants-bounces@lists.example.com", &address)
}

/// Everybody got it once, from a sender of their own.
fn assert_one_by_one(sink: &Sink, recipients: usize) {
    assert_eq!(sink.recipients().len(), recipients, "nobody twice");
    for one in sink.messages() {
        assert_eq!(one.sender, own_sender(&one.recipients[0]));
        assert!(one.recipients.len() == 1 && !one.parameters.contains("XVERP"), "{one:?}");
    }
}

fn asked_for_xverp(sink: &Sink) -> usize {
    sink.dialogues().concat().iter().filter(|line| line.contains("XVERP")).count()
}

#[tokio::test]
async fn one_transaction_carries_a_batch_where_the_server_makes_senders() {
    let (sink, results) = deliver(postfix(), &verp(people(350))).await;
    assert_eq!(delivered(&results), 350);
    assert_eq!(sink.recipients().len(), 350, "nobody twice");
    assert_eq!(sink.messages().len(), 4);
    for one in sink.messages() {
        assert_eq!(one.sender, "ants-bounces@lists.example.com");
        assert_eq!(one.parameters, "SIZE=29 XVERP=+=");
    }
}

#[tokio::test]
async fn whose_sender_the_server_would_make_otherwise_has_a_transaction_of_its_own() {
    let long = format!("{}@{}example.com", "a".repeat(60), "b.".repeat(85));
    let letter =
        verp(message(&["anne@example.com", "\"a b\"@example.com", &long, "grüße@example.com", "b@example.com"]));
    let (sink, results) = deliver(postfix(), &letter).await;
    assert_eq!(delivered(&results), 5);
    let mut seen: Vec<_> =
        sink.messages().into_iter().map(|one| (one.recipients.concat(), one.sender, one.parameters)).collect();
    seen.sort();
    let bounces = "ants-bounces@lists.example.com".to_owned();
    let expected = [
        ("\"a b\"@example.com".into(), "\"ants-bounces+a b=example.com\"@lists.example.com".into(), "SIZE=29".into()),
        (long, bounces.clone(), "SIZE=29".into()),
        ("anne@example.comb@example.com".into(), bounces.clone(), "SIZE=29 XVERP=+=".into()),
        ("grüße@example.com".into(), bounces, "SIZE=29 BODY=8BITMIME SMTPUTF8 XVERP=+=".into()),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_was_sent_alone_is_recorded_before_a_batch_is_begun() {
    let recorded = Arc::new(AtomicUsize::new(usize::MAX));
    let queue: Arc<OnceLock<Arc<MemoryQueue>>> = Arc::default();
    let script = {
        let (recorded, queue) = (Arc::clone(&recorded), Arc::clone(&queue));
        Script::new(move |moment| {
            if moment.step == Step::Rcpt && moment.line.contains("u00000@") {
                recorded.store(queue.get().map_or(0, |queue| queue.results().len()), Ordering::SeqCst);
            }
            Answer::Usual
        })
    };
    let sink = sink(script.with("XVERP")).await;
    let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
    assert!(queue.set(Arc::clone(&running.queue)).is_ok());
    let alone: Vec<String> = (0..7).map(|n| format!("\"a {n}\"@example.com")).collect();
    let mut letter = verp(people(5));
    letter.recipients.extend(alone.iter().map(|one| EmailAddress::parse(one).expect("address")));
    push(&running, &letter);
    assert_eq!(delivered(&running.results(12).await), 12);
    assert_eq!((sink.messages().len(), recorded.load(Ordering::SeqCst)), (8, 7));
}

#[tokio::test]
async fn recipients_of_a_batch_are_judged_one_by_one() {
    for script in kinds(|| Script::new(refuse_some).with("XVERP")) {
        let (sink, results) = deliver(script, &verp(people(6))).await;
        assert_eq!(results[1].1, failed("550 5.1.1 no such user"));
        assert_eq!(retry_reply(&results[3].1), "451 4.2.0 busy");
        assert_eq!(delivered(&results), 4);
        assert_eq!(sink.messages().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_refuses_xverp_gets_one_message_for_each_and_judges_nobody_by_it() {
    for reply in [
        "555 5.5.4 Unsupported option: XVERP=+=",
        "503 5.5.4 Error: XVERP requires non-null sender",
        "501 5.5.4 Error: XVERP needs two characters from -=",
    ] {
        let refuse = move |moment: &Moment<'_>| {
            let refused = moment.step == Step::Mail && moment.line.contains("XVERP");
            if refused { Answer::say(reply) } else { Answer::Usual }
        };
        for script in kinds(|| Script::new(refuse).with("XVERP")) {
            let sink = sink(script).await;
            let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
            push(&running, &verp(people(250)));
            running.wait(|queue| queue.results().len() == 250).await;
            // It is remembered: another message is not even tried that way.
            push(&running, &verp(people(30)));
            let results = running.results(280).await;
            assert_eq!((results.len(), delivered(&results)), (280, 280), "no attempt was counted");
            assert_one_by_one(&sink, 280);
            assert_eq!(asked_for_xverp(&sink), 1, "{reply}");
            assert_eq!(sink.dialogues().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_sender_that_is_refused_is_refused_without_xverp_too_and_only_then_counts() {
    for script in kinds(|| rude(Step::Mail, Answer::say("501 5.1.7 bad sender")).with("XVERP")) {
        let (_, results) = deliver(script, &verp(people(3))).await;
        assert_eq!(results.len(), 3);
        for (_, result) in results {
            assert_eq!(result, failed("501 5.1.7 bad sender (in reply to MAIL FROM)"));
        }
    }
}

#[tokio::test]
async fn xverp_is_not_asked_for_where_it_is_not_offered_not_wanted_or_makes_other_senders() {
    let (sink, results) = deliver(Script::default(), &verp(people(150))).await;
    assert_eq!(delivered(&results), 150);
    assert_one_by_one(&sink, 150);

    let sink = super::sink(postfix()).await;
    let running = Running::start(DeliverySettings { xverp: false, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &verp(people(30)));
    assert_eq!(delivered(&running.results(30).await), 30);
    assert_one_by_one(&sink, 30);

    for format in ["${bounces}+${local}+${domain}", "${bounces}--${local}=${domain}"] {
        let sink = super::sink(postfix()).await;
        let verp_format = VerpFormat::parse(format).expect("format");
        let running = Running::start(DeliverySettings { verp: verp_format, ..settings(&sink) }, Outgoing::Smtp);
        push(&running, &verp(people(30)));
        assert_eq!(delivered(&running.results(30).await), 30);
        assert_eq!(asked_for_xverp(&sink), 0, "{format}");
    }
}

#[tokio::test]
async fn the_first_connection_tells_the_next_lease_how_to_cut() {
    // With as many recipients in an envelope as there are, one connection alone would get all of them.
    let sink = sink(Script::default()).await;
    let running = Running::to(&sink);
    push(&running, &people(1));
    running.wait(|queue| queue.results().len() == 1).await;
    push(&running, &verp(people(90)));
    assert_eq!(delivered(&running.results(91).await), 91);
    let sessions: std::collections::HashSet<usize> = sink.messages().iter().map(|one| one.session).collect();
    assert_eq!(sessions.len(), 4, "all connections had a part");
}
