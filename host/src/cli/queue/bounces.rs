//! `postrider queue bounces`

use super::super::output;
use super::shown::bounce_value;
use super::{Exit, Session};
use crate::bounce::report::report;
use anyhow::anyhow;
use serde_json::json;

/// Show the permanent failures of the last 30 days
#[derive(Debug, clap::Args)]
pub(super) struct Bounces {
    /// Print the one with this number as a delivery report (RFC 3464), as a mail server would have sent it
    #[arg(value_name = "NUMBER", conflicts_with = "json")]
    number: Option<i64>,
}

impl Bounces {
    /// Runs it.
    pub(super) async fn run(&self, session: &Session, as_json: bool) -> anyhow::Result<Exit> {
        let spool = session.spool().await?;
        if let Some(number) = self.number {
            let event = spool.bounce_event(number).await?;
            let event = event.ok_or_else(|| anyhow!("there is no bounce {number}; see `postrider queue bounces`"))?;
            output::message(&report(&event, &crate::lmtp::this_host()), false);
            return Ok(Exit::Done);
        }
        let events = spool.bounce_events().await?;
        if as_json {
            output::json(&json!(events.iter().map(bounce_value).collect::<Vec<_>>()));
            return Ok(Exit::Done);
        }
        if events.is_empty() {
            output::line("No bounces");
        }
        let rows: Vec<_> = events
            .iter()
            .map(|event| {
                [
                    event.id.to_string(),
                    output::time(event.time),
                    event.list_address.clone(),
                    output::clean(&event.recipient),
                    output::clean(&event.reply),
                ]
            })
            .collect();
        output::table(["NUMBER", "TIME", "LIST", "RECIPIENT", "REPLY"], &rows);
        Ok(Exit::Done)
    }
}
