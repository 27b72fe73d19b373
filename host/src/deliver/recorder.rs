//! Results on their way into the queue.
//!
//! While one group of results is being committed the connection goes on sending, and the next group
//! grows; it waits only when that is full before the last one is on disk. That bounds what a crash can
//! make us send twice: see the module's promise. The last commit of a job goes over to the next one on the same
//! connection, for which it is like one of its own.

use super::queue::DeliveryQueue;
use crate::spool::{DeliveryResult, SpoolError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// VERP: so many results are worth a commit.
const GROUP: usize = 20;
/// VERP: so many wait at most while others are being committed. More than a group, so that a disk that is slow for a
/// moment does not hold up the connection.
const MOST: usize = 50;
/// VERP: no result waits longer for its commit while others come, if transactions are slow.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// A commit under way.
#[derive(Debug)]
pub(super) struct Commit {
    task: JoinHandle<()>,
    /// Of transactions with one recipient each.
    pub(super) single: bool,
}

impl Commit {
    /// Returns when it is on disk. To be asked again only if it was dropped before.
    pub(super) async fn recorded(&mut self) {
        if let Err(error) = (&mut self.task).await {
            tracing::error!("results of a delivery were not recorded: {error}");
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

/// Collects the results of one job.
pub(super) struct Recorder<Q> {
    queue: Arc<Q>,
    outgoing: i64,
    results: Vec<(i64, DeliveryResult)>,
    since: Instant,
    /// The one under way.
    commit: Option<Commit>,
    /// Whether the last transaction had one recipient.
    single: bool,
    ending: watch::Receiver<bool>,
}

impl<Q: DeliveryQueue> Recorder<Q> {
    /// For one message.
    pub(super) fn new(queue: Arc<Q>, outgoing: i64, ending: watch::Receiver<bool>) -> Self {
        Recorder { queue, outgoing, results: Vec::new(), since: Instant::now(), commit: None, single: false, ending }
    }

    /// Adds a result.
    pub(super) fn push(&mut self, recipient: i64, result: DeliveryResult) {
        if self.results.is_empty() {
            self.since = Instant::now();
        }
        self.results.push((recipient, result));
    }

    /// Before each transaction. Else what a crash doubles could be a batch and, beside it, all singles that wait for a commit.
    pub(super) async fn begin(&mut self, single: bool) {
        if self.single && !single {
            self.flush().await;
        }
    }

    /// After each transaction: commits if there is enough. The results of one with several recipients do not wait;
    /// those of transactions with one (`single`) share a commit.
    pub(super) async fn checkpoint(&mut self, single: bool) {
        self.single = single;
        let (group, most) = if single { (GROUP, MOST) } else { (1, 1) };
        let enough = self.results.len() >= group || (!self.results.is_empty() && self.since.elapsed() >= LONGEST_WAIT);
        let busy = self.commit.as_ref().is_some_and(|commit| !commit.is_finished());
        if enough && (!busy || self.results.len() >= most) {
            self.commit().await;
        }
    }

    /// What the job before on this connection is committing still. What is of another kind than what follows is waited
    /// for: what a crash doubles is of one kind.
    pub(super) async fn take_over(&mut self, mut commit: Commit, single: bool) {
        if self.commit.is_some() || commit.single != single {
            commit.recorded().await;
        } else {
            self.commit = Some(commit);
        }
    }

    /// Commits everything; the commit that is under way then is left to the next job on this connection.
    pub(super) async fn hand_over(&mut self) -> Option<Commit> {
        if !self.results.is_empty() {
            self.commit().await;
        }
        self.commit.take()
    }

    /// Commits everything, and returns when it is on disk.
    pub(super) async fn finish(mut self) {
        self.flush().await;
    }

    /// The same, in between.
    pub(super) async fn flush(&mut self) {
        // Handed over before the last commit is awaited: whoever loses patience with us then loses no result.
        let rest = (!self.results.is_empty()).then(|| self.start());
        self.wait().await;
        if rest.is_some() {
            self.commit = rest;
            self.wait().await;
        }
    }

    async fn commit(&mut self) {
        self.wait().await;
        self.commit = Some(self.start());
    }

    /// Hands everything to the queue.
    fn start(&mut self) -> Commit {
        let results = std::mem::take(&mut self.results);
        // With VERP the connection goes on sending meanwhile; else it soon waits for this.
        let (queue, ending) = (Arc::clone(&self.queue), self.ending.clone());
        let task = tokio::spawn(persist(queue, self.outgoing, results, self.single, ending));
        Commit { task, single: self.single }
    }

    async fn wait(&mut self) {
        if let Some(mut commit) = self.commit.take() {
            commit.recorded().await;
        }
    }
}

/// Records, again and again if need be: what was delivered must not be sent again because a disk
/// is full for a while. Gives up only when the program ends (`ending`).
async fn persist<Q: DeliveryQueue>(
    queue: Arc<Q>,
    outgoing: i64,
    results: Vec<(i64, DeliveryResult)>,
    patient: bool,
    mut ending: watch::Receiver<bool>,
) {
    let mut pause = Duration::from_millis(500);
    loop {
        let Err(error) = queue.record(outgoing, results.clone(), patient).await else { return };
        if matches!(error, SpoolError::Closed) || *ending.borrow() {
            tracing::error!(
                outgoing,
                recipients = results.len(),
                "results of a delivery could not be recorded, so these recipients will get the message again: {error}"
            );
            return;
        }
        tracing::error!(outgoing, recipients = results.len(), "recording a delivery failed, trying again: {error}");
        let alone = matches!(tokio::time::timeout(pause, ending.wait_for(|end| *end)).await, Ok(Err(_)));
        // When the deliverer itself is gone, nobody tells us to stop: a plain sleep.
        if alone {
            tokio::time::sleep(pause).await;
        }
        pause = (pause * 2).min(Duration::from_secs(30));
    }
}
