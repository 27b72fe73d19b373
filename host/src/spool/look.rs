//! The queues, for people: as they are at one moment, or in portions.
//!
//! Everything is told one by one, so memory is bounded however much waits, and in portions, each of which is a moment of
//! its own: whoever is told may wait for a pager or a pipe, and as long as a moment lasts, the write-ahead log only
//! grows. Portions go by number, which is never used again: whatever stays is told, and nothing twice. Counts come from indexes; only a question
//! for one recipient's address, which has no index because intake would pay for it, reads all recipients once.

use super::body::BodyDirectory;
use super::queries::{self, StoredBody};
use super::types::{
    Arrival, ArrivalFilter, ArrivalState, BounceEvent, BounceFilter, OutgoingFilter, OutgoingState, QueueSummary,
    QueuedOutgoing, QueuedRecipient, RecipientFilter, SameReply,
};
use super::{Result, SpoolError};
use crate::clock::unix_now;
use crate::personal::Splices;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// So many different replies are told apart.
const DIFFERENT_REPLIES: usize = 1000;

/// Rows of a portion.
pub(super) const PORTION: usize = 500;

/// The queues; made by [`Spool::look`](super::Spool::look) and [`Spool::browse`](super::Spool::browse).
pub struct Queues<'a> {
    pub(super) db: &'a Connection,
    pub(super) file: &'a Path,
    pub(super) bodies: &'a BodyDirectory,
}

impl Queues<'_> {
    /// Asks several questions about the same moment. `work` must not wait for anybody.
    pub fn at_one_moment<T>(&self, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let begun = self.db.is_autocommit().then(|| self.db.unchecked_transaction()).transpose();
        let _moment = self.asked(begun)?;
        work(self)
    }

    /// How much waits.
    pub fn summary(&self) -> Result<QueueSummary> {
        self.asked(summary(self.db))
    }

    /// Arrivals, oldest first.
    pub fn each_arrival(&self, filter: &ArrivalFilter, mut visit: impl FnMut(Arrival)) -> Result<()> {
        self.asked(each_arrival(self.db, filter, &mut visit))
    }

    /// The arrival with this number.
    pub fn arrival(&self, id: i64) -> Result<Option<Arrival>> {
        let find = || {
            self.db
                .prepare_cached(&format!("{} WHERE a.id = ?1", queries::ARRIVAL))?
                .query_row([id], queries::arrival)
                .optional()
        };
        self.asked(find())
    }

    /// Outgoing messages, oldest first.
    pub fn each_outgoing(&self, filter: &OutgoingFilter, mut visit: impl FnMut(QueuedOutgoing)) -> Result<()> {
        self.asked(each_outgoing(self.db, filter, &mut visit))
    }

    /// The outgoing message with this number.
    pub fn outgoing(&self, id: i64) -> Result<Option<QueuedOutgoing>> {
        let find = || {
            self.db
                .prepare_cached(&format!("{OUTGOING} WHERE o.id = ?2"))?
                .query_row(params![unix_now(), id], outgoing)
                .optional()
        };
        self.asked(find())
    }

    /// Who still has to get an outgoing message, in the order in which they were queued.
    pub fn each_recipient(
        &self,
        outgoing: i64,
        filter: &RecipientFilter,
        mut visit: impl FnMut(QueuedRecipient),
    ) -> Result<()> {
        let mut walk = || {
            let Some((first, last)) = queries::recipient_rows(self.db, outgoing)? else { return Ok(()) };
            let portion = |after: i64| {
                self.db
                    .prepare_cached(
                        "SELECT id, address, attempts, next_try, reply, name FROM recipient
                         WHERE id > ?4 AND id <= ?5 AND +outgoing = ?1 AND (?2 IS NULL OR address = ?2 COLLATE NOCASE)
                         AND (?3 IS NULL OR instr(lower(reply), lower(?3)) > 0) ORDER BY id LIMIT ?6",
                    )?
                    .query_map(params![outgoing, filter.address, filter.reply, after, last, PORTION as i64], recipient)?
                    .collect()
            };
            in_portions(first - 1, |one: &QueuedRecipient| one.id, portion, &mut visit)
        };
        self.asked(walk())
    }

    /// Those who wait for a later try, by their last reply, the most frequent first; at most `limit` replies.
    pub fn replies(&self, outgoing: i64, limit: usize) -> Result<Vec<SameReply>> {
        let now = unix_now();
        // Counted here: SQLite would sort all rows for it.
        let mut found: HashMap<String, SameReply> = HashMap::new();
        self.each_recipient(outgoing, &RecipientFilter::default(), |one| {
            if one.next_try <= now {
                return;
            }
            let reply = if one.reply.is_empty() { String::new() } else { one.reply.replace(&one.address, "*") };
            if let Some(same) = found.get_mut(&reply) {
                same.add(one);
            } else if found.len() < DIFFERENT_REPLIES {
                found.insert(reply.clone(), SameReply::first(reply, one));
            }
        })?;
        let mut all: Vec<SameReply> = found.into_values().collect();
        all.sort_by(|a, b| b.recipients.cmp(&a.recipients).then_with(|| a.reply.cmp(&b.reply)));
        all.truncate(limit);
        Ok(all)
    }

    /// Permanent failures of the last 30 days, oldest first.
    pub fn each_bounce(&self, filter: &BounceFilter, mut visit: impl FnMut(BounceEvent)) -> Result<()> {
        self.asked(each_bounce(self.db, filter, &mut visit))
    }

    /// Permanent failures of an outgoing message: how many, and the newest `limit` of them.
    pub fn bounces(&self, of: &QueuedOutgoing, limit: usize) -> Result<(u64, Vec<BounceEvent>)> {
        // An event does not know the message's number; these three are all that it has of it.
        const OF: &str = "WHERE message_id = ?1 AND list_address = ?2 AND time >= ?3";
        let find = || {
            let count: i64 = self
                .db
                .prepare_cached(&format!("SELECT count(*) FROM bounce_event {OF}"))?
                .query_row(params![of.message_id, of.list_address, of.queued], |row| row.get(0))?;
            let events = self
                .db
                .prepare_cached(&format!("{} {OF} ORDER BY id DESC LIMIT ?4", queries::BOUNCE_EVENT))?
                .query_map(params![of.message_id, of.list_address, of.queued, limit as i64], queries::bounce_event)?
                .collect::<rusqlite::Result<_>>()?;
            Ok((count as u64, events))
        };
        self.asked(find())
    }

    /// What `read` finds of an arrival and its message, at one moment. `None`: it is gone, or was dealt with meanwhile.
    ///
    /// # Errors
    /// Those of `read`, when the arrival is there all the same: something of it cannot be read.
    pub fn of_arrival<T>(&self, id: i64, read: impl FnOnce(&Self, Arrival) -> Result<T>) -> Result<Option<T>> {
        let found = self.at_one_moment(|queues| queues.arrival(id)?.map(|one| read(queues, one)).transpose());
        self.unless_gone(found, "SELECT EXISTS (SELECT 1 FROM arrival WHERE id = ?1)", id)
    }

    /// The same for an outgoing message.
    ///
    /// # Errors
    /// As those of [`Queues::of_arrival`].
    pub fn of_outgoing<T>(&self, id: i64, read: impl FnOnce(&Self, QueuedOutgoing) -> Result<T>) -> Result<Option<T>> {
        let found = self.at_one_moment(|queues| queues.outgoing(id)?.map(|one| read(queues, one)).transpose());
        self.unless_gone(found, "SELECT EXISTS (SELECT 1 FROM outgoing WHERE id = ?1)", id)
    }

    /// A moment keeps rows, but no files. One that is missing is no error if its entry has gone with it: so that is
    /// asked of a later moment.
    fn unless_gone<T>(&self, found: Result<Option<T>>, is_there: &str, id: i64) -> Result<Option<T>> {
        let Err(error) = found else { return found };
        let ask = || self.db.prepare_cached(is_there)?.query_row([id], |row| row.get(0));
        if self.asked(ask())? { Err(error) } else { Ok(None) }
    }

    /// The octets of an arrival's message.
    ///
    /// # Errors
    /// When its file is missing or cannot be read; see [`Queues::of_arrival`].
    pub fn message(&self, arrival: &Arrival) -> Result<Arc<[u8]>> {
        self.body(arrival.message)?.ok_or_else(|| self.gone(arrival.message))
    }

    /// The octets of an outgoing message.
    ///
    /// # Errors
    /// As those of [`Queues::message`], and [`SpoolError::ContentLost`].
    pub fn outgoing_message(&self, outgoing: i64) -> Result<Arc<[u8]>> {
        let row = self.asked(queries::outgoing_row(self.db, outgoing))?.ok_or_else(|| self.gone(outgoing))?;
        self.body(row.body)?.ok_or(SpoolError::ContentLost { outgoing })
    }

    /// Where each recipient's own text goes in an outgoing message; `None`: all get the same.
    ///
    /// # Errors
    /// As those of [`Queues::outgoing_message`], and [`SpoolError::Splices`] when what is stored cannot be read.
    pub fn splices(&self, outgoing: i64) -> Result<Option<Splices>> {
        let row = self.asked(queries::outgoing_row(self.db, outgoing))?.ok_or_else(|| self.gone(outgoing))?;
        let Some(stored) = row.splices else { return Ok(None) };
        let message = self.body(row.body)?.ok_or(SpoolError::ContentLost { outgoing })?;
        Splices::from_stored(&stored, &message).map(Some).map_err(|error| SpoolError::Splices { outgoing, error })
    }

    fn body(&self, id: i64) -> Result<Option<Arc<[u8]>>> {
        Ok(match self.asked(queries::body(self.db, id))? {
            None => None,
            Some(StoredBody::Memory(bytes)) => Some(bytes),
            Some(StoredBody::File(name)) => Some(self.bodies.read(&name)?),
        })
    }

    fn gone(&self, message: i64) -> SpoolError {
        SpoolError::NoMessage { path: self.file.display().to_string(), message }
    }

    fn asked<T>(&self, outcome: rusqlite::Result<T>) -> Result<T> {
        outcome.map_err(|error| SpoolError::from_sqlite(self.file, &error))
    }
}

pub(super) fn summary(db: &Connection) -> rusqlite::Result<QueueSummary> {
    let count = |sql: &str| db.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0)).map(|count| count as u64);
    let arrivals = |state: ArrivalState| {
        db.prepare_cached("SELECT count(*) FROM arrival WHERE state = ?1")?
            .query_row([state.as_str()], |row| row.get::<_, i64>(0))
            .map(|count| count as u64)
    };
    let oldest = |sql: &str| db.prepare_cached(sql)?.query_row([], |row| row.get::<_, Option<i64>>(0)).optional();
    // What is kept may be very much, and is not in a hurry: the first that came will do.
    let kept = oldest("SELECT received FROM arrival WHERE state = 'kept' ORDER BY id LIMIT 1")?.flatten();
    let others = oldest("SELECT min(received) FROM arrival WHERE state IN ('new', 'shunted')")?.flatten();
    Ok(QueueSummary {
        new: arrivals(ArrivalState::New)?,
        kept: arrivals(ArrivalState::Kept)?,
        shunted: arrivals(ArrivalState::Shunted)?,
        oldest_arrival: kept.into_iter().chain(others).min(),
        outgoing: count("SELECT count(*) FROM outgoing")?,
        recipients: count("SELECT count(*) FROM recipient")?,
        oldest_outgoing: oldest("SELECT min(queued) FROM outgoing")?.flatten(),
    })
}

fn each_arrival(db: &Connection, filter: &ArrivalFilter, visit: &mut impl FnMut(Arrival)) -> rusqlite::Result<()> {
    let by_state = if filter.state.is_some() { "a.state = ?1" } else { "?1 IS NULL" };
    let sql = format!(
        "{} WHERE {by_state} AND (?2 IS NULL OR a.list_address = ?2)
         AND (?3 IS NULL OR a.recipient = ?3 COLLATE NOCASE) AND a.id > ?4 ORDER BY a.id LIMIT ?5",
        queries::ARRIVAL
    );
    let state = filter.state.map(ArrivalState::as_str);
    let portion = |after: i64| {
        db.prepare_cached(&sql)?
            .query_map(params![state, filter.list, filter.recipient, after, PORTION as i64], queries::arrival)?
            .collect()
    };
    in_portions(0, |one: &Arrival| one.id, portion, visit)
}

/// Tells everything that `portion` gives of what has a number above its argument, at most [`PORTION`] of it, in order.
/// While `visit` is told, nothing of the database is held.
fn in_portions<T>(
    mut after: i64,
    number: impl Fn(&T) -> i64,
    portion: impl Fn(i64) -> rusqlite::Result<Vec<T>>,
    visit: &mut impl FnMut(T),
) -> rusqlite::Result<()> {
    loop {
        let some = portion(after)?;
        let more = some.len() == PORTION;
        after = some.last().map_or(after, &number);
        some.into_iter().for_each(&mut *visit);
        if !more {
            return Ok(());
        }
    }
}

/// `?1` is the present time.
const OUTGOING: &str = "SELECT o.id, o.list_address, o.message_id, o.sender_kind, o.sender,
    (SELECT b.size FROM body b WHERE b.id = o.body), (SELECT count(*) FROM recipient r WHERE r.outgoing = o.id),
    (SELECT count(*) FROM recipient r WHERE r.outgoing = o.id AND r.next_try > ?1), o.done, o.queued,
    max(o.next_try, o.queued), o.last_reply, o.splices IS NOT NULL FROM outgoing o";

fn outgoing(row: &Row<'_>) -> rusqlite::Result<QueuedOutgoing> {
    Ok(QueuedOutgoing {
        id: row.get(0)?,
        list_address: row.get(1)?,
        message_id: row.get(2)?,
        sender: queries::envelope_sender(row, 3)?,
        size: row.get::<_, Option<i64>>(5)?.unwrap_or_default() as u64,
        waiting: row.get::<_, i64>(6)? as u64,
        deferred: row.get::<_, i64>(7)? as u64,
        done: queries::count(row, 8)?,
        queued: row.get(9)?,
        next_try: row.get(10)?,
        last_reply: row.get(11)?,
        personal: row.get(12)?,
    })
}

pub(super) fn each_outgoing(
    db: &Connection,
    filter: &OutgoingFilter,
    visit: &mut impl FnMut(QueuedOutgoing),
) -> rusqlite::Result<()> {
    let by_state = match filter.state {
        None => "1",
        Some(OutgoingState::Due) => "o.next_try <= ?1",
        Some(OutgoingState::Deferred) => "o.next_try > ?1",
    };
    // As a list that is made once: asked message by message it would cost a walk through the recipients of each.
    let by_recipient = if filter.recipient.is_some() {
        "o.id IN (SELECT outgoing FROM recipient WHERE address = ?3 COLLATE NOCASE)"
    } else {
        "?3 IS NULL"
    };
    let sql = format!(
        "{OUTGOING} WHERE {by_state} AND (?2 IS NULL OR o.list_address = ?2) AND {by_recipient} AND o.id > ?4
         ORDER BY o.id LIMIT ?5"
    );
    let now = unix_now();
    let portion = |after: i64| {
        db.prepare_cached(&sql)?
            .query_map(params![now, filter.list, filter.recipient, after, PORTION as i64], outgoing)?
            .collect()
    };
    in_portions(0, |one: &QueuedOutgoing| one.id, portion, visit)
}

pub(super) fn each_bounce(
    db: &Connection,
    filter: &BounceFilter,
    visit: &mut impl FnMut(BounceEvent),
) -> rusqlite::Result<()> {
    let sql = format!(
        "{} WHERE (?1 IS NULL OR list_address = ?1) AND (?2 IS NULL OR recipient = ?2 COLLATE NOCASE) AND id > ?3
         ORDER BY id LIMIT ?4",
        queries::BOUNCE_EVENT
    );
    let portion = |after: i64| {
        db.prepare_cached(&sql)?
            .query_map(params![filter.list, filter.recipient, after, PORTION as i64], queries::bounce_event)?
            .collect()
    };
    in_portions(0, |one: &BounceEvent| one.id, portion, visit)
}

impl SameReply {
    fn first(reply: String, one: QueuedRecipient) -> Self {
        SameReply {
            reply,
            recipients: 1,
            attempts: (one.attempts, one.attempts),
            next_try: (one.next_try, one.next_try),
            examples: [one.address.clone(), one.address],
        }
    }

    fn add(&mut self, one: QueuedRecipient) {
        if self.recipients == 1 {
            self.examples[1] = one.address;
        }
        self.recipients += 1;
        self.attempts = (self.attempts.0.min(one.attempts), self.attempts.1.max(one.attempts));
        self.next_try = (self.next_try.0.min(one.next_try), self.next_try.1.max(one.next_try));
    }
}

fn recipient(row: &Row<'_>) -> rusqlite::Result<QueuedRecipient> {
    Ok(QueuedRecipient {
        id: row.get(0)?,
        address: row.get(1)?,
        attempts: queries::tries(row, 2)?,
        next_try: row.get(3)?,
        reply: row.get(4)?,
        name: row.get(5)?,
    })
}
