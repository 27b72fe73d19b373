//! Connections that wait for more mail.

use super::recorder::Commit;
use super::session::{OpenError, Session, Target};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Idle connections to one MTA; the one used last is used next, so that the others can end.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<(OpenSession, Instant)>>,
    /// Results of connections that have ended, on their way to the disk.
    orphans: Mutex<Vec<Commit>>,
    open: Arc<AtomicUsize>,
    keep: Duration,
}

/// A session that is counted as long as it lives.
#[derive(Debug)]
pub(super) struct OpenSession {
    session: Session,
    /// Results of what it sent last, on their way to the disk.
    unrecorded: Option<Commit>,
    _counted: Counted,
}

#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for OpenSession {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for OpenSession {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Pool {
    /// Keeps idle connections for so long.
    pub(super) fn new(keep: Duration) -> Self {
        Pool { idle: Mutex::default(), orphans: Mutex::default(), open: Arc::default(), keep }
    }

    /// An idle connection that is still alive, or a new one.
    pub(super) async fn take(&self, target: &Target) -> Result<OpenSession, OpenError> {
        loop {
            let Some((mut session, _)) = self.lock().pop() else { break };
            if session.is_alive() {
                return Ok(session);
            }
            self.orphaned(session.unrecorded());
        }
        // Else each connection that ends would leave room for one more with results that are not on disk.
        self.orphans_recorded().await;
        let session = Session::open(target).await?;
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(OpenSession { session, unrecorded: None, _counted: Counted(Arc::clone(&self.open)) })
    }

    /// Keeps a connection for the next mail; whoever takes it then waits for this commit before the one of its own.
    pub(super) fn give_back(&self, session: OpenSession, unrecorded: Option<Commit>) {
        self.lock().push((OpenSession { unrecorded, ..session }, Instant::now() + self.keep));
    }

    /// Waits for all results of connections that are idle.
    pub(super) async fn all_recorded(&self) {
        let unrecorded: Vec<Commit> = self.lock().iter_mut().filter_map(|(open, _)| open.unrecorded()).collect();
        for commit in unrecorded {
            self.orphaned(Some(commit));
        }
        self.orphans_recorded().await;
    }

    fn orphaned(&self, commit: Option<Commit>) {
        locked(&self.orphans).extend(commit.filter(|commit| !commit.is_finished()));
    }

    /// Waits for all of them. Whoever stops waiting leaves the rest to the next.
    async fn orphans_recorded(&self) {
        loop {
            let Some(commit) = locked(&self.orphans).pop() else { return };
            Waiting { pool: self, commit: Some(commit) }.end().await;
        }
    }

    /// Connections that are open, in use or idle.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// When the first idle connection is to be closed.
    pub(super) fn first_expiry(&self) -> Option<Instant> {
        self.lock().iter().map(|(_, at)| *at).min()
    }

    /// Takes out what has been idle for too long; the caller says goodbye.
    pub(super) fn expired(&self) -> Vec<Session> {
        let now = Instant::now();
        let expired: Vec<_> = self.lock().extract_if(.., |(_, at)| *at <= now).collect();
        expired.into_iter().map(|(open, _)| self.ended(open)).collect()
    }

    /// Takes out everything.
    pub(super) fn drain(&self) -> Vec<Session> {
        let all: Vec<_> = self.lock().drain(..).collect();
        all.into_iter().map(|(open, _)| self.ended(open)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(OpenSession, Instant)>> {
        locked(&self.idle)
    }

    fn ended(&self, mut open: OpenSession) -> Session {
        self.orphaned(open.unrecorded());
        open.into_inner()
    }
}

/// Somebody who waits for a commit.
struct Waiting<'p> {
    pool: &'p Pool,
    commit: Option<Commit>,
}

impl Waiting<'_> {
    async fn end(mut self) {
        if let Some(commit) = &mut self.commit {
            commit.recorded().await;
        }
        self.commit = None;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pool.orphaned(self.commit.take());
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OpenSession {
    /// What is still to be recorded of what it sent for somebody else.
    pub(super) fn unrecorded(&mut self) -> Option<Commit> {
        self.unrecorded.take()
    }

    /// The session, counted no more: it is about to be closed.
    pub(super) fn into_inner(self) -> Session {
        self.session
    }
}
