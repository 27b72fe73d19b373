//! Replies of the server (RFC 5321, section 4.2).

use std::fmt;
use std::io::{self, BufRead, Read as _};

/// Octets of a reply with all its lines; real ones have less than a tenth.
const LONGEST: u64 = 16 * 1024;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// The text of each line.
    pub lines: Vec<String>,
}

impl Reply {
    /// Reads one.
    ///
    /// # Errors
    /// What came instead, in words.
    pub fn read(from: &mut impl BufRead) -> Result<Self, String> {
        let mut lines = Vec::new();
        let mut left = from.take(LONGEST);
        let mut first = None;
        loop {
            let mut line = Vec::new();
            left.read_until(b'\n', &mut line).map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no reply in time".to_owned(),
                _ => format!("the connection broke: {error}"),
            })?;
            if !line.ends_with(b"\n") {
                let end = "the connection was closed";
                return Err(if left.limit() == 0 { "a reply without end" } else { end }.to_owned());
            }
            let line = line.trim_ascii_end();
            let (code, more, text) = split(line)
                .ok_or_else(|| format!("{:?} is no reply", String::from_utf8_lossy(&line[..line.len().min(80)])))?;
            if *first.get_or_insert(code) != code {
                return Err(format!("the lines of its reply disagree: {} and then {code}", first.unwrap_or(code)));
            }
            lines.push(String::from_utf8_lossy(text).into_owned());
            if !more {
                return Ok(Reply { code, lines });
            }
        }
    }

    /// Whether it is a 2xx.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// Whether it refuses for good. Not counted are replies that say that the server is not spoken to
    /// in the right way: those are no judgement of the message.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5 && !matches!(self.code, 500 | 502 | 503 | 504 | 530 | 555)
    }
}

/// In one line.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.lines.iter().filter(|line| !line.is_empty()).try_for_each(|line| write!(f, " {line}"))
    }
}

/// Code, whether another line follows, text.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = line.split_at_checked(3)?;
    if !matches!(code, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']) {
        return None;
    }
    let code = code.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    match rest {
        [] => Some((code, false, rest)),
        [b' ', text @ ..] => Some((code, false, text)),
        [b'-', text @ ..] => Some((code, true, text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        Reply::read(&mut text.as_bytes()).map(|reply| reply.to_string())
    }

    #[test]
    fn replies_are_read_whole() {
        assert_eq!(read("250 2.0.0 ok\r\nrest").as_deref(), Ok("250 2.0.0 ok"));
        assert_eq!(read("550-5.1.1 no\r\n550-\r\n550 list\n").as_deref(), Ok("550 5.1.1 no list"));
        assert_eq!(read("250\r\n").as_deref(), Ok("250"));
    }

    #[test]
    fn what_is_no_reply_is_told() {
        for text in ["hello\r\n", "\r\n", "25\r\n", "2500\r\n", "150 x\r\n", "650 x\r\n", "250x\r\n"] {
            assert!(read(text).expect_err(text).ends_with("is no reply"), "{text:?}");
        }
        assert_eq!(read("250-a\r\n550 b\r\n"), Err("the lines of its reply disagree: 250 and then 550".into()));
        for text in ["", "250 ok", "250-ok\r\n"] {
            assert_eq!(read(text), Err("the connection was closed".into()), "{text:?}");
        }
        assert_eq!(read(&"250-x\r\n".repeat(10_000)), Err("a reply without end".into()));
        assert_eq!(read(&"2".repeat(100_000)), Err("a reply without end".into()));
    }
}
