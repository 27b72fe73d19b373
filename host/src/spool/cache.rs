//! The octets of the messages that are being worked on: what was written a moment ago need not be read, and a thousand
//! batches of one post share them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many octets are kept; the latest message always is, however large.
const MAX_OCTETS: usize = 32 << 20;
/// So many messages are kept.
const MAX_MESSAGES: usize = 512;

#[derive(Debug, Default)]
pub(super) struct BodyCache {
    /// The one used last is at the back.
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    messages: VecDeque<(i64, Arc<[u8]>)>,
    octets: usize,
}

impl BodyCache {
    pub(super) fn find(&self, id: i64) -> Option<Arc<[u8]>> {
        let messages = &mut self.lock().messages;
        // The latest are asked for most.
        let at = messages.iter().rposition(|(one, _)| *one == id)?;
        let entry = messages.remove(at)?;
        let bytes = entry.1.clone();
        messages.push_back(entry);
        Some(bytes)
    }

    pub(super) fn keep(&self, id: i64, bytes: &Arc<[u8]>) {
        let mut kept = self.lock();
        kept.forget(id);
        kept.octets += bytes.len();
        kept.messages.push_back((id, bytes.clone()));
        while kept.messages.len() > 1 && (kept.octets > MAX_OCTETS || kept.messages.len() > MAX_MESSAGES) {
            kept.octets -= kept.messages.pop_front().map_or(0, |(_, bytes)| bytes.len());
        }
    }

    pub(super) fn forget(&self, ids: &[i64]) {
        if !ids.is_empty() {
            let mut kept = self.lock();
            for id in ids {
                kept.forget(*id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget(&mut self, id: i64) {
        if let Some(at) = self.messages.iter().position(|(one, _)| *one == id) {
            self.octets -= self.messages.remove(at).map_or(0, |(_, bytes)| bytes.len());
        }
    }
}
