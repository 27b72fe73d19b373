//! Mail goes out.
//!
//! [`Deliverer::run`] leases due recipients from the queue, cuts them into transactions
//! (`batch`), hands these to the MTA over a few connections at a time (`job`, [`session`],
//! [`transaction`]), or through a plugin's adapter (`handover`, `injection`), and records what became of each recipient (`recorder`).
//!
//! Promises:
//! - Nobody is lost: each leased recipient is recorded or given back, whatever the MTA does.
//! - Nobody gets a message twice, with one exception. Only what is in flight between its last octet
//!   and the record of its result can be sent again, after a crash or when the connection breaks
//!   just then. (With CHUNKING envelope and content are one write, so there the wait for the replies to
//!   the envelope belongs to it.) On each connection that is at most: the transaction in flight, the results whose
//!   commit is under way, and those that wait for it. For bulk mail these are two transactions
//!   (one being committed, one in flight), for VERP 100 messages and the one in flight; before a batch follows on
//!   messages for one recipient, their results are on disk.
//! - What the MTA says about itself (no connection, 4xx or 5xx as banner, no TLS, wrong password,
//!   421 before a message was begun) touches no recipient: it is left alone for a while and asked
//!   again, with growing pauses. Nobody bounces because our own MTA was away.
//! - What it says about a message or recipient is told in full: a temporary failure is tried again
//!   ([`retry`]), a permanent one becomes a bounce event. A reply that ends in
//!   `(in reply to COMMAND)` was about the message, not about this recipient.
//! - Nothing is polled: without due mail it waits for the queue, for the next retry, or for an
//!   idle connection to be closed.
//!
//! Between reading and writing nothing is copied for each recipient: the content is made ready
//! once for each message ([`body`]), an envelope is one write, content with its final dot another (perhaps with the next
//! envelope behind it); with CHUNKING both together are one (`writev`).
//!
//! Decisions where RFCs leave room, or real servers do:
//! - A message with octets above 127 goes as `BODY=8BITMIME`; to a server without 8BITMIME it goes as it is,
//!   because recoding breaks signatures and no server of these days cuts the eighth bit off.
//! - SMTPUTF8 is asked for when an address needs it, and such addresses never share a transaction with others. A
//!   server without it gets no such address: that recipient fails with `553 5.6.7`. Raw octets in a header alone
//!   ask for nothing.
//! - 552 to RCPT is 452 when it means too many recipients (RFC 5321, section 4.5.3.1.10); to DATA and the end of
//!   the content it is about the size, and permanent.
//! - What was tried again until `delivery_retry_period` was over fails with `4.4.7` (RFC 3463) and the last reply.
//! - XVERP is asked for in a MAIL of its own, once on each connection; a server that refuses gets one message for
//!   each recipient.
//! - CHUNKING saves a round trip for each message, so it is used with servers on other machines (`smtp_chunking`);
//!   on the same one it was measured to win nothing.
//! - A server on another machine that has PIPELINING and no CHUNKING gets the envelope of the next message (of one
//!   recipient) with the content of this one (RFC 2920, section 3.1): one round trip for each, as with CHUNKING. Its content is
//!   never sent before this one is answered, so that the window stays small. One connection tries whether the server takes that
//!   well; what it says to such an envelope counts only if it stays in step. The reply to a content counts at once, so a
//!   server that leaves that one out would have its reply to the next MAIL taken for it; no such server is known.
//! - Neither CHUNKING nor XVERP is used with LMTP, nor are envelopes sent early.

mod batch;
pub mod body;
mod capabilities;
mod dispatch;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handover;
mod handshake;
mod injection;
mod job;
mod ledger;
mod limit;
pub mod login;
pub mod memory;
pub mod path;
mod pool;
pub mod probe;
pub mod queue;
mod recorder;
pub mod reply;
pub mod retry;
pub mod session;
pub mod set_id;
pub mod settings;
pub mod sink;
mod stream;
mod suspects;
pub mod tls;
pub mod transaction;
pub mod verp;
pub mod wire;

#[cfg(test)]
mod tests;

pub use handover::Handover;
pub(crate) use injection::check as check_injection;
pub use queue::DeliveryQueue;
pub use settings::{DeliverySettings, SettingsError};

use crate::pulse::Pulse;
use limit::{EarlyEnvelopes, LearnedLimit, LearnedVerp};
use pool::Pool;
use postrider_plugin_api::sdk::OutgoingAdapter;
use session::Target;
use std::sync::Arc;
use tokio::sync::watch;

/// `[mta] outgoing`.
#[derive(Clone)]
pub enum Outgoing {
    /// `deliver`: SMTP, spoken by ourselves.
    Smtp,
    /// An adapter of a plugin; see [`Outgoing::adapter`].
    Adapter(Arc<Handover>),
}

impl Outgoing {
    /// An adapter of a plugin, with its name for errors. It is called on threads of its own, where it
    /// may block, at most [`DeliverySettings::connections`] times at once. When it does not return within
    /// 20 minutes it is not called again, and mail waits in the queue. A program that it has run may take
    /// 10 minutes.
    pub fn adapter(adapter: Arc<dyn OutgoingAdapter>, name: &str) -> Self {
        Outgoing::Adapter(Arc::new(Handover::new(adapter, name)))
    }

    /// The same with a watch over its calls that knows its limits.
    pub(crate) fn watched(adapter: Arc<dyn OutgoingAdapter>, watch: crate::plugins::Watch) -> Self {
        Outgoing::Adapter(Arc::new(Handover::watched(adapter, watch)))
    }
}

/// Hands mail to the MTA.
pub struct Deliverer<Q> {
    context: Arc<Context<Q>>,
    pulse: Pulse,
}

/// What all jobs share.
struct Context<Q> {
    settings: DeliverySettings,
    queue: Arc<Q>,
    outgoing: Way,
    /// True: begin nothing new.
    stopping: watch::Sender<bool>,
    /// True: the program ends, so what cannot be recorded now never will be.
    ending: watch::Sender<bool>,
}

/// How mail goes out, with what it needs.
enum Way {
    Smtp(Box<Smtp>),
    Adapter(Arc<Handover>),
}

struct Smtp {
    target: Target,
    pool: Pool,
    limit: LearnedLimit,
    verp: LearnedVerp,
    early: EarlyEnvelopes,
}

impl<Q: DeliveryQueue> Deliverer<Q> {
    /// Makes it; nothing happens before [`Deliverer::run`].
    pub fn new(settings: DeliverySettings, queue: Arc<Q>, outgoing: Outgoing) -> Self {
        let outgoing = match outgoing {
            Outgoing::Smtp => Way::Smtp(Box::new(Smtp {
                target: settings.target.clone(),
                pool: Pool::new(settings.idle),
                limit: LearnedLimit::default(),
                verp: LearnedVerp::default(),
                early: EarlyEnvelopes::default(),
            })),
            Outgoing::Adapter(handover) => Way::Adapter(handover),
        };
        let context = Context {
            settings,
            queue,
            outgoing,
            stopping: watch::Sender::new(false),
            ending: watch::Sender::new(false),
        };
        Deliverer { context: Arc::new(context), pulse: Pulse::unwatched() }
    }

    /// Shows by this pulse that it turns; not that the mail server does.
    #[must_use]
    pub fn watched(self, pulse: Pulse) -> Self {
        Deliverer { pulse, ..self }
    }

    /// Delivers until `end` is ready, then ends the transactions that run, gives back the
    /// rest and says goodbye to the MTA. Returns within [`DeliverySettings::grace`] and a few
    /// seconds; what is in flight then is sent again by the next start.
    pub async fn run(self, end: impl Future<Output = ()> + Send) {
        self.run_until_replaced(std::future::pending(), end).await;
    }

    /// The same; but once `replaced` is ready, because another one takes over on the same queue, it begins nothing
    /// new, and what runs takes its time: no next start would send it again.
    pub async fn run_until_replaced(
        self,
        replaced: impl Future<Output = ()> + Send,
        end: impl Future<Output = ()> + Send,
    ) {
        dispatch::run(self.context, self.pulse, replaced, end).await;
    }
}
