//! Addresses as they are written in LMTP commands.

/// Longest path, in octets (RFC 5321, section 4.5.3.1.3).
const LONGEST: usize = 254;

/// An address from its two parts as qmail has them, without any quoting.
///
/// # Errors
/// What is wrong with it.
pub fn write(local: &str, domain: &str) -> Result<String, &'static str> {
    if local.is_empty() || domain.is_empty() {
        return Err("nothing stands on one side of its @");
    }
    if local.chars().chain(domain.chars()).any(char::is_control) {
        return Err("it contains a control character");
    }
    if domain.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '@' | '"' | '\\' | ',' | ';' | '(' | ')'))
    {
        return Err("its domain contains a character that no domain has");
    }
    let address = if is_dot_string(local) {
        format!("{local}@{domain}")
    } else {
        let quoted: String =
            local.chars().flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c])).collect();
        format!("\"{quoted}\"@{domain}")
    };
    if address.len() > LONGEST { Err("it is longer than 254 octets") } else { Ok(address) }
}

/// What needs no quotes (RFC 5321, section 4.1.2; RFC 6531 for the rest of Unicode).
fn is_dot_string(local: &str) -> bool {
    let atext = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_quotes_gets_them() {
        for (local, written) in [
            ("ants", "ants@x"),
            ("Ants-bounces+user=dom.example", "Ants-bounces+user=dom.example@x"),
            ("ümläut", "ümläut@x"),
            ("a b", "\"a b\"@x"),
            ("a..b", "\"a..b\"@x"),
            ("a@b", "\"a@b\"@x"),
            ("a\"\\b", "\"a\\\"\\\\b\"@x"),
            ("a>", "\"a>\"@x"),
        ] {
            assert_eq!(write(local, "x").as_deref(), Ok(written));
        }
        assert_eq!(write("a", "[192.0.2.1]").as_deref(), Ok("a@[192.0.2.1]"));
    }

    #[test]
    fn no_command_can_be_smuggled_in() {
        for (local, domain) in
            [("a\r\nDATA", "x"), ("a", "x\nDATA"), ("", "x"), ("a", ""), ("a", "x> SIZE=1"), ("a", "b c"), ("a\0", "x")]
        {
            assert!(write(local, domain).is_err(), "{local:?} {domain:?}");
        }
        assert!(write(&"a".repeat(255), "x").is_err());
    }
}
