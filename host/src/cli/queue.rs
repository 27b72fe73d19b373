//! `postrider queue`

use super::{Exit, Session, output};
use crate::control::Request;
use crate::spool::{Arrival, ArrivalState, QueuedOutgoing};
use anyhow::anyhow;
use serde_json::{Value, json};

/// Show what waits in the queues and act on it
#[derive(Debug, clap::Args)]
pub struct Queue {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show everything that waits (the default)
    List,
    /// Show one entry and its message
    Show {
        /// `in NUMBER` or `out NUMBER`, as `queue` prints them
        #[command(flatten)]
        entry: Entry,
        /// Print only the message, octet by octet, to a terminal too
        #[arg(long)]
        raw: bool,
    },
    /// Try again now: shunted mail, or mail that waits for a retry
    Retry {
        #[command(flatten)]
        entry: OptionalEntry,
    },
    /// Throw an entry away
    Drop {
        #[command(flatten)]
        entry: Entry,
    },
    /// Show the permanent failures that wait for bounce processing
    Bounces,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Direction {
    /// Mail that came in
    In,
    /// Mail that goes out
    Out,
}

#[derive(Debug, clap::Args)]
struct Entry {
    /// Which queue
    #[arg(value_enum)]
    direction: Direction,
    /// The entry's number
    number: i64,
}

#[derive(Debug, clap::Args)]
struct OptionalEntry {
    /// Which queue; everything that can be retried when absent
    #[arg(value_enum, requires = "number")]
    direction: Option<Direction>,
    /// The entry's number
    number: Option<i64>,
}

impl Queue {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        match &self.action {
            None | Some(Action::List) => self.list(session).await,
            Some(Action::Bounces) => self.bounces(session).await,
            Some(Action::Show { entry, raw }) => self.show(session, entry, *raw).await,
            Some(Action::Retry { entry }) => retry(session, entry).await,
            Some(Action::Drop { entry }) => drop_entry(session, entry).await,
        }
    }

    async fn list(&self, session: &Session) -> anyhow::Result<Exit> {
        let spool = session.spool().await?;
        let (arrivals, outgoing) = (spool.arrivals().await?, spool.outgoing().await?);
        if self.json {
            output::json(&json!({
                "in": arrivals.iter().map(arrival_value).collect::<Vec<_>>(),
                "out": outgoing.iter().map(outgoing_value).collect::<Vec<_>>(),
            }));
            return Ok(Exit::Done);
        }
        if arrivals.is_empty() && outgoing.is_empty() {
            output::line("The queues are empty");
        }
        let rows: Vec<_> = arrivals
            .iter()
            .map(|arrival| {
                [
                    format!("in {}", arrival.id),
                    output::time(arrival.received),
                    state(arrival.state).to_owned(),
                    arrival.recipient.recipient.clone(),
                    arrival.sender.as_ref().map_or_else(|| "<>".to_owned(), ToString::to_string),
                    output::clean(&arrival.reason),
                ]
            })
            .collect();
        output::table(["IN", "RECEIVED", "STATE", "RECIPIENT", "SENDER", "REASON"], &rows);
        if !arrivals.is_empty() && !outgoing.is_empty() {
            output::line("");
        }
        let rows: Vec<_> = outgoing
            .iter()
            .map(|message| {
                [
                    format!("out {}", message.id),
                    output::time(message.queued),
                    format!("{}/{}", message.done, message.done + message.waiting),
                    output::time(message.next_try),
                    message.list_address.clone(),
                    output::clean(&message.last_reply),
                ]
            })
            .collect();
        output::table(["OUT", "QUEUED", "DONE", "NEXT TRY", "LIST", "LAST REPLY"], &rows);
        Ok(Exit::Done)
    }

    async fn bounces(&self, session: &Session) -> anyhow::Result<Exit> {
        let events = session.spool().await?.bounce_events().await?;
        if self.json {
            let events: Vec<_> = events
                .iter()
                .map(|event| {
                    json!({
                        "id": event.id,
                        "list": event.list_address,
                        "recipient": event.recipient,
                        "reply": event.reply,
                        "message_id": event.message_id,
                        "time": event.time,
                    })
                })
                .collect();
            output::json(&json!(events));
            return Ok(Exit::Done);
        }
        if events.is_empty() {
            output::line("No bounces");
        }
        let rows: Vec<_> = events
            .iter()
            .map(|event| {
                [
                    output::time(event.time),
                    event.list_address.clone(),
                    output::clean(&event.recipient),
                    output::clean(&event.reply),
                ]
            })
            .collect();
        output::table(["TIME", "LIST", "RECIPIENT", "REPLY"], &rows);
        Ok(Exit::Done)
    }

    async fn show(&self, session: &Session, entry: &Entry, raw: bool) -> anyhow::Result<Exit> {
        let spool = session.spool().await?;
        let (value, message) = match entry.direction {
            Direction::In => match spool.arrivals().await?.into_iter().find(|arrival| arrival.id == entry.number) {
                Some(arrival) => (arrival_value(&arrival), spool.message(arrival.message).await?),
                None => return Err(unknown(entry.direction, entry.number)),
            },
            Direction::Out => match spool.outgoing().await?.into_iter().find(|message| message.id == entry.number) {
                Some(message) => (outgoing_value(&message), spool.outgoing_message(message.id).await?),
                None => return Err(unknown(entry.direction, entry.number)),
            },
        };
        if self.json {
            output::json(&value);
            return Ok(Exit::Done);
        }
        if raw {
            output::message(&message, true);
            return Ok(Exit::Done);
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            output::line(&format!("{key}: {}", output::clean(&text)));
        }
        output::line("");
        output::message(&message, false);
        Ok(Exit::Done)
    }
}

async fn retry(session: &Session, entry: &OptionalEntry) -> anyhow::Result<Exit> {
    let spool = session.spool().await?;
    let mut count = 0;
    match (entry.direction, entry.number) {
        (Some(Direction::In), Some(number)) => {
            // What is not kept of a message stays said.
            let kept = |arrival: &Arrival| arrival.id == number && arrival.state == ArrivalState::Kept;
            let reason = spool.arrivals().await?.into_iter().find(kept).map(|arrival| arrival.reason);
            count += u64::from(spool.set_state(number, ArrivalState::New, &reason.unwrap_or_default()).await?);
        }
        (Some(Direction::Out), Some(number)) => count += spool.retry_now(Some(number)).await?,
        _ => {
            for arrival in spool.arrivals().await?.iter().filter(|arrival| arrival.state == ArrivalState::Shunted) {
                count += u64::from(spool.set_state(arrival.id, ArrivalState::New, "").await?);
            }
            count += spool.retry_now(None).await?;
        }
    }
    if let (Some(direction), Some(number), 0) = (entry.direction, entry.number, count) {
        return Err(unknown(direction, number));
    }
    session.wake(Request::Spool).await;
    output::line(&format!("{count} will be tried again now"));
    Ok(Exit::Done)
}

fn unknown(direction: Direction, number: i64) -> anyhow::Error {
    let direction = match direction {
        Direction::In => "in",
        Direction::Out => "out",
    };
    anyhow!("there is no entry `{direction} {number}`; `postrider queue` shows them")
}

async fn drop_entry(session: &Session, entry: &Entry) -> anyhow::Result<Exit> {
    let spool = session.spool().await?;
    let dropped = match entry.direction {
        Direction::In => {
            let known = spool.arrivals().await?.iter().any(|arrival| arrival.id == entry.number);
            spool.finish(entry.number).await?;
            known
        }
        Direction::Out => spool.drop_outgoing(entry.number).await?,
    };
    if !dropped {
        return Err(unknown(entry.direction, entry.number));
    }
    output::line("Dropped");
    Ok(Exit::Done)
}

fn state(state: ArrivalState) -> &'static str {
    match state {
        ArrivalState::New => "new",
        ArrivalState::Kept => "kept",
        ArrivalState::Shunted => "shunted",
    }
}

fn arrival_value(arrival: &Arrival) -> Value {
    json!({
        "id": arrival.id,
        "state": state(arrival.state),
        "list": arrival.recipient.list_address,
        "function": arrival.recipient.function.as_str(),
        "recipient": arrival.recipient.recipient,
        "sender": arrival.sender.as_ref().map(ToString::to_string),
        "received": arrival.received,
        "size": arrival.size,
        "reason": arrival.reason,
    })
}

fn outgoing_value(message: &QueuedOutgoing) -> Value {
    json!({
        "id": message.id,
        "list": message.list_address,
        "message_id": message.message_id,
        "waiting": message.waiting,
        "done": message.done,
        "queued": message.queued,
        "next_try": message.next_try,
        "last_reply": message.last_reply,
    })
}
