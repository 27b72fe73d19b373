//! One job: some transactions of one message, over one connection, and their results.

use super::batch::{Job, Letter, cut, one_by_one};
use super::body::{Content, WireBody};
use super::handover::{Handover, NotTried};
use super::injection::Message;
use super::pool::OpenSession;
use super::queue::DeliveryQueue;
use super::recorder::Recorder;
use super::session::OpenError;
use super::transaction::{Early, Envelope, Sent, ServerVerp, Verdict};
use super::{Context, Smtp, Way};
use crate::clock::unix_now;
use crate::personal::{Own, Splices};
use crate::spool::{DeliveryResult, DueRecipient};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

/// Why a job ended.
#[derive(Debug)]
pub(super) enum JobEnd {
    /// Everything was tried, or the program ends.
    Done {
        /// Whether the MTA took anything.
        delivered: bool,
    },
    /// The MTA does not work at all: it is left alone for a while. Nobody was judged by it.
    Unreachable(String),
    /// It takes no further connection, but others are open and work.
    Crowded(String),
}

/// What the log line of a job counts.
#[derive(Debug, Default)]
struct Tally {
    delivered: usize,
    retried: usize,
    failed: usize,
}

/// Does the job; what was not tried is released.
pub(super) async fn run<Q: DeliveryQueue>(job: Job, context: Arc<Context<Q>>) -> JobEnd {
    let begun = Instant::now();
    let letter = Arc::clone(&job.letter);
    let mut work = Work {
        recorder: Recorder::new(Arc::clone(&context.queue), letter.outgoing, context.ending.subscribe()),
        letter,
        tally: Tally::default(),
        untried: Vec::new(),
        own: Default::default(),
        context,
    };
    let end = match &work.context.outgoing {
        Way::Smtp(_) => work.over_smtp(job).await,
        Way::Adapter(handover) => {
            let handover = Arc::clone(handover);
            work.through_adapter(job, &handover).await
        }
    };
    work.finish(begun).await;
    end
}

struct Work<Q> {
    context: Arc<Context<Q>>,
    letter: Arc<Letter>,
    recorder: Recorder<Q>,
    tally: Tally,
    untried: Vec<i64>,
    /// What the recipient of the transaction gets of his own, and what the one of the next.
    own: [Own; 2],
}

impl<Q: DeliveryQueue> Work<Q> {
    async fn over_smtp(&mut self, mut job: Job) -> JobEnd {
        let context = Arc::clone(&self.context);
        let Way::Smtp(smtp) = &context.outgoing else { return JobEnd::Done { delivered: false } };
        let Some(body) = self.letter.body.clone() else { return JobEnd::Done { delivered: false } };
        let mut stopping = context.stopping.subscribe();
        let mut session: Option<OpenSession> = None;
        let mut end = None;
        while let Some(mut envelope) = job.envelopes.pop_front() {
            if *context.stopping.borrow() {
                job.envelopes.push_front(envelope);
                break;
            }
            let connected = match session.take() {
                Some(open) => Some(Ok(open)),
                None => connect(smtp, &context).await,
            };
            let Some(Ok(mut open)) = connected else {
                job.envelopes.push_front(envelope);
                end = connected.and_then(Result::err).map(|error| unreachable(&error, smtp.pool.open()));
                break;
            };
            if let Some(commit) = open.unrecorded() {
                // A server that makes no senders for VERP gets each recipient's message alone.
                let alone = job.single || (envelope.verp_delimiter.is_some() && !open.makes_verp_senders());
                self.recorder.take_over(commit, alone).await;
            }
            if let Some(rest) = smtp.limit.current().and_then(|limit| cut(&mut envelope, limit)) {
                job.envelopes.push_front(rest);
            }
            let fresh = open.transactions() == 0;
            if fresh {
                smtp.verp.offered(open.makes_verp_senders());
            }
            let single = job.single && envelope.recipients.len() == 1;
            self.recorder.begin(single).await;
            // Of more recipients some may be left, who come before the next.
            let next = job.envelopes.front().filter(|next| {
                envelope.recipients.len() == 1
                    && next.recipients.len() == 1
                    && open.can_look_ahead()
                    && open.transactions() + 1 < context.settings.max_transactions
                    && smtp.early.may_come(open.has_begun())
            });
            let looks_ahead = next.is_some();
            let sent = self.send(&mut open, &envelope, next, &body, &mut stopping).await;
            if let Some(limit) = sent.limit {
                smtp.limit.learn(limit, &smtp.target);
            }
            if looks_ahead || sent.early != Early::None {
                smtp.early.learn(&sent, open.transactions(), &smtp.target);
            }
            if let Some(error) = &sent.broken {
                tracing::info!(server = %smtp.target, message_id = %self.letter.message_id, "connection ended: {error}");
                if fresh
                    && sent.server_verp == ServerVerp::Fine
                    && !sent.mail_accepted
                    && sent.verdicts.iter().all(|verdict| *verdict == Verdict::Unjudged)
                {
                    job.envelopes.push_front(envelope);
                    drop(open);
                    let reason = format!("mail server {}: {error}", smtp.target);
                    end =
                        Some(if smtp.pool.open() > 0 { JobEnd::Crowded(reason) } else { JobEnd::Unreachable(reason) });
                    break;
                }
            } else if open.transactions() >= context.settings.max_transactions {
                tokio::spawn(open.into_inner().quit());
            } else {
                session = Some(open);
            }
            let no_verp = sent.server_verp != ServerVerp::Fine;
            if let ServerVerp::Refused(reply) = &sent.server_verp {
                smtp.verp.refused(&smtp.target, reply);
            }
            if let Some(rest) = self.take_verdicts(envelope, sent) {
                if no_verp {
                    job.single = true;
                    let mut apart: VecDeque<_> = one_by_one(rest, &context.settings.verp).collect();
                    apart.append(&mut job.envelopes);
                    job.envelopes = apart;
                } else {
                    job.envelopes.push_front(rest);
                }
            }
            self.recorder.checkpoint(single).await;
        }
        // Whoever has begun with a message that is not sent can only hang up: then it was not sent.
        if let Some(open) = session.filter(|open| !open.has_begun()) {
            // Another job on it must not add what it has in flight to all that a crash now doubles.
            let unrecorded = self.recorder.hand_over().await;
            smtp.pool.give_back(open, unrecorded);
        }
        self.untried.extend(job.envelopes.iter().flat_map(|one| one.recipients.iter().map(|r| r.id)));
        end.unwrap_or(JobEnd::Done { delivered: self.tally.delivered > 0 })
    }

    /// Sends; when the program is to end meanwhile, what is known is recorded before the MTA's
    /// answer is waited for, which may be longer than we are given.
    async fn send(
        &mut self,
        open: &mut OpenSession,
        envelope: &Envelope,
        next: Option<&Envelope>,
        body: &WireBody,
        stopping: &mut watch::Receiver<bool>,
    ) -> Sent {
        let [own, next_own] = &mut self.own;
        let splices = self.letter.splices.as_deref();
        let content = content_for(envelope, body, splices, own);
        let next = next.map(|next| (next, content_for(next, body, splices, next_own)));
        let sending = open.send_before(envelope, content, next);
        tokio::pin!(sending);
        tokio::select! {
            biased;
            sent = &mut sending => return sent,
            _ = stopping.wait_for(|stop| *stop) => {}
        }
        self.recorder.flush().await;
        sending.await
    }

    /// Records verdicts; returns those who got none and are sent again at once.
    ///
    /// That is allowed only when somebody got a verdict, when a limit was learned, or when the message was not even begun:
    /// so a message on which the MTA always hangs up is put off like any other failure, and
    /// cannot hold up the rest.
    fn take_verdicts(&mut self, envelope: Envelope, sent: Sent) -> Option<Envelope> {
        let progress = sent.limit.is_some() || sent.verdicts.iter().any(|verdict| *verdict != Verdict::Unjudged);
        let reason = sent.broken.filter(|_| sent.mail_accepted && !progress).map(|error| error.to_string());
        let Envelope { sender, recipients, smtp_utf8, verp_delimiter } = envelope;
        let mut rest = Vec::new();
        for (recipient, verdict) in recipients.into_iter().zip(sent.verdicts) {
            match (verdict, &reason) {
                (Verdict::Unjudged, None) => rest.push(recipient),
                (Verdict::Unjudged, Some(reason)) => self.judge(&recipient, Verdict::Temporary(reason.clone())),
                (verdict, _) => self.judge(&recipient, verdict),
            }
        }
        (!rest.is_empty()).then_some(Envelope { sender, recipients: rest, smtp_utf8, verp_delimiter })
    }

    async fn through_adapter(&mut self, mut job: Job, handover: &Handover) -> JobEnd {
        let mut stopping = self.context.stopping.subscribe();
        let mut end = None;
        while let Some(mut envelope) = job.envelopes.pop_front() {
            if *self.context.stopping.borrow() {
                job.envelopes.push_front(envelope);
                break;
            }
            match self.hand_over(handover, &envelope, &mut stopping).await {
                Ok(verdicts) => {
                    for (recipient, verdict) in envelope.recipients.iter().zip(verdicts) {
                        self.judge(recipient, verdict);
                    }
                    self.recorder.checkpoint(job.single && envelope.recipients.len() == 1).await;
                }
                Err(NotTried::Halve(reason)) => {
                    tracing::info!(
                        message_id = %self.letter.message_id,
                        recipients = envelope.recipients.len(),
                        "not taken for all at once, trying each half: {reason}"
                    );
                    let half = envelope.recipients.len().div_ceil(2);
                    job.envelopes.extend(cut(&mut envelope, half));
                    job.envelopes.push_front(envelope);
                }
                Err(NotTried::Apart(reason)) => {
                    tracing::warn!(
                        message_id = %self.letter.message_id,
                        recipients = envelope.recipients.len(),
                        "trying each recipient alone: {reason}"
                    );
                    job.single = true;
                    let mut apart = handover.set_apart([envelope].into());
                    apart.append(&mut job.envelopes);
                    job.envelopes = apart;
                }
                Err(NotTried::Away(reason)) => {
                    job.envelopes.push_front(envelope);
                    end = Some(JobEnd::Unreachable(reason));
                    break;
                }
            }
        }
        self.untried.extend(job.envelopes.iter().flat_map(|one| one.recipients.iter().map(|r| r.id)));
        end.unwrap_or(JobEnd::Done { delivered: self.tally.delivered > 0 })
    }

    /// As [`Work::send`], through an adapter.
    async fn hand_over(
        &mut self,
        handover: &Handover,
        envelope: &Envelope,
        stopping: &mut watch::Receiver<bool>,
    ) -> Result<Vec<Verdict>, NotTried> {
        let letter = Arc::clone(&self.letter);
        // An adapter takes whole messages: the only place where one is made for each recipient.
        let own_message = match (&letter.splices, envelope.recipients.first()) {
            (Some(splices), Some(recipient)) => {
                let [own, _] = &mut self.own;
                own.make(splices, &recipient.address, &recipient.name);
                let whole = own.put_into(letter.message.octets(), splices);
                Some(Message::new(Arc::from(whole)))
            }
            _ => None,
        };
        let sending = handover.send(envelope, own_message.as_ref().unwrap_or(&letter.message));
        tokio::pin!(sending);
        tokio::select! {
            biased;
            sent = &mut sending => return sent,
            _ = stopping.wait_for(|stop| *stop) => {}
        }
        self.recorder.flush().await;
        sending.await
    }

    fn judge(&mut self, recipient: &DueRecipient, verdict: Verdict) {
        let result = match verdict {
            Verdict::Delivered => DeliveryResult::Delivered,
            Verdict::Permanent(reply) => DeliveryResult::Failed { reply },
            Verdict::Temporary(reply) => {
                let retry = self.context.settings.retry;
                retry.after_failure(recipient.attempts, self.letter.queued, unix_now(), reply)
            }
            // Never asked for; whoever gets no verdict was put back into an envelope.
            Verdict::Unjudged => return self.untried.push(recipient.id),
        };
        match &result {
            DeliveryResult::Delivered => self.tally.delivered += 1,
            DeliveryResult::Retry { after, reply } => {
                self.tally.retried += 1;
                tracing::warn!(
                    message_id = %self.letter.message_id,
                    list = %self.letter.list_address,
                    recipient = %recipient.address,
                    attempts = recipient.attempts.saturating_add(1),
                    "not delivered, next try in {} s: {reply}", after.as_secs()
                );
            }
            DeliveryResult::Failed { reply } => {
                self.tally.failed += 1;
                tracing::warn!(
                    message_id = %self.letter.message_id,
                    list = %self.letter.list_address,
                    recipient = %recipient.address,
                    "delivery failed: {reply}"
                );
            }
        }
        self.recorder.push(recipient.id, result);
    }

    async fn finish(self, begun: Instant) {
        self.recorder.finish().await;
        let untried = self.untried.len();
        if untried > 0
            && let Err(error) = self.context.queue.release(self.letter.outgoing, self.untried).await
        {
            tracing::error!(
                outgoing = self.letter.outgoing,
                recipients = untried,
                "recipients could not be given back to the queue and wait for the next start: {error}"
            );
        }
        let Tally { delivered, retried, failed } = self.tally;
        if delivered + retried + failed > 0 {
            tracing::info!(
                message_id = %self.letter.message_id,
                list = %self.letter.list_address,
                delivered,
                retried,
                failed,
                seconds = begun.elapsed().as_millis() as f64 / 1000.0,
                "delivered"
            );
        }
    }
}

/// The message, with what is the first recipient's own.
fn content_for<'c>(
    envelope: &Envelope,
    body: &'c WireBody,
    splices: Option<&Splices>,
    own: &'c mut Own,
) -> Content<'c> {
    match (splices, envelope.recipients.first()) {
        (Some(splices), Some(recipient)) => {
            own.make(splices, &recipient.address, &recipient.name);
            Content::with_own(body, own)
        }
        _ => Content::from(body),
    }
}

/// A connection; `None` when the program is to end, which a banner that does not come must not hold
/// up.
async fn connect<Q>(smtp: &Smtp, context: &Context<Q>) -> Option<Result<OpenSession, OpenError>> {
    let mut stopping = context.stopping.subscribe();
    tokio::select! {
        taken = smtp.pool.take(&smtp.target) => Some(taken),
        _ = stopping.wait_for(|stop| *stop) => None,
    }
}

fn unreachable(error: &OpenError, open: usize) -> JobEnd {
    if open > 0 { JobEnd::Crowded(error.to_string()) } else { JobEnd::Unreachable(error.to_string()) }
}
