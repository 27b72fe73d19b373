//! The same faults by Postfix's own test server, smtp-sink(1): one after the other, and kills in between.

use postrider_tests::installation::{Installation, wait_for};
use postrider_tests::require::{self, MTA_BOX};
use postrider_tests::site::{ANTS, SOON, bare, post, wait_until_queues_are_empty};
use postrider_tests::smtp_sink::{SmtpSink, dump_directory, dumped};
use std::collections::BTreeMap;
use std::time::Duration;

const MEMBERS: usize = 30;
const POSTS: usize = 6;

/// Soft refusals, disconnections without a word, 421 and disconnection: with each nobody gets anything.
const FAULTS: [[&str; 2]; 12] = [
    ["-r", "CONNECT"],
    ["-r", "MAIL"],
    ["-r", "RCPT"],
    ["-r", "DATA"],
    ["-r", "."],
    ["-q", "EHLO"],
    ["-q", "RCPT"],
    ["-q", "DATA"],
    ["-q", "."],
    ["-Q", "CONNECT"],
    ["-Q", "MAIL"],
    ["-Q", "."],
];

#[test]
fn whatever_smtp_sink_does_everybody_gets_every_post_once_it_behaves() {
    if !require::all("whatever_smtp_sink_does_everybody_gets_every_post", MTA_BOX) {
        return;
    }
    let installation = with_members();
    let mut daemon = installation.serve();
    for number in 0..POSTS {
        assert!(installation.deliver("member0@example.org", &[ANTS], &from_a_member(number))[0].starts_with("250"));
    }
    for (number, fault) in FAULTS.iter().enumerate() {
        let _sink = SmtpSink::start(installation.smtp_port, fault);
        installation.run(&["queue", "retry"]);
        std::thread::sleep(Duration::from_millis(200));
        if number % 3 == 0 {
            daemon.kill();
            daemon = installation.serve();
        }
    }
    let queued = installation.json(&["queue", "--json"]);
    let waiting: u64 = queued["out"].as_array().expect("queue").iter().filter_map(|one| one["waiting"].as_u64()).sum();
    assert_eq!(waiting as usize, POSTS * MEMBERS, "nobody was given up or taken for served");

    let dumps = installation.path().join("dumps");
    dump_directory(&dumps).expect("directory");
    let template = format!("{}/%M.", dumps.display());
    let sink = SmtpSink::start(installation.smtp_port, &["-d", &template]);
    installation.run(&["queue", "retry"]);
    wait_until_queues_are_empty(&installation);
    assert_eq!(installation.json(&["queue", "bounces", "--json"]), serde_json::json!([]));
    daemon.stop();
    drop(sink);
    let mut got: BTreeMap<(usize, String), usize> = BTreeMap::new();
    for message in dumped(&dumps).expect("dumps") {
        let number = (0..POSTS).find(|number| message.text.contains(&format!("<{number}@example.org>")));
        let number = number.unwrap_or_else(|| panic!("a post of ours: {}", message.text));
        for recipient in message.recipients {
            *got.entry((number, recipient)).or_default() += 1;
        }
    }
    assert_eq!(got.len(), POSTS * MEMBERS);
    assert!(got.values().all(|times| *times == 1), "each once: {got:?}");
}

#[test]
fn what_smtp_sink_refuses_for_ever_bounces_once_with_its_reply() {
    if !require::all("what_smtp_sink_refuses_for_ever_bounces_once", MTA_BOX) {
        return;
    }
    let installation = with_members();
    let daemon = installation.serve();
    let mut expected = 0;
    for (number, step) in ["MAIL", "RCPT", "DATA", "."].iter().enumerate() {
        let reply = format!("554 5.7.1 no {number}");
        let _sink = SmtpSink::start(installation.smtp_port, &["-f", step, "-B", &reply]);
        assert!(installation.deliver("member0@example.org", &[ANTS], &from_a_member(number))[0].starts_with("250"));
        expected += MEMBERS;
        // The server was away for a moment, so delivery may be pausing.
        installation.run(&["queue", "retry"]);
        let bounces = wait_for("bounces", SOON, || {
            let bounces = installation.json(&["queue", "bounces", "--json"]);
            (bounces.as_array()?.len() >= expected).then_some(bounces)
        });
        let bounces = bounces.as_array().expect("bounces").clone();
        assert_eq!(bounces.len(), expected);
        let told = |one: &&serde_json::Value| one["reply"].as_str().is_some_and(|text| text.contains(&reply));
        assert_eq!(bounces.iter().filter(told).count(), MEMBERS, "{step}");
        wait_until_queues_are_empty(&installation);
    }
    daemon.stop();
}

fn with_members() -> Installation {
    let installation = bare();
    installation.configure("verp_delivery_interval: 2\n");
    installation.run(&["create", ANTS]);
    let members: Vec<String> = (0..MEMBERS).map(|number| format!("member{number}@example.org")).collect();
    installation.run_with_input(&["addmembers", "-", ANTS], &members.join("\n"));
    installation
}

fn from_a_member(number: usize) -> String {
    post(number).replace("anne@example.org", "member0@example.org")
}
