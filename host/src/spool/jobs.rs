//! Jobs on their way to the writer.
//!
//! Unlike a channel this wakes the writer when there is what it waits for, and not for each job: ten sessions that come
//! back one after the other cost it one change of threads.

use super::pace::Pace;
use super::writer::Job;
use super::{Result, SpoolError, locked};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most jobs of one commit, of those that somebody waits for and of the others: neither keeps the other waiting.
pub(super) const MAX_GROUP: usize = 1000;

#[derive(Default)]
pub(super) struct Jobs {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// For these somebody waits.
    awaited: VecDeque<Box<dyn Job>>,
    /// For these nobody does; since when they are here.
    patient: VecDeque<(Instant, Box<dyn Job>)>,
    /// The writer sleeps until there are so many for which somebody waits. The first of these wakes it as well, and
    /// the first of all: they change for how long it waits.
    enough: Option<usize>,
    closed: bool,
}

impl Waiting {
    /// Whether the writer is to be woken.
    fn add(&mut self, job: Box<dyn Job>) -> bool {
        let wake = if job.is_patient() {
            self.patient.push_back((Instant::now(), job));
            let first = self.patient.len() == 1 && self.awaited.is_empty();
            self.enough.is_some() && (first || self.is_full())
        } else {
            self.awaited.push_back(job);
            self.enough.is_some_and(|enough| self.awaited.len() == 1 || self.awaited.len() >= enough || self.is_full())
        };
        if wake {
            self.enough = None;
        }
        wake
    }

    fn is_empty(&self) -> bool {
        self.awaited.is_empty() && self.patient.is_empty()
    }

    fn is_full(&self) -> bool {
        self.awaited.len() >= MAX_GROUP || self.patient.len() >= MAX_GROUP
    }

    /// Whether those for which nobody waits have waited for so long.
    fn have_waited(&self, patience: Duration) -> bool {
        self.patient.front().is_some_and(|(since, _)| since.elapsed() >= patience)
    }

    /// What goes into one commit, and for how many of it somebody waits.
    fn take(&mut self, pace: &Pace) -> (Vec<Box<dyn Job>>, usize) {
        let awaited = self.awaited.len().min(MAX_GROUP);
        let mut group: Vec<_> = self.awaited.drain(..awaited).collect();
        if awaited == 0 || self.is_full() || self.have_waited(pace.patience()) {
            let patient = self.patient.len().min(MAX_GROUP);
            group.extend(self.patient.drain(..patient).map(|(_, job)| job));
        }
        (group, awaited)
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
        let mut waiting = locked(&self.waiting);
        let left = (std::mem::take(&mut waiting.awaited), std::mem::take(&mut waiting.patient));
        drop(waiting);
        drop(left);
    }

    /// What waits, and what is worth waiting for; how many of these somebody waits for. `None`: it was closed, and all is
    /// done.
    pub(super) fn next_group(&self, pace: &Pace) -> Option<(Vec<Box<dyn Job>>, usize)> {
        let mut waiting = locked(&self.waiting);
        let mut begun = None;
        while !waiting.closed && !waiting.is_full() {
            // For how long, and for how many: nobody knows while there is nothing.
            let (time, enough) =
                if let Some((since, _)) = waiting.patient.front().filter(|_| waiting.awaited.is_empty()) {
                    (Some(pace.patience().saturating_sub(since.elapsed())), 1)
                } else if waiting.is_empty() {
                    (None, 1)
                } else {
                    let begun = *begun.get_or_insert_with(Instant::now);
                    (Some(pace.wait(waiting.awaited.len()).saturating_sub(begun.elapsed())), pace.company())
                };
            // A wait of no length would still be a call of the system.
            if time.is_some_and(|time| time.is_zero()) {
                break;
            }
            waiting.enough = Some(enough);
            waiting = match time {
                Some(time) => self.changed.wait_timeout(waiting, time).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
            waiting.enough = None;
        }
        // Closed, or there is something.
        if waiting.is_empty() { None } else { Some(waiting.take(pace)) }
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
        waiting.patient.clear();
        let mut add = |patient| {
            waiting.enough.get_or_insert(3);
            waiting.add(job(patient))
        };
        let woken = [true, true, false, true, false, false, true, false].map(&mut add);
        assert_eq!(
            woken,
            [true, false, true, false, false, true, false, true],
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
        assert_eq!(next(), Some((MAX_GROUP + 3, MAX_GROUP / 2 + 1)));
        assert_eq!(next(), None);
    }

    #[test]
    fn neither_kind_keeps_the_other_waiting_however_many_there_are() {
        let (jobs, pace) = (Jobs::default(), Pace::default());
        for _ in 0..=MAX_GROUP {
            assert!(jobs.push(job(true)).is_ok() && jobs.push(job(false)).is_ok());
        }
        let next = || jobs.next_group(&pace).map(|(group, awaited)| (group.len(), awaited));
        assert_eq!(next(), Some((2 * MAX_GROUP, MAX_GROUP)));
        assert_eq!(next(), Some((2, 1)));
    }

    #[test]
    fn what_nobody_waits_for_is_kept_together_while_mail_comes_in() {
        let (jobs, mut pace) = (Jobs::default(), Pace::default());
        pace.committed(1, Duration::from_micros(1));
        let next = |pace: &Pace| jobs.next_group(pace).map(|(group, awaited)| (group.len(), awaited));
        for _ in 0..2 {
            assert!(jobs.push(job(true)).is_ok() && jobs.push(job(false)).is_ok());
            assert_eq!(next(&pace), Some((1, 1)));
        }
        let since = locked(&jobs.waiting).patient.front().map(|(since, _)| *since);
        assert_eq!(next(&pace), Some((2, 0)), "in the end it is done without company");
        assert!(since.is_some_and(|since| since.elapsed() >= pace.patience()));
        assert!(jobs.push(job(true)).is_ok());
        pace.committed(0, Duration::from_micros(1));
        assert!(jobs.push(job(false)).is_ok());
        assert_eq!(next(&pace), Some((2, 1)), "no mail came in");
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
