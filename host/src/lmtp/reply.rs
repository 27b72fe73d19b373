//! What is answered: reply code (RFC 5321), enhanced status (RFC 2034, RFC 3463), text.

use std::borrow::Cow;

use crate::spool::SpoolError;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The reply code.
    pub code: u16,
    /// The enhanced status; empty where RFC 2034 wants none (greeting, LHLO, 354).
    pub status: &'static str,
    /// One line; for LHLO, all lines.
    pub text: Cow<'static, str>,
}

impl Reply {
    pub(super) const OK: Reply = Reply::fixed(250, "2.0.0", "OK");
    pub(super) const SENDER_OK: Reply = Reply::fixed(250, "2.1.0", "Sender OK");
    pub(super) const RECIPIENT_OK: Reply = Reply::fixed(250, "2.1.5", "Recipient OK");
    pub(super) const SEND_DATA: Reply = Reply::fixed(354, "", "End the message with <CR><LF>.<CR><LF>");
    pub(super) const TRY_IT: Reply = Reply::fixed(252, "2.0.0", "RCPT tells whether the address exists");
    pub(super) const HELP: Reply = Reply::fixed(214, "2.0.0", "LHLO MAIL RCPT DATA RSET NOOP VRFY QUIT (RFC 2033)");
    pub(super) const BYE: Reply = Reply::fixed(221, "2.0.0", "Bye");

    const fn fixed(code: u16, status: &'static str, text: &'static str) -> Reply {
        Reply { code, status, text: Cow::Borrowed(text) }
    }

    pub(super) fn new(code: u16, status: &'static str, text: String) -> Reply {
        Reply { code, status, text: Cow::Owned(text) }
    }

    /// Appends the reply to what will be sent; lines of the text become lines of the reply.
    pub(super) fn write_to(&self, output: &mut Vec<u8>) {
        let mut lines = self.text.lines().peekable();
        while let Some(line) = lines.next() {
            let sign = if lines.peek().is_some() { '-' } else { ' ' };
            let blank = if self.status.is_empty() { "" } else { " " };
            output.extend_from_slice(format!("{}{sign}{}{blank}{line}\r\n", self.code, self.status).as_bytes());
        }
    }
}

/// Why something was not done. Knows its reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("Command line is longer than {limit} octets", limit = super::line::MAX_LINE)]
    LineTooLong,
    #[error("CR, LF and NUL are not allowed inside a command; lines end in CRLF")]
    ControlCharacter,
    #[error("Command {0} is not known")]
    UnknownCommand(String),
    #[error("This is LMTP (RFC 2033): say LHLO")]
    NotLmtp,
    #[error("Command is not implemented")]
    NotImplemented,
    #[error("Syntax: {0}")]
    Syntax(&'static str),
    #[error("Parameter {0} was not announced")]
    UnknownParameter(String),
    #[error("{0}")]
    BadSequence(&'static str),
    #[error("Sender {path} is malformed: {reason}")]
    BadSender { path: String, reason: &'static str },
    #[error("Recipient {path} is malformed: {reason}")]
    BadRecipient { path: String, reason: &'static str },
    #[error("Address {0} is not ASCII: say SMTPUTF8 with MAIL")]
    NeedsSmtputf8(String),
    #[error("<{0}>: there is no such list or address here")]
    NoSuchRecipient(String),
    #[error("More than {0} recipients: send the rest in another transaction")]
    TooManyRecipients(usize),
    #[error("Message is larger than {0} octets")]
    MessageTooLarge(u64),
    #[error("Not enough disk space, try again later")]
    NoSpace,
    #[error("Local trouble, try again later")]
    Trouble,
    #[error("{host} closes the connection: too little came within {seconds} s")]
    Timeout { host: String, seconds: u64 },
    #[error("{host} is being stopped, try again later")]
    Stopping { host: String },
    #[error("{host} closes the connection: others wait for its place, and it was idle")]
    MakeRoom { host: String },
    #[error("{host} has too many connections, try again later")]
    TooManyConnections { host: String },
    #[error("{host} closes the connection: too many unknown commands")]
    TooManyErrors { host: String },
}

impl Refusal {
    pub(super) fn bad_sender(path: &str, reason: &'static str) -> Refusal {
        Refusal::BadSender { path: shown(path), reason }
    }

    pub(super) fn bad_recipient(path: &str, reason: &'static str) -> Refusal {
        Refusal::BadRecipient { path: shown(path), reason }
    }

    /// The reply; 4xx: worth another try, 5xx: never.
    pub(super) fn reply(&self) -> Reply {
        let (code, status) = match self {
            Refusal::LineTooLong | Refusal::ControlCharacter => (500, "5.5.2"),
            Refusal::UnknownCommand(_) | Refusal::NotLmtp => (500, "5.5.1"),
            Refusal::NotImplemented => (502, "5.5.1"),
            Refusal::Syntax(_) => (501, "5.5.4"),
            Refusal::UnknownParameter(_) => (555, "5.5.4"),
            Refusal::BadSequence(_) => (503, "5.5.1"),
            Refusal::BadSender { .. } => (553, "5.1.7"),
            Refusal::BadRecipient { .. } => (553, "5.1.3"),
            Refusal::NeedsSmtputf8(_) => (553, "5.6.7"),
            Refusal::NoSuchRecipient(_) => (550, "5.1.1"),
            Refusal::TooManyRecipients(_) => (452, "4.5.3"),
            Refusal::MessageTooLarge(_) => (552, "5.3.4"),
            Refusal::NoSpace => (452, "4.3.1"),
            Refusal::Trouble => (451, "4.3.0"),
            Refusal::Timeout { .. } => (421, "4.4.2"),
            Refusal::Stopping { .. } | Refusal::MakeRoom { .. } | Refusal::TooManyConnections { .. } => (421, "4.3.2"),
            Refusal::TooManyErrors { .. } => (421, "4.7.0"),
        };
        Reply::new(code, status, self.to_string())
    }

    /// Whether this answers something that is no command at all.
    pub(super) fn is_unknown_command(&self) -> bool {
        matches!(self, Refusal::LineTooLong | Refusal::ControlCharacter | Refusal::UnknownCommand(_) | Refusal::NotLmtp)
    }
}

impl From<&SpoolError> for Refusal {
    fn from(error: &SpoolError) -> Refusal {
        match error {
            SpoolError::DiskFull { .. } => Refusal::NoSpace,
            _ => Refusal::Trouble,
        }
    }
}

/// What a client sent, safe to be sent back and logged: ASCII, one line, at most 254 characters.
pub(super) fn shown(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        if c == ' ' || c.is_ascii_graphic() {
            safe.push(c);
        } else {
            safe.extend(c.escape_default());
        }
        if safe.len() >= 254 {
            safe.truncate(254);
            safe.push_str("...");
            break;
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_reply_has_the_code() {
        let mut output = Vec::new();
        Reply::new(250, "", "host\nPIPELINING\nSIZE 1".into()).write_to(&mut output);
        Reply::OK.write_to(&mut output);
        assert_eq!(output, b"250-host\r\n250-PIPELINING\r\n250 SIZE 1\r\n250 2.0.0 OK\r\n");
    }

    #[test]
    fn what_is_sent_back_is_one_short_ascii_line() {
        assert_eq!(shown("a\tb\u{7f}ü"), "a\\tb\\u{7f}\\u{fc}");
        assert_eq!(shown(&"x".repeat(1000)).len(), 257);
        let mut output = Vec::new();
        Refusal::bad_recipient(&"\u{1}".repeat(1000), "x").reply().write_to(&mut output);
        assert!(output.len() <= 512, "RFC 5321, section 4.5.3.1.5");
    }
}
