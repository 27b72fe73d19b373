//! How long people wait: from the 250 of a post to its first and last recipient, and a small list behind a
//! huge one.

use crate::Bench;
use crate::compare::median;
use crate::peers::CountingSink;
use crate::sites;
use std::time::{Duration, Instant};

const SMALL: &str = "bees@lists.example.com";

/// All of it.
pub fn measure(bench: &mut Bench<'_>) {
    let huge = if bench.effort.quick { 10_000 } else { 100_000 };
    let huge_text = crate::report::thousands(huge as f64);
    bench.report.table("Latency, ms after the 250", &["post", "first recipient", "last recipient"]);
    for members in [10, 1_000, huge] {
        let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
        let ours = sites::site(1, members, "incoming: null.NullMTA\nmax_recipients: 100\n");
        let sink = CountingSink::smtp(bench.peers, ours.smtp_port);
        let _daemon = ours.serve();
        for number in 0..bench.effort.rounds {
            let before = sink.messages();
            sink.forget_first();
            let answered = sites::hand_in(&ours, sites::LIST, &format!("{number}"));
            sink.wait_for(before, members.div_ceil(100));
            lasts.push(answered.elapsed().as_secs_f64() * 1e3);
            firsts.push(sink.first().map_or(0.0, |at| at.saturating_duration_since(answered).as_secs_f64() * 1e3));
            sites::wait_until_empty(&ours);
        }
        bench.report.row(&[
            &format!("to {} members", crate::report::thousands(members as f64)),
            &format!("{:.1}", median(firsts)),
            &format!("{:.1}", median(lasts)),
        ]);
    }
    let waited: Vec<f64> = (0..bench.effort.rounds).map(|_| behind(bench, huge)).collect();
    bench.report.row(&[
        &format!("to 10 members, while a VERP post to {huge_text} goes out"),
        "",
        &format!("{:.1}", median(waited)),
    ]);
}

/// Until a post to ten has reached all of them, while one to many is under way.
fn behind(bench: &Bench<'_>, many: usize) -> f64 {
    let ours = sites::site(1, many, "incoming: null.NullMTA\nverp_delivery_interval: 1\n");
    ours.run(&["create", SMALL]);
    sites::add_members(&ours.data().join("postrider.db"), SMALL, 10);
    let sink = CountingSink::smtp(bench.peers, ours.smtp_port);
    let daemon = ours.serve();
    sites::hand_in(&ours, sites::LIST, "huge");
    sink.wait_for(0, many / 50);
    let answered = sites::hand_in(&ours, SMALL, "small");
    let done = loop {
        // The small one's own row says when its last recipient was done.
        let out = ours.json(&["queue", "--json"]);
        let left = out["out"].as_array().is_some_and(|all| all.iter().any(|one| one["list"] == SMALL));
        let arrived = out["in"].as_array().is_none_or(Vec::is_empty);
        if !left && arrived {
            break Instant::now();
        }
        assert!(answered.elapsed() < Duration::from_mins(10), "the small post does not get through");
    };
    assert!(sink.messages() < many, "the huge post was still under way");
    drop(daemon);
    done.duration_since(answered).as_secs_f64() * 1e3
}
