//! The databases become read-only under the running daemon: made immutable, which holds for root too.

use postrider::deliver::sink::Script;
use postrider_tests::installation::{Installation, wait_for};
use postrider_tests::require::{self, Capability};
use postrider_tests::site::{ANTS, MEMBERS, POST, SOON, Server, ants, post, wait_for_log, wait_until_queues_are_empty};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files that cannot be written, by whoever has them open; writable again when dropped.
struct Immutable(Vec<PathBuf>);

impl Immutable {
    /// A database and its journal. Not `-shm`, which is memory that is no more on disk than by name: SQLite maps it,
    /// and a write to mapped memory of an immutable file is no error but SIGBUS.
    fn database(installation: &Installation, name: &str) -> Self {
        let files = ["", "-wal"].map(|end| installation.data().join(format!("{name}{end}")));
        let files: Vec<PathBuf> = files.into_iter().filter(|file| file.exists()).collect();
        for file in &files {
            assert!(chattr("+i", file), "{}", file.display());
        }
        Immutable(files)
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        for file in &self.0 {
            chattr("-i", file);
        }
    }
}

fn chattr(flag: &str, file: &Path) -> bool {
    Command::new("chattr").arg(flag).arg(file).status().is_ok_and(|status| status.success())
}

/// Whether the file system of temporary directories knows immutable files, also for those who have them open.
fn can_run(test: &str) -> bool {
    if !require::all(test, &[Capability::Root]) {
        return false;
    }
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("file");
    let mut file = fs::File::create(&path).expect("file");
    let works = chattr("+i", &path) && file.write_all(b"x").is_err();
    chattr("-i", &path);
    if !works {
        require::skip(&format!(
            "{test} needs chattr +i (package e2fsprogs) and ext4 at {}",
            directory.path().display()
        ));
    }
    works
}

#[test]
fn mail_is_put_off_while_the_spool_is_read_only_and_flows_again_afterwards() {
    if !can_run("mail_is_put_off_while_the_spool_is_read_only") {
        return;
    }
    let installation = ants();
    let daemon = installation.serve();
    // One that waits in the queue when it happens, one that is refused, one afterwards.
    assert!(installation.deliver("anne@example.org", &[ANTS], &post(1))[0].starts_with("250"));
    wait_for("the post in the outgoing queue", SOON, || {
        (installation.json(&["queue", "--json"])["out"][0]["waiting"] == 3).then_some(())
    });
    let immutable = Immutable::database(&installation, "spool.db");
    for _ in 0..2 {
        let replies = installation.deliver("anne@example.org", &[ANTS], &post(2));
        assert!(replies[0].starts_with("451 4.3.0"), "{replies:?}");
    }
    let line = wait_for_log(&installation, "spool.db:");
    assert!(line.contains("ERROR"), "{line}");
    assert!(line.contains(&installation.data().join("spool.db").display().to_string()), "{line}");
    assert!(line.contains("read-only") && line.contains("check"), "what to do: {line}");
    // A command says so too.
    let error = installation.fails(1, &["queue", "drop", "out", "1"]);
    assert!(error.contains("spool.db") && error.contains("lsattr"), "{error}");

    drop(immutable);
    assert!(installation.deliver("anne@example.org", &[ANTS], &post(3))[0].starts_with("250"));
    let server = Server::start(&installation, Script::default());
    installation.run(&["queue", "retry"]);
    server.wait_for(2 * MEMBERS.len());
    wait_until_queues_are_empty(&installation);
    assert_eq!(server.messages().len(), 2, "only what was answered 250, and once");
    daemon.stop();
}

/// What was delivered cannot be recorded. It is not sent again while the daemon lives.
#[test]
fn results_wait_in_memory_while_the_spool_is_read_only() {
    if !can_run("results_wait_in_memory_while_the_spool_is_read_only") {
        return;
    }
    let installation = ants();
    let daemon = installation.serve();
    assert!(installation.deliver("anne@example.org", &[ANTS], POST)[0].starts_with("250"));
    wait_for("the post in the outgoing queue", SOON, || {
        (installation.json(&["queue", "--json"])["out"][0]["waiting"] == 3).then_some(())
    });
    wait_for_log(&installation, "no mail goes out");
    let immutable = Immutable::database(&installation, "spool.db");
    let server = Server::start(&installation, Script::default());
    server.wait_for(MEMBERS.len());
    wait_for_log(&installation, "recording a delivery failed, trying again");
    drop(immutable);
    wait_until_queues_are_empty(&installation);
    assert_eq!(server.recipients(), MEMBERS, "each once");
    daemon.stop();
}

#[test]
fn a_daemon_does_not_start_on_a_read_only_spool_and_says_why() {
    if !can_run("a_daemon_does_not_start_on_a_read_only_spool") {
        return;
    }
    let installation = ants();
    installation.serve().stop();
    let immutable = Immutable::database(&installation, "spool.db");
    let error = installation.fails_to_serve(&[]);
    assert!(error.contains("spool.db") && error.contains("read-only") && error.contains("check"), "{error}");
    drop(immutable);
    installation.serve().stop();
}

/// Lists are only read on the way of a post.
#[test]
fn posts_pass_while_the_store_is_read_only() {
    if !can_run("posts_pass_while_the_store_is_read_only") {
        return;
    }
    let installation = ants();
    let server = Server::start(&installation, Script::default());
    let daemon = installation.serve();
    let immutable = Immutable::database(&installation, "postrider.db");
    assert!(installation.deliver("anne@example.org", &[ANTS], POST)[0].starts_with("250"));
    server.wait_for(MEMBERS.len());
    // One that is to be held waits until that can be written.
    let stranger = post(2).replace("anne@example.org", "stranger@example.org");
    assert!(installation.deliver("stranger@example.org", &[ANTS], &stranger)[0].starts_with("250"));
    let line = wait_for_log(&installation, "trying again in");
    assert!(line.contains("postrider.db") && line.contains("check"), "{line}");
    drop(immutable);
    wait_for("the held post", SOON, || installation.run(&["held"]).contains("stranger").then_some(()));
    wait_until_queues_are_empty(&installation);
    let is_member = |address: &&String| address.as_str() != "olga@example.org";
    let recipients = server.recipients();
    assert_eq!(recipients.iter().filter(is_member).collect::<Vec<_>>(), MEMBERS);
    daemon.stop();
}
