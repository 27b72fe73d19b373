//! Limits of size, number and time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::lmtp::Settings;
use crate::lmtp::client::Client;
use crate::lmtp::fakes::settings;
use crate::lmtp::running::start;

#[test]
fn a_size_that_is_announced_too_large_is_refused_at_once() {
    let server = start(settings());
    let mut client = server.client();
    assert!(client.ask("MAIL FROM:<> SIZE=33554433").starts_with("552 5.3.4"));
    assert!(client.ask("MAIL FROM:<> SIZE=99999999999999999999").starts_with("552 5.3.4"));
    assert!(client.ask("MAIL FROM:<> SIZE=33554432").starts_with("250 "));
}

#[test]
fn no_limit_of_size_is_announced_as_zero() {
    let server = start(Settings { max_message_size: 0, ..settings() });
    let mut client = Client::tcp(server.address);
    client.reply();
    assert!(client.ask("LHLO x").contains("\n250-SIZE 0\n"));
    assert!(client.ask("MAIL FROM:<> SIZE=99999999999999999999").starts_with("250 "));
}

#[test]
fn too_many_recipients_are_told_and_those_before_are_served() {
    let server = start(Settings { max_recipients: 2, ..settings() });
    let mut client = server.client();
    client.ask("MAIL FROM:<>");
    assert!(client.ask("RCPT TO:<ants@lists.example>").starts_with("250 "));
    assert!(client.ask("RCPT TO:<none@lists.example>").starts_with("550 "), "does not count");
    assert!(client.ask("RCPT TO:<ants@lists.example>").starts_with("250 "));
    assert!(client.ask("RCPT TO:<bees@lists.example>").starts_with("452 4.5.3"));
    client.ask("DATA");
    client.send(".\r\nNOOP\r\n");
    assert!(client.reply().starts_with("250 2.0.0 Accepted"));
    assert!(client.reply().starts_with("250 2.0.0 Accepted"));
    assert_eq!(client.reply(), "250 2.0.0 OK");
}

#[test]
fn without_disk_space_no_mail_is_begun() {
    let server = start(settings());
    let mut client = server.client();
    server.spool.is_short.store(true, Ordering::SeqCst);
    assert!(client.ask("MAIL FROM:<>").starts_with("452 4.3.1"));
    server.spool.is_short.store(false, Ordering::SeqCst);
    assert!(client.ask("MAIL FROM:<>").starts_with("250 "));
}

#[test]
fn after_too_many_unknown_commands_the_connection_ends() {
    let server = start(settings());
    let mut client = server.client();
    for garbage in ["GET / HTTP/1.1", "BDAT 10 LAST", "\0\u{1}\u{2}", ""] {
        assert!(client.ask(garbage).starts_with("500 5.5."));
    }
    // Input behind the fifth must not turn the last reply into a reset connection.
    client.send(format!("STARTTLS\r\n{}", "NOOP\r\n".repeat(10_000)));
    let rest = client.rest();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert!(rest[0].starts_with("421 4.7.0"), "{rest:?}");
}

#[test]
fn a_message_clears_the_count_of_unknown_commands() {
    let server = start(settings());
    let mut client = server.client();
    for _ in 0..3 {
        for _ in 0..4 {
            assert!(client.ask("XYZZY").starts_with("500 5.5.1"));
        }
        client.send("MAIL FROM:<>\r\nRCPT TO:<ants@lists.example>\r\nDATA\r\n.\r\n");
        for code in ["250 ", "250 ", "354 ", "250 "] {
            assert!(client.reply().starts_with(code));
        }
    }
}

#[test]
fn one_connection_too_many_is_told_at_the_greeting() {
    let server = start(Settings { max_connections: 2, ..settings() });
    let first = server.client();
    let mut second = Client::unix(&server.socket).greeted();
    let mut third = Client::tcp(server.address);
    assert!(third.reply().starts_with("421 4.3.2"));
    assert!(third.rest().is_empty(), "closed");
    assert!(second.ask("NOOP").starts_with("250 "));
    drop(first);
    // The place becomes free as soon as the server has noticed.
    let greeted = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        Client::tcp(server.address).reply().starts_with("220 ")
    });
    assert!(greeted);
}

#[test]
fn a_silent_client_is_told_and_cut_off() {
    let server = start(Settings { timeout: Duration::from_millis(500), ..settings() });
    for begun in ["", "MAIL FROM:<>\r\n", "NOO", "MAIL FROM:<>\r\nRCPT TO:<ants@lists.example>\r\nDATA\r\nhalf"] {
        let mut client = server.client();
        client.send(begun);
        let rest = client.rest();
        assert!(rest.last().expect("reply").starts_with("421 4.4.2"), "{rest:?}");
    }
    let spool = server.stop();
    assert!(spool.kept.lock().expect("lock").is_empty());
    assert_eq!(spool.open.load(Ordering::SeqCst), 0);
}

#[test]
fn a_client_that_never_reads_replies_is_cut_off() {
    let server = start(Settings { timeout: Duration::from_millis(500), ..settings() });
    let mut client = server.client();
    let commands = "HELP\r\n".repeat(10_000);
    // Its replies are not read, so the sockets fill up in both directions until the server gives up.
    while client.try_send(&commands) {}
    drop(client);
    server.stop();
}
