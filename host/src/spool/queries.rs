//! The SQL of everything that only reads, except whose turn it is (`turns.rs`).

use super::look;
use super::types::{
    Arrival, ArrivalState, BounceEvent, EnvelopeSender, IncomingRecipient, OutgoingFilter, QueuedOutgoing,
};
use crate::lists::{EmailAddress, Subaddress};
use rusqlite::types::{FromSql, FromSqlError, Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use std::sync::Arc;

/// Where the octets of a message are.
pub(super) enum StoredBody {
    Memory(Arc<[u8]>),
    File(String),
}

pub(super) fn body(db: &Connection, id: i64) -> Result<Option<StoredBody>> {
    db.prepare_cached("SELECT file, data FROM body WHERE id = ?1")?
        .query_row([id], |row| match row.get::<_, Option<String>>(0)? {
            Some(file) => Ok(StoredBody::File(file)),
            None => row.get_ref(1)?.as_blob().map(|bytes| StoredBody::Memory(bytes.into())).map_err(Into::into),
        })
        .optional()
}

pub(super) fn new_arrivals(db: &Connection, after: i64, limit: usize) -> Result<Vec<Arrival>> {
    let mut select =
        db.prepare_cached(&format!("{ARRIVAL} WHERE a.state = 'new' AND a.id > ?1 ORDER BY a.id LIMIT ?2"))?;
    select.query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX)], arrival)?.collect()
}

pub(super) fn new_arrivals_of(db: &Connection, list: i64, after: i64, limit: usize) -> Result<Vec<Arrival>> {
    let mut select = db.prepare_cached(&format!(
        "{ARRIVAL} WHERE a.state = 'new' AND a.id > ?1 AND a.list = ?3 ORDER BY a.id LIMIT ?2"
    ))?;
    select.query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX), list], arrival)?.collect()
}

pub(super) fn arrivals(db: &Connection) -> Result<Vec<Arrival>> {
    db.prepare_cached(&format!("{ARRIVAL} ORDER BY a.id"))?.query_map([], arrival)?.collect()
}

pub(super) const ARRIVAL: &str =
    "SELECT a.id, a.message, a.sender, a.list, a.list_address, a.function, a.recipient, a.detail,
    a.state, a.reason, a.received, b.size FROM arrival a JOIN body b ON b.id = a.message";

pub(super) fn arrival(row: &Row<'_>) -> Result<Arrival> {
    let mut fields = Fields { row, damage: None };
    let sender = fields.value(2, |text: Option<String>| text.map(|text| address(2, &text)).transpose());
    let function = fields.value(5, |text: String| Ok(Some(known(5, &text, Subaddress::from_stored)?)));
    let state = fields.value(8, |text: String| Ok(Some(known(8, &text, ArrivalState::from_stored)?)));
    let mut arrival = Arrival {
        id: row.get(0)?,
        message: fields.value(1, Ok),
        sender,
        recipient: IncomingRecipient {
            list: fields.value(3, Ok),
            list_address: fields.value(4, Ok),
            function: function.unwrap_or(Subaddress::Post),
            recipient: fields.value(6, Ok),
            detail: fields.value(7, Ok),
        },
        state: state.unwrap_or(ArrivalState::Shunted),
        reason: fields.value(9, Ok),
        received: fields.value(10, Ok),
        size: count(row, 11)?,
        damaged: false,
    };
    if let Some(damage) = fields.damage {
        arrival.reason = damage;
        arrival.damaged = true;
    }
    Ok(arrival)
}

/// Reads a row that must not hide those beside it: what cannot be read is as good as not there, and is told.
struct Fields<'a, 'r> {
    row: &'a Row<'r>,
    damage: Option<String>,
}

impl Fields<'_, '_> {
    fn value<S: FromSql, T: Default>(&mut self, column: usize, make: impl FnOnce(S) -> Result<T>) -> T {
        self.row.get(column).and_then(make).unwrap_or_else(|error| {
            self.damage.get_or_insert_with(|| format!("its row in the spool cannot be read: {error}"));
            T::default()
        })
    }
}

fn known<T>(column: usize, text: &str, from_stored: impl FnOnce(&str) -> Option<T>) -> Result<T> {
    from_stored(text).ok_or_else(|| unreadable(column, text))
}

pub(super) fn outgoing(db: &Connection) -> Result<Vec<QueuedOutgoing>> {
    let mut all = Vec::new();
    look::each_outgoing(db, &OutgoingFilter::default(), &mut |one| all.push(one))?;
    Ok(all)
}

pub(super) fn one_bounce_event(db: &Connection, id: i64) -> Result<Option<BounceEvent>> {
    db.prepare_cached(&format!("{BOUNCE_EVENT} WHERE id = ?1"))?.query_row([id], bounce_event).optional()
}

pub(super) const BOUNCE_EVENT: &str = "SELECT id, list_address, recipient, reply, message_id, time FROM bounce_event";

pub(super) fn bounce_event(row: &Row<'_>) -> Result<BounceEvent> {
    Ok(BounceEvent {
        id: row.get(0)?,
        list_address: row.get(1)?,
        recipient: row.get(2)?,
        reply: row.get(3)?,
        message_id: row.get(4)?,
        time: row.get(5)?,
    })
}

/// First and last row of those who still have to get a message. They were queued in one go, so they lie together, and
/// no others come.
pub(super) fn recipient_rows(db: &Connection, outgoing: i64) -> Result<Option<(i64, i64)>> {
    let ends: (Option<i64>, Option<i64>) = db
        .prepare_cached("SELECT min(id), max(id) FROM recipient WHERE outgoing = ?1")?
        .query_row([outgoing], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(ends.0.zip(ends.1))
}

/// What all batches of an outgoing message have in common.
pub(super) struct OutgoingRow {
    pub body: i64,
    pub list_address: String,
    pub message_id: String,
    pub sender: EnvelopeSender,
    pub queued: i64,
    /// As they are stored.
    pub splices: Option<String>,
}

pub(super) fn outgoing_row(db: &Connection, id: i64) -> Result<Option<OutgoingRow>> {
    db.prepare_cached(
        "SELECT body, list_address, message_id, sender_kind, sender, queued, splices FROM outgoing WHERE id = ?1",
    )?
    .query_row([id], |row| {
        Ok(OutgoingRow {
            body: row.get(0)?,
            list_address: row.get(1)?,
            message_id: row.get(2)?,
            sender: envelope_sender(row, 3)?,
            queued: row.get(5)?,
            splices: row.get(6)?,
        })
    })
    .optional()
}

/// From the columns `sender_kind` and, behind it, `sender`.
pub(super) fn envelope_sender(row: &Row<'_>, column: usize) -> Result<EnvelopeSender> {
    let kind: String = row.get(column)?;
    match kind.as_str() {
        "fixed" => row.get(column + 1).map(EnvelopeSender::Fixed),
        "verp" => row.get(column + 1).map(EnvelopeSender::Verp),
        "null" => Ok(EnvelopeSender::Null),
        other => Err(unreadable(column, other)),
    }
}

/// A number of things. One that is none, which only damage or another program could write, is the nearest that is one:
/// it must not hide everything else that waits.
pub(super) fn count(row: &Row<'_>, column: usize) -> Result<u64> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(number) => u64::try_from(number).unwrap_or(0),
        // What has become too large for an integer; the largest one, to which others can be added.
        ValueRef::Real(number) => (number.max(0.0) as i64).unsigned_abs(),
        ValueRef::Null | ValueRef::Text(_) | ValueRef::Blob(_) => 0,
    })
}

/// How often delivery was tried; see [`count`].
pub(super) fn tries(row: &Row<'_>, column: usize) -> Result<u32> {
    Ok(u32::try_from(count(row, column)?).unwrap_or(u32::MAX))
}

fn address(column: usize, text: &str) -> Result<EmailAddress> {
    EmailAddress::parse(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

fn unreadable(column: usize, text: &str) -> rusqlite::Error {
    let error = FromSqlError::Other(format!("{text:?} means nothing to this program").into());
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
