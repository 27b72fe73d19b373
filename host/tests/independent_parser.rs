//! What we say is understood by others: a parser that we did not write (smtp-proto) reads our LHLO reply
//! and the commands that delivery writes.
//!
//! Our own readers exist because that parser is more lenient than a server may be: it takes `<a\rb@d>` for
//! `ab@d`, drops the quotes of `"a b"@d`, and takes a reply whose lines disagree for its first line.

use postrider::{
    config::ListenAddress,
    deliver::{
        Deliverer, DeliverySettings, Outgoing,
        memory::MemoryQueue,
        session::Target,
        sink::{Script, Sink},
    },
    lists::EmailAddress,
    lmtp::{self, StoreDirectory},
    spool::{EnvelopeSender, Outgoing as Message, Spool, SpoolOptions},
    store::Store,
};
use smtp_proto::{
    EXT_8BIT_MIME, EXT_ENHANCED_STATUS_CODES, EXT_PIPELINING, EXT_SIZE, EXT_SMTP_UTF8, EhloResponse, Request,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{oneshot, watch},
};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn our_lhlo_reply_offers_what_we_promise() {
    let directory = tempfile::tempdir().expect("directory");
    let database = postrider::config::DatabaseUrl::Sqlite(directory.path().join("postrider.db"));
    let store = Store::open(&database).await.expect("store");
    let options = SpoolOptions { min_free_space: 0, exclusive: true };
    let spool = Spool::open(directory.path(), &options).expect("spool");
    let owner = EmailAddress::parse("owner@example.org").expect("address");
    let server = lmtp::Server::new(lmtp::Settings::new(owner), StoreDirectory::new(store, "+"), spool);
    let server = server.bind(&[ListenAddress::Tcp("127.0.0.1".into(), 0)]).await.expect("listener");
    let address = server.addresses()[0].to_string();
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(server.run(stopped));

    let mut client = TcpStream::connect(address).await.expect("connection");
    client.write_all(b"LHLO mta.example.com\r\nQUIT\r\n").await.expect("write");
    let mut dialogue = String::new();
    client.read_to_string(&mut dialogue).await.expect("dialogue");
    let reply = dialogue.split_once("\r\n").expect("a greeting").1;
    let offer = EhloResponse::parse(&mut reply.as_bytes().iter()).expect("a reply to LHLO");
    for (extension, name) in [
        (EXT_PIPELINING, "PIPELINING"),
        (EXT_ENHANCED_STATUS_CODES, "ENHANCEDSTATUSCODES"),
        (EXT_8BIT_MIME, "8BITMIME"),
        (EXT_SMTP_UTF8, "SMTPUTF8"),
        (EXT_SIZE, "SIZE"),
    ] {
        assert!(offer.capabilities & extension != 0, "{name} is missing in {reply}");
    }
    assert_eq!(offer.size, 32 << 20);
}

#[tokio::test]
async fn our_commands_say_what_we_mean() {
    let recipients = ["anne@example.org", "user+tag@example.com", "O'Neil@EXAMPLE.net", "grüße@example.org"];
    let sink = Sink::start(Script::default()).await.expect("sink");
    let settings = DeliverySettings::for_target(Target::plain("127.0.0.1", sink.address().port()));
    let queue = Arc::new(MemoryQueue::new(true));
    let message = Message {
        list: None,
        list_address: "ants@lists.example.com".into(),
        message_id: String::new(),
        sender: EnvelopeSender::Verp("ants-bounces@lists.example.com".into()),
        message: Arc::from(&b"Subject: x\r\n\r\nHello.\r\n"[..]),
        recipients: recipients.iter().map(|text| EmailAddress::parse(text).expect("address")).collect(),
        personal: None,
    };
    queue.push(&message, Duration::ZERO);
    let (stop, stopped) = oneshot::channel::<()>();
    let deliverer = Deliverer::new(settings, Arc::clone(&queue), Outgoing::Smtp);
    let task = tokio::spawn(deliverer.run(async {
        let _ = stopped.await;
    }));
    tokio::time::timeout(PATIENCE, sink.wait_for(recipients.len())).await.expect("delivery");
    let _ = stop.send(());
    task.await.expect("its end");

    let mut understood = Vec::new();
    for line in sink.dialogues().concat() {
        let line = format!("{}\r\n", line.trim_end());
        match Request::parse(&mut line.as_bytes().iter()) {
            Ok(Request::Mail { from }) => assert!(from.address.starts_with("ants-bounces+"), "{line}"),
            Ok(Request::Rcpt { to }) => understood.push(to.address.into_owned()),
            Ok(_) => {}
            Err(error) => panic!("{line:?}: {error:?}"),
        }
    }
    understood.sort_by_key(|address| recipients.iter().position(|one| one == address));
    assert_eq!(understood, recipients);
}
