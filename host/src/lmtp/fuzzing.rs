//! The session, fed with anything, against a plain reading of RFC 2033.

use std::sync::Arc;

use tokio::sync::watch;

use super::data;
use super::fakes::{FakeDirectory, FakeIntake, FakeSpool, Kept, settings};
use super::line::MAX_LINE;
use super::listen::Peer;
use super::path::{self, Path};
use super::seats::Seats;
use super::server::Shared;
use super::session::serve;
use super::settings::Settings;
use crate::fuzzing::{Pieces, block_on, has_only_crlf};
use crate::lists::EmailAddress;
use crate::spool::SpoolError;

/// Small, so that short inputs reach it.
const MAX_MESSAGE: u64 = 1500;
const MAX_RECIPIENTS: usize = 3;

/// What the real server said and kept.
struct Outcome {
    replies: Vec<Reply>,
    kept: Vec<Kept>,
}

/// One reply as a client sees it: its code and its lines' texts.
#[derive(Debug, PartialEq)]
struct Reply {
    code: u16,
    lines: Vec<String>,
}

/// Input: how it comes in pieces, and what goes wrong (bits 7 and 6: the disk is full, the database is ill;
/// no digit has them), then what the client sends.
pub(crate) fn session(input: &[u8]) {
    let Some((&how, sent)) = input.split_first() else { return };
    let outcome = run(how, how, sent);
    judge(sent, &outcome);
    let whole = run(b'0', how, sent);
    assert_eq!(outcome.replies, whole.replies, "the pieces in which it comes make a difference");
    assert_eq!(contents(&outcome), contents(&whole));
}

/// The address in a path with its brackets and nothing behind.
pub(crate) fn path(text: &str) -> Option<EmailAddress> {
    match path::parse(text) {
        Ok((Path::Address(address), "")) => Some(address),
        _ => None,
    }
}

fn run(how: u8, faults: u8, sent: &[u8]) -> Outcome {
    let spool = Arc::new(FakeSpool::default());
    if faults & 0x80 != 0 {
        *spool.write_error.lock().expect("lock") = Some(SpoolError::DiskFull { path: "fake".into() });
    }
    if faults & 0x40 != 0 {
        *spool.accept_error.lock().expect("lock") = Some(SpoolError::Closed);
    }
    let limits = Settings {
        max_message_size: MAX_MESSAGE,
        max_recipients: MAX_RECIPIENTS,
        max_unknown_commands: 20,
        ..settings()
    };
    let seat = Seats::new(1, limits.timeout).take().expect("the only one");
    let shared = Shared::new(limits, FakeDirectory, FakeIntake(spool.clone()));
    let mut stream = Pieces::new(how, sent);
    let (_stop, told) = watch::channel(None);
    block_on(serve(&mut stream, Peer::Unix, &shared, told, &seat));
    assert_eq!(spool.open.load(std::sync::atomic::Ordering::SeqCst), 0, "a message was begun and forgotten");
    // A full read of the shortest commands must not make us gather all their replies.
    assert!(stream.longest_write <= 20 << 10, "{} octets of replies were gathered", stream.longest_write);
    let longest_piece = spool.longest_write.load(std::sync::atomic::Ordering::SeqCst);
    assert!(longest_piece <= 256 << 10, "a message was gathered in memory: {longest_piece} octets");
    let kept = std::mem::take(&mut *spool.kept.lock().expect("lock"));
    Outcome { replies: replies(&stream.written), kept }
}

fn contents(outcome: &Outcome) -> Vec<(Vec<&str>, &[u8])> {
    outcome.kept.iter().map(|kept| (kept.to(), kept.content())).collect()
}

/// Reads what the server wrote, strictly.
fn replies(written: &[u8]) -> Vec<Reply> {
    assert!(written.is_empty() || written.ends_with(b"\r\n"), "half a reply");
    assert!(has_only_crlf(written) && written.is_ascii(), "{}", written.escape_ascii());
    let mut replies: Vec<Reply> = Vec::new();
    let mut goes_on = false;
    for line in std::str::from_utf8(written).expect("ASCII").split_terminator("\r\n") {
        assert!(line.len() + 2 <= 512, "RFC 5321, section 4.5.3.1.5: {line:?}");
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        let code: u16 = line[..3].parse().expect("a code");
        assert!((200..600).contains(&code) && matches!(line.as_bytes().get(3), Some(b' ' | b'-')), "{line:?}");
        // The number under which it was taken is a random one.
        let text = line[4..].split("Accepted as ").next().unwrap_or_default().to_owned();
        match replies.last_mut().filter(|_| goes_on) {
            Some(reply) => {
                assert_eq!(reply.code, code, "the lines of a reply disagree");
                reply.lines.push(text);
            }
            None => replies.push(Reply { code, lines: vec![text] }),
        }
        goes_on = line.as_bytes()[3] == b'-';
    }
    assert!(!goes_on, "the last reply goes on");
    replies
}

/// Walks through what was sent, plainly, and takes the reply that each part must have.
fn judge(sent: &[u8], outcome: &Outcome) {
    let mut replies = outcome.replies.iter();
    let mut kept = outcome.kept.iter();
    let mut next = || replies.next().expect("a reply is missing");
    assert_eq!(next().code, 220);
    let mut rest = sent;
    // The recipients of the transaction; `None`: no MAIL.
    let mut accepted: Option<Vec<String>> = None;
    let mut sender = String::new();
    let mut greeted = false;
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let line = &rest[..end];
        rest = &rest[end + 2..];
        let reply = next();
        if reply.code == 421 {
            break;
        }
        let command = String::from_utf8_lossy(line).to_ascii_uppercase();
        let verb = command.split(' ').next().unwrap_or_default();
        if end + 2 > MAX_LINE || line.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)) {
            assert_eq!(reply.code, 500, "a damaged line was taken");
            continue;
        }
        if reply.lines.len() > 1 {
            assert!(verb == "LHLO" && reply.code == 250, "{command:?} got {reply:?}");
        }
        match (verb, reply.code) {
            ("LHLO", 250) => (greeted, accepted) = (true, None),
            ("RSET", 250) => accepted = None,
            ("MAIL", 250) => {
                assert!(greeted && accepted.is_none(), "MAIL out of turn");
                assert!(command[4..].trim_start().starts_with("FROM:"), "{command:?}");
                accepted = Some(Vec::new());
                sender = String::from_utf8_lossy(line).into_owned();
            }
            ("RCPT", 250) => {
                let to = accepted.as_mut().expect("RCPT after MAIL");
                assert!(command[4..].trim_start().starts_with("TO:"), "{command:?}");
                to.push(String::from_utf8_lossy(line).into_owned());
                assert!(to.len() <= MAX_RECIPIENTS, "too many recipients");
            }
            ("DATA", 354) => {
                let to = accepted.take().filter(|to| !to.is_empty()).expect("DATA after RCPT");
                // Without an end the session ends here, and nothing is kept.
                let Some((content, used)) = data::plainly(rest) else { break };
                rest = &rest[used..];
                let first = next();
                for _ in 1..to.len() {
                    assert_eq!(next(), first, "the recipients of one message got different replies");
                }
                if content.len() as u64 > MAX_MESSAGE {
                    assert!(matches!(first.code, 552 | 452), "{first:?} for {} octets", content.len());
                }
                if first.code == 250 {
                    let kept = kept.next().expect("250 was said, but nothing was kept");
                    assert_eq!(kept.content(), content, "the message was changed");
                    assert!(has_only_crlf(&kept.message), "a bare CR or LF was kept");
                    assert_eq!(kept.size, kept.message.len());
                    let from = kept.sender.as_ref().map_or("<>", EmailAddress::as_str);
                    assert!(sender.contains(from), "{from} was never named in {sender:?}");
                    assert!(!kept.recipients.is_empty() && kept.recipients.len() <= to.len());
                    for recipient in kept.to() {
                        let named = |line: &String| {
                            line.contains(recipient) || line.to_ascii_lowercase().contains("postmaster")
                        };
                        assert!(to.iter().any(named), "{recipient} was never named in {to:?}");
                    }
                } else {
                    assert!(matches!(first.code, 451 | 452 | 552), "{first:?} after the dot");
                }
            }
            ("QUIT", 221) => break,
            (_, 200..400) => {
                assert!(matches!(verb, "NOOP" | "HELP" | "VRFY"), "{command:?} got {reply:?}");
            }
            (_, code) => assert!(code >= 400, "{reply:?}"),
        }
    }
    // The only thing that is said without being asked, and the last.
    let unasked: Vec<u16> = replies.map(|reply| reply.code).collect();
    assert!(unasked.is_empty(), "more replies than commands: {unasked:?}");
    assert!(kept.next().is_none(), "more was kept than answered 250");
}

/// What a message is by RFC 5321, read plainly; and how many octets it took with its end.
pub(crate) fn plain_content(octets: &[u8]) -> Option<(Vec<u8>, usize)> {
    data::plainly(octets)
}
