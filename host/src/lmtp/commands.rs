//! A command line becomes a [`Command`] (RFC 5321, section 4.1; RFC 2033, section 4).
//!
//! What is wrong with a line by itself is said here; whether a command fits into the dialogue is
//! for the session to say.

use super::path::{self, Path};
use super::reply::{Refusal, shown};
use crate::lists::EmailAddress;

/// What the client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `LHLO name`.
    Lhlo(String),
    /// `MAIL FROM:<path> parameters`.
    Mail(Mail),
    /// `RCPT TO:<path>`.
    Rcpt(Recipient),
    /// `DATA`.
    Data,
    /// `RSET`.
    Rset,
    /// `NOOP`.
    Noop,
    /// `HELP`.
    Help,
    /// `VRFY`.
    Vrfy,
    /// `QUIT`.
    Quit,
}

/// `MAIL`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mail {
    /// `None` for `<>`.
    pub sender: Option<EmailAddress>,
    /// `SIZE=` (RFC 1870), in octets.
    pub size: Option<u64>,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
}

/// Who shall get the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Recipient {
    /// `<Postmaster>`.
    Postmaster,
    /// An address.
    Address(EmailAddress),
}

/// Parses a line that was cut by the line reader: no CR, LF or NUL in it.
pub(super) fn parse(line: &[u8]) -> Result<Command, Refusal> {
    let verb_end = line.iter().position(|&octet| octet == b' ').unwrap_or(line.len());
    let verb = line[..verb_end].to_ascii_uppercase();
    let octets = &line[verb_end..];
    let arguments = std::str::from_utf8(octets);
    match verb.as_slice() {
        b"MAIL" => mail(arguments.map_err(|_| Refusal::bad_sender("", "it is not UTF-8"))?),
        b"RCPT" => rcpt(arguments.map_err(|_| Refusal::bad_recipient("", "it is not UTF-8"))?),
        b"LHLO" => lhlo(arguments.map_err(|_| Refusal::Syntax("LHLO wants a host name"))?),
        b"DATA" => alone(octets, Command::Data, "DATA takes no parameter"),
        b"RSET" => alone(octets, Command::Rset, "RSET takes no parameter"),
        b"QUIT" => alone(octets, Command::Quit, "QUIT takes no parameter"),
        b"NOOP" => Ok(Command::Noop),
        b"HELP" => Ok(Command::Help),
        b"VRFY" => Ok(Command::Vrfy),
        b"EXPN" => Err(Refusal::NotImplemented),
        b"HELO" | b"EHLO" => Err(Refusal::NotLmtp),
        _ => Err(Refusal::UnknownCommand(shown(&String::from_utf8_lossy(&verb)))),
    }
}

fn alone(arguments: &[u8], command: Command, complaint: &'static str) -> Result<Command, Refusal> {
    if arguments.iter().all(|&octet| octet == b' ') { Ok(command) } else { Err(Refusal::Syntax(complaint)) }
}

fn lhlo(arguments: &str) -> Result<Command, Refusal> {
    match arguments.trim_matches(' ') {
        "" => Err(Refusal::Syntax("LHLO wants a host name")),
        name => Ok(Command::Lhlo(name.to_owned())),
    }
}

fn mail(arguments: &str) -> Result<Command, Refusal> {
    let path = after_keyword(arguments, "FROM:").ok_or(Refusal::Syntax("write MAIL FROM:<address>"))?;
    let (sender, parameters) = match path::parse(path).map_err(|reason| Refusal::bad_sender(path, reason))? {
        (Path::Null, rest) => (None, rest),
        (Path::Address(address), rest) => (Some(address), rest),
        (Path::Postmaster, _) => return Err(Refusal::bad_sender(path, "it has no @")),
    };
    let (mut size, mut body, mut smtputf8) = (None, None, false);
    for parameter in parameters.split(' ').filter(|parameter| !parameter.is_empty()) {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        match (keyword.to_ascii_uppercase().as_str(), value) {
            ("SIZE", _) if size.is_some() => return Err(Refusal::Syntax("SIZE was given twice")),
            ("SIZE", value) => size = Some(octets(value)?),
            ("BODY", _) if body.is_some() => return Err(Refusal::Syntax("BODY was given twice")),
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("7BIT") || value.eq_ignore_ascii_case("8BITMIME") => {
                body = Some(());
            }
            ("BODY", _) => return Err(Refusal::Syntax("BODY must be 7BIT or 8BITMIME")),
            ("SMTPUTF8", None) => smtputf8 = true,
            ("SMTPUTF8", Some(_)) => return Err(Refusal::Syntax("SMTPUTF8 takes no value")),
            _ => return Err(Refusal::UnknownParameter(shown(parameter))),
        }
    }
    if let Some(address) = sender.as_ref().filter(|address| !smtputf8 && !address.is_ascii()) {
        return Err(Refusal::NeedsSmtputf8(shown(address.as_str())));
    }
    Ok(Command::Mail(Mail { sender, size, smtputf8 }))
}

/// `size-value ::= 1*20DIGIT` (RFC 1870, section 5).
fn octets(value: Option<&str>) -> Result<u64, Refusal> {
    value
        .filter(|digits| (1..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
        .map(|digits| digits.parse().unwrap_or(u64::MAX))
        .ok_or(Refusal::Syntax("SIZE must be a number of octets"))
}

fn rcpt(arguments: &str) -> Result<Command, Refusal> {
    let path = after_keyword(arguments, "TO:").ok_or(Refusal::Syntax("write RCPT TO:<address>"))?;
    let (recipient, parameters) = match path::parse(path).map_err(|reason| Refusal::bad_recipient(path, reason))? {
        (Path::Null, _) => return Err(Refusal::bad_recipient(path, "it is empty")),
        (Path::Address(address), rest) => (Recipient::Address(address), rest),
        (Path::Postmaster, rest) => (Recipient::Postmaster, rest),
    };
    match parameters.split(' ').find(|parameter| !parameter.is_empty()) {
        None => Ok(Command::Rcpt(recipient)),
        Some(parameter) => Err(Refusal::UnknownParameter(shown(parameter))),
    }
}

/// ` FROM:<a@b>` → `<a@b>`. Blanks around the keyword are no part of the grammar, but cannot be
/// misread and are written by many a client.
fn after_keyword<'a>(arguments: &'a str, keyword: &str) -> Option<&'a str> {
    let arguments = arguments.trim_start_matches(' ');
    let found = arguments.get(..keyword.len())?.eq_ignore_ascii_case(keyword);
    found.then(|| arguments[keyword.len()..].trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str) -> u16 {
        parse(line.as_bytes()).expect_err(line).reply().code
    }

    #[test]
    fn case_and_trailing_blanks_do_not_matter() {
        assert_eq!(parse(b"data  "), Ok(Command::Data));
        assert_eq!(parse(b"lhlo mta.example"), Ok(Command::Lhlo("mta.example".into())));
        assert_eq!(parse(b"noop whatever"), Ok(Command::Noop));
        let ants = Recipient::Address(EmailAddress::parse("ants@a.example").expect("address"));
        for line in ["RCPT TO:<ants@a.example>", "rcpt to:<ants@a.example> ", "Rcpt To: <ants@a.example>"] {
            assert_eq!(parse(line.as_bytes()), Ok(Command::Rcpt(ants.clone())));
        }
    }

    #[test]
    fn mail_parameters_are_those_that_were_announced() {
        let mail = |line: &str| match parse(line.as_bytes()) {
            Ok(Command::Mail(mail)) => (mail.size, mail.smtputf8),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(mail("MAIL FROM:<>"), (None, false));
        assert_eq!(mail("MAIL FROM:<a@b> SIZE=12 BODY=8bitmime SMTPUTF8"), (Some(12), true));
        assert_eq!(mail("MAIL FROM:<a@b> size=99999999999999999999 body=7BIT"), (Some(u64::MAX), false));
        for parameter in ["SIZE", "SIZE=", "SIZE=-1", "SIZE=1x", "SIZE=1 SIZE=1", "BODY=BINARYMIME", "SMTPUTF8=1"] {
            assert_eq!(code(&format!("MAIL FROM:<a@b> {parameter}")), 501, "{parameter}");
        }
        for parameter in ["RET=HDRS", "AUTH=<>", "=", "X"] {
            assert_eq!(code(&format!("MAIL FROM:<a@b> {parameter}")), 555, "{parameter}");
        }
        assert_eq!(code("RCPT TO:<a@b> NOTIFY=NEVER"), 555);
    }

    #[test]
    fn malformed_lines_get_the_code_that_says_why() {
        for (line, wanted) in [
            ("", 500),
            (" NOOP", 500),
            ("NOOP\tx", 500),
            ("EHLO x", 500),
            ("HELO x", 500),
            ("BDAT 3 LAST", 500),
            ("EXPN ants", 502),
            ("LHLO", 501),
            ("DATA now", 501),
            ("MAIL", 501),
            ("MAIL <a@b>", 501),
            ("MAIL TO:<a@b>", 501),
            ("RCPT FROM:<a@b>", 501),
            ("RCPT TO", 501),
            ("MAIL FROM:a@b", 553),
            ("MAIL FROM:<postmaster>", 553),
            ("MAIL FROM:<grüße@example.com>", 553),
            ("RCPT TO:<>", 553),
            ("RCPT TO:<a@b@c>", 553),
            ("RCPT TO:<a@b.>", 553),
        ] {
            assert_eq!(code(line), wanted, "{line:?}");
        }
        assert_eq!(parse(b"MAIL FROM:<a\xff@b>").expect_err("not UTF-8").reply().code, 553);
        assert_eq!(parse(b"RCPT TO:<a\xff@b>").expect_err("not UTF-8").reply().code, 553);
        assert_eq!(parse(b"\xff\xfe").expect_err("garbage").reply().code, 500);
    }
}
