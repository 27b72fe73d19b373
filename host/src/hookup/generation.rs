//! Keeps the MTA's tables in step with the store.
//!
//! Every change of domains or lists raises the store's *wanted* generation; a publication that
//! succeeds raises the *applied* one. Creations that come together share one publication: who
//! gets the lock publishes everything that is wanted by then, and those who waited find their
//! generation applied.

use super::error::HookupError;
use super::front::{Hookup, Next, Options};
use super::lock::Lock;
use super::report::{ByHand, Report};
use super::roster::Roster;
use super::signals::Uninterrupted;
use crate::clock::unix_now_ms;
use crate::lists::{Domain, DomainName, ListAddress, RosterChange};
use crate::store::{Changes, Everything, Generation, Result as StoreResult, Store};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Changes that come so shortly after each other share one publication, if it costs the more the more lists
/// there are.
const BURST: Duration = Duration::from_millis(200);

/// What the caller wants beyond the ordinary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Compare (and repair) the tables even if the applied generation is the wanted one.
    pub always: bool,
    /// See [`Options::activated`].
    pub activated: bool,
    /// The caller has made a change after this generation was wanted, and wants to know what is left by hand for it.
    pub made_after: Option<i64>,
}

/// What [`bring_up_to_date`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The tables were compared and, if need be, published. If [`Report::waiting`] is set, the
    /// generation is not applied.
    Done(Report),
    /// Another run had published the wanted generation; it left these commands to the administrator.
    AlreadyApplied(Vec<ByHand>),
}

/// Publishes what the store wants, unless that has been done and nobody was killed meanwhile. Whoever drops the future while another
/// run is waited for ends the waiting; a publication that has begun goes on to its end.
pub async fn bring_up_to_date(store: &Store, hookup: Arc<Hookup>, wish: Wish) -> Result<Outcome, HookupError> {
    follow(store, hookup, wish).await
}

/// What is needed of the store.
pub(crate) trait Source: Clone + Send + Sync + 'static {
    fn generation(&self) -> impl Future<Output = StoreResult<Generation>> + Send;
    fn changes(&self, generation: &Generation) -> impl Future<Output = StoreResult<Option<Changes>>> + Send;
    fn domains(&self) -> impl Future<Output = StoreResult<Vec<Domain>>> + Send;
    fn everything(&self) -> impl Future<Output = StoreResult<Everything>> + Send;
    fn has_list(&self, address: &ListAddress) -> impl Future<Output = StoreResult<bool>> + Send;
    fn domains_routed_to(&self, routed: &DomainName) -> impl Future<Output = StoreResult<Vec<Domain>>> + Send;
    fn mark_applied(&self, generation: i64) -> impl Future<Output = StoreResult<()>> + Send;
}

impl Source for Store {
    fn generation(&self) -> impl Future<Output = StoreResult<Generation>> + Send {
        Store::generation(self)
    }
    fn changes(&self, generation: &Generation) -> impl Future<Output = StoreResult<Option<Changes>>> + Send {
        Store::changes(self, generation)
    }
    fn domains(&self) -> impl Future<Output = StoreResult<Vec<Domain>>> + Send {
        Store::domains(self)
    }
    fn everything(&self) -> impl Future<Output = StoreResult<Everything>> + Send {
        Store::everything(self)
    }
    fn has_list(&self, address: &ListAddress) -> impl Future<Output = StoreResult<bool>> + Send {
        Store::has_list(self, address)
    }
    fn domains_routed_to(&self, routed: &DomainName) -> impl Future<Output = StoreResult<Vec<Domain>>> + Send {
        Store::domains_routed_to(self, routed)
    }
    fn mark_applied(&self, generation: i64) -> impl Future<Output = StoreResult<()>> + Send {
        Store::mark_applied(self, generation)
    }
}

pub(crate) async fn follow(store: &impl Source, hookup: Arc<Hookup>, wish: Wish) -> Result<Outcome, HookupError> {
    // A run of `aliases` that was killed leaves a generation that is applied, and tables that are not whole. Without
    // the lock we cannot tell one that was killed from one that is at work; so all of this is asked twice.
    let must = |generation: &Generation| {
        wish.always || wish.activated || generation.applied < generation.wanted || hookup.was_interrupted()
    };
    let asked_for = store.generation().await?;
    let before = wish.made_after.unwrap_or(asked_for.wanted - 1);
    let applied = || Ok(Outcome::AlreadyApplied(hookup.left_by_hand(before, asked_for.wanted)?));
    if !must(&asked_for) {
        return applied();
    }
    let mut lock = {
        let hookup = Arc::clone(&hookup);
        let waiting = GivesUp::default();
        let given_up = Arc::clone(&waiting.0);
        blocking(move || hookup.lock_unless(&given_up)).await?
    };
    let mut waited = false;
    loop {
        // The generation before the lists: lists that come in between are published early, which does no
        // harm (what it left by hand is told to those who made them, too); the other way round they could be taken for
        // published.
        let generation = store.generation().await?;
        if !must(&generation) {
            return applied();
        }
        let changes = if wish.always || wish.activated { None } else { store.changes(&generation).await? };
        let run = Run { hookup: Arc::clone(&hookup), changes, roster: Roster::asking(store.clone()) };
        let (wanted, may_wait) = (generation.wanted, !waited && generation.applied < generation.wanted);
        let (ended, held) = blocking(move || Ok((run.publish(&lock, &generation, wish, may_wait)?, lock))).await?;
        lock = held;
        match ended {
            Ended::Done(report, _through) => {
                if report.waiting.is_none() {
                    store.mark_applied(wanted).await?;
                }
                return Ok(Outcome::Done(report));
            }
            Ended::MoreMayCome(rest) => tokio::time::sleep(rest).await,
        }
        waited = true;
    }
}

/// One attempt, on a thread that may block.
struct Run {
    hookup: Arc<Hookup>,
    /// What leads to the wanted generation; `None`: all is compared.
    changes: Option<Changes>,
    roster: Roster,
}

enum Ended {
    /// No signal ends us before what was done is noted.
    Done(Report, Uninterrupted),
    /// After this time, what comes until then can share the work.
    MoreMayCome(Duration),
}

impl Run {
    fn publish(&self, lock: &Lock, generation: &Generation, wish: Wish, may_wait: bool) -> Result<Ended, HookupError> {
        let changes = self.changes_of_what_is_published()?;
        let rest = || if may_wait { rest_of_burst(generation.changed_before, unix_now_ms()) } else { Duration::ZERO };
        let quick = !rest().is_zero();
        let next = self.hookup.plan_changes(lock, &self.roster, changes, quick)?;
        let next = next.filter(|_| !self.roster.was_loaded_after(generation));
        let rest = rest();
        if !rest.is_zero() && next.as_ref().is_none_or(Next::is_whole) {
            return Ok(Ended::MoreMayCome(rest));
        }
        let next = next.map_or_else(|| self.hookup.plan_all(lock, &self.roster), Ok)?;
        let seen = self.roster.wanted_now().map_err(HookupError::lists)?;
        let through = Uninterrupted::begin();
        let until = seen.unwrap_or(generation.wanted);
        let noting = |left: &[ByHand]| self.hookup.note_published(generation, until, left, wish.activated);
        let options = Options { activated: wish.activated, noting: Some(&noting), observer: None };
        let mut report = self.hookup.carry_out(lock, &next, options)?;
        // Our change may have been published by another run while we waited for it, or while it looked at the lists; and
        // one that was killed after its note may have told nobody.
        if !wish.activated {
            let before = wish.made_after.unwrap_or(generation.applied).min(generation.applied);
            report.add_by_hand(self.hookup.left_by_hand(before, generation.wanted)?);
        }
        #[cfg(test)]
        self.hookup.stop_once_carried_out()?;
        Ok(Ended::Done(report, through))
    }

    /// The changes if they begin where the tables are; else none, and all is compared.
    fn changes_of_what_is_published(&self) -> Result<&[RosterChange], HookupError> {
        match &self.changes {
            Some(changes) if self.hookup.has_published(&changes.from)? => Ok(&changes.changes),
            _ => Ok(&[]),
        }
    }
}

/// How long changes are waited for that come shortly after the last but one. One that comes alone waits for nothing.
pub(super) fn rest_of_burst(changed_before: i64, now: i64) -> Duration {
    let since = u64::try_from(now - changed_before).map_or(BURST, Duration::from_millis); // the clock was set back
    BURST.saturating_sub(since)
}

/// Tells a thread when the future that waits for it is dropped.
#[derive(Default)]
struct GivesUp(Arc<AtomicBool>);

impl Drop for GivesUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HookupError> + Send + 'static,
) -> Result<T, HookupError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| HookupError::Died(error.to_string()))?
}
