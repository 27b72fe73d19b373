//! Where the octets of messages are.

use super::*;

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
