//! Installations of ours to be measured, and the processes in them.

use postrider_tests::installation::{Daemon, Installation, wait_for};
use rusqlite::{Connection, OpenFlags, params};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The list that gets the posts.
pub const LIST: &str = "ants@lists.example.com";
/// Somebody who may post.
pub const MEMBER: &str = "m0@example.org";

/// An installation with this many lists, the first of which is [`LIST`] with this many members. `mta`: more lines of
/// `[mta]`, and what follows.
pub fn site(lists: usize, members: usize, mta: &str) -> Installation {
    let installation = Installation::with_mta(mta);
    installation.run(&["create", LIST]);
    let database = installation.data().join("postrider.db");
    add_lists(&database, lists.saturating_sub(1));
    add_members(&database, LIST, members);
    installation
}

/// Lets it hand its mail in there.
pub fn send_to(installation: &Installation, (host, port): (&str, u16)) {
    let text = fs::read_to_string(installation.config()).expect("configuration");
    let lines = |host: &str, port: u16| format!("smtp_host: {host}\nsmtp_port: {port}\n");
    let changed = text.replace(&lines("127.0.0.1", installation.smtp_port), &lines(host, port));
    assert_ne!(changed, text, "the lines with the mail server");
    fs::write(installation.config(), changed).expect("configuration");
}

/// Lists like the first: put in by SQL, because a million commands would measure commands.
pub fn add_lists(database: &Path, count: usize) {
    let db = Connection::open(database).expect("the store");
    db.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO list (name, domain, list_id, settings, created)
         SELECT 'list' || i, 'lists.example.com', 'list' || i || '.lists.example.com', first.settings, first.created
         FROM n, (SELECT settings, created FROM list LIMIT 1) first WHERE ?1 > 0",
        params![count as i64],
    )
    .expect("lists");
}

/// Members m0@, m1@ … example.org of a list.
pub fn add_members(database: &Path, list: &str, count: usize) {
    if count == 0 {
        return;
    }
    let db = Connection::open(database).expect("the store");
    let (name, domain) = list.split_once('@').expect("address");
    db.execute_batch("BEGIN").expect("transaction");
    db.execute(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)
         INSERT OR IGNORE INTO address (key, text, display_name)
         SELECT 'm' || i || '@example.org', 'm' || i || '@example.org', '' FROM n",
        params![count as i64],
    )
    .expect("addresses");
    db.execute(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)
         INSERT INTO member (list, role, address, delivery)
         SELECT list.id, 'member', address.id, 'enabled'
         FROM n JOIN address ON address.key = 'm' || i || '@example.org' JOIN list ON list.name = ?2 AND list.domain = ?3",
        params![count as i64, name, domain],
    )
    .expect("members");
    db.execute_batch("COMMIT").expect("commit");
}

/// Messages that the spool has ever taken, as its own numbers say.
pub fn taken(installation: &Installation) -> usize {
    let file = installation.data().join("spool.db");
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the spool");
    db.busy_timeout(Duration::from_secs(30)).expect("time limit");
    let number = db.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'arrival'", [], |row| row.get::<_, i64>(0));
    number.unwrap_or(0) as usize
}

/// Waits until nothing is left in the spool.
pub fn wait_until_empty(installation: &Installation) {
    let file = installation.data().join("spool.db");
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the spool");
    db.busy_timeout(Duration::from_secs(30)).expect("time limit");
    let left = "SELECT EXISTS (SELECT 1 FROM outgoing) OR EXISTS (SELECT 1 FROM arrival)";
    wait_for("an empty spool", Duration::from_mins(30), || {
        let left: bool = db.query_row(left, [], |row| row.get(0)).expect("the spool");
        (!left).then_some(())
    });
}

/// A post of about 4 KiB.
pub fn post(id: &str) -> String {
    format!(
        "From: {MEMBER}\nTo: {LIST}\nSubject: x\nMessage-ID: <{id}@example.org>\n\n{}",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n".repeat(60)
    )
}

/// Hands a post in; returns when it was answered 250.
pub fn hand_in(installation: &Installation, list: &str, id: &str) -> Instant {
    let replies = installation.deliver(MEMBER, &[list], &post(id).replace(LIST, list));
    assert!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
    Instant::now()
}

/// A line of the status of a process, in MiB.
pub fn memory(process: u32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("/proc");
    let line = status.lines().find(|line| line.starts_with(key)).expect("a line");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number");
    kib / 1024.0
}

/// Seconds of processor time that a daemon has used.
pub fn cpu(daemon: &Daemon) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("/proc");
    // The name, in parentheses, may hold blanks.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("ticks");
    (ticks(11) + ticks(12)) / 100.0
}

/// How often each thread of a daemon went to sleep of its own accord, with the thread's name.
pub fn sleeps(daemon: &Daemon) -> BTreeMap<OsString, (String, u64)> {
    let of = |task: std::io::Result<fs::DirEntry>| {
        let task = task.expect("task");
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let times = value("voluntary_ctxt_switches:").and_then(|text| text.parse().ok()).unwrap_or(0);
        (task.file_name(), (value("Name:").unwrap_or_default().to_owned(), times))
    };
    fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("/proc").map(of).collect()
}

/// How long something took.
pub fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
