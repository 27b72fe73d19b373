//! Mails that we write ourselves.
//!
//! All go out through the same queue as posts, with the envelope sender `<>` and `Auto-Submitted`
//! (RFC 3834), so that nothing answers them and no two programs get into a conversation, and with the
//! X-BeenThere of their list, so that one that finds its way back there is thrown away. An answer to
//! a message goes to its envelope sender only, and not at all when a program or a list sent it. Who
//! writes to a list and is held is told nothing: the sender of such a message is too often forged.

mod texts;

use crate::lists::{EmailAddress, List};
use crate::post::facts::Facts;
use crate::spool::{EnvelopeSender, Outgoing};
use crate::store::HeldPost;
use mail_builder::MessageBuilder;
use mail_builder::headers::date::Date;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};
use std::sync::Arc;
use texts::substitute;

/// A held message up to this size is attached to the notice, in octets.
const MAX_ATTACHED: usize = 256 * 1024;

/// Tells an author that the post was rejected, and why; `None` when nobody may be told.
///
/// `reason` is a clause or text for people; `now` is Unix time, in seconds.
pub fn rejection(
    list: &List,
    sender: Option<&EmailAddress>,
    facts: &Facts,
    reason: &str,
    now: i64,
) -> Option<Outgoing> {
    let author = sender.filter(|sender| may_be_answered(list, sender, facts))?;
    let values = [
        ("list", list.address.to_string()),
        ("subject", or_none(&facts.subject)),
        ("message_id", or_none(&facts.message_id)),
        ("reason", indented(reason)),
        ("owner", list.address.with("owner")),
    ];
    let subject = format!("Your message to {} was rejected", list.address);
    let mut notice = Notice::new(list, &subject, now, "auto-replied").to(author.as_str());
    notice.builder = notice.builder.text_body(filled(texts::REJECTED, &values));
    let original = facts.message_id.trim_start_matches('<').trim_end_matches('>');
    // A Message-ID is only referred to when it is well-formed enough to be one.
    if original.contains('@') && original.is_ascii() && original.len() < 500 && !original.contains([' ', '<', '>']) {
        notice.builder = notice.builder.in_reply_to(original.to_owned()).references(original.to_owned());
    }
    Some(notice.outgoing(vec![author.clone()]))
}

/// Tells the people behind a list that a post waits for them.
pub fn held(list: &List, post: &HeldPost, message: &[u8], people: Vec<EmailAddress>) -> Outgoing {
    let attach = message.len() <= MAX_ATTACHED;
    let values = [
        ("list", list.address.to_string()),
        ("id", post.id.to_string()),
        ("from", or_none(&post.from)),
        ("sender", post.sender.as_ref().map_or_else(|| "<>".to_owned(), ToString::to_string)),
        ("subject", or_none(&post.subject)),
        ("size", post.size.to_string()),
        ("reason", indented(&post.reason)),
        ("attached", if attach { texts::ATTACHED } else { texts::TOO_LARGE }.to_owned()),
    ];
    let subject = format!("{} post {} waits: {}", list.address, post.id, or_none(&post.subject));
    let mut notice = Notice::new(list, &subject, post.held, "auto-generated").to(&list.address.with("owner"));
    let text = filled(texts::HELD, &values);
    notice.builder = if attach {
        // RFC 2046, section 5.2.1: no encoding but 7bit and 8bit is allowed for a message.
        let encoding = if message.is_ascii() { "7bit" } else { "8bit" };
        notice.builder.body(MimePart::new(
            "multipart/mixed",
            vec![
                MimePart::new("text/plain", BodyPart::Text(text.into())),
                MimePart::new("message/rfc822", BodyPart::Binary(message.to_vec().into())).transfer_encoding(encoding),
            ],
        ))
    } else {
        notice.builder.text_body(text)
    };
    notice.outgoing(people)
}

/// Whether an automatic answer may go to this envelope sender (RFC 3834, section 2).
fn may_be_answered(list: &List, sender: &EmailAddress, facts: &Facts) -> bool {
    if facts.is_automatic() {
        return false;
    }
    let local = sender.local_part().to_ascii_lowercase();
    let robot = ["mailer-daemon", "postmaster", "noreply", "no-reply"].contains(&local.as_str())
        || local.starts_with("owner-")
        || ["-owner", "-request", "-bounces", "-confirm"].iter().any(|end| local.ends_with(end));
    let ourselves = sender.domain().eq_ignore_ascii_case(list.address.domain.as_str())
        && (local == list.address.name.as_str() || local.starts_with(&format!("{}-", list.address.name)));
    !robot && !ourselves
}

/// A notice in the making.
struct Notice<'a> {
    builder: MessageBuilder<'a>,
    list: &'a List,
    message_id: String,
}

impl<'a> Notice<'a> {
    fn new(list: &'a List, subject: &str, now: i64, auto_submitted: &'static str) -> Self {
        let id = format!("{now}.{:032x}@{}", rand::random::<u128>(), list.address.domain);
        let builder = MessageBuilder::new()
            .from((one_line(&list.settings.display_name), list.address.with("owner")))
            .subject(one_line(subject))
            .date(Date::new(now))
            .message_id(id.clone())
            .header("Auto-Submitted", Raw::new(auto_submitted))
            .header("Precedence", Raw::new("bulk"))
            .header("X-BeenThere", Raw::new(list.address.to_string()));
        Notice { builder, list, message_id: format!("<{id}>") }
    }

    fn to(mut self, address: &str) -> Self {
        self.builder = self.builder.to(address.to_owned());
        self
    }

    fn outgoing(self, recipients: Vec<EmailAddress>) -> Outgoing {
        let mut message = Vec::new();
        // Writing to memory cannot fail; were it to, the notice would be empty, not lost silently.
        if let Err(error) = self.builder.write_to(&mut message) {
            tracing::error!(list = %self.list.address, %error, "a notice could not be written");
        }
        Outgoing {
            list: Some(self.list.id),
            list_address: self.list.address.to_string(),
            message_id: self.message_id,
            sender: EnvelopeSender::Null,
            message: Arc::from(message),
            recipients,
            personal: None,
        }
    }
}

fn filled(text: &str, values: &[(&str, String)]) -> String {
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    substitute(text, &values).replace("\r\n", "\n").replace('\n', "\r\n")
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "(none)".to_owned() } else { one_line(text) }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A text of several lines keeps them, below its first.
fn indented(text: &str) -> String {
    let lines: Vec<String> = text.trim().lines().map(one_line).collect();
    lines.join("\n                ")
}

#[cfg(test)]
mod tests;
