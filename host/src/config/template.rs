//! Texts with `$name` or `${name}` in them, and the expressions that take apart what they make.

use regex::Regex;

/// Splits `a${b}c$d` into texts and names.
pub fn template_parts(text: &str) -> Result<Vec<TemplatePart<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        if dollar > 0 {
            parts.push(TemplatePart::Text(&rest[..dollar]));
        }
        let tail = &rest[dollar + 1..];
        if let Some(after) = tail.strip_prefix('$') {
            parts.push(TemplatePart::Text("$"));
            rest = after;
            continue;
        }
        let (name, after) = match tail.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or_else(|| format!("`{text}` has an open `${{`"))?,
            None => tail.split_at(tail.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(tail.len())),
        };
        if name.is_empty() {
            return Err(format!("`{text}` has a `$` without a name behind it; write `$$` for the character itself"));
        }
        parts.push(TemplatePart::Name(name));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(TemplatePart::Text(rest));
    }
    Ok(parts)
}

/// A part of a text with `$name` in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplatePart<'a> {
    /// Literal text.
    Text(&'a str),
    /// What is to be replaced.
    Name(&'a str),
}

/// A text in which each of these names occurs exactly once, and no other.
///
/// # Errors
/// What is wrong.
pub fn template(text: &str, required: &[&str]) -> Result<String, String> {
    let parts = template_parts(text)?;
    for part in &parts {
        match part {
            TemplatePart::Name(name) if !required.contains(name) => return Err(format!("`${name}` is unknown")),
            TemplatePart::Text(text) if text.contains(|c: char| c.is_whitespace() || c == '<' || c == '>') => {
                return Err(format!("`{text}` cannot be part of an address"));
            }
            _ => {}
        }
    }
    match required.iter().find(|name| parts.iter().filter(|part| **part == TemplatePart::Name(name)).count() != 1) {
        Some(name) => Err(format!("`{text}` must contain `${name}` exactly once")),
        None => Ok(text.to_owned()),
    }
}

/// A regular expression with these named groups.
///
/// # Errors
/// What is wrong.
pub fn groups(text: &str, required: &[&str]) -> Result<String, String> {
    let regexp = Regex::new(text).map_err(|error| {
        // The crate draws a picture over several lines; its last line is the sentence.
        let error = error.to_string();
        let sentence = error.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        format!(
            "`{text}` is no regular expression of the sort that we use (no look-around, no back references): {sentence}"
        )
    })?;
    match required.iter().find(|name| !regexp.capture_names().flatten().any(|known| known == **name)) {
        Some(name) => Err(format!("`{text}` lacks the group (?P<{name}>…)")),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_expressions_have_their_parts() {
        assert!(template("$address+$cookie", &["address", "cookie"]).is_ok());
        assert!(template("${address}+${cookie}", &["address", "cookie"]).is_ok());
        for text in [
            "$address",
            "$address+$cookie+$cookie",
            "$address+$cookie+$x",
            "$address $cookie",
            "${address",
            "$+$cookie",
        ] {
            assert!(template(text, &["address", "cookie"]).is_err(), "{text}");
        }
        assert!(groups(r"^(.*<)?(?P<addr>[^+]+?)\+(?P<cookie>[^@]+)@.*$", &["addr", "cookie"]).is_ok());
        assert!(groups(r"^(?P<addr>.*)$", &["addr", "cookie"]).is_err_and(|reason| reason.contains("cookie")));
        assert!(groups(r"^(?P<addr>.*", &["addr"]).is_err_and(|reason| reason.contains("unclosed group")));
        assert!(groups(r"(?=x)", &[]).is_err_and(|reason| reason.contains("look-around")));
    }
}
