//! Non-ASCII text in headers: encoded words (RFC 2047), and phrases (RFC 5322, section 3.2.5).

use super::headers::FieldValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Octets of UTF-8 in one encoded word: 45 become 60, with the frame 72 of the 75 allowed.
const CHUNK: usize = 45;
/// A longer ASCII word is encoded too, so that it can be folded.
const LONG_WORD: usize = 200;

/// Encoded words for any text, separated by single blanks (which vanish when it is decoded).
pub fn encoded_words(text: &str) -> String {
    let mut words = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let mut end = (start + CHUNK).min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        words.push(format!("=?utf-8?b?{}?=", STANDARD.encode(&text[start..end])));
        start = end;
    }
    words.join(" ")
}

/// Whether a text can stand in an unstructured field as it is.
pub fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| (b' '..=b'~').contains(&b))
        && !text.contains("=?")
        && text.split(' ').all(|word| word.len() <= LONG_WORD)
}

/// A phrase, as it stands before `<…>`: as it is, quoted, or encoded, whichever is enough.
pub fn phrase(text: &str) -> FieldValue {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.trim();
    let atom = |b: u8| b.is_ascii_alphanumeric() || b" !#$%&'*+-/=?^_`{|}~".contains(&b);
    let written = if !is_plain(text) {
        encoded_words(text)
    } else if text.bytes().all(atom) {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    };
    FieldValue::cleaned(&written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_written_in_the_simplest_form() {
        assert_eq!(phrase("All about ants").as_str(), "All about ants");
        assert_eq!(phrase("Ants, \"bees\" <x@y>").as_str(), "\"Ants, \\\"bees\\\" <x@y>\"");
        assert_eq!(phrase("Grüße").as_str(), "=?utf-8?b?R3LDvMOfZQ==?=");
        assert_eq!(phrase("a\r\nBcc: x").as_str(), "\"a  Bcc: x\"");
        assert_eq!(phrase("=?utf-8?q?no?=").as_str(), "=?utf-8?b?PT91dGYtOD9xP25vPz0=?=");
    }

    #[test]
    fn long_texts_become_words_of_75_octets_that_decode_to_themselves() {
        let text = "Ameisenstraße — 蟻 ".repeat(20);
        let words = encoded_words(&text);
        assert!(words.split(' ').all(|word| word.len() <= 75));
        let field = format!("Subject: {}\r\n\r\n", words.replace(' ', "\r\n "));
        let message = mail_parser::MessageParser::new().with_minimal_headers().parse_headers(field.as_bytes());
        assert_eq!(message.expect("message").subject(), Some(text.as_str()));
    }
}
