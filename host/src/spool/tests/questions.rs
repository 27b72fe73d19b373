//! What is asked of the queues, and changed in them by hand.

use super::*;
use std::sync::mpsc;

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

/// Figures, no judgement: `cargo test --release -p postrider --lib spool::tests::questions::figures -- --ignored --nocapture`.
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
