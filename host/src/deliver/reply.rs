//! Replies of an SMTP server (RFC 5321, section 4.2).
//!
//! Promise: what comes out of [`ReplyReader`] is a whole reply whose lines agree about its code;
//! its text holds no control characters, so that it can be logged and recorded as it is. Input may
//! come in pieces of any size. Lines and replies have a limit, so a hostile server cannot make us
//! grow. After an error the connection must be closed: nobody knows any more which reply belongs
//! to which command.
//!
//! The parser of `smtp-proto` is not used: it takes `250-a` followed by `550 b` for a 250.

use std::fmt;

/// Longest line of a reply, without its end (RFC 5321 says 512; some servers write more), in octets.
pub(super) const MAX_LINE: usize = 2048;
/// Longest reply, in octets.
const MAX_REPLY: usize = 64 * 1024;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its code, 200 to 599.
    pub code: u16,
    /// What follows the code; a line feed stands between the lines of a multi-line reply.
    pub text: String,
}

/// What a reply means for the command that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyClass {
    /// 2xx: done.
    Positive,
    /// 3xx: go on.
    Intermediate,
    /// 4xx: not now.
    Temporary,
    /// 5xx: never.
    Permanent,
}

/// An enhanced status code (RFC 3463), such as 5.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnhancedStatus {
    /// 2, 4 or 5.
    pub class: u16,
    /// What it is about.
    pub subject: u16,
    /// What exactly.
    pub detail: u16,
}

/// What a server sent is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// No line end in sight.
    #[error("a line of its reply is longer than {MAX_LINE} octets")]
    LineTooLong,
    /// Too many lines.
    #[error("its reply is longer than {MAX_REPLY} octets")]
    ReplyTooLong,
    /// No code, or something else behind it than a blank or a dash.
    #[error("{line:?} is no SMTP reply")]
    NotAReply {
        /// The line, without control characters, shortened.
        line: String,
    },
    /// The lines of one reply have different codes, so that nobody can say what it means.
    #[error("the lines of its reply disagree: {first} and then {then}")]
    CodesDisagree {
        /// Code of the first line.
        first: u16,
        /// Code of the line that disagrees.
        then: u16,
    },
}

impl Reply {
    /// What it means.
    pub fn class(&self) -> ReplyClass {
        match self.code / 100 {
            2 => ReplyClass::Positive,
            3 => ReplyClass::Intermediate,
            4 => ReplyClass::Temporary,
            _ => ReplyClass::Permanent,
        }
    }

    /// Whether it is a 2xx.
    pub fn is_positive(&self) -> bool {
        self.class() == ReplyClass::Positive
    }

    /// 421: the server closes the connection (RFC 5321, section 3.8), whatever it was answering.
    pub fn is_closing(&self) -> bool {
        self.code == 421
    }

    /// The lines of its text.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// The enhanced status code at the beginning of its text, if there is one that agrees with
    /// the code.
    pub fn enhanced(&self) -> Option<EnhancedStatus> {
        EnhancedStatus::leading(&self.text).filter(|status| status.class == self.code / 100)
    }
}

impl EnhancedStatus {
    /// The one that is the first word of a text.
    pub fn leading(text: &str) -> Option<Self> {
        let word = text.split([' ', '\n']).next()?;
        let mut parts = word.split('.').map(|part| {
            (!part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit()))
                .then(|| part.parse::<u16>().ok())
                .flatten()
        });
        let (class, subject, detail) = (parts.next()??, parts.next()??, parts.next()??);
        (parts.next().is_none() && matches!(class, 2 | 4 | 5)).then_some(EnhancedStatus { class, subject, detail })
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl fmt::Display for Reply {
    /// In one line; an enhanced code that every line repeats is written once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        let repeated = self.enhanced().and_then(|_| self.text.split([' ', '\n']).next());
        for (number, line) in self.lines().enumerate() {
            let line = match repeated {
                Some(code) if number > 0 => line.strip_prefix(code).unwrap_or(line).trim_start(),
                _ => line,
            };
            if !line.is_empty() {
                write!(f, " {line}")?;
            }
        }
        Ok(())
    }
}

/// Cuts what a server sends into replies.
#[derive(Debug, Default)]
pub struct ReplyReader {
    buffer: Vec<u8>,
    /// Where the first line that was not yet taken begins.
    start: usize,
    /// Where to look for its end; what lies before was searched.
    searched: usize,
    /// The lines so far of a reply that goes on, and their octets.
    open: Option<(Reply, usize)>,
}

impl ReplyReader {
    /// Takes what was read from the connection.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            self.searched = 0;
        } else if self.start > MAX_REPLY {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether nothing is left: neither a reply nor a part of one.
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len() && self.open.is_none()
    }

    /// The next reply; `None` when more input is needed.
    ///
    /// # Errors
    /// [`ReplyError`]; then the connection is of no use any more.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.buffer[self.searched..]).map(|at| self.searched + at) else {
                self.searched = self.buffer.len();
                // One more for the CR of a line that is just as long as allowed.
                return if self.searched - self.start > MAX_LINE + 1 { Err(ReplyError::LineTooLong) } else { Ok(None) };
            };
            // A bare line feed is taken as the end of a line too: nothing is passed on, so nothing
            // can be smuggled.
            let line = &self.buffer[self.start..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.len() > MAX_LINE {
                return Err(ReplyError::LineTooLong);
            }
            let (code, more, text) = split_line(line)?;
            let octets = line.len();
            let text = clean(text);
            self.start = end + 1;
            self.searched = self.start;
            let (reply, total) = match self.open.take() {
                None => (Reply { code, text }, octets),
                Some((reply, _)) if reply.code != code => {
                    return Err(ReplyError::CodesDisagree { first: reply.code, then: code });
                }
                Some((mut reply, before)) => {
                    reply.text.push('\n');
                    reply.text.push_str(&text);
                    (reply, before + octets)
                }
            };
            if total > MAX_REPLY {
                return Err(ReplyError::ReplyTooLong);
            }
            if !more {
                return Ok(Some(reply));
            }
            // Each line counts at least its code, so empty lines cannot go on for ever.
            self.open = Some((reply, total));
        }
    }
}

/// Code, whether another line follows, text.
fn split_line(line: &[u8]) -> Result<(u16, bool, &[u8]), ReplyError> {
    let digit = |at: usize| line.get(at).filter(|b| b.is_ascii_digit()).map(|b| u16::from(b - b'0'));
    let (Some(first @ 2..=5), Some(second), Some(third)) = (digit(0), digit(1), digit(2)) else {
        return Err(not_a_reply(line));
    };
    let code = first * 100 + second * 10 + third;
    match line.get(3) {
        None => Ok((code, false, &[])),
        Some(b' ') => Ok((code, false, &line[4..])),
        Some(b'-') => Ok((code, true, &line[4..])),
        Some(_) => Err(not_a_reply(line)),
    }
}

fn not_a_reply(line: &[u8]) -> ReplyError {
    ReplyError::NotAReply { line: clean(&line[..line.len().min(80)]) }
}

/// Text that can be logged and recorded: UTF-8 without control characters.
fn clean(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    if text.chars().any(char::is_control) {
        text.chars()
            .map(|c| {
                if c == '\t' {
                    ' '
                } else if c.is_control() {
                    '?'
                } else {
                    c
                }
            })
            .collect()
    } else {
        text.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Result<Vec<Reply>, ReplyError> {
        let mut reader = ReplyReader::default();
        reader.feed(input);
        let mut replies = Vec::new();
        while let Some(reply) = reader.next_reply()? {
            replies.push(reply);
        }
        Ok(replies)
    }

    #[test]
    fn single_and_multi_line_replies_are_read() {
        let replies = read(b"220 mx ready\r\n250-mx\r\n250-SIZE 10\r\n250 HELP\r\n250\r\n354 \r\n").expect("replies");
        assert_eq!(replies.len(), 4);
        assert_eq!(replies[0], Reply { code: 220, text: "mx ready".into() });
        assert_eq!(replies[1].lines().collect::<Vec<_>>(), ["mx", "SIZE 10", "HELP"]);
        assert_eq!(replies[2], Reply { code: 250, text: String::new() });
        assert_eq!(replies[3].class(), ReplyClass::Intermediate);
    }

    #[test]
    fn replies_split_at_every_octet_are_the_same() {
        let input = b"250-first\r\n250 second\r\n550 5.1.1 <a@b>: no\r\n354 go\r\n";
        let whole = read(input).expect("replies");
        for cut in 0..=input.len() {
            let mut reader = ReplyReader::default();
            let mut replies = Vec::new();
            for part in [&input[..cut], &input[cut..]] {
                reader.feed(part);
                while let Some(reply) = reader.next_reply().expect("reply") {
                    replies.push(reply);
                }
            }
            assert_eq!(replies, whole, "cut at {cut}");
            assert!(reader.is_empty());
        }
        let mut reader = ReplyReader::default();
        let mut replies = Vec::new();
        for octet in input {
            reader.feed(&[*octet]);
            while let Some(reply) = reader.next_reply().expect("reply") {
                replies.push(reply);
            }
        }
        assert_eq!(replies, whole);
    }

    #[test]
    fn lines_that_disagree_are_an_error() {
        assert_eq!(read(b"250-a\r\n550 b\r\n"), Err(ReplyError::CodesDisagree { first: 250, then: 550 }));
        assert_eq!(read(b"550-a\r\n250 b\r\n"), Err(ReplyError::CodesDisagree { first: 550, then: 250 }));
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for input in ["hello\r\n", "\r\n", "25\r\n", "2500 x\r\n", "250x\r\n", "150 x\r\n", "650 x\r\n", " 250 x\r\n"] {
            assert!(matches!(read(input.as_bytes()), Err(ReplyError::NotAReply { .. })), "{input:?}");
        }
    }

    #[test]
    fn lines_and_replies_without_end_are_an_error() {
        let mut longest = b"250 ".to_vec();
        longest.resize(MAX_LINE, b'x');
        longest.extend_from_slice(b"\r\n");
        assert_eq!(read(&longest).expect("just right").len(), 1);
        longest.insert(10, b'x');
        assert_eq!(read(&longest), Err(ReplyError::LineTooLong));
        assert_eq!(read(&vec![b'2'; MAX_LINE + 2]), Err(ReplyError::LineTooLong));
        assert_eq!(read("250-x\r\n".repeat(MAX_REPLY / 5 + 1).as_bytes()), Err(ReplyError::ReplyTooLong));
    }

    #[test]
    fn text_is_safe_to_log() {
        let replies = read(b"250 a\rb\0c\x1b[31m\td\xff\n").expect("reply");
        assert_eq!(replies[0].text, "a?b?c?[31m d\u{fffd}");
    }

    #[test]
    fn enhanced_codes_count_only_when_they_agree() {
        let status =
            |text: &str| read(text.as_bytes()).expect("reply")[0].enhanced().map(|e| (e.class, e.subject, e.detail));
        assert_eq!(status("550 5.1.1 no such user\r\n"), Some((5, 1, 1)));
        assert_eq!(status("452 4.5.3\r\n"), Some((4, 5, 3)));
        assert_eq!(status("250 5.1.1 odd\r\n"), None);
        assert_eq!(status("550 5.1 x\r\n"), None);
        assert_eq!(status("550 5.1.1.1 x\r\n"), None);
        assert_eq!(status("550 no\r\n"), None);
    }

    #[test]
    fn a_reply_is_shown_in_one_line() {
        let replies = read(b"550-5.7.1 blocked\r\n550 5.7.1 see there\r\n").expect("reply");
        assert_eq!(replies[0].to_string(), "550 5.7.1 blocked see there");
    }
}
