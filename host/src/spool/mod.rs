//! The durable queues of this node: mail that came in and mail that goes out.
//!
//! Promise: what a method here has returned `Ok` for is on disk (WAL, `synchronous=FULL`), and
//! stays there until another method removes it. One writer thread commits; commands that arrive
//! while it syncs share the next commit.

mod error;

pub use error::SpoolError;

use crate::lists::{EmailAddress, Subaddress};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The result of every spool operation.
pub type Result<T> = std::result::Result<T, SpoolError>;

/// The queues. Cheap to clone; clones share one writer.
#[derive(Clone)]
pub struct Spool {}

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

/// The octets of a message on their way into the spool: small ones in memory, large ones already
/// in a (synced, unnamed to others) file under `spool/bodies/`, made by [`Spool::body_writer`].
#[derive(Clone, Debug)]
pub enum Body {
    /// In memory.
    Memory(Arc<[u8]>),
    /// In a file of the spool.
    File(StagedBody),
}

/// A large body that was written under `spool/bodies/` and synced; removed again when dropped
/// without having been accepted.
#[derive(Clone, Debug)]
pub struct StagedBody {}

/// Collects a body of unknown length: in memory up to 256 KiB, from there in a file.
pub struct BodyWriter {}

impl BodyWriter {
    /// Appends.
    pub async fn write(&mut self, _bytes: &[u8]) -> Result<()> {
        todo!()
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        todo!()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Syncs a file, returns the body.
    pub async fn finish(self) -> Result<Body> {
        todo!()
    }
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
    /// Why it is shunted; else empty.
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
/// are leased: nobody else gets them until [`Spool::record`] or until the process ends.
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
    /// The recipient.
    pub recipient: EmailAddress,
    /// What the MTA said.
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

impl Spool {
    /// Opens (makes) the spool in this directory, removes bodies that nothing refers to, and
    /// starts the writer. Call within a tokio runtime.
    ///
    /// # Errors
    /// When the directory cannot be used, or the file belongs to another program or version.
    pub fn open(_directory: &Path, _options: &SpoolOptions) -> Result<Self> {
        todo!()
    }

    /// Starts a body.
    pub fn body_writer(&self) -> BodyWriter {
        todo!()
    }

    /// Takes responsibility for a message: when this returns `Ok` it is on disk. Returns the
    /// number of the message.
    ///
    /// # Errors
    /// [`SpoolError::DiskFull`] and others; then nothing is kept.
    pub async fn accept(&self, _incoming: Incoming) -> Result<i64> {
        todo!()
    }

    /// Free space is below `min_free_space`: no new mail should be taken.
    pub fn is_short_of_space(&self) -> bool {
        todo!()
    }

    /// Up to `limit` arrivals to be processed, oldest first, with numbers above `after`.
    pub async fn new_arrivals(&self, _after: i64, _limit: usize) -> Result<Vec<Arrival>> {
        todo!()
    }

    /// All arrivals, for people; oldest first.
    pub async fn arrivals(&self) -> Result<Vec<Arrival>> {
        todo!()
    }

    /// The message of an arrival.
    pub async fn message(&self, _message: i64) -> Result<Arc<[u8]>> {
        todo!()
    }

    /// In one transaction: queues these messages and removes the arrival that they came from
    /// (with its message, when that was the last). With `None` only queues.
    pub async fn fan_out(&self, _arrival: Option<i64>, _messages: Vec<Outgoing>) -> Result<()> {
        todo!()
    }

    /// The arrival is done (held elsewhere, discarded): removes it.
    pub async fn finish(&self, _arrival: i64) -> Result<()> {
        todo!()
    }

    /// Changes the state of an arrival: keeps it for later, shunts it with a reason, or makes it
    /// new again.
    pub async fn set_state(&self, _arrival: i64, _state: ArrivalState, _reason: &str) -> Result<bool> {
        todo!()
    }

    /// Recipients of one outgoing message that are due, at most `limit` of them, leased. Messages
    /// take turns, so that a huge one does not starve a small one. `None`: nothing is due.
    pub async fn due(&self, _limit: usize) -> Result<Option<DueBatch>> {
        todo!()
    }

    /// When the next recipient becomes due (Unix time, in seconds); `None` when none waits.
    pub async fn next_due(&self) -> Result<Option<i64>> {
        todo!()
    }

    /// Records what became of leased recipients, in one transaction; permanent failures become
    /// bounce events; a message whose last recipient is done is removed.
    pub async fn record(&self, _outgoing: i64, _results: Vec<(i64, DeliveryResult)>) -> Result<()> {
        todo!()
    }

    /// Gives leased recipients back as they were: nothing was tried, they stay due. Touches no row.
    pub async fn release(&self, _outgoing: i64, _recipients: Vec<i64>) -> Result<()> {
        todo!()
    }

    /// Returns when something may have become due for delivery since the last call: after
    /// [`Spool::fan_out`] and [`Spool::retry_now`]. A change that came while nobody waited is told
    /// at once (a `tokio::sync::Notify` with `notify_one`).
    pub async fn outgoing_changed(&self) {
        todo!()
    }

    /// Makes everything that waits for a retry due now (`queue retry`); `None`: of all messages.
    pub async fn retry_now(&self, _outgoing: Option<i64>) -> Result<u64> {
        todo!()
    }

    /// Removes an outgoing message with all its recipients (`queue drop`). `false`: no such.
    pub async fn drop_outgoing(&self, _outgoing: i64) -> Result<bool> {
        todo!()
    }

    /// The outgoing queue, for people; oldest first.
    pub async fn outgoing(&self) -> Result<Vec<QueuedOutgoing>> {
        todo!()
    }

    /// Bounce events, oldest first.
    pub async fn bounce_events(&self) -> Result<Vec<BounceEvent>> {
        todo!()
    }

    /// Writes a consistent copy (database and bodies) to a new directory, while in use.
    pub async fn backup(&self, _directory: &Path) -> Result<()> {
        todo!()
    }

    /// Finishes what is queued for the writer and ends it.
    pub async fn close(&self) {
        todo!()
    }
}

/// How the spool behaves.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    /// Below so many free octets on its file system it is short of space.
    pub min_free_space: u64,
}
