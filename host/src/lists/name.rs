//! Names of domains and lists.

use std::fmt;

/// Longest list name, in octets: `NAME-unsubscribe` must still fit into a local part of 64.
const MAX_LIST_NAME: usize = 64 - LONGEST_SUFFIX.len();
/// What is put behind the name of a list.
const LONGEST_SUFFIX: &str = "-unsubscribe";
/// Longest address that a path may hold (RFC 5321, section 4.5.3.1.3, less the brackets), in octets. File names
/// may have 255 too, which matters where an MTA wants a file for each address.
const MAX_ADDRESS: usize = 254;

/// Why a text is no name of a domain or list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be the {what}: {reason}")]
pub struct NameError {
    /// What was given.
    pub name: String,
    /// What it was meant to be: `name of a list`, `name of a domain`.
    pub what: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A domain name: lower case, A-labels (RFC 5890), at least one label.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(String);

impl DomainName {
    /// Parses a domain name. U-labels (`bücher.example`) become A-labels (`xn--bcher-kva.example`).
    ///
    /// # Errors
    /// [`NameError`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let error = |reason| NameError { name: text.to_owned(), what: "name of a domain", reason };
        if text.is_empty() {
            return Err(error("it is empty"));
        }
        let ascii = idna::domain_to_ascii_strict(text).map_err(|_| {
            error("a domain has labels of letters, digits and dashes, separated by single dots, each of at most 63 octets, together at most 253")
        })?;
        if ascii.len() > 253 || ascii.ends_with('.') || ascii.split('.').any(str::is_empty) {
            return Err(error("it has an empty label or is longer than 253 octets"));
        }
        if !ascii.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') {
            return Err(error("only letters, digits, dashes and dots are allowed"));
        }
        // `10.1.2.3` is an address of a machine to most programs, and no domain of the world ends so (RFC 3696, section 2).
        if ascii.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
            return Err(error("its last label is a number, as in an IP address"));
        }
        Ok(DomainName(ascii.to_ascii_lowercase()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a list: the local part of its posting address. Lower case, `[-_.0-9a-z]` as in Mailman, begins
/// and ends with a letter, digit or underscore, without two dots in a row.
///
/// Mailman takes dashes and dots at the ends too. We do not: a command line takes `-x` for an option, a directory
/// takes `.x` for something hidden and `..` for its parent, RFC 5321 wants local parts with other dots quoted, and
/// `x-` cannot be told from the beginning of a sub-address. What is left means nothing to a shell, a pattern
/// (but for the dot), a table or a file system.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListName(String);

impl ListName {
    /// Parses the name of a list; upper case becomes lower case, as in Mailman.
    ///
    /// # Errors
    /// [`NameError`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let error = |reason| NameError { name: text.to_owned(), what: "name of a list", reason };
        let name = text.to_ascii_lowercase();
        if name.is_empty() {
            return Err(error("it is empty"));
        }
        if name.len() > MAX_LIST_NAME {
            return Err(error("it is longer than 52 characters, so that LIST-unsubscribe would be no valid address"));
        }
        if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.')) {
            return Err(error("only the letters a-z, digits, and - _ . are allowed"));
        }
        let edge = |b: Option<u8>| matches!(b, Some(b'-' | b'.'));
        if edge(name.bytes().next()) || edge(name.bytes().last()) {
            return Err(error("it begins or ends with a dash or dot"));
        }
        if name.contains("..") {
            return Err(error("it contains two dots in a row"));
        }
        Ok(ListName(name))
    }

    /// Whether every address of a list of this name in this domain is short enough for a path (RFC 5321, section
    /// 4.5.3.1.3).
    pub fn fits(&self, domain: &DomainName) -> bool {
        self.0.len() + LONGEST_SUFFIX.len() + "@".len() + domain.0.len() <= MAX_ADDRESS
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The posting address of a list.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListAddress {
    /// The part before the `@`.
    pub name: ListName,
    /// The part behind the `@`.
    pub domain: DomainName,
}

impl ListAddress {
    /// Parses `LIST@DOMAIN`.
    ///
    /// # Errors
    /// [`NameError`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let error = |reason| NameError { name: text.to_owned(), what: "address of a list", reason };
        let (name, domain) = text.split_once('@').ok_or_else(|| error("it has no @; write LIST@DOMAIN"))?;
        if domain.contains('@') {
            return Err(error("it has more than one @"));
        }
        let (name, domain) = (ListName::parse(name)?, DomainName::parse(domain)?);
        if !name.fits(&domain) {
            return Err(error("it is so long that LIST-unsubscribe@DOMAIN would be longer than 254 octets"));
        }
        Ok(ListAddress { name, domain })
    }

    /// The list-id (RFC 2919), without brackets: `NAME.DOMAIN`.
    pub fn list_id(&self) -> ListId {
        ListId(format!("{}.{}", self.name, self.domain))
    }

    /// The address of a function of the list: `with("bounces")` is `NAME-bounces@DOMAIN`.
    pub fn with(&self, subaddress: &str) -> String {
        format!("{}-{subaddress}@{}", self.name, self.domain)
    }
}

/// A list-id (RFC 2919), without brackets.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListId(String);

impl ListId {
    /// The list-id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ListAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.domain)
    }
}

impl fmt::Debug for ListAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

macro_rules! shown_as_text {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    )*};
}
shown_as_text!(DomainName, ListName, ListId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_addresses_are_folded_to_lower_case() {
        let address = ListAddress::parse("Dev.Team@Lists.EXAMPLE.org").expect("address");
        assert_eq!(address.to_string(), "dev.team@lists.example.org");
        assert_eq!(address.list_id().as_str(), "dev.team.lists.example.org");
        assert_eq!(address.with("bounces"), "dev.team-bounces@lists.example.org");
    }

    #[test]
    fn names_that_would_be_harmful_cannot_be_made() {
        let long = "a".repeat(300);
        for name in [
            "",
            "a/b",
            "a\nb",
            "a\"b",
            "a'b",
            "a+b",
            "a b",
            "a%b",
            "-bounces",
            ".a",
            "a.",
            "a-",
            "a..b",
            "naïve",
            "a*",
            "a$b",
            "a{b",
            "a:b",
            "../a",
            "a\0b",
            "a\\b",
            "a,b",
            "a;b",
            "a|b",
            "a&b",
            "a=b",
            "a!b",
            "a#b",
            "a~b",
            "a^b",
            "a`b",
            "a?b",
            "a<b",
            "a(b",
            "a[b",
            "|a",
            "a\tb",
            "a\r",
            "a\n",
            "..",
            ".",
            "-",
            "--",
            "a\u{212a}",
            "\u{ff41}",
            &long,
        ] {
            let text = format!("{name}@example.com");
            assert!(ListAddress::parse(&text).is_err(), "{text:?}");
        }
        for text in [
            "a",
            "a@@b",
            "a@b@c",
            "a@",
            "a@b..c",
            "a@.b",
            "a@b.",
            "a@b/c",
            "a@b c",
            "a@-b",
            "a@b_c.example",
            "a@[192.0.2.1]",
            "a@192.0.2.1",
            "a@1",
            "a@b\n",
            "a@b\r\nc",
            "a@*.example",
            "a@b+c",
            "a@$b",
            "a@b:25",
            "a@b%c",
            "a@'b'",
            "a@\"b\"",
            "a@xn--a.example",
            "a@xn--.example",
            "a@b-.example",
            "a@..",
            "a@b\0c",
            "a@b\u{200b}c\u{7f}",
        ] {
            assert!(ListAddress::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn international_domains_become_a_labels() {
        for text in ["Bücher.example", "BÜCHER。example", "xn--bcher-kva.example", "XN--BCHER-KVA.Example"] {
            assert_eq!(DomainName::parse(text).expect("IDN").as_str(), "xn--bcher-kva.example", "{text}");
        }
        assert_eq!(DomainName::parse("ｅｘａｍｐｌｅ.com").expect("wide letters").as_str(), "example.com");
    }

    #[test]
    fn names_that_only_look_harmful_can_be_made() {
        for name in ["_", "a-bounces-bounces", "a--b", "a-.b", "owner-a", "2024", "default", "xn--a", "a_-_b"] {
            assert!(ListName::parse(name).is_ok(), "{name}");
        }
        assert!(DomainName::parse("1.example").is_ok());
    }

    #[test]
    fn every_address_of_a_list_fits_into_a_path() {
        let label = "a".repeat(63);
        let domain = format!("{label}.{label}.{}.example", "b".repeat(63));
        let longest = "l".repeat(254 - LONGEST_SUFFIX.len() - 1 - domain.len());
        let address = ListAddress::parse(&format!("{longest}@{domain}")).expect("fits");
        assert_eq!(address.with("unsubscribe").len(), 254);
        let error = ListAddress::parse(&format!("{longest}l@{domain}")).expect_err("too long").to_string();
        assert!(error.contains("254 octets"), "{error}");
    }
}
