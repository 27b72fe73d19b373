//! `postrider queue bounces`

use super::super::output;
use super::shown::bounce_value;
use super::{Exit, Session};
use serde_json::json;

/// Runs it.
pub(super) async fn run(session: &Session, as_json: bool) -> anyhow::Result<Exit> {
    let events = session.spool().await?.bounce_events().await?;
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
