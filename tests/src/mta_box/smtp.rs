//! A raw SMTP client that says just what it is told and keeps every reply.

use super::MtaBox;
use std::{
    collections::VecDeque,
    fmt,
    io::{self, BufRead as _, BufReader, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// As many lines of dialogue as help to see why a test failed.
const REMEMBERED: usize = 60;

/// The last lines that clients and servers said to each other, of all sessions that share it.
#[derive(Clone, Debug, Default)]
pub struct Transcript(Arc<Mutex<VecDeque<String>>>);

impl Transcript {
    fn note(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == REMEMBERED {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A server's reply (RFC 5321 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// All lines without their codes, joined by newlines.
    pub text: String,
}

impl Reply {
    /// Goes on only with this code.
    ///
    /// # Panics
    /// With another code; shows the reply.
    #[track_caller]
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "mostly called for its assertion")]
    pub fn expect(self, code: u16) -> Self {
        assert_eq!(self.code, code, "unexpected reply: {} {}", self.code, self.text);
        self
    }
}

/// One connection, after the greeting and EHLO.
#[derive(Debug)]
pub struct SmtpSession {
    reader: BufReader<TcpStream>,
    transcript: Transcript,
    /// What the server said to EHLO.
    pub extensions: Reply,
}

impl SmtpSession {
    /// Connects within the box from one address to another and says `EHLO`.
    pub fn connect(machine: &MtaBox, from: &str, to: &str) -> io::Result<Self> {
        Self::connect_noting(machine, from, to, &Transcript::default())
    }

    /// The same, and writes down what is said.
    pub fn connect_noting(machine: &MtaBox, from: &str, to: &str, transcript: &Transcript) -> io::Result<Self> {
        Self::connect_within(machine, from, to, transcript, Duration::from_mins(1))
    }

    /// The same, and waits only so long for each reply, from the greeting on.
    pub fn connect_within(
        machine: &MtaBox,
        from: &str,
        to: &str,
        transcript: &Transcript,
        patience: Duration,
    ) -> io::Result<Self> {
        let stream = machine.connect(from, to)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        let extensions = Reply { code: 0, text: String::new() };
        let mut session = SmtpSession { reader: BufReader::new(stream), transcript: transcript.clone(), extensions };
        let greeting = session.reply()?;
        if greeting.code != 220 {
            return Err(io::Error::other(format!("greeting: {} {}", greeting.code, greeting.text)));
        }
        session.extensions = session.command("EHLO client.remote.example")?;
        Ok(session)
    }

    /// From now on waits only so long for a reply (else a minute).
    pub fn set_patience(&self, limit: Duration) -> io::Result<()> {
        self.reader.get_ref().set_read_timeout(Some(limit))
    }

    /// Sends one line and reads its reply.
    pub fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.transcript.note(format!("> {line}"));
        self.write(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// `MAIL FROM:<sender>`.
    pub fn mail(&mut self, sender: &str) -> io::Result<Reply> {
        self.command(&format!("MAIL FROM:<{sender}>"))
    }

    /// `RCPT TO:<recipient>`.
    pub fn rcpt(&mut self, recipient: &str) -> io::Result<Reply> {
        self.command(&format!("RCPT TO:<{recipient}>"))
    }

    /// `DATA` and a message (lines may end in LF; dots are stuffed here).
    pub fn data(&mut self, message: &str) -> io::Result<Reply> {
        let ready = self.command("DATA")?;
        if ready.code != 354 {
            return Ok(ready);
        }
        let mut wire = String::new();
        for line in message.lines() {
            if line.starts_with('.') {
                wire.push('.');
            }
            wire.push_str(line);
            wire.push_str("\r\n");
        }
        wire.push_str(".\r\n");
        self.write(wire.as_bytes())?;
        self.reply()
    }

    /// A whole message to some recipients; each step must succeed.
    ///
    /// # Panics
    /// When the server refuses anything; shows its reply.
    #[track_caller]
    pub fn send(&mut self, sender: &str, recipients: &[&str], message: &str) -> io::Result<Reply> {
        self.mail(sender)?.expect(250);
        for recipient in recipients {
            self.rcpt(recipient)?.expect(250);
        }
        Ok(self.data(message)?.expect(250))
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Reads one reply.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut text = Vec::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up"));
            }
            let line = line.trim_end();
            self.transcript.note(format!("< {line}"));
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let Some(code) = code else { return Err(io::Error::other(format!("not a reply: {line}"))) };
            text.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, text: text.join("\n") });
            }
        }
    }
}
