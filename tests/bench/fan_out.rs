//! Mail goes out: recipients a second, from posts that are handed in until the last recipient was counted at
//! the receiver.

use crate::Bench;
use crate::compare::{Figures, Side, compare};
use crate::forwarder::Forwarder;
use crate::peers::{CountingSink, Load, Mailman, Mlmmj, Postfix};
use crate::report::thousands;
use crate::sites;
use postrider_tests::installation::{Daemon, Installation};
use std::time::{Duration, Instant};

/// Recipients of one message where several share one: what everybody uses here.
const AT_ONCE: usize = 100;
/// smtp-source with the number of connections that suits it better.
const BEST: &str = "smtp-source, 4 or 16 connections";
/// One way of a network that is 20 ms away and back.
const ONE_WAY: Duration = Duration::from_millis(10);

/// How recipients are grouped.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bulk,
    Verp,
}

impl Kind {
    fn settings(self) -> &'static str {
        match self {
            Kind::Bulk => "max_recipients: 100\n",
            Kind::Verp => "verp_delivery_interval: 1\n",
        }
    }

    fn recipients(self) -> usize {
        match self {
            Kind::Bulk => AT_ONCE,
            Kind::Verp => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Bulk => "bulk, 100 a message",
            Kind::Verp => "VERP",
        }
    }

    fn target(self) -> f64 {
        match self {
            Kind::Bulk => 0.9,
            Kind::Verp => 0.8,
        }
    }
}

/// All of it.
pub fn measure(bench: &mut Bench<'_>) {
    bench.report.section("Fan-out", "recipients/s");
    let sizes: &[usize] = if bench.effort.quick { &[10_000] } else { &[1_000, 10_000, 100_000] };
    for kind in [Kind::Bulk, Kind::Verp] {
        for &members in sizes {
            into_sink(bench, kind, members);
        }
        far_away(bench, kind);
    }
    if bench.root {
        into_postfix(bench);
    }
    for kind in [Kind::Bulk, Kind::Verp] {
        beside_mailman(bench, kind);
    }
}

fn into_sink(bench: &mut Bench<'_>, kind: Kind, members: usize) {
    let ours = sender(members, kind.settings());
    let sink = CountingSink::smtp(bench.peers, ours.0.smtp_port);
    let mlmmj = Mlmmj::with_members(bench.peers, members, sink.port, kind.recipients());
    let mut sides = vec![us("Postrider", &ours, &sink, members, kind.recipients())];
    sides.extend([4, 16].map(|sessions| source(bench, &sink, sink.port, sessions, kind.recipients())));
    if members <= 10_000 {
        let sink = &sink;
        sides.push(Side::new("mlmmj", move |count| {
            let before = sink.messages();
            let start = Instant::now();
            for _ in 0..count / members {
                mlmmj.send();
            }
            sink.wait_for(before, count / kind.recipients());
            start.elapsed()
        }));
    }
    let figures = at_its_best(compare(bench.effort, members, sides));
    let what = format!("{}, {} members", kind.name(), thousands(members as f64));
    bench.report.compared(&what, &figures, &[(BEST, kind.target())]);
}

/// Of the two ways of smtp-source only the better one counts.
fn at_its_best(mut figures: Vec<Figures>) -> Vec<Figures> {
    let worse = if figures[1].median() < figures[2].median() { 1 } else { 2 };
    figures.remove(worse);
    BEST.clone_into(&mut figures[1].name);
    figures
}

/// The mail server is a network of 20 ms away: what counts is how few times one waits for it.
fn far_away(bench: &mut Bench<'_>, kind: Kind) {
    let members = if kind == Kind::Bulk { 10_000 } else { 1_000 };
    let ours = sender(members, kind.settings());
    let sink = CountingSink::smtp(bench.peers, postrider_tests::installation::free_port());
    let _network = Forwarder::start(ours.0.smtp_port, sink.port, ONE_WAY);
    let mut sides = vec![us("Postrider", &ours, &sink, members, kind.recipients())];
    sides.push(source(bench, &sink, ours.0.smtp_port, 4, kind.recipients()));
    let figures = compare(bench.effort, members, sides);
    let what = format!("{}, {} members, 20 ms away", kind.name(), thousands(members as f64));
    bench.report.compared(&what, &figures, &[("smtp-source, 4 connections", kind.target())]);
}

/// A real Postfix takes it: for VERP in whole batches (XVERP), beside bulk into the same one, and beside
/// smtp-source. Counted when Postfix has answered for all, which it does from its queue on disk.
fn into_postfix(bench: &mut Bench<'_>) {
    let members = 10_000;
    let postfix = Postfix::discarding(bench.peers);
    let to = |settings: &str| {
        let ours = sites::site(1, members, &format!("incoming: null.NullMTA\nmax_recipients: 100\n{settings}"));
        // The last one in the section wins nothing: it must be the only one.
        let text = std::fs::read_to_string(ours.config()).expect("configuration");
        let port = format!("smtp_port: {}\n", ours.smtp_port);
        std::fs::write(ours.config(), text.replace(&port, &format!("smtp_port: {}\n", postfix.port)))
            .expect("configuration");
        let daemon = ours.serve();
        (ours, daemon)
    };
    let (xverp, bulk) = (to("verp_delivery_interval: 1\n"), to(""));
    let posts = |ours: &(Installation, Daemon), count: usize| {
        let start = Instant::now();
        for number in 0..count / members {
            sites::hand_in(&ours.0, sites::LIST, &format!("{number}"));
        }
        sites::wait_until_empty(&ours.0);
        let time = start.elapsed();
        postfix.wait_until_empty();
        time
    };
    let source = Side::new("smtp-source, 4 connections", |count| {
        let load = Load::smtp(postfix.port, 4, count / AT_ONCE, AT_ONCE);
        let time = bench.peers.send(&load);
        postfix.wait_until_empty();
        time
    });
    let sides = vec![
        Side::new("Postrider, XVERP", |count| posts(&xverp, count)),
        Side::new("Postrider, bulk", |count| posts(&bulk, count)),
        source,
    ];
    let figures = compare(bench.effort, members, sides);
    bench.report.compared("XVERP into Postfix, 10,000 members, 100 a message", &figures, &[("Postrider, bulk", 0.9)]);
}

fn beside_mailman(bench: &mut Bench<'_>, kind: Kind) {
    let members = 1_000;
    let Some(mailman) = Mailman::distributing(bench.peers, members, kind == Kind::Verp) else { return };
    let ours = sender(members, kind.settings());
    let sink = CountingSink::smtp(bench.peers, ours.0.smtp_port);
    let theirs_at = CountingSink::smtp(bench.peers, mailman.smtp_port);
    let sides = vec![
        us("Postrider", &ours, &sink, members, kind.recipients()),
        Side::new("Mailman 3.3.10", |count| {
            let before = theirs_at.messages();
            let start = Instant::now();
            for number in 0..count / members {
                mailman.post(&format!("{number}.{before}"));
            }
            theirs_at.wait_for(before, count / kind.recipients());
            start.elapsed()
        }),
    ];
    let figures = compare(bench.effort, members, sides);
    bench.report.compared(&format!("{}, 1,000 members", kind.name()), &figures, &[("Mailman 3.3.10", 30.0)]);
}

fn sender(members: usize, settings: &str) -> (Installation, Daemon) {
    let installation = sites::site(1, members, &format!("incoming: null.NullMTA\n{settings}"));
    let daemon = installation.serve();
    (installation, daemon)
}

/// We post until the recipients are enough.
fn us<'a>(
    name: &str,
    ours: &'a (Installation, Daemon),
    sink: &'a CountingSink,
    members: usize,
    recipients: usize,
) -> Side<'a> {
    let mut number = 0;
    Side::new(name, move |count| {
        let before = sink.messages();
        let start = Instant::now();
        for _ in 0..count / members {
            number += 1;
            sites::hand_in(&ours.0, sites::LIST, &format!("{number}"));
        }
        sink.wait_for(before, count / members * members.div_ceil(recipients));
        let time = start.elapsed();
        sites::wait_until_empty(&ours.0);
        time
    })
}

fn source<'a>(bench: &Bench<'a>, sink: &'a CountingSink, port: u16, sessions: usize, recipients: usize) -> Side<'a> {
    let peers = bench.peers;
    Side::new(format!("smtp-source, {sessions} connections"), move |count| {
        let before = sink.messages();
        let start = Instant::now();
        peers.send(&Load::smtp(port, sessions, count.div_ceil(recipients), recipients));
        sink.wait_for(before, count.div_ceil(recipients));
        start.elapsed()
    })
}
