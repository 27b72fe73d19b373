//! Mail comes in: messages a second that are answered 250, and so on disk.

use crate::Bench;
use crate::compare::{Side, compare};
use crate::network::Network;
use crate::peers::{CountingSink, Dovecot, Load, Mailman, Postfix};
use crate::sites::{self, LIST};
use postrider_tests::installation::{Daemon, Installation};
use std::time::Duration;

/// What is measured is the way to the disk, not what is done with posts afterwards; Mailman and we both throw
/// away what strangers post.
const DISCARD: &[&str] = &["set", LIST, "nonmember_action=discard", "max_message_size=0"];

/// All of it.
pub fn measure(bench: &mut Bench<'_>) {
    bench.report.section("LMTP intake", "messages/s");
    let kib = 1024;
    let cells: &[(usize, usize)] = if bench.effort.quick {
        &[(4 * kib, 1), (4 * kib, 10)]
    } else {
        &[(4, 1), (4, 10), (4, 100), (64, 1), (64, 10), (64, 100), (1024, 1), (1024, 10), (1024, 100)]
            .map(|(size, sessions)| (size * kib, sessions))
    };
    let ours = receiver(10);
    let sink = CountingSink::lmtp(bench.peers);
    let postfix = bench.root.then(|| Postfix::holding(bench.peers, &Network::Near));
    let dovecot = bench.root.then(|| Dovecot::start(bench.peers));
    for &(size, sessions) in cells {
        let mut sides = vec![us(bench, &ours, sessions, size), to_sink(bench, &sink, sessions, size)];
        sides.extend(postfix.as_ref().map(|peer| to_postfix(bench, peer, sessions, size)));
        sides.extend(dovecot.as_ref().map(|peer| to_dovecot(bench, peer, sessions, size)));
        let figures = compare(bench.effort, sessions.max(10), sides);
        let sink_target = (size == 4 * kib && sessions >= 10).then_some(("smtp-sink -L (no disk)", 0.5));
        let targets: Vec<_> = [("Postfix", 4.0)].into_iter().chain(sink_target).collect();
        let what = format!("{} KiB, {sessions} session(s), 10 lists", size / kib);
        bench.report.compared(&what, &figures, &targets);
    }
    drop((postfix, dovecot, ours));
    by_lists(bench, &sink);
    beside_mailman(bench);
}

/// The number of lists does not matter.
fn by_lists(bench: &mut Bench<'_>, sink: &CountingSink) {
    let most = if bench.effort.quick { 10_000 } else { 1_000_000 };
    for lists in [10_000, most].into_iter().take(if bench.effort.quick { 1 } else { 2 }) {
        let ours = receiver(lists);
        let sides = vec![us(bench, &ours, 10, 4096), to_sink(bench, sink, 10, 4096)];
        let figures = compare(bench.effort, 10, sides);
        bench.report.compared(
            &format!("4 KiB, 10 session(s), {} lists", crate::report::thousands(lists as f64)),
            &figures,
            &[("smtp-sink -L (no disk)", 0.5)],
        );
    }
}

/// Mailman is so much slower that it is measured for itself: the others would wait for it in each row.
fn beside_mailman(bench: &mut Bench<'_>) {
    let Some(mailman) = Mailman::taking(bench.peers) else {
        bench.report.note("Mailman is not there, so it was not measured.");
        return;
    };
    let ours = receiver(10);
    let theirs = Side::new("Mailman 3.3.10", |count| {
        let time = bench.peers.send(&Load::lmtp(mailman.lmtp_port, 10, count, 4096));
        assert_eq!(mailman.taken(), count, "each message is in its queue");
        mailman.forget_taken();
        time
    });
    let sides = vec![us(bench, &ours, 10, 4096), theirs];
    let figures = compare(bench.effort, 10, sides);
    bench.report.compared("4 KiB, 10 session(s), 10 lists", &figures, &[("Mailman 3.3.10", 30.0)]);
}

fn receiver(lists: usize) -> (Installation, Daemon) {
    let installation = sites::site(lists, 0, "incoming: null.NullMTA\n");
    installation.configure("[lmtp]\nmax_connections: 200\n");
    installation.run(DISCARD);
    let daemon = installation.serve();
    (installation, daemon)
}

fn us<'a>(bench: &Bench<'a>, ours: &'a (Installation, Daemon), sessions: usize, size: usize) -> Side<'a> {
    let peers = bench.peers;
    Side::new("Postrider", move |count| {
        // What an earlier run left must not be paid for by this one.
        sites::wait_until_empty(&ours.0);
        let before = sites::taken(&ours.0);
        let time = peers.send(&Load::lmtp(ours.0.lmtp_port, sessions, count, size));
        assert_eq!(sites::taken(&ours.0), before + count, "each message is in the spool");
        time
    })
}

fn to_sink<'a>(bench: &Bench<'a>, sink: &'a CountingSink, sessions: usize, size: usize) -> Side<'a> {
    let peers = bench.peers;
    Side::new("smtp-sink -L (no disk)", move |count| {
        let before = sink.messages();
        let time = peers.send(&Load::lmtp(sink.port, sessions, count, size));
        sink.wait_for(before, count);
        time
    })
}

fn to_postfix<'a>(bench: &Bench<'a>, postfix: &'a Postfix, sessions: usize, size: usize) -> Side<'a> {
    let peers = bench.peers;
    Side::new("Postfix", move |count| {
        let load = Load { lmtp: false, ..Load::lmtp(postfix.port, sessions, count, size) };
        let time = peers.send(&load);
        assert_eq!(postfix.held(), count, "each message is in its queue");
        postfix.forget_held();
        time
    })
}

fn to_dovecot<'a>(bench: &Bench<'a>, dovecot: &'a Dovecot, sessions: usize, size: usize) -> Side<'a> {
    let peers = bench.peers;
    Side::new("Dovecot", move |count| -> Duration {
        let time = peers.send(&Load::lmtp(dovecot.port, sessions, count, size));
        assert_eq!(dovecot.messages(), count, "each message is in the mailbox");
        dovecot.forget();
        time
    })
}
