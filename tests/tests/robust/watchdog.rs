//! What systemd is told (`NOTIFY_SOCKET`), and when its watchdog hears nothing any more.

use super::site::{ANTS, POST, SOON, Server, ants, wait_for_log};
use postrider::deliver::sink::{Answer, Script, Step};
use postrider_tests::installation::{Daemon, Installation, wait_for};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// systemd's side of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn of(installation: &Installation) -> (Self, String) {
        let path = installation.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("socket");
        (Manager(socket), path.display().to_string())
    }

    /// Everything that comes within this time.
    fn hears(&self, time: Duration) -> Vec<String> {
        let end = Instant::now() + time;
        let mut heard = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.0.set_read_timeout(Some(left)).expect("time limit");
            let mut message = [0; 4096];
            if let Ok(length) = self.0.recv(&mut message) {
                let text = String::from_utf8_lossy(&message[..length]);
                heard.extend(text.lines().map(str::to_owned));
            }
        }
        heard
    }

    /// Waits until it hears this so often; returns everything that was heard.
    fn waits_for(&self, start: &str, times: usize) -> Vec<String> {
        let mut heard = Vec::new();
        wait_for(start, SOON, || {
            heard.extend(self.hears(Duration::from_millis(20)));
            (signs(&heard, start) >= times).then_some(())
        });
        heard
    }
}

fn serve_with(installation: &Installation, environment: &[(&str, &str)]) -> Daemon {
    let mut command = installation.command(&["serve"]);
    command.envs(environment.iter().copied());
    installation.serve_with(command)
}

fn signs(heard: &[String], start: &str) -> usize {
    heard.iter().filter(|line| line.starts_with(start)).count()
}

#[test]
fn the_watchdog_hears_of_a_daemon_that_works_and_nothing_while_its_writer_is_stuck() {
    let installation = ants();
    // A server that never answers to the final dot is slow, and no hang of ours.
    let _server = Server::start(
        &installation,
        Script::new(|moment| if moment.step == Step::EndOfData { Answer::Silence } else { Answer::Usual }),
    );
    let (manager, socket) = Manager::of(&installation);
    let daemon = serve_with(&installation, &[("NOTIFY_SOCKET", &socket), ("WATCHDOG_USEC", "600000")]);
    manager.waits_for("READY=1", 1);
    installation.deliver("anne@example.org", &[ANTS], POST);
    wait_for("mail in flight", SOON, || {
        (installation.json(&["queue", "--json"])["out"][0]["in_flight"] == 3).then_some(())
    });
    let heard = manager.hears(Duration::from_millis(1500));
    // Every 300 ms; a loaded machine may be late.
    assert!((2..=7).contains(&signs(&heard, "WATCHDOG=1")), "{heard:?}");

    // The writer waits for the lock that somebody else holds, as it would for a disk that does not answer.
    let mut other = rusqlite::Connection::open(installation.data().join("spool.db")).expect("the spool");
    let lock = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("the lock");
    wait_for_log(&installation, "from: the spool's writer; ");
    assert_eq!(signs(&manager.hears(Duration::ZERO), "WATCHDOG=1"), 0);
    manager.waits_for("", 0);
    let heard = manager.hears(Duration::from_millis(1500));
    assert_eq!(signs(&heard, "WATCHDOG=1"), 0, "{heard:?}");
    drop(lock);
    manager.waits_for("WATCHDOG=1", 2);
    wait_for_log(&installation, "everything answers again");
    daemon.signal(rustix::process::Signal::TERM);
    manager.waits_for("STOPPING=1", 1);
}

#[test]
fn systemd_reads_how_far_the_queues_are_and_no_sign_of_life_unless_it_asks_for_them() {
    let installation = ants();
    let (manager, socket) = Manager::of(&installation);
    let daemon = serve_with(&installation, &[("NOTIFY_SOCKET", &socket)]);
    let mut heard = manager.waits_for("STATUS=No mail waits", 1);
    assert_eq!(signs(&heard, "READY=1"), 1);
    installation.deliver("anne@example.org", &[ANTS], POST);
    installation.deliver("anne@example.org", &[ANTS], &looping());
    // Not at once: no more often than every 5 s.
    heard.extend(manager.waits_for("STATUS=3 recipients wait, oldest since 20", 1));
    assert!(
        heard.last().is_some_and(|line| line.ends_with("1 shunted (postrider queue list --state shunted)")),
        "{heard:?}"
    );
    assert_eq!(signs(&heard, "WATCHDOG"), 0);
    daemon.stop();
}

/// A post that went through too many mail servers: it cannot be processed, ever.
pub fn looping() -> String {
    format!("{}{POST}", "Received: from a.example by b.example; Sun, 22 Nov 2026 10:00:00 +0000\n".repeat(101))
}
