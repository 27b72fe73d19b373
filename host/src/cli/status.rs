//! `postrider status`

use super::{Exit, Session, output};
use crate::control::{self, Request};
use crate::spool::ArrivalState;
use serde_json::json;

/// Is the daemon running, and how far is it? Exit status 1 when it is not running
#[derive(Debug, clap::Args)]
pub struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let daemon = control::send(&session.config().paths.socket, Request::Status).await?;
        let spool = session.spool().await?;
        let arrivals = spool.arrivals().await?;
        let outgoing = spool.outgoing().await?;
        let count = |state| arrivals.iter().filter(|arrival| arrival.state == state).count();
        let waiting: u64 = outgoing.iter().map(|message| message.waiting).sum();
        let oldest = arrivals
            .iter()
            .filter(|arrival| arrival.state == ArrivalState::New)
            .map(|arrival| arrival.received)
            .chain(outgoing.iter().map(|message| message.queued))
            .min();
        let generation = session.store().await?.generation().await?;
        let running = daemon.is_some();
        if self.json {
            output::json(&json!({
                "daemon": daemon,
                "running": running,
                "in": {"new": count(ArrivalState::New), "kept": count(ArrivalState::Kept), "shunted": count(ArrivalState::Shunted)},
                "out": {"messages": outgoing.len(), "recipients": waiting},
                "oldest": oldest,
                "mta_up_to_date": generation.applied >= generation.wanted,
            }));
        } else {
            match &daemon {
                None => output::line("Postrider is not running"),
                Some(daemon) => {
                    output::line(&format!("Postrider is running (PID {})", daemon["pid"]));
                    for address in daemon["lmtp"].as_array().into_iter().flatten().filter_map(|one| one.as_str()) {
                        output::line(&format!("LMTP       {address}"));
                    }
                }
            }
            output::line(&format!(
                "Queue in   {} new, {} kept for later, {} shunted",
                count(ArrivalState::New),
                count(ArrivalState::Kept),
                count(ArrivalState::Shunted)
            ));
            output::line(&format!("Queue out  {} messages to {waiting} recipients", outgoing.len()));
            if let Some(oldest) = oldest {
                output::line(&format!("Oldest     {}", output::time(oldest)));
            }
            let tables =
                if generation.applied >= generation.wanted { "up to date" } else { "behind; run `postrider aliases`" };
            output::line(&format!("MTA tables {tables}"));
        }
        Ok(if running { Exit::Done } else { Exit::Failed })
    }
}
