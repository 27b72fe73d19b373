//! Jobs on their way to the writer.
//!
//! Unlike a channel this wakes the writer when there is what it waits for, and not for each job: ten sessions that come
//! back one after the other cost it one change of threads.

use super::pace::Pace;
use super::writer::Job;
use super::{Result, SpoolError, locked};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Most jobs of one commit.
pub(super) const MAX_GROUP: usize = 1000;

#[derive(Default)]
pub(super) struct Jobs {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    /// For how many of them somebody waits.
    awaited: usize,
    /// The writer sleeps until there are so many for which somebody waits. The first of all, and the first of these,
    /// wake it as well: they change for how long it waits.
    enough: Option<usize>,
    closed: bool,
}

impl Waiting {
    /// Whether the writer is to be woken.
    fn add(&mut self, job: Box<dyn Job>) -> bool {
        let awaited = !job.is_patient();
        self.awaited += usize::from(awaited);
        self.jobs.push_back(job);
        let wake = self.enough.is_some_and(|enough| {
            let changes_the_wait = self.jobs.len() == 1 || (awaited && self.awaited == 1);
            changes_the_wait || (awaited && self.awaited >= enough) || self.jobs.len() >= MAX_GROUP
        });
        if wake {
            self.enough = None;
        }
        wake
    }
}

impl Jobs {
    /// Takes a job.
    ///
    /// # Errors
    /// [`SpoolError::Closed`].
    pub(super) fn push(&self, job: Box<dyn Job>) -> Result<()> {
        let mut waiting = locked(&self.waiting);
        if waiting.closed {
            return Err(SpoolError::Closed);
        }
        if waiting.add(job) {
            drop(waiting);
            self.changed.notify_one();
        }
        Ok(())
    }

    /// No more are taken; what waits is still done.
    pub(super) fn close(&self) {
        locked(&self.waiting).closed = true;
        self.changed.notify_one();
    }

    /// Nobody will do them any more: whoever waits is told.
    pub(super) fn abandon(&self) {
        self.close();
        let left = std::mem::take(&mut locked(&self.waiting).jobs);
        drop(left);
    }

    /// What waits, and what is worth waiting for; how many of these somebody waits for. `None`: it was closed, and all is
    /// done.
    pub(super) fn next_group(&self, pace: &Pace) -> Option<(Vec<Box<dyn Job>>, usize)> {
        let mut waiting = locked(&self.waiting);
        while waiting.jobs.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting.enough = Some(1);
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.enough = None;
        }
        let begun = Instant::now();
        while waiting.jobs.len() < MAX_GROUP && !waiting.closed {
            // A wait of no length would still be a call of the system.
            let left = pace.wait(waiting.awaited).saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            waiting.enough = Some(pace.company());
            waiting = self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
            waiting.enough = None;
        }
        let count = waiting.jobs.len().min(MAX_GROUP);
        let group: Vec<_> = waiting.jobs.drain(..count).collect();
        let awaited = group.iter().filter(|job| !job.is_patient()).count();
        waiting.awaited -= awaited;
        Some((group, awaited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::writer::Call;

    fn job(patient: bool) -> Box<dyn Job> {
        Call::boxed(|_, _| Ok(()), patient).0
    }

    #[test]
    fn the_writer_is_woken_by_what_it_waits_for_and_not_by_each_job() {
        let mut waiting = Waiting::default();
        assert!(!waiting.add(job(true)), "it does not sleep");
        waiting.jobs.clear();
        let mut add = |patient| {
            waiting.enough.get_or_insert(3);
            waiting.add(job(patient))
        };
        let woken = [true, true, false, true, false, false, true, false, true].map(&mut add);
        assert_eq!(
            woken,
            [true, false, true, false, false, true, false, true, false],
            "by the first, by the first that somebody waits for, and from the third of these on"
        );
    }

    #[test]
    fn as_many_as_a_commit_takes_wake_it_too() {
        let mut waiting = Waiting { enough: Some(2000), ..Waiting::default() };
        assert!(waiting.add(job(true)));
        waiting.enough = Some(2000);
        let woken = (1..MAX_GROUP).map(|_| waiting.add(job(true))).position(|woken| woken);
        assert_eq!(woken, Some(MAX_GROUP - 2));
    }

    #[test]
    fn what_waits_is_done_in_groups_also_after_the_end() {
        let (jobs, pace) = (Jobs::default(), Pace::default());
        for number in 0..MAX_GROUP + 3 {
            assert!(jobs.push(job(number % 2 == 0)).is_ok());
        }
        jobs.close();
        assert!(matches!(jobs.push(job(false)), Err(SpoolError::Closed)));
        let next = || jobs.next_group(&pace).map(|(group, awaited)| (group.len(), awaited));
        assert_eq!(next(), Some((MAX_GROUP, MAX_GROUP / 2)));
        assert_eq!(next(), Some((3, 1)));
        assert_eq!(next(), None);
    }

    #[test]
    fn who_waits_for_a_writer_that_is_gone_is_told() {
        let jobs = Jobs::default();
        let (job, mut answer) = Call::boxed(|_, _| Ok(()), false);
        assert!(jobs.push(job).is_ok());
        jobs.abandon();
        assert!(matches!(answer.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Closed)));
        assert!(jobs.push(self::job(false)).is_err());
    }

    #[test]
    fn it_sleeps_until_there_is_something() {
        let (jobs, pace) = (Jobs::default(), Pace::default());
        std::thread::scope(|threads| {
            let writer = threads.spawn(|| jobs.next_group(&pace).map(|(group, _)| group.len()));
            while locked(&jobs.waiting).enough.is_none() {
                std::thread::yield_now();
            }
            assert!(jobs.push(job(false)).is_ok());
            assert_eq!(writer.join().ok(), Some(Some(1)));
            let writer = threads.spawn(|| jobs.next_group(&pace).is_none());
            while locked(&jobs.waiting).enough.is_none() {
                std::thread::yield_now();
            }
            jobs.close();
            assert_eq!(writer.join().ok(), Some(true));
        });
    }
}
