//! What qmail-local says about the message, see qmail-command(8).
//!
//! What is missing or odd there is a mistake in the `.qmail` file, so the message waits; an address that
//! cannot be written was chosen by the sender, so it bounces.

use super::address;
use super::outcome::Outcome;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

/// Sender, recipient, and the lines for the message's head.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope {
    /// As in `MAIL FROM:<…>`; empty for `<>`.
    pub sender: String,
    /// As in `RCPT TO:<…>`.
    pub recipient: String,
    /// `Return-Path`, with its line feed.
    pub return_path: Vec<u8>,
    /// `Delivered-To`, with its line feed.
    pub delivered_to: Vec<u8>,
}

/// From the environment of this process.
pub fn envelope(strip: Option<u32>) -> Result<Envelope, Outcome> {
    from(strip, |name| std::env::var_os(name))
}

fn from(strip: Option<u32>, variable: impl Fn(&str) -> Option<OsString>) -> Result<Envelope, Outcome> {
    let octets = |name: &str| {
        let value = variable(name).map(OsString::into_vec);
        value.ok_or_else(|| misplaced(&format!("the variable {name} is not set")))
    };
    let text = |name: &str| {
        String::from_utf8(octets(name)?)
            .map_err(|_| Outcome::bounced(&format!("553 5.6.7 the address in {name} is not UTF-8")))
    };
    let line = |name: &str, field: &str| {
        let line = octets(name)?;
        let end = line.iter().position(|&octet| octet == b'\n' || octet == b'\r');
        if !line.starts_with(field.as_bytes()) || end != Some(line.len() - 1) || !line.ends_with(b"\n") {
            return Err(misplaced(&format!("the variable {name} is not one line that begins with `{field}`")));
        }
        Ok(line)
    };
    let domain = text("HOST")?;
    if domain.is_empty() {
        return Err(misplaced("the variable HOST is empty"));
    }
    let local = match strip {
        None => {
            let local = text("EXT")?;
            if local.is_empty() {
                return Err(misplaced("the variable EXT is empty: the mail is for the user, not for a list of his"));
            }
            local
        }
        Some(count) => {
            let local = text("LOCAL")?;
            let rest = local.splitn(count as usize + 1, '-').nth(count as usize).filter(|rest| !rest.is_empty());
            let too_few = || misplaced(&format!("LOCAL ({local}) has not more than the {count} parts to strip"));
            rest.ok_or_else(too_few)?.to_owned()
        }
    };
    let recipient = address::write(&local, &domain)
        .map_err(|why| Outcome::bounced(&format!("{local}@{domain}: 553 5.1.3 this address cannot be used: {why}")))?;
    Ok(Envelope {
        sender: sender(&text("SENDER")?, &local, &domain).map_err(|(sender, why)| {
            Outcome::bounced(&format!("{recipient}: 553 5.1.7 the sender {sender} cannot be used: {why}"))
        })?,
        return_path: line("RPLINE", "Return-Path: ")?,
        delivered_to: line("DTLINE", "Delivered-To: ")?,
        recipient,
    })
}

/// `#@[]` is the sender of double bounces. `ants-@lists.example.com-@[]` stands for a sender of each
/// recipient's own (VERP); qmail-send has replaced it, but others may not.
fn sender(sender: &str, local: &str, domain: &str) -> Result<String, (String, &'static str)> {
    if sender.is_empty() || sender == "#@[]" {
        return Ok(String::new());
    }
    let verp = sender.strip_suffix("-@[]").and_then(|rest| rest.rsplit_once('@'));
    if let Some((prefix, host)) = verp {
        return address::write(&format!("{prefix}{local}={domain}"), host).map_err(|why| (sender.to_owned(), why));
    }
    let (sender_local, sender_domain) = sender.rsplit_once('@').ok_or_else(|| (sender.to_owned(), "it has no @"))?;
    address::write(sender_local, sender_domain).map_err(|why| (sender.to_owned(), why))
}

fn misplaced(what: &str) -> Outcome {
    Outcome::later(&format!("qmail-lmtp: {what}; it must be called by qmail-local, see qmail-lmtp(1)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn qmails() -> BTreeMap<&'static str, &'static str> {
        BTreeMap::from([
            ("SENDER", "alice@remote.example"),
            ("LOCAL", "mailman-ants-bounces+user=dom"),
            ("EXT", "ants-bounces+user=dom"),
            ("HOST", "lists.example.com"),
            ("RPLINE", "Return-Path: <alice@remote.example>\n"),
            ("DTLINE", "Delivered-To: mailman-ants-bounces+user=dom@lists.example.com\n"),
        ])
    }

    fn with(strip: Option<u32>, name: &'static str, value: &'static str) -> Result<Envelope, Outcome> {
        let mut variables = qmails();
        variables.insert(name, value);
        from(strip, |name| variables.get(name).map(OsString::from))
    }

    fn recipient(strip: Option<u32>, name: &'static str, value: &'static str) -> String {
        with(strip, name, value).expect("envelope").recipient
    }

    #[test]
    fn the_recipient_is_ext_or_what_is_left_of_local() {
        assert_eq!(recipient(None, "USER", "mailman"), "ants-bounces+user=dom@lists.example.com");
        assert_eq!(recipient(Some(1), "EXT", ""), "ants-bounces+user=dom@lists.example.com");
        assert_eq!(recipient(Some(0), "LOCAL", "ants"), "ants@lists.example.com");
        assert_eq!(recipient(Some(2), "LOCAL", "mailman-lists-ants-owner"), "ants-owner@lists.example.com");
        assert_eq!(recipient(None, "EXT", "two words"), "\"two words\"@lists.example.com");
    }

    #[test]
    fn senders_are_written_as_lmtp_wants_them() {
        let sender = |value| with(None, "SENDER", value).expect("envelope").sender;
        assert_eq!(sender(""), "");
        assert_eq!(sender("#@[]"), "");
        assert_eq!(sender("a b@x"), "\"a b\"@x");
        assert_eq!(sender("bees-@other.example-@[]"), "bees-ants-bounces+user=dom=lists.example.com@other.example");
    }

    #[test]
    fn a_mistake_in_the_qmail_file_costs_no_mail() {
        for name in ["SENDER", "EXT", "HOST", "RPLINE", "DTLINE"] {
            let variables = qmails();
            let found = from(None, |asked| variables.get(asked).filter(|_| asked != name).map(OsString::from));
            let text = found.expect_err(name);
            assert!(text.code() == 111 && text.text().contains(name), "{text:?}");
        }
        let odd = [
            (None, "EXT", ""),
            (None, "HOST", ""),
            (Some(1), "LOCAL", "ants"),
            (Some(1), "LOCAL", "mailman-"),
            (Some(9), "LOCAL", "mailman-ants"),
            (None, "RPLINE", "Return-Path: <a@b>"),
            (None, "RPLINE", ""),
            (None, "RPLINE", "Return-Path: <a@b>\nX: y\n"),
            (None, "RPLINE", "Return-Path: <a@b>\r\n"),
            (None, "DTLINE", "X: y\n"),
        ];
        for (strip, name, value) in odd {
            assert_eq!(with(strip, name, value).expect_err(value).code(), 111, "{name}={value:?}");
        }
    }

    #[test]
    fn an_impossible_address_bounces() {
        for (name, value) in [("EXT", "a\nb"), ("HOST", "a b"), ("SENDER", "nobody"), ("SENDER", "a\r@b")] {
            let outcome = with(None, name, value).expect_err(value);
            assert!(outcome.code() == 100 && outcome.text().contains("553 5.1."), "{outcome:?}");
        }
    }
}
