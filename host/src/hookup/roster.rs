//! The lists and domains, as adapters see them.
//!
//! A roster of the [`Store`] asks it only for what an adapter wants to know: of one list or domain by index, of
//! all of them, or of all domains alone, once, when it is first wanted. So what a plan of a single change costs does
//! not depend on how many lists there are, also if it tours the domains. Whoever wants answers of one moment loads all
//! of them first ([`Roster::load`]).

use super::generation::Source;
use crate::lists::{Domain, DomainName, List, ListAddress, ListId, ListName, RosterChange, Subject};
use crate::store::{Everything, Generation, Result as StoreResult, Store};
use postrider_plugin_api::sdk::{self, Change, DomainView, ListView};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::runtime::Handle;

/// The domains and lists. A clone is the same roster. To be used on threads that may block.
#[derive(Clone)]
pub struct Roster(Arc<Inner>);

struct Inner {
    /// Where to ask; nowhere if all is loaded.
    source: Option<Box<dyn Questions>>,
    all: Mutex<Option<Arc<All>>>,
    /// The generation, by its id, of which all were loaded.
    loaded: OnceLock<String>,
    /// The domains, as long as the lists are not wanted.
    domains: Mutex<Option<Arc<Domains>>>,
    /// Why an answer is missing or wrong: the first failure.
    failure: OnceLock<sdk::Error>,
}

/// What an adapter may ask the store.
trait Questions: Send + Sync {
    fn generation(&self) -> sdk::Result<Generation>;
    fn all(&self) -> sdk::Result<Everything>;
    fn domains(&self) -> sdk::Result<Vec<Domain>>;
    fn has_list(&self, address: &ListAddress) -> sdk::Result<bool>;
    fn domains_routed_to(&self, routed: &DomainName) -> sdk::Result<Vec<Domain>>;
}

/// Asks a store from threads that are not the runtime's.
struct Blocking<S> {
    store: S,
    runtime: Handle,
}

impl<S: Source> Questions for Blocking<S> {
    fn generation(&self) -> sdk::Result<Generation> {
        self.wait(self.store.generation())
    }

    fn all(&self) -> sdk::Result<Everything> {
        self.wait(self.store.everything())
    }

    fn domains(&self) -> sdk::Result<Vec<Domain>> {
        self.wait(self.store.domains())
    }

    fn has_list(&self, address: &ListAddress) -> sdk::Result<bool> {
        self.wait(self.store.has_list(address))
    }

    fn domains_routed_to(&self, routed: &DomainName) -> sdk::Result<Vec<Domain>> {
        self.wait(self.store.domains_routed_to(routed))
    }
}

impl<S> Blocking<S> {
    fn wait<T>(&self, answer: impl Future<Output = StoreResult<T>>) -> sdk::Result<T> {
        // It panics when the runtime has been shut down, and no panic may pass through a plugin.
        match catch_unwind(AssertUnwindSafe(|| self.runtime.block_on(answer))) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(temporary(format!("the lists cannot be read: {error}"))),
            Err(_) => Err(temporary("the lists cannot be read, because Postrider ends".to_owned())),
        }
    }
}

fn temporary(message: String) -> sdk::Error {
    sdk::Error::new(sdk::ErrorKind::Temporary, message)
}

/// Names and aliases, sorted by name.
type Domains = Vec<(DomainName, Option<DomainName>)>;

/// All domains and lists of one moment, sorted as [`sdk::Roster`] promises. Holds only what adapters see.
#[derive(Debug)]
struct All {
    domains: Domains,
    lists: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Index of `All::domains`.
    domain: u32,
    local: ListName,
    list_id: ListId,
}

impl Roster {
    /// From all domains and lists, in any order. A domain that is missing but has lists is there
    /// without an alias.
    pub fn new(domains: Vec<Domain>, lists: Vec<List>) -> Self {
        let addresses = lists.into_iter().map(|list| list.address).collect();
        Roster::with(None, Some(Arc::new(All::new(domains, addresses))))
    }

    /// Asks the store when something is wanted. To be called in a Tokio runtime, which must go on until the
    /// last answer.
    pub fn of(store: Store) -> Self {
        Roster::asking(store)
    }

    pub(crate) fn asking(store: impl Source) -> Self {
        Roster::with(Some(Box::new(Blocking { store, runtime: Handle::current() })), None)
    }

    fn with(source: Option<Box<dyn Questions>>, all: Option<Arc<All>>) -> Self {
        let (loaded, domains, failure) = Default::default();
        Roster(Arc::new(Inner { source, all: Mutex::new(all), loaded, domains, failure }))
    }

    /// # Errors
    /// The first question that could not be answered, also if the adapter went on without an answer.
    pub(crate) fn whole_answers(&self) -> sdk::Result<()> {
        self.0.failure.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// The generation that is wanted now: what was asked until now may be as new as that. `None`: nobody changes it.
    pub(crate) fn wanted_now(&self) -> sdk::Result<Option<i64>> {
        let now = self.0.source.as_ref().map(|source| source.generation()).transpose()?;
        Ok(now.map(|now| now.wanted))
    }

    /// From now on all answers are of one moment.
    pub(crate) fn load(&self) -> sdk::Result<()> {
        self.all().map(drop)
    }

    /// Whether all were loaded, and of another generation than this one: answers before that may not fit those after.
    pub(crate) fn was_loaded_after(&self, generation: &Generation) -> bool {
        self.0.loaded.get().is_some_and(|loaded| *loaded != generation.id)
    }

    /// All of them, loaded if they are not yet.
    fn all(&self) -> sdk::Result<Arc<All>> {
        let mut kept = self.0.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = &*kept {
            return Ok(Arc::clone(all));
        }
        let all = match &self.0.source {
            Some(source) => {
                let Everything { generation, domains, lists } = self.ask(source.all())?;
                let _ = self.0.loaded.set(generation);
                All::new(domains, lists)
            }
            None => All::new(Vec::new(), Vec::new()),
        };
        Ok(Arc::clone(kept.insert(Arc::new(all))))
    }

    /// All domains and no lists, loaded if they are not yet.
    fn domains(&self, source: &dyn Questions) -> sdk::Result<Arc<Domains>> {
        let mut kept = self.0.domains.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(domains) = &*kept {
            return Ok(Arc::clone(domains));
        }
        let domains = self.ask(source.domains())?;
        Ok(Arc::clone(kept.insert(Arc::new(All::new(domains, Vec::new()).domains))))
    }

    /// Where to ask, as long as not all is loaded.
    fn source(&self) -> Option<&dyn Questions> {
        let loaded = self.0.all.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        self.0.source.as_deref().filter(|_| !loaded)
    }

    fn ask<T>(&self, answer: sdk::Result<T>) -> sdk::Result<T> {
        if let Err(error) = &answer {
            let _ = self.0.failure.set(error.clone()); // the first one stays
        }
        answer
    }
}

impl Default for Roster {
    fn default() -> Self {
        Roster::new(Vec::new(), Vec::new())
    }
}

impl std::fmt::Debug for Roster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roster").field("all", &self.0.all).finish_non_exhaustive()
    }
}

impl All {
    fn new(domains: Vec<Domain>, lists: Vec<ListAddress>) -> Self {
        let mut all: BTreeMap<DomainName, Option<DomainName>> =
            domains.into_iter().map(|domain| (domain.name, domain.alias)).collect();
        for list in &lists {
            if !all.contains_key(&list.domain) {
                all.insert(list.domain.clone(), None);
            }
        }
        let domains: Vec<_> = all.into_iter().collect();
        let mut lists: Vec<Entry> = lists
            .into_iter()
            .filter_map(|list| {
                let domain = domains.binary_search_by(|(name, _)| name.cmp(&list.domain)).ok()?;
                Some(Entry { domain: domain as u32, list_id: list.list_id(), local: list.name })
            })
            .collect();
        // Domains are sorted, so their numbers sort like their names.
        lists.sort_by(|a, b| (a.domain, &a.local).cmp(&(b.domain, &b.local)));
        All { domains, lists }
    }

    fn domain_view(&self, number: u32) -> DomainView<'_> {
        view(&self.domains[number as usize])
    }

    fn list_id(&self, local: &str, domain: &str) -> Option<String> {
        let domain = self.domains.binary_search_by(|(name, _)| name.as_str().cmp(domain)).ok()?;
        let found = self.lists.binary_search_by(|list| (list.domain, list.local.as_str()).cmp(&(domain as u32, local)));
        Some(self.lists[found.ok()?].list_id.as_str().to_owned())
    }
}

fn view((name, alias): &(DomainName, Option<DomainName>)) -> DomainView<'_> {
    DomainView::new(name.as_str(), alias.as_ref().map_or("", DomainName::as_str))
}

/// The address, if it is one and written as ours are.
fn posting_address(local: &str, domain: &str) -> Option<ListAddress> {
    let address = ListAddress::parse(&format!("{local}@{domain}")).ok()?;
    Some(address).filter(|address| address.name.as_str() == local && address.domain.as_str() == domain)
}

impl sdk::Roster for Roster {
    fn for_each_domain(&self, visit: &mut dyn FnMut(&DomainView<'_>) -> sdk::Result<()>) -> sdk::Result<()> {
        let tour = |domains: &Domains, visit: &mut dyn FnMut(&DomainView<'_>) -> sdk::Result<()>| {
            domains.iter().try_for_each(|domain| visit(&view(domain)))
        };
        match self.source() {
            Some(source) => tour(&*self.domains(source)?, visit),
            None => tour(&self.all()?.domains, visit),
        }
    }

    fn for_each_list(&self, visit: &mut dyn FnMut(&ListView<'_>) -> sdk::Result<()>) -> sdk::Result<()> {
        let all = self.all()?;
        all.lists.iter().try_for_each(|list| {
            visit(&ListView::new(list.local.as_str(), all.domain_view(list.domain), list.list_id.as_str()))
        })
    }

    fn list_count(&self) -> u64 {
        // A failure is told when the adapter has answered.
        self.all().map_or(0, |all| all.lists.len() as u64)
    }

    fn list_id(&self, local: &str, domain: &str) -> sdk::Result<Option<String>> {
        let Some(source) = self.source() else { return Ok(self.all()?.list_id(local, domain)) };
        let Some(address) = posting_address(local, domain) else { return Ok(None) };
        let found = self.ask(source.has_list(&address))?;
        Ok(found.then(|| address.list_id().as_str().to_owned()))
    }

    fn for_each_domain_routed_to(
        &self,
        routed: &str,
        visit: &mut dyn FnMut(&DomainView<'_>) -> sdk::Result<()>,
    ) -> sdk::Result<()> {
        let Some(source) = self.source() else {
            return self.for_each_domain(&mut |domain| if domain.routed() == routed { visit(domain) } else { Ok(()) });
        };
        let Some(name) = DomainName::parse(routed).ok().filter(|name| name.as_str() == routed) else { return Ok(()) };
        let domains = self.ask(source.domains_routed_to(&name))?;
        domains.iter().try_for_each(|domain| {
            visit(&DomainView::new(domain.name.as_str(), domain.alias.as_ref().map_or("", DomainName::as_str)))
        })
    }
}

/// A [`Change`] that can be sent to another thread.
#[derive(Debug)]
pub(crate) enum OwnedChange {
    Everything,
    List { added: bool, local: String, domain: OwnedDomain, list_id: String },
    Domain { added: bool, domain: OwnedDomain },
}

#[derive(Debug)]
pub(crate) struct OwnedDomain {
    name: String,
    alias: String,
}

impl From<Change<'_>> for OwnedChange {
    fn from(change: Change<'_>) -> Self {
        let domain = |view: DomainView<'_>| OwnedDomain { name: view.name.to_owned(), alias: view.alias.to_owned() };
        let list = |added, view: ListView<'_>| OwnedChange::List {
            added,
            local: view.local.to_owned(),
            domain: domain(view.domain),
            list_id: view.list_id.to_owned(),
        };
        match change {
            Change::ListAdded(view) => list(true, view),
            Change::ListRemoved(view) => list(false, view),
            Change::DomainAdded(view) => OwnedChange::Domain { added: true, domain: domain(view) },
            Change::DomainRemoved(view) => OwnedChange::Domain { added: false, domain: domain(view) },
            _ => OwnedChange::Everything, // which is always true
        }
    }
}

impl From<&RosterChange> for OwnedChange {
    fn from(change: &RosterChange) -> Self {
        let domain = |name: &DomainName| OwnedDomain {
            name: name.to_string(),
            alias: change.alias.as_ref().map(DomainName::to_string).unwrap_or_default(),
        };
        let added = change.added;
        match &change.subject {
            Subject::List(address) => OwnedChange::List {
                added,
                local: address.name.to_string(),
                domain: domain(&address.domain),
                list_id: address.list_id().to_string(),
            },
            Subject::Domain(name) => OwnedChange::Domain { added, domain: domain(name) },
        }
    }
}

impl OwnedChange {
    pub(crate) fn view(&self) -> Change<'_> {
        match self {
            OwnedChange::Everything => Change::Everything,
            OwnedChange::List { added, local, domain, list_id } => {
                let view = ListView::new(local, domain.view(), list_id);
                if *added { Change::ListAdded(view) } else { Change::ListRemoved(view) }
            }
            OwnedChange::Domain { added: true, domain } => Change::DomainAdded(domain.view()),
            OwnedChange::Domain { added: false, domain } => Change::DomainRemoved(domain.view()),
        }
    }
}

impl OwnedDomain {
    fn view(&self) -> DomainView<'_> {
        DomainView::new(&self.name, &self.alias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hookup::testing::{domain, list};
    use sdk::Roster as _;

    #[test]
    fn domains_and_lists_come_sorted_whatever_the_store_said() {
        let roster = Roster::new(
            vec![domain("b.example", None), domain("a.example", Some("alias.example"))],
            vec![list("zebras@a.example"), list("ants@b.example"), list("ants-2@a.example"), list("ants@a.example")],
        );
        let mut seen = Vec::new();
        roster
            .for_each_list(&mut |list| {
                seen.push(format!("{}@{} {} {}", list.local, list.domain.name, list.domain.routed(), list.list_id));
                Ok(())
            })
            .expect("no error");
        assert_eq!(
            seen,
            [
                "ants@a.example alias.example ants.a.example",
                "ants-2@a.example alias.example ants-2.a.example",
                "zebras@a.example alias.example zebras.a.example",
                "ants@b.example b.example ants.b.example",
            ]
        );
        let mut domains = Vec::new();
        roster
            .for_each_domain(&mut |domain| {
                domains.push(domain.name.to_owned());
                Ok(())
            })
            .expect("no error");
        assert_eq!(domains, ["a.example", "b.example"]);
    }

    #[test]
    fn only_posting_addresses_are_lists() {
        let roster = Roster::new(vec![domain("a.example", Some("alias.example"))], vec![list("ants@a.example")]);
        assert_eq!(roster.is_list("ants", "a.example"), Ok(true));
        assert_eq!(roster.is_list("ants-request", "a.example"), Ok(false));
        assert_eq!(roster.is_list("ants", "alias.example"), Ok(false));
        assert_eq!(roster.is_list("ants", "b.example"), Ok(false));
    }

    #[test]
    fn the_first_error_of_a_visitor_ends_the_tour() {
        let roster = Roster::new(vec![], vec![list("a@a.example"), list("b@a.example")]);
        let mut visits = 0;
        let result = roster.for_each_list(&mut |_| {
            visits += 1;
            Err(sdk::Error::failed("enough"))
        });
        assert_eq!((visits, result.expect_err("passed on").message.as_str()), (1, "enough"));
    }
}
