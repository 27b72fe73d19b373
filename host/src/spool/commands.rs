//! The SQL of every change. Each function runs inside a transaction of the writer.

use super::FARTHEST_TRY;
use super::body::Body;
use super::queries;
use super::types::{
    Arrival, ArrivalState, DeliveryResult, EnvelopeSender, Import, ImportedOutgoing, ImportedRecipients, Incoming,
    Outgoing, QueuedRecipient, RecipientFilter,
};
use super::writer::Effects;
use crate::clock::unix_now;
use crate::lists::EmailAddress;
use crate::personal::Splices;
use data_encoding::HEXLOWER;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Result, params};
use sha1::{Digest, Sha1};
use std::collections::HashSet;
use std::rc::Rc;

/// So long the spool knows what was done once, in seconds: longer than anybody waits before repeating
/// a command that was cut off.
const ORIGINS_KEPT: i64 = 30 * 86_400;

/// So long permanent failures are kept for whoever counts bounces, in seconds.
const BOUNCES_KEPT: i64 = 30 * 86_400;

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
        Body::Memory(bytes) => {
            let id = insert.insert(params![bytes.len() as i64, None::<&str>, &bytes[..]])?;
            effects.stored.push((id, bytes.clone()));
            Ok(id)
        }
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
    if !is_first(db, origin, false)? {
        return Ok(false);
    }
    for message in messages {
        queue(db, effects, message)?;
    }
    Ok(true)
}

/// Notes that this was done now. `false`: it was done before, and is not wanted `again`.
fn is_first(db: &Connection, origin: &str, again: bool) -> Result<bool> {
    let now = unix_now();
    let noted = db
        .prepare_cached(
            "INSERT INTO origin (name, time) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET time = ?2 WHERE ?3 OR time < ?4",
        )?
        .execute(params![origin, now, again, now - ORIGINS_KEPT])?;
    Ok(noted > 0)
}

/// Removes what no longer counts for [`is_first`]. It reads all that was noted.
pub(super) fn forget_origins(db: &Connection) -> Result<()> {
    db.prepare_cached("DELETE FROM origin WHERE time < ?1")?.execute([unix_now() - ORIGINS_KEPT])?;
    Ok(())
}

fn queue(db: &Connection, effects: &mut Effects, message: &Settled) -> Result<()> {
    let Settled { outgoing, body } = message;
    if outgoing.recipients.is_empty() {
        return Ok(());
    }
    let body = insert_body(db, effects, body)?;
    let (kind, sender) = stored_sender(&outgoing.sender);
    let id = db
        .prepare_cached(
            "INSERT INTO outgoing (body, list, list_address, message_id, sender_kind, sender, queued, splices)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .insert(params![
            body,
            outgoing.list,
            outgoing.list_address,
            outgoing.message_id,
            kind,
            sender,
            unix_now(),
            outgoing.personal.as_ref().map(|personal| personal.splices.to_stored())
        ])?;
    effects.outgoing_changed = true;
    if let Some(personal) = &outgoing.personal {
        let mut insert = db.prepare_cached("INSERT INTO recipient (outgoing, address, name) VALUES (?1, ?2, ?3)")?;
        let names = personal.names.iter().map(String::as_str).chain(std::iter::repeat(""));
        for (address, name) in outgoing.recipients.iter().zip(names) {
            insert.execute(params![id, address.as_str(), name])?;
        }
        return Ok(());
    }
    let addresses: Vec<Value> =
        outgoing.recipients.iter().map(|address| Value::Text(address.as_str().to_owned())).collect();
    db.prepare_cached("INSERT INTO recipient (outgoing, address) SELECT ?1, value FROM rarray(?2)")?
        .execute(params![id, Rc::new(addresses)])?;
    Ok(())
}

fn stored_sender(sender: &EnvelopeSender) -> (&str, &str) {
    match sender {
        EnvelopeSender::Null => ("null", ""),
        EnvelopeSender::Fixed(sender) => ("fixed", sender.as_str()),
        EnvelopeSender::Verp(bounces) => ("verp", bounces.as_str()),
    }
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
    effects.arrival_renewed = effects.arrivals_changed;
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

/// Rows that are gone (dropped meanwhile, or recorded before) are passed over. `true`: that was the last of it.
pub(super) fn record(
    db: &Connection,
    effects: &mut Effects,
    outgoing: i64,
    results: &[(i64, DeliveryResult)],
) -> Result<bool> {
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
                forget_old_bounces(db, now)?;
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

/// A few of the oldest, each time that one comes: so there are never many that are too old, and no commit has to remove
/// them all.
fn forget_old_bounces(db: &Connection, now: i64) -> Result<()> {
    db.prepare_cached(
        "DELETE FROM bounce_event WHERE id IN (SELECT id FROM bounce_event ORDER BY id LIMIT 5) AND time < ?1",
    )?
    .execute([now - BOUNCES_KEPT])?;
    Ok(())
}

/// After recipients have changed: the message's own row follows, or goes with the last of them (`true`).
fn settle(db: &Connection, effects: &mut Effects, outgoing: i64, done: usize, reply: Option<&str>) -> Result<bool> {
    let next_try: Option<i64> = db
        .prepare_cached("SELECT min(next_try) FROM recipient WHERE outgoing = ?1")?
        .query_row([outgoing], |row| row.get(0))?;
    if next_try.is_none() {
        remove_outgoing(db, effects, outgoing)?;
        return Ok(true);
    }
    db.prepare_cached(
        "UPDATE outgoing SET done = done + ?2, next_try = ?3, last_reply = coalesce(?4, last_reply) WHERE id = ?1",
    )?
    .execute(params![outgoing, done as i64, next_try, reply])?;
    Ok(false)
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

/// Makes due what waits for a later try, among these rows. Returns how many it were.
pub(super) fn retry_recipients(
    db: &Connection,
    effects: &mut Effects,
    outgoing: i64,
    filter: &RecipientFilter,
    rows: (i64, i64),
) -> Result<usize> {
    // Row by row, not by the index: that would read the table all over the place.
    let changed = db
        .prepare_cached(
            "UPDATE recipient SET next_try = 0 WHERE id BETWEEN ?5 AND ?6 AND +outgoing = ?1 AND next_try > ?2
             AND (?3 IS NULL OR address = ?3 COLLATE NOCASE)
             AND (?4 IS NULL OR instr(lower(reply), lower(?4)) > 0)",
        )?
        .execute(params![outgoing, unix_now(), filter.address, filter.reply, rows.0, rows.1])?;
    if changed > 0 {
        db.prepare_cached("UPDATE outgoing SET next_try = 0 WHERE id = ?1")?.execute([outgoing])?;
        effects.outgoing_changed = true;
    }
    Ok(changed)
}

/// Removes recipients who still wait, among these rows, and the message with the last. Returns how many it were.
pub(super) fn drop_recipients(
    db: &Connection,
    effects: &mut Effects,
    outgoing: i64,
    filter: &RecipientFilter,
    rows: (i64, i64),
) -> Result<usize> {
    let dropped = db
        .prepare_cached(
            "DELETE FROM recipient WHERE id BETWEEN ?4 AND ?5 AND +outgoing = ?1
             AND (?2 IS NULL OR address = ?2 COLLATE NOCASE)
             AND (?3 IS NULL OR instr(lower(reply), lower(?3)) > 0)",
        )?
        .execute(params![outgoing, filter.address, filter.reply, rows.0, rows.1])?;
    if dropped > 0 {
        settle(db, effects, outgoing, 0, None)?;
    }
    Ok(dropped)
}

/// Removes just these recipients, as far as they are still there. Returns how many it were.
pub(super) fn remove_recipients(db: &Connection, effects: &mut Effects, outgoing: i64, ids: &[i64]) -> Result<usize> {
    let ids: Vec<Value> = ids.iter().copied().map(Value::Integer).collect();
    let removed = db
        .prepare_cached("DELETE FROM recipient WHERE id IN (SELECT value FROM rarray(?1)) AND +outgoing = ?2")?
        .execute(params![Rc::new(ids), outgoing])?;
    if removed > 0 {
        settle(db, effects, outgoing, 0, None)?;
    }
    Ok(removed)
}

/// Puts an arrival back: only once, and not when it is still here, unless it is wanted `again`.
pub(super) fn import_arrival(
    db: &Connection,
    effects: &mut Effects,
    origin: &str,
    again: bool,
    arrival: &Arrival,
    message: &Body,
) -> Result<Import> {
    if !again && arrival_is_here(db, arrival, message.len())? {
        return Ok(Import::StillHere);
    }
    if !is_first(db, origin, again)? {
        return Ok(Import::Before);
    }
    let message = insert_body(db, effects, message)?;
    let one = &arrival.recipient;
    db.prepare_cached(
        "INSERT INTO arrival (message, sender, list, list_address, function, recipient, detail, state, reason, received)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        message,
        arrival.sender.as_ref().map(EmailAddress::as_str),
        one.list,
        one.list_address,
        one.function.as_str(),
        one.recipient,
        one.detail,
        arrival.state.as_str(),
        arrival.reason,
        arrival.received
    ])?;
    effects.arrivals_changed |= arrival.state == ArrivalState::New;
    Ok(Import::Queued)
}

/// Whether the very arrival that is imported never left.
fn arrival_is_here(db: &Connection, arrival: &Arrival, size: u64) -> Result<bool> {
    let one = &arrival.recipient;
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM arrival a JOIN body b ON b.id = a.message WHERE a.id = ?1
         AND a.received = ?2 AND a.recipient = ?3 AND a.list_address = ?4 AND b.size = ?5)",
    )?
    .query_row(params![arrival.id, arrival.received, one.recipient, one.list_address, size as i64], |row| row.get(0))
}

/// Puts an outgoing message back; see [`super::Spool::import_outgoing`].
pub(super) fn import_outgoing(
    db: &Connection,
    effects: &mut Effects,
    origin: &str,
    again: bool,
    outgoing: &ImportedOutgoing,
    message: &Body,
) -> Result<ImportedRecipients> {
    let waiting = if again { HashSet::new() } else { waiting_here(db, outgoing, message.len())? };
    let mut outcome = ImportedRecipients::default();
    let mut wanted: Vec<&QueuedRecipient> = Vec::new();
    let mut named = HashSet::new();
    for one in &outgoing.recipients {
        // That an entry names somebody twice is no reason to send it twice, whatever is wanted again.
        if !named.insert(&one.address) {
            continue;
        }
        if waiting.contains(&one.address) {
            outcome.still_here += 1;
        } else if is_first(db, &origin_of_recipient(origin, &one.address), again)? {
            wanted.push(one);
        } else {
            outcome.before += 1;
        }
    }
    outcome.queued = wanted.len() as u64;
    let Some(next_try) = wanted.iter().map(|one| one.next_try).min() else {
        return Ok(outcome);
    };
    // Where the others are or were another entry, that one counts who was dealt with.
    let done = if outcome.still_here + outcome.before == 0 { outgoing.done } else { 0 };
    let body = insert_body(db, effects, message)?;
    let (kind, sender) = stored_sender(&outgoing.sender);
    let id = db
        .prepare_cached(
            "INSERT INTO outgoing (body, list, list_address, message_id, sender_kind, sender, queued, done, next_try,
             last_reply, splices) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .insert(params![
            body,
            outgoing.list,
            outgoing.list_address,
            outgoing.message_id,
            kind,
            sender,
            outgoing.queued,
            done as i64,
            next_try,
            outgoing.last_reply,
            outgoing.splices.as_ref().map(Splices::to_stored)
        ])?;
    let mut insert = db.prepare_cached(
        "INSERT INTO recipient (outgoing, address, attempts, next_try, reply, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for one in wanted {
        insert.execute(params![id, one.address, one.attempts, one.next_try, one.reply, one.name])?;
    }
    effects.outgoing_changed = true;
    Ok(outcome)
}

/// Who still waits for the very message that is imported, if it is here.
fn waiting_here(db: &Connection, outgoing: &ImportedOutgoing, size: u64) -> Result<HashSet<String>> {
    let here: bool = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM outgoing o JOIN body b ON b.id = o.body WHERE o.id = ?1
             AND o.queued = ?2 AND o.message_id = ?3 AND o.list_address = ?4 AND b.size = ?5)",
        )?
        .query_row(
            params![outgoing.id, outgoing.queued, outgoing.message_id, outgoing.list_address, size as i64],
            |row| row.get(0),
        )?;
    let rows = if here { queries::recipient_rows(db, outgoing.id)? } else { None };
    let Some((first, last)) = rows else { return Ok(HashSet::new()) };
    db.prepare_cached("SELECT address FROM recipient WHERE id BETWEEN ?2 AND ?3 AND +outgoing = ?1")?
        .query_map(params![outgoing.id, first, last], |row| row.get(0))?
        .collect()
}

/// A message may be imported in parts, and its recipients may come back and go in any order: each is known by himself.
fn origin_of_recipient(origin: &str, address: &str) -> String {
    let mut digest = Sha1::new();
    for part in [origin, "\0", address] {
        digest.update(part.as_bytes());
    }
    format!("import {}", HEXLOWER.encode(&digest.finalize()))
}
