//! What tests lend to adapters, where it is not what they are about.

use postrider::config::AdapterName;
use postrider_plugin_api::sdk::{
    Command, Error, Guard, HostLog, LogLevel, PlanSink, ProgramOutput, Result, Row, Table, Tools,
};
use std::sync::{Arc, Mutex, PoisonError};

/// The adapter of a plugin, as the configuration names it.
pub fn named(plugin: &str, adapter: &str) -> AdapterName {
    AdapterName::Named { plugin: plugin.to_owned(), adapter: adapter.to_owned() }
}

/// Keeps all lines, each with its level in front. A clone is the same log.
#[derive(Clone, Default)]
pub struct TestLog(Arc<Mutex<Vec<String>>>);

impl TestLog {
    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl HostLog for TestLog {
    fn log(&self, level: LogLevel, message: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{level:?} {message}"));
    }
}

/// A machine whose programs print their command line, and that has no files.
pub struct Echo;

impl Tools for Echo {
    fn run(&self, argv: &[&str], _: &str) -> Result<ProgramOutput> {
        Ok(ProgramOutput::new(0, argv.join(" "), ""))
    }

    fn read_file(&self, path: &str) -> Result<String> {
        Err(Error::failed(format!("{path}: not there")))
    }

    fn exists(&self, _: &str) -> bool {
        false
    }
}

/// Shows rows to a closure, which may refuse them; everything else of a plan is taken.
pub struct OnRows<F>(pub F);

impl<F: FnMut(&[Row<'_>]) -> Result<()>> PlanSink for OnRows<F> {
    fn table(&mut self, _: &Table) -> Result<()> {
        Ok(())
    }

    fn rows(&mut self, rows: &[Row<'_>]) -> Result<()> {
        (self.0)(rows)
    }

    fn absent(&mut self, _: &[&str]) -> Result<()> {
        Ok(())
    }

    fn guard(&mut self, _: &Guard) -> Result<()> {
        Ok(())
    }

    fn file(&mut self, _: &str, _: u32, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: &str) -> Result<()> {
        Ok(())
    }

    fn command(&mut self, _: &Command) -> Result<()> {
        Ok(())
    }
}
