//! How header and footer can be put into a message: what its Content-Type says, and whether that is true.

use crate::post::headers::{FieldValue, Headers, line_length};
use encoding_rs::{Encoding, UTF_8};
use mail_parser::{Attribute, MessageParser};
use std::borrow::Cow;

/// Longest boundary (RFC 2046, section 5.1.1), in octets.
const LONGEST_BOUNDARY: usize = 70;
/// So much of a Content-Type is read, in octets.
const READ: usize = 16 * 1024;

/// What a message is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One text, whose lines stand in the message as they are.
    Plain(Charset),
    /// Parts with this boundary between them.
    Mixed {
        /// As it stands in the delimiters.
        boundary: String,
        /// Where in the body the first delimiter begins.
        first: usize,
        /// Where the last one begins; `None`: it is missing.
        close: Option<usize>,
    },
    /// Can be a part of something else.
    Other,
    /// Is worth nothing as a part of something else.
    Sealed,
}

/// In what characters a text is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Charset {
    /// Its label, lower case; `us-ascii` if there is none.
    label: String,
    /// Whether octets above 127 may be added: there are some, or the header says that there can be.
    eight_bit: bool,
    /// Whether it can be called UTF-8 without becoming another text: it is ASCII, and nothing more is said of it.
    relabel: bool,
}

impl Shape {
    pub(super) fn of(headers: &Headers<'_>) -> Self {
        let count = |name: &str| headers.all(name).count();
        if count("Content-Type") > 1 || count("Content-Transfer-Encoding") > 1 {
            // What each mail program makes of that is its own affair, so it stays together.
            return Shape::Other;
        }
        let kind = Kind::of(headers);
        let encoding = word(headers, "Content-Transfer-Encoding");
        let is = |whole: &str| kind.whole == whole;
        if is("multipart/encrypted")
            || is("application/pkcs7-mime")
            || is("application/x-pkcs7-mime")
            || is("message/partial")
        {
            return Shape::Sealed;
        }
        let plain_encoding = matches!(encoding.as_str(), "" | "7bit" | "8bit" | "binary");
        if is("multipart/mixed") && plain_encoding {
            return kind
                .parameter("boundary")
                .and_then(|boundary| mixed(headers.body(), boundary))
                .unwrap_or(Shape::Other);
        }
        let attached = !matches!(word(headers, "Content-Disposition").as_str(), "" | "inline");
        let flowed = kind.parameter("format").is_some_and(|format| !format.eq_ignore_ascii_case("fixed"));
        if !is("text/plain") || !plain_encoding || attached || flowed {
            return Shape::Other;
        }
        let label = kind.parameter("charset").unwrap_or("us-ascii").trim().to_ascii_lowercase();
        let known = is_ascii_or_latin_1(&label)
            || Encoding::for_label(label.as_bytes()).is_some_and(Encoding::is_ascii_compatible);
        if !known {
            return Shape::Other;
        }
        let ascii = headers.body().is_ascii();
        Shape::Plain(Charset {
            eight_bit: !ascii || matches!(encoding.as_str(), "8bit" | "binary"),
            relabel: ascii && kind.parameters.iter().all(|(name, _)| name == "charset"),
            label,
        })
    }
}

impl Charset {
    /// Whether a text can be written in it; one that is not the same for everybody is UTF-8 when it is not ASCII.
    pub(super) fn takes(&self, ascii: bool, shared: Option<&str>) -> bool {
        let other = || match shared {
            Some(text) => self.encoded(text).is_some(),
            None => self.is_utf_8(),
        };
        ascii || (self.eight_bit && other())
    }

    /// See [`Charset::relabel`].
    pub(super) fn can_be_relabelled(&self) -> bool {
        self.relabel
    }

    /// Says that an ASCII text is UTF-8 in 8bit, which it is.
    pub(super) fn relabel(headers: &mut Headers<'_>) -> Self {
        if !headers.contains("MIME-Version") {
            headers.push("MIME-Version", &FieldValue::cleaned("1.0"));
        }
        headers.replace("Content-Type", &FieldValue::cleaned("text/plain; charset=utf-8"));
        headers.replace("Content-Transfer-Encoding", &FieldValue::cleaned("8bit"));
        Charset { label: "utf-8".to_owned(), eight_bit: true, relabel: false }
    }

    /// A text that this charset takes.
    pub(super) fn written<'t>(&self, text: &'t str) -> Cow<'t, [u8]> {
        let plain = Cow::Borrowed(text.as_bytes());
        if text.is_ascii() { plain } else { self.encoded(text).unwrap_or(plain) }
    }

    fn encoded<'t>(&self, text: &'t str) -> Option<Cow<'t, [u8]>> {
        if is_ascii_or_latin_1(&self.label) {
            // Not what browsers make of these names (windows-1252), but what they mean.
            let latin_1 = self.label.starts_with("iso");
            let octet = |c: char| {
                u8::try_from(u32::from(c)).ok().filter(|octet| octet.is_ascii() || (latin_1 && *octet >= 0xa0))
            };
            return text.chars().map(octet).collect::<Option<Vec<u8>>>().map(Cow::Owned);
        }
        // Only under its own name: others stand for charsets that are smaller than what browsers take them for.
        let encoding = Encoding::for_label(self.label.as_bytes())?;
        let own_name = encoding.name().eq_ignore_ascii_case(&self.label) || encoding == UTF_8;
        let (octets, _, lossy) = encoding.encode(text);
        (own_name && !lossy).then_some(octets)
    }

    fn is_utf_8(&self) -> bool {
        Encoding::for_label(self.label.as_bytes()) == Some(UTF_8)
    }
}

fn is_ascii_or_latin_1(label: &str) -> bool {
    matches!(label, "us-ascii" | "ascii" | "ansi_x3.4-1968" | "iso-8859-1" | "iso8859-1" | "iso_8859-1")
}

/// What Content-Type says, in lower case but for values.
#[derive(Default)]
struct Kind {
    /// `text/plain`; empty when it says nothing that can be read.
    whole: String,
    parameters: Vec<(String, String)>,
}

impl Kind {
    fn of(headers: &Headers<'_>) -> Self {
        let Some(field) = headers.first("Content-Type") else {
            return Kind { whole: "text/plain".to_owned(), ..Kind::default() };
        };
        let mut excerpt = b"Content-Type:".to_vec();
        excerpt.extend_from_slice(&field.value()[..field.value().len().min(READ)]);
        excerpt.extend_from_slice(b"\r\n\r\n");
        let parsed = MessageParser::default().parse_headers(&excerpt);
        let found = parsed.iter().flat_map(mail_parser::Message::headers).find_map(|one| one.value.as_content_type());
        let Some((found, subtype)) = found.and_then(|found| Some((found, found.subtype()?))) else {
            return Kind::default();
        };
        let parameter = |one: &Attribute<'_>| (one.name.to_ascii_lowercase(), one.value.to_string());
        Kind {
            whole: format!("{}/{subtype}", found.ctype()).to_ascii_lowercase(),
            parameters: found.attributes().into_iter().flatten().map(parameter).collect(),
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The first word of a field, lower case.
fn word(headers: &Headers<'_>, name: &str) -> String {
    let text = headers.first(name).map(|field| field.text_up_to(READ)).unwrap_or_default().to_ascii_lowercase();
    text.split(|c: char| c == ';' || c == '(' || c.is_whitespace()).next().unwrap_or_default().to_owned()
}

/// Where the delimiters of the outermost parts stand.
fn mixed(body: &[u8], boundary: &str) -> Option<Shape> {
    let good = !boundary.is_empty()
        && boundary.len() <= LONGEST_BOUNDARY
        && boundary.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
        && !boundary.ends_with(' ');
    if !good {
        return None;
    }
    let (mut first, mut close, mut at) = (None, None, 0);
    while at < body.len() && close.is_none() {
        let line = &body[at..at + line_length(&body[at..])];
        if let Some(behind) = line.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary.as_bytes())) {
            match behind.trim_ascii_end() {
                b"" if first.is_none() => first = Some(at),
                b"--" if first.is_some() => close = Some(at),
                _ => {}
            }
        }
        at += line.len();
    }
    first.map(|first| Shape::Mixed { boundary: boundary.to_owned(), first, close })
}
