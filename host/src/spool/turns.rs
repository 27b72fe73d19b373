//! Whose turn it is: which recipients of which outgoing message are delivered to next.
//!
//! Messages that are due stand in a ring; each is served once a round, so that a post to 100,000
//! members does not keep a confirmation waiting. What was given away is leased until its result is
//! committed. Leases live in memory only: when the process ends, they end.
//!
//! The clock may be set back by a day. What was to be tried in five minutes would then wait until that day is over
//! again; so what seems to be due later than anything can be ([`FARTHEST_TRY`](super::FARTHEST_TRY)) is due.

use super::commands::farthest_try;
use super::queries::{OutgoingRow, outgoing_row, tries};
use super::types::DueRecipient;
use crate::lists::EmailAddress;
use rusqlite::{Connection, Result, params};
use std::collections::{HashMap, HashSet, VecDeque};

pub(super) struct Turns {
    connection: Connection,
    ring: VecDeque<i64>,
    leases: HashMap<i64, HashSet<i64>>,
}

/// Number of a recipient that cannot be delivered to, and why.
pub(super) type Unusable = (i64, String);

/// Recipients that were leased. With nobody in it the message's own row is wrong: nobody is due, or nobody is left.
pub(super) struct Leased {
    pub outgoing: i64,
    pub row: OutgoingRow,
    pub recipients: Vec<DueRecipient>,
    /// Recipients whose address is none, not leased, with the reason; they are to be recorded as failed.
    pub unusable: Vec<Unusable>,
}

impl Turns {
    pub(super) fn new(connection: Connection) -> Self {
        Turns { connection, ring: VecDeque::new(), leases: HashMap::new() }
    }

    /// Leases up to `limit` recipients of the message whose turn it is.
    ///
    /// The writer ends leases after its commit and under the same lock as this: whatever is seen
    /// here as neither leased nor gone has really not been delivered.
    pub(super) fn lease(&mut self, limit: usize, now: i64) -> Result<Option<Leased>> {
        let Turns { connection, ring, leases } = self;
        let snapshot = connection.unchecked_transaction()?;
        let mut rounds = 0;
        loop {
            while let Some(outgoing) = ring.pop_front() {
                let taken = leases.get(&outgoing);
                let (recipients, unusable) = free_recipients(&snapshot, outgoing, taken, limit, now)?;
                // Nobody is due of what stands in the ring since an earlier time, or is leased; else the row is wrong.
                if recipients.is_empty()
                    && unusable.is_empty()
                    && (taken.is_some() || !is_said_to_be_due(&snapshot, outgoing, now)?)
                {
                    continue;
                }
                if let Some(row) = outgoing_row(&snapshot, outgoing)? {
                    if !recipients.is_empty() {
                        leases.entry(outgoing).or_default().extend(recipients.iter().map(|one| one.id));
                    }
                    return Ok(Some(Leased { outgoing, row, recipients, unusable }));
                }
            }
            // The rest of the old round had nothing; neither has a whole new one.
            if rounds == 1 {
                return Ok(None);
            }
            rounds = 1;
            // Sorted here, because SQLite would rather walk through the whole table by its id.
            let mut due = snapshot
                .prepare_cached("SELECT id FROM outgoing WHERE next_try <= ?1 OR next_try > ?2")?
                .query_map([now, farthest_try(now)], |row| row.get::<_, i64>(0))?
                .collect::<Result<Vec<_>>>()?;
            due.sort_unstable();
            ring.extend(due);
        }
    }

    /// Ends leases.
    pub(super) fn release(&mut self, released: &[(i64, Vec<i64>)]) {
        for (outgoing, ids) in released {
            if let Some(taken) = self.leases.get_mut(outgoing) {
                for id in ids {
                    taken.remove(id);
                }
                if taken.is_empty() {
                    self.leases.remove(outgoing);
                }
            }
        }
    }

    /// What is leased: each outgoing message with its recipients, in no order.
    pub(super) fn leased(&self) -> Vec<(i64, Vec<i64>)> {
        self.leases.iter().map(|(outgoing, taken)| (*outgoing, taken.iter().copied().collect())).collect()
    }

    /// When the next recipient that is not leased becomes due.
    pub(super) fn next_due(&self) -> Result<Option<i64>> {
        let snapshot = self.connection.unchecked_transaction()?;
        let mut least: Option<i64> = None;
        let mut messages = snapshot.prepare_cached("SELECT id, next_try FROM outgoing ORDER BY next_try")?;
        let mut messages = messages.query([])?;
        while let Some(row) = messages.next()? {
            let (outgoing, next_try): (i64, i64) = (row.get(0)?, row.get(1)?);
            if least.is_some_and(|least| least <= next_try) {
                break;
            }
            let free = first_free(&snapshot, outgoing, self.leases.get(&outgoing))?;
            least = least.into_iter().chain(free).min();
        }
        Ok(least)
    }
}

fn free_recipients(
    snapshot: &Connection,
    outgoing: i64,
    taken: Option<&HashSet<i64>>,
    limit: usize,
    now: i64,
) -> Result<(Vec<DueRecipient>, Vec<Unusable>)> {
    // The index alone answers this; leased ones are at most as many as are in flight.
    // Two halves, so that each goes along the index.
    let mut due = snapshot.prepare_cached(
        "SELECT * FROM (SELECT id FROM recipient WHERE outgoing = ?1 AND next_try <= ?2 ORDER BY next_try, id)
         UNION ALL
         SELECT * FROM (SELECT id FROM recipient WHERE outgoing = ?1 AND next_try > ?3 ORDER BY next_try, id)",
    )?;
    let mut details = snapshot.prepare_cached("SELECT address, attempts, name FROM recipient WHERE id = ?1")?;
    let (mut found, mut unusable) = (Vec::new(), Vec::new());
    let mut rows = due.query(params![outgoing, now, farthest_try(now)])?;
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let id: i64 = row.get(0)?;
        if taken.is_some_and(|taken| taken.contains(&id)) {
            continue;
        }
        let (text, attempts, name): (String, u32, String) =
            details.query_row([id], |row| Ok((row.get(0)?, tries(row, 1)?, row.get(2)?)))?;
        match EmailAddress::parse(&text) {
            Ok(address) => found.push(DueRecipient { id, address, name, attempts }),
            // Only a damaged file or another version's rules.
            Err(error) => {
                tracing::error!("spool: recipient {id} of outgoing message {outgoing}: {error}");
                unusable.push((id, format!("the address in the spool is none: {error}")));
            }
        }
    }
    found.sort_unstable_by_key(|one| one.id);
    Ok((found, unusable))
}

fn is_said_to_be_due(snapshot: &Connection, outgoing: i64, now: i64) -> Result<bool> {
    snapshot
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM outgoing WHERE id = ?1 AND (next_try <= ?2 OR next_try > ?3))")?
        .query_row([outgoing, now, farthest_try(now)], |row| row.get(0))
}

fn first_free(snapshot: &Connection, outgoing: i64, taken: Option<&HashSet<i64>>) -> Result<Option<i64>> {
    let mut waiting =
        snapshot.prepare_cached("SELECT id, next_try FROM recipient WHERE outgoing = ?1 ORDER BY next_try, id")?;
    let mut rows = waiting.query([outgoing])?;
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        if !taken.is_some_and(|taken| taken.contains(&id)) {
            return row.get(1).map(Some);
        }
    }
    Ok(None)
}
