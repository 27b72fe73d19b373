//! The power fails.
//!
//! A Postrider at work is recorded: every change of a file, every sync, every reply that takes responsibility for a message
//! (`recorder.c`, [`record`], [`load`]). Then the power fails at every moment of the record, or at many of them: what the
//! disk may hold then ([`disk`]) is opened with the code of the product ([`verdict`]), and must have what was promised
//! until then ([`expected`]); the MTA's tables are wholly old or wholly new ([`tables`]).
//!
//! The same must find losses when syncs are left out: in the record (a disk that lies), and in the database
//! (`synchronous` OFF and NORMAL).
//!
//! `POSTRIDER_POWER_LOSS=long cargo test -p postrider-tests --test power_loss -- --nocapture` takes every moment.

mod disk;
mod expected;
mod load;
mod post;
mod record;
mod replay;
mod tables;
mod verdict;

use disk::{Disk, Entries, Luck};
use load::{Amount, Recording};
use post::Post;
use record::Event;
use replay::{Effort, Findings, replay};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

fn is_long() -> bool {
    std::env::var_os("POSTRIDER_POWER_LOSS").is_some_and(|value| value == "long")
}

/// The record that most tests share.
fn recording() -> &'static Recording {
    static RECORDING: OnceLock<Recording> = OnceLock::new();
    RECORDING.get_or_init(|| {
        let amount = if is_long() { Amount { posts: 12, big_posts: 60 } } else { Amount { posts: 5, big_posts: 40 } };
        load::record(amount, &[])
    })
}

/// Where nothing must be found.
fn effort(entries: Entries) -> Effort {
    let (moments, throws) = match (is_long(), entries) {
        (true, Entries::Strict) => (2500, 3),
        (true, Entries::Journal) => (600, 2),
        (false, Entries::Strict) => (54, 2),
        (false, Entries::Journal) => (16, 1),
    };
    Effort { moments, throws, enough: 1, seed: 1 }
}

/// Where something must be found; in the short run, one is enough.
fn effort_to_find() -> Effort {
    let (moments, enough) = if is_long() { (400, usize::MAX) } else { (60, 1) };
    Effort { moments, throws: 0, enough, seed: 1 }
}

fn show(title: &str, findings: &Findings) {
    println!(
        "{title}: {} moments, {} states, {} answers of 250 looked for, {} states damaged, {} with losses, at most {} recipients would get a message twice",
        findings.moments, findings.states, findings.looked_for, findings.damaged, findings.with_losses, findings.twice
    );
}

#[test]
fn the_record_is_complete() {
    let recording = recording();
    let mut disk = Disk::new(recording.root, Entries::Strict);
    recording.events.iter().for_each(|event| disk.happen(event));
    let replayed = disk.power_loss(Luck::Everything);
    let names = |state: &disk::State| state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&replayed), names(&recording.end));
    for (path, contents) in &recording.end {
        assert!(replayed[path] == *contents, "{} is not what was recorded", path.display());
    }

    // And it has in it what the test is about.
    let count = |what: &dyn Fn(&Event) -> bool| recording.events.iter().filter(|event| what(event)).count();
    let names = names_of(&recording.events);
    let is = |inode: &u64, name: &str| names.get(inode).is_some_and(|found| found == name);
    let numbers = |what: &dyn Fn(&Post) -> bool| -> BTreeSet<u32> {
        recording.posts.values().filter(|post| what(post)).map(|post| post.number).collect()
    };
    let (large, held) = (numbers(&|post| post.size >= load::LARGE), numbers(&|post| post.held));
    let counts = [
        ("events", recording.events.len()),
        ("syncs", count(&|event| matches!(event, Event::SyncEnds { .. }))),
        ("replies", count(&|event| matches!(event, Event::Reply(_)))),
        ("deliveries", count(&|event| matches!(event, Event::Mark(text) if text.starts_with("got ")))),
        ("bodies in files", count(&|event| matches!(event, Event::Rename { new, .. } if new.len() == 32))),
        ("deliveries of large posts", count(&|event| is_delivery_of(event, &large))),
        ("deliveries of posts that were held", count(&|event| is_delivery_of(event, &held))),
        (
            "checkpoints of the spool",
            count(&|event| matches!(event, Event::SyncBegins { inode: Some(inode), .. } if is(inode, "spool.db"))),
        ),
        (
            "times that the spool became shorter",
            count(&|event| matches!(event, Event::Truncate { inode, .. } if is(inode, "spool.db"))),
        ),
        (
            "times that a log of the spool was made",
            count(&|event| matches!(event, Event::Made { name, .. } if name == "spool.db-wal")),
        ),
    ];
    println!("{counts:?}");
    for (what, count) in counts {
        assert!(count > 0, "no {what} in the record");
    }
}

fn is_delivery_of(event: &Event, posts: &BTreeSet<u32>) -> bool {
    let Event::Mark(text) = event else { return false };
    let number = text.strip_prefix("got ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    number.is_some_and(|number| posts.contains(&number))
}

/// The last name that each file was made with.
fn names_of(events: &[Event]) -> BTreeMap<u64, String> {
    let made = |event: &Event| match event {
        Event::Made { name, inode, .. } => Some((*inode, name.clone())),
        _ => None,
    };
    events.iter().filter_map(made).collect()
}

#[test]
fn what_was_answered_250_outlives_a_power_loss() {
    let recording = recording();
    for entries in [Entries::Strict, Entries::Journal] {
        let findings = replay(recording, &recording.events, entries, effort(entries));
        show(&format!("{entries:?}"), &findings);
        assert_eq!(findings.bad(), 0, "{}", findings.examples.join("\n"));
        assert!(findings.looked_for > 0);
        // `deliver/mod.rs`: on each connection, two transactions of bulk mail; with VERP, 101 messages.
        let window = recording.connections * (2 * recording.batch).max(101);
        assert!(
            findings.twice <= window,
            "{} recipients would get a message twice, more than {window}",
            findings.twice
        );
    }
}

#[test]
fn the_same_is_lost_on_a_disk_that_lies_about_syncs() {
    let recording = recording();
    let names = names_of(&recording.events);
    let of = |inode: &u64, found: &dyn Fn(&str) -> bool| names.get(inode).is_some_and(|name| found(name));
    let is_directory = |name: &str| ["", "data", "spool", "bodies", "locks", "logs"].contains(&name);
    // Which syncs are left out, where all of them would be `None`; and whether losses or damage follow.
    let lies: [(&str, Names<'_>); 7] = [
        ("all", &|_| true),
        ("of directories", &is_directory),
        ("of the log of the spool", &|name| name == "spool.db-wal"),
        ("of the spool, into which its log is copied", &|name| name == "spool.db"),
        ("of the log of the store", &|name| name == "postrider.db-wal"),
        ("of bodies in files", &|name| name.len() == 36 && name.ends_with("tmp")),
        ("of tables of the MTA", &|name| name.contains("postfix_")),
    ];
    for (what, is_left_out) in lies {
        let left_out = |inode: &Option<u64>| match inode {
            Some(inode) => of(inode, is_left_out) || *inode == recording.root && is_left_out(""),
            None => is_left_out(""),
        };
        let events = without_syncs(&recording.events, left_out);
        assert!(events.len() < recording.events.len(), "no syncs {what} in the record");
        let findings = replay(recording, &events, Entries::Strict, effort_to_find());
        show(&format!("without syncs {what}"), &findings);
        assert!(findings.bad() > 0, "nothing is lost without syncs {what}: this test would not notice");
        if is_long() {
            println!("{}", findings.examples[0]);
        }
    }
}

#[test]
fn the_same_is_lost_when_the_database_does_not_sync_each_commit() {
    for synchronous in ["OFF", "NORMAL"] {
        let amount = Amount { posts: 2, big_posts: 0 };
        let recording = load::record(amount, &[("POSTRIDER_TEST_SYNCHRONOUS", synchronous)]);
        let findings = replay(&recording, &recording.events, Entries::Strict, effort_to_find());
        show(&format!("synchronous={synchronous}"), &findings);
        assert!(findings.with_losses > 0, "nothing is lost with synchronous={synchronous}: this test would not notice");
    }
}

/// Which names are meant.
type Names<'a> = &'a dyn Fn(&str) -> bool;

/// All events but the syncs of some files and directories.
fn without_syncs(events: &[Event], left_out: impl Fn(&Option<u64>) -> bool) -> Vec<Event> {
    let begins = |event: &Event| match event {
        Event::SyncBegins { number, inode } if left_out(inode) => Some(*number),
        _ => None,
    };
    let numbers: BTreeSet<u64> = events.iter().filter_map(begins).collect();
    let stays = |event: &&Event| match event {
        Event::SyncBegins { number, .. } | Event::SyncEnds { number } => !numbers.contains(number),
        _ => true,
    };
    events.iter().filter(stays).cloned().collect()
}
