//! Writes the message: what is shared, where the splices are, and parts of our own.

use super::Text;
use super::shape::Charset;
use crate::personal::{Form, Splice, quoted_printable};
use crate::post::headers::{FieldValue, Headers};
use data_encoding::HEXLOWER;
use sha1::{Digest, Sha1};

/// Longest line of a part without encoding, in octets.
const LONGEST_LINE: usize = 200;

/// A message that grows.
pub(super) struct Output {
    message: Vec<u8>,
    splices: Vec<Splice>,
}

impl Output {
    pub(super) fn new(octets: usize) -> Self {
        Output { message: Vec::with_capacity(octets), splices: Vec::new() }
    }

    pub(super) fn end(self) -> (Vec<u8>, Vec<Splice>) {
        (self.message, self.splices)
    }

    /// Octets that all copies have.
    pub(super) fn shared(&mut self, octets: &[u8]) {
        self.message.extend_from_slice(octets);
    }

    /// The header and what stands behind it; the field To of each recipient before the field with this number.
    pub(super) fn head(&mut self, headers: &Headers<'_>, to: Option<usize>) {
        let mut to = to;
        for (number, field) in headers.fields().enumerate() {
            if to.take_if(|place| *place == number).is_some() {
                self.own_to();
            }
            self.shared(field.raw());
        }
        if to.is_some() {
            self.own_to();
        }
        self.shared(headers.separator());
    }

    fn own_to(&mut self) {
        self.splices.push(Splice { at: self.message.len(), form: Form::To, text: Vec::new() });
    }

    /// Ends the last line, if it has no end.
    pub(super) fn end_line(&mut self) {
        if !self.message.ends_with(b"\n") {
            self.shared(b"\r\n");
        }
    }

    /// Lines of a text in this charset.
    pub(super) fn lines(&mut self, text: &Text, charset: &Charset) {
        match text.shared() {
            Some("") => {}
            Some(shared) => {
                let lines = with_crlf(shared);
                self.shared(&charset.written(&lines));
            }
            None => self.splices.push(text.splice(self.message.len(), Form::Text)),
        }
    }

    /// A part of our own: its delimiter, its header, its text. The last line end belongs to the next delimiter.
    pub(super) fn part(&mut self, text: &Text, boundary: &str) {
        self.delimiter(boundary);
        let (charset, encoding) = match text.shared() {
            Some(shared) if is_simple(shared) => ("us-ascii", "7bit"),
            _ => ("utf-8", "quoted-printable"),
        };
        self.shared(
            format!(
                "Content-Type: text/plain; charset=\"{charset}\"\r\nContent-Transfer-Encoding: {encoding}\r\n\
                 Content-Disposition: inline\r\n\r\n"
            )
            .as_bytes(),
        );
        match text.shared() {
            None => self.splices.push(text.splice(self.message.len(), Form::QuotedPrintable)),
            Some(shared) if encoding == "7bit" => self.shared(with_crlf(shared).as_bytes()),
            Some(shared) => {
                let mut encoded = String::new();
                quoted_printable(&with_crlf(shared), &mut encoded);
                self.shared(encoded.as_bytes());
            }
        }
    }

    pub(super) fn delimiter(&mut self, boundary: &str) {
        self.shared(format!("--{boundary}\r\n").as_bytes());
    }

    pub(super) fn close(&mut self, boundary: &str) {
        self.shared(format!("--{boundary}--\r\n").as_bytes());
    }
}

/// Lines of a message, the last with its end.
fn with_crlf(text: &str) -> String {
    text.split('\n').flat_map(|line| [line, "\r\n"]).collect()
}

/// Whether a text can be a part as it is, whatever the boundary.
fn is_simple(text: &str) -> bool {
    text.is_ascii()
        && text.split('\n').all(|line| {
            line.len() <= LONGEST_LINE
                && !line.starts_with("--")
                && !line.starts_with("From ")
                && !line.ends_with([' ', '\t'])
        })
}

/// A boundary that stands nowhere in these octets. `=_` is in no quoted-printable and in no base64.
pub(super) fn boundary(body: &[u8]) -> String {
    let mut digest = Sha1::digest(body);
    loop {
        let boundary = format!("=_postrider_{}", &HEXLOWER.encode(&digest)[..24]);
        if memchr::memmem::find(body, boundary.as_bytes()).is_none() {
            return boundary;
        }
        digest = Sha1::digest(digest);
    }
}

/// Makes the header that of a `multipart/mixed`. Returns what it said of the content, which goes into the part, and where
/// the field To stands now.
pub(super) fn make_mixed(headers: &mut Headers<'_>, to: Option<usize>, boundary: &str) -> (Vec<u8>, Option<usize>) {
    let is_content = |name: &[u8]| name.len() > 8 && name[..8].eq_ignore_ascii_case(b"content-");
    let to = to.map(|place| headers.fields().take(place).filter(|field| !is_content(field.name())).count());
    let content = headers.take_where(|field| is_content(field.name()));
    if !headers.contains("MIME-Version") {
        headers.push("MIME-Version", &FieldValue::cleaned("1.0"));
    }
    headers.push("Content-Type", &FieldValue::cleaned(&format!("multipart/mixed; boundary=\"{boundary}\"")));
    if !headers.body().is_ascii() {
        headers.push("Content-Transfer-Encoding", &FieldValue::cleaned("8bit"));
    }
    (content, to)
}
