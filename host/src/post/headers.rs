//! The header of a message, edited byte by byte.
//!
//! Promise: what no method here was asked to change is written as it came, octet by octet (folding,
//! 8-bit, odd blanks, the whole body), so that a DKIM signature (RFC 6376) over it stays valid. What
//! is written anew can contain no CR, LF, NUL or other control character, because it is a
//! [`FieldValue`]; it is folded to 78 octets where blanks allow it and never passes 998 (RFC 5322,
//! section 2.1.1).
//!
//! Any sequence of octets is a message. The header ends at the first empty line or before the first
//! line that is neither a field nor a continuation; what follows is the body, and an empty line is put
//! before it if there was none. Of a header of more than 1,000 fields or 1 MiB, only so much is looked at;
//! the rest is copied like a body, and [`Headers::is_cut`] says so. An mbox `From ` line at the very top is dropped.

use memchr::memchr;
use std::borrow::Cow;
use std::fmt;

/// So many fields are looked at. What is larger was made to keep us busy.
pub(super) const MAX_FIELDS: usize = 1000;
/// So many octets of fields are looked at.
pub(super) const MAX_HEADER: usize = 1024 * 1024;
/// Through so many mail servers a message may have gone.
const MAX_HOPS: usize = 100;
/// Preferred length of a line, in octets without CRLF.
const PREFERRED_LINE: usize = 78;
/// Longest run without a blank that we write, so that a line with a name before it fits into 998.
const LONGEST_WORD: usize = 900;

/// A text that can be put into a header without harm.
///
/// Never contains a control character, so that no value can begin a field of its own; never a word
/// of more than 900 octets, so that it can always be folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValue(String);

/// Why a text cannot be put into a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldValueError {
    /// It could begin a new header field.
    #[error("{0:?} contains a control character and cannot stand in a header")]
    Control(String),
    /// It could not be folded.
    #[error("the header value that begins with {0:?} has a word of more than 900 octets")]
    LongWord(String),
}

impl FieldValue {
    /// Takes the text as it is.
    ///
    /// # Errors
    /// [`FieldValueError`] when it contains CR, LF, NUL or another control character, or a word
    /// too long to be folded.
    pub fn new(text: impl Into<String>) -> Result<Self, FieldValueError> {
        let text = text.into();
        if text.chars().any(char::is_control) {
            return Err(FieldValueError::Control(text));
        }
        if text.split(' ').any(|word| word.len() > LONGEST_WORD) {
            return Err(FieldValueError::LongWord(text.chars().take(40).collect()));
        }
        Ok(FieldValue(text))
    }

    /// Takes the text with each control character replaced by a blank and overlong words cut in two.
    pub fn cleaned(text: &str) -> Self {
        let mut clean = String::with_capacity(text.len());
        let mut word = 0;
        for c in text.chars() {
            let c = if c.is_control() { ' ' } else { c };
            if c != ' ' && word + c.len_utf8() > LONGEST_WORD {
                clean.push(' ');
                word = 0;
            }
            word = if c == ' ' { 0 } else { word + c.len_utf8() };
            clean.push(c);
        }
        FieldValue(clean)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message whose header can be edited; the body is only ever copied.
#[derive(Clone, Debug)]
pub struct Headers<'m> {
    fields: Vec<Field<'m>>,
    separator: &'m [u8],
    body: &'m [u8],
    is_cut: bool,
}

/// One header field, with its name, folding and line ends.
#[derive(Clone, Debug)]
pub struct Field<'m> {
    raw: Cow<'m, [u8]>,
    /// Octets of the name.
    name: usize,
    /// Where the value begins: just behind the colon.
    value: usize,
}

impl<'m> Headers<'m> {
    /// Finds the fields. Never fails: see above what is done about messages that are none.
    pub fn parse(message: &'m [u8]) -> Self {
        let mut rest = message;
        let first = &rest[..line_length(rest)];
        if field_start(first).is_none() && (first.starts_with(b"From ") || first.starts_with(b">From ")) {
            rest = &rest[first.len()..];
        }
        let mut fields = Vec::with_capacity(32);
        let mut room = MAX_HEADER;
        loop {
            let line = &rest[..line_length(rest)];
            let Some((name, value)) = field_start(line) else { break };
            let mut length = line.len();
            while length <= room && matches!(rest.get(length), Some(b' ' | b'\t')) {
                length += line_length(&rest[length..]);
            }
            if length > room || fields.len() == MAX_FIELDS {
                return Headers { fields, separator: b"", body: rest, is_cut: true };
            }
            room -= length;
            let raw = &rest[..length];
            rest = &rest[length..];
            let mut raw = Cow::Borrowed(raw);
            if !raw.ends_with(b"\n") {
                raw.to_mut().extend_from_slice(b"\r\n"); // the message ends within its header
            }
            fields.push(Field { raw, name, value });
        }
        let empty = match rest {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => 0,
        };
        let (separator, body) = rest.split_at(empty);
        Headers { fields, separator: if empty == 0 { b"\r\n" } else { separator }, body, is_cut: false }
    }

    /// Whether the header is too large to be looked at whole: then [`Headers::fields`] are only its
    /// beginning, and the rest of it begins [`Headers::body`].
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// All fields, in their order.
    pub fn fields(&self) -> impl Iterator<Item = &Field<'m>> {
        self.fields.iter()
    }

    /// The fields with this name, whatever its case.
    pub fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h Field<'m>> {
        self.fields.iter().filter(move |field| field.is(name))
    }

    /// The first field with this name, whatever its case.
    pub fn first(&self, name: &str) -> Option<&Field<'m>> {
        self.fields.iter().find(|field| field.is(name))
    }

    /// Whether there is a field with this name.
    pub fn contains(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// Whether it went through so many mail servers (Received, RFC 5321, section 6.3) that it must be
    /// going round; the answer is how many.
    pub fn endless_hops(&self) -> Option<usize> {
        let hops = self.all("Received").count();
        (hops > MAX_HOPS).then_some(hops)
    }

    /// The body: everything behind the empty line.
    pub fn body(&self) -> &'m [u8] {
        self.body
    }

    /// Removes all fields with this name; returns how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.fields.len();
        self.fields.retain(|field| !field.is(name));
        before - self.fields.len()
    }

    /// Removes all fields with this name; returns before which of the others the first of them stood: behind all when
    /// there was none.
    pub fn take_out(&mut self, name: &str) -> usize {
        let place = self.fields.iter().position(|field| field.is(name)).unwrap_or(self.fields.len());
        self.remove(name);
        place
    }

    /// Removes the fields of which this holds; returns them, octet by octet.
    pub fn take_where(&mut self, holds: impl Fn(&Field<'_>) -> bool) -> Vec<u8> {
        let mut taken = Vec::new();
        for field in self.fields.extract_if(.., |field| holds(field)) {
            taken.extend_from_slice(&field.raw);
        }
        taken
    }

    /// What stands between header and body: an empty line.
    pub fn separator(&self) -> &'m [u8] {
        self.separator
    }

    /// Adds a field at the end of the header.
    pub fn push(&mut self, name: &'static str, value: &FieldValue) {
        self.fields.push(Field::written(name, value));
    }

    /// Adds a field at the top of the header, where trace fields go.
    pub fn push_top(&mut self, name: &'static str, value: &FieldValue) {
        self.fields.insert(0, Field::written(name, value));
    }

    /// Gives the first field with this name another value, in its place, and removes further ones;
    /// adds it at the end when there is none.
    pub fn replace(&mut self, name: &'static str, value: &FieldValue) {
        let Some(place) = self.fields.iter().position(|field| field.is(name)) else {
            return self.push(name, value);
        };
        self.remove(name);
        self.fields.insert(place, Field::written(name, value));
    }

    /// Puts a text before the value of the first field with this name, and keeps the octets of the
    /// value as they are. Does nothing when there is no such field.
    pub fn put_before(&mut self, name: &str, text: &FieldValue) {
        let Some(field) = self.fields.iter_mut().find(|field| field.is(name)) else { return };
        let value = trim_start(field.value());
        let first_line = line_length(value);
        let text = text.as_str();
        let shown = text.trim_end_matches(' ');
        let mut raw = folded(&field.raw[..field.value], shown);
        let column = raw.len() - raw.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let joined = column + (text.len() - shown.len()) + first_line;
        if joined > PREFERRED_LINE + 2 && shown.len() < text.len() && !value.trim_ascii().is_empty() {
            raw.extend_from_slice(b"\r\n ");
        } else {
            raw.extend_from_slice(&text.as_bytes()[shown.len()..]);
        }
        raw.extend_from_slice(value);
        field.raw = Cow::Owned(raw);
    }

    /// Octets that [`Headers::write`] will return.
    pub fn octets(&self) -> usize {
        self.fields.iter().map(|field| field.raw.len()).sum::<usize>() + self.separator.len() + self.body.len()
    }

    /// The whole message.
    pub fn write(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(self.octets());
        for field in &self.fields {
            message.extend_from_slice(&field.raw);
        }
        message.extend_from_slice(self.separator);
        message.extend_from_slice(self.body);
        message
    }
}

impl Field<'_> {
    fn written(name: &'static str, value: &FieldValue) -> Self {
        let mut raw = folded(format!("{name}:").as_bytes(), value.as_str());
        raw.extend_from_slice(b"\r\n");
        Field { raw: Cow::Owned(raw), name: name.len(), value: name.len() + 1 }
    }

    /// The name as it was written.
    pub fn name(&self) -> &[u8] {
        &self.raw[..self.name]
    }

    /// Whether this is its name, whatever the case.
    pub fn is(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name.as_bytes())
    }

    /// The whole field: name, colon, value, folding, line end.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Everything behind the colon, with blanks, folding and line end.
    pub fn value(&self) -> &[u8] {
        &self.raw[self.value..]
    }

    /// The value unfolded and trimmed, for comparisons and logs; octets that are no UTF-8 and
    /// control characters are replaced.
    pub fn text(&self) -> String {
        self.text_up_to(usize::MAX)
    }

    /// The same of only so many octets of the value, blanks before it not counted.
    pub fn text_up_to(&self, octets: usize) -> String {
        let value = self.value().trim_ascii_start();
        let value = &value[..value.len().min(octets)];
        let unfolded: Vec<u8> = value.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
        let text = String::from_utf8_lossy(&unfolded);
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

/// A field with its line end, folded.
pub fn written_field(name: &'static str, value: &FieldValue) -> Vec<u8> {
    Field::written(name, value).raw.into_owned()
}

/// Octets of the first line with its line end; the rest when none ends it.
pub(super) fn line_length(text: &[u8]) -> usize {
    memchr(b'\n', text).map_or(text.len(), |end| end + 1)
}

/// Octets of the name, and where the value begins, when a field begins on this line. Blanks before
/// the colon are taken, as in RFC 5322, section 4.5.
fn field_start(line: &[u8]) -> Option<(usize, usize)> {
    let name = line.iter().position(|b| !(33..=126).contains(b) || *b == b':')?;
    let blanks = line[name..].iter().position(|b| !matches!(b, b' ' | b'\t'))?;
    (name > 0 && line[name + blanks] == b':').then_some((name, name + blanks + 1))
}

/// Without blanks and folding at the start; an empty line of the value's own is not passed.
fn trim_start(value: &[u8]) -> &[u8] {
    let mut rest = value;
    loop {
        rest = match rest {
            [b' ' | b'\t', after @ ..] => after,
            [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] if matches!(after, [b' ' | b'\t', ..]) => after,
            _ => return rest,
        };
    }
}

/// `Name: value` without its line end, folded at blanks. A run of blanks stays whole and goes to the
/// new line, so that unfolding gives the value back.
fn folded(head: &[u8], value: &str) -> Vec<u8> {
    let value = value.trim_matches(' ');
    let mut out = Vec::with_capacity(head.len() + value.len() + 8);
    out.extend_from_slice(head);
    let mut column = out.len();
    let mut rest = value;
    let mut first = true;
    while !rest.is_empty() {
        let blanks = rest.len() - rest.trim_start_matches(' ').len();
        let end = rest[blanks..].find(' ').map_or(rest.len(), |at| blanks + at);
        let piece = &rest[..end];
        rest = &rest[end..];
        if first {
            out.push(b' ');
            column += 1;
            first = false;
        } else if column + piece.len() > PREFERRED_LINE {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        out.extend_from_slice(piece.as_bytes());
        column += piece.len();
    }
    out
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
