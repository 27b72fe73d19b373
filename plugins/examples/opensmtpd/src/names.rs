//! What may stand in a table, in `smtpd.conf` and in a line of shell.
//!
//! The host lets nobody make such names; if it ever did, the plan fails and the tables stay as they are.

use postrider_plugin_api::sdk::{Error, Result};

/// The local part of a list.
///
/// # Errors
/// When it has other characters than `[-_.0-9a-z]`.
pub(crate) fn check_local(local: &str) -> Result<()> {
    let plain = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'z' | b'-' | b'_' | b'.');
    if !local.is_empty() && local.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::failed(format!("the list name {:?} cannot be written in a table of OpenSMTPD", local))
        .with_hint("only small letters, digits, dot, dash and underscore can"))
}

/// A domain, lower case, A-labels.
///
/// # Errors
/// When it has other characters than letters, digits, dot, dash and underscore.
pub(crate) fn check_domain(domain: &str) -> Result<()> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
    if !domain.is_empty() && domain.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::failed(format!("the domain {:?} cannot be written in a table of OpenSMTPD", domain))
        .with_hint("write it in A-labels: letters, digits, dot and dash"))
}

/// A user of the machine, or the name of an action.
///
/// # Errors
/// When it has other characters than `[-_.0-9A-Za-z]`, or begins with a dash.
pub(crate) fn check_word(what: &str, word: &str) -> Result<()> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
    if !word.is_empty() && !word.starts_with('-') && word.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::setting(format!("{}: {:?} cannot be written in OpenSMTPD's configuration", what, word))
        .with_hint("only letters, digits, dot, dash and underscore can"))
}

/// A path that stands in `smtpd.conf` and in the shell, both without quotes.
///
/// # Errors
/// When it is not absolute or has characters that mean something there.
pub(crate) fn check_path(what: &str, path: &str) -> Result<()> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'/' | b'.' | b'_' | b'-');
    if path.starts_with('/') && path.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::setting(format!("{}: {:?} cannot be written in OpenSMTPD's configuration", what, path))
        .with_hint("use an absolute path of letters, digits and the characters . _ - /"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_list_can_be_called_can_be_written() {
        for local in ["ants", "a.b-c_9", "-bounces", ".."] {
            assert_eq!(check_local(local), Ok(()), "{}", local);
        }
        for local in ["", "a b", "a\tb", "a\nb", "a+b", "#a", "a@b", "A", "\u{e4}", "a:b", "\"a\"", "a,b"] {
            assert!(check_local(local).is_err(), "{:?}", local);
        }
    }

    #[test]
    fn what_means_something_to_the_parser_or_the_shell_is_refused() {
        assert_eq!(check_domain("xn--bcher-kva.example"), Ok(()));
        for domain in ["", "a b", "b\u{fc}cher.example", "*.example", "a\n.b", "a,b", "\"a\""] {
            assert!(check_domain(domain).is_err(), "{:?}", domain);
        }
        assert_eq!(check_word("x", "_postrider-1.x"), Ok(()));
        for word in ["", "-c", "a b", "a;b", "$(id)", "a\nb", "a\""] {
            assert!(check_word("x", word).is_err(), "{:?}", word);
        }
        assert_eq!(check_path("x", "/var/lib/postrider/data"), Ok(()));
        for path in ["", "etc/mail", "/a b", "/a'b", "/a\"b", "/a`b", "/a$b", "/a\nb", "/a;b", "/a#b", "/a{b"] {
            assert!(check_path("x", path).is_err(), "{:?}", path);
        }
    }
}
