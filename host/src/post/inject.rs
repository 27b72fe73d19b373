//! `postrider inject LIST [FILE]`: a message from a file, as if it had come by LMTP.
//!
//! Line ends become CRLF, an mbox `From ` line is dropped, everything else stays. The envelope sender is
//! the first address in From, so that the rules see the author; a file without a From field is most
//! likely no message, and is refused.

use super::facts::Facts;
use super::headers::Headers;
use crate::lists::{EmailAddress, List, Subaddress};
use crate::spool::{Incoming, IncomingRecipient, Spool, SpoolError};

/// Why a message was not injected; nothing was kept.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// The file is empty.
    #[error("the message is empty")]
    Empty,
    /// The file does not begin with a header.
    #[error("this is no message: its first line, {0:?}, is no header field")]
    NoHeader(String),
    /// Nobody wrote it.
    #[error("the message has no From field with an address; add one, it decides whether the post is a member's")]
    NoFrom,
    /// The spool did not take it.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// A message that can be injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The envelope sender.
    pub sender: EmailAddress,
    /// The message; lines end in CRLF.
    pub message: Vec<u8>,
}

impl Injection {
    /// Reads a message file.
    ///
    /// # Errors
    /// [`InjectError`] when it is no message.
    pub fn read(file: &[u8]) -> Result<Self, InjectError> {
        if file.trim_ascii().is_empty() {
            return Err(InjectError::Empty);
        }
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        let message = with_crlf(file);
        let headers = Headers::parse(&message);
        if headers.fields().next().is_none() {
            let line = message.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
            return Err(InjectError::NoHeader(String::from_utf8_lossy(line).chars().take(60).collect()));
        }
        let sender = Facts::of(&headers).from.into_iter().next().ok_or(InjectError::NoFrom)?;
        Ok(Injection { sender, message: headers.write() })
    }

    /// Puts it into the spool as a post to the list; returns the number of the message. When this
    /// returns `Ok` it is on disk.
    ///
    /// # Errors
    /// [`InjectError::Spool`]; then nothing is kept.
    pub async fn into_spool(self, spool: &Spool, list: &List) -> Result<i64, InjectError> {
        let address = list.address.to_string();
        let recipient = IncomingRecipient {
            list: list.id,
            list_address: address.clone(),
            function: Subaddress::Post,
            recipient: address,
            detail: None,
        };
        let mut body = spool.body_writer();
        body.write(&self.message).await?;
        let message = body.finish().await?;
        Ok(spool.accept(Incoming { sender: Some(self.sender), recipients: vec![recipient], message }).await?)
    }
}

/// Every line end (CRLF, LF, or a lone CR) as CRLF; the last line gets one too.
fn with_crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32 + 2);
    let mut rest = text;
    while let Some(end) = memchr::memchr2(b'\r', b'\n', rest) {
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(b"\r\n");
        rest = rest[end..].strip_prefix(b"\r\n").unwrap_or(&rest[end + 1..]);
    }
    out.extend_from_slice(rest);
    if !rest.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_become_crlf() {
        let read = |file: &[u8]| Injection::read(file).map(|injection| injection.message);
        let expected = b"From: a@b\r\nX: 1\r\n\r\nbody\r\n.dot\r\n";
        for file in [
            &b"From: a@b\nX: 1\n\nbody\n.dot\n"[..],
            b"From: a@b\r\nX: 1\r\n\r\nbody\r\n.dot\r\n",
            b"From: a@b\rX: 1\n\r\nbody\r.dot",
            b"From a@b Mon Nov  2 10:00:00 2026\nFrom: a@b\nX: 1\n\nbody\n.dot\n",
            b"\xef\xbb\xbfFrom: a@b\nX: 1\n\nbody\n.dot\n",
        ] {
            assert_eq!(read(file).expect("message"), expected, "{:?}", String::from_utf8_lossy(file));
        }
    }

    #[test]
    fn the_author_is_the_envelope_sender() {
        let injection = Injection::read(b"Subject: x\nFrom: Anne <anne@example.com>, bob@x\n\nhi\n").expect("message");
        assert_eq!(injection.sender.as_str(), "anne@example.com");
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_reason() {
        assert!(matches!(Injection::read(b" \n"), Err(InjectError::Empty)));
        assert!(matches!(Injection::read(b"\x7fELF\x02\x01"), Err(InjectError::NoHeader(_))));
        assert!(matches!(Injection::read(b"Subject: x\n\nFrom: a@b\n"), Err(InjectError::NoFrom)));
        assert!(matches!(Injection::read(b"From: nobody\n\n"), Err(InjectError::NoFrom)));
    }
}
