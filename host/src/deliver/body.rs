//! The octets of a message as they go over the wire.
//!
//! Promise: every line ends in CRLF and no other CR or LF is left, whatever the message held, so
//! that no server can see the end of the message where we do not (SMTP smuggling); lines that
//! begin with a dot have one more (RFC 5321, section 4.5.2); the final dot is part of it, so that
//! content and end are one write. Made once for each message and shared by all its transactions.

/// A message, ready to be written after the 354 to DATA, or with BDAT.
#[derive(Debug, PartialEq, Eq)]
pub struct WireBody {
    octets: Box<[u8]>,
    size: u64,
    eight_bit: bool,
}

impl WireBody {
    /// Makes it of a message. A bare CR or LF becomes a CRLF; a last line without end gets one.
    pub fn new(message: &[u8]) -> Self {
        let mut octets = Vec::with_capacity(message.len() + message.len() / 64 + 16);
        let mut stuffed = 0;
        let mut rest = message;
        while !rest.is_empty() {
            if rest[0] == b'.' {
                octets.push(b'.');
                stuffed += 1;
            }
            let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            octets.extend_from_slice(&rest[..end]);
            octets.extend_from_slice(b"\r\n");
            rest = match &rest[end..] {
                [b'\r', b'\n', after @ ..] | [_, after @ ..] => after,
                [] => &[],
            };
        }
        let size = octets.len() as u64 - stuffed;
        octets.extend_from_slice(b".\r\n");
        WireBody { octets: octets.into_boxed_slice(), size, eight_bit: !message.is_ascii() }
    }

    /// Everything that follows DATA, final dot included.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The same lines as BDAT (RFC 3030) carries them, in which no dot is special and none ends them: pieces of
    /// [`octets`](Self::octets) between the dots that are left out, so that there is no second copy. Together they
    /// have [`size`](Self::size) octets.
    pub fn chunk(&self) -> Pieces<'_> {
        Pieces { rest: &self.octets[..self.octets.len() - b".\r\n".len()], stuffed: true }
    }

    /// Octets as SIZE (RFC 1870) counts them: line ends included, stuffed dots and the final dot
    /// not.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it holds octets above 127, which need 8BITMIME (RFC 6152).
    pub fn is_eight_bit(&self) -> bool {
        self.eight_bit
    }
}

/// Octets that are written one after the other.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    /// Begins with a line, if dots are to be left out.
    rest: &'a [u8],
    stuffed: bool,
}

impl<'a> Pieces<'a> {
    /// One piece, as it is.
    pub fn whole(octets: &'a [u8]) -> Self {
        Pieces { rest: octets, stuffed: false }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = if self.stuffed {
            self.rest = self.rest.strip_prefix(b".").unwrap_or(self.rest);
            // The next line that begins with a dot; in between nothing differs.
            memchr::memmem::find(self.rest, b"\n.").map_or(self.rest.len(), |at| at + 1)
        } else {
            self.rest.len()
        };
        let piece;
        (piece, self.rest) = self.rest.split_at(end);
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(message: &str) -> String {
        String::from_utf8(WireBody::new(message.as_bytes()).octets().to_vec()).expect("text")
    }

    #[test]
    fn lines_that_begin_with_a_dot_get_another() {
        assert_eq!(wire(".a\r\n..b\r\nc.\r\n.\r\n"), "..a\r\n...b\r\nc.\r\n..\r\n.\r\n");
    }

    #[test]
    fn a_body_that_ends_in_crlf_gets_no_empty_line() {
        assert_eq!(wire("a\r\n"), "a\r\n.\r\n");
        assert_eq!(wire("a"), "a\r\n.\r\n");
        assert_eq!(wire("a\r\n\r\n"), "a\r\n\r\n.\r\n");
        assert_eq!(wire(""), ".\r\n");
    }

    #[test]
    fn no_end_of_data_can_be_smuggled() {
        for smuggled in
            ["\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r\r\n.\r\n", "\n\r.\n\r", "\r\n\x00.\r\n"]
        {
            let body = WireBody::new(format!("a{smuggled}MAIL FROM:<x@y>\r\n").as_bytes());
            let content = &body.octets()[..body.octets().len() - 3];
            for (at, octet) in content.iter().enumerate() {
                match octet {
                    b'\r' => assert_eq!(content.get(at + 1), Some(&b'\n'), "{smuggled:?}"),
                    b'\n' => assert_eq!(content[at - 1], b'\r', "{smuggled:?}"),
                    _ => {}
                }
            }
            assert!(!content.windows(5).any(|part| part == b"\r\n.\r\n"), "{smuggled:?}");
            assert!(body.octets().ends_with(b"\r\n.\r\n"));
        }
    }

    #[test]
    fn size_counts_what_the_server_stores() {
        assert_eq!(WireBody::new(b".a\r\n\nb").size(), "a\r\n\r\nb\r\n".len() as u64 + 1);
        assert_eq!(WireBody::new(b"").size(), 0);
    }

    #[test]
    fn a_chunk_has_the_same_lines_and_no_stuffed_dots() {
        for (message, content) in [
            (".a\r\n..b\r\n.\r\nc\n.d", ".a\r\n..b\r\n.\r\nc\r\n.d\r\n"),
            ("a\r\nb.\r\n", "a\r\nb.\r\n"),
            ("...\r\n", "...\r\n"),
            ("\r\n", "\r\n"),
            ("", ""),
        ] {
            let body = WireBody::new(message.as_bytes());
            let chunk = String::from_utf8(body.chunk().collect::<Vec<_>>().concat()).expect("text");
            assert_eq!(chunk, content, "{message:?}");
            assert_eq!(body.size(), content.len() as u64);
        }
    }

    #[test]
    fn a_chunk_is_no_second_copy() {
        let body = WireBody::new(b"a\n.b\n.c\nd\n");
        let octets = body.octets().as_ptr_range();
        let pieces: Vec<&[u8]> = body.chunk().collect();
        assert_eq!(pieces, [&b"a\r\n"[..], b".b\r\n", b".c\r\nd\r\n"]);
        assert!(pieces.iter().all(|piece| octets.contains(&piece.as_ptr())));
    }

    #[test]
    fn eight_bit_octets_are_seen() {
        assert!(WireBody::new("ü".as_bytes()).is_eight_bit());
        assert!(!WireBody::new(b"u\r\n").is_eight_bit());
    }
}
