//! A stop while clients are connected.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::lmtp::Settings;
use crate::lmtp::fakes::settings;
use crate::lmtp::running::start;

const TO_DATA: &str = "MAIL FROM:<>\r\nRCPT TO:<ants@lists.example>\r\nDATA\r\n";

#[test]
fn idle_sessions_are_told_and_nobody_new_is_let_in() {
    let server = start(settings());
    let mut idle = server.client();
    let mut between = server.client();
    between.ask("MAIL FROM:<>");
    server.ask_to_stop();
    assert!(idle.reply().starts_with("421 4.3.2"));
    assert!(between.reply().starts_with("421 4.3.2"));
    let (address, socket) = (server.address, server.socket.clone());
    drop((idle, between));
    server.stop();
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(!socket.exists(), "the Unix socket was removed");
}

#[test]
fn a_message_in_transfer_may_finish() {
    let server = start(settings());
    let mut idle = server.client();
    let mut client = server.client();
    client.send(TO_DATA);
    for code in ["250 ", "250 ", "354 "] {
        assert!(client.reply().starts_with(code));
    }
    client.send("first half ");
    server.ask_to_stop();
    assert!(idle.reply().starts_with("421 "), "the stop is under way");
    client.send("second half\r\n.\r\n");
    assert!(client.reply().starts_with("250 2.0.0"));
    assert!(client.reply().starts_with("421 4.3.2"));
    drop((client, idle));
    let spool = server.stop();
    let kept = spool.kept.lock().expect("lock");
    assert_eq!(kept[0].content(), b"first half second half\r\n");
}

#[test]
fn a_message_that_does_not_finish_in_time_is_cut_and_not_queued() {
    let server = start(Settings { stop_grace: Duration::from_millis(50), ..settings() });
    let mut client = server.client();
    client.send(TO_DATA);
    for code in ["250 ", "250 ", "354 "] {
        assert!(client.reply().starts_with(code));
    }
    client.send("half");
    server.ask_to_stop();
    assert!(client.reply().starts_with("421 4.3.2"));
    drop(client);
    let spool = server.stop();
    assert!(spool.kept.lock().expect("lock").is_empty());
    assert_eq!(spool.open.load(Ordering::SeqCst), 0);
}

#[test]
fn a_commit_under_way_is_awaited_and_answered() {
    let server = start(settings());
    server.spool.slow.store(true, Ordering::SeqCst);
    let mut client = server.client();
    client.send(format!("{TO_DATA}x\r\n.\r\n"));
    let wait = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    wait.block_on(server.spool.called.notified());
    server.ask_to_stop();
    server.spool.go_on.notify_one();
    for code in ["250 ", "250 ", "354 ", "250 2.0.0 Accepted", "421 4.3.2"] {
        assert!(client.reply().starts_with(code));
    }
    drop(client);
    assert_eq!(server.stop().kept.lock().expect("lock").len(), 1);
}
