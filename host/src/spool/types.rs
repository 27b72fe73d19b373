//! What goes into the spool and what comes out of it.

use super::body::Body;
use crate::lists::{EmailAddress, Subaddress};
use crate::personal::Splices;
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
    /// Something of it cannot be read (the reason says what) and is as good as not there: it is to be shunted, not
    /// processed. Only damage does that, or a version of this program that is stricter or knows less.
    pub damaged: bool,
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
    /// Each gets a copy of his own; `None`: all get the same.
    pub personal: Option<Personal>,
}

/// What makes the copies of a message differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Personal {
    /// Where each recipient's own text goes; they fit the message.
    pub splices: Splices,
    /// The recipients' names, in their order; one that is missing is empty.
    pub names: Vec<String>,
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
    /// Where each recipient's own text goes, if each gets a copy of his own.
    pub splices: Option<Arc<Splices>>,
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
    /// The name, of recipients of a message with splices; may be empty.
    pub name: String,
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
        /// How long from now; at most [`FARTHEST_TRY`](super::FARTHEST_TRY) counts.
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

/// A permanent failure; kept for 30 days, for the bounce processing to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BounceEvent {
    /// Its number.
    pub id: i64,
    /// Posting address of the list, or empty.
    pub list_address: String,
    /// The recipient, as it stands in the spool.
    pub recipient: String,
    /// What the MTA said, its code first; a plugin says an enhanced code (RFC 3463) or only a text. Or `4.4.7` and the
    /// last reply, when it never said so for good and `delivery_retry_period` is over. ` (in reply to COMMAND)` at the end: about the message, not this recipient.
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
    /// Envelope sender.
    pub sender: EnvelopeSender,
    /// Octets of the message; without what is each recipient's own.
    pub size: u64,
    /// Each recipient gets a copy of his own.
    pub personal: bool,
    /// Recipients that wait, now or for a later try.
    pub waiting: u64,
    /// Those of them that wait for a later try.
    pub deferred: u64,
    /// Recipients that were delivered or failed.
    pub done: u64,
    /// Unix time, in seconds, at which it was queued.
    pub queued: i64,
    /// Unix time, in seconds, of the next try.
    pub next_try: i64,
    /// The last reply that made a recipient wait; may be empty.
    pub last_reply: String,
}

/// Which arrivals are meant; nothing means all.
#[derive(Clone, Debug, Default)]
pub struct ArrivalFilter {
    /// Posting address of the list.
    pub list: Option<String>,
    /// The envelope recipient, in any case.
    pub recipient: Option<String>,
    /// State.
    pub state: Option<ArrivalState>,
}

/// Which outgoing messages are meant; nothing means all.
#[derive(Clone, Debug, Default)]
pub struct OutgoingFilter {
    /// Posting address of the list.
    pub list: Option<String>,
    /// Somebody who still has to get it, in any case.
    pub recipient: Option<String>,
    /// State.
    pub state: Option<OutgoingState>,
}

/// Which permanent failures are meant; nothing means all.
#[derive(Clone, Debug, Default)]
pub struct BounceFilter {
    /// Posting address of the list.
    pub list: Option<String>,
    /// Whom the message did not reach, in any case.
    pub recipient: Option<String>,
}

/// Which recipients of an outgoing message are meant; nothing means all.
#[derive(Clone, Debug, Default)]
pub struct RecipientFilter {
    /// The address, in any case.
    pub address: Option<String>,
    /// What the last reply contains, in any case.
    pub reply: Option<String>,
}

/// State of an outgoing message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutgoingState {
    /// Somebody is due now.
    Due,
    /// Everybody waits for a later try.
    Deferred,
}

/// A recipient that still has to get an outgoing message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedRecipient {
    /// Number of its row.
    pub id: i64,
    /// The address, as it stands in the spool.
    pub address: String,
    /// The name, of recipients of a message with splices; may be empty.
    pub name: String,
    /// How often delivery was tried.
    pub attempts: u32,
    /// Unix time, in seconds, of the next try; 0: at once.
    pub next_try: i64,
    /// The last reply; empty when there was none.
    pub reply: String,
}

/// Recipients of one message that wait for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SameReply {
    /// The last reply; each recipient's own address in it is `*`. Empty: never tried.
    pub reply: String,
    /// How many.
    pub recipients: u64,
    /// Fewest and most tries.
    pub attempts: (u32, u32),
    /// First and last time of their next tries: Unix time, in seconds.
    pub next_try: (i64, i64),
    /// The first two of them, or the only one twice.
    pub examples: [String; 2],
}

/// How much waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueSummary {
    /// Arrivals to be processed.
    pub new: u64,
    /// Arrivals that are kept for a function that processes them later.
    pub kept: u64,
    /// Arrivals that could not be processed.
    pub shunted: u64,
    /// When the oldest arrival came: Unix time, in seconds.
    pub oldest_arrival: Option<i64>,
    /// Outgoing messages.
    pub outgoing: u64,
    /// Their recipients that wait.
    pub recipients: u64,
    /// When the oldest outgoing message was queued: Unix time, in seconds.
    pub oldest_outgoing: Option<i64>,
}

impl QueueSummary {
    /// All arrivals.
    pub fn arrivals(&self) -> u64 {
        self.new + self.kept + self.shunted
    }

    /// Since when the oldest of both queues waits.
    pub fn oldest(&self) -> Option<i64> {
        self.oldest_arrival.into_iter().chain(self.oldest_outgoing).min()
    }
}

/// An outgoing message that is being delivered by this process.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Its number.
    pub outgoing: i64,
    /// Rows of the recipients that are being delivered to.
    pub leased: Vec<i64>,
    /// Recipients dealt with a second, over the last seconds.
    pub per_second: f64,
}

/// An arrival that is put back as it was in this or another spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedArrival {
    /// The arrival with the number that it had; that of its message and its size mean nothing.
    pub arrival: Arrival,
    /// The message.
    pub message: Arc<[u8]>,
}

/// An outgoing message that is put back as it was in this or another spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedOutgoing {
    /// The number that it had.
    pub id: i64,
    /// The list it belongs to here.
    pub list: Option<i64>,
    /// Posting address of the list, or empty.
    pub list_address: String,
    /// The Message-ID header's value.
    pub message_id: String,
    /// Envelope sender.
    pub sender: EnvelopeSender,
    /// Unix time, in seconds, at which it was queued first.
    pub queued: i64,
    /// Recipients that were dealt with before.
    pub done: u64,
    /// The last reply that made a recipient wait.
    pub last_reply: String,
    /// The message.
    pub message: Arc<[u8]>,
    /// Where each recipient's own text goes, if each gets a copy of his own.
    pub splices: Option<Splices>,
    /// Who still has to get it; `id` means nothing.
    pub recipients: Vec<QueuedRecipient>,
}

/// What became of the recipients of an outgoing message that was imported: so many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportedRecipients {
    /// They are queued.
    pub queued: u64,
    /// They were imported before.
    pub before: u64,
    /// They never left this spool.
    pub still_here: u64,
}

/// What became of an arrival that was imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Import {
    /// It is queued.
    Queued,
    /// It was imported before.
    Before,
    /// It never left this spool.
    StillHere,
}
