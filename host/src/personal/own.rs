//! What one recipient gets in the places of the splices.

use super::template::one_line;
use super::{Form, OwnVariable, Piece, Splices, quoted_printable};
use crate::lists::EmailAddress;
use crate::post::encode::phrase;
use crate::post::headers::{FieldValue, written_field};

/// A name as it may stand in a recipient's own text: on one line, without control characters, at most
/// [`MAX_NAME`](super::MAX_NAME) characters.
pub fn own_name(name: &str) -> String {
    one_line(name)
}

/// One recipient's texts, one for each splice; made anew for the next one in the same memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// All texts, one behind the other.
    octets: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// The same with lines that begin with a dot stuffed, if there are such.
    stuffed: Option<(Vec<u8>, Vec<usize>)>,
    text: String,
}

impl Own {
    /// Makes the texts for this recipient.
    pub fn make(&mut self, splices: &Splices, address: &EmailAddress, name: &str) {
        let name = own_name(name);
        self.octets.clear();
        self.ends.clear();
        for splice in splices.iter() {
            match splice.form {
                Form::To => self.octets.extend_from_slice(&to_field(address, &name)),
                Form::Text | Form::QuotedPrintable => {
                    self.text.clear();
                    for piece in &splice.text {
                        push(&mut self.text, piece, address, &name);
                    }
                    if !self.text.ends_with("\r\n") {
                        self.text.push_str("\r\n");
                    }
                    if splice.form == Form::Text {
                        self.octets.extend_from_slice(self.text.as_bytes());
                    } else {
                        let mut encoded = String::with_capacity(self.text.len() + self.text.len() / 8);
                        quoted_printable(&self.text, &mut encoded);
                        self.octets.extend_from_slice(encoded.as_bytes());
                    }
                }
            }
            self.ends.push(self.octets.len());
        }
        self.stuffed = self.stuff();
    }

    /// For one recipient.
    pub fn of(splices: &Splices, address: &EmailAddress, name: &str) -> Self {
        let mut own = Own::default();
        own.make(splices, address, name);
        own
    }

    fn stuff(&self) -> Option<(Vec<u8>, Vec<usize>)> {
        let dotted = |text: &[u8]| text.starts_with(b".") || memchr::memmem::find(text, b"\n.").is_some();
        if !self.texts().any(dotted) {
            return None;
        }
        let (mut octets, mut ends) = (Vec::with_capacity(self.octets.len() + 16), Vec::new());
        for text in self.texts() {
            for line in text.split_inclusive(|b| *b == b'\n') {
                if line.starts_with(b".") {
                    octets.push(b'.');
                }
                octets.extend_from_slice(line);
            }
            ends.push(octets.len());
        }
        Some((octets, ends))
    }

    /// The texts in the order of the splices: whole lines, each with CRLF.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        cut(&self.octets, &self.ends)
    }

    /// The same as they go behind DATA: one more dot on each line that begins with one (RFC 5321, section 4.5.2).
    pub fn stuffed(&self) -> impl Iterator<Item = &[u8]> {
        let (octets, ends) = self.stuffed.as_ref().map_or((&self.octets, &self.ends), |(octets, ends)| (octets, ends));
        cut(octets, ends)
    }

    /// Octets of all texts.
    pub fn size(&self) -> u64 {
        self.octets.len() as u64
    }

    /// Whether there are octets above 127.
    pub fn is_eight_bit(&self) -> bool {
        !self.octets.is_ascii()
    }

    /// The message with the texts in their places.
    pub fn put_into(&self, message: &[u8], splices: &Splices) -> Vec<u8> {
        let mut whole = Vec::with_capacity(message.len() + self.octets.len());
        let mut from = 0;
        for (splice, text) in splices.iter().zip(self.texts()) {
            let at = splice.at.clamp(from, message.len());
            whole.extend_from_slice(&message[from..at]);
            whole.extend_from_slice(text);
            from = at;
        }
        whole.extend_from_slice(&message[from..]);
        whole
    }
}

fn cut<'o>(octets: &'o [u8], ends: &'o [usize]) -> impl Iterator<Item = &'o [u8]> {
    let mut from = 0;
    ends.iter().map(move |end| {
        let text = &octets[from..*end];
        from = *end;
        text
    })
}

/// Lines of a template end in LF, those of a message in CRLF.
fn push(text: &mut String, piece: &Piece, address: &EmailAddress, name: &str) {
    match piece {
        Piece::Text(piece) => push_lines(text, piece),
        Piece::Own { own: OwnVariable::UserName } => text.push_str(name),
        Piece::Own { own: OwnVariable::UserEmail } => text.push_str(&address.key()),
        Piece::Own { own: OwnVariable::UserDeliveredTo } => text.push_str(address.as_str()),
    }
}

fn push_lines(text: &mut String, lines: &str) {
    for line in lines.split_inclusive('\n') {
        match line.strip_suffix('\n') {
            Some(line) => {
                text.push_str(line);
                text.push_str("\r\n");
            }
            None => text.push_str(line),
        }
    }
}

/// `To: Anne <anne@example.com>` with its line end.
fn to_field(address: &EmailAddress, name: &str) -> Vec<u8> {
    let value = if name.is_empty() { address.to_string() } else { format!("{} <{address}>", phrase(name)) };
    written_field("To", &FieldValue::cleaned(&value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::personal::Splice;
    use crate::post::testing::address;
    use mail_parser::MessageParser;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    const MESSAGE: &[u8] = b"From: a@x\r\n\r\n.hello\r\n";

    fn splices(text: &str, form: Form) -> Splices {
        let mut pieces = Vec::new();
        for (number, part) in text.split("NAME").enumerate() {
            if number > 0 {
                pieces.push(Piece::Own { own: OwnVariable::UserName });
            }
            pieces.push(Piece::Text(part.to_owned()));
        }
        let to = Splice { at: 11, form: Form::To, text: Vec::new() };
        let text = Splice { at: MESSAGE.len(), form, text: pieces };
        Splices::new(vec![to, text], MESSAGE).expect("splices")
    }

    fn whole(text: &str, form: Form, to: &str, name: &str) -> String {
        let splices = splices(text, form);
        let own = Own::of(&splices, &address(to), name);
        String::from_utf8(own.put_into(MESSAGE, &splices)).expect("text")
    }

    #[test]
    fn each_recipient_has_his_own() {
        assert_eq!(
            whole("Dear NAME\n.bye", Form::Text, "Anne@X.example", "Anne"),
            "From: a@x\r\nTo: Anne <Anne@X.example>\r\n\r\n.hello\r\nDear Anne\r\n.bye\r\n"
        );
        assert_eq!(
            whole("Für NAME\n", Form::QuotedPrintable, "b@x.example", ""),
            "From: a@x\r\nTo: b@x.example\r\n\r\n.hello\r\n=46=C3=BCr=20\r\n"
        );
    }

    #[test]
    fn addresses_are_shown_as_given_or_in_one_form() {
        let pieces = vec![
            Piece::Own { own: OwnVariable::UserEmail },
            Piece::Text(" ".into()),
            Piece::Own { own: OwnVariable::UserDeliveredTo },
        ];
        let splices = Splices::new(vec![Splice { at: 0, form: Form::Text, text: pieces }], b"").expect("splices");
        let own = Own::of(&splices, &address("Anne@Example.COM"), "");
        assert_eq!(own.texts().next(), Some(&b"anne@example.com Anne@Example.COM\r\n"[..]));
    }

    #[test]
    fn dots_at_the_border_are_stuffed_for_data_only() {
        let splices = splices(".\nNAME\n..", Form::Text);
        let mut own = Own::of(&splices, &address("a@x"), ".x");
        let stuffed: Vec<&[u8]> = own.stuffed().collect();
        assert_eq!(stuffed[1], b"..\r\n..x\r\n...\r\n");
        assert_eq!(own.texts().nth(1), Some(&b".\r\n.x\r\n..\r\n"[..]));
        assert_eq!(own.size(), own.texts().map(|text| text.len() as u64).sum::<u64>());
        // The same memory for somebody else.
        let other = self::splices("x", Form::Text);
        own.make(&other, &address("b@x"), "");
        assert_eq!(own.stuffed().nth(1), Some(&b"x\r\n"[..]));
        assert_eq!(own, Own { text: own.text.clone(), ..Own::of(&other, &address("b@x"), "") });
    }

    #[test]
    fn a_name_begins_no_line_and_no_field() {
        let hostile = [
            "a\r\nBcc: x@y",
            "a\n.\n",
            "\0",
            "a\r\n\r\n--b",
            "\u{2028}x",
            "\"<x@y>,",
            "=?utf-8?q?=0D=0ABcc:?=",
            "\\",
            "(",
            "\u{85}",
            "=0D=0A",
            "$user_email",
            "Ünï蟻",
            "..",
            "--",
            &"x".repeat(5000),
            &"\u{1f41c}".repeat(5000),
            " ",
            "\u{202e}gpj",
        ];
        let addresses = ["a@x.example", "\"a b, <c>\"@x.example", "\"a\\\"b\"@x", "ü@ö.example", "a@[192.0.2.1]"];
        for name in hostile {
            for to in addresses {
                for form in [Form::Text, Form::QuotedPrintable] {
                    let text = whole("Dear NAME!\nBye", form, to, name);
                    let lines: Vec<&str> = text.split("\r\n").collect();
                    assert!(!text.replace("\r\n", "").contains(|c: char| c.is_control()), "{text:?}");
                    let body = lines.iter().position(|line| line.is_empty()).expect("body");
                    assert!(
                        lines[1..body].iter().enumerate().all(|(n, line)| if n == 0 {
                            line.starts_with("To: ")
                        } else {
                            line.starts_with(' ')
                        }),
                        "{text:?}"
                    );
                    if form == Form::Text {
                        assert_eq!(lines.len() - body, 5, "{text:?}");
                    }
                    let parsed = MessageParser::default().parse(text.as_bytes()).expect("message");
                    assert_eq!(parsed.headers().len(), 2, "{text:?}");
                    if name == "Ünï蟻" && to == "a@x.example" {
                        let to = parsed.to().and_then(|to| to.first()).expect("To");
                        assert_eq!((to.name(), to.address()), (Some(name), Some("a@x.example")));
                    }
                }
            }
        }
    }

    #[test]
    fn random_names_and_templates_keep_their_shape() {
        let mut random = StdRng::seed_from_u64(9);
        let alphabet =
            ["a", ".", "-", "\r", "\n", "\0", "ü", " ", "\"", "<", ">", ",", "=?", "?=", "NAME", "\u{2029}", "From "];
        for _ in 0..5000 {
            let mut text = |most: usize| -> String {
                (0..random.random_range(0..most)).map(|_| alphabet[random.random_range(0..alphabet.len())]).collect()
            };
            let (template, name) = (text(20).replace(['\r', '\0'], ""), text(12).replace("NAME", "x"));
            for form in [Form::Text, Form::QuotedPrintable] {
                let splices = splices(&template, form);
                let own = Own::of(&splices, &address("a@x.example"), &name);
                for (text, stuffed) in own.texts().zip(own.stuffed()) {
                    assert!(text.ends_with(b"\r\n"));
                    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
                    let (last, lines) = lines.split_last().expect("lines");
                    assert!(
                        last.is_empty()
                            && lines
                                .iter()
                                .all(|line| line.ends_with(b"\r") && !line[..line.len() - 1].contains(&b'\r'))
                    );
                    let dots = lines.iter().filter(|line| line.starts_with(b".")).count();
                    assert_eq!(stuffed.len(), text.len() + dots);
                }
                // Without the splices the shared octets are exactly the message.
                let whole = own.put_into(MESSAGE, &splices);
                let texts: Vec<&[u8]> = own.texts().collect();
                let from = 11 + texts[0].len();
                assert_eq!([&whole[..11], &whole[from..whole.len() - texts[1].len()]].concat(), MESSAGE);
            }
        }
    }
}
