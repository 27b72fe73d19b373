//! The load, the kills and the sink together.

use super::account::{Account, Bounce, Kill};
use super::load::{Load, make_lists};
use super::random::Random;
use super::record::{Record, boundary};
use super::trigger::{Trigger, When};
use postrider_tests::installation::{Daemon, Installation, wait_for};
use postrider_tests::set_on_drop::SetOnDrop;
use postrider_tests::site::{Server, bare};
use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// LMTP sessions at a time.
const CLIENTS: usize = 5;
/// Longest life of a daemon that is killed at any time, and longest wait for another moment.
const LIFE: Duration = Duration::from_millis(900);
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long all mail may take to arrive in the end.
const DRAIN: Duration = Duration::from_mins(2);

/// A siege to come.
pub struct Siege {
    pub title: &'static str,
    pub seed: u64,
    pub kills: usize,
    /// The sink commits faults.
    pub faulty: bool,
    /// It takes so long for each message.
    pub slow: Option<Duration>,
    /// No more posts while so many recipients wait.
    pub backlog: usize,
}

impl Siege {
    /// Kills as often as it shall.
    pub fn lay(&self) {
        self.lay_while(|installation, trigger, record| self.kill(installation, trigger, record));
    }

    /// Does this under load, lets everything be delivered, says what became of all.
    pub fn lay_while(&self, work: impl FnOnce(&Installation, &Trigger, &Record) -> Vec<Kill>) {
        say(&format!("{}: CRASH_SEED={} CRASH_KILLS={}", self.title, self.seed, self.kills));
        let mut installation = bare();
        if let Ok(address) = std::env::var("CRASH_ADDRESS") {
            installation.smtp_at(&address);
        }
        installation.configure("verp_delivery_interval: 2\n[lmtp]\nmin_free_space: 0\n");
        make_lists(&installation);
        let trigger = Arc::new(Trigger::default());
        let record = Record::new(self.seed, Arc::clone(&trigger), self.faulty, self.slow);
        let sink = Server::start(&installation, record.script());
        let load = Load::new(self.seed, &installation, Arc::clone(&trigger));
        let over = AtomicBool::new(false);
        let full = || load.accepted() > record.pairs() + self.backlog;
        let kills = std::thread::scope(|scope| {
            let _over = SetOnDrop(&over);
            let stop = StopOnDrop(&load);
            for _ in 0..CLIENTS {
                scope.spawn(|| load.send(full));
            }
            if self.faulty {
                scope.spawn(|| retry_again_and_again(&installation, &over));
            }
            let kills = work(&installation, &trigger, &record);
            // The last one lives; it gets something to do besides what is left.
            let daemon = installation.serve();
            std::thread::sleep(Duration::from_millis(300));
            drop(stop);
            record.behave();
            wait_until_nothing_is_left(&installation, self.faulty);
            daemon.stop();
            kills
        });
        drop(sink);
        let account = Account::make(&load.answers(), &record, &bounces(&installation), &kills);
        say(&account.table(self.title, &kills, std::env::var_os("CRASH_KILLS").is_some()));
        let wrong = account.wrong.len();
        assert!(
            wrong == 0,
            "CRASH_SEED={} CRASH_KILLS={}: {wrong} things went wrong:\n{}",
            self.seed,
            self.kills,
            account.wrong.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n")
        );
        check_what_is_left(&installation);
    }

    fn kill(&self, installation: &Installation, trigger: &Trigger, record: &Record) -> Vec<Kill> {
        let mut random = Random::new(self.seed, 1);
        let mut kills = Vec::with_capacity(self.kills);
        for number in 0..self.kills {
            let mut when = if random.chance(500) { When::Anytime } else { When::ALL[1 + random.below(3)] };
            let begun = Instant::now();
            let mut daemon = installation.begin_to_serve();
            if when == When::Anytime {
                std::thread::sleep(random.shorter_than(LIFE));
            } else {
                let skip = random.below(if when == When::FinalDot { 60 } else { 12 });
                if !trigger.kill_when(when, skip, daemon.pid(), PATIENCE) {
                    when = When::Anytime;
                }
            }
            assert_was_alive(installation, &mut daemon, number);
            daemon.kill();
            let (life, at) = (begun.elapsed(), record.now());
            let boundary = boundary((&installation.smtp_host, installation.smtp_port));
            kills.push(Kill { when, life, at, boundary });
        }
        kills
    }
}

/// It must not have ended by itself.
fn assert_was_alive(installation: &Installation, daemon: &mut Daemon, number: usize) {
    use std::os::unix::process::ExitStatusExt as _;
    if let Some(status) = daemon.ended() {
        assert_eq!(status.signal(), Some(9), "daemon {number} ended with {status}:\n{}", installation.log());
    }
}

/// What would take minutes is done now.
fn retry_again_and_again(installation: &Installation, over: &AtomicBool) {
    while !over.load(Ordering::SeqCst) {
        installation.run(&["queue", "retry"]);
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn wait_until_nothing_is_left(installation: &Installation, retry: bool) {
    wait_for("empty queues", DRAIN, || {
        if retry {
            installation.run(&["queue", "retry"]);
        }
        std::thread::sleep(Duration::from_millis(200));
        installation.run(&["queue"]).contains("The queues are empty").then_some(())
    });
}

fn bounces(installation: &Installation) -> Vec<Bounce> {
    let value = installation.json(&["queue", "bounces", "--json"]);
    let text = |one: &serde_json::Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    value
        .as_array()
        .expect("bounces")
        .iter()
        .map(|one| Bounce {
            list: text(one, "list"),
            recipient: text(one, "recipient"),
            message_id: text(one, "message_id"),
            reply: text(one, "reply"),
        })
        .collect()
}

/// The daemon has ended in order: the databases are whole, and nothing of the mail is left.
pub fn check_what_is_left(installation: &Installation) {
    let count = |database: &str, query: &str| -> String {
        let file = installation.data().join(database);
        let connection = rusqlite::Connection::open(&file).expect("database");
        let value: rusqlite::types::Value = connection.query_row(query, [], |row| row.get(0)).expect("an answer");
        format!("{value:?}")
    };
    for database in ["spool.db", "postrider.db"] {
        assert_eq!(count(database, "PRAGMA integrity_check"), "Text(\"ok\")", "{database}");
    }
    for table in ["body", "arrival", "outgoing", "recipient"] {
        assert_eq!(count("spool.db", &format!("SELECT count(*) FROM {table}")), "Integer(0)", "{table}");
    }
    assert_eq!(count("postrider.db", "SELECT count(*) FROM held"), "Integer(0)");
    let bodies: Vec<_> = fs::read_dir(installation.data().join("spool/bodies"))
        .expect("directory")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(bodies.is_empty(), "{bodies:?}");
    let log = installation.log();
    let bad = log.lines().find(|line| line.contains("panicked") || line.contains("please report"));
    assert_eq!(bad, None);
}

struct StopOnDrop<'a>(&'a Load);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Past the test harness, which would swallow it.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// `CRASH_KILLS`, else this.
pub fn kills_or(usual: usize) -> usize {
    let given = std::env::var("CRASH_KILLS").ok().filter(|text| !text.is_empty());
    given.map_or(usual, |text| text.parse().expect("CRASH_KILLS is a number"))
}
