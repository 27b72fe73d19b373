//! Who works on what: leases become jobs, jobs get connections.
//!
//! One task decides everything; jobs run beside it, one for each connection. While all
//! connections are busy one lease is kept ready, so that the queue's own time is hidden.

use super::batch::{self, Job, Letter};
use super::body::WireBody;
use super::injection::Message;
use super::job::{self, JobEnd};
use super::queue::DeliveryQueue;
use super::{Context, Way};
use crate::clock::unix_now;
use crate::personal::Splices;
use crate::pulse::Pulse;
use crate::spool::{DeliveryResult, DueBatch, SpoolError};
use rand::Rng;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// A lease is as large as a round of full transactions, within these bounds: large enough to keep
/// all connections busy, small enough that messages take turns.
const LEASE: std::ops::RangeInclusive<usize> = 400..=4000;
/// Ready-made contents that are kept, newest first, and how many octets of them.
const BODIES: usize = 8;
const BODY_OCTETS: usize = 32 * 1024 * 1024;
/// How long we use fewer connections after the MTA refused one more.
const CROWDED: Duration = Duration::from_mins(1);
/// How long we leave a queue alone that failed.
const QUEUE_TROUBLE: Duration = Duration::from_secs(5);

struct Dispatcher<Q> {
    context: Arc<Context<Q>>,
    jobs: JoinSet<JobEnd>,
    ready: VecDeque<Job>,
    bodies: VecDeque<(i64, Arc<WireBody>)>,
    /// The queue may have more that is due.
    more: bool,
    /// The MTA is left alone until then; how often it failed in a row.
    pause: Option<Instant>,
    failures: u32,
    /// Fewer connections than configured, until then.
    crowded: Option<(usize, Instant)>,
}

pub(super) async fn run<Q: DeliveryQueue>(
    context: Arc<Context<Q>>,
    mut pulse: Pulse,
    replaced: impl Future<Output = ()> + Send,
    end: impl Future<Output = ()> + Send,
) {
    let mut dispatcher = Dispatcher {
        context,
        jobs: JoinSet::new(),
        ready: VecDeque::new(),
        bodies: VecDeque::new(),
        more: true,
        pause: None,
        failures: 0,
        crowded: None,
    };
    let queue = Arc::clone(&dispatcher.context.queue);
    tokio::pin!(replaced, end);
    loop {
        dispatcher.start_jobs();
        if dispatcher.wants_lease() {
            // Not to be broken off: a lease that nobody takes would wait for the next start.
            if !dispatcher.lease().await {
                break;
            }
            continue;
        }
        let alarm = dispatcher.alarm().await;
        tokio::select! {
            () = &mut end => break,
            () = pulse.asked() => {}
            () = &mut replaced => {
                // What is left to do may take as long as the mail server likes.
                drop(pulse);
                dispatcher.begin_nothing_new().await;
                tokio::select! {
                    () = &mut end => {}
                    () = dispatcher.all_done() => {}
                }
                break;
            }
            Some(ended) = dispatcher.jobs.join_next() => dispatcher.job_ended(ended),
            () = queue.changed() => dispatcher.queue_changed(),
            () = sleep_until(alarm) => dispatcher.alarm_rang(),
        }
    }
    dispatcher.stop().await;
}

impl<Q: DeliveryQueue> Dispatcher<Q> {
    fn connections(&self) -> usize {
        let configured = self.context.settings.connections.max(1);
        self.crowded.map_or(configured, |(fewer, _)| fewer.clamp(1, configured))
    }

    fn start_jobs(&mut self) {
        if self.pause.is_some() {
            return;
        }
        while self.jobs.len() < self.connections() {
            let Some(job) = self.ready.pop_front() else { return };
            self.jobs.spawn(job::run(job, Arc::clone(&self.context)));
        }
    }

    fn wants_lease(&self) -> bool {
        self.more && self.ready.is_empty() && self.pause.is_none()
    }

    /// Leases and cuts into jobs. `false`: the queue is closed.
    async fn lease(&mut self) -> bool {
        let connections = self.connections();
        let limit = (self.context.settings.max_recipients * connections).clamp(*LEASE.start(), *LEASE.end());
        match self.context.queue.due(limit).await {
            Ok(Some(batch)) => self.make_ready(batch, connections).await,
            Ok(None) => {
                self.more = false;
                // Without mail there is no use in keeping contents.
                if self.jobs.is_empty() {
                    self.bodies.clear();
                }
            }
            Err(SpoolError::Closed) => return false,
            Err(error) => {
                tracing::error!("the outgoing queue cannot be read, trying again: {error}");
                self.pause = Some(Instant::now() + QUEUE_TROUBLE);
            }
        }
        true
    }

    async fn make_ready(&mut self, mut batch: DueBatch, connections: usize) {
        let settings = &self.context.settings;
        let mta_verp = match &self.context.outgoing {
            Way::Smtp(smtp) => settings.xverp_delimiter().filter(|_| smtp.verp.may_be_used()),
            Way::Adapter(handover) => handover.verp_delimiter(&settings.verp),
        };
        let envelopes = batch::envelopes(&mut batch, &settings.verp, settings.max_recipients.max(1), mta_verp);
        let (mut envelopes, single) = match envelopes {
            Ok(made) => made,
            Err(error) => return self.put_off(batch, &error.to_string()).await,
        };
        if let Way::Adapter(handover) = &self.context.outgoing {
            envelopes = handover.set_apart(envelopes);
        }
        let single = single || envelopes.iter().all(|one| one.recipients.len() == 1);
        let letter = Arc::new(Letter {
            outgoing: batch.outgoing,
            list_address: batch.list_address,
            message_id: batch.message_id,
            queued: batch.queued,
            body: match self.context.outgoing {
                Way::Smtp(_) => Some(self.body(batch.outgoing, &batch.message, batch.splices.as_deref())),
                Way::Adapter(..) => None,
            },
            message: Message::new(match self.context.outgoing {
                // SMTP has its own form of it and needs not keep two.
                Way::Smtp(_) => Arc::from(&[][..]),
                Way::Adapter(..) => batch.message,
            }),
            splices: batch.splices,
        });
        self.ready.extend(batch::deal(&letter, envelopes, single, connections));
    }

    /// The content as SMTP wants it, made once for each message.
    fn body(&mut self, outgoing: i64, message: &[u8], splices: Option<&Splices>) -> Arc<WireBody> {
        if let Some((_, body)) = self.bodies.iter().find(|(number, _)| *number == outgoing) {
            return Arc::clone(body);
        }
        let body = Arc::new(match splices {
            None => WireBody::new(message),
            Some(splices) => WireBody::spliced(message, splices),
        });
        self.bodies.push_front((outgoing, Arc::clone(&body)));
        let mut octets = 0;
        let mut keep = 0;
        for (_, body) in &self.bodies {
            octets += body.octets().len();
            if keep == BODIES || octets > BODY_OCTETS {
                break;
            }
            keep += 1;
        }
        self.bodies.truncate(keep);
        body
    }

    fn queue_changed(&mut self) {
        self.more = true;
        // The administrator knows better than our patience whether the server is back.
        if self.context.queue.is_pressed() {
            self.pause = None;
        }
    }

    /// A message that cannot be sent at all is put off like one that the MTA does not take.
    async fn put_off(&mut self, batch: DueBatch, reason: &str) {
        tracing::error!(message_id = %batch.message_id, list = %batch.list_address, "cannot be sent: {reason}");
        let retry = self.context.settings.retry;
        let result = |attempts| retry.after_failure(attempts, batch.queued, unix_now(), reason.to_owned());
        let results: Vec<(i64, DeliveryResult)> =
            batch.recipients.iter().map(|one| (one.id, result(one.attempts))).collect();
        if let Err(error) = self.context.queue.record(batch.outgoing, results, false).await {
            tracing::error!(outgoing = batch.outgoing, "results of a delivery were not recorded: {error}");
        }
    }

    fn job_ended(&mut self, end: Result<JobEnd, JoinError>) {
        // Its recipients may be due again, or the queue may have a new next time.
        self.more = true;
        match end {
            Ok(JobEnd::Done { delivered }) => {
                if delivered {
                    self.failures = 0;
                }
            }
            Ok(JobEnd::Unreachable(reason)) => self.leave_alone(&reason),
            Ok(JobEnd::Crowded(reason)) => {
                let fewer = self.jobs.len().max(1);
                tracing::warn!(connections = fewer, "using fewer connections for {} s: {reason}", CROWDED.as_secs());
                self.crowded = Some((fewer, Instant::now() + CROWDED));
            }
            Err(error) => tracing::error!("a delivery broke off, its recipients wait for the next start: {error}"),
        }
    }

    fn leave_alone(&mut self, reason: &str) {
        // Several connections that fail together are one failure.
        if self.pause.is_some() {
            return;
        }
        let settings = &self.context.settings;
        let pause = settings.first_pause.saturating_mul(1 << self.failures.min(16)).min(settings.longest_pause);
        let pause = pause.mul_f64(rand::rng().random_range(0.8..1.2));
        self.failures += 1;
        self.pause = Some(Instant::now() + pause);
        tracing::warn!("no mail goes out for {:.1} s: {reason}", pause.as_secs_f64());
    }

    /// The next time at which something is to be done without being told.
    async fn alarm(&self) -> Option<Instant> {
        let idle = match &self.context.outgoing {
            Way::Smtp(smtp) => smtp.pool.first_expiry(),
            Way::Adapter(..) => None,
        };
        let retry = if self.more || self.pause.is_some() { None } else { self.next_retry().await };
        let crowded = self.crowded.map(|(_, until)| until);
        [idle, retry, crowded, self.pause].into_iter().flatten().min()
    }

    async fn next_retry(&self) -> Option<Instant> {
        match self.context.queue.next_due().await {
            Ok(Some(at)) => {
                // At least a second: what is due now and was not leased is with somebody else.
                let seconds = u64::try_from(at.saturating_sub(unix_now())).unwrap_or(0).clamp(1, 86_400);
                Some(Instant::now() + Duration::from_secs(seconds))
            }
            Ok(None) => None,
            Err(error) => {
                tracing::error!("the outgoing queue cannot be read, trying again: {error}");
                Some(Instant::now() + QUEUE_TROUBLE)
            }
        }
    }

    fn alarm_rang(&mut self) {
        let now = Instant::now();
        self.more = true;
        if self.pause.is_some_and(|until| until <= now) {
            self.pause = None;
        }
        if self.crowded.is_some_and(|(_, until)| until <= now) {
            self.crowded = None;
        }
        if let Way::Smtp(smtp) = &self.context.outgoing {
            for session in smtp.pool.expired() {
                tokio::spawn(session.quit());
            }
        }
    }

    async fn begin_nothing_new(&mut self) {
        self.context.stopping.send_replace(true);
        let mut unbegun: VecDeque<(i64, Vec<i64>)> = VecDeque::new();
        for job in self.ready.drain(..) {
            let ids = job.envelopes.iter().flat_map(|one| one.recipients.iter().map(|r| r.id)).collect();
            unbegun.push_back((job.letter.outgoing, ids));
        }
        for (outgoing, ids) in unbegun {
            if let Err(error) = self.context.queue.release(outgoing, ids).await {
                tracing::debug!("recipients were not given back, the next start finds them: {error}");
            }
        }
    }

    /// Everything that was begun has ended, and its results are on disk.
    async fn all_done(&mut self) {
        while self.jobs.join_next().await.is_some() {}
        if let Way::Smtp(smtp) = &self.context.outgoing {
            smtp.pool.all_recorded().await;
        }
    }

    async fn stop(mut self) {
        self.begin_nothing_new().await;
        self.context.ending.send_replace(true);
        let grace = self.context.settings.grace;
        if tokio::time::timeout(grace, self.all_done()).await.is_err() {
            tracing::warn!(
                connections = self.jobs.len(),
                "the mail server did not answer in time; what was in flight is sent again at the next start"
            );
            self.jobs.shutdown().await;
        }
        if let Way::Smtp(smtp) = &self.context.outgoing {
            let mut goodbyes: JoinSet<()> = smtp.pool.drain().into_iter().map(super::session::Session::quit).collect();
            while goodbyes.join_next().await.is_some() {}
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
