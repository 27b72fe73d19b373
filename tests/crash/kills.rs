//! SIGKILL at random moments under load.

use super::random;
use super::siege::{Siege, kills_or};

#[test]
fn kills_lose_nothing_and_double_only_what_was_in_flight() {
    Siege {
        title: "killed under load",
        seed: random::seed(),
        kills: kills_or(40),
        faulty: false,
        slow: None,
        backlog: 1500,
    }
    .lay();
}
