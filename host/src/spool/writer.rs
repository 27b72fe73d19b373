//! The one thread that writes, and the commits that jobs share.
//!
//! Jobs that wait when a commit begins, or come a moment later ([`Pace`]), go into it together and are answered after
//! it: one sync serves all of them. When one of them fails, or the whole transaction (disk full), it is undone and each
//! job is tried again by itself, so that none suffers for another.

use super::body::StagedBody;
use super::error::SpoolError;
use super::jobs::{Jobs, MAX_GROUP};
use super::pace::Pace;
use super::shared::Shared;
use super::{Result, body::BodyDirectory};
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::oneshot;

/// Free pages from which on some are given back to the file system when there is nothing to do.
const MANY_FREE_PAGES: i64 = 2048;

/// What a job wants done outside of the database once it is committed.
#[derive(Default)]
pub(super) struct Effects {
    /// There are arrivals to process.
    pub arrivals_changed: bool,
    /// One of them was here before.
    pub arrival_renewed: bool,
    /// There are recipients to deliver to, now or later.
    pub outgoing_changed: bool,
    /// Leases that end: the outgoing message and recipients of it.
    pub released: Vec<(i64, Vec<i64>)>,
    /// Body files that a row names now.
    pub accepted: Vec<StagedBody>,
    /// Bodies that a row holds now; somebody will want them soon.
    pub stored: Vec<(i64, Arc<[u8]>)>,
    /// Bodies that are gone, and the files of those that had one.
    pub forgotten: Vec<i64>,
    pub unnamed: Vec<String>,
}

/// One change, with the one who waits for it.
pub(super) trait Job: Send {
    /// Makes the change. May be called again when a transaction was undone.
    fn run(&mut self, transaction: &Connection, effects: &mut Effects) -> rusqlite::Result<()>;
    /// Nobody outside waits for it.
    fn is_patient(&self) -> bool;
    /// Tells the outcome.
    fn answer(self: Box<Self>, outcome: Result<()>);
}

/// A job from a closure.
pub(super) struct Call<T, F> {
    work: F,
    patient: bool,
    value: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Call<T, F>
where
    T: Send + 'static,
    F: FnMut(&Connection, &mut Effects) -> rusqlite::Result<T> + Send + 'static,
{
    /// The job, and where its outcome will come.
    pub(super) fn boxed(work: F, patient: bool) -> (Box<dyn Job>, oneshot::Receiver<Result<T>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Call { work, patient, value: None, reply }), answer)
    }
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: FnMut(&Connection, &mut Effects) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, transaction: &Connection, effects: &mut Effects) -> rusqlite::Result<()> {
        self.value = Some((self.work)(transaction, effects)?);
        Ok(())
    }

    fn is_patient(&self) -> bool {
        self.patient
    }

    fn answer(self: Box<Self>, outcome: Result<()>) {
        let Call { work, value, reply, .. } = *self;
        // A body that was not accepted is gone before the answer says so.
        drop(work);
        // Nobody may wait any more; the change is made all the same.
        let _ = reply.send(outcome.and_then(|()| value.ok_or(SpoolError::Closed)));
    }
}

/// What stopped a transaction.
struct Failure {
    error: SpoolError,
    /// It may go better with one job at a time.
    alone: bool,
}

pub(super) struct Writer {
    pub connection: Connection,
    pub shared: Arc<Shared>,
    pub jobs: Arc<Jobs>,
    pub bodies: Arc<BodyDirectory>,
    /// Files to be removed when no backup needs them.
    pub unnamed: Vec<String>,
    pub pace: Pace,
}

impl Writer {
    /// Works until no more jobs are taken and the last one is done.
    pub(super) fn run(mut self) {
        while let Some((group, awaited)) = self.jobs.next_group(&self.pace) {
            let (idle, begun) = (group.len() < MAX_GROUP, Instant::now());
            self.commit_all(group);
            self.pace.committed(awaited, begun.elapsed());
            if idle {
                self.give_back_pages();
            }
        }
        self.bodies.remove(&mut self.unnamed);
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!("{}: cannot be closed properly: {error}", self.shared.file.display());
        }
    }

    fn commit_all(&mut self, mut group: Vec<Box<dyn Job>>) {
        match self.commit_together(&mut group) {
            Ok(()) => group.into_iter().for_each(|job| job.answer(Ok(()))),
            Err(failure) if failure.alone && group.len() > 1 => {
                for mut job in group {
                    let outcome = self.commit_together(std::slice::from_mut(&mut job));
                    job.answer(outcome.map_err(|failure| failure.error));
                }
            }
            Err(failure) => {
                for job in group {
                    job.answer(Err(failure.error.clone()));
                }
            }
        }
    }

    /// One transaction. `Err`: nothing of it remains.
    fn commit_together(&mut self, group: &mut [Box<dyn Job>]) -> std::result::Result<(), Failure> {
        let failure = |error: &rusqlite::Error, alone| Failure {
            error: SpoolError::from_sqlite(&self.shared.file, error),
            alone,
        };
        let execute = |sql: &str| self.connection.prepare_cached(sql)?.execute([]).map(|_| ());
        execute("BEGIN IMMEDIATE").map_err(|error| failure(&error, false))?;
        let mut all_effects = Vec::with_capacity(group.len());
        for job in group {
            let mut effects = Effects::default();
            if let Err(error) = job.run(&self.connection, &mut effects) {
                // SQLite may have given up the transaction already.
                if !self.connection.is_autocommit() {
                    let _ = execute("ROLLBACK");
                }
                return Err(failure(&error, true));
            }
            all_effects.push(effects);
        }
        if let Err(error) = execute("COMMIT") {
            if !self.connection.is_autocommit() {
                let _ = execute("ROLLBACK");
            }
            return Err(failure(&error, true));
        }
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.apply(all_effects);
        Ok(())
    }

    fn apply(&mut self, all: Vec<Effects>) {
        let (mut arrivals, mut renewed, mut outgoing) = (false, false, false);
        let mut released = Vec::new();
        for effects in all {
            effects.accepted.iter().for_each(StagedBody::accepted);
            arrivals |= effects.arrivals_changed;
            renewed |= effects.arrival_renewed;
            outgoing |= effects.outgoing_changed;
            released.extend(effects.released);
            effects.stored.iter().for_each(|(id, bytes)| self.shared.cache.keep(*id, bytes));
            self.shared.cache.forget(&effects.forgotten);
            self.unnamed.extend(effects.unnamed);
        }
        if !released.is_empty() {
            self.shared.end_leases(&released);
        }
        self.bodies.remove(&mut self.unnamed);
        self.shared.committed.notify_one();
        if renewed {
            self.shared.renewed.store(true, Ordering::Release);
        }
        if arrivals {
            self.shared.arrivals_changed.notify_one();
        }
        if outgoing {
            self.shared.outgoing_changed.notify_one();
        }
    }

    /// Keeps the file from staying as large as the longest queue it ever held.
    fn give_back_pages(&self) {
        let free = self
            .connection
            .prepare_cached("PRAGMA freelist_count")
            .and_then(|mut count| count.query_row([], |row| row.get::<_, i64>(0)));
        if free.is_ok_and(|free| free > MANY_FREE_PAGES)
            && let Err(error) = self.connection.execute_batch("PRAGMA incremental_vacuum(512)")
        {
            tracing::debug!("{}: incremental_vacuum: {error}", self.shared.file.display());
        }
    }
}
