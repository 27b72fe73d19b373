//! `postrider queue list`

use super::super::output::{self, Columns};
use super::choice::Filter;
use super::live::{self, Live};
use super::shown::{SHUNTED_HELP, arrival_value, next_try, outgoing_value, summary_line, summary_value};
use super::{Exit, Session};
use crate::spool::{Arrival, QueuedOutgoing, Queues};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

/// Show what waits (the default)
#[derive(Debug, Default, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Show it again and again, every so many seconds, until Ctrl-C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
}

impl List {
    /// Runs it.
    pub(super) async fn run(&self, session: &Session, as_json: bool) -> anyhow::Result<Exit> {
        let Some(seconds) = self.watch else {
            self.once(session, as_json).await?;
            return Ok(Exit::Done);
        };
        let terminal = std::io::stdout().is_terminal();
        loop {
            if terminal {
                // Clears the screen.
                output::line("\u{1b}[H\u{1b}[2J");
            }
            self.once(session, as_json).await?;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    }

    async fn once(&self, session: &Session, as_json: bool) -> anyhow::Result<()> {
        let spool = session.spool().await?;
        let (arrivals, outgoing) = self.filter.resolved(session).await?;
        let live = if outgoing.is_some() { live::ask(session, None).await } else { HashMap::new() };
        let filtered = !self.filter.is_empty();
        let shown = spool.browse(move |queues| {
            let summary = queues.at_one_moment(Queues::summary)?;
            if as_json {
                let mut json = output::JsonObject::begin();
                json.array("in");
                if let Some(filter) = arrivals {
                    queues.each_arrival(&filter, |arrival| json.element(&arrival_value(&arrival)))?;
                }
                json.array("out");
                if let Some(filter) = outgoing {
                    queues.each_outgoing(&filter, |one| json.element(&outgoing_value(&one, live.get(&one.id))))?;
                }
                json.value("summary", &summary_value(&summary));
                json.end();
                return Ok(());
            }
            let mut table = Columns::new(["IN", "RECEIVED", "STATE", "RECIPIENT", "SENDER", "REASON"]);
            if let Some(filter) = arrivals {
                queues.each_arrival(&filter, |arrival| table.row(arrival_row(&arrival)))?;
            }
            let arrivals = table.end();
            let mut table = Columns::new(["OUT", "QUEUED", "DONE", "NEXT TRY", "RATE", "LIST", "LAST REPLY"]);
            let mut gap = arrivals > 0;
            if let Some(filter) = outgoing {
                queues.each_outgoing(&filter, |one| {
                    if std::mem::take(&mut gap) {
                        output::line("");
                    }
                    table.row(outgoing_row(&one, live.get(&one.id)));
                })?;
            }
            let shown = arrivals + table.end();
            if shown > 0 {
                output::line("");
            } else if filtered && summary != crate::spool::QueueSummary::default() {
                output::line("Nothing in the queues is like that");
            }
            output::line(&summary_line(&summary));
            if summary.shunted > 0 {
                output::line(SHUNTED_HELP);
            }
            Ok(())
        });
        Ok(shown.await?)
    }
}

fn arrival_row(arrival: &Arrival) -> [String; 6] {
    [
        format!("in {}", arrival.id),
        output::time(arrival.received),
        arrival.state.as_str().to_owned(),
        output::clean(&arrival.recipient.recipient),
        arrival.sender.as_ref().map_or_else(|| "<>".to_owned(), ToString::to_string),
        output::clean(&arrival.reason),
    ]
}

fn outgoing_row(message: &QueuedOutgoing, live: Option<&Live>) -> [String; 7] {
    let rate = match live {
        None => String::new(),
        Some(live) => match live.seconds_left(message.waiting - message.deferred) {
            Some(seconds) => {
                format!("{}/s, {} left", output::count(live.per_second.round() as u64), output::span(seconds))
            }
            None => format!("{} in flight", output::count(live.in_flight)),
        },
    };
    [
        format!("out {}", message.id),
        output::time(message.queued),
        format!("{}/{}", message.done, message.done + message.waiting),
        next_try(message.next_try),
        rate,
        message.list_address.clone(),
        output::clean(&message.last_reply),
    ]
}
