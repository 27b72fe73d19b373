//! Quoted-printable (RFC 2045, section 6.7).

use std::fmt::Write as _;

/// Longest line, in octets without its end.
const LINE: usize = 76;

/// Appends a text of lines that end in CRLF, encoded.
///
/// Beyond what the RFC wants, no line begins with `-` and `--` stands nowhere (it could be taken for a delimiter), and no
/// line begins with `.` (it would have to be stuffed) or `F` (`From ` is quoted by some).
pub fn quoted_printable(text: &str, into: &mut String) {
    for line in text.split_inclusive("\r\n") {
        let (line, end) = match line.strip_suffix("\r\n") {
            Some(line) => (line, "\r\n"),
            None => (line, ""),
        };
        let octets = line.as_bytes();
        let mut column = 0;
        for (at, octet) in octets.iter().enumerate() {
            let last = at + 1 == octets.len();
            let next = octets.get(at + 1).copied();
            let width = |first: bool| if is_plain(*octet, first, next) { 1 } else { 3 };
            // Room for the `=` of a soft line break behind it, where one may come.
            if column + width(column == 0) > LINE - usize::from(!last) {
                into.push_str("=\r\n");
                column = 0;
            }
            let first = column == 0;
            column += width(first);
            if is_plain(*octet, first, next) {
                into.push(char::from(*octet));
            } else {
                // Writing into a string cannot fail.
                let _ = write!(into, "={octet:02X}");
            }
        }
        into.push_str(end);
    }
}

fn is_plain(octet: u8, first: bool, next: Option<u8>) -> bool {
    match octet {
        b' ' | b'\t' => next.is_some(),
        b'-' => !first && next != Some(b'-'),
        b'.' | b'F' => !first,
        b'=' => false,
        _ => octet.is_ascii_graphic(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::MessageParser;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn encoded(text: &str) -> String {
        let mut out = String::new();
        quoted_printable(text, &mut out);
        out
    }

    fn check(text: &str) {
        let encoded = encoded(text);
        for line in encoded.split("\r\n") {
            assert!(line.len() <= 76, "{line:?}");
            assert!(!line.starts_with(['-', '.', 'F']) && !line.ends_with([' ', '\t']), "{line:?}");
            assert!(!line.contains("--"), "{line:?}");
            assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b) || b == b'\t'), "{line:?}");
        }
        let mail = format!(
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{encoded}"
        );
        let mail = MessageParser::default().parse(mail.as_bytes()).expect("message");
        assert_eq!(mail.body_text(0).as_deref().unwrap_or_default(), text);
    }

    #[test]
    fn lines_are_short_and_begin_with_nothing_that_means_something() {
        assert_eq!(encoded("-- \r\nFrom a=b ü.\r\n.\r\n"), "=2D-=20\r\n=46rom a=3Db =C3=BC.\r\n=2E\r\n");
        check("--boundary\r\n--boundary--\r\n.\r\n..\r\nFrom x\r\n \r\n\t\r\n");
        for length in 70..90 {
            check(&format!("{}\r\n", "x".repeat(length)));
            check(&format!("{}\r\n", "-".repeat(length)));
            check(&format!("{} \r\n", "ü".repeat(length)));
            check(&format!("{}- \r\n", "x ".repeat(length)));
        }
    }

    #[test]
    fn any_text_decodes_to_itself() {
        let mut random = StdRng::seed_from_u64(4);
        let alphabet = ["a", "-", ".", "F", "=", " ", "\t", "\r\n", "ü", "蟻", "\u{1f41c}", "From ", "=20"];
        for _ in 0..3000 {
            let length = random.random_range(1..120);
            let text: String = (0..length).map(|_| alphabet[random.random_range(0..alphabet.len())]).collect();
            check(&(text + "x\r\n"));
        }
    }
}
