//! How long the writer waits for company before it commits.
//!
//! Sessions that are served by one commit come back together a moment later; whoever comes first must not have a
//! commit, and a sync of the disk, for itself while the others wait for the next one. That costs less than a commit
//! takes, which is measured; alone, a session waits for nobody. And what nobody waits for (an arrival is done, results
//! are recorded) is kept together while mail comes in: it touches pages of its own, which are written for one change or
//! for many.

use std::time::Duration;

/// Jobs that somebody waits for are held up by at most so much, be the disk ever so slow.
const LONGEST: Duration = Duration::from_millis(2);
/// The others are, while mail comes in.
const LONGEST_PATIENT: Duration = Duration::from_millis(5);

/// What is known of the last commits.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How long one takes, smoothed.
    cost: Duration,
    /// How many jobs that somebody waits for the last one had.
    company: usize,
}

impl Pace {
    /// How long to wait for more, counted from the first job, when there are so many that somebody waits for.
    pub(super) fn wait(&self, awaited: usize) -> Duration {
        if awaited < self.company { (self.cost / 2).min(LONGEST) } else { Duration::ZERO }
    }

    /// How long jobs that nobody waits for are kept, each counted from when it came. Only while mail comes in: alone, a
    /// backlog is worked off one commit after the other.
    pub(super) fn patience(&self) -> Duration {
        if self.company == 0 { Duration::ZERO } else { LONGEST_PATIENT }
    }

    /// So many jobs that somebody waits for are worth waiting for.
    pub(super) fn company(&self) -> usize {
        self.company
    }

    /// A commit took so long; somebody waited for so many of its jobs.
    pub(super) fn committed(&mut self, awaited: usize, took: Duration) {
        self.company = awaited;
        self.cost = if self.cost.is_zero() { took } else { (self.cost * 7 + took) / 8 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn who_is_alone_waits_for_nobody() {
        let mut pace = Pace::default();
        assert_eq!(pace.wait(1), Duration::ZERO);
        pace.committed(1, MS);
        assert_eq!(pace.wait(1), Duration::ZERO);
    }

    #[test]
    fn who_had_company_waits_for_it_until_it_is_there() {
        let mut pace = Pace::default();
        pace.committed(10, MS);
        assert_eq!(pace.wait(9), MS / 2);
        assert_eq!(pace.wait(10), Duration::ZERO);
        pace.committed(1, MS);
        assert_eq!(pace.wait(1), Duration::ZERO, "those who went away are forgotten");
    }

    #[test]
    fn what_nobody_waits_for_waits_longer_while_mail_comes_in() {
        let mut pace = Pace::default();
        pace.committed(1, MS);
        assert_eq!(pace.patience(), LONGEST_PATIENT);
        assert_eq!(pace.wait(1), Duration::ZERO, "nor does anybody wait for it");
        pace.committed(0, MS);
        assert_eq!(pace.patience(), Duration::ZERO, "no mail comes in");
    }

    #[test]
    fn a_slow_disk_makes_nobody_wait_for_long() {
        let mut pace = Pace::default();
        pace.committed(10, Duration::from_secs(1));
        assert_eq!(pace.wait(1), LONGEST);
    }
}
