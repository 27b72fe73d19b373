//! SIGKILL while the mail server drops connections, refuses, hangs and contradicts itself at every step.

use super::random;
use super::siege::{Siege, kills_or};

#[test]
fn kills_and_a_faulty_mail_server_lose_nothing_and_bounce_only_what_it_refused() {
    Siege {
        title: "killed under load, with a faulty mail server",
        seed: random::seed(),
        kills: kills_or(16),
        faulty: true,
        slow: None,
        backlog: 4000,
    }
    .lay();
}
