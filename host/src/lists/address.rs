//! Email addresses as they appear in envelopes (RFC 5321, section 4.1.2) and headers (RFC 5322).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Longest address that a path may hold (RFC 5321, section 4.5.3.1.3, less the brackets), in octets.
const MAX_ADDRESS: usize = 254;

/// Why a text is no email address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address:?} is not an email address: {reason}")]
pub struct AddressError {
    /// What was given.
    pub address: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// An email address `local@domain`, kept as it was written.
///
/// Two addresses are equal when they differ in case only, as everybody expects of a membership.
/// Local parts are taken as the world uses them: dots anywhere, non-ASCII (RFC 6531), or quoted;
/// control characters, blanks outside quotes and angle brackets never. They may be longer than
/// the 64 octets of RFC 5321, section 4.5.3.1.1: VERP and SRS make such, ours included.
#[derive(Clone)]
pub struct EmailAddress {
    text: String,
    at: usize,
}

impl EmailAddress {
    /// Parses `local@domain`; no display name, no angle brackets.
    ///
    /// # Errors
    /// [`AddressError`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let error = |reason| AddressError { address: text.to_owned(), reason };
        let at = text.rfind('@').ok_or_else(|| error("it has no @"))?;
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if text.len() > MAX_ADDRESS {
            return Err(error("it is longer than 254 octets"));
        }
        check_local_part(local).map_err(error)?;
        check_domain(domain).map_err(error)?;
        Ok(EmailAddress { text: text.to_owned(), at })
    }

    /// What stands before the `@`, with its quotes if it has any.
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The whole address as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The form by which addresses are compared and looked up: lower case.
    pub fn key(&self) -> String {
        self.text.to_lowercase()
    }

    /// Whether every octet is ASCII, so that no SMTPUTF8 (RFC 6531) is needed to write it.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

/// `None` when this is a local part that we take.
fn check_local_part(local: &str) -> Result<(), &'static str> {
    if local.is_empty() {
        return Err("nothing stands before the @");
    }
    if let Some(inner) = local.strip_prefix('"') {
        let inner = inner.strip_suffix('"').filter(|_| local.len() >= 2).ok_or("the quoted part is not closed")?;
        let mut escaped = false;
        for c in inner.chars() {
            if c.is_control() {
                return Err("it contains a control character");
            }
            if !escaped && c == '"' {
                return Err("a quote stands inside the quoted part");
            }
            escaped = !escaped && c == '\\';
        }
        return if escaped { Err("the quoted part is not closed") } else { Ok(()) };
    }
    for c in local.chars() {
        if c.is_control() {
            return Err("it contains a control character");
        }
        if c.is_whitespace() {
            return Err("it contains a blank");
        }
        if c.is_ascii() && matches!(c, '(' | ')' | '<' | '>' | '[' | ']' | ':' | ';' | '@' | '\\' | ',' | '"') {
            return Err("it contains a character that must be quoted");
        }
    }
    Ok(())
}

fn check_domain(domain: &str) -> Result<(), &'static str> {
    if domain.is_empty() {
        return Err("nothing stands behind the @");
    }
    if let Some(literal) = domain.strip_prefix('[') {
        let literal = literal.strip_suffix(']').ok_or("the address literal is not closed")?;
        // The tag is ABNF, so its case does not matter (RFC 5321, section 4.1.3); keys have it in lower case.
        let tag = literal.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:"));
        let ip = tag.map_or(literal, |tag| &literal[tag.len()..]);
        return ip.parse::<std::net::IpAddr>().map(|_| ()).map_err(|_| "the address literal is no IP address");
    }
    for label in domain.split('.') {
        if label.is_empty() {
            return Err("the domain has an empty label");
        }
        if label.len() > 63 {
            return Err("a label of the domain is longer than 63 octets");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a label of the domain begins or ends with a dash");
        }
        let good = |c: char| {
            if c.is_ascii() { c.is_ascii_alphanumeric() || c == '-' || c == '_' } else { c.is_alphanumeric() }
        };
        if !label.chars().all(good) {
            return Err("the domain contains a character that no domain can have");
        }
    }
    Ok(())
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for EmailAddress {}

impl Hash for EmailAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialOrd for EmailAddress {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EmailAddress {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

impl std::str::FromStr for EmailAddress {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        EmailAddress::parse(text)
    }
}

/// An address with an optional display name, as people write them: `Anne <anne@example.com>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The display name; empty when there is none.
    pub name: String,
    /// The address.
    pub address: EmailAddress,
}

impl Mailbox {
    /// Parses `a@b`, `<a@b>`, `Name <a@b>` or `"Name, with comma" <a@b>`.
    ///
    /// # Errors
    /// [`AddressError`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let error = |reason| AddressError { address: text.to_owned(), reason };
        // First, because a quoted local part may contain brackets.
        let bare = EmailAddress::parse(text).map(|address| Mailbox { name: String::new(), address });
        let Some(open) = text.rfind('<').filter(|_| bare.is_err()) else { return bare };
        let inner = text[open + 1..].strip_suffix('>').ok_or_else(|| error("the angle bracket is not closed"))?;
        let mut name = text[..open].trim();
        if let Some(quoted) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            name = quoted;
        }
        let name: String = name.replace("\\\"", "\"").replace("\\\\", "\\");
        if name.chars().any(char::is_control) {
            return Err(error("the display name contains a control character"));
        }
        Ok(Mailbox { name, address: EmailAddress::parse(inner)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_real_world_are_taken() {
        for text in [
            "anne@example.com",
            "dot..dot@example.com",
            ".lead@example.com",
            "a+b=c@d.example",
            "\"a b\"@example.com",
            "\"a\\\"b\"@example.com",
            "x@[192.0.2.1]",
            "x@[IPv6:2001:db8::1]",
            "x@[ipv6:2001:db8::1]",
            "grüße@bücher.example",
            "o'neil/x#y@example.com",
            "root@localhost",
            "announcements-bounces+firstname.lastname=department.university.example@lists.example.com",
        ] {
            let address = EmailAddress::parse(text).expect(text);
            assert_eq!(address.as_str(), text);
        }
    }

    #[test]
    fn what_could_break_a_command_or_header_is_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "plain",
            "a b@c",
            "a\r\nRCPT TO:<x@y>@c",
            "a\0@c",
            "a@b c",
            "a@b\r\n",
            "<a@b>",
            "a<b@c",
            "a>b@c",
            "a@b@c",
            "\"a@c",
            "\"a\"b\"@c",
            "\"a\\\"@c",
            "a@[1.2.3]",
            "a@[1.2.3.4",
            "a@-b.c",
            "a@b..c",
            "a@b.",
            "a,b@c",
            "a;b@c",
        ] {
            assert!(EmailAddress::parse(text).is_err(), "{text:?}");
        }
        assert!(EmailAddress::parse(&format!("{}@b", "a".repeat(253))).is_err());
        assert!(EmailAddress::parse(&format!("a@{}", "b.".repeat(150))).is_err());
    }

    #[test]
    fn case_does_not_make_another_address() {
        let lower = EmailAddress::parse("anne@example.com").expect("address");
        let upper = EmailAddress::parse("Anne@EXAMPLE.com").expect("address");
        assert_eq!(lower, upper);
        assert_eq!(upper.as_str(), "Anne@EXAMPLE.com");
    }

    #[test]
    fn mailboxes_as_people_write_them() {
        let parse = |text| Mailbox::parse(text).map(|m| (m.name, m.address.to_string()));
        assert_eq!(parse("a@b").expect("plain"), (String::new(), "a@b".into()));
        assert_eq!(parse(" <a@b> ").expect("brackets"), (String::new(), "a@b".into()));
        assert_eq!(parse("Anne Person <a@b>").expect("name"), ("Anne Person".into(), "a@b".into()));
        assert_eq!(parse("\"Person, Anne\" <a@b>").expect("quoted"), ("Person, Anne".into(), "a@b".into()));
        assert_eq!(parse("\"<x@y>\"@b").expect("brackets in quotes"), (String::new(), "\"<x@y>\"@b".into()));
        assert!(parse("Anne <a@b").is_err());
        assert!(parse("Anne <a@b> x").is_err());
    }
}
