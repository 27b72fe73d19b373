//! When a recipient that could not be delivered to is tried again, and when we give up.
//!
//! Five minutes after the first failure, then twice as long each time up to four hours, with
//! jitter, so that what failed together does not come back together. The last try falls on the end
//! of `delivery_retry_period`, counted from the time at which the message was queued.

use crate::spool::DeliveryResult;
use rand::Rng;
use std::time::Duration;

const FIRST: Duration = Duration::from_mins(5);
const LONGEST: Duration = Duration::from_hours(4);

/// "Delivery time expired" (RFC 3463, section 3.5). It stands where the replies of servers have their code: so whoever
/// counts bounces can tell this from a server's 5xx.
pub const EXPIRED: &str = "4.4.7";

/// What stands between that and the last reply.
pub const LAST_REPLY: &str = "; last: ";

/// The policy.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// `delivery_retry_period`.
    pub period: Duration,
}

impl RetryPolicy {
    /// What becomes of a recipient after a temporary failure.
    ///
    /// `attempts` is how often it was tried before this failure, `queued` and `now` are Unix times
    /// in seconds, `reply` is what the server said (or what happened).
    pub fn after_failure(&self, attempts: u32, queued: i64, now: i64, reply: String) -> DeliveryResult {
        let age = Duration::from_secs(u64::try_from(now.saturating_sub(queued)).unwrap_or(0));
        let Some(left) = self.period.checked_sub(age).filter(|left| !left.is_zero()) else {
            let period = days_and_hours(self.period);
            let reply = format!("{EXPIRED} delivery time expired: retry period of {period} is over{LAST_REPLY}{reply}");
            return DeliveryResult::Failed { reply };
        };
        DeliveryResult::Retry { after: delay(attempts).min(left), reply }
    }
}

/// The delay after so many earlier tries, give or take a fifth.
fn delay(attempts: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(attempts.min(16)).unwrap_or(u32::MAX));
    doubled.min(LONGEST).mul_f64(rand::rng().random_range(0.8..1.2))
}

/// `5d`, `12h`, `1d 12h`, `90s`: as the configuration writes it.
fn days_and_hours(period: Duration) -> String {
    let mut seconds = period.as_secs();
    let mut parts = Vec::new();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if seconds >= length {
            parts.push(format!("{}{unit}", seconds / length));
            seconds %= length;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy { period: Duration::from_hours(5 * 24) };

    fn after(attempts: u32, age: i64) -> DeliveryResult {
        POLICY.after_failure(attempts, 1_000_000, 1_000_000 + age, "451 4.3.0 later".into())
    }

    fn seconds(result: DeliveryResult) -> u64 {
        match result {
            DeliveryResult::Retry { after, .. } => after.as_secs(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn delays_grow_up_to_four_hours() {
        for (attempts, minutes) in
            [(0, 5), (1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 240), (40, 240), (u32::MAX, 240)]
        {
            let delay = seconds(after(attempts, 0));
            assert!((minutes * 48..=minutes * 72).contains(&delay), "attempt {attempts}: {delay} s");
        }
    }

    #[test]
    fn what_fails_together_does_not_come_back_together() {
        let delays: std::collections::HashSet<u64> = (0..50).map(|_| seconds(after(6, 0))).collect();
        assert!(delays.len() > 10, "{delays:?}");
    }

    #[test]
    fn the_last_try_falls_on_the_end_of_the_period() {
        assert_eq!(seconds(after(9, 5 * 86_400 - 60)), 60);
    }

    #[test]
    fn after_the_period_it_fails_with_the_last_reply() {
        for age in [5 * 86_400, 9 * 86_400] {
            assert_eq!(
                after(9, age),
                DeliveryResult::Failed {
                    reply: "4.4.7 delivery time expired: retry period of 5d is over; last: 451 4.3.0 later".into()
                }
            );
        }
    }

    #[test]
    fn a_clock_that_went_back_does_no_harm() {
        assert!(seconds(after(0, -1000)) >= 240);
    }

    #[test]
    fn periods_are_written_as_in_the_configuration() {
        let show = |seconds| days_and_hours(Duration::from_secs(seconds));
        assert_eq!(show(86_400), "1d");
        assert_eq!(show(129_600), "1d 12h");
        assert_eq!(show(90), "1m 30s");
        assert_eq!(show(0), "0s");
    }
}
