//! An outgoing mail server that is down, busy, rude or broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::site::{ANTS, MEMBERS, POST, SOON, Server, ants, wait_for_log, wait_until_queues_are_empty};
use postrider::deliver::sink::{Answer, Script, Step};
use postrider_tests::installation::{Installation, wait_for};
use serde_json::Value;

/// Waits until the first outgoing message is as wanted.
fn wait_for_outgoing(installation: &Installation, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, SOON, || {
        let message = installation.json(&["queue", "--json"])["out"][0].clone();
        wanted(&message).then_some(message)
    })
}

#[test]
fn mail_waits_for_a_server_that_is_down_and_is_delivered_once_when_it_is_up() {
    let installation = ants();
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    let line = wait_for_log(&installation, "no mail goes out for");
    assert!(line.contains(&format!("127.0.0.1:{}", installation.smtp_port)) && line.contains("refused"), "{line}");
    wait_for_outgoing(&installation, "the waiting post", |message| message["waiting"] == 3);
    let server = Server::start(&installation, Script::default());
    // The administrator need not wait for the next try.
    installation.run(&["queue", "retry"]);
    server.wait_for(MEMBERS.len());
    wait_until_queues_are_empty(&installation);
    assert_eq!(server.recipients(), MEMBERS);
    assert_eq!(installation.json(&["queue", "bounces", "--json"]), serde_json::json!([]));
    daemon.stop();
}

#[test]
fn a_server_that_greets_with_421_gets_the_mail_later() {
    let installation = ants();
    let busy = Arc::new(AtomicBool::new(true));
    let still = busy.clone();
    let server = Server::start(
        &installation,
        Script::new(move |moment| {
            if moment.step == Step::Connect && still.load(Ordering::SeqCst) {
                Answer::say_and_close("421 4.3.2 too busy")
            } else {
                Answer::Usual
            }
        }),
    );
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    let line = wait_for_log(&installation, "no mail goes out for");
    assert!(line.contains("421 4.3.2 too busy"), "{line}");
    busy.store(false, Ordering::SeqCst);
    installation.run(&["queue", "retry"]);
    server.wait_for(MEMBERS.len());
    wait_until_queues_are_empty(&installation);
    assert_eq!(server.recipients(), MEMBERS);
    daemon.stop();
}

#[test]
fn a_recipient_that_is_refused_for_good_becomes_a_bounce_and_the_others_get_the_post_once() {
    let installation = ants();
    let server = Server::start(
        &installation,
        Script::new(|moment| {
            if moment.step == Step::Rcpt && moment.line.contains("bart@") {
                Answer::say("550 5.1.1 <bart@example.net>: no\x07such user")
            } else {
                Answer::Usual
            }
        }),
    );
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    let bounces = wait_for("the bounce", SOON, || {
        let bounces = installation.json(&["queue", "bounces", "--json"]);
        bounces[0]["recipient"].is_string().then_some(bounces)
    });
    assert_eq!(bounces.as_array().map(Vec::len), Some(1));
    assert_eq!((&bounces[0]["recipient"], &bounces[0]["list"]), (&"bart@example.net".into(), &ANTS.into()));
    assert!(bounces[0]["reply"].as_str().is_some_and(|reply| reply.starts_with("550 5.1.1")), "{bounces:#}");
    assert_eq!(bounces[0]["message_id"], "<one@example.org>");
    assert_eq!(bounces[0]["status"], "5.1.1");
    let report = installation.run(&["queue", "bounces", &bounces[0]["id"].to_string()]);
    for line in ["To: ants-bounces@lists.example.com", "Final-Recipient: rfc822; bart@example.net", "Status: 5.1.1"] {
        assert!(report.contains(&format!("\r\n{line}\r\n")), "{line}: {report}");
    }
    let error = installation.fails(1, &["queue", "bounces", "4711"]);
    assert!(error.contains("there is no bounce 4711"), "{error}");
    let shown = installation.run(&["queue", "bounces"]);
    assert!(shown.contains("bart@example.net") && !shown.contains('\u{7}'), "{shown:?}");
    wait_until_queues_are_empty(&installation);
    assert_eq!(server.recipients(), ["anne@example.org", "carla@example.com"]);
    daemon.stop();
}

#[test]
fn a_recipient_that_is_put_off_is_tried_again_alone_and_at_once_when_told_to() {
    let installation = ants();
    let put_off = Arc::new(AtomicBool::new(true));
    let still = put_off.clone();
    let server = Server::start(
        &installation,
        Script::new(move |moment| {
            if moment.step == Step::Rcpt && moment.line.contains("bart@") && still.load(Ordering::SeqCst) {
                Answer::say("451 4.3.0 greylisted")
            } else {
                Answer::Usual
            }
        }),
    );
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    server.wait_for(2);
    let message = wait_for_outgoing(&installation, "the retry", |message| {
        message["done"] == 2 && message["last_reply"].as_str().is_some_and(|reply| !reply.is_empty())
    });
    assert!(message["last_reply"].as_str().is_some_and(|reply| reply.contains("451 4.3.0 greylisted")), "{message:#}");
    let wait = message["next_try"].as_i64().expect("time") - message["queued"].as_i64().expect("time");
    assert!((200..=400).contains(&wait), "tried again after about five minutes: {wait} s");
    assert!(installation.run(&["queue"]).contains("2/3"));

    put_off.store(false, Ordering::SeqCst);
    let said = installation.run(&["queue", "retry", "out", &message["id"].to_string()]);
    assert!(said.contains("1 will be tried again now"), "{said}");
    server.wait_for(3);
    wait_until_queues_are_empty(&installation);
    assert_eq!(server.recipients(), MEMBERS, "each once");
    assert_eq!(installation.json(&["queue", "bounces", "--json"]), serde_json::json!([]));
    daemon.stop();
}

/// RFC 5321, section 4.5.4.1: without a reply to the final dot nobody knows, so it is sent again.
/// It may come twice, as here, where the server had taken it; it is never lost.
#[test]
fn a_connection_lost_after_the_final_dot_is_a_reason_to_send_again() {
    let installation = ants();
    let ends = Arc::new(AtomicUsize::new(0));
    let server = Server::start(
        &installation,
        Script::new(move |moment| {
            if moment.step == Step::EndOfData && ends.fetch_add(1, Ordering::SeqCst) == 0 {
                Answer::Close
            } else {
                Answer::Usual
            }
        }),
    );
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    server.wait_for(MEMBERS.len());
    wait_for("the second try", SOON, || {
        installation.run(&["queue", "retry"]);
        (server.recipients().len() >= 2 * MEMBERS.len()).then_some(())
    });
    wait_until_queues_are_empty(&installation);
    for member in MEMBERS {
        assert_eq!(server.recipients().iter().filter(|one| *one == member).count(), 2, "{member}");
    }
    assert_eq!(installation.json(&["queue", "bounces", "--json"]), serde_json::json!([]));
    daemon.stop();
}

#[test]
fn a_message_that_is_refused_as_a_whole_bounces_for_all_of_its_recipients() {
    let installation = ants();
    let _server = Server::start(
        &installation,
        Script::new(|moment| match moment.step {
            Step::EndOfData => Answer::say("554 5.7.1 looks like spam"),
            _ => Answer::Usual,
        }),
    );
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    let bounces = wait_for("three bounces", SOON, || {
        let bounces = installation.json(&["queue", "bounces", "--json"]);
        (bounces.as_array()?.len() == 3).then_some(bounces)
    });
    assert!(bounces[2]["reply"].as_str().is_some_and(|reply| reply.contains("554 5.7.1 looks like spam")));
    wait_until_queues_are_empty(&installation);
    daemon.stop();
}

#[test]
fn a_server_that_talks_nonsense_loses_no_mail() {
    let installation = ants();
    let sane = Arc::new(AtomicBool::new(false));
    let now = sane.clone();
    let server = Server::start(
        &installation,
        Script::new(move |moment| match moment.step {
            Step::Ehlo | Step::Helo if !now.load(Ordering::SeqCst) => Answer::say_and_close("HTTP/1.1 400 Bad Request"),
            _ => Answer::Usual,
        }),
    );
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    let line = wait_for_log(&installation, "no mail goes out for");
    assert!(line.contains("HTTP/1.1"), "{line}");
    sane.store(true, Ordering::SeqCst);
    installation.run(&["queue", "retry"]);
    server.wait_for(MEMBERS.len());
    wait_until_queues_are_empty(&installation);
    assert_eq!(server.recipients(), MEMBERS);
    daemon.stop();
}
