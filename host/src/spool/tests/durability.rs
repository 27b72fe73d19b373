//! What was answered is on disk, whatever happens then.

use super::*;
use std::collections::BTreeSet;
use std::sync::mpsc;

/// What a kill -9 or a loss of power would leave: the files as they are now.
fn crashed_copy(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("tempdir");
    std::fs::create_dir_all(copy.path().join("spool/bodies")).expect("bodies");
    for name in ["spool.db", "spool.db-wal"] {
        if directory.join(name).exists() {
            std::fs::copy(directory.join(name), copy.path().join(name)).expect("copy");
        }
    }
    for file in body_files(directory) {
        std::fs::copy(&file, copy.path().join("spool/bodies").join(file.file_name().expect("name"))).expect("copy");
    }
    copy
}

#[tokio::test]
async fn an_accepted_message_survives_a_restart_whole() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let mut two = incoming(b"Subject: x\r\n\r\nbody\r\n");
    two.sender = None;
    two.recipients.push(recipient(Subaddress::Owner));
    let message = spool.accept(two).await.expect("accept");
    spool.close().await;
    assert!(matches!(spool.accept(incoming(b"late")).await, Err(SpoolError::Closed)));
    assert!(matches!(spool.arrivals().await, Err(SpoolError::Closed)));
    assert!(matches!(spool.due(1).await, Err(SpoolError::Closed)));
    assert!(!dir.path().join("spool.db-wal").exists(), "a closed spool is one file");

    let spool = open(dir.path());
    let arrivals = spool.new_arrivals(0, 10).expect("arrivals");
    assert_eq!(arrivals.len(), 2);
    assert_eq!(arrivals[0].recipient, recipient(Subaddress::Post));
    assert_eq!(arrivals[1].recipient, recipient(Subaddress::Owner));
    assert!(arrivals.iter().all(|one| one.message == message && one.sender.is_none() && one.size == 20));
    assert_eq!(&spool.message(message).await.expect("message")[..], b"Subject: x\r\n\r\nbody\r\n");
    assert_eq!(spool.new_arrivals(arrivals[0].id, 10).expect("arrivals"), arrivals[1..]);
    assert_eq!(spool.new_arrivals(0, 1).expect("arrivals"), arrivals[..1]);
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.accept(incoming(b"small")).await.expect("accept");
    spool.accept(incoming(&vec![b'x'; MAX_INLINE + 1])).await.expect("accept");
    spool.fan_out(None, vec![outgoing(b"out", 3)]).await.expect("fan_out");

    let copy = crashed_copy(dir.path());
    let after = open(copy.path());
    let arrivals = after.arrivals().await.expect("arrivals");
    assert_eq!(arrivals.iter().map(|one| one.size).collect::<Vec<_>>(), [5, MAX_INLINE as u64 + 1]);
    assert_eq!(after.message(arrivals[1].message).await.expect("message").len(), MAX_INLINE + 1);
    assert_eq!(next(&after, 10).await.recipients.len(), 3);
}

/// Killed again and again while it works, by the real signal.
#[test]
fn a_process_that_is_killed_keeps_every_message_it_has_answered() {
    use std::io::{BufRead, BufReader};
    let dir = tempfile::tempdir().expect("tempdir");
    let mut answered = BTreeSet::new();
    for round in 0..3 {
        let mut child = std::process::Command::new(std::env::current_exe().expect("test binary"))
            .args(["--exact", "spool::tests::durability::accepts_until_it_is_killed", "--ignored", "--nocapture"])
            .env("POSTRIDER_TEST_SPOOL", dir.path())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("child");
        let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        for line in lines.map(|line| line.expect("line")) {
            if let Some(id) = line.strip_prefix("accepted ") {
                answered.insert(id.parse::<i64>().expect("number"));
            }
            if answered.len() > 40 * (round + 1) {
                break;
            }
        }
        child.kill().expect("kill -9");
        child.wait().expect("wait");
    }
    assert!(answered.len() > 100, "the child has worked");
    tokio::runtime::Runtime::new().expect("runtime").block_on(async {
        let spool = open(dir.path());
        let kept: BTreeSet<i64> = spool.arrivals().await.expect("arrivals").iter().map(|one| one.message).collect();
        let lost: Vec<_> = answered.difference(&kept).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
    });
}

/// The child of the test above.
#[test]
#[ignore = "only as the child of another test"]
fn accepts_until_it_is_killed() {
    let Some(directory) = std::env::var_os("POSTRIDER_TEST_SPOOL") else { return };
    tokio::runtime::Runtime::new().expect("runtime").block_on(async {
        let spool = open(Path::new(&directory));
        loop {
            let waiting: Vec<_> = (0..8)
                .map(|_| {
                    let spool = spool.clone();
                    tokio::spawn(async move { spool.accept(incoming(&[b'x'; 4096])).await })
                })
                .collect();
            for one in waiting {
                println!("accepted {}", one.await.expect("task").expect("accept"));
            }
        }
    });
}

/// Keeps the writer busy until the answer is dropped, so that what comes meanwhile makes one group.
async fn hold_writer(spool: &Spool) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (started, start) = tokio::sync::oneshot::channel();
    let mut started = Some(started);
    let spool = spool.clone();
    tokio::spawn(async move {
        spool
            .change(move |_, _| {
                if let Some(started) = started.take() {
                    started.send(()).expect("started");
                }
                let _ = held.recv();
                Ok(())
            })
            .await
    });
    start.await.expect("started");
    release
}

/// Starts accepting; the job is in the queue when this returns.
async fn start_accept(spool: &Spool) -> tokio::task::JoinHandle<Result<i64>> {
    let spool = spool.clone();
    let task = tokio::spawn(async move { spool.accept(incoming(b"x")).await });
    tokio::task::yield_now().await;
    task
}

#[tokio::test]
async fn messages_that_come_together_share_a_commit() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let release = hold_writer(&spool).await;
    let mut waiting = Vec::new();
    for _ in 0..50 {
        waiting.push(start_accept(&spool).await);
    }
    let before = spool.commits();
    drop(release);
    for one in waiting {
        one.await.expect("task").expect("accept");
    }
    assert_eq!(spool.commits() - before, 2, "the held one and the group");
    assert_eq!(spool.arrivals().await.expect("arrivals").len(), 50);
}

#[tokio::test]
async fn a_bad_job_fails_alone() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let release = hold_writer(&spool).await;
    let first = start_accept(&spool).await;
    let bad = tokio::spawn({
        let spool = spool.clone();
        async move {
            spool
                .change(|db, effects| {
                    commands::accept(db, effects, &incoming(b"half done"))?;
                    db.execute("INSERT INTO arrival (id) VALUES (1)", [])
                })
                .await
        }
    });
    tokio::task::yield_now().await;
    let last = start_accept(&spool).await;
    let before = spool.commits();
    drop(release);
    first.await.expect("task").expect("first");
    let error = bad.await.expect("task").expect_err("bad").to_string();
    assert!(error.contains("spool.db") && error.contains("constraint"), "{error}");
    last.await.expect("task").expect("last");
    assert_eq!(spool.commits() - before, 3, "that of who held the writer, and of the good ones one by one");
    assert_eq!(spool.arrivals().await.expect("arrivals").len(), 2);
}

#[tokio::test]
async fn a_transaction_that_fails_whole_is_repeated_one_by_one() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let release = hold_writer(&spool).await;
    let first = start_accept(&spool).await;
    let bad = tokio::spawn({
        let spool = spool.clone();
        // As SQLite does it when the disk is full: the whole transaction is gone.
        async move { spool.change(|db, _| db.execute_batch("ROLLBACK; SELECT nonsense").map(|()| 0)).await }
    });
    tokio::task::yield_now().await;
    let last = start_accept(&spool).await;
    drop(release);
    let first = first.await.expect("task").expect("first");
    bad.await.expect("task").expect_err("bad");
    let last = last.await.expect("task").expect("last");
    assert!(first < last);
    assert_eq!(spool.arrivals().await.expect("arrivals").len(), 2, "neither lost nor doubled");
}

#[tokio::test]
async fn numbers_are_never_used_again() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let message = spool.accept(incoming(b"x")).await.expect("accept");
    let arrival = spool.arrivals().await.expect("arrivals")[0].id;
    spool.finish(vec![arrival]).await.expect("finish");
    spool.finish(vec![arrival]).await.expect("again is no error");
    assert!(matches!(spool.message(message).await, Err(SpoolError::NoMessage { .. })));
    spool.close().await;
    let spool = open(dir.path());
    assert!(spool.accept(incoming(b"x")).await.expect("accept") > message);
    assert!(spool.arrivals().await.expect("arrivals")[0].id > arrival);
}

/// A small file system of its own; unmounted when dropped.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// `None` (said aloud) where it cannot be mounted; in CI that fails the test.
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("tempdir");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"])
            .arg(dir.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if mounted {
            return Some(Tmpfs(dir));
        }
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must be able to mount a tmpfs");
        eprintln!("SKIPPED: a tmpfs cannot be mounted here (needs root); a full disk is not tested");
        None
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_loses_nothing_and_recovers() {
    let Some(disk) = Tmpfs::mount("4m") else { return };
    let dir = disk.0.path();
    let spool = Spool::open(dir, &SpoolOptions { min_free_space: 1 << 20, exclusive: true }).expect("open");
    let kept = spool.accept(incoming(b"before")).await.expect("accept");
    assert!(!spool.is_short_of_space());
    let filler = dir.join("filler");
    let fill = || {
        use std::io::Write;
        let mut file = std::fs::File::create(&filler).expect("filler");
        while file.write(&[0; 4096]).is_ok_and(|n| n > 0) {}
    };
    fill();
    let mut failures = 0;
    for size in [100, 100_000, MAX_INLINE, MAX_INLINE + 1, 100_000, MAX_INLINE] {
        match spool.accept(incoming(&vec![b'x'; size])).await {
            Ok(_) => {}
            Err(SpoolError::DiskFull { .. }) => failures += 1,
            Err(other) => panic!("{size}: {other:?}"),
        }
    }
    assert!(failures >= 3, "{failures}");
    let arrivals = spool.arrivals().await.expect("reading still works");
    assert_eq!(arrivals.len(), 1 + 6 - failures, "what was refused is not there");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(spool.is_short_of_space());

    let batch_error = spool.fan_out(Some(arrivals[0].id), vec![outgoing(&vec![b'x'; MAX_INLINE], 5000)]).await;
    assert!(matches!(batch_error, Err(SpoolError::DiskFull { .. })), "{batch_error:?}");
    assert!(spool.outgoing().await.expect("queue").is_empty());
    assert_eq!(&spool.message(kept).await.expect("message")[..], b"before");

    std::fs::remove_file(&filler).expect("room again");
    spool.accept(incoming(&vec![b'x'; MAX_INLINE])).await.expect("accept");
    spool.close().await;
    let spool = open(dir);
    assert_eq!(spool.arrivals().await.expect("arrivals").len(), 2 + 6 - failures);
    let check: String =
        spool.read(|db| db.query_row("PRAGMA integrity_check", [], |row| row.get(0))).await.expect("check");
    assert_eq!(check, "ok");
}

#[tokio::test]
async fn a_writer_that_waits_for_a_lock_does_not_turn_over() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    tokio::time::timeout(Duration::from_secs(20), spool.turn_over()).await.expect("it turns");
    let other = Connection::open(dir.path().join(DATABASE)).expect("another process");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    assert!(tokio::time::timeout(Duration::from_millis(100), spool.turn_over()).await.is_err());
    other.execute_batch("ROLLBACK").expect("the lock");
    tokio::time::timeout(Duration::from_secs(20), spool.turn_over()).await.expect("it turns again");
}

#[tokio::test]
async fn a_writer_that_fails_ends_deliveries_and_says_so() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"one", 2)]).await.expect("queued");
    let failed = spool.change::<(), _>(|_, _| panic!("a mistake in a change")).await;
    assert!(matches!(failed, Err(SpoolError::Closed)));
    spool.broken().await;
    assert!(matches!(spool.due(1).await, Err(SpoolError::Closed)), "nothing is sent that cannot be recorded");
}
