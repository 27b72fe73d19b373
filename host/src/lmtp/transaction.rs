//! The message under way: its envelope, then its octets, then one reply a recipient.

use crate::lists::{EmailAddress, Subaddress};
use crate::spool::{Incoming, IncomingRecipient, SpoolError};
use crate::store::Route;

use super::reply::Refusal;
use super::traits::{BodySink, Intake, POSTMASTER_LIST};

/// What MAIL and RCPT have agreed on.
#[derive(Debug)]
pub(super) struct Transaction {
    sender: Option<EmailAddress>,
    /// The client said SMTPUTF8.
    pub smtputf8: bool,
    /// What is queued, each once.
    recipients: Vec<IncomingRecipient>,
    /// How many RCPT were accepted: each gets a reply after the dot (RFC 2033, section 4.2).
    accepted: usize,
}

impl Transaction {
    pub(super) fn new(sender: Option<EmailAddress>, smtputf8: bool) -> Self {
        Transaction { sender, smtputf8, recipients: Vec::new(), accepted: 0 }
    }

    /// How many RCPT were accepted.
    pub(super) fn accepted(&self) -> usize {
        self.accepted
    }

    /// Adds what an RCPT named. The same function of the same list is queued once, however often
    /// and in whatever spelling it was named; so are different details where no detail is read.
    pub(super) fn add(&mut self, recipient: &EmailAddress, route: Route) {
        self.push(IncomingRecipient {
            list: route.list,
            list_address: route.address.to_string(),
            function: route.function,
            recipient: recipient.as_str().to_owned(),
            detail: route.detail,
        });
    }

    /// Adds the postmaster: mail for the site owner.
    pub(super) fn add_postmaster(&mut self, site_owner: &EmailAddress) {
        self.push(IncomingRecipient {
            list: POSTMASTER_LIST,
            list_address: String::new(),
            function: Subaddress::Owner,
            recipient: site_owner.as_str().to_owned(),
            detail: None,
        });
    }

    fn push(&mut self, new: IncomingRecipient) {
        self.accepted += 1;
        let reads_detail = matches!(new.function, Subaddress::Bounces | Subaddress::Confirm);
        let same = |old: &IncomingRecipient| {
            old.list == new.list && old.function == new.function && (!reads_detail || old.detail == new.detail)
        };
        if !self.recipients.iter().any(same) {
            self.recipients.push(new);
        }
    }
}

/// A message in transfer. After a failure its octets are counted and thrown away.
pub(super) struct Transfer<W> {
    sink: Result<W, Refusal>,
    size: u64,
    max_size: u64,
}

impl<W: BodySink> Transfer<W> {
    /// `max_size` in octets; 0: no limit. The trace line does not count.
    pub(super) async fn begin(mut sink: W, trace: &str, max_size: u64) -> Self {
        let begun = sink.write(trace.as_bytes()).await;
        Transfer { sink: begun.map(|()| sink).map_err(|error| refusal_for(&error)), size: 0, max_size }
    }

    /// Octets so far, the trace line not counted.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Takes more content.
    pub(super) async fn write(&mut self, content: &[u8]) {
        self.size += content.len() as u64;
        if self.max_size > 0 && self.size > self.max_size {
            // Also when it could not be stored before: another try would not make it smaller.
            self.sink = self.too_large();
        } else if let Ok(sink) = &mut self.sink
            && let Err(error) = sink.write(content).await
        {
            self.sink = Err(refusal_for(&error));
        }
    }

    /// The dot came. `Ok` means that the message is on disk; with its number.
    pub(super) async fn finish(self, intake: &impl Intake, transaction: Transaction) -> Result<i64, Refusal> {
        let message = self.sink?.finish().await.map_err(|error| refusal_for(&error))?;
        let Transaction { sender, recipients, .. } = transaction;
        intake.accept(Incoming { sender, recipients, message }).await.map_err(|error| refusal_for(&error))
    }

    fn too_large(&self) -> Result<W, Refusal> {
        Err(Refusal::MessageTooLarge(self.max_size))
    }
}

/// The client learns what kind of trouble there is, the log which.
fn refusal_for(error: &SpoolError) -> Refusal {
    tracing::error!(target: "lmtp", "a message cannot be stored: {error}");
    Refusal::from(error)
}

/// `<address>` or `<>`, for logs.
pub(super) fn sender_for_log(transaction: &Transaction) -> String {
    transaction.sender.as_ref().map_or_else(|| "<>".to_owned(), |sender| format!("<{sender}>"))
}
