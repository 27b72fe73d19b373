//! The durable queues of this node: mail that came in and mail that goes out.
//!
//! Promise: what a method here has returned `Ok` for is on disk (WAL, `synchronous=FULL`), and
//! stays there until another method removes it. One writer thread commits; jobs that arrive
//! while it syncs share the next commit. A method that is called and then no longer awaited is
//! carried out all the same. Steps are safe to repeat: a crash between two commits never doubles
//! the effect of one.
//!
//! Below the data directory: `spool.db`, `spool/bodies/` for large messages, `spool/lock` held by
//! the daemon, `spool/bodies.lock` held by a backup, `spool/orphans/` for messages whose database is
//! gone. Commands may open the spool beside the daemon; only the daemon cleans up.

mod backup;
mod body;
mod cache;
mod commands;
mod error;
mod exclusive;
mod jobs;
mod look;
mod pace;
mod progress;
mod queries;
mod schema;
mod shared;
mod space;
#[cfg(test)]
mod tests;
mod turns;
mod types;
mod writer;

pub use body::{Body, BodyWriter, MAX_INLINE, StagedBody};
pub(crate) use error::FAILING_DISK;
pub use error::SpoolError;
pub use look::Queues;
pub use types::{
    Arrival, ArrivalFilter, ArrivalState, BounceEvent, BounceFilter, DeliveryResult, DueBatch, DueRecipient,
    EnvelopeSender, Import, ImportedArrival, ImportedOutgoing, ImportedRecipients, Incoming, IncomingRecipient,
    Outgoing, OutgoingFilter, OutgoingState, Personal, Progress, QueueSummary, QueuedOutgoing, QueuedRecipient,
    RecipientFilter, SameReply,
};

use crate::clock::unix_now;
use crate::personal::Splices;
use body::{BodyDirectory, blocking};
use cache::BodyCache;
use commands::Settled;
use jobs::Jobs;
use pace::Pace;
use rusqlite::Connection;
use shared::{Found, Lease, Shared};
use space::SpaceWatch;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use turns::Turns;
use writer::{Call, Effects, Writer};

/// The result of every spool operation.
pub type Result<T> = std::result::Result<T, SpoolError>;

/// Name of the database below the data directory.
const DATABASE: &str = "spool.db";
/// Name of the directory beside it.
const DIRECTORY: &str = "spool";
/// So many octets of a message are kept for a function that comes later.
pub const MAX_KEPT: usize = 64 * 1024;
/// No try is farther away than this. One that seems to be was planned before the clock was set back.
pub const FARTHEST_TRY: Duration = Duration::from_hours(6);
/// So long a message whose file cannot be read waits.
const UNREADABLE_RETRY: Duration = Duration::from_mins(15);
/// So many recipients are changed at a time when a person asks for it: the daemon's commits wait meanwhile.
const AT_A_TIME: usize = 10_000;

/// How the spool behaves.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    /// Below so many free octets on its file system it is short of space.
    pub min_free_space: u64,
    /// For the daemon: no second daemon may use this spool, and bodies that nothing refers to are
    /// removed at the start. Commands leave it `false` and work beside the daemon.
    pub exclusive: bool,
}

/// The queues. Cheap to clone; clones share one writer.
#[derive(Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    jobs: Arc<Jobs>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Of the daemon; released by its end, whatever end that is.
    lock: Mutex<Option<File>>,
}

impl Spool {
    /// Opens (makes) the spool in this data directory, which must exist, and starts the writer.
    /// With [`SpoolOptions::exclusive`] it also removes bodies that nothing refers to.
    ///
    /// # Errors
    /// When the directory cannot be used, the file belongs to another program or version, or
    /// ([`SpoolError::InUse`]) another daemon uses it.
    pub fn open(directory: &Path, options: &SpoolOptions) -> Result<Self> {
        let file = directory.join(DATABASE);
        if !directory.is_dir() {
            return Err(SpoolError::Io {
                path: directory.display().to_string(),
                message: "the data directory does not exist; make it, owned by the user that postrider runs as".into(),
            });
        }
        let bodies = Arc::new(BodyDirectory::open(&directory.join(DIRECTORY))?);
        let lock = options.exclusive.then(|| exclusive::lock_for_daemon(&directory.join(DIRECTORY))).transpose()?;
        let connection = schema::open_writer(&file, || bodies.set_aside(&file))?;
        if options.exclusive {
            exclusive::must_be_writable(&connection, &file)?;
            bodies.sync_names()?;
            exclusive::remove_leftovers(&connection, &bodies)?;
        }
        let shared = Arc::new(Shared {
            bodies: bodies.clone(),
            space: SpaceWatch::new(directory, options.min_free_space),
            cache: BodyCache::default(),
            readers: Mutex::default(),
            turns: Mutex::new(Some(Turns::new(schema::open_reader(&file)?))),
            closed: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            arrivals_changed: Notify::new(),
            outgoing_changed: Notify::new(),
            broken: Notify::new(),
            committed: Notify::new(),
            rates: progress::Rates::default(),
            pressed: AtomicBool::new(false),
            renewed: AtomicBool::new(false),
            origins_forgotten: Mutex::default(),
            file,
        });
        let jobs = Arc::new(Jobs::default());
        let writer = Writer {
            connection,
            shared: shared.clone(),
            jobs: jobs.clone(),
            bodies,
            unnamed: Vec::new(),
            pace: Pace::default(),
        };
        let thread = std::thread::Builder::new()
            .name("spool".into())
            .spawn(|| {
                // Without a writer nothing may be sent that could not be recorded.
                let _end = CloseWhenDropped(writer.shared.clone(), writer.jobs.clone());
                writer.run();
            })
            .map_err(|error| SpoolError::from_io(directory, "start the writer's thread", &error))?;
        Ok(Spool { inner: Arc::new(Inner { shared, jobs, thread: Mutex::new(Some(thread)), lock: Mutex::new(lock) }) })
    }

    /// The spool in this data directory, if anything ever was in it. It need not be open, and nothing is made.
    pub fn trace_of_use(directory: &Path) -> Option<PathBuf> {
        let file = directory.join(DATABASE);
        // Numbers are counted here, and stay when the rows are gone.
        let used = schema::open_reader(&file).and_then(|db| {
            db.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_sequence)", [], |row| row.get(0))
                .map_err(|error| SpoolError::from_sqlite(&file, &error))
        });
        // One that cannot be read says so when it is opened.
        Some(file).filter(|_| used.unwrap_or(false))
    }

    /// Starts a body.
    pub fn body_writer(&self) -> BodyWriter {
        BodyWriter::new(self.inner.shared.bodies.clone())
    }

    /// Takes responsibility for a message: when this returns `Ok` it is on disk. Returns the
    /// number of the message.
    ///
    /// # Errors
    /// [`SpoolError::DiskFull`] and others; then nothing is kept.
    pub async fn accept(&self, mut incoming: Incoming) -> Result<i64> {
        if incoming.recipients.is_empty() {
            return Err(SpoolError::Io {
                path: self.inner.shared.file.display().to_string(),
                message: "a message without recipients cannot be taken".into(),
            });
        }
        if is_large(&incoming.message) {
            let bodies = self.inner.shared.bodies.clone();
            incoming = blocking(move || {
                incoming.message = incoming.message.settled(&bodies)?;
                Ok(incoming)
            })
            .await?;
        }
        self.change(move |db, effects| commands::accept(db, effects, &incoming)).await
    }

    /// Free space is below `min_free_space`: no new mail should be taken.
    pub fn is_short_of_space(&self) -> bool {
        self.inner.shared.space.is_short()
    }

    /// Up to `limit` arrivals to be processed, oldest first, with numbers above `after`.
    ///
    /// They came a moment ago, so their rows are in memory: they are read on the spot, without a change of threads.
    pub fn new_arrivals(&self, after: i64, limit: usize) -> Result<Vec<Arrival>> {
        let shared = &self.inner.shared;
        shared.with_reader(|db| queries::new_arrivals(db, after, limit).map_err(|error| shared.sqlite(&error)))
    }

    /// The same of one list.
    pub fn new_arrivals_of(&self, list: i64, after: i64, limit: usize) -> Result<Vec<Arrival>> {
        let shared = &self.inner.shared;
        let find = |db: &_| queries::new_arrivals_of(db, list, after, limit).map_err(|error| shared.sqlite(&error));
        shared.with_reader(find)
    }

    /// All arrivals, for people; oldest first.
    pub async fn arrivals(&self) -> Result<Vec<Arrival>> {
        self.read(queries::arrivals).await
    }

    /// The message of an arrival.
    ///
    /// # Errors
    /// [`SpoolError::NoMessage`] when it is gone.
    pub async fn message(&self, message: i64) -> Result<Arc<[u8]>> {
        let shared = self.inner.shared.clone();
        if let Some(bytes) = shared.cache.find(message) {
            return Ok(bytes);
        }
        let path = || self.inner.shared.file.display().to_string();
        blocking(move || shared.message(message)).await?.ok_or_else(|| SpoolError::NoMessage { path: path(), message })
    }

    /// The message of an entry of [`Spool::outgoing`].
    ///
    /// # Errors
    /// [`SpoolError::NoMessage`] when it is gone.
    pub async fn outgoing_message(&self, outgoing: i64) -> Result<Arc<[u8]>> {
        let path = || self.inner.shared.file.display().to_string();
        let row = self.read(move |db| queries::outgoing_row(db, outgoing)).await?;
        let row = row.ok_or_else(|| SpoolError::NoMessage { path: path(), message: outgoing })?;
        self.message(row.body).await
    }

    /// In one transaction: queues these messages and removes the arrival that they came from
    /// (with its message, when that was the last). With `None` only queues.
    ///
    /// When the arrival is gone already, nothing is queued: the step was committed before.
    pub async fn fan_out(&self, arrival: Option<i64>, messages: Vec<Outgoing>) -> Result<()> {
        let messages = self.settled(messages).await?;
        self.change(move |db, effects| commands::fan_out(db, effects, arrival, &messages)).await
    }

    /// In one transaction: queues these messages and notes that it was done in the name of `origin`,
    /// which says what they come from. `false`: that was done within the last 30 days; nothing is queued.
    ///
    /// For steps whose cause is in another database than this: of two that do it at once, or one
    /// that repeats it after a crash, only the first has an effect.
    pub async fn fan_out_once(&self, origin: &str, messages: Vec<Outgoing>) -> Result<bool> {
        let messages = self.settled(messages).await?;
        let origin = origin.to_owned();
        self.change_once(move |db, effects| commands::fan_out_once(db, effects, &origin, &messages)).await
    }

    /// With their bodies where they belong.
    async fn settled(&self, messages: Vec<Outgoing>) -> Result<Vec<Settled>> {
        let bodies = self.inner.shared.bodies.clone();
        let settle = move |outgoing: Outgoing| {
            let body = Body::Memory(outgoing.message.clone()).settled(&bodies)?;
            Ok(Settled { outgoing, body })
        };
        if messages.iter().any(|one| one.message.len() > MAX_INLINE) {
            blocking(move || messages.into_iter().map(settle).collect()).await
        } else {
            messages.into_iter().map(settle).collect()
        }
    }

    /// These arrivals are done, nothing of them is kept: removes them, all or none. Those that are gone already are
    /// passed over.
    pub async fn finish(&self, arrivals: Vec<i64>) -> Result<()> {
        self.change_patiently(move |db, effects| {
            arrivals.iter().try_for_each(|arrival| commands::remove_arrival(db, effects, *arrival).map(drop))
        })
        .await
    }

    /// Changes the state of an arrival: keeps it for later, shunts it with a reason, or makes it
    /// new again. `false`: there is no such arrival.
    pub async fn set_state(&self, arrival: i64, state: ArrivalState, reason: &str) -> Result<bool> {
        let reason = reason.to_owned();
        self.change(move |db, effects| commands::set_state(db, effects, arrival, state, &reason)).await
    }

    /// Keeps an arrival for a function that processes it later: of its message at most the first
    /// [`MAX_KEPT`] octets, and when that is not all, the arrival says so in its `reason`. Anybody can
    /// send such mail, so it must not fill the disk.
    pub async fn keep(&self, arrival: &Arrival) -> Result<()> {
        let mut reason = arrival.reason.clone();
        let mut body = None;
        if arrival.size > MAX_KEPT as u64 {
            let message = self.message(arrival.message).await?;
            let start = &message[..message.len().min(MAX_KEPT)];
            reason = format!("only the first {} of its {} octets are kept", start.len(), message.len());
            body = Some(Body::Memory(start.into()));
        }
        let id = arrival.id;
        self.change(move |db, effects| commands::keep(db, effects, id, body.as_ref(), &reason)).await.map(|_| ())
    }

    /// Recipients of one outgoing message that are due, at most `limit` of them, leased. Messages
    /// take turns, so that a huge one does not starve a small one. `None`: nothing is due.
    ///
    /// A future that is dropped before it is ready leases nothing. A message whose file cannot be
    /// read is put off, with the reason as its reply.
    pub async fn due(&self, limit: usize) -> Result<Option<DueBatch>> {
        loop {
            let shared = self.inner.shared.clone();
            let found = blocking(move || {
                let Some(leased) = shared.with_turns(|turns| turns.lease(limit.max(1), unix_now()))? else {
                    return Ok(Found::Nothing);
                };
                let guard = Lease {
                    outgoing: leased.outgoing,
                    recipients: leased.recipients.iter().map(|one| one.id).collect(),
                    shared: Some(shared.clone()),
                };
                if !leased.unusable.is_empty() {
                    // The others are due again as soon as these are out of the way.
                    return Ok(Found::Unusable(leased.outgoing, leased.unusable));
                }
                if leased.recipients.is_empty() {
                    return Ok(Found::Nobody(leased.outgoing));
                }
                match shared.message(leased.row.body) {
                    // Its row was there a moment ago: either it was dropped just now, or its content is lost for good.
                    Ok(None) => match shared.with_reader(|db| {
                        queries::outgoing_row(db, leased.outgoing).map_err(|error| shared.sqlite(&error))
                    })? {
                        None => Ok(Found::Gone),
                        Some(_) => Ok(Found::Unreadable(guard, SpoolError::ContentLost { outgoing: leased.outgoing })),
                    },
                    Ok(Some(message)) => {
                        let stored = leased.row.splices.as_deref();
                        let splices = match stored.map(|text| Splices::from_stored(text, &message)).transpose() {
                            Ok(splices) => splices.map(Arc::new),
                            Err(error) => {
                                let outgoing = leased.outgoing;
                                return Ok(Found::Unreadable(guard, SpoolError::Splices { outgoing, error }));
                            }
                        };
                        Ok(Found::Batch(
                            guard,
                            DueBatch {
                                outgoing: leased.outgoing,
                                list_address: leased.row.list_address,
                                message_id: leased.row.message_id,
                                sender: leased.row.sender,
                                message,
                                splices,
                                recipients: leased.recipients,
                                queued: leased.row.queued,
                            },
                        ))
                    }
                    Err(error) => Ok(Found::Unreadable(guard, error)),
                }
            })
            .await?;
            match found {
                Found::Nothing => return Ok(None),
                Found::Gone => {}
                Found::Unusable(outgoing, recipients) => {
                    let failed = |(id, reply)| (id, DeliveryResult::Failed { reply });
                    self.record(outgoing, recipients.into_iter().map(failed).collect(), false).await?;
                }
                Found::Nobody(outgoing) => {
                    // Only the repair of a damaged file leaves such rows. Recorded as a change of nobody, the row
                    // follows its recipients, or goes if it has none.
                    tracing::warn!("outgoing message {outgoing} is said to be due, but nobody waits for it now");
                    self.record(outgoing, Vec::new(), true).await?;
                }
                Found::Batch(guard, batch) => {
                    guard.hand_over();
                    return Ok(Some(batch));
                }
                Found::Unreadable(guard, error) => {
                    tracing::error!("outgoing message {} is put off: {error}", guard.outgoing);
                    let put_off = DeliveryResult::Retry { after: UNREADABLE_RETRY, reply: error.to_string() };
                    let results = guard.recipients.iter().map(|id| (*id, put_off.clone())).collect();
                    self.record(guard.outgoing, results, false).await?;
                }
            }
        }
    }

    /// Gives a batch back untried: its recipients are due again at once, for anybody.
    pub fn release(&self, outgoing: i64, recipients: Vec<i64>) {
        self.inner.shared.release(outgoing, recipients);
    }

    /// When the next recipient that is not leased becomes due (Unix time, in seconds; in the past
    /// when one is due already); `None` when none waits.
    pub async fn next_due(&self) -> Result<Option<i64>> {
        let shared = self.inner.shared.clone();
        blocking(move || shared.with_turns(|turns| turns.next_due())).await
    }

    /// Records what became of leased recipients, in one transaction; permanent failures become
    /// bounce events; a message whose last recipient is done is removed. Recipients that are gone
    /// already are passed over. `patient`: nobody waits for it, so it may wait for a commit that others need.
    ///
    /// # Errors
    /// After an error the recipients stay leased: try to record again, they were dealt with.
    pub async fn record(&self, outgoing: i64, results: Vec<(i64, DeliveryResult)>, patient: bool) -> Result<()> {
        let dealt = results.iter().filter(|(_, result)| !matches!(result, DeliveryResult::Retry { .. })).count() as u64;
        let last =
            self.ask_writer(move |db, effects| commands::record(db, effects, outgoing, &results), patient).await?;
        let (rates, now) = (&self.inner.shared.rates, Instant::now());
        if last {
            if let Some(took) = rates.ended(outgoing, now) {
                tracing::info!(outgoing, "the last recipient of a long delivery is done, after {} s", took.as_secs());
            }
        } else if dealt > 0 && rates.dealt(outgoing, dealt, now) {
            self.tell_progress(outgoing).await;
        }
        Ok(())
    }

    /// A line in the log for a delivery that takes long.
    async fn tell_progress(&self, outgoing: i64) {
        if let Ok(Some(one)) = self.look(move |queues| queues.outgoing(outgoing)).await {
            let rate = self.inner.shared.rates.per_second(outgoing, Instant::now());
            tracing::info!(
                outgoing,
                message_id = one.message_id,
                list = one.list_address,
                "{} of {} recipients done, {rate:.0}/s",
                one.done,
                one.done + one.waiting
            );
        }
    }

    /// What is being delivered by this process.
    pub fn progress(&self) -> Vec<Progress> {
        let shared = &self.inner.shared;
        let leased = shared.with_turns(|turns| Ok(turns.leased())).unwrap_or_default();
        let now = Instant::now();
        let mut all: BTreeMap<i64, Vec<i64>> = leased.into_iter().collect();
        for outgoing in shared.rates.running(now) {
            all.entry(outgoing).or_default();
        }
        all.into_iter()
            .map(|(outgoing, leased)| Progress { outgoing, leased, per_second: shared.rates.per_second(outgoing, now) })
            .collect()
    }

    /// Makes everything that waits for a retry due now; `None`: of all messages. Returns how many recipients.
    pub async fn retry_now(&self, outgoing: Option<i64>) -> Result<u64> {
        let messages = match outgoing {
            Some(one) => vec![one],
            None => self.outgoing().await?.iter().map(|message| message.id).collect(),
        };
        let mut count = 0;
        for message in messages {
            count += self.retry_recipients(message, &RecipientFilter::default()).await?;
        }
        Ok(count)
    }

    /// Makes those of a message due now that wait for a retry (`queue retry`). Returns how many.
    pub async fn retry_recipients(&self, outgoing: i64, filter: &RecipientFilter) -> Result<u64> {
        let mut count = 0;
        for rows in self.portions(outgoing).await? {
            let filter = filter.clone();
            let step = move |db: &Connection, effects: &mut Effects| {
                commands::retry_recipients(db, effects, outgoing, &filter, rows)
            };
            count += self.change(step).await? as u64;
        }
        Ok(count)
    }

    /// Removes an outgoing message with all its recipients (`queue drop`). `false`: no such.
    pub async fn drop_outgoing(&self, outgoing: i64) -> Result<bool> {
        let dropped = self.drop_recipients(outgoing, &RecipientFilter::default()).await?;
        let rest = self.change(move |db, effects| commands::remove_outgoing(db, effects, outgoing)).await?;
        Ok(dropped > 0 || rest)
    }

    /// Removes recipients of an outgoing message, and with the last one the message (`queue drop`). Returns how
    /// many. Those who are just being delivered to get it all the same.
    pub async fn drop_recipients(&self, outgoing: i64, filter: &RecipientFilter) -> Result<u64> {
        let mut count = 0;
        for rows in self.portions(outgoing).await? {
            let filter = filter.clone();
            let step = move |db: &Connection, effects: &mut Effects| {
                commands::drop_recipients(db, effects, outgoing, &filter, rows)
            };
            count += self.change(step).await? as u64;
        }
        Ok(count)
    }

    /// The rows of a message's recipients in ranges that one transaction can change without others waiting for long.
    async fn portions(&self, outgoing: i64) -> Result<impl Iterator<Item = (i64, i64)> + use<>> {
        let rows = self.read(move |db| queries::recipient_rows(db, outgoing)).await?;
        let (first, last) = rows.unwrap_or((1, 0));
        Ok((first..=last).step_by(AT_A_TIME).map(move |start| (start, last.min(start + AT_A_TIME as i64 - 1))))
    }

    /// Removes just these recipients of an outgoing message (`queue export --remove`), and with the last one the
    /// message. Returns how many were still there.
    pub async fn remove_recipients(&self, outgoing: i64, ids: Vec<i64>) -> Result<u64> {
        let mut count = 0;
        for some in ids.chunks(AT_A_TIME) {
            let some = some.to_vec();
            let step =
                move |db: &Connection, effects: &mut Effects| commands::remove_recipients(db, effects, outgoing, &some);
            count += self.change(step).await? as u64;
        }
        Ok(count)
    }

    /// Removes an arrival. `false`: it is gone already.
    pub async fn drop_arrival(&self, arrival: i64) -> Result<bool> {
        self.change(move |db, effects| commands::remove_arrival(db, effects, arrival)).await
    }

    /// Puts an arrival back as it was (`queue import`), and notes it in the name of `origin`, which says what it comes
    /// from. Unless it is wanted `again`, only if that was not done within the last 30 days, and if it is not here
    /// still under its own number.
    pub async fn import_arrival(&self, origin: String, again: bool, import: ImportedArrival) -> Result<Import> {
        let ImportedArrival { arrival, message } = import;
        let body = self.settled_body(message).await?;
        self.change_once(move |db, effects| commands::import_arrival(db, effects, &origin, again, &arrival, &body))
            .await
    }

    /// Puts an outgoing message back as it was (`queue import`), and notes each recipient in the name of `origin`,
    /// which says what message it comes from. Unless they are wanted `again`, those who still wait here under its own
    /// number are left out, and so are those who were put back within the last 30 days, whoever came with them. When
    /// some still wait here, the others get a message of their own.
    pub async fn import_outgoing(
        &self,
        origin: String,
        again: bool,
        import: ImportedOutgoing,
    ) -> Result<ImportedRecipients> {
        let body = self.settled_body(import.message.clone()).await?;
        self.change_once(move |db, effects| commands::import_outgoing(db, effects, &origin, again, &import, &body))
            .await
    }

    async fn settled_body(&self, message: Arc<[u8]>) -> Result<Body> {
        let bodies = self.inner.shared.bodies.clone();
        blocking(move || Body::Memory(message).settled(&bodies)).await
    }

    /// How much waits.
    pub async fn summary(&self) -> Result<QueueSummary> {
        self.read(look::summary).await
    }

    /// Looks at the queues as they are at this moment, whatever others change meanwhile. `work` must not wait for
    /// anybody: until it ends, no part of the write-ahead log can be used again.
    pub async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Queues<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.browse(|queues| queues.at_one_moment(work)).await
    }

    /// Looks at the queues as they change: each question, and each portion of what is told one by one, is of a moment
    /// of its own. `work` may wait, for somebody who reads what it prints.
    pub async fn browse<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Queues<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = self.inner.shared.clone();
        blocking(move || shared.with_reader(|db| work(&Queues { db, file: &shared.file, bodies: &shared.bodies })))
            .await
    }

    /// Returns when the writer has come around to an empty job; whether that went well is another matter.
    /// After its end there is no answer.
    pub async fn turn_over(&self) {
        if let Err(SpoolError::Closed) = self.change(|_, _| Ok(())).await {
            std::future::pending::<()>().await;
        }
    }

    /// Ready when the writer has failed: nothing can be taken or recorded any more.
    pub async fn broken(&self) {
        self.inner.shared.broken.notified().await;
    }

    /// Told after each commit, for one waiting loop, as [`Spool::arrivals_changed`].
    pub fn committed(&self) -> &Notify {
        &self.inner.shared.committed
    }

    /// The outgoing queue, for people; oldest first.
    pub async fn outgoing(&self) -> Result<Vec<QueuedOutgoing>> {
        self.read(queries::outgoing).await
    }

    /// The bounce event with this number.
    pub async fn bounce_event(&self, id: i64) -> Result<Option<BounceEvent>> {
        self.read(move |db| queries::one_bounce_event(db, id)).await
    }

    /// Writes a consistent copy (database and bodies) to a new or empty directory, while in use.
    /// Its contents put into an empty data directory are a working spool. `database_copied` is called when the copy
    /// can change no more: what follows, the bodies, takes most of the time.
    pub async fn backup(&self, directory: &Path, database_copied: impl FnOnce() + Send + 'static) -> Result<()> {
        let (shared, target) = (self.inner.shared.clone(), directory.to_owned());
        blocking(move || shared.with_reader(|db| backup::backup(db, &shared.bodies, &target, database_copied))).await
    }

    /// Told after a commit that adds arrivals to process. For one waiting loop; a notice that
    /// comes while nobody waits is kept for the next call of `notified()`.
    pub fn arrivals_changed(&self) -> &Notify {
        &self.inner.shared.arrivals_changed
    }

    /// Told after a commit that adds recipients to deliver to or changes when they are due. For
    /// one waiting loop, as [`Spool::arrivals_changed`].
    pub fn outgoing_changed(&self) -> &Notify {
        &self.inner.shared.outgoing_changed
    }

    /// Another process has changed the spool, on behalf of a person (it said so on the control
    /// socket): both loops look.
    pub fn wake(&self) {
        self.inner.shared.pressed.store(true, Ordering::Release);
        self.inner.shared.renewed.store(true, Ordering::Release);
        self.inner.shared.arrivals_changed.notify_one();
        self.inner.shared.outgoing_changed.notify_one();
    }

    /// Whether [`Spool::wake`] was called since this was asked last.
    pub fn is_pressed(&self) -> bool {
        self.inner.shared.pressed.swap(false, Ordering::AcqRel)
    }

    /// Whether arrivals older than those that were seen may be to be processed again, since this was asked last.
    pub fn has_renewed_arrivals(&self) -> bool {
        self.inner.shared.renewed.swap(false, Ordering::AcqRel)
    }

    /// How many transactions were committed since the spool was opened.
    pub fn commits(&self) -> u64 {
        self.inner.shared.commits.load(Ordering::Relaxed)
    }

    /// Finishes what is queued for the writer and ends it. Everything after that is
    /// [`SpoolError::Closed`].
    pub async fn close(&self) {
        let inner = self.inner.clone();
        // Only the end of the runtime could keep it from being done; then `Drop` does it.
        let _ = tokio::task::spawn_blocking(move || inner.end()).await;
    }

    /// Has the writer make a change and waits until it is committed.
    async fn change<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection, &mut Effects) -> rusqlite::Result<T> + Send + 'static,
    {
        self.ask_writer(work, false).await
    }

    /// The same for a change that is made once in some name. Old names are forgotten with it, now and then: all are
    /// read for that, and there is one for each recipient who was imported.
    async fn change_once<T, F>(&self, mut work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection, &mut Effects) -> rusqlite::Result<T> + Send + 'static,
    {
        let forget = self.inner.shared.is_time_to_forget();
        self.change(move |db, effects| {
            if forget {
                commands::forget_origins(db)?;
            }
            work(db, effects)
        })
        .await
    }

    /// The same for a change that nobody outside waits for: it goes with the next commit, or soon.
    async fn change_patiently<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection, &mut Effects) -> rusqlite::Result<T> + Send + 'static,
    {
        self.ask_writer(work, true).await
    }

    async fn ask_writer<T, F>(&self, work: F, patient: bool) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection, &mut Effects) -> rusqlite::Result<T> + Send + 'static,
    {
        let (job, answer) = Call::boxed(work, patient);
        self.inner.jobs.push(job)?;
        answer.await.unwrap_or(Err(SpoolError::Closed))
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = self.inner.shared.clone();
        blocking(move || shared.with_reader(|db| query(db).map_err(|error| shared.sqlite(&error)))).await
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("file", &self.inner.shared.file).finish_non_exhaustive()
    }
}

impl Inner {
    /// Waits for the writer's last commit.
    fn end(&self) {
        self.shared.closed.store(true, Ordering::Release);
        // The writer must be the last connection: only then does it leave no journal behind.
        locked(&self.shared.readers).clear();
        let turns = locked(&self.shared.turns).take();
        drop(turns);
        self.jobs.close();
        let thread = locked(&self.thread).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("{}: the writer's thread has panicked", self.shared.file.display());
        }
        if let Some(lock) = locked(&self.lock).take() {
            // Closing the file is not enough: a process that another thread is just starting has it too, for a moment.
            let _ = lock.unlock();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

/// Ends the reading side with the writer, however that ends.
struct CloseWhenDropped(Arc<Shared>, Arc<Jobs>);

impl Drop for CloseWhenDropped {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        locked(&self.0.turns).take();
        self.1.abandon();
        if std::thread::panicking() {
            self.0.broken.notify_one();
        }
        self.0.outgoing_changed.notify_one();
        self.0.arrivals_changed.notify_one();
    }
}

fn is_large(body: &Body) -> bool {
    matches!(body, Body::Memory(bytes) if bytes.len() > MAX_INLINE)
}

/// A panic elsewhere does not make what is behind the lock wrong: it is only ever replaced whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
