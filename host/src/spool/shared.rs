//! What the callers and the writer thread share: readers, turns and leases, the octets in memory.

use super::body::BodyDirectory;
use super::cache::BodyCache;
use super::progress::Rates;
use super::queries::{self, StoredBody};
use super::space::SpaceWatch;
use super::turns::{Turns, Unusable};
use super::types::DueBatch;
use super::{Result, SpoolError, locked, schema};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What the writer thread and the callers have in common.
pub(super) struct Shared {
    pub(super) file: PathBuf,
    pub(super) bodies: Arc<BodyDirectory>,
    pub(super) space: SpaceWatch,
    pub(super) cache: BodyCache,
    pub(super) readers: Mutex<Vec<Connection>>,
    pub(super) turns: Mutex<Option<Turns>>,
    pub(super) closed: AtomicBool,
    pub(super) commits: AtomicU64,
    pub(super) arrivals_changed: Notify,
    pub(super) outgoing_changed: Notify,
    /// The writer has panicked.
    pub(super) broken: Notify,
    /// Something was committed.
    pub(super) committed: Notify,
    pub(super) rates: Rates,
    /// A command asked for deliveries, not mail that came in.
    pub(super) pressed: AtomicBool,
    /// An arrival may be new again.
    pub(super) renewed: AtomicBool,
    /// When this process has forgotten origins.
    pub(super) origins_forgotten: Mutex<Option<Instant>>,
}

/// So often origins that are old are forgotten, at most.
const FORGET_EVERY: Duration = Duration::from_hours(1);

impl Shared {
    pub(super) fn sqlite(&self, error: &rusqlite::Error) -> SpoolError {
        SpoolError::from_sqlite(&self.file, error)
    }

    /// Whether origins that are old are to be forgotten; then who asks does it.
    pub(super) fn is_time_to_forget(&self) -> bool {
        let mut last = locked(&self.origins_forgotten);
        let due = last.is_none_or(|last| last.elapsed() >= FORGET_EVERY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }

    pub(super) fn with_turns<T>(&self, ask: impl FnOnce(&mut Turns) -> rusqlite::Result<T>) -> Result<T> {
        let mut turns = locked(&self.turns);
        ask(turns.as_mut().ok_or(SpoolError::Closed)?).map_err(|error| self.sqlite(&error))
    }

    /// Ends leases, after the commit that made them needless.
    pub(super) fn end_leases(&self, released: &[(i64, Vec<i64>)]) {
        if let Some(turns) = &mut *locked(&self.turns) {
            turns.release(released);
        }
    }

    /// Ends leases of recipients that are still to be delivered to.
    pub(super) fn release(&self, outgoing: i64, ids: Vec<i64>) {
        self.end_leases(&[(outgoing, ids)]);
        self.outgoing_changed.notify_one();
    }

    pub(super) fn with_reader<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        if self.closed.load(Ordering::Acquire) {
            return Err(SpoolError::Closed);
        }
        let idle = locked(&self.readers).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.file)?,
        };
        let outcome = work(&connection);
        let mut readers = locked(&self.readers);
        if readers.len() < 4 && !self.closed.load(Ordering::Acquire) {
            readers.push(connection);
        }
        outcome
    }

    /// The octets of a message; `None` when it is gone.
    pub(super) fn message(&self, id: i64) -> Result<Option<Arc<[u8]>>> {
        if let Some(bytes) = self.cache.find(id) {
            return Ok(Some(bytes));
        }
        let find = || self.with_reader(|db| queries::body(db, id).map_err(|error| self.sqlite(&error)));
        let bytes = match find()? {
            None => return Ok(None),
            Some(StoredBody::Memory(bytes)) => bytes,
            Some(StoredBody::File(name)) => match self.bodies.read(&name) {
                Ok(bytes) => bytes,
                // The last recipient may have been done between the row and the file.
                Err(error) => return if find()?.is_none() { Ok(None) } else { Err(error) },
            },
        };
        self.cache.keep(id, &bytes);
        Ok(Some(bytes))
    }
}

/// What [`Spool::due`](super::Spool::due) found.
pub(super) enum Found {
    Nothing,
    /// The message was dropped in this very moment.
    Gone,
    /// Recipients of an outgoing message that cannot be delivered to, and why.
    Unusable(i64, Vec<Unusable>),
    /// No recipient of this message is due, though it is said to be.
    Nobody(i64),
    Batch(Lease, DueBatch),
    Unreadable(Lease, SpoolError),
}

/// Ends the leases of a batch that nobody received.
pub(super) struct Lease {
    pub(super) outgoing: i64,
    pub(super) recipients: Vec<i64>,
    pub(super) shared: Option<Arc<Shared>>,
}

impl Lease {
    pub(super) fn hand_over(mut self) {
        self.shared = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.release(self.outgoing, std::mem::take(&mut self.recipients));
        }
    }
}
