//! SMTP smuggling (CVE-2023-51764 and its family), through the daemon and out again.

use super::site::{ANTS, MEMBERS, ants, wait_until_queues_are_empty};
use super::wire::{Recorder, find, has_bare_line_ends, messages_for_the_careless};

/// Every end of a message that some program has taken for one, but for the true one.
fn attempts() -> Vec<Vec<u8>> {
    let line_ends: [&[u8]; 8] = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r\n", b"\r\n\0", b"\0\r\n", b"\n\r"];
    let mut all = Vec::new();
    for before in line_ends {
        for after in line_ends {
            // `CRLF.CRLF` and what holds it are true ends.
            let attempt = [before, b".", after].concat();
            if find(&[b"x", &attempt[..], b"y"].concat(), b"\r\n.\r\n").is_none() {
                all.push(attempt);
            }
        }
    }
    all.extend(
        [&b"\r\n.\0\r\n"[..], b"\r\n\0.\r\n", b"\n.\0\n", b"\r\n.\x0b\r\n", b"\r\n.\x85\r\n"].map(<[u8]>::to_vec),
    );
    all
}

#[test]
fn every_way_to_smuggle_a_message_gives_one_message_that_no_receiver_takes_for_two() {
    let installation = ants();
    let recorder = Recorder::start(&installation);
    let daemon = installation.serve();
    let attempts = attempts();
    assert!(attempts.len() > 60);
    let mut lmtp = installation.lmtp();
    for (number, attempt) in attempts.iter().enumerate() {
        lmtp.expect("MAIL FROM:<anne@example.org>", "250");
        lmtp.expect(&format!("RCPT TO:<{ANTS}>"), "250");
        lmtp.expect("DATA", "354");
        let head =
            format!("From: anne@example.org\r\nSubject: {number}\r\nMessage-ID: <{number}@example.org>\r\n\r\nfirst");
        let evil = format!("MAIL FROM:<evil@example.com>\r\nRCPT TO:<{ANTS}>\r\nDATA\r\nSubject: smuggled\r\n\r\nx");
        lmtp.write(&[head.as_bytes(), attempt, evil.as_bytes(), attempt, b"rest\r\n.\r\n"].concat());
        let reply = lmtp.reply();
        assert!(reply.starts_with("250"), "{}: {reply}", attempt.escape_ascii());
    }
    // Each has got one reply and no more.
    assert!(lmtp.send("NOOP").starts_with("250 2.0.0 OK"));
    let sent = recorder.wait_for(attempts.len() * MEMBERS.len());
    wait_until_queues_are_empty(&installation);
    assert_eq!(sent.len(), attempts.len(), "one transaction a post");
    for one in &sent {
        assert!(one.mail.starts_with("MAIL FROM:<ants-bounces@lists.example.com>"), "{one:?}");
        assert!(find(&one.message, b"rest\r\n").is_some(), "it was cut: {}", one.message.escape_ascii());
        let mut to: Vec<&str> = one.rcpt.iter().filter_map(|line| line.split(['<', '>']).nth(1)).collect();
        to.sort_unstable();
        assert_eq!(to, MEMBERS);
    }
    let careless: usize = recorder
        .octets()
        .iter()
        .map(|octets| {
            assert!(!has_bare_line_ends(octets), "a bare CR or LF on the wire");
            messages_for_the_careless(octets)
        })
        .sum();
    assert_eq!(careless, attempts.len(), "a careless receiver sees other messages");
    daemon.stop();
}
