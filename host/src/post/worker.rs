//! The loop that takes arrivals from the spool and has them processed.
//!
//! Promise: arrivals of one list are processed in the order in which they came, one at a time; several
//! lists at the same time. One that meets temporary trouble is tried again with growing delay and holds
//! up nobody. It sleeps until the spool tells of new arrivals; it never polls. When told to shut down it
//! finishes what it has begun and leaves the rest in the spool.

use super::process::{Processor, Temporary};
use crate::pulse::Pulse;
use crate::spool::{Arrival, SpoolError};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{error, warn};

/// So many arrivals are processed at the same time.
const PARALLEL: usize = 4;
/// So many octets they have together at most, unless it is only one: each is in memory up to three times.
const MANY_OCTETS: u64 = 16 << 20;
/// So many arrivals are asked for at once.
const PAGE: usize = 256;
/// No more are asked for while so many wait in memory.
const ROOM: usize = 1024;
/// The first delay after temporary trouble; it doubles each time.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest delay.
const LONGEST_DELAY: Duration = Duration::from_mins(5);

/// Processes everything that arrives.
pub struct Worker {
    processor: Processor,
    pulse: Pulse,
}

/// How one arrival ended.
type Outcome = Result<(), Temporary>;

impl Worker {
    /// Over this processor.
    pub fn new(processor: Processor) -> Self {
        Worker { processor, pulse: Pulse::unwatched() }
    }

    /// Shows by this pulse that it turns.
    #[must_use]
    pub fn watched(self, pulse: Pulse) -> Self {
        Worker { pulse, ..self }
    }

    /// Runs until `shutdown` completes, or the spool is closed.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut agenda = Agenda::default();
        let mut running: JoinSet<Outcome> = JoinSet::new();
        let mut jobs: HashMap<tokio::task::Id, (Arrival, u32)> = HashMap::new();
        let mut search = Search::default();
        loop {
            if let Err(SpoolError::Closed) = self.look(&mut search, &mut agenda) {
                break;
            }
            while running.len() < PARALLEL
                && agenda.fits_beside(jobs.values().map(|(arrival, _)| arrival.size).sum())
                && let Some((arrival, attempts)) = agenda.take()
            {
                let processor = self.processor.clone();
                let job = arrival.clone();
                let id = running.spawn(async move { processor.process(&job).await }).id();
                jobs.insert(id, (arrival, attempts));
            }
            let now = Instant::now();
            let wake = [agenda.next_due(), search.not_before.filter(|time| *time > now)].into_iter().flatten().min();
            tokio::select! {
                () = &mut shutdown => break,
                () = self.pulse.asked() => {}
                () = self.processor.spool.arrivals_changed().notified() => search.start(),
                Some(done) = running.join_next_with_id() => {
                    let (id, outcome) = match done {
                        Ok((id, outcome)) => (id, Ok(outcome)),
                        Err(error) => (error.id(), Err(error)),
                    };
                    if let Some((arrival, attempts)) = jobs.remove(&id) {
                        self.ended(&mut agenda, arrival, attempts, outcome).await;
                    }
                    if agenda.is_idle() {
                        // An arrival made new again has a lower number than those seen since.
                        search.start_over();
                    }
                }
                () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => agenda.wake(Instant::now()),
                () = std::future::ready(()), if search.wanted(now) && agenda.has_room() => {}
            }
        }
        // What is left to do is no turn of the loop.
        drop(self);
        while running.join_next().await.is_some() {}
    }

    /// Asks the spool for one page, if that is wanted now.
    fn look(&self, search: &mut Search, agenda: &mut Agenda) -> Result<(), SpoolError> {
        if !search.wanted(Instant::now()) || !agenda.has_room() {
            return Ok(());
        }
        match self.processor.spool.new_arrivals(search.cursor, PAGE) {
            Ok(page) => {
                let last = page.last().map(|arrival| arrival.id);
                let complete = page.len() < PAGE;
                let news = page.into_iter().filter(|arrival| agenda.add(arrival)).count();
                search.found(last, complete, news > 0);
                Ok(())
            }
            Err(SpoolError::Closed) => Err(SpoolError::Closed),
            Err(trouble) => {
                warn!(%trouble, "cannot read the arrivals; trying again in {} s", FIRST_DELAY.as_secs());
                search.not_before = Some(Instant::now() + FIRST_DELAY);
                Ok(())
            }
        }
    }

    async fn ended(
        &self,
        agenda: &mut Agenda,
        arrival: Arrival,
        attempts: u32,
        outcome: Result<Outcome, tokio::task::JoinError>,
    ) {
        let trouble = match outcome {
            Ok(Ok(())) => return agenda.done(&arrival),
            Ok(Err(trouble)) => trouble.to_string(),
            Err(panic) => {
                error!(arrival = arrival.id, %panic, "processing failed");
                let reason = "this program failed on it; please report it with the message";
                match self.processor.shunt(&arrival, reason).await {
                    Ok(()) => return agenda.done(&arrival),
                    Err(trouble) => trouble.to_string(),
                }
            }
        };
        let delay = FIRST_DELAY.saturating_mul(1 << attempts.min(16)).min(LONGEST_DELAY);
        warn!(
            arrival = arrival.id,
            list = arrival.recipient.list_address,
            trouble,
            "trying again in {} s",
            delay.as_secs()
        );
        agenda.delay(arrival, attempts + 1, Instant::now() + delay);
    }
}

/// Where to look for arrivals next.
struct Search {
    /// Those up to here were seen.
    cursor: i64,
    /// Whether there may be more.
    pending: bool,
    /// Whether this search was begun at the beginning.
    whole: bool,
    /// The spool failed; not before this.
    not_before: Option<Instant>,
}

impl Default for Search {
    fn default() -> Self {
        Search { cursor: 0, pending: true, whole: true, not_before: None }
    }
}

impl Search {
    fn wanted(&self, now: Instant) -> bool {
        self.pending && self.not_before.is_none_or(|time| time <= now)
    }

    /// There is news: behind the cursor, most likely.
    fn start(&mut self) {
        if !self.pending {
            self.pending = true;
            self.whole = self.cursor == 0;
        }
    }

    fn start_over(&mut self) {
        if !self.pending && self.cursor > 0 {
            *self = Search::default();
        }
    }

    fn found(&mut self, last: Option<i64>, complete: bool, news: bool) {
        self.not_before = None;
        self.cursor = last.unwrap_or(self.cursor);
        if !complete {
            return;
        }
        if news || self.whole {
            self.pending = false;
        } else {
            // Told of news, found none: an older arrival was made new again.
            *self = Search::default();
        }
    }
}

/// What waits, by list.
#[derive(Default)]
struct Agenda {
    waiting: HashMap<i64, VecDeque<(Arrival, u32)>>,
    /// Lists with something waiting that are not being worked on, in turn.
    ready: VecDeque<i64>,
    busy: HashSet<i64>,
    /// Every arrival in here or being processed.
    known: HashSet<i64>,
    delayed: BTreeMap<(Instant, i64), (Arrival, u32)>,
    queued: usize,
}

impl Agenda {
    /// `false` when it is known already.
    fn add(&mut self, arrival: &Arrival) -> bool {
        let new = self.known.insert(arrival.id);
        if new {
            self.queue(arrival.clone(), 0);
        }
        new
    }

    fn queue(&mut self, arrival: Arrival, attempts: u32) {
        let list = arrival.recipient.list;
        let waiting = self.waiting.entry(list).or_default();
        if waiting.is_empty() && !self.busy.contains(&list) {
            self.ready.push_back(list);
        }
        waiting.push_back((arrival, attempts));
        self.queued += 1;
    }

    /// The next to be processed, of a list that is not being worked on.
    fn take(&mut self) -> Option<(Arrival, u32)> {
        let list = self.ready.pop_front()?;
        let next = self.waiting.get_mut(&list)?.pop_front()?;
        self.busy.insert(list);
        self.queued -= 1;
        Some(next)
    }

    /// Whether the next may be processed beside others that have so many octets together.
    fn fits_beside(&self, octets: u64) -> bool {
        let next = self.ready.front().and_then(|list| self.waiting.get(list)?.front());
        octets == 0 || next.is_some_and(|(arrival, _)| octets.saturating_add(arrival.size) <= MANY_OCTETS)
    }

    fn done(&mut self, arrival: &Arrival) {
        self.known.remove(&arrival.id);
        self.release(arrival.recipient.list);
    }

    fn delay(&mut self, arrival: Arrival, attempts: u32, until: Instant) {
        let list = arrival.recipient.list;
        self.delayed.insert((until, arrival.id), (arrival, attempts));
        self.release(list);
    }

    fn release(&mut self, list: i64) {
        self.busy.remove(&list);
        match self.waiting.get(&list) {
            Some(waiting) if !waiting.is_empty() => self.ready.push_back(list),
            _ => drop(self.waiting.remove(&list)),
        }
    }

    /// Queues what has waited long enough.
    fn wake(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry()
            && entry.key().0 <= now
        {
            let (arrival, attempts) = entry.remove();
            self.queue(arrival, attempts);
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.delayed.keys().next().map(|(time, _)| *time)
    }

    fn has_room(&self) -> bool {
        self.queued + self.delayed.len() < ROOM
    }

    /// Nothing is being processed or could be now.
    fn is_idle(&self) -> bool {
        self.queued == 0 && self.busy.is_empty()
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
