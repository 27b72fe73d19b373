//! Mail comes in: messages a second that are answered 250, and so on disk.

use crate::Bench;
use crate::compare::{Side, compare};
use crate::network::Network;
use crate::peers::{CountingSink, Dovecot, Load, Mailman, Postfix};
use crate::report::whole;
use crate::sites::{self, LIST};
use postrider_tests::installation::{Daemon, Installation};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

/// What is measured is the way to the disk, not what is done with posts afterwards; Mailman and we both throw
/// away what strangers post.
const DISCARD: &[&str] = &["set", LIST, "nonmember_action=discard", "max_message_size=0"];

const KIB: usize = 1024;
const SINK: &str = "smtp-sink -L (no disk)";
/// What no server that promises durability can do better for one session, or with large messages.
const DISK: &str = "the disk alone (a write and a sync for each)";
/// From so many octets on each gets a file of its own there, as with Postfix and with us.
const LARGE: usize = 256 * KIB;
/// The file that is written over and over for that, in octets, as a write-ahead log is.
const RING: usize = 16 << 20;
const MAILMAN: &str = "Mailman 3.3.10";

/// The peers that are there.
struct Others {
    sink: CountingSink,
    postfix: Option<Postfix>,
    dovecot: Option<Dovecot>,
    mailman: Option<Mailman>,
}

/// All of it.
pub fn measure(bench: &mut Bench<'_>) {
    bench.report.section("LMTP intake", "messages/s");
    let cells: &[(usize, usize)] = if bench.effort.quick {
        &[(4, 1), (4, 10), (1024, 10)]
    } else {
        &[(4, 1), (4, 10), (4, 100), (64, 1), (64, 10), (64, 100), (1024, 1), (1024, 10), (1024, 100)]
    };
    let ours = receiver(10);
    let others = Others {
        sink: CountingSink::lmtp(bench.peers),
        postfix: bench.root.then(|| Postfix::holding(bench.peers, &Network::Near)),
        dovecot: bench.root.then(|| Dovecot::start(bench.peers)),
        mailman: Mailman::taking(bench.peers),
    };
    if others.mailman.is_none() {
        bench.report.note("Mailman is not there, so it was not measured.");
    }
    for &(kib, sessions) in cells {
        cell(bench, &ours, &others, kib, sessions);
    }
    drop(ours);
    by_lists(bench, &others.sink);
    bench.report.note(
        "Left out of the intake, for the time that it takes: Dovecot and Mailman with other than 10 sessions, smtp-sink with \
         other than 10 sessions and messages larger than 4 KiB, and the number of lists with other than 10 sessions and 4 KiB (a list \
         is looked up once for each RCPT, whatever follows).",
    );
}

/// One size and one number of sessions.
fn cell(bench: &mut Bench<'_>, ours: &(Installation, Daemon), others: &Others, kib: usize, sessions: usize) {
    let size = kib * KIB;
    let mut sides = vec![us(bench, "Postrider", ours, sessions, size)];
    if kib == 4 || sessions == 10 {
        sides.push(to_sink(bench, &others.sink, sessions, size));
    }
    sides.extend(others.postfix.as_ref().map(|peer| to_postfix(bench, peer, sessions, size)));
    if sessions == 1 || size > LARGE {
        sides.push(to_disk(&ours.0, size, sessions));
    }
    if sessions == 10 {
        sides.extend(others.dovecot.as_ref().map(|peer| to_dovecot(bench, peer, sessions, size)));
        sides.extend(others.mailman.as_ref().map(|peer| to_mailman(bench, peer, sessions, size)));
    }
    let figures = compare(bench.effort, sessions.max(10), sides);
    let sink_target = (kib == 4 && sessions >= 10).then_some((SINK, 0.5));
    let targets: Vec<_> = [("Postfix", 4.0), (MAILMAN, 30.0)].into_iter().chain(sink_target).collect();
    let what = format!("{kib} KiB, {sessions} session{}, 10 lists", if sessions == 1 { "" } else { "s" });
    bench.report.compared(&what, &figures, &targets);
}

/// The number of lists does not matter.
fn by_lists(bench: &mut Bench<'_>, sink: &CountingSink) {
    let sizes = if bench.effort.quick { [1_000, 10_000, 10] } else { [10_000, 1_000_000, 10] };
    let ours = sizes.map(receiver);
    let names = sizes.map(|lists| format!("Postrider, {} lists", whole(lists)));
    let [some, many, few] = [0, 1, 2].map(|at: usize| us(bench, &names[at], &ours[at], 10, 4 * KIB));
    let figures = compare(bench.effort, 10, vec![many, some, few, to_sink(bench, sink, 10, 4 * KIB)]);
    let [many, some, few, sink] = <[_; 4]>::try_from(figures).expect("four sides");
    for (lists, side) in [(sizes[1], many), (sizes[0], some)] {
        let what = format!("4 KiB, 10 sessions, {} lists", whole(lists));
        let figures = [side, few.clone(), sink.clone()];
        bench.report.compared(&what, &figures, &[(&names[2], 0.9), (SINK, 0.5)]);
    }
}

fn receiver(lists: usize) -> (Installation, Daemon) {
    let installation = sites::site(lists, 0, "incoming: null.NullMTA\n");
    installation.configure("[lmtp]\nmax_connections: 200\n");
    installation.run(DISCARD);
    let daemon = installation.serve();
    (installation, daemon)
}

fn us<'a>(bench: &Bench<'a>, name: &str, ours: &'a (Installation, Daemon), sessions: usize, size: usize) -> Side<'a> {
    let peers = bench.peers;
    Side::new(name, move |count| {
        let before = sites::taken(&ours.0);
        let time = peers.send(&Load::lmtp(ours.0.lmtp_port, sessions, count, size));
        assert_eq!(sites::taken(&ours.0), before + count, "each message is in the spool");
        // What is still to be done with them must not be paid for by the next, whoever it is.
        sites::wait_until_empty(&ours.0);
        time
    })
}

fn to_sink<'a>(bench: &Bench<'a>, sink: &'a CountingSink, sessions: usize, size: usize) -> Side<'a> {
    let peers = bench.peers;
    Side::new(SINK, move |count| {
        let before = sink.messages();
        let time = peers.send(&Load::lmtp(sink.port, sessions, count, size));
        sink.wait_for(before, count);
        time
    })
}

/// As many at a time as there are sessions.
fn to_disk(ours: &Installation, size: usize, sessions: usize) -> Side<'static> {
    let path = ours.config().with_file_name("disk-alone");
    std::fs::write(&path, vec![0; RING]).expect("room");
    let ring = File::options().write(true).open(&path).expect("it was just made");
    ring.sync_all().expect("synced");
    let message = vec![b'x'; size];
    Side::new(DISK, move |count| {
        let store = |number: usize| {
            if size <= LARGE {
                ring.write_all_at(&message, (number * size % RING) as u64).expect("written");
                return ring.sync_data().expect("synced");
            }
            let own = path.with_extension(number.to_string());
            let mut file = File::create_new(&own).expect("room");
            file.write_all(&message).expect("written");
            file.sync_all().expect("synced");
            std::fs::remove_file(own).expect("removed");
        };
        let start = Instant::now();
        std::thread::scope(|threads| {
            for session in 0..sessions {
                threads.spawn(move || (session..count).step_by(sessions).for_each(store));
            }
        });
        start.elapsed()
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

fn to_mailman<'a>(bench: &Bench<'a>, mailman: &'a Mailman, sessions: usize, size: usize) -> Side<'a> {
    let peers = bench.peers;
    Side::new(MAILMAN, move |count| {
        let time = peers.send(&Load::lmtp(mailman.lmtp_port, sessions, count, size));
        assert_eq!(mailman.taken(), count, "each message is in its queue");
        mailman.forget_taken();
        time
    })
}
