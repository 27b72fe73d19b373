//! What may stand in a map, an alias file or a line of m4.
//!
//! The host lets nobody make such names; if it ever did, the plan fails and the tables stay as they are.

use postrider_plugin_api::sdk::{Error, Result};

/// The local part of a list.
///
/// # Errors
/// When it has other characters than `[-_.0-9a-z]`.
pub(crate) fn check_local(local: &str) -> Result<()> {
    if !local.is_empty() && local.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'z' | b'-' | b'_' | b'.')) {
        Ok(())
    } else {
        Err(Error::failed(format!("the list name {local:?} cannot be written in a table for Sendmail"))
            .with_hint("only small letters, digits, dot, dash and underscore can"))
    }
}

/// A domain, lower case, A-labels.
///
/// # Errors
/// When it has other characters than letters, digits, dot, dash and underscore.
pub(crate) fn check_domain(domain: &str) -> Result<()> {
    if !domain.is_empty() && domain.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_')) {
        Ok(())
    } else {
        Err(Error::failed(format!("the domain {domain:?} cannot be written in a table for Sendmail"))
            .with_hint("write it in A-labels: letters, digits, dot and dash"))
    }
}

/// A user of the machine, as the shell is to see it.
///
/// # Errors
/// When it has other characters than `[-_.0-9A-Za-z]`, or begins with a dash.
pub(crate) fn check_user(user: &str) -> Result<()> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
    if !user.is_empty() && !user.starts_with('-') && user.bytes().all(plain) {
        Ok(())
    } else {
        Err(Error::failed(format!("the user {user:?}, who owns Postrider's data, cannot be written in a shell script"))
            .with_hint("only letters, digits, dot, dash and underscore can"))
    }
}

/// A path that stands in `sendmail.mc` between m4's quotes, in a line of `sendmail.cf`, and in the shell.
///
/// # Errors
/// When it is not absolute or has characters that mean something there.
pub(crate) fn check_path(what: &str, path: &str) -> Result<()> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'/' | b'.' | b'_' | b'-' | b'+' | b'=' | b'@' | b'~');
    if path.starts_with('/') && path.bytes().all(plain) {
        Ok(())
    } else {
        Err(Error::setting(format!("{what}: {path:?} cannot be written in Sendmail's configuration"))
            .with_hint("use an absolute path of letters, digits and the characters . _ - + = @ ~ /"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_list_can_be_called_can_be_written() {
        for local in ["ants", "a.b-c_9", "-bounces", ".."] {
            assert_eq!(check_local(local), Ok(()), "{local}");
        }
        for local in ["", "a b", "a\tb", "a\nb", "a+b", "#a", "a@b", "A", "\u{e4}", "a:b", "\"a\"", "%1"] {
            assert!(check_local(local).is_err(), "{local:?}");
        }
    }

    #[test]
    fn domains_are_letters_digits_dots_and_dashes() {
        assert_eq!(check_domain("xn--bcher-kva.example"), Ok(()));
        for domain in ["", "a b", "b\u{fc}cher.example", "a\n.b", "[127.0.0.1]", "a,b"] {
            assert!(check_domain(domain).is_err(), "{domain:?}");
        }
    }

    #[test]
    fn users_are_plain_words() {
        assert_eq!(check_user("_postrider-1.x"), Ok(()));
        for user in ["", "-c", "a b", "a;b", "$(id)", "a\nb"] {
            assert!(check_user(user).is_err(), "{user:?}");
        }
    }

    #[test]
    fn paths_with_quotes_blanks_or_dollars_are_refused() {
        assert_eq!(check_path("x", "/var/lib/postrider/data"), Ok(()));
        for path in ["", "etc/mail", "/a b", "/a'b", "/a`b", "/a$b", "/a\nb", "/a;b", "/a,b"] {
            assert!(check_path("x", path).is_err(), "{path:?}");
        }
    }
}
