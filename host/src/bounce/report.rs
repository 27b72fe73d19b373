//! A permanent failure of ours as the delivery report (RFC 3464) that a mail server would have sent to `-bounces`.
//!
//! Bounce events are failures that we saw ourselves, the end of `delivery_retry_period` among them; what others saw
//! comes to `-bounces` by mail. In this form both can be read by people and by the same programs.

use crate::deliver::reply::{EnhancedStatus, Reply};
use crate::deliver::retry::{EXPIRED, LAST_REPLY};
use crate::spool::BounceEvent;
use mail_builder::headers::date::Date;
use std::fmt::Write as _;

/// Where a folded line is broken, in octets, if it has a blank there.
const LINE: usize = 76;
/// Where it is broken anyway (RFC 5322 allows 998).
const LONGEST: usize = 900;

/// What a report says of its one recipient, beside `Action: failed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// `Final-Recipient`: type and address.
    pub final_recipient: String,
    /// `Status` (RFC 3463): that of the last reply or of what a plugin said, or `4.4.7` when it was tried for long enough.
    pub status: String,
    /// `Diagnostic-Code`: its type and the last reply, or what happened instead.
    pub diagnostic_code: String,
}

impl DeliveryStatus {
    /// Of this failure.
    pub fn of(event: &BounceEvent) -> Self {
        let expired =
            event.reply.strip_prefix(EXPIRED).map(|said| said.split_once(LAST_REPLY).map_or(said, |(_, r)| r));
        let said = expired.unwrap_or(&event.reply).trim();
        let reply = reply(said);
        let status = match &reply {
            _ if expired.is_some() => EXPIRED.to_owned(),
            Some(reply) => {
                reply.enhanced().map_or_else(|| format!("{}.0.0", reply.code / 100), |status| status.to_string())
            }
            // A program has no reply code, so what stands for its exit code begins with this one.
            None => match EnhancedStatus::leading(said).filter(|status| status.class == 5) {
                Some(status) => status.to_string(),
                None => "5.0.0".to_owned(),
            },
        };
        let kind = if reply.is_some() { "smtp" } else { "X-Postrider" };
        let address_type = if event.recipient.is_ascii() { "rfc822" } else { "utf-8" };
        DeliveryStatus {
            final_recipient: format!("{address_type}; {}", ascii(&event.recipient)),
            status,
            diagnostic_code: format!("{kind}; {}", ascii(said)),
        }
    }
}

/// The whole message: a text, the report, and what is known of the header of what was not delivered. `reporting_mta`
/// is our host's name.
pub fn report(event: &BounceEvent, reporting_mta: &str) -> Vec<u8> {
    let status = DeliveryStatus::of(event);
    let boundary = boundary(event);
    let mut text = String::new();
    field(&mut text, "From", &format!("MAILER-DAEMON@{reporting_mta} (Postrider)"));
    if let Some((list, domain)) = event.list_address.rsplit_once('@') {
        field(&mut text, "To", &format!("{list}-bounces@{domain}"));
    }
    field(&mut text, "Subject", "Delivery failed");
    field(&mut text, "Date", &Date::new(event.time).to_rfc822());
    field(&mut text, "Message-ID", &format!("<bounce.{}.{}@{reporting_mta}>", event.id, event.time));
    field(&mut text, "Auto-Submitted", "auto-replied");
    field(&mut text, "MIME-Version", "1.0");
    field(
        &mut text,
        "Content-Type",
        &format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\""),
    );
    let subject = if event.message_id.is_empty() { String::new() } else { format!(" {}", ascii(&event.message_id)) };
    let list = if event.list_address.is_empty() { "" } else { " of this list" };
    let _ = write!(text, "\r\n--{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n");
    for line in [
        &format!("This is Postrider at {reporting_mta}. A message{list} could not be"),
        "delivered, and it is not tried again:",
        "",
        &format!("   {subject}"),
        "",
        "for",
        "",
        &format!("    {}", ascii(&event.recipient)),
        "",
        "because",
        "",
        &format!("    {}", ascii(&event.reply)),
    ] {
        fold(&mut text, line, "    ");
    }
    let _ = write!(text, "\r\n--{boundary}\r\nContent-Type: message/delivery-status\r\n\r\n");
    field(&mut text, "Reporting-MTA", &format!("dns; {reporting_mta}"));
    text.push_str("\r\n");
    field(&mut text, "Final-Recipient", &status.final_recipient);
    field(&mut text, "Action", "failed");
    field(&mut text, "Status", &status.status);
    field(&mut text, "Diagnostic-Code", &status.diagnostic_code);
    field(&mut text, "Last-Attempt-Date", &Date::new(event.time).to_rfc822());
    let _ = write!(text, "\r\n--{boundary}\r\nContent-Type: text/rfc822-headers\r\n\r\n");
    if !event.message_id.is_empty() {
        field(&mut text, "Message-ID", &ascii(&event.message_id));
    }
    let _ = write!(text, "\r\n--{boundary}--\r\n");
    text.into_bytes()
}

/// One that others have not written into the event.
fn boundary(event: &BounceEvent) -> String {
    let mut number = 0_u64;
    loop {
        let boundary = format!("=_postrider_{number}_");
        if ![&event.reply, &event.recipient, &event.message_id].iter().any(|text| text.contains(&boundary)) {
            return boundary;
        }
        number += 1;
    }
}

/// A reply of a server, its code first, if this is one.
fn reply(said: &str) -> Option<Reply> {
    let (code, text) = said.split_at_checked(3)?;
    let code = code.bytes().all(|b| b.is_ascii_digit()).then(|| code.parse().ok()).flatten()?;
    let text = if text.is_empty() { text } else { text.strip_prefix(' ')? };
    (200..600).contains(&code).then(|| Reply { code, text: text.to_owned() })
}

/// Other characters as RFC 6533 (section 3) writes them in addresses; control characters as blanks.
fn ascii(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if c.is_control() => all.push(' '),
            _ if c.is_ascii() => all.push(c),
            _ => {
                let _ = write!(all, "\\x{{{:X}}}", u32::from(c));
            }
        }
    }
    all
}

fn field(text: &mut String, name: &str, value: &str) {
    fold(text, &format!("{name}: {value}"), " ");
}

/// One line or several, the others behind `indent`, none of blanks alone. The text is ASCII.
fn fold(text: &mut String, line: &str, indent: &str) {
    let mut rest = line.trim_end();
    while rest.len() > LINE {
        // A blank at which something stands before it: a line of blanks alone would end a header.
        let begin = rest.len() - rest.trim_start().len() + 1;
        let before = rest[..LINE].rfind(' ').filter(|at| *at >= begin);
        let after = rest[LINE..].find(' ').map(|at| LINE + at);
        // The field's name alone on a line would be an odd sight.
        let before = before.filter(|at| !rest[..*at].ends_with(':'));
        let Some(at) = before.or(after).filter(|at| *at <= LONGEST).or((rest.len() > LONGEST).then_some(LONGEST))
        else {
            break;
        };
        text.push_str(rest[..at].trim_end());
        text.push_str("\r\n");
        text.push_str(indent);
        rest = rest[at..].trim_start();
    }
    text.push_str(rest);
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::retry::RetryPolicy;
    use crate::spool::DeliveryResult;
    use mail_parser::{MessageParser, MimeHeaders};
    use std::time::Duration;

    fn event(recipient: &str, reply: &str) -> BounceEvent {
        BounceEvent {
            id: 7,
            list_address: "ants@lists.example.com".to_owned(),
            recipient: recipient.to_owned(),
            reply: reply.to_owned(),
            message_id: "<1@example.com>".to_owned(),
            time: 1_700_000_000,
        }
    }

    fn status(reply: &str) -> (String, String) {
        let status = DeliveryStatus::of(&event("carla@example.com", reply));
        (status.status, status.diagnostic_code)
    }

    fn expired(last: &str) -> String {
        let policy = RetryPolicy { period: Duration::from_hours(120) };
        match policy.after_failure(9, 0, 121 * 3600, last.to_owned()) {
            DeliveryResult::Failed { reply } => reply,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_status_is_that_of_the_reply_or_says_that_time_is_over() {
        for (said, code, diagnostic) in [
            ("550 5.1.1 no such user", "5.1.1", "smtp; 550 5.1.1 no such user"),
            ("550 no such user", "5.0.0", "smtp; 550 no such user"),
            ("550", "5.0.0", "smtp; 550"),
            // It contradicts its code.
            ("550 4.1.1 what", "5.0.0", "smtp; 550 4.1.1 what"),
            ("5.1.1 no such user (EX_NOUSER)", "5.1.1", "X-Postrider; 5.1.1 no such user (EX_NOUSER)"),
            ("5.7.0", "5.7.0", "X-Postrider; 5.7.0"),
            // Others are no status of a permanent failure.
            ("4.1.1 what", "5.0.0", "X-Postrider; 4.1.1 what"),
            ("5.1 what", "5.0.0", "X-Postrider; 5.1 what"),
            ("5.1.1.1 what", "5.0.0", "X-Postrider; 5.1.1.1 what"),
            ("the address in the spool is none", "5.0.0", "X-Postrider; the address in the spool is none"),
            (&expired("451 4.3.0 later"), "4.4.7", "smtp; 451 4.3.0 later"),
            (&expired("no reply for 300 s"), "4.4.7", "X-Postrider; no reply for 300 s"),
            (&expired("451 odd; last: 550 x"), "4.4.7", "smtp; 451 odd; last: 550 x"),
        ] {
            assert_eq!(status(said), (code.to_owned(), diagnostic.to_owned()), "{said}");
        }
    }

    /// Fields of each group of a part `message/delivery-status`, as a program reads them.
    fn groups(report: &[u8]) -> Vec<Vec<(String, String)>> {
        let message = MessageParser::default().parse(report).expect("a message");
        let kind = message.content_type().expect("its type");
        assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
        assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
        let parts: Vec<_> = message.parts.iter().skip(1).collect();
        assert_eq!(parts.len(), 3, "a text, the report, and the header");
        let kind = parts[1].content_type().expect("its type");
        assert_eq!((kind.ctype(), kind.subtype()), ("message", Some("delivery-status")));
        let text = String::from_utf8(parts[1].contents().to_vec()).expect("UTF-8");
        text.trim_end()
            .split("\r\n\r\n")
            .map(|group| {
                let unfolded = group.replace("\r\n ", " ");
                let pair = |line: &str| {
                    let (name, value) = line.split_once(": ").expect("a field");
                    (name.to_owned(), value.to_owned())
                };
                unfolded.split("\r\n").map(pair).collect()
            })
            .collect()
    }

    #[test]
    fn a_program_reads_it_like_any_report() {
        let event = event("carla@example.com", &expired("451 4.3.0 later"));
        let report = report(&event, "lists.example.com");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            groups(&report),
            [
                vec![pair("Reporting-MTA", "dns; lists.example.com")],
                vec![
                    pair("Final-Recipient", "rfc822; carla@example.com"),
                    pair("Action", "failed"),
                    pair("Status", "4.4.7"),
                    pair("Diagnostic-Code", "smtp; 451 4.3.0 later"),
                    pair("Last-Attempt-Date", &Date::new(event.time).to_rfc822()),
                ],
            ]
        );
        let text = String::from_utf8(report).expect("UTF-8");
        assert!(text.contains("\r\nTo: ants-bounces@lists.example.com\r\n"), "{text}");
        assert!(text.contains("\r\n\r\nMessage-ID: <1@example.com>\r\n"), "{text}");
    }

    #[test]
    fn whatever_a_server_says_the_report_stays_one() {
        let long = "x".repeat(5000);
        for said in [
            format!("550 {long}"),
            format!("550 {}", "word ".repeat(2000)),
            "550 a\r\n--=_postrider_0_--\r\n\r\nStatus: 2.0.0".to_owned(),
            format!("550 {}Action: delivered", " ".repeat(300)),
            format!("550 {}{}", "x".repeat(100), " ".repeat(100)),
            "550 ünbekannt \u{1b}[2J".to_owned(),
        ] {
            for recipient in ["carla@example.com", "\"a b\"@example.com", "ü@example.com", "no address\r\n\r\n"] {
                let report = report(&event(recipient, &said), "lists.example.com");
                let names: Vec<Vec<String>> = groups(&report)
                    .into_iter()
                    .map(|group| group.into_iter().map(|(name, _)| name).collect())
                    .collect();
                let of_recipient = ["Final-Recipient", "Action", "Status", "Diagnostic-Code", "Last-Attempt-Date"];
                assert_eq!(names, [&["Reporting-MTA"][..], &of_recipient[..]], "{said} {recipient}");
                let text = String::from_utf8(report).expect("UTF-8");
                assert!(text.is_ascii() && text.split("\r\n").all(|line| line.len() < 998), "{said} {recipient}");
                // Readers differ about a line of blanks: it may end a header.
                let blank = text.split("\r\n").any(|line| !line.is_empty() && line.trim().is_empty());
                assert!(!blank, "{said} {recipient}: {text}");
            }
        }
    }

    #[test]
    fn an_address_with_other_letters_is_named_as_such() {
        let status = DeliveryStatus::of(&event("ü@example.com", "550 no"));
        assert_eq!(status.final_recipient, "utf-8; \\x{FC}@example.com");
    }
}
