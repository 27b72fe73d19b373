//! Mail goes out: recipients a second, from posts that are handed in until the last recipient was counted at
//! the receiver.

use crate::Bench;
use crate::compare::{Side, compare};
use crate::network::Network;
use crate::peers::{CountingSink, Load, Mailman, Mlmmj, Postfix};
use crate::report::whole;
use crate::sites;
use postrider_tests::installation::{Daemon, Installation};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Recipients of one message where several share one: what everybody uses here.
const AT_ONCE: usize = 100;
/// One way of a network that is 20 ms away and back.
const ONE_WAY: Duration = Duration::from_millis(10);
/// Connections of ours by default, of smtp-source, and of what we hand in.
const CONNECTIONS: usize = 4;
const MAILMAN: &str = "Mailman 3.3.10";
const OWN: &str = "Postrider, a copy of their own";
/// Mailman takes minutes for more.
const MAILMAN_AT_MOST: usize = 10_000;

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

    /// mlmmj sends the text and the dot that ends it apart, and so waits 40 ms with each message for an
    /// acknowledgement that the system delays: with VERP a thousand members are a minute. `None`: minutes.
    fn members_of_mlmmj(self, members: usize) -> Option<usize> {
        match self {
            Kind::Bulk => (members <= 10_000).then_some(members),
            Kind::Verp => (members <= 1_000).then_some(self.few_members()),
        }
    }

    /// How many we send to when the server is far away.
    fn far_members(self) -> usize {
        match self {
            Kind::Bulk => 10_000,
            Kind::Verp => 1_000,
        }
    }

    /// The same for those who wait for each reply of one connection: about ten seconds of waiting.
    fn few_members(self) -> usize {
        match self {
            Kind::Bulk => 300,
            Kind::Verp => 50,
        }
    }
}

/// Into a sink on this machine.
pub fn measure(bench: &mut Bench<'_>) {
    bench.report.section("Fan-out", "recipients/s");
    for kind in [Kind::Bulk, Kind::Verp] {
        for &members in sizes(bench) {
            into_sink(bench, kind, members);
        }
    }
    personalised(bench, 10_000);
    bench.report.note(
        "Left out of the fan-out, because one run takes minutes: Mailman with more than 10,000 members, mlmmj with \
         100,000, and mlmmj's VERP with 10,000. With VERP, and where the server is 20 ms away, mlmmj sends to fewer members than we \
         do, and so does Mailman where the server is 20 ms away: they wait for each reply, on one connection, and the name in the \
         row says to how many they send. None of their figures is extrapolated.",
    );
}

/// Into a sink that is 20 ms away.
pub fn measure_far(bench: &mut Bench<'_>) {
    bench.report.section("Fan-out, the server 20 ms away", "recipients/s");
    let far = far(bench);
    for kind in [Kind::Bulk, Kind::Verp] {
        far_away(bench, kind, &far);
    }
}

/// Into Postfix, by XVERP.
pub fn measure_xverp(bench: &mut Bench<'_>) {
    if !bench.root {
        return;
    }
    bench.report.section("XVERP into Postfix", "recipients/s");
    for &members in sizes(bench) {
        into_postfix(bench, members, &Network::Near);
    }
    let far = far(bench);
    into_postfix(bench, 10_000, &far);
}

fn sizes(bench: &Bench<'_>) -> &'static [usize] {
    if bench.effort.quick { &[1_000, 10_000] } else { &[1_000, 10_000, 100_000] }
}

fn far(bench: &mut Bench<'_>) -> Network {
    let (far, why) = Network::far(ONE_WAY, bench.root);
    if let Some(why) = why {
        bench.report.note(&format!(
            "**The server that is 20 ms away was on the loopback interface behind a forwarder of connections, not in a \
             network namespace** ({why}). Postrider takes such a server for a near one, and the system acknowledges at once.",
        ));
    }
    far
}

/// What stands beside us, and the ratio that is wanted.
type Target = (String, f64);

fn into_sink(bench: &mut Bench<'_>, kind: Kind, members: usize) {
    let near = Network::Near;
    let sink = CountingSink::smtp(bench.peers, &near);
    let ours = sender(members, kind.settings(), sink.at());
    let theirs = kind.members_of_mlmmj(members);
    let mlmmj = theirs.map(|theirs| Mlmmj::with_members(bench.peers, theirs, sink.at(), kind.recipients()));
    let mailmans = CountingSink::smtp(bench.peers, &near);
    let mailman = (members <= MAILMAN_AT_MOST)
        .then(|| Mailman::distributing(bench.peers, members, mailmans.at(), kind == Kind::Verp))
        .flatten();

    let sessions = better_of(bench, &sink, kind, [4, 16]);
    let source_name = format!("smtp-source, {sessions} connections (the better of 4 and 16)");
    let mut sides = vec![us(bench, &ours, &sink, members, kind.recipients())];
    sides.push(source(bench, &source_name, &sink, sessions, kind.recipients()));
    let mut targets = vec![(source_name, kind.target())];

    sides.extend(mlmmj.as_ref().zip(theirs).map(|(mlmmj, theirs)| {
        let name = if theirs == members { "mlmmj".into() } else { format!("mlmmj, {theirs} members") };
        one_by_one(&name, &sink, theirs, kind, |_| mlmmj.send()).in_steps_of(theirs)
    }));

    sides.extend(mailman.as_ref().map(|mailman| {
        targets.push((MAILMAN.into(), 30.0));
        // Its runners sleep for a second where they find nothing: one post alone would measure that.
        let posts = (MAILMAN_AT_MOST / members).max(1);
        one_by_one(MAILMAN, &mailmans, members, kind, |id| mailman.post(id)).in_steps_of(members * posts)
    }));
    finish(bench, &format!("{}, {} members", kind.name(), whole(members)), members, sides, &targets);
}

/// Each member's copy has a To and a footer of his own: spliced while it is sent, like VERP's senders, and as fast.
fn personalised(bench: &mut Bench<'_>, members: usize) {
    let sink = CountingSink::smtp(bench.peers, &Network::Near);
    let with = |more: &[&str]| {
        let ours = site_to(members, "verp_delivery_interval: 1\n", sink.at());
        if !more.is_empty() {
            ours.run(&[&["set", sites::LIST], more].concat());
        }
        let daemon = ours.serve();
        (ours, daemon)
    };
    let own = with(&["personalize=full", "footer=Sent to ${user_email}"]);
    let same = with(&[]);
    let sides = vec![
        us(bench, &own, &sink, members, 1).named(OWN),
        us(bench, &same, &sink, members, 1).named("Postrider, VERP"),
    ];
    let what = format!("personalised with VERP, {} members", whole(members));
    finish(bench, &what, members, sides, &[("Postrider, VERP".into(), 0.9)]);
}

/// The mail server is a network of 20 ms away: what counts is how few times one waits for it. We and smtp-source
/// have as many connections as each other.
fn far_away(bench: &mut Bench<'_>, kind: Kind, far: &Network) {
    let (members, few) = (kind.far_members(), kind.few_members());
    let sink = CountingSink::smtp(bench.peers, far);
    let ours = sender(members, kind.settings(), sink.at());
    let mlmmj = Mlmmj::with_members(bench.peers, few, sink.at(), kind.recipients());
    let theirs = CountingSink::smtp(bench.peers, far);
    let mailman = Mailman::distributing(bench.peers, few, theirs.at(), kind == Kind::Verp);
    let source_name = format!("smtp-source, {CONNECTIONS} connections, as we");
    let mut sides = vec![us(bench, &ours, &sink, members, kind.recipients())];
    // It waits for each reply, too, but on several connections, and for no list.
    let step = if kind == Kind::Bulk { 1_200 } else { 280 };
    sides.push(source(bench, &source_name, &sink, CONNECTIONS, kind.recipients()).in_steps_of(step));
    let name = format!("mlmmj, {few} members");
    sides.push(one_by_one(&name, &sink, few, kind, |_| mlmmj.send()).in_steps_of(few));
    let mut targets = vec![(source_name, kind.target())];
    sides.extend(mailman.as_ref().map(|mailman| {
        let name = format!("{MAILMAN}, {few} members");
        targets.push((name.clone(), 30.0));
        one_by_one(&name, &theirs, few, kind, |id| mailman.post(id)).in_steps_of(few)
    }));
    let what = format!("{}, {} members, 20 ms away", kind.name(), whole(members));
    finish(bench, &what, members, sides, &targets);
}

fn finish(bench: &mut Bench<'_>, what: &str, step: usize, sides: Vec<Side<'_>>, targets: &[Target]) {
    let figures = compare(bench.effort, step, sides);
    let targets: Vec<(&str, f64)> = targets.iter().map(|(name, target)| (name.as_str(), *target)).collect();
    bench.report.compared(what, &figures, &targets);
}

/// A real Postfix takes it and holds it in its queue, where it is counted: for VERP in whole batches (XVERP), beside
/// bulk into the same one, and beside smtp-source. A run ends when Postfix has answered for all.
fn into_postfix(bench: &mut Bench<'_>, members: usize, network: &Network) {
    let postfix = Postfix::holding(bench.peers, network);
    let to = |settings: &str| sender(members, &format!("max_recipients: 100\n{settings}"), postfix.at());
    let (xverp, bulk) = (to("verp_delivery_interval: 1\n"), to(""));
    let peers = bench.peers;
    let number = Cell::new(0);
    let posts = |ours: &(Installation, Daemon), count: usize, verp: bool| {
        let start = Instant::now();
        for _ in 0..count / members {
            number.set(number.get() + 1);
            sites::hand_in(&ours.0, sites::LIST, &number.get().to_string());
        }
        sites::wait_until_empty(&ours.0);
        let time = start.elapsed();
        let messages = count / members * members.div_ceil(AT_ONCE);
        let expected = (count, if verp { messages } else { 0 });
        assert_eq!((postfix.held(), postfix.held_recipients()), (messages, expected), "all is in Postfix's queue");
        postfix.forget_held();
        time
    };
    let source = Side::new("smtp-source, 4 connections", |count| {
        let time = peers.send(&Load::smtp(postfix.at(), CONNECTIONS, count / AT_ONCE, AT_ONCE));
        assert_eq!(postfix.held(), count / AT_ONCE, "all is in Postfix's queue");
        postfix.forget_held();
        time
    });
    // It has no list, and where the server is far away it waits for each reply.
    let source = source.in_steps_of(if matches!(network, Network::Near) { 10_000 } else { CONNECTIONS * AT_ONCE * 2 });
    let mut sides = vec![
        Side::new("Postrider, XVERP", |count| posts(&xverp, count, true)),
        Side::new("Postrider, bulk", |count| posts(&bulk, count, false)),
    ];
    // It knows nothing of lists, so once is enough.
    if members == 10_000 {
        sides.push(source);
    }
    let away = if matches!(network, Network::Near) { "" } else { ", 20 ms away" };
    let figures = compare(bench.effort, members, sides);
    let what = format!("XVERP into Postfix, {} members{away}, 100 a message", whole(members));
    bench.report.compared(&what, &figures, &[("Postrider, bulk", 0.9)]);
}

fn site_to(members: usize, settings: &str, to: (&str, u16)) -> Installation {
    let installation = sites::site(1, members, &format!("incoming: null.NullMTA\n{settings}"));
    sites::send_to(&installation, to);
    installation
}

fn sender(members: usize, settings: &str, to: (&str, u16)) -> (Installation, Daemon) {
    let installation = site_to(members, settings, to);
    let daemon = installation.serve();
    (installation, daemon)
}

/// We post until the recipients are enough.
fn us<'a>(
    bench: &Bench<'a>,
    ours: &'a (Installation, Daemon),
    sink: &'a CountingSink,
    members: usize,
    recipients: usize,
) -> Side<'a> {
    let peers = bench.peers;
    Side::new("Postrider", move |count| {
        let (before, posts) = (sink.messages(), count / members);
        let start = Instant::now();
        let load = Load { sender: sites::MEMBER, ..Load::lmtp(ours.0.lmtp_port, CONNECTIONS.min(posts), posts, 4096) };
        peers.send(&load);
        let time = sink.wait_for(before, posts * members.div_ceil(recipients)).duration_since(start);
        sites::wait_until_empty(&ours.0);
        assert_eq!(sink.messages(), before + posts * members.div_ceil(recipients), "nothing is sent twice");
        time
    })
}

/// One that is given post after post.
fn one_by_one<'a>(
    name: &str,
    sink: &'a CountingSink,
    members: usize,
    kind: Kind,
    send: impl Fn(&str) + 'a,
) -> Side<'a> {
    let mut number = 0;
    Side::new(name, move |count| {
        let before = sink.messages();
        let start = Instant::now();
        for _ in 0..count / members {
            number += 1;
            send(&number.to_string());
        }
        sink.wait_for(before, count / members * members.div_ceil(kind.recipients())).duration_since(start)
    })
}

fn source<'a>(bench: &Bench<'a>, name: &str, sink: &'a CountingSink, sessions: usize, recipients: usize) -> Side<'a> {
    let peers = bench.peers;
    Side::new(name, move |count| {
        let before = sink.messages();
        let start = Instant::now();
        peers.send(&Load::smtp(sink.at(), sessions, count.div_ceil(recipients), recipients));
        sink.wait_for(before, count.div_ceil(recipients)).duration_since(start)
    })
}

/// With how many connections smtp-source is faster: the best of two short runs each.
fn better_of(bench: &Bench<'_>, sink: &CountingSink, kind: Kind, sessions: [usize; 2]) -> usize {
    let mut best = (Duration::MAX, 0);
    for sessions in [sessions, sessions].concat() {
        let messages = if kind == Kind::Bulk { 500 } else { 5_000 };
        let before = sink.messages();
        let time = bench.peers.send(&Load::smtp(sink.at(), sessions, messages, kind.recipients()));
        sink.wait_for(before, messages);
        best = best.min((time, sessions));
    }
    best.1
}
