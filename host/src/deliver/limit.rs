//! How many recipients the MTA was seen to take in one transaction.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What was learned is tried anew after so long: the MTA's configuration may have changed.
const FORGET: Duration = Duration::from_hours(1);

/// The limit, shared by all connections.
#[derive(Debug, Default)]
pub(super) struct LearnedLimit {
    learned: Mutex<Option<(usize, Instant)>>,
}

impl LearnedLimit {
    /// The limit, if there is one.
    pub(super) fn current(&self) -> Option<usize> {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if learned.is_some_and(|(_, since)| since.elapsed() >= FORGET) {
            *learned = None;
        }
        learned.map(|(limit, _)| limit)
    }

    /// The server took so many and then no more.
    pub(super) fn learn(&self, limit: usize, server: &impl Display) {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if learned.is_none_or(|(known, _)| limit < known) {
            tracing::info!(
                %server, limit,
                "the mail server takes no more recipients in one transaction; set [mta] max_recipients to this"
            );
            *learned = Some((limit.max(1), Instant::now()));
        }
    }
}
