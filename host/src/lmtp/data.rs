//! Octets become message content (RFC 5321, sections 4.1.1.4 and 4.5.2).
//!
//! Only `CRLF.CRLF` ends a message, so that no two programs on a message's way can disagree on
//! where it ends ("SMTP smuggling"). A CR or LF that stands alone never does, and becomes CRLF. A
//! dot is removed from the beginning of a line only where the line before it ended in CRLF, since
//! only there the sender doubled it. Everything else, NUL and lines of any length included, is
//! kept.

/// Decodes what follows `DATA`. Knows only where it stands, holds no content.
#[derive(Debug)]
pub(super) struct Decoder {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Behind CRLF (or at the very beginning, which follows the CRLF of `DATA`).
    LineStart,
    /// Behind `CRLF.`; the dot is not content.
    Dot,
    /// Behind `CRLF.CR`.
    DotCr,
    /// Inside a line.
    Text,
    /// Inside a line, behind a CR that was not yet written.
    Cr,
    /// Behind `CRLF.CRLF`.
    End,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Decoder { state: State::LineStart }
    }

    /// The end was seen; what follows is no content.
    pub(super) fn is_at_end(&self) -> bool {
        self.state == State::End
    }

    /// Appends the content of `input` to `content`, returns how many octets of `input` were used:
    /// all, or those up to and including the end of the message.
    pub(super) fn decode(&mut self, input: &[u8], content: &mut Vec<u8>) -> usize {
        // What lies between `kept` and `at` is content as it stands and waits to be copied at
        // once: an ordinary message is copied in one piece.
        let (mut kept, mut at) = (0, 0);
        while at < input.len() {
            match self.state {
                State::LineStart if input[at] == b'.' => {
                    content.extend_from_slice(&input[kept..at]);
                    at += 1;
                    kept = at;
                    self.state = State::Dot;
                }
                State::LineStart | State::Text => match memchr::memchr2(b'\r', b'\n', &input[at..]) {
                    None => {
                        at = input.len();
                        self.state = State::Text;
                    }
                    Some(offset) => {
                        at += offset;
                        if input[at] == b'\r' && input.get(at + 1) == Some(&b'\n') {
                            at += 2;
                            self.state = State::LineStart;
                            continue;
                        }
                        // Alone, or at the end of `input`: CRLF is written in its stead.
                        content.extend_from_slice(&input[kept..at]);
                        self.state = if input[at] == b'\r' {
                            State::Cr
                        } else {
                            content.extend_from_slice(b"\r\n");
                            State::Text
                        };
                        at += 1;
                        kept = at;
                    }
                },
                State::Cr => {
                    content.extend_from_slice(b"\r\n");
                    if input[at] == b'\n' {
                        at += 1;
                        kept = at;
                        self.state = State::LineStart;
                    } else {
                        self.state = State::Text;
                    }
                }
                State::Dot => {
                    if input[at] == b'\r' {
                        at += 1;
                        kept = at;
                        self.state = State::DotCr;
                    } else {
                        self.state = State::Text;
                    }
                }
                State::DotCr => {
                    if input[at] == b'\n' {
                        self.state = State::End;
                        return at + 1;
                    }
                    content.extend_from_slice(b"\r\n");
                    self.state = State::Text;
                }
                State::End => return at,
            }
        }
        content.extend_from_slice(&input[kept..at]);
        at
    }
}

#[cfg(any(test, feature = "fuzzing"))]
/// What [`Decoder`] does, plainly: octet by octet with a look at what lies behind; content and octets used.
/// `None` when the end was not seen. Slow and obvious; for tests.
pub(super) fn plainly(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut content = Vec::new();
    let mut behind_crlf = true;
    let mut at = 0;
    while at < input.len() {
        let rest = &input[at..];
        if behind_crlf && rest.starts_with(b".\r\n") {
            return Some((content, at + 3));
        } else if behind_crlf && rest[0] == b'.' {
            behind_crlf = false;
            at += 1;
        } else if rest.starts_with(b"\r\n") {
            content.extend_from_slice(b"\r\n");
            behind_crlf = true;
            at += 2;
        } else {
            if matches!(rest[0], b'\r' | b'\n') {
                content.extend_from_slice(b"\r\n");
            } else {
                content.push(rest[0]);
            }
            behind_crlf = false;
            at += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes in pieces of `size`; `None` when the end was not seen.
    fn decode(input: &[u8], size: usize) -> Option<(Vec<u8>, usize)> {
        let mut decoder = Decoder::new();
        let mut content = Vec::new();
        let mut used = 0;
        for piece in input.chunks(size) {
            used += decoder.decode(piece, &mut content);
            if decoder.is_at_end() {
                return Some((content, used));
            }
        }
        assert_eq!(used, input.len());
        None
    }

    #[test]
    fn dots_are_unstuffed_and_the_rest_is_left_to_the_next_command() {
        let input = b"Subject: x\r\n\r\n..a\r\n.b\r\n...\r\n.\r\nRSET\r\n";
        for size in 1..=input.len() {
            let (content, used) = decode(input, size).expect("end");
            assert_eq!(content, b"Subject: x\r\n\r\n.a\r\nb\r\n..\r\n", "pieces of {size}");
            assert_eq!(&input[used..], b"RSET\r\n");
        }
    }

    #[test]
    fn an_empty_message_ends_at_once() {
        assert_eq!(decode(b".\r\n", 1), Some((Vec::new(), 3)));
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_ends_a_message_at_any_split() {
        let smuggled: [(&[u8], &[u8]); 10] = [
            (b"a\n.\nb", b"a\r\n.\r\nb"),
            (b"a\r.\rb", b"a\r\n.\r\nb"),
            (b"a\n.\r\nb", b"a\r\n.\r\nb"),
            (b"a\r.\r\nb", b"a\r\n.\r\nb"),
            // Behind a true CRLF the dot was the sender's doubling and goes.
            (b"a\r\n.\nb", b"a\r\n\r\nb"),
            (b"a\r\n.\rb", b"a\r\n\r\nb"),
            (b"a\r\n.\0\r\nb", b"a\r\n\0\r\nb"),
            (b"a\r\n\0.\r\nb", b"a\r\n\0.\r\nb"),
            (b"a\r\r\n.\r.\nb", b"a\r\n\r\n\r\n.\r\nb"),
            (b"a\n\r.\n\r\nb", b"a\r\n\r\n.\r\n\r\nb"),
        ];
        for (attempt, wanted) in smuggled {
            let input = [attempt, b"\r\nMAIL FROM:<evil@example.com>\r\n.\r\nQUIT\r\n"].concat();
            let wanted = [wanted, b"\r\nMAIL FROM:<evil@example.com>\r\n"].concat();
            for size in 1..=input.len() {
                let (content, used) = decode(&input, size).expect("end");
                assert_eq!(content, wanted, "{:?} in pieces of {size}", attempt.escape_ascii().to_string());
                assert_eq!(&input[used..], b"QUIT\r\n");
            }
        }
    }

    #[test]
    fn every_short_text_of_dots_cr_lf_is_decoded_as_the_plain_way_says() {
        let alphabet = [b'.', b'\r', b'\n', b'a'];
        for length in 0..=8_u32 {
            for number in 0..4_usize.pow(length) {
                let input: Vec<u8> = (0..length).map(|i| alphabet[number >> (2 * i) & 3]).collect();
                for size in [1, 2, 3, 8] {
                    assert_eq!(decode(&input, size), plainly(&input), "{:?}", input.escape_ascii().to_string());
                }
            }
        }
    }

    #[test]
    fn nul_and_long_lines_are_kept() {
        let mut input = vec![b'x'; 1_000_000];
        input[500_000] = 0;
        input.extend_from_slice(b"\r\n.\r\n");
        let (content, _) = decode(&input, 65_536).expect("end");
        assert_eq!(content, input[..input.len() - 3]);
    }
}
