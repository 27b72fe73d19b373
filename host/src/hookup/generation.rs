//! Keeps the MTA's tables in step with the store.
//!
//! Every change of domains or lists raises the store's *wanted* generation; a publication that
//! succeeds raises the *applied* one. Creations that come together share one publication: who
//! gets the lock publishes everything that is wanted by then, and those who waited find their
//! generation applied.

use super::error::HookupError;
use super::front::{Hookup, Options};
use super::lock::Lock;
use super::report::Report;
use super::roster::Roster;
use crate::lists::{Domain, List, ListAddress, ListId};
use crate::store::{Generation, Result as StoreResult, Store};
use postrider_plugin_api::sdk::{Change, DomainView, ListView};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What happened to the lists, for adapters that can save work by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RosterChange {
    /// Anything.
    #[default]
    Everything,
    /// A list is new: its posting address, its list-id, its domain.
    ListAdded(ListAddress, ListId, Domain),
    /// A list is gone: its posting address, its list-id, its domain.
    ListRemoved(ListAddress, ListId, Domain),
    /// A domain is new.
    DomainAdded(Domain),
    /// A domain is gone.
    DomainRemoved(Domain),
}

/// What the caller wants beyond the ordinary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Compare (and repair) the tables even if the applied generation is the wanted one.
    pub always: bool,
    /// See [`Options::activated`].
    pub activated: bool,
}

/// What [`bring_up_to_date`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The tables were compared and, if need be, published. If [`Report::waiting`] is set, the
    /// generation is not applied.
    Done(Report),
    /// Another run had published the wanted generation.
    AlreadyApplied,
}

/// Publishes what the store wants, unless that has been done. Whoever drops the future while another
/// run is waited for ends the waiting; a publication that has begun goes on to its end.
pub async fn bring_up_to_date(
    store: &Store,
    hookup: Arc<Hookup>,
    change: RosterChange,
    wish: Wish,
) -> Result<Outcome, HookupError> {
    follow(store, hookup, change, wish).await
}

/// What is needed of the store.
pub(crate) trait Source: Sync {
    fn generation(&self) -> impl Future<Output = StoreResult<Generation>> + Send;
    fn domains(&self) -> impl Future<Output = StoreResult<Vec<Domain>>> + Send;
    fn lists(&self) -> impl Future<Output = StoreResult<Vec<List>>> + Send;
    fn mark_applied(&self, generation: i64) -> impl Future<Output = StoreResult<()>> + Send;
}

impl Source for Store {
    fn generation(&self) -> impl Future<Output = StoreResult<Generation>> + Send {
        Store::generation(self)
    }
    fn domains(&self) -> impl Future<Output = StoreResult<Vec<Domain>>> + Send {
        Store::domains(self)
    }
    fn lists(&self) -> impl Future<Output = StoreResult<Vec<List>>> + Send {
        Store::lists(self, None)
    }
    fn mark_applied(&self, generation: i64) -> impl Future<Output = StoreResult<()>> + Send {
        Store::mark_applied(self, generation)
    }
}

pub(crate) async fn follow(
    store: &impl Source,
    hookup: Arc<Hookup>,
    change: RosterChange,
    wish: Wish,
) -> Result<Outcome, HookupError> {
    let must = |generation: &Generation| wish.always || wish.activated || generation.applied < generation.wanted;
    if !must(&store.generation().await?) {
        return Ok(Outcome::AlreadyApplied);
    }
    let lock = {
        let hookup = Arc::clone(&hookup);
        let waiting = GivesUp::default();
        let given_up = Arc::clone(&waiting.0);
        blocking(move || hookup.lock_unless(&given_up)).await?
    };
    // The generation before the lists: lists that come in between are published early, which does no
    // harm; the other way round they could be taken for published.
    let generation = store.generation().await?;
    if !must(&generation) {
        return Ok(Outcome::AlreadyApplied);
    }
    // A single change describes the difference only if it is the only one.
    let change = if generation.wanted == generation.applied + 1 { change } else { RosterChange::Everything };
    let roster = Roster::new(store.domains().await?, store.lists().await?);
    let options = move || Options { activated: wish.activated, observer: None };
    let (report, _lock): (Report, Lock) = blocking(move || {
        let report = hookup.apply_locked(&lock, &roster, change.view(), options())?;
        Ok((report, lock))
    })
    .await?;
    if report.waiting.is_none() {
        store.mark_applied(generation.wanted).await?;
    }
    Ok(Outcome::Done(report))
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

impl RosterChange {
    fn view(&self) -> Change<'_> {
        fn domain(domain: &Domain) -> DomainView<'_> {
            DomainView { name: domain.name.as_str(), alias: domain.alias.as_ref().map_or("", |alias| alias.as_str()) }
        }
        fn list<'a>(address: &'a ListAddress, list_id: &'a ListId, of: &'a Domain) -> ListView<'a> {
            ListView { local: address.name.as_str(), domain: domain(of), list_id: list_id.as_str() }
        }
        match self {
            RosterChange::Everything => Change::Everything,
            RosterChange::ListAdded(address, list_id, of) => Change::ListAdded(list(address, list_id, of)),
            RosterChange::ListRemoved(address, list_id, of) => Change::ListRemoved(list(address, list_id, of)),
            RosterChange::DomainAdded(one) => Change::DomainAdded(domain(one)),
            RosterChange::DomainRemoved(one) => Change::DomainRemoved(domain(one)),
        }
    }
}
