//! How much room the file system of the spool has.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So long an answer of the file system is believed.
const VALID: Duration = Duration::from_secs(1);

/// Watches the free space of a directory's file system without asking it for every message.
#[derive(Debug)]
pub(super) struct SpaceWatch {
    directory: PathBuf,
    minimum: u64,
    last: Mutex<Option<(Instant, bool)>>,
}

impl SpaceWatch {
    pub(super) fn new(directory: &Path, minimum: u64) -> Self {
        SpaceWatch { directory: directory.to_owned(), minimum, last: Mutex::new(None) }
    }

    /// Whether less than the minimum is free. When the file system gives no answer, it is not.
    pub(super) fn is_short(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, short)) = *last
            && when.elapsed() < VALID
        {
            return short;
        }
        let short = free_octets(&self.directory).is_some_and(|free| free < self.minimum);
        *last = Some((Instant::now(), short));
        short
    }
}

/// Octets that a process without privileges may still write there.
pub(super) fn free_octets(path: &Path) -> Option<u64> {
    rustix::fs::statvfs(path).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}
