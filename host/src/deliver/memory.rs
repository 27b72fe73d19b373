//! A queue in memory, for tests and measurements of delivery alone. Promises nothing of what
//! [`Spool`](crate::spool::Spool) promises.

use super::queue::DeliveryQueue;
use crate::clock::unix_now;
use crate::lists::EmailAddress;
use crate::spool::{DeliveryResult, DueBatch, DueRecipient, Outgoing, Result};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The queue.
#[derive(Debug, Default)]
pub struct MemoryQueue {
    inner: Mutex<Inner>,
    changed: Notify,
    recorded: Notify,
    pressed: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    messages: VecDeque<DueBatch>,
    leased: HashMap<i64, (i64, DueRecipient)>,
    waiting: Vec<(i64, i64, DueRecipient)>,
    originals: HashMap<i64, DueBatch>,
    results: Vec<(EmailAddress, DeliveryResult)>,
    released: HashSet<i64>,
    last_id: i64,
    keep_results: bool,
    open: usize,
}

impl MemoryQueue {
    /// An empty queue that keeps every result, or only counts them.
    pub fn new(keep_results: bool) -> Self {
        let inner = Inner { keep_results, ..Inner::default() };
        MemoryQueue { inner: Mutex::new(inner), ..MemoryQueue::default() }
    }

    /// Queues a message, as if `age` ago.
    pub fn push(&self, outgoing: &Outgoing, age: Duration) {
        let mut inner = self.lock();
        inner.last_id += 1;
        let number = inner.last_id;
        let mut batch = DueBatch {
            outgoing: number,
            list_address: outgoing.list_address.clone(),
            message_id: outgoing.message_id.clone(),
            sender: outgoing.sender.clone(),
            message: Arc::clone(&outgoing.message),
            splices: outgoing.personal.as_ref().map(|personal| Arc::new(personal.splices.clone())),
            recipients: Vec::new(),
            queued: unix_now() - i64::try_from(age.as_secs()).unwrap_or(i64::MAX),
        };
        inner.originals.insert(number, batch.clone());
        let names = outgoing.personal.as_ref().map(|personal| personal.names.as_slice()).unwrap_or_default();
        for (number, address) in outgoing.recipients.iter().enumerate() {
            inner.last_id += 1;
            let (id, name) = (inner.last_id, names.get(number).cloned().unwrap_or_default());
            batch.recipients.push(DueRecipient { id, address: address.clone(), name, attempts: 0 });
        }
        inner.open += batch.recipients.len();
        inner.messages.push_back(batch);
        drop(inner);
        self.changed.notify_one();
    }

    /// Every result so far, in the order in which they were recorded.
    pub fn results(&self) -> Vec<(EmailAddress, DeliveryResult)> {
        self.lock().results.clone()
    }

    /// Recipients that were given back without a result, each counted once.
    pub fn released(&self) -> usize {
        self.lock().released.len()
    }

    /// Recipients that are neither delivered nor failed.
    pub fn open(&self) -> usize {
        self.lock().open
    }

    /// Whether nothing is leased.
    pub fn is_idle(&self) -> bool {
        self.lock().leased.is_empty()
    }

    /// Makes everything that waits for a retry due.
    pub fn retry_now(&self) {
        let mut inner = self.lock();
        for waiting in &mut inner.waiting {
            waiting.0 = 0;
        }
        drop(inner);
        self.pressed.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Returns as soon as this holds; it is asked after each record.
    pub async fn wait_until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let recorded = self.recorded.notified();
            if holds(self) {
                return;
            }
            recorded.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeliveryQueue for MemoryQueue {
    async fn due(&self, limit: usize) -> Result<Option<DueBatch>> {
        let mut inner = self.lock();
        let now = unix_now();
        let (due, waiting): (Vec<_>, Vec<_>) = inner.waiting.drain(..).partition(|(at, ..)| *at <= now);
        inner.waiting = waiting;
        for (_, number, recipient) in due {
            inner.put_back(number, recipient);
        }
        let Some(mut batch) = inner.messages.pop_front() else { return Ok(None) };
        if batch.recipients.len() > limit {
            let rest = batch.recipients.split_off(limit);
            inner.messages.push_back(DueBatch { recipients: rest, ..batch.clone() });
        }
        for recipient in &batch.recipients {
            inner.leased.insert(recipient.id, (batch.outgoing, recipient.clone()));
        }
        Ok(Some(batch))
    }

    async fn next_due(&self) -> Result<Option<i64>> {
        Ok(self.lock().waiting.iter().map(|(at, ..)| *at).min())
    }

    async fn record(&self, _outgoing: i64, results: Vec<(i64, DeliveryResult)>, _patient: bool) -> Result<()> {
        let mut inner = self.lock();
        for (id, result) in results {
            let Some((number, mut recipient)) = inner.leased.remove(&id) else {
                panic!("recipient {id} was recorded without a lease");
            };
            if inner.keep_results {
                let address = recipient.address.clone();
                inner.results.push((address, result.clone()));
            }
            if let DeliveryResult::Retry { after, .. } = result {
                recipient.attempts += 1;
                let at = unix_now() + i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
                inner.waiting.push((at, number, recipient));
                self.changed.notify_one();
            } else {
                inner.open -= 1;
            }
        }
        drop(inner);
        self.recorded.notify_waiters();
        Ok(())
    }

    async fn release(&self, _outgoing: i64, recipients: Vec<i64>) -> Result<()> {
        let mut inner = self.lock();
        for id in recipients {
            let Some((number, recipient)) = inner.leased.remove(&id) else {
                panic!("recipient {id} was released without a lease");
            };
            inner.released.insert(id);
            inner.put_back(number, recipient);
        }
        drop(inner);
        self.recorded.notify_waiters();
        Ok(())
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }

    fn is_pressed(&self) -> bool {
        self.pressed.swap(false, Ordering::AcqRel)
    }
}

impl Inner {
    fn put_back(&mut self, number: i64, recipient: DueRecipient) {
        if let Some(batch) = self.messages.iter_mut().find(|batch| batch.outgoing == number) {
            batch.recipients.push(recipient);
        } else if let Some(original) = self.originals.get(&number) {
            self.messages.push_back(DueBatch { recipients: vec![recipient], ..original.clone() });
        }
    }
}
