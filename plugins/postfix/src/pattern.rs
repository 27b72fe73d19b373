//! Keys and values of tables: plain addresses, or regular expressions that match just these.
//!
//! Everything that comes from outside is escaped; what cannot be written in any table (a blank,
//! a control character, a second `@`) is an error, so that a name can never become a rule.

use crate::table_type::TableType;
use postrider_plugin_api::sdk::{Error, Result};
use std::fmt::Write;

/// Writes keys of one table type.
#[derive(Clone, Debug)]
pub(crate) struct KeyWriter {
    regexp: bool,
    /// `(\+.*)?`
    detail: String,
}

impl KeyWriter {
    pub(crate) fn new(table_type: TableType, delimiter: &str) -> Self {
        let detail = if delimiter.is_empty() { String::new() } else { format!("({}.*)?", escaped(delimiter)) };
        KeyWriter { regexp: table_type == TableType::Regexp, detail }
    }

    /// Appends the key for `LOCAL[-SUFFIX]@DOMAIN`. Indexed tables need nothing for the detail:
    /// Postfix cuts it off itself.
    pub(crate) fn address(&self, out: &mut String, local: &str, suffix: &str, detail: bool, domain: &str) {
        if self.regexp {
            self.expression(out, local, suffix, detail, domain);
        } else {
            plain(out, local, suffix, domain);
        }
    }

    /// Appends the key of a table of domains.
    pub(crate) fn domain(&self, out: &mut String, domain: &str) {
        if self.regexp {
            out.push_str("/^");
            escape(out, domain);
            out.push_str("$/");
        } else {
            out.push_str(domain);
        }
    }

    /// Appends the key of a transport table for a whole domain. A table of regular expressions is
    /// only ever asked for whole addresses.
    pub(crate) fn whole_domain(&self, out: &mut String, domain: &str) {
        if self.regexp {
            out.push_str("/^.*@");
            escape(out, domain);
            out.push_str("$/");
        } else {
            out.push_str(domain);
        }
    }

    /// Appends a value. In a table of regular expressions a dollar sign begins a group's number.
    pub(crate) fn value(&self, out: &mut String, value: &str) {
        for c in value.chars() {
            if self.regexp && c == '$' {
                out.push('$');
            }
            out.push(c);
        }
    }

    /// The length that the address has as an expression with detail, whatever is really written.
    pub(crate) fn expression_length(&self, local: &str, suffix: &str, detail: bool, domain: &str) -> usize {
        let mut key = String::new();
        self.expression(&mut key, local, suffix, detail, domain);
        key.chars().count()
    }

    fn expression(&self, out: &mut String, local: &str, suffix: &str, detail: bool, domain: &str) {
        out.push_str("/^");
        escape(out, local);
        if !suffix.is_empty() {
            out.push('-');
            escape(out, suffix);
        }
        if detail {
            out.push_str(&self.detail);
        }
        out.push('@');
        escape(out, domain);
        out.push_str("$/");
    }
}

/// Appends `LOCAL[-SUFFIX]@DOMAIN`.
pub(crate) fn plain(out: &mut String, local: &str, suffix: &str, domain: &str) {
    out.push_str(local);
    if !suffix.is_empty() {
        out.push('-');
        out.push_str(suffix);
    }
    // Writing to a string cannot fail.
    let _ = write!(out, "@{domain}");
}

/// The text as a POSIX extended regular expression, delimited by slashes, that matches only it.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    escape(&mut out, text);
    out
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        if matches!(c, '.' | '[' | ']' | '(' | ')' | '*' | '+' | '?' | '{' | '}' | '|' | '^' | '$' | '\\' | '/') {
            out.push('\\');
        }
        out.push(c);
    }
}

/// Refuses what no table can hold.
pub(crate) fn check_local(local: &str) -> Result<()> {
    // `#` at the begin of a line makes a comment of it, a quote begins a quoted key.
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '"' | ',' | '<' | '>' | '\\');
    if local.is_empty() || local.starts_with('#') || local.contains(bad) {
        return Err(Error::failed(format!("a list named {local:?} cannot be written in a Postfix table")));
    }
    Ok(())
}

/// Refuses what is not a domain name in A-labels.
pub(crate) fn check_domain(domain: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if domain.is_empty() || domain.starts_with('.') || !domain.chars().all(good) {
        return Err(Error::failed(format!("a domain named {domain:?} cannot be written in a Postfix table")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(table_type: TableType, delimiter: &str, local: &str, suffix: &str, detail: bool) -> String {
        let mut out = String::new();
        KeyWriter::new(table_type, delimiter).address(&mut out, local, suffix, detail, "e.org");
        out
    }

    #[test]
    fn everything_special_is_escaped() {
        assert_eq!(key(TableType::Regexp, "+", "a.b*c/d$e", "x.y", false), r"/^a\.b\*c\/d\$e-x\.y@e\.org$/");
        assert_eq!(key(TableType::Regexp, "+", r"(a|b)[c]{2}^\?", "", false), r"/^\(a\|b\)\[c\]\{2\}\^\\\?@e\.org$/");
    }

    #[test]
    fn detail_begins_with_the_sites_delimiter() {
        assert_eq!(key(TableType::Regexp, "+", "a", "bounces", true), r"/^a-bounces(\+.*)?@e\.org$/");
        assert_eq!(key(TableType::Regexp, "--", "a", "bounces", true), r"/^a-bounces(--.*)?@e\.org$/");
        assert_eq!(key(TableType::Regexp, "", "a", "bounces", true), r"/^a-bounces@e\.org$/");
        assert_eq!(key(TableType::Lmdb, "+", "a", "bounces", true), "a-bounces@e.org");
    }

    #[test]
    fn a_dollar_in_a_value_is_no_group() {
        let mut out = String::new();
        KeyWriter::new(TableType::Regexp, "+").value(&mut out, "lmtp:unix:/a$1");
        assert_eq!(out, "lmtp:unix:/a$$1");
    }

    #[test]
    fn a_name_can_never_become_a_rule() {
        for local in ["", "a b", "a\nb", "#a", "a@b", "\"a\"", "a\tb", "a\u{a0}b", "a\u{0}"] {
            assert!(check_local(local).is_err(), "{local:?}");
        }
        assert!(check_local("x.y-z_0").is_ok());
        for domain in ["", ".e.org", "e org", "e.org\n/./ x", "[127.0.0.1]", "é.org"] {
            assert!(check_domain(domain).is_err(), "{domain:?}");
        }
        assert!(check_domain("xn--9ca.org").is_ok());
    }
}
