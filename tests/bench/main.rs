//! `make bench`: Postrider beside smtp-sink and smtp-source, in one run.
//!
//! Each figure is the median of some rounds in which the sides take turns. What was sent is counted at
//! the receiver, not at the sender.

mod isolation;
mod peers;
mod publication;

use peers::{CountingSink, Peers};
use postrider::{
    config::{Config, DatabaseUrl},
    lists::{EmailAddress, ListAddress, ListSettings, Member, NewList, Role},
    store::Store,
};
use postrider_tests::installation::{Daemon, Installation, wait_for};
use std::{
    fs,
    time::{Duration, Instant},
};

const LONG: Duration = Duration::from_mins(10);
const LIST: &str = "ants@lists.example.com";

fn main() {
    let mut args = std::env::args().skip(1);
    let peers =
        Peers::unpacked_at(args.next().expect("directory of the unpacked Postfix package; use tests/bench/run"));
    let rounds = args.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    if std::env::args().any(|arg| arg == "isolation") {
        return isolation::measure();
    }
    if std::env::args().any(|arg| arg == "publication") {
        return publication::measure(&peers);
    }
    println!("| what | Postrider | beside it | ratio |\n|---|---|---|---|");
    for lists in [10, 10_000] {
        for sessions in [1, 10] {
            intake(&peers, lists, sessions, rounds);
        }
    }
    fan_out(&peers, rounds);
    idle();
    publication::measure(&peers);
    isolation::measure();
}

/// LMTP messages of 4 KiB a second, answered 250 (on disk), beside `smtp-sink -L` (no disk).
fn intake(peers: &Peers, lists: usize, sessions: usize, rounds: usize) {
    let installation = with_lists(lists, 0);
    // What is measured is the way to the disk, not what is done with posts afterwards.
    installation.run(&["set", LIST, "nonmember_action=discard", "max_message_size=0"]);
    let _daemon = installation.serve();
    let sink = CountingSink::lmtp(peers);
    let messages = if sessions == 1 { 2_000 } else { 10_000 };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(rate(messages, peers.send_lmtp(installation.lmtp_port, sessions, messages, LIST)));
        let before = sink.messages();
        theirs.push(rate(messages, peers.send_lmtp(sink.port, sessions, messages, LIST)));
        wait_for("the sink's count", LONG, || (sink.messages() >= before + messages).then_some(()));
    }
    row(
        &format!("LMTP in, messages/s, 4 KiB, {sessions} session(s), {lists} lists"),
        median(ours),
        "smtp-sink -L",
        median(theirs),
    );
}

/// Recipients a second from one post to 10,000 members, beside `smtp-source` into the same sink.
fn fan_out(peers: &Peers, rounds: usize) {
    const MEMBERS: usize = 10_000;
    for (what, mta, per_message) in
        [("bulk, 100 a message", "max_recipients: 100\n", 100), ("VERP", "verp_delivery_interval: 1\n", 1)]
    {
        let installation = with_lists_and(10, MEMBERS, mta);
        let sink = CountingSink::smtp(peers, installation.smtp_port);
        let _daemon = installation.serve();
        let expected = MEMBERS / per_message;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let before = sink.messages();
            let post = format!(
                "From: m0@example.org\nTo: {LIST}\nSubject: x\nMessage-ID: <{round}@example.org>\n\n{}",
                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n".repeat(60)
            );
            let start = Instant::now();
            installation.deliver("m0@example.org", &[LIST], &post);
            wait_for("the last recipient", LONG, || (sink.messages() >= before + expected).then_some(()));
            ours.push(rate(MEMBERS, start.elapsed()));
            let before = sink.messages();
            let start = Instant::now();
            peers.send_smtp(sink.port, 4, expected, per_message);
            wait_for("the last recipient", LONG, || (sink.messages() >= before + expected).then_some(()));
            theirs.push(rate(MEMBERS, start.elapsed()));
        }
        row(
            &format!("fan-out to {MEMBERS} members, {what}, recipients/s"),
            median(ours),
            "smtp-source -d -s 4",
            median(theirs),
        );
    }
}

/// Memory of an idle daemon, and the time from start to LMTP ready.
fn idle() {
    let installation = with_lists(10, 10);
    let start = Instant::now();
    let daemon = installation.serve();
    let ready = start.elapsed();
    std::thread::sleep(Duration::from_secs(1));
    println!("| start to LMTP ready | {} ms | | |", ready.as_millis());
    println!("| idle RSS | {:.1} MiB | | |", resident(&daemon));
}

/// Resident memory in MiB.
fn resident(daemon: &Daemon) -> f64 {
    resident_of(daemon.pid().cast_unsigned(), "VmRSS")
}

/// A line of the status of a process, in MiB.
fn resident_of(process: u32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("/proc");
    let line = status.lines().find(|line| line.starts_with(key)).expect("a line");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number");
    kib / 1024.0
}

fn with_lists(lists: usize, members: usize) -> Installation {
    with_lists_and(lists, members, "")
}

/// An installation with this many lists; the first is [`LIST`] and has this many members. Made through
/// the library: one process per list would measure processes.
fn with_lists_and(lists: usize, members: usize, mta: &str) -> Installation {
    let installation =
        Installation::with_mta(&format!("incoming: postfix.LMTP\nconfiguration: $DIR/postfix.cfg\n{mta}"));
    installation.run(&["create", LIST]);
    let config = Config::load(Some(&installation.config())).expect("configuration").config;
    let DatabaseUrl::Sqlite(_) = &config.database;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let store = Store::open(&config.database).await.expect("store");
        for number in 1..lists {
            let address = ListAddress::parse(&format!("list{number}@lists.example.com")).expect("address");
            let new = NewList { settings: ListSettings::defaults_for(&address), address };
            store.create_list(&new, true).await.expect("list");
        }
        let list = store.find_list(LIST).await.expect("list");
        let people: Vec<_> = (0..members)
            .map(|number| EmailAddress::parse(&format!("m{number}@example.org")).expect("address"))
            .map(|address| Member::new(address, Role::Member))
            .collect();
        store.add_members(list.id, &people).await.expect("members");
        store.close().await;
    });
    installation
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn row(what: &str, ours: f64, peer: &str, theirs: f64) {
    println!("| {what} | {ours:.0} | {theirs:.0} ({peer}) | {:.2} |", ours / theirs);
}
