//! The SQL of every change. Each function runs inside a transaction of the writer.

use super::FARTHEST_TRY;
use super::body::Body;
use super::types::{ArrivalState, DeliveryResult, EnvelopeSender, Incoming, Outgoing};
use super::writer::Effects;
use crate::clock::unix_now;
use crate::lists::EmailAddress;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Result, params};
use std::rc::Rc;

/// So long the spool knows what was done once, in seconds: longer than anybody waits before repeating
/// a command that was cut off.
const ORIGINS_KEPT: i64 = 30 * 86_400;

/// See [`FARTHEST_TRY`].
pub(super) fn farthest_try(now: i64) -> i64 {
    now.saturating_add(FARTHEST_TRY.as_secs() as i64)
}

/// An outgoing message whose body is already where it belongs.
pub(super) struct Settled {
    pub outgoing: Outgoing,
    pub body: Body,
}

pub(super) fn accept(db: &Connection, effects: &mut Effects, incoming: &Incoming) -> Result<i64> {
    let message = insert_body(db, effects, &incoming.message)?;
    let sender = incoming.sender.as_ref().map(EmailAddress::as_str);
    let mut insert = db.prepare_cached(
        "INSERT INTO arrival (message, sender, list, list_address, function, recipient, detail, state, reason, received)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'new', '', ?8)",
    )?;
    for one in &incoming.recipients {
        insert.execute(params![
            message,
            sender,
            one.list,
            one.list_address,
            one.function.as_str(),
            one.recipient,
            one.detail,
            unix_now()
        ])?;
    }
    effects.arrivals_changed = true;
    Ok(message)
}

fn insert_body(db: &Connection, effects: &mut Effects, body: &Body) -> Result<i64> {
    let mut insert = db.prepare_cached("INSERT INTO body (size, file, data) VALUES (?1, ?2, ?3)")?;
    match body {
        Body::Memory(bytes) => insert.insert(params![bytes.len() as i64, None::<&str>, &bytes[..]]),
        Body::File(staged) => {
            effects.accepted.push(staged.clone());
            insert.insert(params![body.len() as i64, staged.name(), None::<&[u8]>])
        }
    }
}

/// Queues the messages unless they come from an arrival that is gone: then a crash has made
/// somebody repeat a step that was committed.
pub(super) fn fan_out(
    db: &Connection,
    effects: &mut Effects,
    arrival: Option<i64>,
    messages: &[Settled],
) -> Result<()> {
    if let Some(arrival) = arrival
        && !remove_arrival(db, effects, arrival)?
    {
        return Ok(());
    }
    for message in messages {
        queue(db, effects, message)?;
    }
    Ok(())
}

/// Queues the messages unless this was done before in the name of `origin`. `false`: it was.
pub(super) fn fan_out_once(db: &Connection, effects: &mut Effects, origin: &str, messages: &[Settled]) -> Result<bool> {
    let now = unix_now();
    db.prepare_cached("DELETE FROM origin WHERE time < ?1")?.execute([now - ORIGINS_KEPT])?;
    let new = db
        .prepare_cached("INSERT INTO origin (name, time) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING")?
        .execute(params![origin, now])?;
    if new == 0 {
        return Ok(false);
    }
    for message in messages {
        queue(db, effects, message)?;
    }
    Ok(true)
}

fn queue(db: &Connection, effects: &mut Effects, message: &Settled) -> Result<()> {
    let Settled { outgoing, body } = message;
    if outgoing.recipients.is_empty() {
        return Ok(());
    }
    let body = insert_body(db, effects, body)?;
    let (kind, sender) = match &outgoing.sender {
        EnvelopeSender::Null => ("null", ""),
        EnvelopeSender::Fixed(sender) => ("fixed", sender.as_str()),
        EnvelopeSender::Verp(bounces) => ("verp", bounces.as_str()),
    };
    let id = db
        .prepare_cached(
            "INSERT INTO outgoing (body, list, list_address, message_id, sender_kind, sender, queued)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .insert(params![body, outgoing.list, outgoing.list_address, outgoing.message_id, kind, sender, unix_now()])?;
    let addresses: Vec<Value> =
        outgoing.recipients.iter().map(|address| Value::Text(address.as_str().to_owned())).collect();
    db.prepare_cached("INSERT INTO recipient (outgoing, address) SELECT ?1, value FROM rarray(?2)")?
        .execute(params![id, Rc::new(addresses)])?;
    effects.outgoing_changed = true;
    Ok(())
}

/// Removes an arrival, and its message when it was the last one. `false`: it is gone already.
pub(super) fn remove_arrival(db: &Connection, effects: &mut Effects, arrival: i64) -> Result<bool> {
    let message: Option<i64> = db
        .prepare_cached("DELETE FROM arrival WHERE id = ?1 RETURNING message")?
        .query_row([arrival], |row| row.get(0))
        .optional()?;
    let Some(message) = message else { return Ok(false) };
    let others: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM arrival WHERE message = ?1)")?
        .query_row([message], |row| row.get(0))?;
    if !others {
        remove_body(db, effects, message)?;
    }
    Ok(true)
}

fn remove_body(db: &Connection, effects: &mut Effects, body: i64) -> Result<()> {
    let file: Option<Option<String>> = db
        .prepare_cached("DELETE FROM body WHERE id = ?1 RETURNING file")?
        .query_row([body], |row| row.get(0))
        .optional()?;
    effects.unnamed.extend(file.flatten());
    effects.forgotten.push(body);
    Ok(())
}

pub(super) fn set_state(
    db: &Connection,
    effects: &mut Effects,
    arrival: i64,
    state: ArrivalState,
    reason: &str,
) -> Result<bool> {
    let changed = db.prepare_cached("UPDATE arrival SET state = ?2, reason = ?3 WHERE id = ?1")?.execute(params![
        arrival,
        state.as_str(),
        reason
    ])?;
    effects.arrivals_changed = changed > 0 && state == ArrivalState::New;
    Ok(changed > 0)
}

/// Keeps an arrival for later, with another body when there is one. `false`: it is gone already.
pub(super) fn keep(
    db: &Connection,
    effects: &mut Effects,
    arrival: i64,
    body: Option<&Body>,
    reason: &str,
) -> Result<bool> {
    let old: Option<i64> = db
        .prepare_cached("SELECT message FROM arrival WHERE id = ?1")?
        .query_row([arrival], |row| row.get(0))
        .optional()?;
    let Some(old) = old else { return Ok(false) };
    set_state(db, effects, arrival, ArrivalState::Kept, reason)?;
    if let Some(body) = body {
        let new = insert_body(db, effects, body)?;
        db.prepare_cached("UPDATE arrival SET message = ?2 WHERE id = ?1")?.execute([arrival, new])?;
        let others: bool = db
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM arrival WHERE message = ?1)")?
            .query_row([old], |row| row.get(0))?;
        if !others {
            remove_body(db, effects, old)?;
        }
    }
    Ok(true)
}

/// Rows that are gone (dropped meanwhile, or recorded before) are passed over.
pub(super) fn record(
    db: &Connection,
    effects: &mut Effects,
    outgoing: i64,
    results: &[(i64, DeliveryResult)],
) -> Result<()> {
    let now = unix_now();
    let mut done = Vec::with_capacity(results.len());
    let mut last_reply = None;
    for (id, result) in results {
        match result {
            DeliveryResult::Delivered => done.push(Value::Integer(*id)),
            DeliveryResult::Failed { reply } => {
                db.prepare_cached(
                    "INSERT INTO bounce_event (list, list_address, recipient, reply, message_id, time)
                     SELECT o.list, o.list_address, r.address, ?3, o.message_id, ?4
                     FROM recipient r JOIN outgoing o ON o.id = r.outgoing WHERE r.id = ?1 AND r.outgoing = ?2",
                )?
                .execute(params![id, outgoing, reply, now])?;
                done.push(Value::Integer(*id));
            }
            DeliveryResult::Retry { after, reply } => {
                // Rounded up, so that a short time does not become none.
                let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
                let next_try = now.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX)).min(farthest_try(now));
                db.prepare_cached(
                    "UPDATE recipient SET attempts = attempts + 1, next_try = ?3, reply = ?4
                     WHERE id = ?1 AND +outgoing = ?2",
                )?
                .execute(params![id, outgoing, next_try, reply])?;
                last_reply = Some(reply.as_str());
                effects.outgoing_changed = true;
            }
        }
    }
    // The `+` keeps SQLite from walking through all recipients of the message.
    let removed = db
        .prepare_cached("DELETE FROM recipient WHERE id IN (SELECT value FROM rarray(?1)) AND +outgoing = ?2")?
        .execute(params![Rc::new(done), outgoing])?;
    effects.released.push((outgoing, results.iter().map(|(id, _)| *id).collect()));
    settle(db, effects, outgoing, removed, last_reply)
}

/// After recipients have changed: the message's own row follows, or goes with the last of them.
fn settle(db: &Connection, effects: &mut Effects, outgoing: i64, done: usize, reply: Option<&str>) -> Result<()> {
    let next_try: Option<i64> = db
        .prepare_cached("SELECT min(next_try) FROM recipient WHERE outgoing = ?1")?
        .query_row([outgoing], |row| row.get(0))?;
    if next_try.is_none() {
        return remove_outgoing(db, effects, outgoing).map(|_| ());
    }
    db.prepare_cached(
        "UPDATE outgoing SET done = done + ?2, next_try = ?3, last_reply = coalesce(?4, last_reply) WHERE id = ?1",
    )?
    .execute(params![outgoing, done as i64, next_try, reply])?;
    Ok(())
}

/// Removes an outgoing message whether somebody waits for it or not. `false`: it is gone already.
pub(super) fn remove_outgoing(db: &Connection, effects: &mut Effects, outgoing: i64) -> Result<bool> {
    db.prepare_cached("DELETE FROM recipient WHERE outgoing = ?1")?.execute([outgoing])?;
    let body: Option<i64> = db
        .prepare_cached("DELETE FROM outgoing WHERE id = ?1 RETURNING body")?
        .query_row([outgoing], |row| row.get(0))
        .optional()?;
    if let Some(body) = body {
        remove_body(db, effects, body)?;
    }
    Ok(body.is_some())
}

/// Makes due what waits for a later try. Returns how many recipients.
pub(super) fn retry_now(db: &Connection, effects: &mut Effects, outgoing: Option<i64>) -> Result<u64> {
    let changed = db
        .prepare_cached(
            "UPDATE recipient SET next_try = 0
             WHERE outgoing IN (SELECT id FROM outgoing WHERE ?1 IS NULL OR id = ?1) AND next_try > ?2",
        )?
        .execute(params![outgoing, unix_now()])?;
    if changed > 0 {
        db.prepare_cached(
            "UPDATE outgoing SET next_try = 0 WHERE (?1 IS NULL OR id = ?1)
             AND EXISTS (SELECT 1 FROM recipient r WHERE r.outgoing = outgoing.id AND r.next_try = 0)",
        )?
        .execute(params![outgoing])?;
        effects.outgoing_changed = true;
    }
    Ok(changed as u64)
}
