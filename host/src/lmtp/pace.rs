//! How slowly a message may come.
//!
//! The time that we are willing to wait shrinks while we wait and grows with what comes, by the time that so
//! many octets may take, but never above the time limit. So a client may be silent for as long as the limit,
//! or for ever slow but not slower than the rate; it cannot drip. (Postfix does the same with
//! `smtpd_per_request_deadline` and `smtpd_min_data_rate`.) Octets above the largest message that is taken buy
//! no time.

use std::time::Duration;

/// The patience that is left for one message.
#[derive(Debug)]
pub(super) struct Pace {
    left: Duration,
    most: Duration,
    /// Octets a second; 0: any pace will do.
    rate: u64,
    /// Octets that still buy time.
    credit: u64,
}

impl Pace {
    /// For a message of at most `max_size` octets (0: no limit).
    pub(super) fn new(limit: Duration, rate: u64, max_size: u64) -> Self {
        Pace { left: limit, most: limit, rate, credit: if max_size == 0 { u64::MAX } else { max_size } }
    }

    /// How long to wait for the next octets.
    pub(super) fn left(&self) -> Duration {
        self.left
    }

    /// `octets` came after so long.
    pub(super) fn heard(&mut self, octets: usize, waited: Duration) {
        if self.rate == 0 {
            return;
        }
        let paid = (octets as u64).min(self.credit);
        self.credit -= paid;
        let bought = Duration::from_secs_f64(paid as f64 / self.rate as f64);
        self.left = (self.left.saturating_sub(waited) + bought).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_mins(5);

    /// How long a client gets who sends so many octets every so many seconds; `None`: beyond a day.
    fn lasts(pace: &mut Pace, octets: usize, seconds: u64) -> Option<u64> {
        let mut at = 0;
        while at < 86_400 {
            if pace.left() < Duration::from_secs(seconds) {
                return Some(at + pace.left().as_secs());
            }
            pace.heard(octets, Duration::from_secs(seconds));
            at += seconds;
        }
        None
    }

    #[test]
    fn who_drips_is_cut_off_within_the_time_limit() {
        assert_eq!(lasts(&mut Pace::new(LIMIT, 500, 0), 1, 240), Some(300));
        assert!(lasts(&mut Pace::new(LIMIT, 500, 0), 1, 1).is_some_and(|end| end <= 301));
        assert!(lasts(&mut Pace::new(LIMIT, 500, 0), 250, 1).is_some_and(|end| (590..=610).contains(&end)));
    }

    #[test]
    fn who_is_slow_but_not_too_slow_gets_all_the_time_it_takes() {
        assert_eq!(lasts(&mut Pace::new(LIMIT, 500, 0), 500, 1), None);
        assert_eq!(lasts(&mut Pace::new(LIMIT, 500, 0), 150_000, 300), None);
        assert_eq!(lasts(&mut Pace::new(LIMIT, 0, 0), 1, 299), None, "without a rate only silence counts");
    }

    #[test]
    fn octets_above_the_largest_message_buy_no_time() {
        let end = lasts(&mut Pace::new(LIMIT, 500, 50_000), 500, 1).expect("cut off");
        assert!((390..=410).contains(&end), "{end}");
    }

    #[test]
    fn haste_is_not_saved_up() {
        let mut pace = Pace::new(LIMIT, 500, 0);
        pace.heard(50_000_000, Duration::from_secs(1));
        assert_eq!(pace.left(), LIMIT);
    }
}
