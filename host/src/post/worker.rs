//! The loop that takes arrivals from the spool and has them processed.
//!
//! Promise: arrivals of one list are processed in the order in which they came, one at a time; several
//! lists at the same time, and a list with much mail does not keep that of others from being seen. One that meets
//! temporary trouble is tried again with growing delay and holds up nobody. What is discarded is removed together with
//! what is discarded until then, and its list does not wait for that. It sleeps until the spool tells of new
//! arrivals; it never polls. When told to shut down it finishes what it has begun and leaves the rest in the spool.

use super::process::{Done, Processor, Temporary};
use crate::pulse::Pulse;
use crate::spool::{Arrival, SpoolError};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

/// So many arrivals are processed at the same time.
const PARALLEL: usize = 4;
/// So many octets they have together at most, unless it is only one: each is in memory up to three times.
const MANY_OCTETS: u64 = 16 << 20;
/// So many arrivals are asked for at once.
const PAGE: usize = 256;
/// So many of one list wait in memory; the rest waits where it is, so that others behind it are seen.
const OF_ONE_LIST: usize = 64;
/// No more are asked for while so many wait in memory for their turn, or so many for their next try.
const ROOM: usize = 8192;
/// So many discarded ones may wait for their removal.
const DISCARDED: usize = 256;
/// The first delay after temporary trouble; it doubles each time.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Who made an older arrival new again may have died before he told us: so often they are looked through for it, when
/// there is nothing else to do.
const LOOK_BACK: Duration = Duration::from_mins(1);
/// The longest delay.
const LONGEST_DELAY: Duration = Duration::from_mins(5);

/// Processes everything that arrives.
pub struct Worker {
    processor: Processor,
    pulse: Pulse,
}

/// How one arrival ended.
type Outcome = Result<Done, Temporary>;

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
        let mut removal: JoinSet<Result<(), SpoolError>> = JoinSet::new();
        let mut search = Search::default();
        loop {
            if self.processor.spool.has_renewed_arrivals() {
                search.start_over();
            }
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
            if removal.is_empty() && agenda.has_discarded() {
                let (spool, discarded) = (self.processor.spool.clone(), agenda.begin_removal());
                removal.spawn(async move { spool.finish(discarded).await });
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
                        search.start_over_now_and_then(Instant::now());
                    }
                }
                Some(removed) = removal.join_next() => agenda.removal_ended(removed),
                () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => agenda.wake(Instant::now()),
                // What was found goes on beside a long search.
                () = tokio::task::yield_now(), if search.may_look(now) && agenda.wants_to_look(search.pending) => {}
            }
        }
        // What is left to do is no turn of the loop.
        self.pulse = Pulse::unwatched();
        while let Some(done) = running.join_next_with_id().await {
            if let Ok((id, Ok(Done::Discarded))) = done
                && let Some((arrival, attempts)) = jobs.remove(&id)
            {
                agenda.discard(arrival, attempts);
            }
        }
        while removal.join_next().await.is_some() {}
        if agenda.has_discarded() && self.processor.spool.finish(agenda.begin_removal()).await.is_err() {
            info!("discarded posts are still there, and are discarded when Postrider starts again");
        }
    }

    /// Asks the spool for a page, and for more of a list that has few left in memory, if that is wanted now.
    fn look(&self, search: &mut Search, agenda: &mut Agenda) -> Result<(), SpoolError> {
        if !search.may_look(Instant::now()) {
            return Ok(());
        }
        let looked = self.look_further(search, agenda).and_then(|()| self.refill(agenda));
        match looked {
            Err(SpoolError::Closed) => Err(SpoolError::Closed),
            Err(trouble) => {
                warn!(%trouble, "cannot read the arrivals; trying again in {} s", FIRST_DELAY.as_secs());
                search.not_before = Some(Instant::now() + FIRST_DELAY);
                Ok(())
            }
            Ok(()) => {
                search.not_before = None;
                Ok(())
            }
        }
    }

    fn look_further(&self, search: &mut Search, agenda: &mut Agenda) -> Result<(), SpoolError> {
        if !search.pending || !agenda.has_room() {
            return Ok(());
        }
        let page = self.processor.spool.new_arrivals(search.cursor, PAGE)?;
        search.found(page.last().map(|arrival| arrival.id), page.len() < PAGE);
        for arrival in page {
            agenda.add(arrival);
        }
        Ok(())
    }

    fn refill(&self, agenda: &mut Agenda) -> Result<(), SpoolError> {
        let Some((list, behind)) = agenda.hungry() else { return Ok(()) };
        let page = self.processor.spool.new_arrivals_of(list, behind, OF_ONE_LIST)?;
        agenda.fed(list, page);
        Ok(())
    }

    async fn ended(
        &self,
        agenda: &mut Agenda,
        arrival: Arrival,
        attempts: u32,
        outcome: Result<Outcome, tokio::task::JoinError>,
    ) {
        let trouble = match outcome {
            Ok(Ok(Done::Settled)) => return agenda.done(&arrival),
            Ok(Ok(Done::Discarded)) => return agenda.discard(arrival, attempts),
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
        let delay = delay_after(attempts);
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

/// Before the next try after so many.
fn delay_after(attempts: u32) -> Duration {
    FIRST_DELAY.saturating_mul(1 << attempts.min(16)).min(LONGEST_DELAY)
}

/// Where to look for arrivals next.
struct Search {
    /// Those up to here were seen.
    cursor: i64,
    /// Whether there may be more.
    pending: bool,
    /// The spool failed; not before this.
    not_before: Option<Instant>,
    started_over: Option<Instant>,
}

impl Default for Search {
    fn default() -> Self {
        Search { cursor: 0, pending: true, not_before: None, started_over: None }
    }
}

impl Search {
    fn may_look(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|time| time <= now)
    }

    /// There is news behind the cursor.
    fn start(&mut self) {
        self.pending = true;
    }

    /// There may be news before it.
    fn start_over(&mut self) {
        (self.cursor, self.pending) = (0, true);
    }

    fn start_over_now_and_then(&mut self, now: Instant) {
        if self.started_over.is_none_or(|last| now.duration_since(last) >= LOOK_BACK) {
            self.started_over = Some(now);
            self.start_over();
        }
    }

    fn found(&mut self, last: Option<i64>, complete: bool) {
        self.cursor = last.unwrap_or(self.cursor);
        self.pending = !complete;
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
    /// To be removed, and nothing else.
    discarded: Vec<(Arrival, u32)>,
    /// Those that are just being removed.
    removing: Vec<(Arrival, u32)>,
    queued: usize,
    /// Lists that have more in the spool, behind this arrival.
    more: HashMap<i64, i64>,
    /// Those of them that have few left in here, in turn.
    hungry: VecDeque<i64>,
}

impl Agenda {
    /// Takes it if it is not known yet and its list may have more in here.
    fn add(&mut self, arrival: Arrival) {
        let list = arrival.recipient.list;
        if self.known.contains(&arrival.id) {
            return;
        }
        let has_enough = || self.waiting.get(&list).is_some_and(|waiting| waiting.len() >= OF_ONE_LIST);
        // Once one was passed over, so are those that came after it: the order is kept.
        if self.more.contains_key(&list) || has_enough() {
            let behind = self.more.entry(list).or_insert(i64::MAX);
            *behind = (*behind).min(arrival.id - 1);
            return;
        }
        self.known.insert(arrival.id);
        self.queue(arrival, 0);
    }

    /// A list that needs more, and behind which arrival to look for it.
    fn hungry(&self) -> Option<(i64, i64)> {
        let list = *self.hungry.front()?;
        Some((list, *self.more.get(&list)?))
    }

    /// This is what was found for the one that [`Agenda::hungry`] told.
    fn fed(&mut self, list: i64, page: Vec<Arrival>) {
        self.hungry.pop_front();
        match page.last() {
            Some(last) if page.len() >= OF_ONE_LIST => drop(self.more.insert(list, last.id)),
            _ => drop(self.more.remove(&list)),
        }
        for arrival in page {
            if self.known.insert(arrival.id) {
                self.queue(arrival, 0);
            }
        }
        self.mark_hungry(list);
    }

    fn mark_hungry(&mut self, list: i64) {
        let few = self.waiting.get(&list).is_none_or(|waiting| waiting.len() <= OF_ONE_LIST / 2);
        if few && self.more.contains_key(&list) && !self.hungry.contains(&list) {
            self.hungry.push_back(list);
        }
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
        if self.discarded.len() >= DISCARDED {
            return None;
        }
        let list = self.ready.pop_front()?;
        let next = self.waiting.get_mut(&list)?.pop_front()?;
        self.busy.insert(list);
        self.queued -= 1;
        self.mark_hungry(list);
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

    /// Its list goes on; it stays known until it is gone.
    fn discard(&mut self, arrival: Arrival, attempts: u32) {
        self.release(arrival.recipient.list);
        self.discarded.push((arrival, attempts));
    }

    fn has_discarded(&self) -> bool {
        !self.discarded.is_empty()
    }

    /// The numbers of all that are discarded.
    fn begin_removal(&mut self) -> Vec<i64> {
        self.removing = std::mem::take(&mut self.discarded);
        self.removing.iter().map(|(arrival, _)| arrival.id).collect()
    }

    fn removal_ended(&mut self, removed: Result<Result<(), SpoolError>, tokio::task::JoinError>) {
        let trouble = match removed {
            Ok(Ok(())) => return self.removed(),
            Ok(Err(trouble)) => trouble.to_string(),
            Err(panic) => panic.to_string(),
        };
        let posts = self.removing.len();
        warn!(posts, trouble, "discarded posts cannot be removed; they will be processed again");
        self.not_removed(Instant::now());
    }

    fn removed(&mut self) {
        for (arrival, _) in std::mem::take(&mut self.removing) {
            self.known.remove(&arrival.id);
        }
    }

    fn not_removed(&mut self, now: Instant) {
        for (arrival, attempts) in std::mem::take(&mut self.removing) {
            self.delayed.insert((now + delay_after(attempts), arrival.id), (arrival, attempts + 1));
        }
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
        self.queued < ROOM && self.delayed.len() < ROOM
    }

    /// Whether there is something to ask the spool for. `pending`: what all lists have.
    fn wants_to_look(&self, pending: bool) -> bool {
        (pending && self.has_room()) || !self.hungry.is_empty()
    }

    /// Nothing is being processed or could be now.
    fn is_idle(&self) -> bool {
        self.queued == 0 && self.busy.is_empty() && self.more.is_empty()
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
