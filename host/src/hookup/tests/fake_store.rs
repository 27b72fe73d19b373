//! A store in memory.

use crate::clock::unix_now_ms;
use crate::hookup::generation::Source;
use crate::hookup::testing::{domain, list};
use crate::lists::{Domain, DomainName, ListAddress, RosterChange, Subject};
use crate::store::{Changes, Everything, Generation, Result, StoreError};
use std::sync::{Arc, Mutex, MutexGuard};

/// A store in memory.
#[derive(Clone)]
pub(super) struct FakeStore(Arc<Mutex<FakeLists>>);

pub(super) struct FakeLists {
    pub(super) generation: Generation,
    /// Of all generations, from the first one.
    ids: Vec<String>,
    changes: Vec<RosterChange>,
    /// When it was changed last, in Unix milliseconds.
    pub(super) changed: i64,
    lists: Vec<String>,
    /// How often all lists or domains were asked for.
    pub(super) tours: u32,
    /// It cannot be read.
    pub(super) broken: bool,
    /// A list that somebody makes just when all lists are asked for.
    pub(super) comes_between: Option<&'static str>,
}

impl Default for FakeStore {
    fn default() -> Self {
        let id = || format!("{:032x}", rand::random::<u128>());
        let generation = Generation { wanted: 0, applied: 0, id: id(), changed_before: 0 };
        let lists = FakeLists {
            ids: vec![generation.id.clone()],
            generation,
            changes: vec![],
            changed: 0,
            lists: vec![],
            tours: 0,
            broken: false,
            comes_between: None,
        };
        FakeStore(Arc::new(Mutex::new(lists)))
    }
}

impl FakeStore {
    pub(super) fn inner(&self) -> MutexGuard<'_, FakeLists> {
        self.0.lock().expect("store")
    }

    fn changed(&self, address: &str, added: bool) {
        let mut inner = self.inner();
        let id = format!("{:032x}", rand::random::<u128>());
        inner.changes.push(RosterChange { subject: Subject::List(list(address).address), alias: None, added });
        inner.ids.push(id.clone());
        let changed_before = std::mem::replace(&mut inner.changed, unix_now_ms());
        let Generation { wanted, applied, .. } = inner.generation;
        inner.generation = Generation { wanted: wanted + 1, applied, id, changed_before };
    }

    /// Makes a list.
    pub(super) fn create(&self, address: &str) {
        self.inner().lists.push(address.to_owned());
        self.changed(address, true);
    }

    /// Removes a list.
    pub(super) fn remove(&self, address: &str) {
        self.inner().lists.retain(|one| one != address);
        self.changed(address, false);
    }

    pub(super) fn applied(&self) -> i64 {
        self.inner().generation.applied
    }

    fn answer<T>(&self, answer: impl FnOnce(&mut FakeLists) -> T) -> Result<T> {
        let mut inner = self.inner();
        if inner.broken {
            return Err(StoreError::Database { file: "lists.db".into(), message: "disk I/O error".into() });
        }
        Ok(answer(&mut inner))
    }
}

impl Source for FakeStore {
    async fn generation(&self) -> Result<Generation> {
        Ok(self.inner().generation.clone())
    }
    async fn changes(&self, generation: &Generation) -> Result<Option<Changes>> {
        let (applied, wanted) = (generation.applied as usize, generation.wanted as usize);
        let change = |inner: &mut FakeLists| Changes {
            from: inner.ids[applied].clone(),
            changes: inner.changes[applied..wanted].to_vec(),
        };
        Ok(Some(change(&mut self.inner())))
    }
    async fn domains(&self) -> Result<Vec<Domain>> {
        self.answer(|inner| {
            inner.tours += 1;
            vec![domain("example.com", None)]
        })
    }
    async fn everything(&self) -> Result<Everything> {
        let between = self.inner().comes_between.take();
        if let Some(address) = between {
            self.create(address);
        }
        self.answer(|inner| {
            inner.tours += 1;
            let lists = inner.lists.iter().map(|address| list(address).address).collect();
            Everything { generation: inner.generation.id.clone(), domains: vec![domain("example.com", None)], lists }
        })
    }
    async fn has_list(&self, address: &ListAddress) -> Result<bool> {
        self.answer(|inner| inner.lists.contains(&address.to_string()))
    }
    async fn domains_routed_to(&self, routed: &DomainName) -> Result<Vec<Domain>> {
        self.answer(|inner| {
            let known = inner.lists.iter().any(|list| list.ends_with(&format!("@{routed}")));
            if known || routed.as_str() == "example.com" { vec![domain(routed.as_str(), None)] } else { vec![] }
        })
    }
    async fn mark_applied(&self, generation: i64) -> Result<()> {
        self.inner().generation.applied = generation;
        Ok(())
    }
}
