//! Who has a connection, and who must leave when there are too many.
//!
//! Connections are few and mail servers keep idle ones open, so a full house is no reason to turn a
//! newcomer away while somebody sits there without mail. Who is asked to leave is told 421, which a
//! mail server takes as the end of a connection and not as a failure of its mail. Never asked: whoever
//! is sending a message or waits for our reply, and whoever came or sent mail less than a second ago.
//! Within an envelope (MAIL was said, DATA was not) a connection is asked after all those without mail, and only
//! when it has named neither sender nor recipient for some seconds, or when it has been at envelopes without sending a
//! message for longer than one can need: commands that do nothing buy no time, and recipients that drip in only a little.
//!
//! No promise against whoever keeps sending messages at the least rate that is allowed: it keeps its seat.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// So long a connection is left in peace.
const PEACE: Duration = Duration::from_secs(1);
/// So long one that has begun an envelope may think about how it goes on while others wait.
const PAUSE: Duration = Duration::from_secs(5);

/// So long it may take from its first MAIL since the last message to its DATA, while others wait. The quickest clients name
/// 1,000 recipients in well under a second, and none that has mail to send lets us wait between them.
const ENVELOPE: Duration = Duration::from_secs(30);

/// No time.
const NEVER: u64 = u64::MAX;

/// All seats.
pub(super) struct Seats {
    free: Arc<Semaphore>,
    taken: Mutex<Vec<Arc<Seat>>>,
    /// How long an envelope may take.
    envelope: Duration,
}

/// One connection's.
pub(super) struct Seat {
    /// Gone when it was given to somebody else.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    begun: Instant,
    /// When it came or its last message ended, in microseconds since `begun`.
    served: AtomicU64,
    /// When it named a sender or a recipient, in microseconds since `begun`.
    named: AtomicU64,
    /// When it did so first since it was served; [`NEVER`]: not yet.
    first_named: AtomicU64,
    waiting: AtomicBool,
    in_transaction: AtomicBool,
    leave: Notify,
}

impl Seats {
    /// `limit` connections; 0: any number. `patience` is the time limit of a command.
    pub(super) fn new(limit: usize, patience: Duration) -> Self {
        let limit = if limit == 0 { Semaphore::MAX_PERMITS } else { limit.min(Semaphore::MAX_PERMITS) };
        Seats {
            free: Arc::new(Semaphore::new(limit)),
            taken: Mutex::default(),
            envelope: patience.clamp(PEACE, ENVELOPE),
        }
    }

    /// A seat: a free one, or that of somebody who does nothing with it. `None`: all are at work.
    pub(super) fn take(&self) -> Option<Arc<Seat>> {
        let mut taken = locked(&self.taken);
        let permit = self.free.clone().try_acquire_owned().ok().or_else(|| {
            let idle = taken.iter().filter(|seat| seat.may_be_asked(self.envelope));
            idle.min_by_key(|seat| (seat.is_in_envelope(), seat.idle_since()))?.give_up()
        })?;
        let seat = Arc::new(Seat::new(permit));
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
    fn new(permit: OwnedSemaphorePermit) -> Self {
        Seat {
            permit: Mutex::new(Some(permit)),
            begun: Instant::now(),
            served: AtomicU64::new(0),
            named: AtomicU64::new(0),
            first_named: AtomicU64::new(NEVER),
            waiting: AtomicBool::new(false),
            in_transaction: AtomicBool::new(false),
            leave: Notify::new(),
        }
    }

    /// We wait for a command, or for the client to read replies.
    pub(super) fn waits(&self) {
        self.waiting.store(true, Ordering::Relaxed);
    }

    /// We wait no longer. `false`: too late, the seat was given to somebody else.
    #[must_use]
    pub(super) fn goes_on(&self) -> bool {
        let permit = locked(&self.permit);
        self.waiting.store(false, Ordering::Relaxed);
        permit.is_some()
    }

    /// For somebody else, if it still waits.
    fn give_up(&self) -> Option<OwnedSemaphorePermit> {
        let mut permit = locked(&self.permit);
        let given = if self.waiting.load(Ordering::Relaxed) { permit.take() } else { None };
        if given.is_some() {
            self.leave.notify_one();
        }
        given
    }

    /// Whether a sender was named.
    pub(super) fn is_in_transaction(&self, yes: bool) {
        self.in_transaction.store(yes, Ordering::Relaxed);
    }

    /// A message has ended.
    pub(super) fn was_served(&self) {
        self.note(&self.served);
        self.first_named.store(NEVER, Ordering::Relaxed);
    }

    /// MAIL or RCPT was answered.
    pub(super) fn has_named(&self) {
        self.note(&self.named);
        // One task alone writes.
        if self.first_named.load(Ordering::Relaxed) == NEVER {
            self.note(&self.first_named);
        }
    }

    /// Ready when the seat was given to somebody else.
    pub(super) async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }

    fn note(&self, time: &AtomicU64) {
        time.store(self.begun.elapsed().as_micros() as u64, Ordering::Relaxed);
    }

    fn noted(&self, time: &AtomicU64) -> Instant {
        self.begun + Duration::from_micros(time.load(Ordering::Relaxed))
    }

    fn is_in_envelope(&self) -> bool {
        self.in_transaction.load(Ordering::Relaxed)
    }

    /// In an envelope commands that complete it count, else only mail.
    fn idle_since(&self) -> Instant {
        self.noted(if self.is_in_envelope() { &self.named } else { &self.served })
    }

    fn may_be_asked(&self, envelope: Duration) -> bool {
        let idle = self.idle_since().elapsed();
        let long_enough = if self.is_in_envelope() {
            let named = self.first_named.load(Ordering::Relaxed) != NEVER;
            idle >= PAUSE || (named && self.noted(&self.first_named).elapsed() >= envelope)
        } else {
            idle >= PEACE
        };
        self.waiting.load(Ordering::Relaxed) && long_enough && locked(&self.permit).is_some()
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
        first.waits();
        second.waits();
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
        in_envelope.waits();
        in_envelope.is_in_transaction(true);
        in_envelope.has_named();
        later(PEACE).await;
        in_envelope.has_named();
        assert!(seats.take().is_none());
        later(PEACE).await;
        assert!(seats.take().is_some(), "an envelope that takes for ever");
        assert!(left(&in_envelope) && !left(&sending));
    }

    #[tokio::test]
    async fn an_envelope_that_does_not_go_on_makes_room_after_all_idle_ones() {
        let seats = Seats::new(3, Duration::from_mins(5));
        let [silent, talking, sending] = [(); 3].map(|()| seats.take().expect("free"));
        for seat in [&silent, &talking] {
            seat.waits();
            seat.is_in_transaction(true);
            seat.has_named();
        }
        sending.is_in_transaction(true);
        sending.has_named();
        later(PEACE * 2).await;
        talking.has_named();
        assert!(seats.take().is_none(), "both may go on at any time");
        later(PAUSE.saturating_sub(PEACE * 2)).await;
        let newcomer = seats.take().expect("room was made");
        assert!(left(&silent) && !left(&talking) && !left(&sending));
        newcomer.waits();
        later(PEACE * 2).await;
        assert!(seats.take().is_some(), "two could go now");
        assert!(left(&newcomer) && !left(&talking), "the idle one goes first");
        assert!(seats.take().is_some());
        assert!(left(&talking) && !left(&sending));
        assert!(seats.take().is_none());
    }

    #[tokio::test]
    async fn recipients_that_drip_in_keep_a_seat_for_a_while_only() {
        assert_eq!(Seats::new(1, Duration::from_mins(5)).envelope, ENVELOPE);
        let seats = Seats::new(2, PEACE * 2);
        let (dripping, at_work) = (seats.take().expect("free"), seats.take().expect("free"));
        for seat in [&dripping, &at_work] {
            seat.waits();
        }
        let name = |seat: &Seat| {
            seat.is_in_transaction(true);
            seat.has_named();
        };
        at_work.was_served();
        later(PEACE * 2).await;
        // It was silent, and now it has mail.
        name(&at_work);
        for quarter in 0..7 {
            // Begins anew now and then, which buys nothing.
            dripping.is_in_transaction(quarter % 3 != 0);
            name(&dripping);
            later(PEACE / 4).await;
            name(&at_work);
            assert!(seats.take().is_none(), "after {quarter} quarters of a second");
        }
        at_work.was_served();
        at_work.is_in_transaction(false);
        later(PEACE / 2).await;
        name(&dripping);
        assert!(seats.take().is_some());
        assert!(left(&dripping) && !left(&at_work));
    }

    #[test]
    fn a_seat_is_given_away_only_while_its_owner_waits_and_the_owner_is_told() {
        let seat = Seats::new(1, PEACE).take().expect("free");
        assert!(seat.give_up().is_none());
        seat.waits();
        assert!(seat.goes_on());
        assert!(seat.give_up().is_none(), "a command came in the meantime");
        seat.waits();
        assert!(seat.give_up().is_some());
        assert!(!seat.goes_on() && seat.give_up().is_none());
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
