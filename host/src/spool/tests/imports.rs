//! What `queue import` asks of the spool.

use super::*;

fn exported(recipients: &[&str]) -> ImportedOutgoing {
    let recipient = |address: &&str| QueuedRecipient {
        id: 0,
        address: format!("{address}@example.com"),
        name: String::new(),
        attempts: 2,
        next_try: 0,
        reply: "451 later".into(),
    };
    ImportedOutgoing {
        id: 5,
        list: Some(7),
        list_address: "ants@example.com".into(),
        message_id: "<m@example.com>".into(),
        sender: EnvelopeSender::Null,
        queued: 1_790_000_000,
        done: 3,
        last_reply: String::new(),
        message: Arc::from(&b"post"[..]),
        splices: None,
        recipients: recipients.iter().map(recipient).collect(),
    }
}

/// How many were queued, imported before, and never left.
async fn import(spool: &Spool, again: bool, outgoing: ImportedOutgoing) -> [u64; 3] {
    let outcome = spool.import_outgoing("import x".into(), again, outgoing).await.expect("import");
    [outcome.queued, outcome.before, outcome.still_here]
}

/// Who waits in each message.
async fn waiting(spool: &Spool) -> Vec<Vec<String>> {
    let all = spool.look(|queues| {
        let mut numbers = Vec::new();
        queues.each_outgoing(&OutgoingFilter::default(), |one| numbers.push(one.id))?;
        let mut all = Vec::new();
        for number in numbers {
            let mut addresses = Vec::new();
            queues.each_recipient(number, &RecipientFilter::default(), |one| addresses.push(one.address))?;
            all.push(addresses.iter().map(|address| address.replace("@example.com", "")).collect());
        }
        Ok(all)
    });
    all.await.expect("the queue")
}

#[tokio::test]
async fn a_recipient_who_was_imported_is_known_again_whoever_comes_with_him() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = Spool::open(dir.path(), &DAEMON).expect("open");
    // Number 5 is here still, and bart and carla wait for it; anne was dropped.
    let here = exported(&["bart", "carla"]);
    assert_eq!(import(&spool, false, here).await, [2, 0, 0]);
    let renumber = |db: &Connection, _: &mut Effects| {
        db.execute_batch("UPDATE outgoing SET id = 5; UPDATE recipient SET outgoing = 5; DELETE FROM origin")
    };
    spool.change(renumber).await.expect("sql");

    assert_eq!(import(&spool, false, exported(&["anne", "bart", "carla"])).await, [1, 0, 2]);
    assert_eq!(waiting(&spool).await, [&["bart", "carla"][..], &["anne"]]);
    let done: Vec<u64> = spool.outgoing().await.expect("queue").iter().map(|one| one.done).collect();
    assert_eq!(done, [3, 0], "counted once");
    // It is gone: those who were in it come back, anne is here already.
    assert!(spool.drop_outgoing(5).await.expect("drop"));
    assert_eq!(import(&spool, false, exported(&["anne", "bart", "carla"])).await, [2, 1, 0]);
    assert_eq!(waiting(&spool).await, [&["anne"][..], &["bart", "carla"]]);
    // Also in other company, and in another order.
    assert_eq!(import(&spool, false, exported(&["zoe", "carla", "anne"])).await, [1, 2, 0]);
    assert_eq!(import(&spool, false, exported(&["bart"])).await, [0, 1, 0]);
    assert_eq!(waiting(&spool).await, [&["anne"][..], &["bart", "carla"], &["zoe"]]);
}

#[tokio::test]
async fn what_is_wanted_again_is_queued_again_and_known_afterwards() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = Spool::open(dir.path(), &DAEMON).expect("open");
    for (again, outcome) in [(true, [1, 0, 0]), (false, [0, 1, 0]), (true, [1, 0, 0])] {
        assert_eq!(import(&spool, again, exported(&["anne"])).await, outcome, "{again}");
    }
    for (again, outcome) in [(false, [1, 1, 0]), (true, [2, 0, 0])] {
        assert_eq!(import(&spool, again, exported(&["bart", "anne", "bart"])).await, outcome, "twice in it: {again}");
    }
    let arrival = |received| {
        let recipient = IncomingRecipient {
            list: 7,
            list_address: "ants@example.com".into(),
            function: Subaddress::Post,
            recipient: "ants@example.com".into(),
            detail: None,
        };
        let arrival = Arrival {
            id: 1,
            message: 0,
            sender: None,
            recipient,
            state: ArrivalState::New,
            reason: String::new(),
            received,
            size: 4,
            damaged: false,
        };
        ImportedArrival { arrival, message: Arc::from(&b"post"[..]) }
    };
    let mut outcomes = Vec::new();
    for again in [true, false, true, false] {
        // It gets the number that it had, so it is here still.
        outcomes.push(spool.import_arrival("import y".into(), again, arrival(1_790_000_000)).await.expect("import"));
    }
    assert_eq!(outcomes, [Import::Queued, Import::StillHere, Import::Queued, Import::StillHere]);
    for one in spool.arrivals().await.expect("arrivals") {
        assert!(spool.drop_arrival(one.id).await.expect("drop"));
    }
    let outcome = spool.import_arrival("import y".into(), false, arrival(1_790_000_000)).await.expect("import");
    assert_eq!(outcome, Import::Before);
}
