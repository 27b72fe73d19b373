//! The power fails.
//!
//! A Postrider at work is recorded: every change of a file, every sync, every reply that takes responsibility for a message
//! (`recorder.c`, [`record`], [`load`]). Then the power fails at every moment of the record, or at many of them: what the
//! disk may hold then ([`disk`]) is opened with the code of the product ([`verdict`]), and must have what was promised
//! until then ([`expected`]).
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
mod verdict;

use disk::{Disk, Entries, Luck};
use load::{Amount, Recording};
use record::Event;
use replay::{Effort, Findings, replay};
use std::collections::BTreeMap;
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

fn effort() -> Effort {
    let (moments, throws) = if is_long() { (usize::MAX / 4, 4) } else { (150, 2) };
    Effort { moments, throws, enough: 1, seed: 1 }
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
    let counts = [
        ("events", recording.events.len()),
        ("syncs", count(&|event| matches!(event, Event::SyncEnds { .. }))),
        ("replies", count(&|event| matches!(event, Event::Reply(_)))),
        ("deliveries", count(&|event| matches!(event, Event::Mark(text) if text.starts_with("got ")))),
        ("bodies in files", count(&|event| matches!(event, Event::Rename { .. }))),
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
        ("posts for moderators", recording.posts.values().filter(|post| post.held).count()),
    ];
    println!("{counts:?}");
    for (what, count) in counts {
        assert!(count > 0, "no {what} in the record");
    }
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
        let findings = replay(recording, &recording.events, entries, effort());
        show(&format!("{entries:?}"), &findings);
        assert_eq!(findings.bad(), 0, "{}", findings.examples.join("\n"));
        assert!(findings.looked_for > 0);
        // `deliver/mod.rs`: on each connection, two transactions of bulk mail; with VERP, 41 messages.
        let window = recording.connections * (2 * recording.batch).max(41);
        assert!(findings.twice <= window, "{} recipients would get a message twice, more than {window}", findings.twice);
    }
}
