//! What the rules, the recipients and the log need to know of a post.
//!
//! Read by mail-parser from the few fields that matter. Never fails: what cannot be understood is
//! absent, and defects are no reason to refuse a post.

use super::headers::Headers;
use crate::lists::EmailAddress;
use mail_parser::{Address, HeaderName, HeaderValue, Message, MessageParser};

/// Longest Subject or From that is shown to people, in characters.
const SHOWN: usize = 300;
/// So much of one field is read, in octets, and so many fields of one name: a header of megabytes
/// must not keep us busy.
const READ: usize = 64 * 1024;
const FIELDS: usize = 50;
/// A Message-ID is cut here, in octets: as long as a line may be (RFC 5322, section 2.1.1).
const LONGEST_ID: usize = 998;
/// So many authors count.
const AUTHORS: usize = 10;

/// The facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Addresses in From, of every From field; at most ten.
    pub from: Vec<EmailAddress>,
    /// The address in Sender.
    pub sender: Option<EmailAddress>,
    /// Addresses in To and Cc, members of groups included, in the first 64 KiB of each.
    pub addressed: Vec<EmailAddress>,
    /// Subject, decoded, on one line; empty when there is none.
    pub subject: String,
    /// From, decoded, on one line; empty when there is none.
    pub from_text: String,
    /// Message-ID, cut when it is endless; empty when there is none.
    pub message_id: String,
    /// What `Auto-Submitted` (RFC 3834) says, lower case, without parameters; empty when absent.
    pub auto_submitted: String,
    /// What `Precedence` says, lower case; empty when absent.
    pub precedence: String,
    /// Whether it came through a mailing list: it has a List-Id (RFC 2919).
    pub from_list: bool,
}

impl Facts {
    /// Reads them.
    pub fn of(headers: &Headers<'_>) -> Self {
        // Only these fields, each as we cut it: both see the same header however broken it is.
        let mut excerpt = Vec::new();
        for name in ["From", "Sender", "To", "Cc", "Subject"] {
            for field in headers.all(name).take(FIELDS) {
                excerpt.extend_from_slice(name.as_bytes());
                excerpt.push(b':');
                excerpt.extend_from_slice(&field.value()[..field.value().len().min(READ)]);
                if !excerpt.ends_with(b"\n") {
                    excerpt.extend_from_slice(b"\r\n");
                }
            }
        }
        excerpt.extend_from_slice(b"\r\n");
        let text = |name: &str| headers.first(name).map(|field| field.text_up_to(READ)).unwrap_or_default();
        let word = |name: &str| {
            let text = text(name).to_ascii_lowercase();
            text.split(|c: char| c == ';' || c == '(' || c.is_whitespace()).next().unwrap_or_default().to_owned()
        };
        let mut facts = Facts {
            message_id: message_id(headers),
            auto_submitted: word("Auto-Submitted"),
            precedence: word("Precedence"),
            from_list: headers.contains("List-Id"),
            from_text: shown(&text("From")),
            subject: shown(&text("Subject")),
            ..Facts::default()
        };
        if let Some(message) = MessageParser::default().parse_headers(&excerpt) {
            facts.read(&message);
        }
        facts
    }

    fn read(&mut self, message: &Message<'_>) {
        self.from = addresses(message, &[HeaderName::From]);
        self.from.truncate(AUTHORS);
        self.sender = addresses(message, &[HeaderName::Sender]).into_iter().next();
        self.addressed = addresses(message, &[HeaderName::To, HeaderName::Cc]);
        let first = |name: HeaderName<'_>| message.headers().iter().find(move |h| h.name == name).map(|h| &h.value);
        if let Some(subject) = first(HeaderName::Subject).and_then(HeaderValue::as_text) {
            self.subject = shown(subject);
        }
        if let Some(Some(one)) = message.from().map(Address::first) {
            let address = one.address().unwrap_or_default();
            self.from_text = shown(&match one.name() {
                Some(name) if !name.is_empty() => format!("{name} <{address}>"),
                _ => address.to_owned(),
            });
        }
    }

    /// Those who may have written the post: From, Sender and the envelope sender, once each.
    pub fn authors(&self, envelope_sender: Option<&EmailAddress>) -> Vec<EmailAddress> {
        let mut authors: Vec<EmailAddress> = Vec::new();
        for address in self.from.iter().chain(&self.sender).chain(envelope_sender) {
            if !authors.contains(address) {
                authors.push(address.clone());
            }
        }
        authors
    }

    /// Whether it says that a program wrote it (`Auto-Submitted`, RFC 3834, section 5).
    pub fn is_submitted_by_a_program(&self) -> bool {
        !matches!(self.auto_submitted.as_str(), "" | "no")
    }

    /// Whether a program wrote it or a list sent it, so that nothing may answer it (RFC 3834, section 2).
    pub fn is_automatic(&self) -> bool {
        self.from_list
            || self.is_submitted_by_a_program()
            || matches!(self.precedence.as_str(), "bulk" | "junk" | "list")
    }
}

/// Message-ID with its angle brackets, on one line, for logs and the queue: no more than its first
/// 998 octets. Empty when there is none.
pub(super) fn message_id(headers: &Headers<'_>) -> String {
    let mut id = headers.first("Message-ID").map(|field| field.text_up_to(LONGEST_ID)).unwrap_or_default();
    // What was no UTF-8 has become longer.
    id.truncate(id.floor_char_boundary(LONGEST_ID));
    id
}

fn addresses(message: &Message<'_>, names: &[HeaderName<'_>]) -> Vec<EmailAddress> {
    message
        .headers()
        .iter()
        .filter(|header| names.contains(&header.name))
        .filter_map(|header| header.value.as_address())
        .flat_map(Address::iter)
        .filter_map(|one| EmailAddress::parse(one.address()?.trim()).ok())
        .collect()
}

/// On one line, and not too long.
fn shown(text: &str) -> String {
    let clean: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    clean.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn facts(message: &[u8]) -> Facts {
        Facts::of(&Headers::parse(message))
    }

    fn list(addresses: &[EmailAddress]) -> Vec<&str> {
        addresses.iter().map(EmailAddress::as_str).collect()
    }

    #[test]
    fn an_endless_message_id_is_cut() {
        let long =
            |word: &str| facts(format!("Message-ID:\r\n <{}@x>\r\n\r\n", word.repeat(100_000)).as_bytes()).message_id;
        assert_eq!(long("a").len(), 998);
        assert!(long("a").starts_with("<aaa"));
        assert_eq!(long("\u{fc}").len(), 997, "cut between characters");
        let raw = [&b"Message-ID: <"[..], &[0xff; 5000], b">\r\n\r\n"].concat();
        assert!(facts(&raw).message_id.len() <= 998);
    }

    #[test]
    fn an_ordinary_post_is_understood() {
        let facts = facts(
            b"From: =?utf-8?q?Anne_M=C3=BCller?= <anne@example.com>\r\nSender: sec@example.com\r\n\
              To: Ants <ants@example.com>,\r\n friends: bob@example.com, \"C, D\" <cd@example.com>;\r\n\
              Cc: eve@example.com\r\nCC: fay@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC?=\r\n =?utf-8?q?=C3=9Fe?=\r\n\
              Message-ID: <1@x>\r\nAuto-Submitted: Auto-Generated; x=y\r\nPrecedence: Bulk\r\n\r\nTo: nobody@x\r\n",
        );
        assert_eq!(list(&facts.from), ["anne@example.com"]);
        assert_eq!(facts.sender.as_ref().map(EmailAddress::as_str), Some("sec@example.com"));
        for one in ["ants@example.com", "bob@example.com", "cd@example.com", "eve@example.com", "fay@example.com"] {
            assert!(list(&facts.addressed).contains(&one), "{one} in {:?}", facts.addressed);
        }
        assert_eq!(facts.subject, "Grüße");
        assert_eq!(facts.from_text, "Anne Müller <anne@example.com>");
        assert_eq!(facts.message_id, "<1@x>");
        assert_eq!(facts.auto_submitted, "auto-generated");
        assert!(facts.is_automatic());
    }

    #[test]
    fn authors_are_from_sender_and_envelope_once_each() {
        let facts = facts(b"From: Anne@Example.com, bob@example.com\r\nSender: bob@example.com\r\n\r\n");
        let envelope = EmailAddress::parse("anne@example.com").expect("address");
        assert_eq!(list(&facts.authors(Some(&envelope))), ["Anne@Example.com", "bob@example.com"]);
        assert_eq!(list(&facts.authors(None)).len(), 2);
    }

    #[test]
    fn several_from_fields_all_count() {
        let facts = facts(b"From: anne@example.com\r\nX: 1\r\nFrom: mallory@example.com\r\n\r\n");
        assert_eq!(list(&facts.from), ["anne@example.com", "mallory@example.com"]);
    }

    #[test]
    fn a_header_of_megabytes_is_read_in_part() {
        let many = "a@b.example, ".repeat(20_000);
        let header = format!("From: {many}\r\nTo: {many}\r\nSubject: {many}\r\n\r\n");
        let facts = facts(header.as_bytes());
        assert_eq!(facts.from.len(), AUTHORS);
        assert!(facts.addressed.len() > 1_000 && facts.addressed.len() < 6_000);
        assert_eq!(facts.subject.chars().count(), SHOWN);
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        assert_eq!(facts(b""), Facts::default());
        assert_eq!(facts(b"From:\r\nTo: @@,,<>\r\nSubject:\r\n\r\n"), Facts::default());
    }

    #[test]
    fn eight_bit_and_control_characters_are_shown_on_one_line() {
        let facts = facts(b"Subject: a\xffb\x07c\r\n d\r\nMessage-ID: <\xe4\r\n@x>\r\n\r\n");
        assert!(!facts.subject.chars().any(char::is_control), "{:?}", facts.subject);
        assert!(!facts.message_id.chars().any(char::is_control), "{:?}", facts.message_id);
    }

    #[test]
    fn random_fields_never_panic() {
        let mut random = StdRng::seed_from_u64(2047);
        let alphabet = b"=?utf-8?b?q?=()<>@,;:\"\\ \t\r\n .aZ_\xff\0[]";
        for round in 0..20_000 {
            let name = [&b"From:"[..], b"To:", b"Subject:", b"Sender:", b"Message-ID:"][round % 5];
            let mut message = name.to_vec();
            let length = random.random_range(0..80);
            message.extend((0..length).map(|_| alphabet[random.random_range(0..alphabet.len())]));
            let _ = facts(&message);
        }
    }
}
