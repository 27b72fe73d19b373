//! Who has a connection, and who must leave when there are too many.
//!
//! Connections are few and mail servers keep idle ones open, so a full house is no reason to turn a
//! newcomer away while somebody sits there without mail. Who is asked to leave is told 421, which a
//! mail server takes as the end of a connection and not as a failure of its mail. Never asked: whoever
//! is sending a message or waits for our reply to it, and whoever came or sent mail less than a second ago.
//! Within a transaction but not sending, a connection is asked only when that has lasted for longer than
//! the time limit of a command: commands that do nothing buy no time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// So long a connection is left in peace.
const PEACE: Duration = Duration::from_secs(1);

/// All seats.
pub(super) struct Seats {
    free: Arc<Semaphore>,
    taken: Mutex<Vec<Arc<Seat>>>,
    /// How long an envelope may take.
    patience: Duration,
}

/// One connection's.
pub(super) struct Seat {
    /// Gone when it was given to somebody else.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    begun: Instant,
    /// When it came or its last message ended, in milliseconds since `begun`.
    served: AtomicU64,
    waiting: AtomicBool,
    in_transaction: AtomicBool,
    leave: Notify,
}

impl Seats {
    /// `limit` connections; 0: any number.
    pub(super) fn new(limit: usize, patience: Duration) -> Self {
        let limit = if limit == 0 { Semaphore::MAX_PERMITS } else { limit.min(Semaphore::MAX_PERMITS) };
        Seats { free: Arc::new(Semaphore::new(limit)), taken: Mutex::default(), patience }
    }

    /// A seat: a free one, or that of somebody who does nothing with it. `None`: all are at work.
    pub(super) fn take(&self) -> Option<Arc<Seat>> {
        let mut taken = locked(&self.taken);
        let permit = self.free.clone().try_acquire_owned().ok().or_else(|| {
            let idle = taken.iter().filter(|seat| seat.may_be_asked(self.patience));
            let first = idle.min_by_key(|seat| (seat.in_transaction.load(Ordering::Relaxed), seat.last_served()))?;
            first.leave.notify_one();
            locked(&first.permit).take()
        })?;
        let seat = Arc::new(Seat::new(Some(permit)));
        taken.push(seat.clone());
        Some(seat)
    }

    /// The connection has ended.
    pub(super) fn give_back(&self, seat: &Arc<Seat>) {
        locked(&self.taken).retain(|one| !Arc::ptr_eq(one, seat));
        locked(&seat.permit).take();
    }
}

impl Seat {
    pub(super) fn new(permit: Option<OwnedSemaphorePermit>) -> Self {
        Seat {
            permit: Mutex::new(permit),
            begun: Instant::now(),
            served: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            in_transaction: AtomicBool::new(false),
            leave: Notify::new(),
        }
    }

    /// We wait for a command, or no longer.
    pub(super) fn waits(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Whether a sender was named.
    pub(super) fn is_in_transaction(&self, yes: bool) {
        self.in_transaction.store(yes, Ordering::Relaxed);
    }

    /// A message has ended.
    pub(super) fn was_served(&self) {
        self.served.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Ready when the seat was given to somebody else.
    pub(super) async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }

    fn last_served(&self) -> Instant {
        self.begun + Duration::from_millis(self.served.load(Ordering::Relaxed))
    }

    fn may_be_asked(&self, patience: Duration) -> bool {
        let limit = if self.in_transaction.load(Ordering::Relaxed) { patience.max(PEACE) } else { PEACE };
        self.waiting.load(Ordering::Relaxed) && self.last_served().elapsed() >= limit && locked(&self.permit).is_some()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn later(time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn left(seat: &Seat) -> bool {
        locked(&seat.permit).is_none()
    }

    #[tokio::test]
    async fn the_one_without_mail_for_the_longest_time_makes_room() {
        let seats = Seats::new(2, Duration::from_mins(5));
        let (first, second) = (seats.take().expect("free"), seats.take().expect("free"));
        first.waits(true);
        second.waits(true);
        assert!(seats.take().is_none(), "both came just now");
        later(PEACE).await;
        first.was_served();
        later(PEACE).await;
        let third = seats.take().expect("room was made");
        assert!(left(&second) && !left(&first), "the other had a message since");
        second.asked_to_leave().await;
        assert!(!left(&third));
        seats.give_back(&second);
        assert!(seats.take().is_some(), "the first is idle too");
        assert!(left(&first));
    }

    #[tokio::test]
    async fn nobody_who_sends_or_waits_for_us_is_asked() {
        let seats = Seats::new(2, PEACE * 2);
        let (sending, in_envelope) = (seats.take().expect("free"), seats.take().expect("free"));
        in_envelope.waits(true);
        in_envelope.is_in_transaction(true);
        later(PEACE).await;
        assert!(seats.take().is_none());
        later(PEACE).await;
        assert!(seats.take().is_some(), "an envelope that takes for ever");
        assert!(left(&in_envelope) && !left(&sending));
    }

    #[test]
    fn seats_that_were_given_back_are_free() {
        let seats = Seats::new(1, PEACE);
        let seat = seats.take().expect("free");
        assert!(seats.take().is_none());
        seats.give_back(&seat);
        assert!(seats.take().is_some());
        let endless = Seats::new(0, PEACE);
        assert!((0..1000).all(|_| endless.take().is_some()));
    }
}
