//! What a program said, as a reply in one line.

/// Octets of a reply.
const LONGEST: usize = 512;

/// Standard output, then standard error: UTF-8, control characters and line ends as blanks.
pub(super) fn of(printed: &[u8], complained: &[u8]) -> String {
    let printed = [String::from_utf8_lossy(printed), String::from_utf8_lossy(complained)].join("\n");
    printed.split(|c: char| c.is_control() || c == ' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The words with what happened in brackets behind them, or that alone; at most 512 octets.
pub(super) fn with_context(words: &str, what: &str) -> String {
    if words.is_empty() {
        return cut(what, LONGEST).to_owned();
    }
    let what = cut(what, LONGEST / 2);
    format!("{} ({what})", cut(words, LONGEST - what.len() - 3))
}

fn cut(text: &str, octets: usize) -> &str {
    &text[..text.floor_char_boundary(octets)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_becomes_one_clean_line() {
        assert_eq!(of(b"  no\r\nroom\t\x1b[31m\n", b"at \xff all\0"), "no room [31m at \u{fffd} all");
        assert_eq!(of(b"\n", b""), "");
    }

    #[test]
    fn a_reply_is_never_longer_than_512_octets_and_keeps_its_reason() {
        assert_eq!(with_context("5.3.4 too large", "/x exited with 1"), "5.3.4 too large (/x exited with 1)");
        assert_eq!(with_context("", "/x exited with 1"), "/x exited with 1");
        let long = with_context(&"ü".repeat(4000), "/x exited with 1");
        assert!(long.len() <= 512 && long.ends_with("ü (/x exited with 1)"), "{long}");
        assert!(with_context("a", &"p".repeat(4000)).len() <= 512);
    }
}
