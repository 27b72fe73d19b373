//! `postrider queue drop`

use super::super::output;
use super::choice::{Choice, Chosen, together};
use super::entry::usage;
use super::{Exit, Session};
use crate::spool::{Arrival, QueuedOutgoing, RecipientFilter};
use std::io::{BufRead, IsTerminal, Write};

/// So many entries are named before the question.
const NAMED: usize = 20;

/// Throw entries away, or some recipients of them
#[derive(Debug, clap::Args)]
#[command(after_help = "On a terminal it asks first. Whoever is being delivered to at this moment gets the message \
                        all the same. Nobody is told of what was dropped; `queue export --remove` keeps a copy.")]
pub(super) struct Drop {
    #[command(flatten)]
    choice: Choice,
    /// Do not ask; needed for several at once (`--list`, `--state`, `--recipient`) when nobody can be asked
    #[arg(short, long)]
    yes: bool,
}

impl Drop {
    /// Runs it.
    pub(super) async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        if self.choice.is_empty() {
            usage("drop", "say what to drop: ENTRY, --list, --state or --recipient");
        }
        let spool = session.spool().await?;
        let found = self.choice.find("drop", session, spool).await?;
        let all_known = found.tell_unknown();
        if found.is_empty() {
            if all_known {
                output::line("Nothing in the queues is like that");
            }
            return Ok(if all_known { Exit::Done } else { Exit::Failed });
        }
        if !self.yes && !self.is_agreed(&found)? {
            output::line("Nothing was dropped");
            return Ok(Exit::Failed);
        }
        // An arrival has one recipient; whoever named it by number and says another one does not mean it.
        let recipient = self.choice.filter.recipient.as_deref();
        let meant = |arrival: &&Arrival| {
            recipient.is_none_or(|recipient| arrival.recipient.recipient.eq_ignore_ascii_case(recipient))
        };
        let arrivals: Vec<&Arrival> = found.arrivals.iter().filter(meant).collect();
        let done = together(arrivals.iter().map(|arrival| {
            let (spool, id) = (spool.clone(), arrival.id);
            async move { spool.drop_arrival(id).await }
        }));
        let mut dropped = 0;
        for (arrival, done) in arrivals.iter().zip(done.await?) {
            if done {
                dropped += 1;
                output::line(&format!("Dropped {}", arrival_text(arrival)));
            }
        }
        for message in &found.outgoing {
            let filter = RecipientFilter { address: recipient.map(str::to_owned), reply: None };
            let recipients = spool.drop_recipients(message.id, &filter).await?;
            if recipients > 0 {
                dropped += 1;
                output::line(&format!("Dropped {}", outgoing_text(message, recipients, recipient)));
            }
        }
        if dropped == 0 {
            output::line("Nothing was left to be dropped");
        }
        Ok(if all_known { Exit::Done } else { Exit::Failed })
    }

    /// Asks on a terminal. Elsewhere entries that are named one by one need no further word.
    fn is_agreed(&self, found: &Chosen) -> anyhow::Result<bool> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            if self.choice.is_by_number() {
                return Ok(true);
            }
            anyhow::bail!(
                "{} in and {} out would be dropped; say --yes, or name them one by one; nothing was dropped",
                output::counted(found.arrivals.len() as u64, "message"),
                output::counted(found.outgoing.len() as u64, "message")
            );
        }
        let recipient = self.choice.filter.recipient.as_deref();
        let arrivals = found.arrivals.iter().map(arrival_text);
        let outgoing = found.outgoing.iter().map(|one| {
            let recipients = if recipient.is_some() { 1 } else { one.waiting };
            outgoing_text(one, recipients, recipient)
        });
        arrivals.chain(outgoing).take(NAMED).for_each(|text| output::line(&text));
        let all = found.arrivals.len() + found.outgoing.len();
        if all > NAMED {
            output::line(&format!("… and {} more", output::count((all - NAMED) as u64)));
        }
        eprint!("Drop {}? [y/N] ", if all == 1 { "this" } else { "these" });
        std::io::stderr().flush()?;
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

fn arrival_text(arrival: &Arrival) -> String {
    output::clean(&format!(
        "in {}: from {} to {}, {}",
        arrival.id,
        arrival.sender.as_ref().map_or_else(|| "<>".to_owned(), ToString::to_string),
        arrival.recipient.recipient,
        output::counted(arrival.size, "octet")
    ))
}

fn outgoing_text(message: &QueuedOutgoing, recipients: u64, recipient: Option<&str>) -> String {
    let who = recipient.map_or_else(|| output::counted(recipients, "recipient"), str::to_owned);
    let done = if message.done > 0 { format!(" ({} done before)", output::count(message.done)) } else { String::new() };
    output::clean(&format!("out {}: {} of {}, {who}{done}", message.id, message.message_id, message.list_address))
}
