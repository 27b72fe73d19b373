//! Clients that do not speak LMTP as they should.

use postrider_tests::installation::{Dialogue, Installation, wait_for};
use std::fs;

use super::site::{ANTS, MEMBERS, POST, SOON, Server, ants, wait_until_queues_are_empty};
use postrider::deliver::sink::Script;

/// A session in which the recipient was accepted.
fn at_data(installation: &Installation) -> Dialogue {
    let mut lmtp = installation.lmtp();
    lmtp.expect("MAIL FROM:<anne@example.org>", "250");
    lmtp.expect(&format!("RCPT TO:<{ANTS}>"), "250");
    lmtp
}

fn arrivals(installation: &Installation) -> usize {
    let queue = installation.json(&["queue", "--json"]);
    queue["in"].as_array().map_or(0, Vec::len) + queue["out"].as_array().map_or(0, Vec::len)
}

#[test]
fn garbage_is_refused_line_by_line_and_the_session_goes_on_until_it_is_too_much() {
    let installation = ants();
    let daemon = installation.serve();
    let mut lmtp = installation.lmtp();
    lmtp.write(b"\x00\x01\x02\xff\xfe\r\n");
    assert!(lmtp.reply().starts_with("500 5.5.2"));
    lmtp.expect("EHLO mta.example.com", "500 5.5.1");
    lmtp.write(format!("MAIL FROM:<{}@example.org>\r\n", "a".repeat(10_000)).as_bytes());
    let reply = lmtp.reply();
    assert!(reply.starts_with("500 5.5.2") && reply.contains("longer than"), "{reply}");
    // What is a command with a mistake in it does not count as garbage.
    for (command, code) in [
        ("MAIL FROM:anne@example.org>", "553 5.1.7"),
        ("MAIL FROM:<anne@example.org> FOO=1", "555 5.5.4"),
        ("MAIL FROM:<anne@example.org> SIZE=abc", "501 5.5.4"),
        ("RCPT TO:<ants@lists.example.com>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("VRFY ants", "252"),
        ("EXPN ants", "502"),
        ("MAIL FROM:<a@b>garbage", "5"),
        ("RCPT", "501"),
        ("DATA now", "501"),
    ] {
        lmtp.expect(command, code);
    }
    lmtp.expect("MAIL FROM:<anne@example.org>", "250");
    lmtp.expect("GET / HTTP/1.1", "500 5.5.1");
    let reply = lmtp.send("Host: example.com");
    assert!(reply.starts_with("421 4.7.0") && reply.contains("too many unknown commands"), "{reply}");
    assert!(lmtp.is_closed());

    // Control characters and other things to smuggle in an address.
    let mut lmtp = installation.lmtp();
    lmtp.write(b"MAIL FROM:<a\rb@example.org>\r\n");
    assert!(lmtp.reply().starts_with("500"));
    lmtp.write(b"MAIL FROM:<a\nb@example.org>\r\n");
    assert!(lmtp.reply().starts_with("500"));
    lmtp.write(b"MAIL FROM:<\xfc@example.org>\r\n");
    assert!(lmtp.reply().starts_with("553"));
    installation.deliver("anne@example.org", &[ANTS], POST);
    daemon.stop();
}

#[test]
fn random_octets_harm_nobody() {
    let installation = ants();
    let daemon = installation.serve();
    let mut state: u64 = 0x5eed;
    for _ in 0..30 {
        let noise: Vec<u8> = (0..20_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                [b'\r', b'\n', b'.', 0, b'<'].get((state >> 33) as usize % 64).copied().unwrap_or((state >> 41) as u8)
            })
            .collect();
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", installation.lmtp_port)).expect("connection");
        // The server may hang up on us half-way.
        let _ = std::io::Write::write_all(&mut stream, &noise);
    }
    let replies = installation.deliver("anne@example.org", &[ANTS], POST);
    assert!(replies[0].starts_with("250"), "{replies:?}");
    assert!(!installation.log().contains("defect"), "{}", installation.log());
    assert_eq!(arrivals(&installation), 1);
    daemon.stop();
}

#[test]
fn data_without_a_valid_recipient_takes_no_message() {
    let installation = ants();
    let daemon = installation.serve();
    let mut lmtp = installation.lmtp();
    lmtp.expect("DATA", "503 5.5.1");
    lmtp.expect("MAIL FROM:<anne@example.org>", "250");
    let reply = lmtp.expect("DATA", "503 5.5.1");
    assert!(reply.contains("recipients"), "{reply}");
    lmtp.expect("RCPT TO:<bees@lists.example.com>", "550 5.1.1");
    lmtp.expect("DATA", "503 5.5.1");
    // Pipelined, as an MTA sends it: each command its reply, and what follows is commands, not content.
    lmtp.write(b"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<bees@lists.example.com>\r\nDATA\r\nNOOP\r\n");
    let codes: Vec<String> = (0..5).map(|_| lmtp.reply()[..3].to_owned()).collect();
    assert_eq!(codes, ["250", "250", "550", "503", "250"]);
    assert_eq!(arrivals(&installation), 0);
    daemon.stop();
}

#[test]
fn what_breaks_off_before_the_final_dot_leaves_nothing_behind() {
    let installation = ants();
    let daemon = installation.serve();
    for amount in [0, 100, 600_000] {
        let mut lmtp = at_data(&installation);
        lmtp.expect("DATA", "354");
        lmtp.write(format!("Subject: x\r\n\r\n{}", "x".repeat(amount)).as_bytes());
        // Also what looks nearly like the end.
        lmtp.write(b"\r\n.\r");
    }
    wait_for("three lost connections in the log", SOON, || {
        (installation.log().matches("lost the connection within a message").count() == 3).then_some(())
    });
    assert_eq!(arrivals(&installation), 0);
    let bodies = installation.data().join("spool/bodies");
    wait_for("no body files", SOON, || {
        fs::read_dir(&bodies).map_or(true, |mut files| files.next().is_none()).then_some(())
    });
    daemon.stop();
}

#[test]
fn only_crlf_dot_crlf_ends_a_message() {
    let installation = ants();
    let server = Server::start(&installation, Script::default());
    let daemon = installation.serve();
    let smuggled =
        b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<ants@lists.example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nx";
    let attempts: [&[u8]; 8] =
        [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n"];
    for attempt in attempts {
        let mut lmtp = at_data(&installation);
        lmtp.expect("DATA", "354");
        lmtp.write(&[POST.replace('\n', "\r\n").as_bytes(), attempt, smuggled, b"\r\n.\r\n"].concat());
        assert!(lmtp.reply().starts_with("250"));
        // One message, one reply: the next reply is that to NOOP.
        assert!(lmtp.send("NOOP").starts_with("250 2.0.0 OK"), "{}", attempt.escape_ascii());
    }
    server.wait_for(attempts.len() * MEMBERS.len());
    wait_until_queues_are_empty(&installation);
    let messages = server.messages();
    assert_eq!(messages.len(), attempts.len());
    for message in messages {
        assert_eq!(message.sender, "ants-bounces@lists.example.com");
        let octets = &message.message;
        assert!(octets.windows(smuggled.len()).any(|part| part == smuggled), "the attempt is plain content");
        let bare = |(at, octet): (usize, &u8)| match octet {
            b'\n' => at == 0 || octets[at - 1] != b'\r',
            b'\r' => octets.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        assert!(!octets.iter().enumerate().any(bare), "nothing bare goes on: {}", octets.escape_ascii());
        // An end that only we do not see as one would end it for the next server.
        assert!(!octets.windows(3).any(|part| part == b"\n.\n") && !octets.windows(3).any(|part| part == b"\r.\r"));
    }
    daemon.stop();
}

#[test]
fn strange_content_is_delivered_as_it_came() {
    let installation = ants();
    let server = Server::start(&installation, Script::default());
    let daemon = installation.serve();
    let long = "y".repeat(20_000);
    let body = format!("long {long}\r\n.leading dot\r\n..two\r\n\r\nend \u{1}");
    let mut lmtp = at_data(&installation);
    lmtp.expect("DATA", "354");
    let mut octets =
        b"From: anne@example.org\r\nSubject: 8-bit \xe4\xf6\xfc\r\nX-Utf8: \xc3\xa4\r\nno header at all\r\n\r\n"
            .to_vec();
    octets.extend_from_slice(b"nul \0 here\r\n");
    octets.extend_from_slice(body.replace("\r\n.", "\r\n..").as_bytes());
    octets.extend_from_slice(b"\r\n.\r\n");
    lmtp.write(&octets);
    assert!(lmtp.reply().starts_with("250"));
    // No Message-ID, no From, no header, nothing at all: never a reason to refuse.
    for content in ["From: anne@example.org\r\n\r\n", "\r\n", ""] {
        lmtp.expect("MAIL FROM:<anne@example.org>", "250");
        lmtp.expect(&format!("RCPT TO:<{ANTS}>"), "250");
        lmtp.expect("DATA", "354");
        lmtp.write(format!("{content}.\r\n").as_bytes());
        let reply = lmtp.reply();
        assert!(reply.starts_with("250"), "{content:?}: {reply}");
    }
    server.wait_for(MEMBERS.len());
    let message = server.messages().remove(0).message;
    let has = |part: &[u8]| message.windows(part.len()).any(|window| window == part);
    assert!(has(b"8-bit \xe4\xf6\xfc\r\n") && has(b"X-Utf8: \xc3\xa4\r\n"), "{}", message.escape_ascii());
    assert!(has(format!("nul \0 here\r\n{body}\r\n").as_bytes()), "the body is unchanged");
    wait_for("everything is processed", SOON, || {
        let queue = installation.json(&["queue", "--json"]);
        queue["in"].as_array()?.iter().all(|entry| entry["state"] != "new").then_some(())
    });
    let queue = installation.json(&["queue", "--json"]);
    assert!(queue["in"].as_array().is_some_and(Vec::is_empty), "nothing was shunted: {queue:#}");
    daemon.stop();
}

/// A fiftieth of 50 MB.
fn megabyte() -> Vec<u8> {
    [b"z".repeat(76), b"\r\n".to_vec()].concat().repeat(12_821)
}

/// Sends 50 MB and returns the reply after the dot.
fn send_50_mb(lmtp: &mut Dialogue, mut look: impl FnMut()) -> String {
    lmtp.expect("DATA", "354");
    lmtp.write(b"From: anne@example.org\r\nSubject: large\r\n\r\n");
    let piece = megabyte();
    for _ in 0..50 {
        lmtp.write(&piece);
    }
    look();
    lmtp.write(b".\r\n");
    lmtp.reply()
}

/// Memory in use, in KiB.
fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").trim().parse().expect("number")
}

#[test]
fn fifty_megabytes_are_refused_by_default() {
    let installation = ants();
    let daemon = installation.serve();
    // Announced, it is refused before it is sent.
    let mut lmtp = installation.lmtp();
    let reply = lmtp.expect("MAIL FROM:<anne@example.org> SIZE=50000000", "552 5.3.4");
    assert!(reply.contains("33554432 octets"), "{reply}");
    lmtp.expect("MAIL FROM:<anne@example.org>", "250");
    lmtp.expect(&format!("RCPT TO:<{ANTS}>"), "250");
    let reply = send_50_mb(&mut lmtp, || {});
    assert!(reply.starts_with("552 5.3.4"), "{reply}");
    assert_eq!(arrivals(&installation), 0);
    // The session goes on.
    lmtp.expect("MAIL FROM:<anne@example.org>", "250");
    lmtp.expect("QUIT", "221");
    daemon.stop();
    let left = fs::read_dir(installation.data().join("spool/bodies")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "no body file is left");
}

#[test]
fn fifty_megabytes_are_taken_when_allowed_without_being_held_in_memory() {
    let installation = ants();
    installation.configure("[lmtp]\nmax_message_size: 64M\n");
    installation.run(&["set", ANTS, "max_message_size=0"]);
    let server = Server::start(&installation, Script::default());
    let daemon = installation.serve();
    let mut lmtp = at_data(&installation);
    let before = resident(daemon.pid());
    let mut during = 0;
    let reply = send_50_mb(&mut lmtp, || during = resident(daemon.pid()));
    assert!(reply.starts_with("250"), "{reply}");
    assert!(during < before + 16 * 1024, "{before} KiB before, {during} KiB with 50 MB received");
    server.wait_for(MEMBERS.len());
    let message = server.messages().remove(0).message;
    let body = [b"\r\n\r\n".to_vec(), megabyte().repeat(50)].concat();
    assert!(message.ends_with(&body), "{} octets arrived", message.len());
    wait_until_queues_are_empty(&installation);
    daemon.stop();
}
