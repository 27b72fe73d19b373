//! The records of both containers, and what they must be like to be believed.

use super::line::{LineError, write_line};
use super::{Format, mbox};
use crate::lists::{EmailAddress, ListAddress, Subaddress};
use crate::personal::Splices;
use crate::spool::{
    Arrival, ArrivalState, EnvelopeSender, ImportedArrival, ImportedOutgoing, IncomingRecipient, QueuedOutgoing,
    QueuedRecipient,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use std::io::Write;
use std::sync::Arc;

/// So many recipients stand in one record.
const JSON_GROUP: usize = 1000;
const MBOX_GROUP: usize = 10;
/// Longest text of a field, in octets.
const MAX_TEXT: usize = 16 * 1024;
/// The last second that has a date of four digits, which is more than any clock says.
const LAST_TIME: i64 = 253_402_300_799;
/// More tries, and more recipients of a message, than there ever are. Others are added to these numbers, so what is
/// near the end of its type would be none in the queue.
const MAX_TRIES: u32 = 1_000_000;
const MAX_DONE: u64 = 1_000_000_000;

/// Address, tries, next try, last reply, and the name if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecipientRecord(
    pub String,
    pub u32,
    pub i64,
    pub String,
    #[serde(skip_serializing_if = "String::is_empty", default)] pub String,
);

/// An arrival.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InRecord {
    pub origin: String,
    pub id: i64,
    pub state: String,
    pub reason: String,
    pub list: String,
    pub function: String,
    pub recipient: String,
    pub detail: Option<String>,
    pub sender: Option<String>,
    pub received: i64,
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message_base64: Option<String>,
}

/// An outgoing message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutRecord {
    pub origin: String,
    pub id: i64,
    pub list: String,
    pub message_id: String,
    pub sender: SenderRecord,
    pub queued: i64,
    pub done: u64,
    pub last_reply: String,
    pub recipients: u64,
    pub size: u64,
    /// Where each recipient's own text goes; a version that does not know it refuses the file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub personal: Option<Splices>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message_base64: Option<String>,
}

/// How the envelope sender is made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SenderRecord {
    Null,
    Fixed(String),
    Verp(String),
}

/// A record with what kind it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Record {
    In(InRecord),
    Out(OutRecord),
    Recipients(Vec<RecipientRecord>),
    End(super::Counts),
}

/// The same for each export of the same entry: an import is known again by it.
fn origin(parts: &[&str], message: &[u8]) -> String {
    let mut digest = Sha1::new();
    for part in parts {
        digest.update(part.as_bytes());
        digest.update(b"\0");
    }
    digest.update(message);
    HEXLOWER.encode(&digest.finalize())
}

impl InRecord {
    /// Without the message.
    pub(super) fn of(arrival: &Arrival, message: &[u8]) -> Self {
        let one = &arrival.recipient;
        let [id, received] = [arrival.id, arrival.received].map(|number| number.to_string());
        InRecord {
            origin: origin(&["in", &id, &one.list_address, &one.recipient, &received], message),
            id: arrival.id,
            state: arrival.state.as_str().to_owned(),
            reason: cut(&arrival.reason),
            list: one.list_address.clone(),
            function: one.function.as_str().to_owned(),
            recipient: one.recipient.clone(),
            detail: one.detail.clone(),
            sender: arrival.sender.as_ref().map(ToString::to_string),
            received: arrival.received,
            size: message.len() as u64,
            message: None,
            message_base64: None,
        }
    }

    /// Believes it. The list's number here is not known yet.
    pub(super) fn checked(self, message: Vec<u8>) -> Result<(String, ImportedArrival), String> {
        let id = self.id;
        self.believed(message).map_err(|error| format!("in {id}: {error}"))
    }

    fn believed(self, message: Vec<u8>) -> Result<(String, ImportedArrival), String> {
        let origin = checked_origin(self.origin)?;
        check_list(&self.list)?;
        check_line("recipient", &self.recipient)?;
        check_line("detail", self.detail.as_deref().unwrap_or_default())?;
        check_text("reason", &self.reason)?;
        check_time("received", self.received)?;
        check_size(self.size, &message)?;
        let state = ArrivalState::from_stored(&self.state)
            .ok_or_else(|| format!("the state {:?} is none of new, kept and shunted", self.state))?;
        let function = Subaddress::from_stored(&self.function)
            .ok_or_else(|| format!("{:?} is no function of a list", self.function))?;
        let sender = self.sender.as_deref().map(EmailAddress::parse).transpose().map_err(|e| format!("sender: {e}"))?;
        if self.recipient.is_empty() {
            return Err("the recipient is empty".to_owned());
        }
        let arrival = Arrival {
            id: self.id,
            message: 0,
            sender,
            recipient: IncomingRecipient {
                list: 0,
                list_address: self.list,
                function,
                recipient: self.recipient,
                detail: self.detail,
            },
            state,
            reason: self.reason,
            received: self.received,
            size: self.size,
            damaged: false,
        };
        Ok((origin, ImportedArrival { arrival, message: message.into() }))
    }
}

impl OutRecord {
    /// Without the message.
    pub(super) fn of(one: &QueuedOutgoing, message: &[u8], personal: Option<Splices>) -> Self {
        let [id, queued] = [one.id, one.queued].map(|number| number.to_string());
        OutRecord {
            origin: origin(&["out", &id, &one.list_address, &one.message_id, &queued], message),
            personal,
            id: one.id,
            list: one.list_address.clone(),
            message_id: one.message_id.clone(),
            sender: match &one.sender {
                EnvelopeSender::Null => SenderRecord::Null,
                EnvelopeSender::Fixed(sender) => SenderRecord::Fixed(sender.clone()),
                EnvelopeSender::Verp(bounces) => SenderRecord::Verp(bounces.clone()),
            },
            queued: one.queued,
            done: one.done,
            last_reply: cut(&one.last_reply),
            recipients: one.waiting,
            size: message.len() as u64,
            message: None,
            message_base64: None,
        }
    }

    /// Believes it; recipients follow.
    pub(super) fn checked(self, message: Vec<u8>) -> Result<(String, ImportedOutgoing), String> {
        let id = self.id;
        self.believed(message).map_err(|error| format!("out {id}: {error}"))
    }

    fn believed(self, message: Vec<u8>) -> Result<(String, ImportedOutgoing), String> {
        let origin = checked_origin(self.origin)?;
        check_list(&self.list)?;
        check_line("message_id", &self.message_id)?;
        check_text("last_reply", &self.last_reply)?;
        check_time("queued", self.queued)?;
        check_number("done", self.done, MAX_DONE)?;
        check_number("recipients", self.recipients, MAX_DONE)?;
        check_size(self.size, &message)?;
        if let Some(personal) = &self.personal {
            personal.check(&message).map_err(|error| format!("personal: {error}"))?;
        }
        let address = |text: String| match EmailAddress::parse(&text) {
            Ok(_) => Ok(text),
            Err(error) => Err(format!("sender: {error}")),
        };
        let outgoing = ImportedOutgoing {
            id: self.id,
            list: None,
            list_address: self.list,
            message_id: self.message_id,
            sender: match self.sender {
                SenderRecord::Null => EnvelopeSender::Null,
                SenderRecord::Fixed(sender) => EnvelopeSender::Fixed(address(sender)?),
                SenderRecord::Verp(bounces) => EnvelopeSender::Verp(address(bounces)?),
            },
            queued: self.queued,
            done: self.done,
            last_reply: self.last_reply,
            message: Arc::from(message),
            splices: self.personal,
            recipients: Vec::new(),
        };
        Ok((origin, outgoing))
    }
}

/// Believes recipients.
pub(super) fn add_recipients(
    outgoing: &mut ImportedOutgoing,
    recipients: Vec<RecipientRecord>,
    wanted: u64,
) -> Result<(), String> {
    let wrong = |error| format!("out {}: {error}", outgoing.id);
    for one in recipients {
        if outgoing.recipients.len() as u64 >= wanted {
            return Err(wrong(format!("there are more recipients than the {wanted} that the entry is said to have")));
        }
        let one = one.believed().map_err(wrong)?;
        outgoing.recipients.push(one);
    }
    Ok(())
}

impl RecipientRecord {
    fn believed(self) -> Result<QueuedRecipient, String> {
        let RecipientRecord(address, attempts, next_try, reply, name) = self;
        EmailAddress::parse(&address).map_err(|error| format!("recipient: {error}"))?;
        let of = |error| format!("recipient {address}: {error}");
        check_text("reply", &reply).map_err(of)?;
        check_line("name", &name).map_err(of)?;
        check_time("next try", next_try).map_err(of)?;
        check_number("tries", attempts.into(), MAX_TRIES.into()).map_err(of)?;
        Ok(QueuedRecipient { id: 0, address, name, attempts, next_try, reply })
    }
}

/// The octets of a message in a JSON record.
pub(super) fn octets(text: Option<String>, base64: Option<String>) -> Result<Vec<u8>, String> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(base64)) => {
            STANDARD.decode(base64).map_err(|error| format!("message_base64 is no base64: {error}"))
        }
        _ => Err("it must have one of message and message_base64".to_owned()),
    }
}

/// A message for a JSON record: as text where that is readable and no longer than the other form.
pub(super) fn text_or_base64(message: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(message) {
        Ok(text) if !text.contains(|c: char| c.is_control() && !matches!(c, '\r' | '\n' | '\t')) => {
            (Some(text.to_owned()), None)
        }
        _ => (None, Some(STANDARD.encode(message))),
    }
}

/// Recipients on their way into a file.
pub(super) struct Group {
    format: Format,
    /// Longest line, in octets.
    limit: usize,
    rows: Vec<RecipientRecord>,
    /// How many there were.
    pub all: u64,
}

impl Group {
    pub(super) fn new(format: Format, limit: usize) -> Self {
        Group { format, limit, rows: Vec::new(), all: 0 }
    }

    pub(super) fn add(&mut self, one: QueuedRecipient, out: &mut impl Write) -> Result<(), LineError> {
        self.all += 1;
        self.rows.push(RecipientRecord(one.address, one.attempts, one.next_try, cut(&one.reply), one.name));
        let full = if self.format == Format::Json { JSON_GROUP } else { MBOX_GROUP };
        if self.rows.len() >= full { self.flush(out) } else { Ok(()) }
    }

    pub(super) fn flush(&mut self, out: &mut impl Write) -> Result<(), LineError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        match self.format {
            Format::Json => write_line(out, self.limit, "", &Record::Recipients(rows)),
            Format::Mbox => write_line(out, self.limit, mbox::RECIPIENTS, &rows),
        }
    }
}

/// What other servers say may be longer than what is read back. It is for people; its end is no loss.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

fn checked_origin(origin: String) -> Result<String, String> {
    let good = origin.len() == 40 && origin.bytes().all(|b| b.is_ascii_hexdigit());
    if good { Ok(origin) } else { Err(format!("the origin {origin:?} is not made of 40 hexadecimal digits")) }
}

/// Empty for mail to the site's owner.
fn check_list(list: &str) -> Result<(), String> {
    if !list.is_empty() {
        ListAddress::parse(list).map_err(|error| format!("list: {error}"))?;
    }
    Ok(())
}

/// What stands in commands and log lines is one line.
fn check_line(what: &str, text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err(format!("{what} {text:?} contains a control character"));
    }
    check_text(what, text)
}

fn check_text(what: &str, text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT { Err(format!("{what} is longer than {MAX_TEXT} octets")) } else { Ok(()) }
}

fn check_time(what: &str, time: i64) -> Result<(), String> {
    if (0..=LAST_TIME).contains(&time) {
        return Ok(());
    }
    Err(format!("{what} is {time}; it is a time in Unix seconds, 0 to {LAST_TIME}"))
}

fn check_number(what: &str, number: u64, most: u64) -> Result<(), String> {
    if number > most { Err(format!("{what} is {number}, and at most {most} makes sense")) } else { Ok(()) }
}

fn check_size(size: u64, message: &[u8]) -> Result<(), String> {
    if size != message.len() as u64 {
        return Err(format!(
            "the message has {} octets, its entry says {size}: it was cut off or changed",
            message.len()
        ));
    }
    Ok(())
}
