//! How fast each outgoing message is being delivered by this process, and when that is worth a line in the log.
//!
//! Counted where results are recorded; no clock runs for it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::locked;

/// The rate is that of so many seconds.
const SECONDS: u64 = 10;
/// A delivery that takes long is told so often.
const TOLD: Duration = Duration::from_mins(1);
/// What was not heard of for so long is forgotten when room is needed.
const FORGOTTEN: Duration = Duration::from_mins(10);
/// Room is needed from so many messages on.
const MANY: usize = 256;

/// Of all messages.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<HashMap<i64, Track>>);

#[derive(Debug)]
struct Track {
    began: Instant,
    last: Instant,
    told: Instant,
    was_told: bool,
    /// Recipients in each of the last seconds; the second's number (since `began`) says which.
    counts: [(u64, u64); SECONDS as usize],
}

impl Rates {
    /// So many recipients of a message were dealt with. `true`: it is time to tell how far it is.
    pub(super) fn dealt(&self, outgoing: i64, recipients: u64, now: Instant) -> bool {
        let mut tracks = locked(&self.0);
        if tracks.len() >= MANY && !tracks.contains_key(&outgoing) {
            tracks.retain(|_, track| now.duration_since(track.last) < FORGOTTEN);
        }
        let track = tracks.entry(outgoing).or_insert_with(|| Track::new(now));
        if now.duration_since(track.last) > FORGOTTEN {
            *track = Track::new(now);
        }
        track.add(recipients, now);
        let due = now.duration_since(track.told) >= TOLD;
        if due {
            (track.told, track.was_told) = (now, true);
        }
        due
    }

    /// Recipients a second; 0 when there were none.
    pub(super) fn per_second(&self, outgoing: i64, now: Instant) -> f64 {
        locked(&self.0).get(&outgoing).map_or(0.0, |track| track.per_second(now))
    }

    /// Messages of which something was heard lately.
    pub(super) fn running(&self, now: Instant) -> Vec<i64> {
        let lately = |track: &Track| now.duration_since(track.last) < Duration::from_secs(SECONDS);
        locked(&self.0).iter().filter(|(_, track)| lately(track)).map(|(outgoing, _)| *outgoing).collect()
    }

    /// The message is gone. How long it took, if something was told of it.
    pub(super) fn ended(&self, outgoing: i64, now: Instant) -> Option<Duration> {
        let track = locked(&self.0).remove(&outgoing)?;
        track.was_told.then(|| now.duration_since(track.began))
    }
}

impl Track {
    fn new(now: Instant) -> Self {
        Track { began: now, last: now, told: now, was_told: false, counts: Default::default() }
    }

    fn add(&mut self, recipients: u64, now: Instant) {
        let second = now.duration_since(self.began).as_secs();
        let slot = &mut self.counts[(second % SECONDS) as usize];
        if slot.0 != second {
            *slot = (second, 0);
        }
        slot.1 += recipients;
        self.last = now;
    }

    fn per_second(&self, now: Instant) -> f64 {
        let since = now.duration_since(self.began);
        let first = since.as_secs().saturating_sub(SECONDS - 1);
        let recipients: u64 = self.counts.iter().filter(|(second, _)| *second >= first).map(|(_, count)| count).sum();
        let seconds = since.saturating_sub(Duration::from_secs(first)).as_secs_f64();
        // The first results would make any rate of almost no time.
        recipients as f64 / seconds.max(0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let rates = Rates::default();
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        for tenth in 0..600 {
            rates.dealt(7, 340, at(tenth * 100));
        }
        let rate = rates.per_second(7, at(60_000));
        assert!((3000.0..3800.0).contains(&rate), "{rate}");
        assert_eq!(rates.running(at(60_000)), [7]);
        assert!(rates.per_second(7, at(65_000)) < 2500.0, "it falls when nothing comes");
        assert!(rates.per_second(7, at(80_000)).abs() < f64::EPSILON);
        assert!(rates.running(at(80_000)).is_empty());
        assert!(rates.per_second(8, at(0)).abs() < f64::EPSILON);
    }

    #[test]
    fn only_what_takes_long_is_told_and_once_a_minute() {
        let rates = Rates::default();
        let start = Instant::now();
        let told: Vec<u64> = (0..150).filter(|s| rates.dealt(7, 1, start + Duration::from_secs(*s))).collect();
        assert_eq!(told, [60, 120]);
        assert!(!rates.dealt(8, 1, start));
        assert_eq!(rates.ended(7, start + Duration::from_secs(150)), Some(Duration::from_secs(150)));
        assert_eq!(rates.ended(8, start + Duration::from_secs(1)), None, "nobody was told of it");
        // Tried again a day later it is no delivery of a day.
        assert!(!rates.dealt(9, 1, start) && !rates.dealt(9, 1, start + Duration::from_hours(24)));
    }

    #[test]
    fn messages_that_never_end_here_do_not_pile_up() {
        let rates = Rates::default();
        let start = Instant::now();
        for outgoing in 0..10_000 {
            rates.dealt(outgoing, 1, start + Duration::from_secs(outgoing as u64 * 10));
        }
        assert!(locked(&rates.0).len() <= MANY);
    }
}
