//! The reverse-path of an envelope: what may stand in `MAIL FROM:<…>`.
//!
//! Promise: no [`ReversePath`] can end a command early, begin another one, or add a parameter.
//! Recipients need no such type: they are [`EmailAddress`](crate::lists::EmailAddress)es, which
//! cannot hold control characters, nor blanks and angle brackets outside quotes.

use std::fmt;

/// Longest path (RFC 5321, section 4.5.3.1.3), less its angle brackets, in octets.
const MAX_PATH: usize = 254;

/// Why a text cannot be an envelope sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} cannot be written as envelope sender: {reason}")]
pub struct PathError {
    /// What was given.
    pub path: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// An envelope sender that is safe to write into a command; empty for `<>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReversePath(String);

impl ReversePath {
    /// `<>`: whoever cannot deliver this shall not tell anybody.
    pub fn null() -> Self {
        ReversePath(String::new())
    }

    /// Checks `local@domain`, without angle brackets. A blank is taken inside quotes only.
    ///
    /// # Errors
    /// [`PathError`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let error = |reason| PathError { path: text.to_owned(), reason };
        if text.len() > MAX_PATH {
            return Err(error("it is longer than 254 octets"));
        }
        let (local, domain) = text.rsplit_once('@').ok_or_else(|| error("it has no @"))?;
        if local.is_empty() || domain.is_empty() {
            return Err(error("nothing stands on one side of its @"));
        }
        if text.chars().any(|c| c.is_control() || c == '<' || c == '>') {
            return Err(error("it contains a control character or an angle bracket"));
        }
        if domain.chars().any(|c| c.is_whitespace() || c == '"' || c == '@') {
            return Err(error("its domain contains a blank, a quote or an @"));
        }
        match local.strip_prefix('"') {
            Some(rest) => check_quoted(rest).map_err(error)?,
            None if local.chars().any(|c| c.is_whitespace() || matches!(c, '"' | '\\' | '@' | ',' | ';' | ':')) => {
                return Err(error("it contains a blank or a special character outside quotes"));
            }
            None => {}
        }
        Ok(ReversePath(text.to_owned()))
    }

    /// The path without angle brackets; empty for `<>`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can be written without SMTPUTF8 (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }
}

/// What follows the opening quote: must be closed by the last character, and only there.
fn check_quoted(rest: &str) -> Result<(), &'static str> {
    let inner = rest.strip_suffix('"').ok_or("its quoted part is not closed")?;
    let mut escaped = false;
    for c in inner.chars() {
        if !escaped && c == '"' {
            return Err("a quote stands inside its quoted part");
        }
        escaped = !escaped && c == '\\';
    }
    if escaped { Err("its quoted part is not closed") } else { Ok(()) }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_as_verp_makes_them_are_taken() {
        for text in [
            "ants-bounces@lists.example.com",
            "ants-bounces+anne=example.com@lists.example.com",
            "\"ants-bounces+quoted local=example.com\"@lists.example.com",
            "\"ants-bounces+a\\\"b=example.com\"@lists.example.com",
            "ants-bounces+User=[192.0.2.1]@lists.example.com",
            "ants-bounces+grüße=example.com@lists.example.com",
        ] {
            assert_eq!(ReversePath::parse(text).expect(text).as_str(), text);
        }
    }

    #[test]
    fn nothing_that_could_inject_a_command_or_parameter_is_taken() {
        for text in [
            "",
            "plain",
            "@b",
            "a@",
            "a\r\nRCPT TO:<x@y>@b",
            "a@b\r\nDATA",
            "a@b\n",
            "a\rb@c",
            "a\0@b",
            "a@b> SIZE=1 <",
            "<a@b>",
            "\"a>b\"@c",
            "\"a<b\"@c",
            "a b@c",
            "a@b c",
            "a@b\tSIZE=1",
            "\"a@b",
            "\"a\"b\"@c",
            "\"a\\\"@c",
            "a\u{85}b@c",
            "a@\"b",
        ] {
            assert!(ReversePath::parse(text).is_err(), "{text:?}");
        }
        assert!(ReversePath::parse(&format!("{}@b.example", "a".repeat(254))).is_err());
    }
}
