//! Replies and whole dialogues of servers that say anything.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::body::{Content, WireBody};
use super::login::Login;
use super::path::ReversePath;
use super::reply::{MAX_LINE, Reply, ReplyError, ReplyReader};
use super::session::{Session, Target, Timeouts};
use super::stream::Stream;
use super::transaction::{Envelope, Verdict};
use crate::config::Chunking;
use crate::fuzzing::{Pieces, block_on};
use crate::lists::EmailAddress;
use crate::spool::DueRecipient;

/// Input: how it comes in pieces, then what a server sends.
pub(crate) fn replies(input: &[u8]) {
    let Some((&how, sent)) = input.split_first() else { return };
    let (found, error) = read(how, sent);
    for other in [b'0', b'1'] {
        assert_eq!(read(other, sent), (found.clone(), error.clone()), "the pieces make a difference");
    }
    for reply in &found {
        assert!((200..600).contains(&reply.code), "{reply:?}");
        assert!(!reply.text.chars().any(|c| c.is_control() && c != '\n'), "{reply:?}");
        assert!(!reply.to_string().chars().any(char::is_control), "{reply:?}");
        assert!(reply.enhanced().is_none_or(|status| status.class == reply.code / 100), "{reply:?}");
    }
    let codes: Vec<u16> = found.iter().map(|reply| reply.code).collect();
    let plain = plain_codes(sent);
    // Our reader also gives up at a reply that is too long, which the plain one does not know.
    if error == Some(ReplyError::ReplyTooLong) {
        assert_eq!(codes, plain[..codes.len()]);
    } else {
        assert_eq!(codes, plain);
    }
}

fn read(how: u8, sent: &[u8]) -> (Vec<Reply>, Option<ReplyError>) {
    let mut reader = ReplyReader::default();
    let mut found = Vec::new();
    let mut pieces = Pieces::new(how, sent);
    loop {
        let piece = pieces.next(usize::MAX);
        if piece.is_empty() {
            return (found, None);
        }
        reader.feed(piece);
        loop {
            match reader.next_reply() {
                Ok(Some(reply)) => found.push(reply),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
}

/// The codes of all whole replies before the first thing that is none.
fn plain_codes(sent: &[u8]) -> Vec<u16> {
    let mut codes = Vec::new();
    let mut open: Option<u16> = None;
    let mut lines: Vec<&[u8]> = sent.split(|octet| *octet == b'\n').collect();
    lines.pop(); // what no line feed ends
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let code = line.get(..3).and_then(|code| std::str::from_utf8(code).ok()).filter(|code| !code.starts_with('+'));
        let Some(code @ 200..600) = code.and_then(|code| code.parse().ok()) else { break };
        if line.len() > MAX_LINE || open.is_some_and(|first| first != code) {
            break;
        }
        match line.get(3) {
            None | Some(b' ') => {
                codes.push(code);
                open = None;
            }
            Some(b'-') => open = Some(code),
            Some(_) => break,
        }
    }
    codes
}

/// Input: bits (1: we have a password, 2: an 8-bit message, 4: SMTPUTF8, 8: BDAT where it is offered,
/// 64: far away, so that the next envelope goes with a content; digits have them as they are), then what the server sends; a NUL stands
/// where it waits for us. Two messages to three recipients each, or three to one.
pub(crate) fn dialogue(input: &[u8]) {
    let Some((&bits, sent)) = input.split_first() else { return };
    let mut bodies = vec![body(bits, "one\r\n.\r\n..two"), body(bits, "")];
    if is_distant(bits) {
        bodies.push(body(bits, "three\r\n"));
    }
    let Ok((ours, theirs)) = Pair::pair() else { return };
    let (heard, said, verdicts) = block_on(async {
        let (client, mut server) = (tcp(ours), unix(theirs));
        tokio::join!(speak(client, bits, &bodies), serve(&mut server, sent))
    })
    .into_parts();
    let plain = delivered(&heard, &said, &bodies);
    for (message, verdicts) in verdicts.iter().enumerate() {
        for (number, verdict) in verdicts.iter().enumerate() {
            let wanted = plain.contains(&(message, number));
            assert_eq!(*verdict == Verdict::Delivered, wanted, "message {message}, recipient {number}: {verdicts:?}");
            if let Verdict::Temporary(text) | Verdict::Permanent(text) = verdict {
                assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
            }
        }
    }
}

/// What the server heard and said, and what we made of it.
trait IntoParts {
    fn into_parts(self) -> (Vec<u8>, Vec<u8>, Vec<Vec<Verdict>>);
}

impl IntoParts for (Vec<Vec<Verdict>>, (Vec<u8>, Vec<u8>)) {
    fn into_parts(self) -> (Vec<u8>, Vec<u8>, Vec<Vec<Verdict>>) {
        let (verdicts, (heard, said)) = self;
        (heard, said, verdicts)
    }
}

fn body(bits: u8, text: &str) -> WireBody {
    let subject = if bits & 2 != 0 { "ü" } else { "u" };
    WireBody::new(format!("Subject: {subject}\r\n\r\n{text}").as_bytes())
}

/// A socket pair's end in TCP's clothes.
fn tcp(pair: Pair) -> TcpStream {
    pair.set_nonblocking(true).expect("non-blocking");
    TcpStream::from_std(OwnedFd::from(pair).into()).expect("a stream")
}

fn unix(pair: Pair) -> UnixStream {
    pair.set_nonblocking(true).expect("non-blocking");
    UnixStream::from_std(pair).expect("a stream")
}

/// Our side: opens a session and sends the messages; what became of each recipient.
async fn speak(stream: TcpStream, bits: u8, bodies: &[WireBody]) -> Vec<Vec<Verdict>> {
    // Never runs out: the server ends a dialogue in which both sides wait.
    let patience = Duration::from_hours(1);
    let target = Target {
        login: (bits & 1 != 0).then(|| Login::new("ants", "secret")),
        chunking: if bits & 8 != 0 { Chunking::Yes } else { Chunking::No },
        distant: Some(is_distant(bits)),
        helo_name: Some("lists.example".into()),
        timeouts: Timeouts { connect: patience, banner: patience, reply: patience, end_of_data: patience },
        ..Target::plain("mta.example", 25)
    };
    let Ok(mut session) = Session::over(Stream::Plain(stream), &target).await else { return Vec::new() };
    let mut all = Vec::new();
    let envelopes: Vec<Envelope> = (0..bodies.len()).map(|number| envelope(bits, number)).collect();
    for (number, body) in bodies.iter().enumerate() {
        let next = envelopes.get(number + 1).map(|next| (next, Content::from(&bodies[number + 1])));
        let sent = session.send_before(&envelopes[number], body.into(), next).await;
        assert_eq!(sent.verdicts.len(), envelopes[number].recipients.len(), "one verdict for each recipient");
        all.push(sent.verdicts);
        if sent.broken.is_some() {
            return all;
        }
    }
    all
}

fn is_distant(bits: u8) -> bool {
    bits & 64 != 0
}

fn envelope(bits: u8, message: usize) -> Envelope {
    let names =
        ["anne@example.org", "\"b c\"@example.net", if bits & 4 != 0 { "ü@example.com" } else { "u@example.com" }];
    let one = |(id, name): (usize, &&str)| DueRecipient {
        id: (10 * message + id) as i64,
        address: EmailAddress::parse(name).expect("address"),
        name: String::new(),
        attempts: 0,
    };
    Envelope {
        sender: ReversePath::parse(&format!("{message}@lists.example")).expect("sender"),
        recipients: names.iter().enumerate().take(if is_distant(bits) { 1 } else { 3 }).map(one).collect(),
        smtp_utf8: bits & 4 != 0,
        verp_delimiter: None,
    }
}

/// The server's side: says one part, hears what there is to hear, says the next. What it heard and said.
async fn serve(stream: &mut UnixStream, sent: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut heard, mut said) = (Vec::with_capacity(1 << 16), Vec::new()); // room for a whole group
    for (number, part) in sent.split(|octet| *octet == 0).enumerate() {
        if (number > 0 && !hear(stream, &mut heard).await) || stream.write_all(part).await.is_err() {
            break;
        }
        said.extend_from_slice(part);
    }
    let _ = stream.shutdown().await;
    while !matches!(stream.read_buf(&mut heard).await, Ok(0) | Err(_)) {}
    (heard, said)
}

/// Takes what the client has said. `false`: it is gone, or waits for us; no clock is asked, so that a busy
/// machine makes no difference.
async fn hear(stream: &mut UnixStream, heard: &mut Vec<u8>) -> bool {
    for _ in 0..10 {
        match stream.try_read_buf(heard) {
            Ok(octets) => return octets > 0,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => tokio::task::yield_now().await,
            Err(_) => return false,
        }
    }
    false
}

/// Which recipients of which messages the server has taken, read plainly from what went over the wire: the
/// first reply is the banner, then each line has one, and so has each content.
fn delivered(heard: &[u8], said: &[u8], bodies: &[WireBody]) -> Vec<(usize, usize)> {
    let codes = plain_codes(said);
    let mut codes = codes.into_iter().skip(1);
    let mut taken = Vec::new();
    let mut rest = heard;
    let (mut message, mut accepted, mut mail) = (None::<usize>, Vec::new(), false);
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 2..];
        let code = codes.next();
        let positive = code.is_some_and(|code| code / 100 == 2);
        assert!(line.len() < 512 && !line.contains(|c: char| c.is_control()), "{line:?}");
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        let mut last = None;
        match verb {
            // The sender tells which message it is: one may be refused without a word to the server.
            "MAIL" => (message, accepted, mail) = (line.get(11..12).and_then(|n| n.parse().ok()), Vec::new(), positive),
            "RCPT" => accepted.push(positive),
            "DATA" if code == Some(354) => {
                let body = message.map(|message| bodies[message].octets()).expect("DATA after MAIL");
                // The lone dot ends what nobody was accepted for.
                let content = [body, b".\r\n"].into_iter().find(|content| rest.starts_with(content));
                let Some(content) = content else { break };
                rest = &rest[content.len()..];
                last = codes.next().filter(|_| content.len() > 3);
            }
            "BDAT" => {
                let size = line.split(' ').nth(1).and_then(|size| size.parse::<usize>().ok()).expect("a size");
                let Some(behind) = rest.get(size..) else { break };
                rest = behind;
                last = code.filter(|_| line.ends_with(" LAST"));
            }
            _ => {}
        }
        if mail && last.is_some_and(|code| code / 100 == 2) {
            let all = accepted.iter().enumerate().filter(|(_, taken)| **taken);
            taken.extend(all.map(|(number, _)| (message.unwrap_or_default(), number)));
        }
    }
    taken
}
