use super::*;
use crate::lists::{EmailAddress, Subaddress};
use crate::personal::{Form, OwnVariable, Piece, Splice, Splices};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Instant;

const DAEMON: SpoolOptions = SpoolOptions { min_free_space: 0, exclusive: true };
const COMMAND: SpoolOptions = SpoolOptions { min_free_space: 0, exclusive: false };

fn open(directory: &Path) -> Spool {
    Spool::open(directory, &DAEMON).expect("open")
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("address")
}

fn recipient(function: Subaddress) -> IncomingRecipient {
    IncomingRecipient {
        list: 7,
        list_address: "ants@example.com".into(),
        function,
        recipient: "Ants+Detail@Example.com".into(),
        detail: Some("Detail".into()),
    }
}

fn incoming(message: &[u8]) -> Incoming {
    Incoming {
        sender: Some(address("anne@example.com")),
        recipients: vec![recipient(Subaddress::Post)],
        message: Body::Memory(message.into()),
    }
}

fn outgoing(message: &[u8], recipients: usize) -> Outgoing {
    Outgoing {
        list: Some(7),
        list_address: "ants@example.com".into(),
        message_id: "<m@example.com>".into(),
        sender: EnvelopeSender::Verp("ants-bounces@example.com".into()),
        message: message.into(),
        recipients: (0..recipients).map(|n| address(&format!("member{n:06}@example.com"))).collect(),
        personal: None,
    }
}

fn delivered(batch: &DueBatch) -> Vec<(i64, DeliveryResult)> {
    batch.recipients.iter().map(|one| (one.id, DeliveryResult::Delivered)).collect()
}

fn addresses(batch: &DueBatch) -> Vec<&str> {
    batch.recipients.iter().map(|one| one.address.as_str()).collect()
}

async fn next(spool: &Spool, limit: usize) -> DueBatch {
    spool.due(limit).await.expect("due").expect("something is due")
}

fn body_files(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory.join("spool/bodies")).expect("bodies").map(|one| one.expect("entry").path()).collect()
}

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
            .args(["--exact", "spool::tests::accepts_until_it_is_killed", "--ignored", "--nocapture"])
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

#[tokio::test]
async fn a_message_stays_until_its_last_arrival_is_done() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let mut two = incoming(b"x");
    two.recipients.push(recipient(Subaddress::Bounces));
    let message = spool.accept(two).await.expect("accept");
    let arrivals = spool.arrivals().await.expect("arrivals");
    spool.finish(vec![arrivals[0].id]).await.expect("finish");
    assert_eq!(&spool.message(message).await.expect("message")[..], b"x");
    spool.fan_out(Some(arrivals[1].id), vec![]).await.expect("fan_out");
    assert!(spool.message(message).await.is_err());
}

#[tokio::test]
async fn a_fan_out_that_is_repeated_queues_nothing() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.accept(incoming(b"x")).await.expect("accept");
    let arrival = spool.arrivals().await.expect("arrivals")[0].id;
    spool.fan_out(Some(arrival), vec![outgoing(b"to members", 2), outgoing(b"nobody", 0)]).await.expect("fan_out");
    spool.fan_out(Some(arrival), vec![outgoing(b"to members", 2)]).await.expect("again is no error");
    assert!(spool.arrivals().await.expect("arrivals").is_empty());
    let queue = spool.outgoing().await.expect("queue");
    assert_eq!(queue.len(), 1);
    assert_eq!((queue[0].waiting, queue[0].done), (2, 0));
    assert_eq!(queue[0].next_try, queue[0].queued);
}

/// How many names are noted.
async fn origins(spool: &Spool) -> i64 {
    let count = |db: &Connection, _: &mut Effects| db.query_row("SELECT count(*) FROM origin", [], |row| row.get(0));
    spool.change(count).await.expect("count")
}

#[tokio::test]
async fn what_is_done_in_one_name_is_done_once_and_forgotten_in_the_end() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    assert!(spool.fan_out_once("held:1", vec![outgoing(b"post", 2)]).await.expect("first"));
    assert!(!spool.fan_out_once("held:1", vec![outgoing(b"post", 2)]).await.expect("second"));
    assert!(spool.fan_out_once("held:2", Vec::new()).await.expect("another"));
    assert_eq!(spool.outgoing().await.expect("queue").len(), 1);
    let age = |days: i64| {
        spool.change(move |db, _| db.execute("UPDATE origin SET time = time - ?1", [days * 86_400]).map(|_| ()))
    };
    age(29).await.expect("aged");
    assert!(!spool.fan_out_once("held:1", vec![outgoing(b"post", 2)]).await.expect("still known"));
    age(2).await.expect("aged");
    assert!(spool.fan_out_once("held:1", Vec::new()).await.expect("after that time"));
    assert!(!spool.fan_out_once("held:1", Vec::new()).await.expect("once more"));
    // All are read to find the old ones, so that is not done each time; but by a process that begins.
    assert_eq!(origins(&spool).await, 2);
    drop(spool);
    let spool = open(dir.path());
    assert!(spool.fan_out_once("held:3", Vec::new()).await.expect("another"));
    assert_eq!(origins(&spool).await, 2, "held:1 and held:3");
}

#[tokio::test]
async fn a_fan_out_is_all_or_nothing() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.accept(incoming(b"x")).await.expect("accept");
    let arrival = spool.arrivals().await.expect("arrivals")[0].id;
    spool
        .change(|db, _| {
            db.execute_batch(
                "CREATE TRIGGER broken BEFORE INSERT ON recipient WHEN new.address = 'member000004@example.com'
                 BEGIN SELECT raise(ABORT, 'broken'); END",
            )
        })
        .await
        .expect("trigger");
    let messages = || vec![outgoing(b"good", 2), outgoing(&vec![b'x'; MAX_INLINE + 1], 9)];
    spool.fan_out(Some(arrival), messages()).await.expect_err("broken");
    assert!(spool.outgoing().await.expect("queue").is_empty());
    assert_eq!(spool.arrivals().await.expect("arrivals")[0].id, arrival);
    assert!(body_files(dir.path()).is_empty());
    spool.change(|db, _| db.execute_batch("DROP TRIGGER broken")).await.expect("trigger");
    spool.fan_out(Some(arrival), messages()).await.expect("fan_out");
    assert_eq!(spool.outgoing().await.expect("queue").len(), 2);
    assert!(spool.arrivals().await.expect("arrivals").is_empty());
}

#[tokio::test]
async fn arrivals_are_kept_shunted_and_retried() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.accept(incoming(b"x")).await.expect("accept");
    spool.arrivals_changed().notified().await;
    let id = spool.arrivals().await.expect("arrivals")[0].id;
    assert!(spool.set_state(id, ArrivalState::Shunted, "no such list").await.expect("shunt"));
    assert!(spool.new_arrivals(0, 10).expect("new").is_empty());
    let shunted = spool.arrivals().await.expect("arrivals").remove(0);
    assert_eq!((shunted.state, shunted.reason.as_str()), (ArrivalState::Shunted, "no such list"));
    assert!(spool.set_state(id, ArrivalState::New, "").await.expect("retry"));
    spool.arrivals_changed().notified().await;
    assert_eq!(spool.new_arrivals(0, 10).expect("new").len(), 1);
    assert!(!spool.set_state(id + 1, ArrivalState::Kept, "").await.expect("no such"));
}

#[tokio::test]
async fn of_a_large_message_that_is_kept_only_the_beginning_stays() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let mut large = incoming(&vec![b'x'; MAX_INLINE + 1]);
    large.recipients.push(recipient(Subaddress::Bounces));
    spool.accept(large).await.expect("accept");
    spool.accept(incoming(&vec![b'x'; MAX_KEPT])).await.expect("accept");
    let arrivals = spool.arrivals().await.expect("arrivals");
    spool.keep(&arrivals[1]).await.expect("kept");
    spool.keep(&arrivals[2]).await.expect("kept");
    assert_eq!(spool.message(arrivals[0].message).await.expect("the other needs it").len(), MAX_INLINE + 1);
    let now = spool.arrivals().await.expect("arrivals");
    assert_eq!((now[1].state, now[1].size), (ArrivalState::Kept, MAX_KEPT as u64));
    assert_eq!(now[1].reason, "only the first 65536 of its 262145 octets are kept");
    assert_eq!((now[2].state, now[2].size, now[2].reason.as_str()), (ArrivalState::Kept, MAX_KEPT as u64, ""));
    spool.keep(&now[1]).await.expect("again");
    assert_eq!(spool.arrivals().await.expect("arrivals")[1], now[1], "it still says so");
    spool.keep(&now[0]).await.expect("kept");
    assert!(body_files(dir.path()).is_empty(), "the room is given back");
}

#[tokio::test]
async fn delivery_resumes_at_the_exact_recipient() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"post", 25)]).await.expect("fan_out");
    spool.outgoing_changed().notified().await;
    let first = next(&spool, 10).await;
    assert_eq!(first.sender, EnvelopeSender::Verp("ants-bounces@example.com".into()));
    assert_eq!(first.list_address, "ants@example.com");
    assert_eq!(&first.message[..], b"post");
    assert_eq!(addresses(&first)[9], "member000009@example.com");
    let second = next(&spool, 10).await;
    assert_eq!(addresses(&second)[0], "member000010@example.com", "leased ones are not given twice");
    assert!(Arc::ptr_eq(&first.message, &second.message), "batches share the octets");
    let third = next(&spool, 10).await;
    assert_eq!(third.recipients.len(), 5);
    assert!(spool.due(10).await.expect("due").is_none());
    assert_eq!(spool.next_due().await.expect("next"), None, "everything is leased");
    spool.record(second.outgoing, delivered(&second), false).await.expect("record");
    assert_eq!(spool.outgoing().await.expect("queue")[0].done, 10);
    drop(spool);

    let spool = open(dir.path());
    let rest = next(&spool, 100).await;
    let expected: Vec<String> = (0..10).chain(20..25).map(|n| format!("member{n:06}@example.com")).collect();
    assert_eq!(addresses(&rest), expected);
    assert_eq!(rest.queued, first.queued);
    spool.record(rest.outgoing, delivered(&rest), false).await.expect("record");
    spool.record(rest.outgoing, delivered(&rest), false).await.expect("again is no error");
    assert!(spool.outgoing().await.expect("queue").is_empty());
    assert!(spool.bounce_events().await.expect("events").is_empty());
    assert_eq!(
        spool
            .read(|db| db.query_row("SELECT count(*) FROM body", [], |row| row.get::<_, i64>(0)))
            .await
            .expect("count"),
        0
    );
}

#[tokio::test]
async fn permanent_failures_are_kept_for_thirty_days() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"post", 30)]).await.expect("fan_out");
    let batch = next(&spool, 30).await;
    let fail = |range: std::ops::Range<usize>| {
        let failed = |one: &DueRecipient| (one.id, DeliveryResult::Failed { reply: "550 5.1.1 no".into() });
        spool.record(batch.outgoing, batch.recipients[range].iter().map(failed).collect(), false)
    };
    let age = |days: i64| {
        spool.change(move |db, _| db.execute("UPDATE bounce_event SET time = time - ?1", [days * 86_400]).map(|_| ()))
    };
    fail(0..20).await.expect("recorded");
    age(29).await.expect("aged");
    fail(20..21).await.expect("recorded");
    assert_eq!(spool.bounce_events().await.expect("events").len(), 21);
    age(2).await.expect("aged");
    fail(21..26).await.expect("recorded");
    let kept = spool.bounce_events().await.expect("events");
    assert_eq!(kept.iter().map(|event| event.id).collect::<Vec<_>>(), (21..=26).collect::<Vec<_>>());
    assert_eq!(spool.bounce_event(21).await.expect("read").as_ref(), Some(&kept[0]));
    assert_eq!(spool.bounce_event(1).await.expect("read"), None);
}

#[tokio::test]
async fn each_recipient_has_its_own_fate() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"post", 4)]).await.expect("fan_out");
    let batch = next(&spool, 10).await;
    let id = |n: usize| batch.recipients[n].id;
    let retry =
        |seconds| DeliveryResult::Retry { after: Duration::from_secs(seconds), reply: format!("451 {seconds}") };
    let failed = || (id(1), DeliveryResult::Failed { reply: "550 5.1.1 no such user".into() });
    let results = vec![(id(0), DeliveryResult::Delivered), failed(), (id(2), retry(0)), (id(3), retry(3600))];
    spool.record(batch.outgoing, results, false).await.expect("record");
    spool.record(batch.outgoing, vec![failed()], false).await.expect("a failure counts once");

    let events = spool.bounce_events().await.expect("events");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].recipient.as_str(), "member000001@example.com");
    assert_eq!(events[0].reply, "550 5.1.1 no such user");
    assert_eq!(events[0].list_address, "ants@example.com");
    assert_eq!(events[0].message_id, "<m@example.com>");
    let queued = spool.outgoing().await.expect("queue").remove(0);
    assert_eq!((queued.waiting, queued.done, queued.last_reply.as_str()), (2, 2, "451 3600"));

    let again = next(&spool, 10).await;
    assert_eq!(addresses(&again), ["member000002@example.com"]);
    assert_eq!(again.recipients[0].attempts, 1);
    let soon = spool.next_due().await.expect("next").expect("one waits");
    assert!(soon >= queued.queued + 3600, "the leased one does not count: {soon}");
    spool.record(again.outgoing, delivered(&again), false).await.expect("record");
    assert!(spool.due(10).await.expect("due").is_none());

    assert_eq!(spool.retry_now(Some(batch.outgoing + 1)).await.expect("retry"), 0);
    assert_eq!(spool.retry_now(None).await.expect("retry"), 1);
    let last = next(&spool, 10).await;
    assert_eq!(addresses(&last), ["member000003@example.com"]);
    spool.record(last.outgoing, delivered(&last), false).await.expect("record");
    assert!(spool.outgoing().await.expect("queue").is_empty());
}

#[tokio::test]
async fn what_seems_to_be_due_later_than_any_retry_can_be_is_due() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"post", 2)]).await.expect("fan_out");
    let batch = next(&spool, 10).await;
    let far = DeliveryResult::Retry { after: Duration::from_hours(30 * 24), reply: "451 later".into() };
    let results = batch.recipients.iter().map(|one| (one.id, far.clone())).collect();
    spool.record(batch.outgoing, results, false).await.expect("record");
    let due = spool.next_due().await.expect("next").expect("two wait");
    assert!(due <= unix_now() + FARTHEST_TRY.as_secs() as i64, "nobody waits so long: {due}");
    assert!(spool.due(10).await.expect("due").is_none());

    // As if it had been planned before the clock was set back by a day.
    let later = unix_now() + 86_400;
    for table in ["recipient", "outgoing"] {
        let planned = format!("UPDATE {table} SET next_try = {later}");
        spool.change(move |db, _| db.execute(&planned, []).map(|_| ())).await.expect("changed");
    }
    let again = next(&spool, 10).await;
    assert_eq!(again.recipients.len(), 2);
    spool.record(again.outgoing, delivered(&again), false).await.expect("record");
    assert!(spool.outgoing().await.expect("queue").is_empty());
}

#[tokio::test]
async fn a_recipient_that_is_no_address_fails_and_keeps_nobody_awake() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"post", 2), outgoing(b"other", 1)]).await.expect("fan_out");
    let damage = |id: i64| {
        spool.change(move |db, _| db.execute("UPDATE recipient SET address = 'x' WHERE id = ?1", [id]).map(|_| ()))
    };
    damage(1).await.expect("damaged");
    damage(3).await.expect("damaged");
    let batch = next(&spool, 10).await;
    assert_eq!(addresses(&batch), ["member000001@example.com"]);
    spool.record(batch.outgoing, delivered(&batch), false).await.expect("record");
    assert!(spool.due(10).await.expect("due").is_none());
    assert_eq!(spool.next_due().await.expect("next"), None);
    assert!(spool.outgoing().await.expect("queue").is_empty());
    let events = spool.bounce_events().await.expect("events");
    assert_eq!(events.iter().map(|event| event.recipient.as_str()).collect::<Vec<_>>(), ["x", "x"]);
    assert!(events[0].reply.starts_with("the address in the spool is none"), "{}", events[0].reply);
}

#[tokio::test]
async fn a_huge_message_does_not_starve_a_small_one() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"huge", 1000)]).await.expect("fan_out");
    let huge = next(&spool, 10).await.outgoing;
    spool.fan_out(None, vec![outgoing(b"small", 15), outgoing(b"tiny", 1)]).await.expect("fan_out");
    let mut order = Vec::new();
    for _ in 0..6 {
        let batch = next(&spool, 10).await;
        order.push(batch.outgoing - huge);
        spool.record(batch.outgoing, delivered(&batch), false).await.expect("record");
    }
    assert_eq!(order, [0, 1, 2, 0, 1, 0]);
}

#[tokio::test]
async fn a_dropped_call_and_a_returned_batch_lease_nothing() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"post", 3)]).await.expect("fan_out");
    for _ in 0..50 {
        tokio::select! {
                    biased;
        batch = spool.due(10) => {
                        if let Some(batch) = batch.expect("due") {
                            spool.release(batch.outgoing, batch.recipients.iter().map(|one| one.id).collect());
                        }
                    }
                    () = tokio::task::yield_now() => {}
                }
    }
    // What is still running beside us ends by itself and then says so.
    while spool.due(10).await.expect("due").is_none_or(|batch| batch.recipients.len() != 3) {
        spool.outgoing_changed().notified().await;
    }
}

#[tokio::test]
async fn a_dropped_message_is_not_delivered_any_more() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(&vec![b'x'; MAX_INLINE + 1], 20)]).await.expect("fan_out");
    let batch = next(&spool, 10).await;
    let by_hand = Spool::open(dir.path(), &COMMAND).expect("a command beside the daemon");
    assert!(by_hand.drop_outgoing(batch.outgoing).await.expect("drop"));
    assert!(!by_hand.drop_outgoing(batch.outgoing).await.expect("gone"));
    assert!(spool.due(10).await.expect("due").is_none());
    spool.record(batch.outgoing, delivered(&batch), false).await.expect("record");
    assert!(body_files(dir.path()).is_empty());
}

#[tokio::test]
async fn large_bodies_go_through_files() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let mut writer = spool.body_writer();
    assert!(writer.is_empty());
    let line = [b'x'; 1000];
    for _ in 0..1000 {
        writer.write(&line).await.expect("write");
    }
    assert_eq!(writer.len(), 1_000_000);
    let body = writer.finish().await.expect("finish");
    assert!(matches!(body, Body::File(_)));
    let staged = body.clone();
    let message = spool.accept(Incoming { message: body, ..incoming(b"") }).await.expect("accept");
    drop(staged);
    assert_eq!(body_files(dir.path()).len(), 1);
    spool.close().await;

    let spool = open(dir.path());
    let bytes = spool.message(message).await.expect("message");
    assert!(bytes.len() == 1_000_000 && bytes.iter().all(|b| *b == b'x'));
    let arrival = spool.arrivals().await.expect("arrivals")[0].id;
    let post = Outgoing { message: bytes, ..outgoing(b"", 2) };
    spool.fan_out(Some(arrival), vec![post]).await.expect("fan_out");
    assert_eq!(body_files(dir.path()).len(), 1, "the incoming one went, the outgoing one came");
    let batch = next(&spool, 10).await;
    assert_eq!(batch.message.len(), 1_000_000);
    spool.record(batch.outgoing, delivered(&batch), false).await.expect("record");
    assert!(body_files(dir.path()).is_empty());
}

#[tokio::test]
async fn small_bodies_stay_in_memory() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let mut writer = spool.body_writer();
    writer.write(&vec![b'x'; MAX_INLINE]).await.expect("write");
    assert!(matches!(writer.finish().await.expect("finish"), Body::Memory(bytes) if bytes.len() == MAX_INLINE));
    assert!(body_files(dir.path()).is_empty());
}

#[tokio::test]
async fn a_body_that_nobody_accepts_is_removed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let mut writer = spool.body_writer();
    writer.write(&vec![0; MAX_INLINE * 2]).await.expect("write");
    assert_eq!(body_files(dir.path()).len(), 1);
    drop(writer);
    assert!(body_files(dir.path()).is_empty(), "the connection broke in DATA");
    let mut writer = spool.body_writer();
    writer.write(&vec![0; MAX_INLINE * 2]).await.expect("write");
    drop(writer.finish().await.expect("finish"));
    assert!(body_files(dir.path()).is_empty());
}

#[tokio::test]
async fn a_starting_daemon_removes_leftovers_only() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let large = vec![b'x'; MAX_INLINE + 1];
    spool.accept(incoming(&large)).await.expect("accept");
    spool.close().await;
    std::fs::write(dir.path().join("spool/bodies/crashed.tmp"), b"x").expect("leftover");
    std::fs::write(dir.path().join("spool/bodies/crashed"), b"x").expect("leftover");
    // A command beside it that is about to commit.
    let command = Spool::open(dir.path(), &COMMAND).expect("command");
    let mut writing = command.body_writer();
    writing.write(&large).await.expect("write");
    let mut written = command.body_writer();
    written.write(&large).await.expect("write");
    let written = written.finish().await.expect("finish");
    assert_eq!(body_files(dir.path()).len(), 5);

    let spool = open(dir.path());
    assert_eq!(body_files(dir.path()).len(), 3);
    for message in [written, writing.finish().await.expect("finish")] {
        command.accept(Incoming { message, ..incoming(b"") }).await.expect("accept");
    }
    for arrival in spool.arrivals().await.expect("arrivals") {
        assert_eq!(spool.message(arrival.message).await.expect("message").len(), large.len());
    }
}

#[tokio::test]
async fn messages_of_a_database_that_is_gone_are_set_aside_not_removed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let large = vec![b'x'; MAX_INLINE + 1];
    spool.accept(incoming(&large)).await.expect("accept");
    spool.close().await;
    let (name, database) = (body_files(dir.path()).remove(0), dir.path().join(DATABASE));
    std::fs::rename(&database, dir.path().join("old.db")).expect("move it away");
    // Whoever makes it anew, a command or the daemon, and whoever comes later.
    Spool::open(dir.path(), &COMMAND).expect("command").close().await;
    let spool = open(dir.path());
    assert!(body_files(dir.path()).is_empty());
    let orphan = dir.path().join("spool/orphans").join(name.file_name().expect("name"));
    assert!(std::fs::read(&orphan).expect("set aside") == large);
    spool.accept(incoming(&large)).await.expect("accept");
    spool.close().await;

    // The old one turns up.
    std::fs::rename(dir.path().join("old.db"), &database).expect("database");
    std::fs::rename(&orphan, &name).expect("message");
    let spool = open(dir.path());
    let arrival = spool.arrivals().await.expect("arrivals").remove(0);
    assert!(spool.message(arrival.message).await.expect("message")[..] == large);
}

#[tokio::test]
async fn a_message_whose_file_is_lost_is_put_off_and_shown() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(&vec![b'x'; MAX_INLINE + 1], 2), outgoing(b"good", 1)]).await.expect("fan_out");
    std::fs::remove_file(&body_files(dir.path())[0]).expect("remove");
    assert_eq!(&next(&spool, 10).await.message[..], b"good");
    assert!(spool.due(10).await.expect("due").is_none());
    let queued = spool.outgoing().await.expect("queue").remove(0);
    assert_eq!(queued.waiting, 2);
    assert!(queued.last_reply.contains("is gone") && queued.last_reply.contains("queue drop"), "{}", queued.last_reply);
}

#[tokio::test]
async fn a_second_daemon_is_refused_until_the_first_has_ended() {
    let dir = tempfile::tempdir().expect("tempdir");
    let first = open(dir.path());
    let error = Spool::open(dir.path(), &DAEMON).expect_err("in use");
    assert!(matches!(error, SpoolError::InUse { .. }));
    assert!(error.to_string().contains("spool/lock"), "{error}");
    Spool::open(dir.path(), &COMMAND).expect("a command may work beside it");
    first.close().await;
    open(dir.path());
}

#[tokio::test]
async fn several_processes_may_make_the_spool_at_once() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().to_owned();
    let openers: Vec<_> = (0..6)
        .map(|n| {
            let path = path.clone();
            let options = if n == 0 { DAEMON } else { COMMAND };
            tokio::task::spawn_blocking(move || Spool::open(&path, &options))
        })
        .collect();
    for opener in openers {
        let spool = opener.await.expect("thread").expect("open");
        spool.accept(incoming(b"x")).await.expect("accept");
    }
    let spool = open(dir.path());
    assert_eq!(spool.arrivals().await.expect("arrivals").len(), 6);
}

#[tokio::test]
async fn a_missing_data_directory_is_named() {
    let error = Spool::open(Path::new("/nonexistent/postrider"), &DAEMON).expect_err("missing").to_string();
    assert!(error.contains("/nonexistent/postrider") && error.contains("does not exist"), "{error}");
}

#[tokio::test]
async fn files_of_others_and_of_newer_versions_stay_untouched() {
    for (sql, matches) in [
        ("CREATE TABLE mailinglist (id INTEGER)", "is not a Postrider spool (application id 0x0)"),
        ("PRAGMA application_id = 0x12345678", "is not a Postrider spool (application id 0x12345678)"),
        ("PRAGMA application_id = 0x50727370; PRAGMA user_version = 99", "newer Postrider (schema 99"),
    ] {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("spool.db");
        Connection::open(&file).expect("open").execute_batch(sql).expect("sql");
        let before = std::fs::read(&file).expect("read");
        let error = Spool::open(dir.path(), &DAEMON).expect_err(sql).to_string();
        assert!(error.contains(matches), "{error}");
        assert_eq!(std::fs::read(&file).expect("read"), before, "{sql}");
    }
    let dir = tempfile::tempdir().expect("tempdir");
    std::fs::write(dir.path().join("spool.db"), "This is text. ".repeat(100)).expect("write");
    let error = Spool::open(dir.path(), &DAEMON).expect_err("text").to_string();
    assert!(error.contains("no SQLite file"), "{error}");
}

#[test]
fn a_statement_is_not_planned_anew_for_each_limit() {
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join("spool.db");
    let writer = schema::open_writer(&file, || Ok(())).expect("made");
    let reader = schema::open_reader(&file).expect("opened");
    for connection in [writer, reader] {
        let mut select =
            connection.prepare("SELECT id FROM body WHERE id > ?1 ORDER BY id LIMIT ?2").expect("prepared");
        for number in 0..5 {
            assert!(!select.exists([number, number + 1]).expect("asked"));
        }
        assert_eq!(select.get_status(rusqlite::StatementStatus::RePrepare), 0);
    }
}

#[tokio::test]
async fn a_new_spool_is_private_and_can_shrink() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.accept(incoming(&vec![0; MAX_INLINE + 1])).await.expect("accept");
    let mode = |path: &Path| path.metadata().expect("metadata").permissions().mode() & 0o777;
    for name in ["spool.db", "spool.db-wal", "spool.db-shm", "spool/lock"] {
        assert_eq!(mode(&dir.path().join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&body_files(dir.path())[0]), 0o600);
    assert_eq!(mode(&dir.path().join("spool/bodies")), 0o700);
    let pragma = |name: &'static str| {
        spool.change(move |db, _| db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)))
    };
    assert_eq!(pragma("auto_vacuum").await.expect("pragma"), 2);
    assert_eq!(pragma("synchronous").await.expect("pragma"), 2);
}

/// A footer with the recipient's name, for three recipients.
fn personal(message: &[u8]) -> Outgoing {
    let text = vec![Piece::Text("For ".into()), Piece::Own { own: OwnVariable::UserName }];
    let splices = Splices::new(vec![Splice { at: message.len(), form: Form::Text, text }], message).expect("splices");
    // The third has no name.
    let names = vec!["Anne".to_owned(), "Zo\u{eb} '\"; DROP TABLE recipient; --".to_owned()];
    Outgoing { personal: Some(Personal { splices, names }), ..outgoing(message, 3) }
}

#[tokio::test]
async fn what_is_each_recipients_own_is_kept_with_him() {
    let dir = tempfile::tempdir().expect("tempdir");
    let large = [&vec![b'x'; MAX_INLINE][..], b"\r\n"].concat();
    let backups = tempfile::tempdir().expect("tempdir");
    for message in [&b"A: b\r\n\r\nx\r\n"[..], &large] {
        let spool = open(dir.path());
        let letter = personal(message);
        spool.fan_out(None, vec![letter.clone()]).await.expect("fan_out");
        let backup = backups.path().join(message.len().to_string());
        spool.backup(&backup, || {}).await.expect("backup");
        spool.close().await;
        for place in [backup.as_path(), dir.path()] {
            let spool = open(place);
            let batch = next(&spool, 10).await;
            let wanted = letter.personal.clone().expect("personal");
            assert_eq!(batch.splices.as_deref(), Some(&wanted.splices));
            let names: Vec<&str> = batch.recipients.iter().map(|one| one.name.as_str()).collect();
            assert_eq!(names, [&wanted.names[0], &wanted.names[1], ""]);
            let shown = spool.outgoing().await.expect("outgoing");
            assert!(shown[0].personal && shown[0].size == message.len() as u64);
            spool.record(batch.outgoing, delivered(&batch), false).await.expect("record");
            assert!(spool.outgoing().await.expect("outgoing").is_empty());
            spool.close().await;
        }
    }
}

#[tokio::test]
async fn a_spool_of_the_first_version_is_brought_up_and_what_waits_in_it_goes_out() {
    let dir = tempfile::tempdir().expect("tempdir");
    let old = rusqlite::Connection::open(dir.path().join("spool.db")).expect("a database");
    old.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; {} PRAGMA application_id = {}; PRAGMA user_version = 1;
         INSERT INTO body (id, size, data) VALUES (5, 6, x'413a20620d0a');
         INSERT INTO outgoing (id, body, list, list_address, message_id, sender_kind, sender, queued)
         VALUES (9, 5, 7, 'ants@example.com', '<m@x>', 'verp', 'ants-bounces@example.com', 1);
         INSERT INTO recipient (outgoing, address, attempts) VALUES (9, 'a@x', 2), (9, 'b@x', 0);",
        schema::MIGRATIONS[0],
        schema::APPLICATION_ID
    ))
    .expect("an old spool");
    drop(old);
    let spool = open(dir.path());
    let batch = next(&spool, 10).await;
    assert_eq!((batch.outgoing, &batch.message[..], &batch.splices), (9, &b"A: b\r\n"[..], &None));
    assert_eq!(addresses(&batch), ["a@x", "b@x"]);
    assert_eq!((batch.recipients[0].attempts, batch.recipients[0].name.as_str()), (2, ""));
    spool.record(batch.outgoing, delivered(&batch), false).await.expect("record");
    spool.fan_out(None, vec![personal(b"x\r\n")]).await.expect("fan_out");
    assert!(next(&spool, 10).await.splices.is_some());
}

#[tokio::test]
async fn splices_that_cannot_be_read_put_the_message_off_with_the_reason() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![personal(b"x\r\n")]).await.expect("fan_out");
    let other = rusqlite::Connection::open(dir.path().join("spool.db")).expect("a database");
    for (splices, told) in [
        ("{\"splices\":[{\"at\":0,\"form\":\"of 2030\"}]}", "perhaps a newer version"),
        ("{\"splices\":[{\"at\":1,\"form\":\"text\"}]}", "no line begins there"),
    ] {
        other.execute("UPDATE outgoing SET splices = ?1", [splices]).expect("damage");
        spool.retry_now(None).await.expect("retry");
        assert!(spool.due(10).await.expect("due").is_none());
        let waiting = spool.outgoing().await.expect("outgoing");
        assert!(waiting[0].last_reply.contains(told), "{waiting:?}");
        assert_eq!((waiting[0].waiting, waiting[0].deferred), (3, 3));
    }
}

#[tokio::test]
async fn a_backup_taken_in_use_is_a_working_spool() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let large = vec![b'x'; MAX_INLINE + 1];
    spool.accept(incoming(&large)).await.expect("accept");
    spool.fan_out(None, vec![outgoing(b"post", 30)]).await.expect("fan_out");
    let batch = next(&spool, 10).await;
    spool.record(batch.outgoing, delivered(&batch), false).await.expect("record");
    // Large messages come and go meanwhile.
    let busy = tokio::spawn({
        let spool = spool.clone();
        let large = large.clone();
        async move {
            for _ in 0..30 {
                let message = spool.accept(incoming(&large)).await.expect("accept");
                let all = spool.arrivals().await.expect("arrivals");
                let arrival = all.iter().find(|one| one.message == message).expect("arrival").id;
                spool.finish(vec![arrival]).await.expect("finish");
            }
        }
    });
    let copies = tempfile::tempdir().expect("tempdir");
    for n in 0..5 {
        spool.backup(&copies.path().join(n.to_string()), || ()).await.expect("backup");
    }
    busy.await.expect("busy");
    let error = spool.backup(&copies.path().join("0"), || ()).await.expect_err("exists").to_string();
    assert!(error.contains("not empty"), "{error}");
    spool.accept(incoming(b"later")).await.expect("accept");
    assert_eq!(body_files(dir.path()).len(), 1, "what a backup kept is removed after it");

    for n in 0..5 {
        let restored = open(&copies.path().join(n.to_string()));
        for arrival in restored.arrivals().await.expect("arrivals") {
            assert_eq!(restored.message(arrival.message).await.expect("message")[..], large[..]);
        }
        assert_eq!(next(&restored, 100).await.recipients.len(), 20);
        let auto_vacuum = restored.read(|db| db.query_row("PRAGMA auto_vacuum", [], |row| row.get::<_, i64>(0))).await;
        assert_eq!(auto_vacuum.expect("pragma"), 2);
    }
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
async fn queries_use_their_indexes() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    for (sql, index) in [
        (
            "SELECT id FROM recipient WHERE outgoing = 1 AND next_try <= 2 ORDER BY next_try, id",
            "COVERING INDEX recipient_due",
        ),
        ("SELECT min(next_try) FROM recipient WHERE outgoing = 1", "COVERING INDEX recipient_due"),
        ("DELETE FROM recipient WHERE id IN (SELECT value FROM rarray(NULL)) AND +outgoing = 1", "PRIMARY KEY"),
        ("SELECT id FROM outgoing WHERE next_try <= 1", "COVERING INDEX outgoing_due"),
        ("SELECT id, next_try FROM outgoing ORDER BY next_try", "COVERING INDEX outgoing_due"),
        ("SELECT id FROM arrival WHERE state = 'new' AND id > 1 ORDER BY id LIMIT 2", "COVERING INDEX arrival_state"),
        ("SELECT 1 FROM body WHERE file = 'x'", "body_file"),
    ] {
        let plan: Vec<String> = spool
            .change(move |db, _| {
                db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?.query_map([], |row| row.get(3))?.collect()
            })
            .await
            .expect("plan");
        assert!(plan[0].contains(index), "{sql}: {plan:?}");
        assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE")), "{sql}: {plan:?}");
    }
}

/// Figures, no judgement: `cargo test --release -p postrider --lib spool::tests::figures -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures only"]
async fn figures() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    for sessions in [1, 10, 30, 200] {
        let (start, commits, each) = (Instant::now(), spool.commits(), 3000 / sessions);
        let tasks: Vec<_> = (0..sessions)
            .map(|_| {
                let spool = spool.clone();
                tokio::spawn(async move {
                    for _ in 0..each {
                        spool.accept(incoming(&[b'x'; 4096])).await.expect("accept");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("task");
        }
        let rate = f64::from(sessions * each) / start.elapsed().as_secs_f64();
        println!("accept 4 KiB, {sessions:3} sessions: {rate:7.0}/s, {} commits", spool.commits() - commits);
    }
    let message = outgoing(&[b'x'; 4096], 100_000);
    let start = Instant::now();
    spool.fan_out(None, vec![message]).await.expect("fan_out");
    println!("fan_out to 100,000: {:?}", start.elapsed());
    for (limit, workers) in [(10, 1), (10, 20), (500, 20)] {
        spool.retry_now(None).await.expect("retry");
        let (start, commits) = (Instant::now(), spool.commits());
        let batches = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..workers)
            .map(|_| {
                let (spool, batches) = (spool.clone(), batches.clone());
                tokio::spawn(async move {
                    while batches.fetch_add(1, Ordering::Relaxed) < 20_000 / limit as u64
                        && let Some(batch) = spool.due(limit).await.expect("due")
                    {
                        spool.record(batch.outgoing, delivered(&batch), false).await.expect("record");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("task");
        }
        let count = 20_000 / limit as u32;
        println!(
            "due + record of {limit:3}, {workers:2} workers: {:?} a batch, {} commits for {count} batches",
            start.elapsed() / count,
            spool.commits() - commits
        );
    }
}

#[tokio::test]
async fn many_recipients_are_retried_and_dropped_in_portions_and_only_those_who_are_meant() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let many = 2 * AT_A_TIME + 500;
    let messages = vec![outgoing(b"first", 3), outgoing(b"many", many), outgoing(b"last", 3)];
    spool.fan_out(None, messages).await.expect("fan_out");
    let ids: Vec<i64> = spool.outgoing().await.expect("queue").iter().map(|one| one.id).collect();
    let by_address = |address: &str| RecipientFilter { address: Some(address.into()), reply: None };
    let by_reply = |reply: &str| RecipientFilter { address: None, reply: Some(reply.into()) };
    assert_eq!(next(&spool, 10).await.outgoing, ids[0]);
    let batch = next(&spool, many).await;
    assert_eq!((batch.outgoing, batch.recipients.len()), (ids[1], many));
    let later = |n: usize| DeliveryResult::Retry {
        after: Duration::from_hours(1),
        reply: format!("450 {}", if n.is_multiple_of(2) { "Greylisted" } else { "mailbox full" }),
    };
    let results = batch.recipients.iter().enumerate().map(|(n, one)| (one.id, later(n))).collect();
    spool.record(batch.outgoing, results, false).await.expect("record");

    let half = many as u64 / 2;
    assert_eq!(spool.retry_recipients(ids[1], &by_reply("nobody said this")).await.expect("retry"), 0);
    assert_eq!(spool.retry_recipients(ids[1], &by_reply("greyLISTED")).await.expect("retry"), half);
    assert_eq!(spool.retry_recipients(ids[1], &by_address("Member020001@EXAMPLE.com")).await.expect("retry"), 1);
    let queued = async |id: i64| spool.look(move |queues| queues.outgoing(id)).await.expect("look");
    let state = queued(ids[1]).await.expect("the message");
    assert_eq!((state.waiting, state.deferred), (many as u64, half - 1));
    let id = ids[1];
    let replies = spool.look(move |queues| queues.replies(id, 10)).await.expect("look");
    assert_eq!((replies.len(), replies[0].recipients, replies[0].attempts), (1, half - 1, (1, 1)));

    assert_eq!(spool.drop_recipients(ids[1], &by_address("member000007@example.com")).await.expect("drop"), 1);
    assert_eq!(spool.drop_recipients(ids[1], &by_reply("mailbox")).await.expect("drop"), half - 1);
    assert!(spool.drop_outgoing(ids[1]).await.expect("drop"));
    assert!(queued(ids[1]).await.is_none());
    for id in [ids[0], ids[2]] {
        assert_eq!(queued(id).await.map(|one| one.waiting), Some(3), "others keep theirs");
    }
}

#[tokio::test]
async fn progress_tells_who_is_leased_and_how_fast_it_goes() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"post", 40)]).await.expect("fan_out");
    assert!(spool.progress().is_empty());
    let batch = next(&spool, 30).await;
    let progress = spool.progress();
    assert_eq!((progress.len(), progress[0].outgoing, progress[0].leased.len()), (1, batch.outgoing, 30));
    let all = delivered(&batch);
    spool.record(batch.outgoing, all[..20].to_vec(), false).await.expect("record");
    let progress = spool.progress();
    assert_eq!(progress[0].leased.len(), 10);
    // 20 in less than half a second, which counts as half a second.
    assert!((0.5..=40.0).contains(&progress[0].per_second), "{progress:?}");
    spool.record(batch.outgoing, all[20..].to_vec(), false).await.expect("record");
    let rest = next(&spool, 30).await;
    spool.record(rest.outgoing, delivered(&rest), false).await.expect("record");
    assert!(spool.progress().is_empty(), "it is done");
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
async fn a_snapshot_stays_as_it_was_while_others_change_the_queues() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"post", 3)]).await.expect("fan_out");
    let (looked, seen) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let other = spool.clone();
    let look = tokio::spawn(async move {
        let look = other.look(move |queues| {
            let before = queues.summary()?;
            looked.send(()).expect("the test");
            may_go_on.recv().expect("the test");
            Ok((before, queues.summary()?))
        });
        look.await
    });
    tokio::task::spawn_blocking(move || seen.recv()).await.expect("task").expect("the snapshot");
    let id = spool.outgoing().await.expect("queue")[0].id;
    assert!(spool.drop_outgoing(id).await.expect("drop"));
    go_on.send(()).expect("the snapshot");
    let (before, after) = look.await.expect("task").expect("look");
    assert_eq!(before, after);
    assert_eq!((before.outgoing, before.recipients), (1, 3));
    assert_eq!(spool.summary().await.expect("summary"), QueueSummary::default());
}

#[tokio::test]
async fn a_message_that_nobody_waits_for_is_cleaned_up_and_keeps_nobody_awake() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"for nobody", 2), outgoing(b"for later", 1)]).await.expect("queued");
    let ids: Vec<i64> = spool.outgoing().await.expect("queue").iter().map(|one| one.id).collect();
    let later = unix_now() + 3600;
    // What the repair of a damaged file may leave.
    let repaired = Connection::open(dir.path().join(DATABASE)).expect("another process");
    repaired.execute("DELETE FROM recipient WHERE outgoing = ?1", [ids[0]]).expect("sql");
    repaired.execute("UPDATE recipient SET next_try = ?2 WHERE outgoing = ?1", [ids[1], later]).expect("sql");
    assert_eq!(spool.next_due().await.expect("next"), Some(later), "nobody is due now");
    let looked = tokio::time::timeout(Duration::from_secs(20), spool.due(10));
    assert!(looked.await.expect("an end").expect("due").is_none());
    let left = spool.outgoing().await.expect("queue");
    assert_eq!(left.iter().map(|one| (one.id, one.next_try)).collect::<Vec<_>>(), [(ids[1], later)]);
    assert_eq!(spool.summary().await.expect("summary").outgoing, 1);
}

#[tokio::test]
async fn a_spool_that_was_closed_is_free_whoever_has_inherited_its_lock() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    // As a process that is just being started has it, until it runs its program.
    let inherited = locked(&spool.inner.lock).as_ref().expect("the daemon's").try_clone().expect("a copy");
    assert!(matches!(Spool::open(dir.path(), &DAEMON), Err(SpoolError::InUse { .. })));
    spool.close().await;
    open(dir.path()).close().await;
    drop(inherited);
}

#[tokio::test]
async fn what_is_browsed_holds_up_nobody_and_is_told_once() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let many = 2 * look::PORTION + 10;
    let came = Incoming { recipients: vec![recipient(Subaddress::Post); many], ..incoming(b"came") };
    spool.accept(came).await.expect("accept");
    spool.fan_out(None, (0..many).map(|_| outgoing(b"one of many", 1)).collect()).await.expect("fan_out");
    spool.fan_out(None, vec![outgoing(b"for many", many)]).await.expect("fan_out");
    let last = spool.outgoing().await.expect("queue").last().map(|one| one.id).expect("a message");
    let other = Connection::open(dir.path().join(DATABASE)).expect("another process");
    other.execute_batch("PRAGMA busy_timeout = 0").expect("pragma");
    let told = spool.browse(move |queues| {
        let mut told = [Vec::new(), Vec::new(), Vec::new()];
        // Somebody who reads slowly: of the third what goes and comes meanwhile is in the next portion.
        let waits = |table: &str, told: &mut Vec<i64>, id: i64| {
            told.push(id);
            if told.len() == 3 {
                let gone = told[0] + look::PORTION as i64 + 1;
                other.execute(&format!("DELETE FROM {table} WHERE id IN (?1, ?2)"), [told[0], gone]).expect("sql");
                let busy = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
                assert_eq!(busy, Ok(0), "{table}: the log is in use");
            }
        };
        queues.each_arrival(&ArrivalFilter::default(), |one| waits("arrival", &mut told[0], one.id))?;
        queues.each_outgoing(&OutgoingFilter::default(), |one| waits("outgoing", &mut told[1], one.id))?;
        queues.each_recipient(last, &RecipientFilter::default(), |one| waits("recipient", &mut told[2], one.id))?;
        Ok(told)
    });
    for (told, all) in told.await.expect("browse").into_iter().zip([many, many + 1, many]) {
        let expected: Vec<i64> = (told[0]..).take(all).filter(|id| *id != told[0] + look::PORTION as i64 + 1).collect();
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn a_message_whose_content_is_lost_waits_with_the_reason_and_holds_up_nobody() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"lost", 2)]).await.expect("queued");
    // What the repair of a damaged file may leave.
    let repaired = Connection::open(dir.path().join(DATABASE)).expect("another process");
    repaired.execute("DELETE FROM body", []).expect("sql");
    drop(spool);
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"whole", 1)]).await.expect("queued");
    let looked = async {
        let batch = next(&spool, 10).await;
        assert_eq!(&batch.message[..], b"whole");
        assert!(spool.due(10).await.expect("due").is_none(), "the other one is put off");
    };
    tokio::time::timeout(Duration::from_secs(10), looked).await.expect("an end");
    let waiting = &spool.outgoing().await.expect("queue")[0];
    assert!(waiting.last_reply.contains("is lost") && waiting.last_reply.contains("queue drop"), "{waiting:?}");
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

#[test]
fn the_recipe_for_a_damaged_file_makes_one_of_this_version() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/durability.md");
    let recipe = std::fs::read_to_string(document).expect("the document");
    let wanted =
        format!("application_id = 0x{:x}; PRAGMA user_version = {};", schema::APPLICATION_ID, schema::MIGRATIONS.len());
    assert!(recipe.contains(&wanted), "{wanted}");
}

#[tokio::test]
async fn what_is_dealt_with_while_it_is_read_is_gone_and_what_is_lost_is_an_error() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let large = vec![b'x'; MAX_INLINE + 1];
    spool.accept(incoming(&large)).await.expect("accept");
    spool.fan_out(None, vec![outgoing(&large, 1)]).await.expect("queued");
    let database = dir.path().join(DATABASE);
    let bodies = dir.path().join("spool/bodies");
    for row_goes_too in [false, true] {
        let (database, bodies) = (database.clone(), bodies.clone());
        let read = spool.browse(move |queues| {
            // As the daemon would, between the row and the file.
            let done = || {
                if row_goes_too {
                    let daemon = Connection::open(&database).expect("another process");
                    daemon.execute_batch("DELETE FROM arrival; DELETE FROM outgoing").expect("sql");
                }
                for file in std::fs::read_dir(&bodies).expect("bodies") {
                    std::fs::remove_file(file.expect("entry").path()).expect("remove");
                }
            };
            let came = queues.of_arrival(1, |queues, one| {
                done();
                queues.message(&one)
            });
            let goes = queues.of_outgoing(1, |queues, one| queues.outgoing_message(one.id));
            Ok((came, goes))
        });
        let (came, goes) = read.await.expect("the queues");
        if row_goes_too {
            assert!(matches!((&came, &goes), (Ok(None), Ok(None))), "{came:?} {goes:?}");
        } else {
            for error in [came.expect_err("lost"), goes.expect_err("lost")] {
                assert!(error.to_string().contains("the file of this message is gone; put it back"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_row_with_a_number_that_is_none_hides_nothing_else() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.fan_out(None, vec![outgoing(b"odd", 2), outgoing(b"good", 2)]).await.expect("queued");
    let other = Connection::open(dir.path().join(DATABASE)).expect("another process");
    other
        .execute_batch(
            "UPDATE outgoing SET done = 9223372036854775807 + 1 WHERE id = 1;
             UPDATE recipient SET attempts = 4294967296 WHERE id = 1;
             UPDATE recipient SET attempts = -1 WHERE id = 2;",
        )
        .expect("sql");
    let done: Vec<u64> = spool.outgoing().await.expect("queue").iter().map(|one| one.done).collect();
    assert_eq!(done, [i64::MAX as u64, 0]);
    let tries = spool.look(|queues| {
        let mut tries = Vec::new();
        queues.each_recipient(1, &RecipientFilter::default(), |one| tries.push(one.attempts))?;
        Ok(tries)
    });
    assert_eq!(tries.await.expect("recipients"), [u32::MAX, 0]);
    for message in [&b"odd"[..], b"good"] {
        let batch = next(&spool, 10).await;
        assert_eq!((&batch.message[..], batch.recipients.len()), (message, 2));
    }
}
