//! `outgoing: qmail.Queue`: what qmail-queue is given, and what its exit codes come to.

use crate::site::Site;
use postrider_tests::{
    installation::{Daemon, wait_for},
    qmail_stand_in::{Injected, Queue},
};
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);

const POST: &str = "From: Anne <anne@example.org>\nTo: ants@lists.example.com\nSubject: Hello\n\
                    Message-ID: <one@example.org>\n\nHello, ants.\n.a line with a dot\n";

/// A list with three members, and a queue that exits so.
fn ants(mta: &str, settings: &str, code: u8) -> (Site, Queue, Daemon) {
    let site = Site::new(&format!("outgoing: qmail.Queue\n{mta}"), settings);
    let queue = Queue::install(&site.qmail.home().join("bin/qmail-queue"), &site.installation.path().join("queue"));
    queue.exit_with(code);
    site.hook_up();
    site.create("ants@lists.example.com");
    let members = "anne@example.org\nbart@example.net\no'brien+x@example.com\n";
    site.installation.run_with_input(&["addmembers", "-", "ants@lists.example.com"], members);
    let daemon = site.installation.serve();
    (site, queue, daemon)
}

fn post(site: &Site) {
    let replies = site.installation.deliver("anne@example.org", &["ants@lists.example.com"], POST);
    assert!(replies[0].starts_with("250"), "{replies:?}");
}

fn queued(queue: &Queue, count: usize) -> Vec<Injected> {
    wait_for("the injections", SOON, || Some(queue.queued()).filter(|injected| injected.len() >= count))
}

fn empties(site: &Site) {
    wait_for("an empty queue", SOON, || site.installation.run(&["queue"]).contains("empty").then_some(()));
}

#[test]
fn one_run_serves_all_members() {
    let (site, queue, daemon) = ants("", "", 0);
    post(&site);
    let injected = queued(&queue, 1).remove(0);
    assert_eq!(injected.sender, "ants-bounces@lists.example.com");
    let mut recipients = injected.recipients.clone();
    recipients.sort();
    assert_eq!(recipients, ["anne@example.org", "bart@example.net", "o'brien+x@example.com"]);
    let text = String::from_utf8(injected.message).unwrap();
    assert!(!text.contains('\r'), "qmail wants LF: {text}");
    assert!(
        text.contains("Subject: [Ants] Hello\n") && text.contains("\nHello, ants.\n.a line with a dot\n"),
        "{text}"
    );
    empties(&site);
    assert_eq!(queue.queued().len(), 1);
    daemon.stop();
}

const VERP: &str = "verp_delivery_interval: 1\n";

/// Sender and recipient of each delivery, sorted.
fn deliveries(injected: &[Injected]) -> Vec<(String, String)> {
    let mut deliveries: Vec<_> = injected.iter().flat_map(Injected::deliveries).collect();
    deliveries.sort();
    deliveries
}

fn expected() -> Vec<(String, String)> {
    [
        ("ants-bounces+anne=example.org@lists.example.com", "anne@example.org"),
        ("ants-bounces+bart=example.net@lists.example.com", "bart@example.net"),
        ("ants-bounces+o'brien+x=example.com@lists.example.com", "o'brien+x@example.com"),
    ]
    .map(|(sender, recipient)| (sender.to_owned(), recipient.to_owned()))
    .into()
}

#[test]
fn with_verp_one_run_serves_all_and_qmail_makes_the_senders() {
    let (site, queue, daemon) = ants(VERP, "", 0);
    post(&site);
    let injected = queued(&queue, 1);
    assert_eq!(injected[0].sender, "ants-bounces+@lists.example.com-@[]");
    assert_eq!(deliveries(&injected), expected());
    empties(&site);
    assert_eq!(queue.queued().len(), 1);
    daemon.stop();
}

#[test]
fn without_qmails_verp_each_member_has_a_run() {
    let (site, queue, daemon) = ants(VERP, "queue_verp: no\n", 0);
    post(&site);
    let injected = queued(&queue, 3);
    assert!(injected.iter().all(|one| !one.sender.ends_with("@[]") && one.recipients.len() == 1), "{injected:?}");
    assert_eq!(deliveries(&injected), expected());
    empties(&site);
    daemon.stop();
}

#[test]
fn a_temporary_failure_keeps_the_message_and_tells_why() {
    let (site, queue, daemon) = ants("", "", 53);
    post(&site);
    wait_for("a refused run", SOON, || (!queue.refused().is_empty()).then_some(()));
    wait_for("the reason", SOON, || site.installation.run(&["queue"]).contains("4.3.1").then_some(()));
    assert!(queue.queued().is_empty());
    daemon.stop();
}

#[test]
fn a_permanent_failure_is_not_tried_again() {
    let (site, queue, daemon) = ants("", "", 31);
    post(&site);
    wait_for("a refused run", SOON, || (!queue.refused().is_empty()).then_some(()));
    empties(&site);
    queue.exit_with(0);
    assert!(queue.queued().is_empty());
    daemon.stop();
}
