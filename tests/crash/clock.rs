//! The clock of the machine jumps: libfaketime changes it under the running daemon.

use postrider::deliver::sink::{Answer, Script, Step};
use postrider_tests::installation::{Daemon, Installation, wait_for};
use postrider_tests::require;
use postrider_tests::site::{ANTS, MEMBERS, SOON, Server, ants, post, wait_for_log, wait_until_queues_are_empty};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An installation whose programs live at another time than we do.
struct Elsewhen {
    installation: Installation,
    library: PathBuf,
}

impl Elsewhen {
    fn new(test: &str) -> Option<Self> {
        let Some(library) = library() else {
            require::skip(&format!("{test} needs libfaketime; install the Debian package faketime (tests/setup does)"));
            return None;
        };
        let elsewhen = Elsewhen { installation: ants(), library };
        elsewhen.set("+0");
        Some(elsewhen)
    }

    /// So far from ours is its time from now on: `+10d`, `-1d`, `+0`.
    fn set(&self, offset: &str) {
        self.installation.write("clock.new", &format!("{offset}\n"));
        let path = self.installation.path();
        fs::rename(path.join("clock.new"), path.join("clock")).expect("rename");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.installation.command(args);
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.installation.path().join("clock"))
            .env("FAKETIME_NO_CACHE", "1")
            // Timers run on: a clock that is set does not change how long a second is.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
        command
    }

    fn serve(&self) -> Daemon {
        self.installation.serve_with(self.command(&["serve"]))
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).stdin(Stdio::null()).output().expect("postrider");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn deliver(&self, number: usize) {
        let replies = self.installation.deliver("anne@example.org", &[ANTS], &post(number));
        assert!(replies[0].starts_with("250"), "{replies:?}");
    }

    /// How many recipients wait for a later try.
    fn wait_until_put_off(&self, posts: usize) {
        wait_for("posts that were put off", SOON, || {
            let queue: serde_json::Value = serde_json::from_str(&self.run(&["queue", "--json"])).expect("JSON");
            let out = queue["out"].as_array()?;
            let waiting = out.iter().filter(|one| one["last_reply"].as_str().is_some_and(|reply| !reply.is_empty()));
            (waiting.count() == posts).then_some(())
        });
    }

    fn bounces(&self) -> serde_json::Value {
        serde_json::from_str(&self.run(&["queue", "bounces", "--json"])).expect("JSON")
    }
}

fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    folders.flatten().map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

/// A server that puts everybody off as long as the flag says so.
fn server(elsewhen: &Elsewhen, put_off: &Arc<AtomicBool>) -> Server {
    let put_off = Arc::clone(put_off);
    let script = Script::new(move |moment| match moment.step {
        Step::Rcpt if put_off.load(Ordering::SeqCst) => Answer::say("451 4.3.0 not now"),
        _ => Answer::Usual,
    });
    Server::start(&elsewhen.installation, script)
}

#[test]
fn after_a_jump_forward_everything_is_tried_before_it_may_expire() {
    let Some(elsewhen) = Elsewhen::new("after_a_jump_forward_everything_is_tried") else { return };
    let put_off = Arc::new(AtomicBool::new(true));
    let first = server(&elsewhen, &put_off);
    let daemon = elsewhen.serve();
    elsewhen.deliver(1);
    elsewhen.wait_until_put_off(1);
    drop(first);
    // Nobody was asked about this one: our own mail server is away.
    elsewhen.deliver(2);
    wait_for_log(&elsewhen.installation, "no mail goes out");

    elsewhen.set("+10d");
    put_off.store(false, Ordering::SeqCst);
    let second = server(&elsewhen, &put_off);
    elsewhen.run(&["queue", "retry"]);
    second.wait_for(2 * MEMBERS.len());
    wait_until_queues_are_empty(&elsewhen.installation);
    assert_eq!(second.recipients().len(), 2 * MEMBERS.len());
    assert_eq!(elsewhen.bounces(), serde_json::json!([]), "nobody expired untried");
    daemon.stop();
}

#[test]
fn what_fails_again_after_a_jump_forward_expires_with_the_last_reply() {
    let Some(elsewhen) = Elsewhen::new("what_fails_again_after_a_jump_forward_expires") else { return };
    let put_off = Arc::new(AtomicBool::new(true));
    let server = server(&elsewhen, &put_off);
    let daemon = elsewhen.serve();
    elsewhen.deliver(1);
    elsewhen.wait_until_put_off(1);
    elsewhen.set("+10d");
    // Nobody needs to wake it for the old ones.
    elsewhen.deliver(2);
    let bounces = wait_for("expired recipients", SOON, || {
        let bounces = elsewhen.bounces();
        (bounces.as_array()?.len() == MEMBERS.len()).then_some(bounces)
    });
    for bounce in bounces.as_array().expect("bounces") {
        let reply = bounce["reply"].as_str().unwrap_or_default();
        assert!(reply.contains("retry period of 5d is over") && reply.contains("451 4.3.0 not now"), "{reply}");
        assert_eq!(bounce["message_id"].as_str().map(|id| id.trim_matches(['<', '>'])), Some("1@example.org"));
    }
    assert_eq!(server.messages().len(), 0);
    daemon.stop();
}

#[test]
fn after_a_jump_backward_no_retry_waits_until_the_clock_is_there_again() {
    let Some(elsewhen) = Elsewhen::new("after_a_jump_backward_no_retry_waits") else { return };
    let put_off = Arc::new(AtomicBool::new(true));
    let server = server(&elsewhen, &put_off);
    let daemon = elsewhen.serve();
    elsewhen.deliver(1);
    elsewhen.wait_until_put_off(1);
    put_off.store(false, Ordering::SeqCst);
    elsewhen.set("-1d");
    // Its next try was to be in five minutes and would now be in a day. Anything makes the daemon look.
    elsewhen.deliver(2);
    server.wait_for(2 * MEMBERS.len());
    wait_until_queues_are_empty(&elsewhen.installation);
    assert_eq!(server.recipients().len(), 2 * MEMBERS.len());
    daemon.stop();
}

#[test]
fn what_was_put_off_while_the_clock_was_wrong_does_not_wait_for_that_time() {
    let Some(elsewhen) = Elsewhen::new("what_was_put_off_while_the_clock_was_wrong") else { return };
    let put_off = Arc::new(AtomicBool::new(true));
    let server = server(&elsewhen, &put_off);
    elsewhen.set("+3650d");
    let daemon = elsewhen.serve();
    elsewhen.deliver(1);
    elsewhen.wait_until_put_off(1);
    daemon.stop();
    elsewhen.set("+0");
    put_off.store(false, Ordering::SeqCst);
    let daemon = elsewhen.serve();
    server.wait_for(MEMBERS.len());
    wait_until_queues_are_empty(&elsewhen.installation);
    assert_eq!(server.recipients(), MEMBERS);
    daemon.stop();
}
