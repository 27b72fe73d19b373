//! Forward and reverse paths: `<user@domain>` (RFC 5321, section 4.1.2; RFC 6531, section 3.3).
//!
//! Strict about what could be read in two ways, liberal about what cannot: quoted local parts keep
//! their quotes, address literals are taken, source routes are checked and dropped (RFC 5321,
//! appendix C).

use crate::lists::EmailAddress;

/// What stands between `<` and `>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// `<>`.
    Null,
    /// `<Postmaster>`, whatever its case, without a domain.
    Postmaster,
    /// An address.
    Address(EmailAddress),
}

/// Takes a path from the beginning of `text`; returns it and what stands behind its `>`.
///
/// # Errors
/// What is wrong with it, to follow "because".
pub(super) fn parse(text: &str) -> Result<(Path, &str), &'static str> {
    let inner_and_rest = text.strip_prefix('<').ok_or("it must stand between < and >")?;
    let end = closing_bracket(inner_and_rest).ok_or("its > is missing")?;
    let (inner, rest) = (&inner_and_rest[..end], &inner_and_rest[end + 1..]);
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err("something follows the >");
    }
    let path = if inner.is_empty() {
        Path::Null
    } else if inner.eq_ignore_ascii_case("postmaster") {
        Path::Postmaster
    } else {
        Path::Address(EmailAddress::parse(without_route(inner)?).map_err(|error| error.reason)?)
    };
    Ok((path, rest))
}

/// Where the `>` is that no quotes protect.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|octet| {
        if escaped {
            escaped = false;
            return false;
        }
        match octet {
            b'"' => quoted = !quoted,
            b'\\' => escaped = quoted,
            b'>' => return !quoted,
            _ => {}
        }
        false
    })
}

/// `@one,@two:user@domain` → `user@domain`.
fn without_route(path: &str) -> Result<&str, &'static str> {
    let mut rest = path;
    while let Some(hop) = rest.strip_prefix('@') {
        let literal = if hop.starts_with('[') { hop.find(']').unwrap_or(hop.len()) } else { 0 };
        let end = literal + hop[literal..].find([',', ':']).ok_or("nothing stands before the @")?;
        if EmailAddress::parse(&format!("x@{}", &hop[..end])).is_err() {
            return Err("its source route is malformed");
        }
        rest = &hop[end + 1..];
        if hop[end..].starts_with(':') {
            return if rest.starts_with('@') { Err("its source route is malformed") } else { Ok(rest) };
        }
        if !rest.starts_with('@') {
            return Err("its source route is malformed");
        }
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<String> {
        match parse(text) {
            Ok((Path::Address(address), "")) => Some(address.to_string()),
            _ => None,
        }
    }

    #[test]
    fn addresses_of_every_form_are_taken_as_written() {
        for (text, wanted) in [
            ("<Ants@Example.com>", "Ants@Example.com"),
            ("<\"a b\"@d.example>", "\"a b\"@d.example"),
            ("<\"a>b\"@d.example>", "\"a>b\"@d.example"),
            ("<\"a\\\">b\"@d.example>", "\"a\\\">b\"@d.example"),
            ("<\"a@b\"@d.example>", "\"a@b\"@d.example"),
            ("<a@[192.0.2.1]>", "a@[192.0.2.1]"),
            ("<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
            ("<@one.example:a@b>", "a@b"),
            ("<@one.example,@[IPv6:::1],@[192.0.2.1]:a@b>", "a@b"),
            ("<grüße@bücher.example>", "grüße@bücher.example"),
        ] {
            assert_eq!(address(text).as_deref(), Some(wanted));
        }
        assert_eq!(parse("<>"), Ok((Path::Null, "")));
        assert_eq!(parse("<POSTmaster>"), Ok((Path::Postmaster, "")));
        assert_eq!(parse("<> SIZE=1"), Ok((Path::Null, " SIZE=1")));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "a@b",
            "<a@b",
            "a@b>",
            "<a@b>x",
            "<a@b>\tSIZE=1",
            "<a@b><c@d>",
            "<<a@b>>",
            "<a@b@c>",
            "<a@b.>",
            "<a@>",
            "<@b>",
            "<@>",
            "<a>",
            "<a b@c>",
            "<a\tb@c>",
            "<a@b c>",
            "< a@b>",
            "<a@b >",
            "<\"a@b>",
            "<\"a\"b@c>",
            "<a\\>b@c>",
            "<@one,two:a@b>",
            "<@one:@two:a@b>",
            "<@one,:a@b>",
            "<@[::1:a@b>",
            "<@one.example:>",
            "<@one.example:postmaster>",
        ] {
            assert_eq!(address(text), None, "{text:?}");
        }
    }
}
