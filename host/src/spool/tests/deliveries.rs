//! Mail that goes out, recipient by recipient.

use super::*;

async fn bounces(spool: &Spool, filter: BounceFilter) -> Vec<BounceEvent> {
    let told = spool.browse(move |queues| {
        let mut told = Vec::new();
        queues.each_bounce(&filter, |event| told.push(event))?;
        Ok(told)
    });
    told.await.expect("browse")
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
    assert!(bounces(&spool, BounceFilter::default()).await.is_empty());
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
    assert_eq!(bounces(&spool, BounceFilter::default()).await.len(), 21);
    age(2).await.expect("aged");
    fail(21..26).await.expect("recorded");
    let kept = bounces(&spool, BounceFilter::default()).await;
    assert_eq!(kept.iter().map(|event| event.id).collect::<Vec<_>>(), (21..=26).collect::<Vec<_>>());
    assert_eq!(spool.bounce_event(21).await.expect("read").as_ref(), Some(&kept[0]));
    assert_eq!(spool.bounce_event(1).await.expect("read"), None);
}

#[tokio::test]
async fn permanent_failures_are_told_of_one_list_or_one_recipient() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let many = look::PORTION + 2;
    let other = Outgoing { list_address: "bees@example.com".into(), ..outgoing(b"other", 2) };
    spool.fan_out(None, vec![outgoing(b"post", many), other]).await.expect("fan_out");
    while let Some(batch) = spool.due(1000).await.expect("due") {
        let failed = |one: &DueRecipient| (one.id, DeliveryResult::Failed { reply: "550 5.1.1 no".into() });
        spool.record(batch.outgoing, batch.recipients.iter().map(failed).collect(), false).await.expect("recorded");
    }
    let told = async |list: Option<&str>, recipient: Option<&str>| {
        let filter = BounceFilter { list: list.map(str::to_owned), recipient: recipient.map(str::to_owned) };
        bounces(&spool, filter).await.len()
    };
    assert_eq!(told(None, None).await, many + 2);
    assert_eq!(told(Some("bees@example.com"), None).await, 2);
    assert_eq!(told(None, Some("Member000001@EXAMPLE.com")).await, 2);
    assert_eq!(told(Some("ants@example.com"), Some("member000001@example.com")).await, 1);
    assert_eq!(told(Some("cats@example.com"), None).await, 0);
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

    let events = bounces(&spool, BounceFilter::default()).await;
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
    let events = bounces(&spool, BounceFilter::default()).await;
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
