//! A post goes through: LMTP in, list, SMTP out, without any MTA.

use postrider_tests::{
    installation::{Installation, wait_for},
    mta_box::Catcher,
};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

const POST: &str = "From: Anne <anne@example.org>\nTo: ants@lists.example.com\nSubject: Hello\n\
                    Message-ID: <one@example.org>\nDate: Sun, 22 Nov 2026 10:00:00 +0000\n\nHello, ants.\n.a line with a dot";

/// An installation with the list ants and three members, its sink, and its daemon.
fn ants(mta: &str) -> (Installation, Catcher) {
    let installation = Installation::with_mta(mta);
    let sink = Catcher::smtp_at(&format!("127.0.0.1:{}", installation.smtp_port)).expect("sink");
    installation.run(&["create", "ants@lists.example.com", "--owner", "olga@example.org"]);
    installation.run_with_input(
        &["addmembers", "-", "ants@lists.example.com"],
        "anne@example.org\nBart Person <bart@example.net>\n# a comment\ncarla@example.com\n",
    );
    (installation, sink)
}

const POSTFIX: &str = "incoming: postfix.LMTP\nconfiguration: $DIR/postfix.cfg\n";

#[test]
fn a_members_post_reaches_every_member_once() {
    let (installation, sink) = ants(POSTFIX);
    let daemon = installation.serve();
    let replies = installation.deliver("anne@example.org", &["ants@lists.example.com"], POST);
    assert!(replies[0].starts_with("250 2."), "{replies:?}");
    let message = sink.wait_for("carla@example.com", SOON);
    assert_eq!(message.sender, "ants-bounces@lists.example.com");
    assert_eq!(message.recipients, ["anne@example.org", "bart@example.net", "carla@example.com"]);
    let text = message.text();
    for line in [
        "Subject: [Ants] Hello\r\n",
        "List-Id: <ants.lists.example.com>\r\n",
        "List-Post: <mailto:ants@lists.example.com>\r\n",
        "Precedence: list\r\n",
        "Message-ID: <one@example.org>\r\n",
        "From: Anne <anne@example.org>\r\n",
        "\r\n\r\nHello, ants.\r\n.a line with a dot\r\n",
    ] {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
    wait_for("an empty queue", SOON, || installation.run(&["queue"]).contains("empty").then_some(()));
    assert_eq!(sink.caught().len(), 1);
    daemon.stop();
}

#[test]
fn verp_gives_each_member_a_sender_of_its_own() {
    let (installation, sink) = ants(&format!("{POSTFIX}verp_delivery_interval: 1\n"));
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &["ants@lists.example.com"], POST);
    let messages = sink.wait_for_count(3, SOON);
    let mut senders: Vec<_> = messages.iter().map(|message| message.sender.as_str()).collect();
    senders.sort_unstable();
    assert_eq!(
        senders,
        [
            "ants-bounces+anne=example.org@lists.example.com",
            "ants-bounces+bart=example.net@lists.example.com",
            "ants-bounces+carla=example.com@lists.example.com",
        ]
    );
    daemon.stop();
}

#[test]
fn unknown_lists_and_functions_are_refused_at_rcpt_and_known_ones_are_not() {
    let (installation, _sink) = ants(POSTFIX);
    let daemon = installation.serve();
    let mut lmtp = installation.lmtp();
    lmtp.expect("MAIL FROM:<anne@example.org>", "250");
    for known in [
        "ants",
        "ANTS",
        "ants-bounces",
        "ants-bounces+anne=example.org",
        "ants-confirm+0123abcd",
        "ants-owner",
        "ants-join",
    ] {
        lmtp.expect(&format!("RCPT TO:<{known}@lists.example.com>"), "250");
    }
    for unknown in ["bees", "ants-nosuch", "bees-owner", "ants/../ants"] {
        let reply = lmtp.expect(&format!("RCPT TO:<{unknown}@lists.example.com>"), "550 5.1.1");
        assert!(reply.contains(unknown), "{reply}");
    }
    lmtp.expect("RCPT TO:<ants@other.example>", "550 5.1.1");
    daemon.stop();
}

#[test]
fn a_strangers_post_waits_for_a_moderator() {
    let (installation, sink) = ants(POSTFIX);
    let daemon = installation.serve();
    let post = POST.replace("anne@", "stranger@");
    installation.deliver("stranger@example.org", &["ants@lists.example.com"], &post);
    let held = wait_for("the held post", SOON, || {
        let held = installation.json(&["held", "--json"]);
        held[0]["id"].as_i64().map(|_| held)
    });
    assert_eq!(held[0]["subject"], "Hello");
    let number = held[0]["id"].to_string();
    installation.run(&["held", "accept", &number]);
    sink.wait_for("carla@example.com", SOON);
    assert_eq!(installation.json(&["held", "--json"]), serde_json::json!([]));
    let error = installation.fails(1, &["held", "accept", &number]);
    assert!(error.contains(&format!("no held post has the number {number}")), "{error}");
    daemon.stop();
}

#[test]
fn mail_for_functions_to_come_is_kept_and_shown() {
    let (installation, _sink) = ants(POSTFIX);
    let daemon = installation.serve();
    for function in ["join", "leave", "confirm+0123", "request", "bounces+anne=example.org"] {
        let recipient = format!("ants-{function}@lists.example.com");
        let replies = installation.deliver("anne@example.org", &[&recipient], POST);
        assert!(replies[0].starts_with("250"), "{replies:?}");
    }
    wait_for("five kept messages", SOON, || {
        let queue = installation.json(&["queue", "--json"]);
        let kept = queue["in"].as_array()?.iter().filter(|entry| entry["state"] == "kept").count();
        (kept == 5).then_some(())
    });
    daemon.stop();
}

#[test]
fn mail_to_the_owners_is_forwarded() {
    let (installation, sink) = ants(POSTFIX);
    let daemon = installation.serve();
    installation.deliver("stranger@example.org", &["ants-owner@lists.example.com"], POST);
    let message = sink.wait_for("olga@example.org", SOON);
    assert!(message.text().contains("Hello, ants."), "{}", message.text());
    daemon.stop();
}

#[test]
fn what_was_answered_250_survives_a_kill_and_nothing_is_doubled() {
    let (installation, sink) = ants(POSTFIX);
    // Nobody takes mail while the daemon is killed.
    drop(sink);
    let daemon = installation.serve();
    for number in 0..20 {
        let post = POST.replace("one@", &format!("{number}@"));
        let replies = installation.deliver("anne@example.org", &["ants@lists.example.com"], &post);
        assert!(replies[0].starts_with("250"), "{replies:?}");
    }
    daemon.kill();
    let sink = Catcher::smtp_at(&format!("127.0.0.1:{}", installation.smtp_port)).expect("sink");
    let daemon = installation.serve();
    sink.wait_for_count(20, SOON);
    wait_for("an empty queue", SOON, || installation.run(&["queue"]).contains("empty").then_some(()));
    let mut ids: Vec<_> = sink
        .caught()
        .iter()
        .map(|message| {
            message.text().lines().find(|line| line.starts_with("Message-ID:")).unwrap_or_default().to_owned()
        })
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), sink.caught().len()), (20, 20));
    daemon.stop();
}
