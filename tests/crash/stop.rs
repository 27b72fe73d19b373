//! SIGTERM in the middle of everything: nothing is lost, and nothing at all is doubled.

use super::random::{self, Random};
use super::siege::Siege;
use postrider::deliver::sink::{Answer, Script, Step};
use postrider_tests::site::{ANTS, MEMBERS, Server, ants, post, wait_until_queues_are_empty};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A transaction that runs takes at most a few times [`SLOW`].
const SOON_ENOUGH: Duration = Duration::from_secs(10);
/// How long deliveries may take to end.
const GRACE: Duration = Duration::from_secs(20);
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

/// A server that says nothing after the final dot is given up when the grace is over. What became of that message
/// nobody knows, so it is sent again: the documented window, and no more than what was in flight.
#[test]
fn sigterm_while_the_server_hangs_ends_within_the_grace_and_only_what_hung_is_sent_again() {
    let installation = ants();
    let hangs = Arc::new(AtomicBool::new(true));
    let hanging = Arc::clone(&hangs);
    let server = Server::start(
        &installation,
        Script::new(move |moment| match moment.step {
            // It has taken the first message well.
            Step::EndOfData if hanging.load(Ordering::SeqCst) && is(moment.message, 2) => Answer::Silence,
            _ => Answer::Usual,
        }),
    );
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], &post(1));
    server.wait_for(MEMBERS.len());
    installation.deliver("anne@example.org", &[ANTS], &post(2));
    server.wait_for(2 * MEMBERS.len());
    let asked = Instant::now();
    daemon.stop();
    let took = asked.elapsed();
    assert!((GRACE / 2..GRACE + SOON_ENOUGH).contains(&took), "stopped after {took:?}");

    hangs.store(false, Ordering::SeqCst);
    let daemon = installation.serve();
    server.wait_for(3 * MEMBERS.len());
    wait_until_queues_are_empty(&installation);
    let of = |number: usize| server.messages().iter().filter(|one| is(&one.message, number)).count();
    assert_eq!((of(1), of(2)), (1, 2));
    assert_eq!(installation.json(&["queue", "bounces", "--json"]), serde_json::json!([]));
    daemon.stop();
}

/// Whether it is this [`post`].
fn is(message: &[u8], number: usize) -> bool {
    String::from_utf8_lossy(message).contains(&format!("<{number}@example.org>"))
}
