//! Mail that came in, until it is distributed, kept or gone.

use super::*;

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
