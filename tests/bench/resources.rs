//! What it costs the machine: memory, processor, wake-ups, disk.

use crate::Bench;
use crate::network::Network;
use crate::peers::CountingSink;
use crate::report::whole;
use crate::sites::{self, memory};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// So long an idle daemon is watched.
const IDLE: Duration = Duration::from_secs(30);

/// All of it.
pub fn measure(bench: &mut Bench<'_>) {
    bench.report.table("Resources", &["what", "measured", "target"]);
    idle(bench);
    work(bench);
}

fn idle(bench: &mut Bench<'_>) {
    let ours = sites::site(10, 10, "incoming: postfix.LMTP\nconfiguration: $DIR/postfix.cfg\n");
    let start = Instant::now();
    let daemon = ours.serve();
    let ready = start.elapsed();
    // A worker of a plugin is idle for a minute before it ends; a thread of the pool for ten seconds.
    std::thread::sleep(if bench.effort.quick { Duration::from_secs(12) } else { Duration::from_secs(70) });
    let before = sites::sleeps(&daemon);
    std::thread::sleep(IDLE);
    let after = sites::sleeps(&daemon);
    let per_minute = |times: u64| times as f64 * 60.0 / IDLE.as_secs_f64();
    let mut who: BTreeMap<&str, u64> = BTreeMap::new();
    for (thread, (name, times)) in &after {
        *who.entry(name).or_default() += times - before.get(thread).map_or(0, |(_, times)| *times);
    }
    who.retain(|_, times| *times > 0);
    let woken = per_minute(who.values().sum());
    let who: Vec<String> = who.iter().map(|(name, times)| format!("{name} {:.0}", per_minute(*times))).collect();
    let resident = memory(daemon.pid().cast_unsigned(), "VmRSS");
    let report = &mut bench.report;
    report.row(&["start to LMTP ready", &format!("{} ms", ready.as_millis()), ""]);
    report.at_most("idle RSS", resident, " MiB", 20.0);
    // Nothing polls: what is left is the system's own.
    report.at_most("wake-ups a minute, idle", woken, "", 2.0);
    if !who.is_empty() {
        report.row(&["of these, by thread", &who.join(", "), ""]);
    }
}

/// Processor time for a million recipients, memory at the peak, and what the queue leaves on disk.
fn work(bench: &mut Bench<'_>) {
    let members = if bench.effort.quick { 10_000 } else { 100_000 };
    for (what, settings, recipients) in
        [("bulk", "max_recipients: 100\n", 100), ("VERP", "verp_delivery_interval: 1\n", 1)]
    {
        let ours = sites::site(1, members, &format!("incoming: null.NullMTA\n{settings}"));
        let sink = CountingSink::smtp(bench.peers, &Network::Near);
        sites::send_to(&ours, sink.at());
        let daemon = ours.serve();
        let begun = sites::cpu(&daemon);
        let spool =
            |name: &str| fs::metadata(ours.data().join(name)).map_or(0, |file| file.len()) as f64 / f64::from(1 << 20);
        sites::hand_in(&ours, sites::LIST, what);
        let mut largest: (f64, f64) = (0.0, 0.0);
        while sink.messages() < members / recipients {
            largest = (largest.0.max(spool("spool.db")), largest.1.max(spool("spool.db-wal")));
            std::thread::sleep(Duration::from_millis(20));
        }
        sites::wait_until_empty(&ours);
        let used = (sites::cpu(&daemon) - begun) * 1e6 / members as f64;
        let pid = daemon.pid().cast_unsigned();
        let report = &mut bench.report;
        let to = format!("{what}, {} members", whole(members));
        report.row(&[&format!("{to}: processor, s for a million recipients"), &format!("{used:.1}"), ""]);
        report.row(&[&format!("{to}: peak RSS"), &format!("{:.1} MiB", memory(pid, "VmHWM")), ""]);
        // Room is given back step by step, while there is nothing else to do.
        std::thread::sleep(Duration::from_secs(2));
        let (database, journal) = (spool("spool.db"), spool("spool.db-wal"));
        report.row(&[
            &format!("{to}: spool.db and its journal at the largest; afterwards"),
            &format!("{:.1} + {:.1} MiB; {database:.1} + {journal:.1} MiB", largest.0, largest.1),
            "",
        ]);
        daemon.stop();
        report.row(&[
            &format!("{to}: the same, daemon stopped"),
            &format!("{:.1} + {:.1} MiB", spool("spool.db"), spool("spool.db-wal")),
            "",
        ]);
    }
}
