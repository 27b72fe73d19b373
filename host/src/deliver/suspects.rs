//! Recipients of whom, together with others, the plugin's process has died: each goes alone until the plugin has
//! survived it.

use crate::spool::FARTHEST_TRY;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Who was not tried for so long has left the queue: expired, or dropped by a person. Whoever is forgotten too early
/// costs one more death.
const KEPT: Duration = FARTHEST_TRY.saturating_mul(2);

/// By their numbers in the queue. Forgotten at the next start, which costs one more death too.
#[derive(Default)]
pub(super) struct Suspects {
    /// When each of them was tried last.
    tried: Mutex<HashMap<i64, Instant>>,
}

impl Suspects {
    /// It died of one of these.
    pub(super) fn add(&self, ids: impl Iterator<Item = i64>, now: Instant) {
        self.with(|tried| tried.extend(ids.map(|id| (id, now))));
    }

    /// It survived these.
    pub(super) fn acquit(&self, ids: impl Iterator<Item = i64>) {
        self.with(|tried| {
            if !tried.is_empty() {
                ids.for_each(|id| {
                    tried.remove(&id);
                });
            }
        });
    }

    /// Those of these, who are tried now, of whom it may die.
    pub(super) fn among(&self, ids: impl Iterator<Item = i64>, now: Instant) -> HashSet<i64> {
        self.with(|tried| {
            if tried.is_empty() {
                return HashSet::new();
            }
            let among = ids.filter(|id| tried.get_mut(id).map(|last| *last = now).is_some()).collect();
            tried.retain(|_, last| now.saturating_duration_since(*last) < KEPT);
            among
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<i64, Instant>) -> T) -> T {
        work(&mut self.tried.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_gone_from_the_queue_is_forgotten_and_who_is_tried_again_is_not() {
        let suspects = Suspects::default();
        let start = Instant::now();
        suspects.add([1, 2, 3].into_iter(), start);
        suspects.acquit([3, 4].into_iter());
        for tries in 1..10 {
            let now = start + FARTHEST_TRY * tries;
            assert_eq!(suspects.among([1, 3, 4].into_iter(), now), HashSet::from([1]), "{tries}");
            // 2 was dropped: it is not tried any more.
            let known = suspects.with(|tried| tried.contains_key(&2));
            assert_eq!(known, FARTHEST_TRY * tries < KEPT, "{tries}");
        }
        suspects.acquit([1].into_iter());
        assert!(suspects.with(|tried| tried.is_empty()));
    }
}
