//! The octets of a message as they go over the wire.
//!
//! Promise: every line ends in CRLF and no other CR or LF is left, whatever the message held, so
//! that no server can see the end of the message where we do not (SMTP smuggling); lines that
//! begin with a dot have one more (RFC 5321, section 4.5.2); the final dot is part of it, so that
//! content and end are one write. Made once for each message and shared by all its transactions, also
//! when each recipient gets texts of his own: these are whole lines that stand between pieces of it ([`Content`]).

use crate::personal::{Own, Splices};

/// A message, ready to be written after the 354 to DATA, or with BDAT.
#[derive(Debug, PartialEq, Eq)]
pub struct WireBody {
    octets: Box<[u8]>,
    /// Where what is a recipient's own stands: at the beginnings of these lines.
    places: Box<[usize]>,
    size: u64,
    eight_bit: bool,
}

/// What one transaction sends: a message, and with it what is its recipient's own.
#[derive(Clone, Copy, Debug)]
pub struct Content<'c> {
    body: &'c WireBody,
    own: Option<&'c Own>,
}

impl WireBody {
    /// Makes it of a message. A bare CR or LF becomes a CRLF; a last line without end gets one.
    pub fn new(message: &[u8]) -> Self {
        Self::with_places(message, std::iter::empty())
    }

    /// The same with places for what is each recipient's own; the splices must fit the message.
    pub fn spliced(message: &[u8], splices: &Splices) -> Self {
        Self::with_places(message, splices.iter().map(|splice| splice.at))
    }

    fn with_places(message: &[u8], places: impl Iterator<Item = usize>) -> Self {
        let mut octets = Vec::with_capacity(message.len() + message.len() / 64 + 16);
        let mut stuffed = 0;
        let mut found = Vec::new();
        let mut from = 0;
        for at in places {
            let at = at.clamp(from, message.len());
            stuffed += push_lines(&mut octets, &message[from..at]);
            found.push(octets.len());
            from = at;
        }
        stuffed += push_lines(&mut octets, &message[from..]);
        let size = octets.len() as u64 - stuffed;
        octets.extend_from_slice(b".\r\n");
        WireBody {
            octets: octets.into_boxed_slice(),
            places: found.into_boxed_slice(),
            size,
            eight_bit: !message.is_ascii(),
        }
    }

    /// Everything that follows DATA, final dot included; without what is a recipient's own.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// A piece of the content as DATA has it, or as BDAT (RFC 3030) carries it: there no dot is special and none ends
    /// it, so that it consists of what stands between the dots that are left out, and there is no second copy.
    fn lines(&self, bdat: bool, from: usize, to: usize) -> Lines<'_> {
        Lines { rest: &self.octets[from..to], stuffed: bdat }
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

impl<'c> Content<'c> {
    /// A message with what is one recipient's own; made with the splices of the same message.
    pub fn with_own(body: &'c WireBody, own: &'c Own) -> Self {
        Content { body, own: Some(own) }
    }

    /// As [`WireBody::size`], with the recipient's own.
    pub fn size(&self) -> u64 {
        self.body.size + self.own.map_or(0, Own::size)
    }

    /// As [`WireBody::is_eight_bit`], with the recipient's own.
    pub fn is_eight_bit(&self) -> bool {
        self.body.eight_bit || self.own.is_some_and(Own::is_eight_bit)
    }

    /// Everything that follows DATA, final dot included, in pieces.
    pub fn data(&self) -> impl Iterator<Item = &'c [u8]> + Send + use<'c> {
        self.pieces(false, self.body.octets.len(), self.own.map(|own| own.stuffed().collect()))
    }

    /// Everything that follows `BDAT`, in pieces; together they have [`size`](Self::size) octets.
    pub fn chunk(&self) -> impl Iterator<Item = &'c [u8]> + Send + use<'c> {
        let end = self.body.octets.len() - b".\r\n".len();
        self.pieces(true, end, self.own.map(|own| own.texts().collect()))
    }

    fn pieces(
        &self,
        bdat: bool,
        end: usize,
        own: Option<Vec<&'c [u8]>>,
    ) -> impl Iterator<Item = &'c [u8]> + Send + use<'c> {
        let body = self.body;
        let own = own.unwrap_or_default();
        (0..=own.len()).flat_map(move |number| {
            let from = if number == 0 { 0 } else { body.places[number - 1] };
            let to = if number == own.len() { end } else { body.places[number] };
            body.lines(bdat, from, to).chain(own.get(number).copied())
        })
    }
}

impl<'c> From<&'c WireBody> for Content<'c> {
    fn from(body: &'c WireBody) -> Self {
        Content { body, own: None }
    }
}

/// Appends lines, with CRLF and stuffed; returns how many dots were added.
fn push_lines(octets: &mut Vec<u8>, lines: &[u8]) -> u64 {
    let mut stuffed = 0;
    let mut rest = lines;
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
    stuffed
}

/// Octets that are written one after the other.
#[derive(Clone, Debug)]
struct Lines<'a> {
    /// Begins with a line, if dots are to be left out.
    rest: &'a [u8],
    stuffed: bool,
}

impl<'a> Iterator for Lines<'a> {
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
            let chunk = String::from_utf8(Content::from(&body).chunk().collect::<Vec<_>>().concat()).expect("text");
            assert_eq!(chunk, content, "{message:?}");
            assert_eq!(body.size(), content.len() as u64);
        }
    }

    #[test]
    fn a_chunk_is_no_second_copy() {
        let body = WireBody::new(b"a\n.b\n.c\nd\n");
        let octets = body.octets().as_ptr_range();
        let pieces: Vec<&[u8]> = Content::from(&body).chunk().collect();
        assert_eq!(pieces, [&b"a\r\n"[..], b".b\r\n", b".c\r\nd\r\n"]);
        assert!(pieces.iter().all(|piece| octets.contains(&piece.as_ptr())));
    }

    #[test]
    fn eight_bit_octets_are_seen() {
        assert!(WireBody::new("ü".as_bytes()).is_eight_bit());
        assert!(!WireBody::new(b"u\r\n").is_eight_bit());
    }

    mod own {
        use super::*;
        use crate::lists::EmailAddress;
        use crate::personal::{Form, OwnVariable, Piece, Splice};
        use rand::rngs::StdRng;
        use rand::{Rng, SeedableRng};

        fn splices(message: &[u8], places: &[usize], text: &str) -> Splices {
            let pieces = vec![Piece::Text(text.to_owned()), Piece::Own { own: OwnVariable::UserName }];
            let one = |at: &usize| Splice { at: *at, form: Form::Text, text: pieces.clone() };
            Splices::new(places.iter().map(one).collect(), message).expect("splices")
        }

        fn joined<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
            parts.collect::<Vec<_>>().concat()
        }

        #[test]
        fn dots_are_stuffed_on_both_sides_of_a_border() {
            let message = b".a\r\n.b\r\n";
            let splices = splices(message, &[0, 4, 8], ".");
            let own = Own::of(&splices, &EmailAddress::parse("a@x").expect("address"), "x");
            let body = WireBody::spliced(message, &splices);
            let content = Content::with_own(&body, &own);
            assert_eq!(joined(content.data()), b"..x\r\n..a\r\n..x\r\n..b\r\n..x\r\n.\r\n");
            assert_eq!(joined(content.chunk()), b".x\r\n.a\r\n.x\r\n.b\r\n.x\r\n");
            assert_eq!(content.size(), 20);
            assert!(!content.is_eight_bit());
            let own = Own::of(&splices, &EmailAddress::parse("a@x").expect("address"), "\u{fc}");
            assert!(Content::with_own(&body, &own).is_eight_bit(), "8BITMIME is each recipient's own matter");
        }

        #[test]
        fn nothing_is_copied_of_what_is_shared() {
            let message = b"a\r\nb\r\n";
            let splices = splices(message, &[3], "x");
            let own = Own::of(&splices, &EmailAddress::parse("a@x").expect("address"), "");
            let body = WireBody::spliced(message, &splices);
            let parts = Content::with_own(&body, &own).data().collect::<Vec<_>>();
            assert_eq!(parts[0].as_ptr(), body.octets().as_ptr());
            assert_eq!(parts[2].as_ptr(), body.octets()[3..].as_ptr());
        }

        /// However dots, bare line ends and splices meet: what goes over the wire is the whole message.
        #[test]
        fn spliced_content_is_what_the_whole_message_would_be() {
            let mut random = StdRng::seed_from_u64(2046);
            let alphabet = [".", "\r\n", "\n", "\r", "a", "..", "\u{fc}", ".\r\n", "\r\n.\r\n"];
            for _ in 0..20_000 {
                let mut text = |most: usize| -> String {
                    (0..random.random_range(0..most))
                        .map(|_| alphabet[random.random_range(0..alphabet.len())])
                        .collect()
                };
                let (message, own_text, name) = (text(20), text(6).replace('\r', ""), text(3));
                let message = message.as_bytes();
                let lines: Vec<usize> = (0..=message.len()).filter(|at| *at == 0 || message[at - 1] == b'\n').collect();
                let mut places: Vec<usize> =
                    (0..random.random_range(0..4)).map(|_| lines[random.random_range(0..lines.len())]).collect();
                places.sort_unstable();
                let splices = splices(message, &places, &own_text);
                let own = Own::of(&splices, &EmailAddress::parse("a@x").expect("address"), &name);
                let (body, whole) =
                    (WireBody::spliced(message, &splices), WireBody::new(&own.put_into(message, &splices)));
                let content = Content::with_own(&body, &own);
                assert_eq!(joined(content.data()), whole.octets(), "{message:?} {places:?} {own_text:?}");
                assert_eq!(joined(content.chunk()), joined(Content::from(&whole).chunk()));
                assert_eq!((content.size(), content.is_eight_bit()), (whole.size(), whole.is_eight_bit()));
                assert_eq!(content.size(), whole.size());
            }
        }
    }
}
