//! What delivery needs of a queue; [`Spool`] is the one that counts.

use crate::spool::{DeliveryResult, DueBatch, Result, Spool};

/// Leases recipients that are due and takes their results.
pub trait DeliveryQueue: Send + Sync + 'static {
    /// Recipients of one message that are due, at most `limit`, leased to the caller.
    fn due(&self, limit: usize) -> impl Future<Output = Result<Option<DueBatch>>> + Send;

    /// When the next recipient becomes due that is not leased (Unix time, in seconds).
    fn next_due(&self) -> impl Future<Output = Result<Option<i64>>> + Send;

    /// What became of leased recipients, durably. `patient`: no connection waits for it.
    fn record(
        &self,
        outgoing: i64,
        results: Vec<(i64, DeliveryResult)>,
        patient: bool,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Gives leased recipients back as they were: nothing was tried, they stay due.
    fn release(&self, outgoing: i64, recipients: Vec<i64>) -> impl Future<Output = Result<()>> + Send;

    /// Returns when something may have become due since the last call: a new message, or
    /// `queue retry`. A change that came while nobody waited is told at once.
    fn changed(&self) -> impl Future<Output = ()> + Send;

    /// Whether a person asked for deliveries since the last call (`queue retry`): a pause after an
    /// unreachable mail server is over then.
    fn is_pressed(&self) -> bool;
}

impl DeliveryQueue for Spool {
    fn due(&self, limit: usize) -> impl Future<Output = Result<Option<DueBatch>>> + Send {
        Spool::due(self, limit)
    }

    fn next_due(&self) -> impl Future<Output = Result<Option<i64>>> + Send {
        Spool::next_due(self)
    }

    fn record(
        &self,
        outgoing: i64,
        results: Vec<(i64, DeliveryResult)>,
        patient: bool,
    ) -> impl Future<Output = Result<()>> + Send {
        Spool::record(self, outgoing, results, patient)
    }

    fn release(&self, outgoing: i64, recipients: Vec<i64>) -> impl Future<Output = Result<()>> + Send {
        Spool::release(self, outgoing, recipients);
        std::future::ready(Ok(()))
    }

    fn changed(&self) -> impl Future<Output = ()> + Send {
        self.outgoing_changed().notified()
    }

    fn is_pressed(&self) -> bool {
        Spool::is_pressed(self)
    }
}
