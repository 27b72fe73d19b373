//! The octets of the messages that are being worked on, so that a thousand batches of one post
//! share them instead of reading them a thousand times.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// So many octets are kept; the latest message always is, however large.
const MAX_OCTETS: usize = 32 << 20;
/// So many messages are kept.
const MAX_MESSAGES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct BodyCache {
    /// The one used last is at the back.
    kept: Mutex<VecDeque<(i64, Arc<[u8]>)>>,
}

impl BodyCache {
    pub(super) fn find(&self, id: i64) -> Option<Arc<[u8]>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(one, _)| *one == id)?;
        let entry = kept.remove(at)?;
        let bytes = entry.1.clone();
        kept.push_back(entry);
        Some(bytes)
    }

    pub(super) fn keep(&self, id: i64, bytes: &Arc<[u8]>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(one, _)| *one != id);
        kept.push_back((id, bytes.clone()));
        let mut total: usize = kept.iter().map(|(_, bytes)| bytes.len()).sum();
        while kept.len() > 1 && (total > MAX_OCTETS || kept.len() > MAX_MESSAGES) {
            total -= kept.pop_front().map_or(0, |(_, bytes)| bytes.len());
        }
    }

    pub(super) fn forget(&self, ids: &[i64]) {
        if !ids.is_empty() {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).retain(|(one, _)| !ids.contains(one));
        }
    }
}
