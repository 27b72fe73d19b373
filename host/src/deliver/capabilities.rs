//! What a server offers in its reply to EHLO (RFC 5321, section 4.1.1.1).

use super::reply::Reply;

/// The extensions that we know how to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// RFC 2920.
    pub(super) pipelining: bool,
    /// RFC 6152.
    pub(super) eight_bit_mime: bool,
    /// RFC 6531.
    pub(super) smtp_utf8: bool,
    /// RFC 3207.
    pub(super) starttls: bool,
    /// RFC 1870: `None` not offered, `Some(0)` offered without a limit, in octets.
    pub(super) size: Option<u64>,
    /// RFC 3030.
    pub(super) chunking: bool,
    /// Postfix makes each recipient's sender itself (its `VERP_README`); only offered to `smtpd_authorized_verp_clients`.
    pub(super) xverp: bool,
    /// RFC 4954: mechanisms as the server writes them.
    pub(super) auth: Vec<String>,
}

impl Capabilities {
    /// Reads the reply to EHLO; its first line is the server's name.
    pub(super) fn parse(reply: &Reply) -> Self {
        let mut found = Capabilities::default();
        for line in reply.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            // Old servers write `AUTH=LOGIN PLAIN`.
            let (keyword, first) = match words.next().unwrap_or_default() {
                word if word.to_ascii_uppercase().starts_with("AUTH=") => ("AUTH", Some(&word[5..])),
                word => (word, None),
            };
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => found.pipelining = true,
                "8BITMIME" => found.eight_bit_mime = true,
                "SMTPUTF8" => found.smtp_utf8 = true,
                "STARTTLS" => found.starttls = true,
                "CHUNKING" => found.chunking = true,
                "XVERP" => found.xverp = true,
                "SIZE" => found.size = Some(words.next().and_then(|word| word.parse().ok()).unwrap_or(0)),
                "AUTH" => found.auth.extend(first.into_iter().chain(words).map(str::to_ascii_uppercase)),
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Capabilities {
        Capabilities::parse(&Reply { code: 250, text: text.to_owned() })
    }

    #[test]
    fn extensions_are_read_whatever_their_case() {
        let found =
            parse("mx.example.com Hello\npipelining\n8BITMIME\nSmtpUtf8\nSIZE 1000\nSTARTTLS\nAUTH LOGIN plain\nXVERP");
        assert!(found.pipelining && found.eight_bit_mime && found.smtp_utf8 && found.starttls && found.xverp);
        assert_eq!(found.size, Some(1000));
        assert_eq!(found.auth, ["LOGIN", "PLAIN"]);
    }

    #[test]
    fn the_name_of_the_server_is_no_extension() {
        assert_eq!(parse("PIPELINING"), Capabilities::default());
    }

    #[test]
    fn odd_forms_are_understood() {
        assert_eq!(parse("x\nSIZE").size, Some(0));
        assert_eq!(parse("x\nAUTH=LOGIN").auth, ["LOGIN"]);
        assert_eq!(parse("x\nAUTH CRAM-MD5 GSSAPI").auth, ["CRAM-MD5", "GSSAPI"]);
    }
}
