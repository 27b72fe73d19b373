//! Variable envelope return path: a sender address that tells which recipient a bounce is for.

use crate::lists::EmailAddress;

/// `verp_format`, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerpFormat {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Bounces,
    Local,
    Domain,
}

impl Default for VerpFormat {
    /// `${bounces}+${local}=${domain}`, the default of `verp_format`.
    fn default() -> Self {
        VerpFormat {
            parts: vec![Part::Bounces, Part::Text("+".into()), Part::Local, Part::Text("=".into()), Part::Domain],
        }
    }
}

impl VerpFormat {
    /// Parses a format such as `${bounces}+${local}=${domain}`. Each part must occur once.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what is allowed.
    pub fn parse(format: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = format;
        while let Some(dollar) = rest.find('$') {
            if dollar > 0 {
                parts.push(Part::Text(rest[..dollar].to_owned()));
            }
            let tail = &rest[dollar + 1..];
            let (name, after) = match tail.strip_prefix('{') {
                Some(braced) => braced.split_once('}').ok_or_else(|| format!("`{format}` has an open `${{`"))?,
                None => {
                    tail.split_at(tail.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(tail.len()))
                }
            };
            parts.push(match name {
                "bounces" => Part::Bounces,
                "local" => Part::Local,
                "domain" => Part::Domain,
                other => {
                    return Err(format!(
                        "`${{{other}}}` is unknown; `${{bounces}}`, `${{local}}` and `${{domain}}` are allowed"
                    ));
                }
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        for (part, name) in [(Part::Bounces, "bounces"), (Part::Local, "local"), (Part::Domain, "domain")] {
            if parts.iter().filter(|one| **one == part).count() != 1 {
                return Err(format!(
                    "`{format}` must contain `${{{name}}}` exactly once, as in `${{bounces}}+${{local}}=${{domain}}`"
                ));
            }
        }
        if parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains(|c: char| c == '@' || c == '<' || c == '>' || c.is_whitespace() || c.is_control()))) {
            return Err(format!("`{format}` contains a character that no local part can have"));
        }
        Ok(VerpFormat { parts })
    }

    /// What stands between the list's address and the recipient's, if the format is `${bounces}`, that,
    /// `${local}=${domain}`: the only form that MTAs make.
    pub fn delimiter(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Bounces, Part::Text(delimiter), Part::Local, Part::Text(equals), Part::Domain] if equals == "=" => {
                Some(delimiter)
            }
            _ => None,
        }
    }

    /// The envelope sender for this recipient, made from the list's `-bounces` address.
    pub fn expand(&self, bounces: &str, recipient: &EmailAddress) -> String {
        let (bounces_local, host) = bounces.rsplit_once('@').unwrap_or((bounces, "localhost"));
        let local = recipient.local_part();
        let unquoted = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let mut sender = String::with_capacity(bounces.len() + recipient.as_str().len() + 4);
        for part in &self.parts {
            sender.push_str(match part {
                Part::Text(text) => text,
                Part::Bounces => bounces_local,
                Part::Local => unquoted.unwrap_or(local),
                Part::Domain => recipient.domain(),
            });
        }
        // A quoted local part makes the whole of ours quoted, as Postfix's XVERP does it; so does an address literal,
        // whose brackets and colons cannot stand in a local part otherwise.
        if unquoted.is_some() || recipient.domain().starts_with('[') {
            return format!("\"{sender}\"@{host}");
        }
        sender.push('@');
        sender.push_str(host);
        sender
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(recipient: &str) -> String {
        let format = VerpFormat::parse("${bounces}+${local}=${domain}").expect("format");
        format.expand("ants-bounces@lists.example.com", &EmailAddress::parse(recipient).expect("address"))
    }

    #[test]
    fn addresses_are_encoded_as_postfix_does_it() {
        assert_eq!(expand("anne@example.com"), "ants-bounces+anne=example.com@lists.example.com");
        assert_eq!(expand("user+tag@example.com"), "ants-bounces+user+tag=example.com@lists.example.com");
        assert_eq!(
            expand("\"quoted local\"@example.com"),
            "\"ants-bounces+quoted local=example.com\"@lists.example.com"
        );
        assert_eq!(expand("User@[192.0.2.1]"), "\"ants-bounces+User=[192.0.2.1]\"@lists.example.com");
        assert_eq!(expand("a=b@example.com"), "ants-bounces+a=b=example.com@lists.example.com");
    }

    #[test]
    fn only_the_usual_form_has_a_delimiter() {
        let delimiter = |format| VerpFormat::parse(format).expect("format").delimiter().map(str::to_owned);
        assert_eq!(delimiter("${bounces}+${local}=${domain}").as_deref(), Some("+"));
        assert_eq!(delimiter("$bounces--$local=$domain").as_deref(), Some("--"));
        for other in
            ["$bounces$local=$domain", "$bounces+$domain=$local", "$bounces+$local=$domain=", "$bounces+$local+$domain"]
        {
            assert_eq!(delimiter(other), None, "{other}");
        }
    }

    #[test]
    fn a_format_without_its_parts_is_refused() {
        for format in [
            "",
            "${bounces}",
            "${bounces}+${local}",
            "${bounces}+${local}=${domain}=${local}",
            "${nope}",
            "${bounces",
            "$bounces $local $domain",
        ] {
            assert!(VerpFormat::parse(format).is_err(), "{format}");
        }
        assert_eq!(VerpFormat::parse("$bounces+$local=$domain").expect("format"), VerpFormat::default());
    }
}
