//! `postrider queue show`

use super::super::output::{self, Columns};
use super::entry::{Direction, Entry, Word, entries, usage};
use super::live::{self, Live};
use super::shown::{arrival_value, bounce_value, header, next_try, outgoing_value, sender, since};
use super::{Exit, Session};
use crate::clock::unix_now;
use crate::lists::EmailAddress;
use crate::personal::Own;
use crate::post::facts::Facts;
use crate::post::headers::Headers;
use crate::spool::{Arrival, BounceEvent, QueuedOutgoing, QueuedRecipient, Queues, RecipientFilter, SameReply, Spool};
use anyhow::anyhow;
use serde_json::{Value, json};
use std::sync::Arc;

/// So many different replies are shown.
const REPLIES: usize = 20;
/// So many bounces are shown.
const BOUNCES: usize = 20;

/// Show one entry: its header, and its recipients with what the mail server said of them
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// `in NUMBER` or `out NUMBER` (or `in12`), as `queue` prints them
    #[arg(value_name = "ENTRY", required = true, num_args = 1..=2)]
    words: Vec<Word>,
    /// Show every recipient that waits
    #[arg(long)]
    recipients: bool,
    /// Show the message's body too
    #[arg(long)]
    body: bool,
    /// Print only the message, octet by octet, to a terminal too
    #[arg(long, conflicts_with_all = ["body", "recipients"])]
    raw: bool,
    /// Show the message as this recipient, who still waits for it, gets it
    #[arg(long = "as", value_name = "RECIPIENT")]
    recipient: Option<String>,
}

impl Show {
    /// Runs it.
    pub(super) async fn run(&self, session: &Session, as_json: bool) -> anyhow::Result<Exit> {
        let entry = match entries(&self.words).as_deref() {
            Ok([entry]) => *entry,
            Ok(_) => usage("show", "one entry at a time can be shown"),
            Err(what) => usage("show", what),
        };
        let spool = session.spool().await?;
        match entry.direction {
            Direction::In if self.recipient.is_some() => usage("show", "--as is for messages that go out"),
            Direction::In => self.arrival(spool, entry, as_json).await?,
            Direction::Out => self.outgoing(session, spool, entry, as_json).await?,
        }
        Ok(Exit::Done)
    }

    async fn arrival(&self, spool: &Spool, entry: Entry, as_json: bool) -> anyhow::Result<()> {
        let found =
            spool.browse(move |queues| queues.of_arrival(entry.number, |queues, one| Ok((queues.message(&one)?, one))));
        let (message, arrival) = found.await?.ok_or_else(|| entry.unknown())?;
        if self.raw && !as_json {
            output::message(&message, true);
        } else if as_json {
            let mut value = arrival_value(&arrival);
            describe(&mut value, &message);
            output::json(&value);
        } else {
            arrival_lines(&arrival, &message);
            self.message(&message);
        }
        Ok(())
    }

    async fn outgoing(&self, session: &Session, spool: &Spool, entry: Entry, as_json: bool) -> anyhow::Result<()> {
        let live = live::ask(session, Some(entry.number)).await.remove(&entry.number);
        // A message that cannot be read waits; for whom is told all the same.
        let (mut details, lost) = match self.details(spool, entry, true).await {
            Err(lost) if !self.raw && self.recipient.is_none() => {
                (self.details(spool, entry, false).await?, Some(lost))
            }
            found => (found?, None),
        };
        details.live = live;
        if self.raw && !as_json {
            output::message(&details.octets, true);
        } else if as_json {
            details.json(spool, self.recipients).await?;
        } else {
            details.lines();
            if self.recipients {
                details.all_recipients(spool).await?;
            }
            self.message(&details.octets);
        }
        lost.map_or(Ok(()), Err)
    }

    /// All that the spool has of an outgoing message, with its content or without.
    async fn details(&self, spool: &Spool, entry: Entry, content: bool) -> anyhow::Result<Details> {
        let recipient = self.recipient.clone();
        let read = move |queues: &Queues<'_>, message: QueuedOutgoing| {
            let (failed, bounces) = queues.bounces(&message, BOUNCES)?;
            let mut octets = if content { queues.outgoing_message(message.id)? } else { Arc::default() };
            let mut shown_as = None;
            if let Some(wanted) = recipient {
                let filter = RecipientFilter { address: Some(wanted), reply: None };
                queues.each_recipient(message.id, &filter, |one| shown_as = Some(one))?;
                let Some(one) = &shown_as else {
                    return Ok(Err(anyhow!("nobody of this address waits for {entry} (--recipients shows who does)")));
                };
                if let (Some(splices), Ok(address)) = (queues.splices(message.id)?, EmailAddress::parse(&one.address)) {
                    octets = Own::of(&splices, &address, &one.name).put_into(&octets, &splices).into();
                }
            }
            let replies = queues.replies(message.id, REPLIES)?;
            Ok(Ok(Details { octets, replies, message, failed, bounces, live: None, shown_as }))
        };
        let found = spool.browse(move |queues| queues.of_outgoing(entry.number, read));
        found.await?.ok_or_else(|| entry.unknown())?
    }

    fn message(&self, octets: &[u8]) {
        output::line("");
        if self.body {
            output::message(octets, false);
        } else {
            for (name, value) in header(octets) {
                output::line(&format!("{name}: {value}"));
            }
        }
    }
}

/// What is told of the message itself.
fn describe(value: &mut Value, message: &[u8]) {
    let facts = Facts::of(&Headers::parse(message));
    value["message_id"] = json!(facts.message_id);
    value["age"] = json!(unix_now() - value["received"].as_i64().or(value["queued"].as_i64()).unwrap_or_default());
    value["header"] = json!(header(message));
}

fn arrival_lines(arrival: &Arrival, message: &[u8]) {
    let line = |key: &str, value: &str| output::line(&format!("{key}: {}", output::clean(value)));
    line("entry", &format!("in {}", arrival.id));
    line("state", arrival.state.as_str());
    if !arrival.reason.is_empty() {
        line("reason", &arrival.reason);
    }
    line("list", &format!("{} ({})", arrival.recipient.list_address, arrival.recipient.function.as_str()));
    line("recipient", &arrival.recipient.recipient);
    line("sender", &arrival.sender.as_ref().map_or_else(|| "<>".to_owned(), ToString::to_string));
    line("message-id", &Facts::of(&Headers::parse(message)).message_id);
    line("received", &since(arrival.received));
    line("size", &output::counted(arrival.size, "octet"));
}

/// An outgoing message with everything that is known of it.
struct Details {
    message: QueuedOutgoing,
    octets: Arc<[u8]>,
    replies: Vec<SameReply>,
    failed: u64,
    bounces: Vec<BounceEvent>,
    live: Option<Live>,
    /// Whose copy `octets` is.
    shown_as: Option<QueuedRecipient>,
}

impl Details {
    fn in_flight(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.in_flight)
    }

    /// Due now, and not in flight.
    fn due(&self) -> u64 {
        (self.message.waiting - self.message.deferred).saturating_sub(self.in_flight())
    }

    fn delivered(&self) -> u64 {
        self.message.done.saturating_sub(self.failed)
    }

    fn lines(&self) {
        let message = &self.message;
        let line = |key: &str, value: &str| output::line(&format!("{key}: {}", output::clean(value)));
        line("entry", &format!("out {}", message.id));
        line("list", &message.list_address);
        line("sender", &sender(&message.sender));
        line("message-id", &message.message_id);
        line("queued", &since(message.queued));
        line("size", &output::counted(message.size, "octet"));
        match &self.shown_as {
            Some(recipient) => line("shown", &format!("as {} gets it", recipient.address)),
            None if message.personal => line(
                "personal",
                "each recipient gets a copy of his own (--as RECIPIENT shows it); below is what all copies share",
            ),
            None => {}
        }
        line("delivered", &output::count(self.delivered()));
        line("failed for good", &output::count(self.failed));
        let rate = match self.live.as_ref().and_then(|live| Some((live, live.seconds_left(self.due())?))) {
            Some((live, seconds)) => {
                format!(" ({}/s, {} left)", output::count(live.per_second.round() as u64), output::span(seconds))
            }
            None => String::new(),
        };
        line("in flight", &format!("{}{rate}", output::count(self.in_flight())));
        line("due now", &output::count(self.due()));
        line("deferred", &output::count(message.deferred));
        for one in &self.replies {
            output::line(&format!("  {}", reply_line(one)));
        }
        let told: u64 = self.replies.iter().map(|one| one.recipients).sum();
        if message.deferred > told {
            output::line(&format!(
                "  {} more for other reasons (--recipients)",
                output::count(message.deferred - told)
            ));
        }
        for event in &self.bounces {
            output::line(&format!(
                "bounce: {} {}: {}",
                output::time(event.time),
                output::clean(&event.recipient),
                output::clean(&event.reply)
            ));
        }
        if self.failed > self.bounces.len() as u64 {
            output::line("bounce: … (postrider queue bounces)");
        }
    }

    async fn all_recipients(&self, spool: &Spool) -> anyhow::Result<()> {
        let outgoing = self.message.id;
        let leased = self.live.as_ref().map(|live| live.leased.clone()).unwrap_or_default();
        output::line("");
        let listed = spool.browse(move |queues| {
            let mut table = Columns::new(["STATE", "TRIES", "NEXT TRY", "RECIPIENT", "LAST REPLY"]);
            queues.each_recipient(outgoing, &RecipientFilter::default(), |one| {
                table.row([
                    recipient_state(&one, leased.contains(&one.id)).to_owned(),
                    one.attempts.to_string(),
                    next_try(one.next_try),
                    output::clean(&one.address),
                    output::clean(&one.reply),
                ]);
            })?;
            table.end();
            Ok(())
        });
        Ok(listed.await?)
    }

    async fn json(&self, spool: &Spool, all_recipients: bool) -> anyhow::Result<()> {
        let mut value = outgoing_value(&self.message, self.live.as_ref());
        describe(&mut value, &self.octets);
        // As the spool has it; the header may have none.
        value["message_id"] = json!(self.message.message_id);
        value["recipients"] = json!({
            "delivered": self.delivered(),
            "failed": self.failed,
            "in_flight": self.in_flight(),
            "due": self.due(),
            "deferred": self.message.deferred,
        });
        value["replies"] = self.replies.iter().map(reply_value).collect();
        value["bounces"] = self.bounces.iter().map(bounce_value).collect();
        let mut json = output::JsonObject::begin();
        for (key, value) in value.as_object().into_iter().flatten() {
            json.value(key, value);
        }
        if all_recipients {
            let outgoing = self.message.id;
            let leased = self.live.as_ref().map(|live| live.leased.clone()).unwrap_or_default();
            json.array("recipient_list");
            let listed = spool.browse(move |queues| {
                queues.each_recipient(outgoing, &RecipientFilter::default(), |one| {
                    json.element(&json!({
                        "address": one.address,
                        "state": recipient_state(&one, leased.contains(&one.id)),
                        "attempts": one.attempts,
                        "next_try": one.next_try,
                        "reply": one.reply,
                    }));
                })?;
                json.end();
                Ok(())
            });
            listed.await?;
        } else {
            json.end();
        }
        Ok(())
    }
}

fn recipient_state(one: &QueuedRecipient, in_flight: bool) -> &'static str {
    match () {
        () if in_flight => "in flight",
        () if one.next_try > unix_now() => "deferred",
        () => "due",
    }
}

fn reply_line(one: &SameReply) -> String {
    let range = |from: String, to: String| if from == to { from } else { format!("{from}–{to}") };
    let tries = match one.attempts {
        (1, 1) => "1 try".to_owned(),
        (least, most) => format!("{} tries", range(least.to_string(), most.to_string())),
    };
    let [first, last] = &one.examples;
    let more = if one.recipients > 2 { ", …" } else { "" };
    let examples = if first == last { first.clone() } else { format!("{first}, {last}{more}") };
    output::clean(&format!(
        "{} after {tries}, next try {}: {} ({examples})",
        output::count(one.recipients),
        range(output::time(one.next_try.0), output::time(one.next_try.1)),
        if one.reply.is_empty() { "no reply yet" } else { &one.reply },
    ))
}

fn reply_value(one: &SameReply) -> Value {
    let [first, last] = &one.examples;
    let examples = if first == last { vec![first] } else { vec![first, last] };
    json!({
        "reply": one.reply,
        "recipients": one.recipients,
        "attempts": [one.attempts.0, one.attempts.1],
        "next_try": [one.next_try.0, one.next_try.1],
        "examples": examples,
    })
}
