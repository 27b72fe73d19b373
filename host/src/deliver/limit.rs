//! What the MTA was seen to do, beyond one connection: how many recipients it takes in one transaction, whether it
//! makes senders for VERP.

use super::reply::Reply;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What was learned is tried anew after so long: the MTA's configuration may have changed.
const FORGET: Duration = Duration::from_hours(1);

/// The limit, shared by all connections.
#[derive(Debug, Default)]
pub(super) struct LearnedLimit {
    learned: Mutex<Option<(usize, Instant)>>,
}

impl LearnedLimit {
    /// The limit, if there is one.
    pub(super) fn current(&self) -> Option<usize> {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if learned.is_some_and(|(_, since)| since.elapsed() >= FORGET) {
            *learned = None;
        }
        learned.map(|(limit, _)| limit)
    }

    /// The server took so many and then no more.
    pub(super) fn learn(&self, limit: usize, server: &impl Display) {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if learned.is_none_or(|(known, _)| limit < known) {
            tracing::info!(
                %server, limit,
                "the mail server takes no more recipients in one transaction; set [mta] max_recipients to this"
            );
            *learned = Some((limit.max(1), Instant::now()));
        }
    }
}

/// Whether the MTA makes senders for VERP. That is known only once a connection is open, but envelopes are cut
/// before: so it is taken for granted until the MTA was seen not to, and such envelopes are cut up again.
#[derive(Debug, Default)]
pub(super) struct LearnedVerp {
    learned: Mutex<Verp>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Verp {
    #[default]
    Unknown,
    /// As the newest connection said.
    Offered(bool),
    /// It was offered and then refused.
    Refused(Instant),
}

impl LearnedVerp {
    /// Whether it is worth a try.
    pub(super) fn may_be_used(&self) -> bool {
        match *self.lock() {
            Verp::Unknown => true,
            Verp::Offered(offered) => offered,
            Verp::Refused(since) => since.elapsed() >= FORGET,
        }
    }

    /// What a new connection offers.
    pub(super) fn offered(&self, offered: bool) {
        let mut learned = self.lock();
        if !matches!(*learned, Verp::Refused(since) if since.elapsed() < FORGET) {
            *learned = Verp::Offered(offered);
        }
    }

    /// It was offered, but does not work.
    pub(super) fn refused(&self, server: &impl Display, reply: &Reply) {
        let mut learned = self.lock();
        if !matches!(*learned, Verp::Refused(since) if since.elapsed() < FORGET) {
            tracing::warn!(
                %server,
                "the mail server offers XVERP and refuses it, so mail with VERP goes out one by one: {reply}; see \
                 verp_delimiter_filter there, or set [mta] smtp_xverp to no"
            );
            *learned = Verp::Refused(Instant::now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Verp> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
