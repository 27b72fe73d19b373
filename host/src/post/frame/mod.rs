//! The list's header and footer go around the text of a post, and what is each member's own is left out of it.
//!
//! | the post is | header and footer become |
//! |---|---|
//! | one `text/plain`, 7bit or 8bit, in whose charset they can be written | lines of it |
//! | the same in ASCII, and they are not | lines of it; it is UTF-8 in 8bit from then on |
//! | `multipart/mixed` | its first and its last part |
//! | encrypted (`multipart/encrypted`, `application/pkcs7-mime`), or a fragment (`message/partial`) | nothing: it stays as it is |
//! | anything else (HTML, quoted-printable, base64, `format=flowed`, `multipart/alternative`, signed, broken) | parts before and behind it in a new `multipart/mixed`; it is one part of that, octet by octet, so that an S/MIME or PGP signature over it stays good |
//!
//! Encrypted mail is left alone because mail programs refuse to decrypt what is only a part of a message (EFAIL, 2018).
//! A part of our own is in quoted-printable unless its text is the same for everybody and needs no encoding.
//!
//! The result is the message with all that its copies share, and [`Splices`] for what they do not: texts with variables of
//! members, and with `personalize=full` the field To, which is taken out of what is shared.

mod parts;
mod shape;

use super::headers::Headers;
use crate::lists::{EmailAddress, List, Personalize};
use crate::personal::{Form, Piece, Splice, Splices, Template};
use parts::Output;
use shape::{Charset, Shape};

/// Longest line of a text in place, in octets without its end (RFC 5322, section 2.1.1).
const LONGEST_LINE: usize = 998;

/// What is to be known of those for whom copies are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audience {
    /// Whether all addresses and names are ASCII.
    ascii: bool,
    /// The longest of them, in octets.
    longest: usize,
}

impl Audience {
    /// Of these addresses and names.
    pub fn of<'a>(people: impl Iterator<Item = (&'a EmailAddress, &'a str)>) -> Self {
        people.fold(Audience { ascii: true, longest: 0 }, |all, (address, name)| Audience {
            ascii: all.ascii && address.is_ascii() && name.is_ascii(),
            // Lower case may be longer than upper case, but never twice as long.
            longest: all.longest.max(2 * address.as_str().len()).max(name.len()),
        })
    }
}

/// A post with header and footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framed {
    /// The message, as far as all share it.
    pub message: Vec<u8>,
    /// What is each member's own; `None` when all get the same.
    pub splices: Option<Splices>,
}

/// Puts header and footer around a post that has got its list fields. The same input gives the same output.
pub fn frame(list: &List, message: Vec<u8>, audience: Audience) -> Framed {
    let settings = &list.settings;
    let personal = settings.personalize != Personalize::None;
    let text = |template: &str| Text::of(template, list, personal, audience);
    let texts = Texts { header: text(&settings.header), footer: text(&settings.footer) };
    let full = settings.personalize == Personalize::Full;
    if texts.are_none() && !full {
        return Framed { message, splices: personal.then(Splices::default) };
    }
    let mut headers = Headers::parse(&message);
    if headers.is_cut() {
        return Framed { splices: personal.then(Splices::default), message };
    }
    let to = full.then(|| headers.take_out("To"));
    let room = texts.header.octets() + texts.footer.octets() + 1024;
    let mut output = Output::new(message.len() + room);
    let shape = if texts.are_none() { Shape::Sealed } else { Shape::of(&headers) };
    match shape {
        Shape::Sealed => {
            output.head(&headers, to);
            output.shared(headers.body());
        }
        Shape::Plain(charset) => match texts.written_in(&charset) {
            Some(relabelled) => {
                let charset = if relabelled { Charset::relabel(&mut headers) } else { charset };
                output.head(&headers, to);
                output.lines(&texts.header, &charset);
                output.shared(headers.body());
                if !texts.footer.is_empty() {
                    output.end_line();
                    output.lines(&texts.footer, &charset);
                }
            }
            None => wrapped(&mut output, headers, to, &texts),
        },
        Shape::Mixed { boundary, first, close } => {
            output.head(&headers, to);
            let body = headers.body();
            output.shared(&body[..first]);
            if !texts.header.is_empty() {
                output.part(&texts.header, &boundary);
            }
            output.shared(&body[first..close.unwrap_or(body.len())]);
            if !texts.footer.is_empty() {
                output.end_line();
                output.part(&texts.footer, &boundary);
                if close.is_none() {
                    output.close(&boundary);
                }
            }
            output.shared(&body[close.unwrap_or(body.len())..]);
        }
        Shape::Other => wrapped(&mut output, headers, to, &texts),
    }
    let (made, splices) = output.end();
    if !personal {
        return Framed { message: made, splices: None };
    }
    match Splices::new(splices, &made) {
        Ok(splices) => Framed { message: made, splices: Some(splices) },
        // Cannot be: each place is where a line begins. A post without a footer is better than none.
        Err(error) => {
            tracing::error!(list = %list.address, "header and footer were left out: {error}");
            Framed { message, splices: Some(Splices::default()) }
        }
    }
}

/// The whole post becomes a part.
fn wrapped(output: &mut Output, mut headers: Headers<'_>, to: Option<usize>, texts: &Texts) {
    let boundary = parts::boundary(headers.body());
    let (content, to) = parts::make_mixed(&mut headers, to, &boundary);
    output.head(&headers, to);
    if !texts.header.is_empty() {
        output.part(&texts.header, &boundary);
    }
    output.delimiter(&boundary);
    output.shared(&content);
    output.shared(b"\r\n");
    output.shared(headers.body());
    // Belongs to the delimiter: the part keeps its own last line end, or has none as before.
    output.shared(b"\r\n");
    if !texts.footer.is_empty() {
        output.part(&texts.footer, &boundary);
    }
    output.close(&boundary);
}

/// A header or footer, filled.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    /// Lines end in LF.
    pieces: Vec<Piece>,
    /// Whether it is ASCII for everybody.
    ascii: bool,
    /// The longest line that it can have for anybody, in octets.
    longest_line: usize,
}

/// Both.
struct Texts {
    header: Text,
    footer: Text,
}

impl Text {
    fn of(template: &str, list: &List, personal: bool, audience: Audience) -> Self {
        let pieces = match Template::parse(template) {
            Ok(template) => template.filled(list, personal),
            // A newer version has variables that we do not know; `set` lets none pass.
            Err(_) => vec![Piece::Text(template.chars().filter(|c| !c.is_control() || "\n\t".contains(*c)).collect())],
        };
        let pieces: Vec<Piece> =
            pieces.into_iter().filter(|piece| !matches!(piece, Piece::Text(text) if text.is_empty())).collect();
        let (mut ascii, mut line, mut longest_line) = (true, 0, 0);
        for piece in &pieces {
            match piece {
                Piece::Own { .. } => {
                    ascii &= audience.ascii;
                    line += audience.longest;
                }
                Piece::Text(text) => {
                    ascii &= text.is_ascii();
                    for (number, part) in text.split('\n').enumerate() {
                        if number > 0 {
                            line = 0;
                        }
                        line += part.len();
                        longest_line = longest_line.max(line);
                    }
                }
            }
            longest_line = longest_line.max(line);
        }
        Text { pieces, ascii, longest_line }
    }

    fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    fn octets(&self) -> usize {
        self.shared().map_or(0, |text| text.len() * 2)
    }

    /// The text, if it is the same for everybody.
    fn shared(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    fn splice(&self, at: usize, form: Form) -> Splice {
        Splice { at, form, text: self.pieces.clone() }
    }
}

impl Texts {
    fn are_none(&self) -> bool {
        self.header.is_empty() && self.footer.is_empty()
    }

    /// Whether both can be lines of a text in this charset; `Some(true)`: if it is called UTF-8 from then on.
    fn written_in(&self, charset: &Charset) -> Option<bool> {
        let texts = [&self.header, &self.footer];
        if texts.iter().any(|text| text.longest_line > LONGEST_LINE) {
            return None;
        }
        if texts.iter().all(|text| charset.takes(text.ascii, text.shared())) {
            return Some(false);
        }
        charset.can_be_relabelled().then_some(true)
    }
}

#[cfg(test)]
mod tests;
