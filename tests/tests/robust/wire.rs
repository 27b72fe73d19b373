//! What goes out, octet by octet: a server that records, and readers that share no code with Postrider.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use postrider_tests::installation::{Installation, wait_for};

use super::site::SOON;

/// Takes every message and keeps all octets of every connection as they came.
pub struct Recorder {
    connections: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// One transaction.
#[derive(Debug)]
pub struct Sent {
    /// All of the line.
    pub mail: String,
    /// All of each line.
    pub rcpt: Vec<String>,
    /// Without stuffed dots and final dot.
    pub message: Vec<u8>,
}

impl Recorder {
    /// At the installation's SMTP port.
    pub fn start(installation: &Installation) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", installation.smtp_port)).expect("the SMTP port");
        let connections: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let all = connections.clone();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                all.lock().expect("lock").push(Vec::new());
                let all = all.clone();
                let record = move |octets: &[u8]| {
                    let mut all = all.lock().expect("lock");
                    all[number].extend_from_slice(octets);
                    all[number].clone()
                };
                std::thread::spawn(move || answer(&mut stream.expect("connection"), record));
            }
        });
        Recorder { connections }
    }

    /// All octets of each connection.
    pub fn octets(&self) -> Vec<Vec<u8>> {
        self.connections.lock().expect("lock").clone()
    }

    /// All transactions so far, read strictly: only CRLF ends a line.
    pub fn sent(&self) -> Vec<Sent> {
        self.octets().iter().flat_map(|octets| read(octets).0).collect()
    }

    /// Waits for so many recipients.
    pub fn wait_for(&self, recipients: usize) -> Vec<Sent> {
        let count = |sent: &[Sent]| sent.iter().map(|one| one.rcpt.len()).sum::<usize>();
        wait_for("mail at the recorder", SOON, || Some(self.sent()).filter(|sent| count(sent) >= recipients))
    }
}

/// Replies as a plain server would, by reading everything anew each time.
fn answer(stream: &mut TcpStream, mut record: impl FnMut(&[u8]) -> Vec<u8>) {
    stream.write_all(b"220 recorder\r\n").expect("banner");
    let mut said = 0;
    let mut room = vec![0; 65_536];
    while let Ok(count @ 1..) = stream.read(&mut room) {
        let replies = read(&record(&room[..count])).1;
        if stream.write_all(replies[said..].concat().as_bytes()).is_err() {
            return;
        }
        said = replies.len();
    }
}

/// The transactions in what a client sent, and the reply to each of its commands and messages so far.
fn read(mut rest: &[u8]) -> (Vec<Sent>, Vec<&'static str>) {
    let (mut all, mut replies) = (Vec::new(), Vec::new());
    let mut open: Option<Sent> = None;
    while let Some(end) = find(rest, b"\r\n") {
        let line = String::from_utf8(rest[..end].to_vec()).expect("commands are UTF-8");
        rest = &rest[end + 2..];
        match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => replies.push("250-recorder\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 0\r\n250 SMTPUTF8\r\n"),
            "DATA" => {
                replies.push("354 go on\r\n");
                // An empty message is a dot alone.
                let end = if rest.starts_with(b".\r\n") { Some(0) } else { find(rest, b"\r\n.\r\n").map(|at| at + 2) };
                let (Some(end), Some(mut sent)) = (end, open.take()) else { break };
                let text = &rest[..end];
                sent.message = [&b"\r\n"[..], text].concat();
                while let Some(at) = find(&sent.message, b"\r\n..") {
                    // Once for each line: what is left begins with one dot.
                    sent.message.splice(at..at + 4, *b"\r\n\x01.");
                }
                sent.message.retain(|octet| *octet != 1);
                sent.message.drain(..2);
                all.push(sent);
                replies.push("250 taken\r\n");
                rest = &rest[end + 3..];
            }
            "MAIL" => {
                open = Some(Sent { mail: line, rcpt: Vec::new(), message: Vec::new() });
                replies.push("250 ok\r\n");
            }
            "RCPT" => {
                open.as_mut().expect("RCPT after MAIL").rcpt.push(line);
                replies.push("250 ok\r\n");
            }
            "RSET" | "NOOP" => replies.push("250 ok\r\n"),
            "QUIT" => replies.push("221 bye\r\n"),
            other => panic!("{other:?} is no command that Postrider has a reason to say"),
        }
    }
    (all, replies)
}

/// How many messages a receiver sees that takes every CR and LF, alone or together, for the end of a line.
pub fn messages_for_the_careless(octets: &[u8]) -> usize {
    let (mut count, mut in_message) = (0, false);
    for line in octets.split(|octet| matches!(octet, b'\r' | b'\n')) {
        if in_message && line == b"." {
            (count, in_message) = (count + 1, false);
        } else if !in_message && line.eq_ignore_ascii_case(b"DATA") {
            in_message = true;
        }
    }
    count
}

/// Whether a CR or LF stands alone.
pub fn has_bare_line_ends(octets: &[u8]) -> bool {
    octets.iter().enumerate().any(|(at, octet)| match octet {
        b'\n' => at == 0 || octets[at - 1] != b'\r',
        b'\r' => octets.get(at + 1) != Some(&b'\n'),
        _ => false,
    })
}

pub fn find(octets: &[u8], part: &[u8]) -> Option<usize> {
    octets.windows(part.len()).position(|window| window == part)
}

#[test]
fn the_readers_see_what_is_there() {
    let octets = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n..x\r\n...\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n";
    let (sent, replies) = read(octets);
    let messages: Vec<&[u8]> = sent.iter().map(|one| one.message.as_slice()).collect();
    assert_eq!(messages, [&b".x\r\n..\r\n"[..], b""]);
    assert_eq!(replies.len(), 8);
    assert_eq!(messages_for_the_careless(octets), 2);
    let smuggled = b"DATA\r\na\n.\nMAIL FROM:<e@v>\nDATA\nb\r\n.\r\n";
    assert_eq!(messages_for_the_careless(smuggled), 2);
    assert!(has_bare_line_ends(smuggled) && !has_bare_line_ends(octets));
}
