//! Limits of size, number and time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::lmtp::Settings;
use crate::lmtp::client::Client;
use crate::lmtp::fakes::settings;
use crate::lmtp::running::{Running, start};

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

/// How long it takes to drip 300 octets.
const DRIPPING: Duration = Duration::from_secs(15);

/// Octets that come one by one; `None`: the server has closed.
fn drip(client: &mut Client, octets: &[u8; 300]) -> Option<()> {
    for octet in octets {
        std::thread::sleep(DRIPPING / 300);
        client.try_send([*octet]).then_some(())?;
    }
    Some(())
}

#[test]
fn a_command_that_drips_is_cut_off_though_the_client_is_never_silent() {
    let server = start(Settings { timeout: Duration::from_millis(600), ..settings() });
    let mut client = server.client();
    let begun = std::time::Instant::now();
    drip(&mut client, &[b'N'; 300]);
    assert!(client.rest().last().is_some_and(|last| last.starts_with("421 4.4.2")));
    assert!(begun.elapsed() < DRIPPING / 2, "each octet was given the whole time");
    server.stop();
}

#[test]
fn a_message_that_drips_is_cut_off_and_one_that_is_merely_slow_is_taken() {
    let server = start(Settings { timeout: Duration::from_millis(800), min_data_rate: 100, ..settings() });
    let begin = |client: &mut Client| {
        client.send("MAIL FROM:<>\r\nRCPT TO:<ants@lists.example>\r\nDATA\r\n");
        for code in ["250 ", "250 ", "354 "] {
            assert!(client.reply().starts_with(code));
        }
    };
    // 20 octets a second.
    let mut dripping = server.client();
    begin(&mut dripping);
    let begun = std::time::Instant::now();
    drip(&mut dripping, &[b'x'; 300]);
    assert!(dripping.rest().last().is_some_and(|last| last.starts_with("421 4.4.2")));
    assert!(begun.elapsed() < DRIPPING / 2, "each octet was given the whole time");
    // 400 octets a second, in all longer than the time limit.
    let mut slow = server.client();
    begin(&mut slow);
    for _ in 0..40 {
        slow.send([b'x'; 20]);
        std::thread::sleep(Duration::from_millis(50));
    }
    slow.send("\r\n.\r\n");
    assert!(slow.reply().starts_with("250 "));
    assert_eq!(server.kept().len(), 1);
    server.stop();
}

#[test]
fn a_newcomer_takes_the_place_of_the_one_that_was_idle_longest_and_never_that_of_one_at_work() {
    let server = start(Settings { max_connections: 3, ..settings() });
    let mut sending = server.client();
    sending.send("MAIL FROM:<>\r\nRCPT TO:<ants@lists.example>\r\nDATA\r\nhalf a message");
    let mut idle = server.client();
    let mut in_envelope = server.client();
    assert!(in_envelope.ask("MAIL FROM:<>").starts_with("250 "));
    // Whoever says something now and then but sends no mail is idle as well.
    for _ in 0..12 {
        std::thread::sleep(Duration::from_millis(100));
        assert!(idle.ask("NOOP").starts_with("250 "));
    }
    let mut newcomer = Client::tcp(server.address).greeted();
    let rest = idle.rest();
    assert!(rest.len() == 1 && rest[0].starts_with("421 4.3.2") && rest[0].contains("idle"), "{rest:?}");
    // Nobody is left who could go: now the newcomer must.
    assert!(Client::tcp(server.address).reply().starts_with("421 4.3.2"));
    assert!(newcomer.ask("NOOP").starts_with("250 "));
    assert!(in_envelope.ask("RCPT TO:<ants@lists.example>").starts_with("250 "));
    for code in ["250 ", "250 ", "354 "] {
        assert!(sending.reply().starts_with(code));
    }
    sending.send("\r\n.\r\n");
    assert!(sending.reply().starts_with("250 "));
    server.stop();
}

fn twenty_mail_servers_are_served(server: &Running) {
    for _ in 0..20 {
        let mut mta = server.client();
        mta.send("MAIL FROM:<>\r\nRCPT TO:<ants@lists.example>\r\nDATA\r\n.\r\n");
        for code in ["250 ", "250 ", "354 ", "250 "] {
            assert!(mta.reply().starts_with(code));
        }
    }
    assert_eq!(server.kept().len(), 20);
}

#[test]
fn a_full_house_of_silent_connections_locks_no_mail_server_out() {
    let server = start(Settings { max_connections: 20, ..settings() });
    let silent: Vec<Client> = (0..20).map(|_| server.client()).collect();
    std::thread::sleep(Duration::from_millis(1100));
    twenty_mail_servers_are_served(&server);
    drop(silent);
    server.stop();
}

#[test]
fn a_full_house_of_envelopes_that_do_not_go_on_locks_no_mail_server_out() {
    let server = start(Settings { max_connections: 20, ..settings() });
    let mut silent: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for client in &mut silent {
        assert!(client.ask("MAIL FROM:<>").starts_with("250 "));
    }
    std::thread::sleep(Duration::from_millis(5100));
    twenty_mail_servers_are_served(&server);
    let rest = silent[0].rest();
    assert!(rest.len() == 1 && rest[0].starts_with("421 4.3.2"), "{rest:?}");
    server.stop();
}

#[test]
fn a_client_that_does_not_read_its_replies_makes_room_too() {
    let server = start(Settings { max_connections: 1, ..settings() });
    let mut deaf = server.client();
    let deaf = std::thread::spawn(move || {
        let commands = "HELP\r\n".repeat(10_000);
        while deaf.try_send(&commands) {}
    });
    std::thread::sleep(Duration::from_millis(1500));
    assert!(Client::tcp(server.address).greeted().ask("NOOP").starts_with("250 "));
    deaf.join().expect("it was cut off");
    server.stop();
}

#[test]
fn replies_of_many_pipelined_commands_are_sent_before_they_pile_up() {
    // Behind a message whole reads of 64 KiB are possible; this fails when their replies are gathered.
    let begin = "0LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ants@lists.example>\r\nDATA\r\n.\r\n";
    crate::lmtp::fuzzing::session(format!("{begin}{}", "HELP\r\n".repeat(30_000)).as_bytes());
}
