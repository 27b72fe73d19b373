//! What the MTA was seen to do, beyond one connection: how many recipients it takes in one transaction, whether it
//! makes senders for VERP, and whether an envelope may come early.

use super::reply::Reply;
use super::transaction::{Early, Sent};
use super::wire::WireError;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What was learned is tried anew after so long: the MTA's configuration may have changed.
const FORGET: Duration = Duration::from_hours(1);
/// The same where trying it costs a connection the longest wait for a reply.
const FORGET_SILENCE: Duration = Duration::from_hours(24);

/// Whether the next envelope may go with the end of a message, shared by all connections. A server, or something on the
/// way, may take that badly, each in its own way and perhaps by silence: so one connection tries it first.
#[derive(Debug, Default)]
pub(super) struct EarlyEnvelopes {
    learned: Mutex<Trial>,
}

/// How the trial went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trial {
    #[default]
    Unknown,
    /// A connection has tried it since then.
    Tried(Instant),
    /// It works.
    Taken,
    /// It did not work, and is not tried until then.
    Refused(Instant),
}

impl EarlyEnvelopes {
    /// Whether a connection may send one; what it then sent must be told to [`EarlyEnvelopes::learn`]. `has_begun`: it
    /// has sent one that is not answered yet.
    pub(super) fn may_come(&self, has_begun: bool) -> bool {
        let mut learned = self.lock();
        match *learned {
            Trial::Taken => true,
            // Should its job have died, another one tries it.
            Trial::Tried(since) if since.elapsed() < FORGET => has_begun,
            Trial::Refused(until) if Instant::now() < until => false,
            Trial::Unknown | Trial::Tried(_) | Trial::Refused(_) => {
                *learned = Trial::Tried(Instant::now());
                true
            }
        }
    }

    /// How it went, when a connection was allowed to send one or has sent one before.
    pub(super) fn learn(&self, sent: &Sent, transactions: usize, server: &impl Display) {
        let mut learned = self.lock();
        match (&sent.broken, sent.early) {
            // What another connection suffers meanwhile counts more.
            (None, Early::This) if !matches!(*learned, Trial::Refused(_)) => *learned = Trial::Taken,
            // Or it is not known yet.
            (None, Early::This | Early::Next) => {}
            (Some(error), Early::This | Early::Next)
                if *learned != Trial::Taken || !is_goodbye(error, transactions) =>
            {
                let pause = if matches!(error, WireError::Timeout(_)) { FORGET_SILENCE } else { FORGET };
                let until = Instant::now() + pause;
                if matches!(*learned, Trial::Refused(known) if known >= until) {
                    return;
                }
                *learned = Trial::Refused(until);
                tracing::info!(
                    %server,
                    "for {} h the next MAIL FROM does not come with the end of a message (RFC 2920, section 3.1), as a \
                     connection ended after that: {error}",
                    pause.as_secs() / 3600
                );
            }
            _ if matches!(*learned, Trial::Tried(_)) => *learned = Trial::Unknown,
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Trial> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Servers hang up after so many messages, or when they stop; but not after the first, instead of a reply to a content, or
/// because of a timeout (4.4.2).
fn is_goodbye(error: &WireError, transactions: usize) -> bool {
    let WireError::Closing { command, reply } = error else { return false };
    let timeout = reply.enhanced().is_some_and(|status| (status.subject, status.detail) == (4, 2));
    transactions > 2 && *command != "end of data" && !timeout
}

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

#[cfg(test)]
mod tests {
    use super::super::transaction::ServerVerp;
    use super::*;

    fn sent(early: Early, broken: Option<WireError>) -> Sent {
        Sent { verdicts: Vec::new(), limit: None, mail_accepted: true, server_verp: ServerVerp::Fine, early, broken }
    }

    fn closing(command: &'static str, text: &str) -> WireError {
        WireError::Closing { command, reply: Reply { code: 421, text: text.to_owned() } }
    }

    #[test]
    fn one_connection_tries_whether_envelopes_may_come_early() {
        let early = EarlyEnvelopes::default();
        assert!(early.may_come(false), "the first");
        assert!(!early.may_come(false), "another, meanwhile");
        early.learn(&sent(Early::None, None), 1, &"mta");
        assert!(early.may_come(false), "it did not come to it");
        early.learn(&sent(Early::Next, None), 1, &"mta");
        assert!(!early.may_come(false), "it is not known yet");
        assert!(early.may_come(true), "the first goes on");
        early.learn(&sent(Early::This, None), 2, &"mta");
        assert!(early.may_come(false) && early.may_come(false), "it works");
    }

    #[test]
    fn what_did_not_work_is_tried_again_later_once() {
        for (error, hours) in
            [(WireError::Closed, 1), (closing("end of data", ""), 1), (WireError::Timeout(Duration::from_mins(5)), 24)]
        {
            let early = EarlyEnvelopes::default();
            assert!(early.may_come(false));
            early.learn(&sent(Early::Next, Some(error)), 5, &"mta");
            assert!(!early.may_come(false) && !early.may_come(true));
            let Trial::Refused(until) = *early.lock() else { panic!("{early:?}") };
            let rest = until.saturating_duration_since(Instant::now());
            assert!(rest <= Duration::from_hours(hours) && rest > Duration::from_mins(hours * 60 - 1), "{rest:?}");
            *early.lock() = Trial::Refused(Instant::now());
            assert!(early.may_come(false) && !early.may_come(false));
        }
    }

    #[test]
    fn a_goodbye_says_nothing_about_early_envelopes() {
        assert!(is_goodbye(&closing("MAIL FROM", "4.3.2 shutting down"), 3));
        assert!(!is_goodbye(&closing("MAIL FROM", "4.3.2 shutting down"), 2), "after the first that came early");
        assert!(!is_goodbye(&closing("MAIL FROM", "4.4.2 timeout"), 9));
        assert!(!is_goodbye(&closing("end of data", "4.3.2 shutting down"), 9));
        assert!(!is_goodbye(&WireError::Closed, 9));
        let early = EarlyEnvelopes::default();
        early.learn(&sent(Early::This, None), 2, &"mta");
        early.learn(&sent(Early::This, Some(closing("MAIL FROM", "too many"))), 9, &"mta");
        assert!(early.may_come(false) && early.may_come(false), "it still works");
        let early = EarlyEnvelopes::default();
        assert!(early.may_come(false));
        early.learn(&sent(Early::This, Some(closing("MAIL FROM", "too many"))), 9, &"mta");
        assert!(!early.may_come(false), "but it is no goodbye to the first that comes early");
    }

    #[test]
    fn what_one_connection_suffers_is_not_forgotten_because_another_fares_well() {
        let early = EarlyEnvelopes::default();
        early.learn(&sent(Early::This, None), 2, &"mta");
        early.learn(&sent(Early::Next, Some(WireError::Timeout(Duration::from_mins(5)))), 9, &"mta");
        let known = *early.lock();
        early.learn(&sent(Early::This, None), 9, &"mta");
        early.learn(&sent(Early::This, Some(WireError::Closed)), 9, &"mta");
        assert!(!early.may_come(false) && *early.lock() == known, "{early:?}");
    }
}
