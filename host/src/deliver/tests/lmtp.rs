//! LMTP (RFC 2033) and Unix sockets.

use super::*;
use crate::config::SmtpProtocol;
use crate::deliver::session::Session;
use std::path::Path;

fn lmtp(rule: impl Fn(&Moment<'_>) -> Answer + Send + Sync + 'static) -> Script {
    Script { lmtp: true, ..Script::new(rule) }
}

fn over_lmtp(sink: &Sink) -> DeliverySettings {
    let mut settings = settings(sink);
    settings.target.protocol = SmtpProtocol::Lmtp;
    settings
}

async fn deliver(script: Script, message: &Message) -> (Sink, Vec<(String, DeliveryResult)>) {
    let sink = sink(script).await;
    let running = Running::start(over_lmtp(&sink), Outgoing::Smtp);
    push(&running, message);
    let results = running.results(message.recipients.len()).await;
    (sink, results)
}

/// At the end of the message, for this recipient.
fn at_end(who: &'static str, answer: Answer) -> impl Fn(&Moment<'_>) -> Answer + Clone + Send + Sync + 'static {
    move |moment| {
        let here = moment.step == Step::EndOfData && moment.recipients.iter().any(|one| one.contains(who));
        if here { answer.clone() } else { Answer::Usual }
    }
}

#[tokio::test]
async fn each_recipient_has_a_reply_of_its_own_after_the_message() {
    let rule = |moment: &Moment<'_>| match (moment.step, moment.recipients.first()) {
        (Step::Rcpt, _) => refuse_some(moment),
        (Step::EndOfData, Some(one)) if one.starts_with("u00002") => Answer::say("550-5.2.2 over\r\n550 5.2.2 quota"),
        (Step::EndOfData, Some(one)) if one.starts_with("u00004") => Answer::say("452 4.2.2 full"),
        _ => Answer::Usual,
    };
    for script in [lmtp(rule), lmtp(rule).without("PIPELINING"), Script { trickle: true, ..lmtp(rule) }] {
        let (sink, results) = deliver(script, &people(7)).await;
        assert_eq!(results[1].1, failed("550 5.1.1 no such user"));
        assert_eq!(results[2].1, failed("550 5.2.2 over quota"), "no word about the message: it is this recipient's");
        assert_eq!(retry_reply(&results[3].1), "451 4.2.0 busy");
        assert_eq!(retry_reply(&results[4].1), "452 4.2.2 full");
        assert_eq!(delivered(&results), 3);
        assert_eq!(sink.messages().len(), 1);
        assert_eq!(sink.recipients(), ["u00000@example.com", "u00005@example.com", "u00006@example.com"]);
        assert!(sink.dialogues()[0][0].starts_with("LHLO "));
    }
}

#[tokio::test]
async fn the_connection_stays_in_step_whatever_is_refused() {
    let sink = sink(lmtp(at_end("u00003@", Answer::say("554 5.7.1 no")))).await;
    let running = Running::start(DeliverySettings { connections: 1, ..over_lmtp(&sink) }, Outgoing::Smtp);
    push(&running, &verp(people(5)));
    push(&running, &people(9));
    let results = running.results(14).await;
    assert_eq!((delivered(&results), sink.dialogues().len()), (12, 1));
}

#[tokio::test]
async fn replies_that_are_missing_are_unknown_for_these_recipients_only() {
    for answer in [Answer::Close, Answer::say_and_close("421 4.3.2 down"), Answer::say("250-a\r\n451 b")] {
        let (_, results) = deliver(lmtp(at_end("u00002@", answer)), &people(5)).await;
        assert_eq!(results[..2].iter().filter(|(_, result)| *result == DeliveryResult::Delivered).count(), 2);
        let (refused, unknown) = results[2..].split_first().expect("some");
        assert!(["may have arrived", "421 4.3.2 down"].iter().any(|text| retry_reply(&refused.1).contains(text)));
        for (who, result) in unknown {
            assert!(retry_reply(result).contains("may have arrived"), "{who}: {result:?}");
        }
    }
}

#[tokio::test]
async fn a_421_for_one_recipient_takes_nothing_back_from_those_behind_it() {
    let (sink, results) = deliver(lmtp(at_end("u00002@", Answer::say("421 4.3.2 busy"))), &people(5)).await;
    assert_eq!(retry_reply(&results[2].1), "421 4.3.2 busy");
    assert_eq!((delivered(&results), sink.recipients().len()), (4, 4), "each is told what became of it");
}

#[tokio::test]
async fn one_reply_more_than_recipients_ends_the_connection() {
    let (sink, results) = deliver(lmtp(at_end("u00001@", Answer::say("250 ok\r\n250 ok"))), &people(2)).await;
    assert_eq!(delivered(&results), 2);
    assert!(!sink.dialogues()[0].contains(&"QUIT".to_owned()) || sink.dialogues().len() == 1);
}

#[tokio::test]
async fn a_content_that_nobody_shall_get_is_not_sent() {
    let script = lmtp(|moment| match moment.step {
        Step::Rcpt => Answer::say("550 5.1.1 no"),
        Step::Data => Answer::say("354 go"),
        _ => Answer::Usual,
    });
    let (sink, results) = deliver(script, &people(2)).await;
    assert!(results.iter().all(|(_, result)| *result == failed("550 5.1.1 no")), "{results:?}");
    assert!(sink.messages().is_empty());
}

#[tokio::test]
async fn neither_chunking_nor_xverp_is_used() {
    let script = lmtp(|_| Answer::Usual).with("CHUNKING").with("XVERP");
    let (sink, results) = deliver(script, &verp(people(40))).await;
    assert_eq!(delivered(&results), 40);
    assert!(sink.dialogues().concat().iter().all(|line| !line.starts_with("BDAT") && !line.contains("XVERP")));
}

#[tokio::test]
async fn the_wrong_protocol_is_told_as_such() {
    let sink = super::sink(Script::default()).await;
    let problem = Session::open(&over_lmtp(&sink).target).await.expect_err("SMTP").to_string();
    assert!(problem.contains("does not speak LMTP") && problem.contains("smtp_protocol"), "{problem}");
    let sink = super::sink(lmtp(|_| Answer::Usual)).await;
    let problem = Session::open(&settings(&sink).target).await.expect_err("LMTP").to_string();
    assert!(problem.contains("does not speak SMTP") && problem.contains("smtp_protocol"), "{problem}");
}

/// A Unix socket that leads to the sink.
fn socket_to(sink: &Sink, path: &Path) {
    let listener = tokio::net::UnixListener::bind(path).expect("bound");
    let address = sink.address();
    tokio::spawn(async move {
        while let Ok((mut unix, _)) = listener.accept().await {
            let mut tcp = tokio::net::TcpStream::connect(address).await.expect("sink");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut unix, &mut tcp).await });
        }
    });
}

#[tokio::test]
async fn mail_goes_out_through_a_unix_socket() {
    let directory = tempfile::tempdir().expect("directory");
    for (protocol, script) in
        [(SmtpProtocol::Lmtp, lmtp(|_| Answer::Usual)), (SmtpProtocol::Smtp, Script::default().with("CHUNKING"))]
    {
        let path = directory.path().join(format!("{protocol:?}"));
        let sink = sink(script).await;
        socket_to(&sink, &path);
        let mut settings = settings(&sink);
        settings.target.host = path.display().to_string();
        settings.target.protocol = protocol;
        let running = Running::start(settings, Outgoing::Smtp);
        push(&running, &people(250));
        assert_eq!(delivered(&running.results(250).await), 250);
        assert_eq!(sink.recipients().len(), 250);
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there_touches_no_recipient_and_is_named() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("mta");
    let sink = sink(Script::default()).await;
    let mut settings = settings(&sink);
    settings.target.host = path.display().to_string();
    let problem = Session::open(&settings.target).await.expect_err("nothing there").to_string();
    assert!(problem.contains(&path.display().to_string()) && problem.contains("smtp_host"), "{problem}");
    let running = Running::start(settings, Outgoing::Smtp);
    push(&running, &people(3));
    running.wait(|queue| queue.released() == 3).await;
    socket_to(&sink, &path);
    let results = running.results(3).await;
    assert_eq!((results.len(), delivered(&results)), (3, 3));
}
