//! Random dialogues, always the same ones: whatever is sent, the server does not panic, and nobody
//! gets mail who was not named in a line that is an RCPT and nothing else.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::lmtp::Settings;
use crate::lmtp::client::Client;
use crate::lmtp::fakes::settings;
use crate::lmtp::running::start;

const PIECES: [&[u8]; 36] = [
    b"LHLO x\r\n",
    b"MAIL FROM:<a@b.example>\r\n",
    b"MAIL FROM:<>\r\n",
    b"MAIL FROM:<\"a b\"@b.example> SIZE=10 SMTPUTF8\r\n",
    b"MAIL FROM:<",
    b"RCPT TO:<",
    b"RCPT TO:<ants@lists.example>\r\n",
    b"RCPT TO:<bees-owner@lists.example>\r\n",
    b"RCPT TO:<bees@lists.example>",
    b"ants-join@lists.example",
    b"RCPT TO:<ants-leave@lists.example>\n",
    b"RCPT TO:<ants-request@lists.example>\r",
    b"postmaster>\r\n",
    b"DATA\r\n",
    b"DATA\r\n",
    b"DATA\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"text\r\n",
    b"..\r\n",
    b".\r\n",
    b"\r\n.\r\n",
    b"\r\n.\r\n",
    b"\n.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r",
    b"\n",
    b"\0",
    b".",
    b">",
    b"\"",
    b"\\",
    b"\xff\xfe",
    b"@[:,",
];

/// Random octets, made mostly of pieces of dialogue.
fn dialogue(random: &mut StdRng) -> Vec<u8> {
    let mut octets = b"LHLO x\r\n".to_vec();
    for _ in 0..random.random_range(1..60) {
        match random.random_range(0..20) {
            0 => octets.extend((0..random.random_range(0..40)).map(|_| random.random::<u8>())),
            1 => octets.resize(octets.len() + random.random_range(0..6000), b'x'),
            2 => {
                let at = random.random_range(0..octets.len());
                octets[at] = random.random();
            }
            3..=6 => octets.extend_from_slice(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<ants@lists.example>\r\nDATA\r\n"),
            _ => octets.extend_from_slice(PIECES.choose(random).expect("pieces")),
        }
    }
    octets
}

/// What stands between `<` and `>` in all lines, cut at CRLF only, that are an RCPT.
fn named(octets: &[u8]) -> BTreeSet<String> {
    let rcpt = regex::Regex::new(r"(?i)^RCPT TO: *<([^\r\n\x00]*)> *$").expect("pattern");
    let text = String::from_utf8_lossy(octets);
    let lines = text.split("\r\n");
    lines.filter_map(|line| rcpt.captures(line)).map(|found| found[1].to_lowercase()).collect()
}

#[test]
fn random_dialogues_neither_panic_nor_smuggle() {
    let mut random = StdRng::seed_from_u64(0x0002_2033_5321);
    let server = start(Settings { max_unknown_commands: 1000, ..settings() });
    let mut accepted = 0;
    for round in 0..600 {
        let octets = dialogue(&mut random);
        let before = server.kept().len();
        let mut client = Client::tcp(server.address);
        let mut rest = octets.as_slice();
        while !rest.is_empty() {
            let length = random.random_range(1..=rest.len());
            client.send(&rest[..length]);
            rest = &rest[length..];
        }
        client.end_writing();
        for line in client.rest() {
            let (code, text) = line.split_at(4);
            let known = [
                "214", "220", "221", "250", "252", "354", "421", "451", "452", "500", "501", "502", "503", "550",
                "552", "553", "555",
            ];
            assert!(known.contains(&&code[..3]) && text.is_ascii(), "round {round}: {line:?}");
        }
        let named = named(&octets);
        for kept in &server.kept()[before..] {
            accepted += 1;
            for recipient in kept.to() {
                let given = if recipient == "root@site.example" { "postmaster" } else { recipient };
                let by_route =
                    || named.iter().any(|name| name.starts_with('@') && name.ends_with(&format!(":{given}")));
                let postmaster = || given == "postmaster" && named.iter().any(|name| name.starts_with("postmaster@"));
                let found = named.contains(&given.to_lowercase()) || by_route() || postmaster();
                assert!(found, "round {round}: {recipient} was never named in {:?}", octets.escape_ascii().to_string());
            }
        }
    }
    assert!(accepted > 100, "the dialogues must reach the interesting places, not only {accepted}");
    server.stop();
}
