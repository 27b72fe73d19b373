//! What goes into the spool and what comes out of it.

use super::body::Body;
use crate::lists::{EmailAddress, Subaddress};
use std::sync::Arc;
use std::time::Duration;

/// A message from LMTP (or `inject`), not yet durable.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Envelope sender; `None` for `<>`.
    pub sender: Option<EmailAddress>,
    /// What it is for: one arrival each. Never empty.
    pub recipients: Vec<IncomingRecipient>,
    /// The message: lines end in CRLF, not dot-stuffed.
    pub message: Body,
}

/// One recipient of an incoming message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingRecipient {
    /// The list.
    pub list: i64,
    /// Its posting address.
    pub list_address: String,
    /// Which function of it.
    pub function: Subaddress,
    /// The envelope recipient exactly as given (case and detail kept).
    pub recipient: String,
    /// What stood behind the delimiter.
    pub detail: Option<String>,
}

/// State of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivalState {
    /// To be processed.
    New,
    /// Kept for a function that processes it later (bounces, requests).
    Kept,
    /// Could not be processed; the reason is recorded. Visible and retryable.
    Shunted,
}

impl ArrivalState {
    /// The name in the spool and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            ArrivalState::New => "new",
            ArrivalState::Kept => "kept",
            ArrivalState::Shunted => "shunted",
        }
    }

    /// The inverse of [`ArrivalState::as_str`].
    pub fn from_stored(text: &str) -> Option<Self> {
        [ArrivalState::New, ArrivalState::Kept, ArrivalState::Shunted].into_iter().find(|one| one.as_str() == text)
    }
}

/// A message for one function of one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its number; never used again.
    pub id: i64,
    /// Number of the message; arrivals of one message share it.
    pub message: i64,
    /// Envelope sender; `None` for `<>`.
    pub sender: Option<EmailAddress>,
    /// What it is for.
    pub recipient: IncomingRecipient,
    /// State.
    pub state: ArrivalState,
    /// Why it is shunted, or what is not kept of it; else empty.
    pub reason: String,
    /// Unix time, in seconds.
    pub received: i64,
    /// Octets of the message.
    pub size: u64,
}

/// How the envelope sender of an outgoing message is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvelopeSender {
    /// `<>`.
    Null,
    /// The same for all recipients.
    Fixed(String),
    /// VERP: made from this `-bounces` address and each recipient.
    Verp(String),
}

/// A message to be sent to some recipients.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The list it belongs to, for logs and bounce events; `None` for the site's own mail.
    pub list: Option<i64>,
    /// Posting address of the list, or empty.
    pub list_address: String,
    /// The Message-ID header's value, for logs; may be empty.
    pub message_id: String,
    /// Envelope sender.
    pub sender: EnvelopeSender,
    /// The message: lines end in CRLF, not dot-stuffed.
    pub message: Arc<[u8]>,
    /// Who gets it.
    pub recipients: Vec<EmailAddress>,
}

/// One piece of work for delivery: a message and some of its recipients that are due now. They
/// are leased: nobody else gets them until [`Spool::record`](super::Spool::record) or until the process ends.
#[derive(Clone, Debug)]
pub struct DueBatch {
    /// Number of the outgoing message.
    pub outgoing: i64,
    /// Its list, or empty.
    pub list_address: String,
    /// The Message-ID header's value.
    pub message_id: String,
    /// Envelope sender.
    pub sender: EnvelopeSender,
    /// The message; shared by all batches of it.
    pub message: Arc<[u8]>,
    /// Recipients.
    pub recipients: Vec<DueRecipient>,
    /// Unix time, in seconds, at which the message was put into the spool.
    pub queued: i64,
}

/// A recipient that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRecipient {
    /// Number of its row.
    pub id: i64,
    /// The address.
    pub address: EmailAddress,
    /// How often delivery was tried before.
    pub attempts: u32,
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryResult {
    /// The MTA took it.
    Delivered,
    /// To be tried again in so long a time; with the MTA's reply or the reason.
    Retry {
        /// How long from now.
        after: Duration,
        /// The reply.
        reply: String,
    },
    /// Never again; becomes a bounce event.
    Failed {
        /// The reply.
        reply: String,
    },
}

/// A permanent failure, for the bounce processing to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BounceEvent {
    /// Its number.
    pub id: i64,
    /// Posting address of the list, or empty.
    pub list_address: String,
    /// The recipient, as it stands in the spool.
    pub recipient: String,
    /// What the MTA said, its code first; or `4.4.7` (RFC 3463) and the last reply, when it never said so for good and
    /// `delivery_retry_period` is over. ` (in reply to COMMAND)` at the end: about the message, not this recipient.
    pub reply: String,
    /// The Message-ID header's value of the message.
    pub message_id: String,
    /// Unix time, in seconds.
    pub time: i64,
}

/// An outgoing message in the queue, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedOutgoing {
    /// Its number.
    pub id: i64,
    /// Posting address of the list, or empty.
    pub list_address: String,
    /// The Message-ID header's value.
    pub message_id: String,
    /// Recipients that wait.
    pub waiting: u64,
    /// Recipients that were delivered or failed.
    pub done: u64,
    /// Unix time, in seconds, at which it was queued.
    pub queued: i64,
    /// Unix time, in seconds, of the next try.
    pub next_try: i64,
    /// The last reply that made a recipient wait; may be empty.
    pub last_reply: String,
}
