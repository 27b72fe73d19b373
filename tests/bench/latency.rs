//! How long people wait: from the 250 of a post to its first and last recipient, and a small list behind a
//! huge one.

use crate::Bench;
use crate::compare::median;
use crate::network::Network;
use crate::peers::{CountingSink, Watcher};
use crate::report::whole;
use crate::sites;
use postrider_tests::installation::wait_for;
use std::time::{Duration, Instant};

const SMALL: &str = "bees@lists.example.com";

/// All of it.
pub fn measure(bench: &mut Bench<'_>) {
    let huge = if bench.effort.quick { 10_000 } else { 100_000 };
    let huge_text = whole(huge);
    bench.report.table("Latency, ms after the 250", &["post", "first recipient", "last recipient"]);
    for members in [10, 1_000, huge] {
        let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
        let ours = sites::site(1, members, "incoming: null.NullMTA\nmax_recipients: 100\n");
        let sink = CountingSink::smtp(bench.peers, &Network::Near);
        sites::send_to(&ours, sink.at());
        let _daemon = ours.serve();
        for number in 0..bench.effort.rounds {
            let before = sink.messages();
            sink.forget_first();
            let answered = sites::hand_in(&ours, sites::LIST, &format!("{number}"));
            let last = sink.wait_for(before, members.div_ceil(100));
            lasts.push(after(answered, last));
            firsts.push(after(answered, sink.first().expect("the first one")));
            sites::wait_until_empty(&ours);
        }
        bench.report.row(&[
            &format!("to {} members", whole(members)),
            &format!("{:.1}", median(firsts)),
            &format!("{:.1}", median(lasts)),
        ]);
    }
    let (alone, behind): (Vec<_>, Vec<_>) =
        (0..bench.effort.rounds).map(|_| (small(huge, false), small(huge, true))).unzip();
    for (what, waited) in [("alone", alone), (&format!("while a VERP post to {huge_text} goes out"), behind)] {
        let (firsts, lasts): (Vec<f64>, Vec<f64>) = waited.into_iter().unzip();
        bench.report.row(&[
            &format!("to 10 members, VERP, {what}"),
            &format!("{:.1}", median(firsts)),
            &format!("{:.1}", median(lasts)),
        ]);
    }
}

fn after(start: Instant, at: Instant) -> f64 {
    at.saturating_duration_since(start).as_secs_f64() * 1e3
}

/// Until a post to ten has reached the first and all of them; if wished, while one to many is under way.
fn small(many: usize, behind: bool) -> (f64, f64) {
    let ours = sites::site(1, many, "incoming: null.NullMTA\nverp_delivery_interval: 1\n");
    ours.run(&["create", SMALL]);
    sites::add_members(&ours.data().join("postrider.db"), SMALL, 10);
    let watcher = Watcher::start("bees-");
    sites::send_to(&ours, ("127.0.0.1", watcher.port));
    let daemon = ours.serve();
    if behind {
        sites::hand_in(&ours, sites::LIST, "huge");
        wait_for("the huge post's first recipients", Duration::from_mins(1), || {
            (watcher.messages() >= many / 50).then_some(())
        });
    }
    let answered = sites::hand_in(&ours, SMALL, "small");
    let (first, last) = watcher.wait_for(10, Duration::from_mins(10));
    assert!(!behind || watcher.messages() < many, "the huge post was still under way");
    drop(daemon);
    (after(answered, first), after(answered, last))
}
