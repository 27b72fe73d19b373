//! What a post gets before the members see it: the fields that make it a post of this list.
//!
//! Added at the end of the header: List-Id (RFC 2919), List-Help, -Subscribe, -Unsubscribe, -Post and
//! -Owner (RFC 2369), `Precedence: list`, X-BeenThere (by which [`super::rules`] know a loop),
//! Message-ID-Hash, X-MailFrom; Message-ID and Date where they are missing. Removed: the same fields of
//! another list that it came through (RFC 2369, section 4) and Return-Path, which the last MTA writes.
//! Changed: Subject gets the list's prefix unless it has it. All else stays byte for byte.

use super::encode::{encoded_words, is_plain, phrase};
use super::headers::{FieldValue, Headers};
use crate::lists::{EmailAddress, List};
use data_encoding::BASE32_NOPAD;
use sha1::{Digest, Sha1};

/// What a list must not take over from another list, or from whoever wrote them.
const REMOVED: [&str; 12] = [
    "Return-Path",
    "List-Id",
    "List-Help",
    "List-Subscribe",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Message-ID-Hash",
    "X-Message-ID-Hash",
    "X-MailFrom",
];

/// The subject of a post that has none.
const NO_SUBJECT: &str = "(no subject)";

/// The post as the members receive it, and its Message-ID.
///
/// `received` (Unix time, in seconds) becomes the Date of a post without one, and part of its
/// Message-ID. The same input gives the same output, so that a repeated step changes nothing.
pub fn decorate(list: &List, sender: Option<&EmailAddress>, message: &[u8], received: i64) -> Decorated {
    let mut headers = Headers::parse(message);
    for name in REMOVED {
        headers.remove(name);
    }
    let message_id = supply_identification(&mut headers, list, message, received);
    prefix_subject(&mut headers, &list.settings.subject_prefix);
    add_list_fields(&mut headers, list);
    headers.push("Message-ID-Hash", &message_id_hash(&message_id));
    let message_id = super::facts::message_id(&headers);
    if let Some(sender) = sender {
        // Encoded where it must be: no field of ours makes a message need SMTPUTF8 (RFC 6531).
        let shown = if sender.is_ascii() { sender.to_string() } else { encoded_words(sender.as_str()) };
        headers.push("X-MailFrom", &FieldValue::cleaned(&shown));
    }
    Decorated { message: headers.write(), message_id }
}

/// A post, ready to go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decorated {
    /// The message.
    pub message: Vec<u8>,
    /// Its Message-ID, with angle brackets, on one line; of an endless one the first 998 octets.
    pub message_id: String,
}

/// Message-ID and Date are there afterwards; returns the Message-ID.
fn supply_identification(headers: &mut Headers<'_>, list: &List, message: &[u8], received: i64) -> String {
    if !headers.contains("Date") {
        headers.push("Date", &FieldValue::cleaned(&date(received)));
    }
    let found = headers.first("Message-ID").map(super::headers::Field::text).unwrap_or_default();
    if !found.is_empty() {
        return found;
    }
    let digest = BASE32_NOPAD.encode(&Sha1::digest(message)).to_ascii_lowercase();
    let made = format!("<{received}.{digest}@{}>", list.address.domain);
    headers.replace("Message-ID", &FieldValue::cleaned(&made));
    made
}

/// A date as in RFC 5322, section 3.3.
pub fn date(time: i64) -> String {
    mail_builder::headers::date::Date::new(time).to_rfc822()
}

/// The name under which archives know a post: base32 of the SHA-1 of the Message-ID without its
/// angle brackets.
pub fn message_id_hash(message_id: &str) -> FieldValue {
    let id = message_id.trim();
    let inner = id.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(id);
    FieldValue::cleaned(&BASE32_NOPAD.encode(&Sha1::digest(inner.as_bytes())))
}

/// The prefix goes before the subject, unless it stands somewhere in it already: answers keep their
/// subject, and their signature, as they are.
fn prefix_subject(headers: &mut Headers<'_>, prefix: &str) {
    let shown = prefix.trim();
    if shown.is_empty() {
        return;
    }
    let Some(subject) = headers.first("Subject") else {
        return headers.push("Subject", &missing_subject(prefix));
    };
    let raw = subject.value().trim_ascii();
    if raw.is_empty() {
        // In its place: a second Subject, which no message should have, is not ours to throw away.
        return headers.put_before("Subject", &missing_subject(prefix));
    }
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    if squeeze(&super::facts::Facts::of(headers).subject).contains(&squeeze(shown)) {
        return;
    }
    let encoded_follows = raw.starts_with(b"=?");
    let text = if is_plain(prefix) {
        // An encoded word is one only behind a blank.
        if encoded_follows && !prefix.ends_with(' ') { format!("{prefix} ") } else { prefix.to_owned() }
    } else if encoded_follows {
        // The blank between two encoded words vanishes, so the prefix takes its own along.
        format!("{} ", encoded_words(prefix))
    } else {
        format!("{} ", encoded_words(prefix.trim_end()))
    };
    headers.put_before("Subject", &FieldValue::cleaned(text.trim_start()));
}

fn missing_subject(prefix: &str) -> FieldValue {
    let prefix = if is_plain(prefix) { prefix.trim().to_owned() } else { encoded_words(prefix.trim()) };
    FieldValue::cleaned(&format!("{prefix} {NO_SUBJECT}"))
}

fn add_list_fields(headers: &mut Headers<'_>, list: &List) {
    let address = &list.address;
    let description = phrase(&list.settings.description);
    let id = format!("{description} <{}>", list.list_id);
    headers.push("List-Id", &FieldValue::cleaned(id.trim_start()));
    // Names of lists and domains consist of characters that a URI takes as they are (RFC 6068).
    let mut push = |name, address: String| headers.push(name, &FieldValue::cleaned(&format!("<mailto:{address}>")));
    push("List-Help", format!("{}?subject=help", address.with("request")));
    push("List-Owner", address.with("owner"));
    push("List-Post", address.to_string());
    push("List-Subscribe", address.with("join"));
    push("List-Unsubscribe", address.with("leave"));
    // Other values that keep automatic answers away say as much as ours.
    let quiet = headers.first("Precedence").map(|field| field.text().to_ascii_lowercase());
    if !quiet.is_some_and(|value| matches!(value.as_str(), "list" | "bulk" | "junk")) {
        headers.replace("Precedence", &FieldValue::cleaned("list"));
    }
    headers.push("X-BeenThere", &FieldValue::cleaned(&address.to_string()));
}

#[cfg(test)]
#[path = "decorate_tests.rs"]
mod tests;
