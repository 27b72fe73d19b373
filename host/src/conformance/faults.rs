//! A host that fails in the middle of an answer.

use super::case::Subject;
use crate::hookup::collect::Collector;
use crate::hookup::roster::Roster as HostRoster;
use postrider_plugin_api::sdk::{
    Change, Command, DomainView, Error, ErrorKind, Guard, ListView, PlanSink, Result, Roster, Row, Table,
};
use std::cell::Cell;

/// By these words the error is known when it comes back.
pub(super) const WORDS: &str = "conformance: no space left on device";

/// Counts calls, and fails at one of them and ever after.
#[derive(Debug)]
pub(super) struct Fuse {
    at: u32,
    calls: Cell<u32>,
}

impl Fuse {
    /// Fails at this call, counted from 1; never if it is 0.
    pub(super) fn new(at: u32) -> Self {
        Fuse { at, calls: Cell::new(0) }
    }

    fn call(&self) -> Result<()> {
        self.calls.set(self.calls.get() + 1);
        if self.at > 0 && self.calls.get() >= self.at { Err(error()) } else { Ok(()) }
    }

    /// How many calls there were.
    pub(super) fn calls(&self) -> u32 {
        self.calls.get()
    }

    /// Whether it has failed.
    pub(super) fn blown(&self) -> bool {
        self.at > 0 && self.calls.get() >= self.at
    }
}

fn error() -> Error {
    Error::new(ErrorKind::Temporary, WORDS)
}

/// Lists that cannot be read to their end.
pub(super) struct Lists<'a> {
    pub(super) whole: &'a HostRoster,
    pub(super) fuse: Fuse,
}

impl Roster for Lists<'_> {
    fn for_each_domain(&self, visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
        self.whole.for_each_domain(&mut |domain| {
            self.fuse.call()?;
            visit(domain)
        })
    }

    fn for_each_list(&self, visit: &mut dyn FnMut(&ListView<'_>) -> Result<()>) -> Result<()> {
        self.whole.for_each_list(&mut |list| {
            self.fuse.call()?;
            visit(list)
        })
    }

    fn list_count(&self) -> u64 {
        self.whole.list_count()
    }

    fn list_id(&self, local: &str, domain: &str) -> Result<Option<String>> {
        self.fuse.call()?;
        self.whole.list_id(local, domain)
    }

    fn for_each_domain_routed_to(
        &self,
        routed: &str,
        visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>,
    ) -> Result<()> {
        self.fuse.call()?;
        self.whole.for_each_domain_routed_to(routed, visit)
    }
}

/// A plan that cannot be taken to its end.
pub(super) struct Sink {
    whole: Collector,
    pub(super) fuse: Fuse,
}

impl Sink {
    pub(super) fn new(subject: &Subject, change: &Change<'_>, fuse: Fuse) -> Self {
        Sink { whole: subject.collector(change), fuse }
    }
}

impl PlanSink for Sink {
    fn table(&mut self, table: &Table) -> Result<()> {
        self.fuse.call()?;
        self.whole.table(table)
    }

    fn rows(&mut self, rows: &[Row<'_>]) -> Result<()> {
        self.fuse.call()?;
        self.whole.rows(rows)
    }

    fn absent(&mut self, keys: &[&str]) -> Result<()> {
        self.fuse.call()?;
        self.whole.absent(keys)
    }

    fn guard(&mut self, guard: &Guard) -> Result<()> {
        self.fuse.call()?;
        self.whole.guard(guard)
    }

    fn file(&mut self, path: &str, mode: u32, contents: &[u8]) -> Result<()> {
        self.fuse.call()?;
        self.whole.file(path, mode, contents)
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        self.fuse.call()?;
        self.whole.remove(path)
    }

    fn command(&mut self, command: &Command) -> Result<()> {
        self.fuse.call()?;
        self.whole.command(command)
    }
}
