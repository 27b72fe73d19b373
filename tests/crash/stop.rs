//! SIGTERM in the middle of everything: nothing is lost, and nothing at all is doubled.

use super::random::{self, Random};
use super::siege::Siege;
use std::time::{Duration, Instant};

/// A transaction that runs takes at most a few times [`SLOW`].
const SOON_ENOUGH: Duration = Duration::from_secs(10);
const SLOW: Duration = Duration::from_millis(150);

#[test]
fn sigterm_in_mid_fan_out_to_a_slow_server_loses_and_doubles_nothing() {
    let seed = random::seed();
    let siege = Siege {
        title: "SIGTERM under load, a slow mail server",
        seed,
        kills: 0,
        faulty: false,
        slow: Some(SLOW),
        backlog: 300,
    };
    siege.lay_while(|installation, _, _| {
        let mut random = Random::new(seed, 3);
        for _ in 0..8 {
            let daemon = installation.serve();
            std::thread::sleep(Duration::from_millis(100) + random.shorter_than(Duration::from_millis(700)));
            let asked = Instant::now();
            daemon.stop();
            assert!(asked.elapsed() < SOON_ENOUGH, "stopped after {:?}", asked.elapsed());
        }
        // No kills: whatever came twice is wrong.
        Vec::new()
    });
}
