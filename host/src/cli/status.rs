//! `postrider status`

use super::{Exit, Session, output};
use crate::control::{self, Request};
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
        let queues = spool.summary().await?;
        let generation = session.store().await?.generation().await?;
        let running = daemon.is_some();
        if self.json {
            output::json(&json!({
                "daemon": daemon,
                "running": running,
                "in": {"new": queues.new, "kept": queues.kept, "shunted": queues.shunted},
                "out": {"messages": queues.outgoing, "recipients": queues.recipients},
                "oldest": queues.oldest(),
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
            let [new, kept, shunted] = [queues.new, queues.kept, queues.shunted].map(output::count);
            output::line(&format!("Queue in   {new} new, {kept} kept for later, {shunted} shunted"));
            output::line(&format!(
                "Queue out  {} to {}",
                output::counted(queues.outgoing, "message"),
                output::counted(queues.recipients, "recipient")
            ));
            if let Some(oldest) = queues.oldest() {
                output::line(&format!("Oldest     {}", output::time(oldest)));
            }
            if queues.shunted > 0 {
                output::line("Shunted    could not be processed: `postrider queue list --state shunted` tells why");
            }
            let tables =
                if generation.applied >= generation.wanted { "up to date" } else { "behind; run `postrider aliases`" };
            output::line(&format!("MTA tables {tables}"));
        }
        Ok(if running { Exit::Done } else { Exit::Failed })
    }
}
