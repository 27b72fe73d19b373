//! What may stand in a message, and what does not end it.

use std::sync::atomic::Ordering;

use crate::lmtp::Settings;
use crate::lmtp::client::Client;
use crate::lmtp::fakes::settings;
use crate::lmtp::running::{Running, start};
use crate::spool::SpoolError;

/// Sends MAIL, RCPT (twice) and DATA.
fn begin(client: &mut Client) {
    client.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<ants@lists.example>\r\nRCPT TO:<bees@lists.example>\r\nDATA\r\n");
    for code in ["250 ", "250 ", "250 ", "354 "] {
        assert!(client.reply().starts_with(code));
    }
}

/// Both replies after the dot; they must be the same, and nothing may follow.
fn both(client: &mut Client) -> String {
    let (first, second) = (client.reply(), client.reply());
    assert_eq!(first, second);
    assert_eq!(client.ask("NOOP"), "250 2.0.0 OK");
    first
}

fn send(server: &Running, message: &[u8]) -> String {
    let mut client = server.client();
    begin(&mut client);
    client.send(message);
    both(&mut client)
}

#[test]
fn a_message_is_not_judged_by_its_content() {
    let server = start(settings());
    let long = [&b"Subject: "[..], &vec![b'x'; 100_000], b"\r\n\r\n.\r\n"].concat();
    let broken_mime =
        b"Content-Type: multipart/mixed\r\nMIME-Version: x\r\nContent-Transfer-Encoding: 9bit\r\n\r\n--\r\n.\r\n";
    for message in [
        &b".\r\n"[..],
        b"\r\n.\r\n",
        b"no header\r\n.\r\n",
        b" starts with a blank\r\n\r\n.\r\n",
        b"Subject: \xff\xfe\xe4\r\nMessage-ID: <\xf6@x>\r\n\r\n\x80\r\n.\r\n",
        b"Subject: n\0l\r\n\r\n\0\0\r\n.\r\n",
        broken_mime,
        &long,
    ] {
        let reply = send(&server, message);
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
        let kept = server.kept().pop().expect("kept");
        assert_eq!(kept.content(), &message[..message.len() - 3], "octet for octet");
    }
}

#[test]
fn no_other_sequence_than_crlf_dot_crlf_ends_a_message() {
    let server = start(settings());
    for fake_end in ["\n.\n", "\r.\r", "\r\n.\n", "\n.\r\n", "\r.\r\n", "\r\n.\r", "\n\r.\r\n", "\r\n.\0\r\n"] {
        let evil = "MAIL FROM:<evil@b.example>\r\nRCPT TO:<bees@lists.example>\r\nDATA\r\nevil\r\n";
        let message = format!("good{fake_end}{evil}.\r\n");
        let before = server.kept().len();
        let reply = send(&server, message.as_bytes());
        assert!(reply.starts_with("250 "));
        let kept = server.kept();
        assert_eq!(kept.len(), before + 1, "{fake_end:?} has smuggled a message");
        let content = String::from_utf8_lossy(kept[before].content()).into_owned();
        assert!(content.ends_with(evil), "{content:?}");
        let without_crlf = content.replace("\r\n", "");
        assert!(!without_crlf.contains(['\r', '\n']), "bare CR or LF is left: {content:?}");
    }
}

#[test]
fn a_fake_end_is_none_wherever_the_network_cuts_it() {
    let server = start(settings());
    let message = b"a\n.\r\nMAIL FROM:<evil@b.example>\r\n.\nb\r\n..\r\n.\r\n";
    for cut in 1..message.len() {
        let mut client = server.client();
        begin(&mut client);
        client.send(&message[..cut]);
        std::thread::sleep(std::time::Duration::from_millis(2)); // so that it mostly is two segments
        client.send(&message[cut..]);
        assert!(both(&mut client).starts_with("250 "));
        let content = server.kept().pop().expect("kept").content().to_vec();
        assert_eq!(content, b"a\r\n.\r\nMAIL FROM:<evil@b.example>\r\n\r\nb\r\n.\r\n");
    }
}

#[test]
fn a_message_above_the_limit_is_refused_for_each_recipient_after_its_end() {
    let server = start(settings());
    let mut client = server.client();
    begin(&mut client);
    let piece = [&[b'x'; 998][..], b"\r\n"].concat().repeat(1000);
    for _ in 0..50 {
        client.send(&piece);
    }
    client.send(".\r\n");
    assert!(both(&mut client).starts_with("552 5.3.4"));
    assert!(server.kept().is_empty());
    assert_eq!(server.spool.open.load(Ordering::SeqCst), 0);
    begin(&mut client);
    client.send("small\r\n.\r\n");
    assert!(both(&mut client).starts_with("250 "), "the connection is still good");
}

#[test]
fn fifty_megabytes_are_streamed_when_the_limit_allows() {
    let server = start(Settings { max_message_size: 64 << 20, ..settings() });
    let mut client = server.client();
    begin(&mut client);
    let piece = [&[b'x'; 998][..], b"\r\n"].concat().repeat(1000);
    for _ in 0..50 {
        client.send(&piece);
    }
    client.send(".\r\n");
    assert!(both(&mut client).starts_with("250 "));
    let kept = server.kept().pop().expect("kept");
    let trace = kept.message.len() - kept.content().len();
    assert_eq!(kept.size - trace, 50_000_000);
    let longest = server.spool.longest_write.load(Ordering::SeqCst);
    assert!(longest <= 512 << 10, "a piece of {longest} octets was held in memory");
}

#[test]
fn the_size_limit_counts_octets_after_the_dots_are_removed() {
    let server = start(Settings { max_message_size: 10, ..settings() });
    assert!(send(&server, b"..3456\r\n..\r\n.\r\n").starts_with("250 "), "5 + CRLF, 1 + CRLF: 10 octets");
    assert!(send(&server, b"..34567\r\n..\r\n.\r\n").starts_with("552 5.3.4"));
}

#[test]
fn a_disconnect_in_data_queues_nothing() {
    let server = start(settings());
    let mut client = server.client();
    begin(&mut client);
    client.send("Subject: x\r\n\r\nhalf a mess");
    drop(client);
    let mut client = server.client();
    begin(&mut client);
    client.send("Subject: x\r\n\r\nall but the end\r\n.\r");
    client.end_writing();
    assert!(client.rest().is_empty(), "closed without a reply");
    let spool = server.stop();
    assert!(spool.kept.lock().expect("lock").is_empty());
    assert_eq!(spool.open.load(Ordering::SeqCst), 0, "the writers were dropped");
}

#[test]
fn trouble_of_the_spool_is_a_temporary_failure_for_each_recipient() {
    let server = start(settings());
    let full = SpoolError::DiskFull { path: "spool.db".into() };
    let ill = SpoolError::Io { path: "spool.db".into(), message: "Input/output error".into() };
    let message = ["Subject: x\r\n\r\n", &"x\r\n".repeat(100_000), ".\r\n"].concat();
    for (error, code) in [(&full, "452 4.3.1"), (&ill, "451 4.3.0")] {
        *server.spool.accept_error.lock().expect("lock") = Some(error.clone());
        assert!(send(&server, message.as_bytes()).starts_with(code));
        *server.spool.accept_error.lock().expect("lock") = None;
        *server.spool.write_error.lock().expect("lock") = Some(error.clone());
        assert!(send(&server, message.as_bytes()).starts_with(code), "noticed while the message came");
        *server.spool.write_error.lock().expect("lock") = None;
    }
    assert!(server.kept().is_empty());
    assert!(send(&server, message.as_bytes()).starts_with("250 "), "the trouble is over");
}
