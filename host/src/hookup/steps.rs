//! Lets tests stop the host after any single step of a publication.
//!
//! In the binary, the environment variable `POSTRIDER_ABORT_AT_HOOKUP_STEP=N` aborts the process
//! right after its Nth step. It exists for crash tests only.

use super::error::HookupError;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;

/// One thing that was just done to the disk or the MTA.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Counted from 1.
    pub number: u32,
    /// What was done.
    pub what: &'static str,
    /// To what.
    pub path: &'a Path,
}

/// Sees every step; [`ControlFlow::Break`] stops at once, leaving everything as it is on disk.
pub type Observer<'a> = &'a dyn Fn(Step<'_>) -> ControlFlow<()>;

pub(crate) struct Steps<'a> {
    observer: Option<Observer<'a>>,
    abort_at: Option<u32>,
    done: Cell<u32>,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(observer: Option<Observer<'a>>) -> Self {
        let abort_at = std::env::var("POSTRIDER_ABORT_AT_HOOKUP_STEP").ok().and_then(|number| number.parse().ok());
        Steps { observer, abort_at, done: Cell::new(0) }
    }

    /// Tells that a step was done.
    pub(crate) fn done(&self, what: &'static str, path: &Path) -> Result<(), HookupError> {
        let number = self.done.get() + 1;
        self.done.set(number);
        if self.abort_at == Some(number) {
            std::process::abort();
        }
        match self.observer {
            Some(observer) if observer(Step { number, what, path }).is_break() => Err(HookupError::Stopped),
            _ => Ok(()),
        }
    }
}
