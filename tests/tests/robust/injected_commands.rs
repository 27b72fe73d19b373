//! Whatever an address, a name, a setting or a post contains: what goes out are the commands and the
//! fields that it should be, as readers see it that share no code with Postrider.

use std::collections::BTreeSet;

use mail_parser::MessageParser;
use regex::Regex;

use super::site::{ANTS, bare};
use super::wire::{Recorder, Sent, has_bare_line_ends};
use postrider_tests::installation::Installation;

/// Addresses that are allowed, and look as if they were not.
const STRANGE: [&str; 11] = [
    "plain@example.org",
    "\"quoted local\"@example.org",
    "\"a\\\"b\"@example.org",
    "\"a>b\"@example.org",
    "\"<x@y>\"@example.org",
    "\"a@b\"@example.org",
    "\"DATA\"@example.org",
    "\"x> SIZE=1\"@example.org",
    "o'brien!#$%&*+-/=?^_`{|}~@example.org",
    "x@[192.0.2.1]",
    "grüße@bücher.example",
];

/// What is no address, and would be more than one if it were taken.
const WRONG: [&str; 18] = [
    "a\r\nRCPT TO:<evil@example.com>@example.org",
    "a\nb@example.org",
    "\"a\r\nDATA\r\nb\"@example.org",
    "\"a\nb\"@example.org",
    "\"a\rb\"@example.org",
    "\"a\u{85}b\"@example.org",
    "\"a\u{7f}b\"@example.org",
    "a b@example.org",
    "a@example.org> SIZE=1 <b@example.org",
    "a@example.org>,<b@example.org",
    "<a@example.org",
    "a>@example.org",
    "a@exam ple.org",
    "a@example.org\tSIZE=1",
    "\"a@example.org",
    "\"a\\\"@example.org",
    "@example.org",
    "a@",
];

/// Posts of anybody are distributed.
fn open_list() -> Installation {
    let installation = bare();
    installation.run(&["create", ANTS, "--owner", "olga@example.org"]);
    installation.run(&["set", ANTS, "nonmember_action=accept"]);
    installation
}

/// Strictly what RFC 5321 lets a client say: one path, and the parameters that were offered. But for the brackets
/// of an address literal in the local part of a VERP sender, which Postfix's XVERP writes so too.
fn assert_commands(sent: &Sent) {
    let path =
        r#"(?:"(?:[^"\\[:cntrl:]]|\\[^[:cntrl:]])*"|[^\s<>();@\\,"[:cntrl:]]+)@(?:\[[0-9A-Fa-f.:IPv]+\]|[\w.-]+)"#;
    let mail = Regex::new(&format!(r"^MAIL FROM:<(?:{path})?>(?: SIZE=\d+)?(?: BODY=8BITMIME)?(?: SMTPUTF8)?$"));
    let rcpt = Regex::new(&format!(r"^RCPT TO:<{path}>$")).expect("pattern");
    assert!(mail.expect("pattern").is_match(&sent.mail), "{:?}", sent.mail);
    for line in &sent.rcpt {
        assert!(rcpt.is_match(line), "{line:?}");
    }
}

/// The names of all fields, as somebody else reads them.
fn fields(message: &[u8]) -> Vec<String> {
    let parsed = MessageParser::new().parse(message).expect("a message");
    let mut names: Vec<String> = parsed.headers_raw().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names
}

/// What a post of ours has that came with From, Subject, Message-ID, Date.
fn expected_fields(more: &[&str]) -> Vec<String> {
    let ours = [
        "date",
        "from",
        "list-help",
        "list-id",
        "list-owner",
        "list-post",
        "list-subscribe",
        "list-unsubscribe",
        "message-id",
        "message-id-hash",
        "precedence",
        "received",
        "subject",
        "x-beenthere",
        "x-mailfrom",
    ];
    let mut names: Vec<String> = ours.iter().chain(more).map(|name| (*name).to_owned()).collect();
    names.sort();
    names
}

fn post(number: usize) -> String {
    format!(
        "From: x@example.org\nSubject: {number}\nMessage-ID: <{number}@example.org>\nDate: Sun, 22 Nov 2026 10:00:00 +0000\n\nBcc: in the body"
    )
}

#[test]
fn addresses_of_members_and_senders_are_one_path_in_their_commands_with_and_without_verp() {
    let installation = open_list();
    installation.configure("verp_delivery_interval: 2\n");
    installation.run_with_input(&["addmembers", "-", ANTS], &STRANGE.join("\n"));
    // In a file of addresses a line feed ends an address.
    for wrong in WRONG.iter().filter(|wrong| !wrong.contains('\n')) {
        let error = installation.fails_with_input(&["addmembers", "-", ANTS], wrong);
        assert!(!error.is_empty() && !error.contains("panicked"), "{wrong:?}: {error}");
    }
    let members = installation.run(&["members", ANTS]);
    assert_eq!(members.matches("  member ").count(), STRANGE.len(), "{members}");
    let recorder = Recorder::start(&installation);
    let daemon = installation.serve();
    let mut lmtp = installation.lmtp();
    let mut posts = 0;
    for (sender, good) in STRANGE.iter().map(|one| (one, true)).chain(WRONG.iter().map(|one| (one, false))) {
        lmtp.write(format!("MAIL FROM:<{sender}> SMTPUTF8\r\n").as_bytes());
        if !good {
            // A line end within makes several lines of it; each is refused.
            for line in sender.split("\r\n") {
                let reply = lmtp.reply();
                assert!(reply.starts_with('5'), "{line:?} of {sender:?}: {reply}");
            }
            lmtp = installation.lmtp();
            continue;
        }
        let reply = lmtp.reply();
        assert!(reply.starts_with("250"), "{sender}: {reply}");
        lmtp.expect(&format!("RCPT TO:<{ANTS}>"), "250");
        lmtp.expect("DATA", "354");
        lmtp.write(format!("{}\r\n.\r\n", post(posts).replace('\n', "\r\n")).as_bytes());
        assert!(lmtp.reply().starts_with("250"));
        posts += 1;
    }
    let sent = recorder.wait_for(posts * STRANGE.len());
    let mut senders = BTreeSet::new();
    for one in &sent {
        assert_commands(one);
        assert_eq!(fields(&one.message), expected_fields(&[]), "{}", one.message.escape_ascii());
        senders.insert(one.mail.split('>').next().unwrap_or_default().to_owned());
    }
    assert!(senders.len() >= 8, "VERP has made senders of their own: {senders:?}");
    assert!(recorder.octets().iter().all(|octets| !has_bare_line_ends(octets)));
    let asked: BTreeSet<&str> =
        sent.iter().flat_map(|one| &one.rcpt).map(|line| &line["RCPT TO:<".len()..line.len() - 1]).collect();
    assert_eq!(asked, STRANGE.into_iter().collect(), "every member, each as it was written");
    daemon.stop();
}

#[test]
fn hostile_recipients_at_lmtp_are_refused_line_by_line() {
    let installation = open_list();
    let daemon = installation.serve();
    let mut lmtp = installation.lmtp();
    lmtp.expect("MAIL FROM:<>", "250");
    for wrong in WRONG.into_iter().chain(["\"ants\"@evil.example", "ants\0@lists.example.com"]) {
        if wrong.contains(['\r', '\n', '\0']) {
            continue; // those end or damage the line; the session has its own tests
        }
        let reply = lmtp.send(&format!("RCPT TO:<{wrong}>"));
        assert!(reply.starts_with("55") && reply.is_ascii(), "{wrong:?}: {reply}");
    }
    lmtp.expect("DATA", "503");
    daemon.stop();
}

#[test]
fn settings_and_posts_add_no_field_and_no_line_to_what_goes_out() {
    let installation = open_list();
    for key in ["subject_prefix", "display_name", "description"] {
        for wrong in ["x\r\nBcc: evil@example.com", "x\ny", "x\ry", "x\u{85}y", "x\u{0b}y"] {
            let error = installation.fails(1, &["set", ANTS, &format!("{key}={wrong}")]);
            assert!(error.contains(key) && !error.contains('\r'), "{error}");
        }
    }
    installation.run(&["set", ANTS, "subject_prefix=[Ä\"<x@y>: =?utf-8?q?a?= \\] "]);
    installation.run(&["set", ANTS, "display_name=Ants\", <evil@example.com>, \""]);
    installation.run(&["set", ANTS, "description=a <evil@example.com>, \"b\\ =?utf-8?q?=0ABcc:_x?="]);
    installation.run_with_input(&["addmembers", "-", ANTS], "anne@example.org");
    let recorder = Recorder::start(&installation);
    let daemon = installation.serve();
    let hostile = [
        // A line end is the author's own; what matters is that nothing of ours moves it.
        ("Subject: x\n\tBcc: folded\nMessage-ID: <a@b>", &[][..]),
        ("Subject: =?utf-8?q?x=0D=0ABcc:_evil@example.com?=\nMessage-ID: <a\n b@c>", &[]),
        ("Subject: x\nMessage-ID: <a@b>\nReply-To: <x@y>\nX-Odd: \u{1}", &["reply-to", "x-odd"]),
        ("Subject: x\nMessage-ID: \"<a@b>\n\tList-Id: x", &[]),
        // What pretends to come from the list goes.
        (
            "Subject: x\nMessage-ID: <a@b>\nList-Id: <evil.example>\nX-MailFrom: evil@example.com\nReturn-Path: <evil>",
            &[],
        ),
    ];
    for (number, (header, _)) in hostile.iter().enumerate() {
        let mut lmtp = postrider_tests::installation::Dialogue::connect(installation.lmtp_port);
        lmtp.reply();
        // A name that would be more than a word in Received.
        lmtp.expect(&format!("LHLO {}", ["x;\tby evil", "x (evil\u{1})", "[evil", "x\u{7f}y", "ü"][number]), "250");
        lmtp.expect("MAIL FROM:<mallory@example.org>", "250");
        lmtp.expect(&format!("RCPT TO:<{ANTS}>"), "250");
        lmtp.expect("DATA", "354");
        let message = format!("From: x@example.org\nDate: Sun, 22 Nov 2026 10:00:00 +0000\n{header}\n\nhello");
        lmtp.write(format!("{}\r\n.\r\n", message.replace('\n', "\r\n")).as_bytes());
        assert!(lmtp.reply().starts_with("250"));
    }
    let sent = recorder.wait_for(hostile.len());
    for one in &sent {
        assert_commands(one);
        let more = hostile.iter().map(|(_, more)| *more).find(|more| fields(&one.message) == expected_fields(more));
        assert!(more.is_some(), "{:?} in {}", fields(&one.message), one.message.escape_ascii());
        let parsed = MessageParser::new().parse(&one.message).expect("a message");
        let raw = String::from_utf8_lossy(&one.message);
        assert!(raw.contains("\r\nX-MailFrom: mallory@example.org\r\n"), "{raw}");
        assert!(raw.contains("Received: from unknown (") || raw.contains("Received: from [evil ("), "{raw}");
        let id =
            parsed.list_id().as_address().and_then(|id| id.first()).and_then(|id| id.address()).unwrap_or_default();
        assert_eq!(id, "ants.lists.example.com", "{raw}");
        assert_eq!(
            parsed.subject().map(|subject| subject.starts_with("[Ä\"<x@y>: =?utf-8?q?a?= \\] ")),
            Some(true),
            "{raw}"
        );
    }
    assert!(recorder.octets().iter().all(|octets| !has_bare_line_ends(octets)));
    daemon.stop();
}

#[test]
fn a_configuration_that_would_get_into_commands_is_refused_with_its_line() {
    for (section, key, wrong) in [
        ("mta", "smtp_host", "mx.example.org evil"),
        ("mta", "smtp_host", "mx.example.org\n    evil"),
        ("mta", "verp_format", "${bounces}+${local}=${domain}> SIZE=1 <"),
        ("mta", "verp_format", "${bounces}+${local}=\n    ${domain}"),
        ("mta", "verp_format", "${bounces}+${local}=${domain}@evil.example"),
        ("mta", "verp_delimiter", "<"),
        ("mta", "verp_delimiter", "\" "),
        ("mta", "smtp_user", "ants\n    RSET"),
        ("mta", "smtp_pass", "secret\n    RSET"),
    ] {
        let installation = bare();
        let file = installation.config();
        let text = std::fs::read_to_string(&file).expect("configuration");
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with(&format!("{key}:"))).collect();
        let text = kept.join("\n").replace(&format!("[{section}]\n"), &format!("[{section}]\n{key}: {wrong}\n"));
        std::fs::write(&file, text).expect("configuration");
        let output = installation.output(&["conf"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(key), "{key}: {wrong:?} was taken: {error}");
    }
}
