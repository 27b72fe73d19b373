//! `postrider queue bounces`

use super::super::output::{self, Columns};
use super::choice::list_address;
use super::shown::bounce_value;
use super::{Exit, Session};
use crate::bounce::report::report;
use crate::spool::{BounceEvent, BounceFilter};
use anyhow::anyhow;

/// Show the permanent failures of the last 30 days
#[derive(Debug, clap::Args)]
pub(super) struct Bounces {
    /// Print the one with this number as a delivery report (RFC 3464), as a mail server would have sent it
    #[arg(value_name = "NUMBER", conflicts_with_all = ["json", "list", "recipient"])]
    number: Option<i64>,
    /// Only of this list
    #[arg(long, value_name = "LIST")]
    list: Option<String>,
    /// Only of this recipient
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
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
        let list = match &self.list {
            Some(name) => Some(list_address(session, name).await?),
            None => None,
        };
        let filter = BounceFilter { list, recipient: self.recipient.clone() };
        let shown = spool.browse(move |queues| {
            if as_json {
                let mut json = output::JsonArray::begin();
                queues.each_bounce(&filter, |event| json.element(&bounce_value(&event)))?;
                json.end();
                return Ok(());
            }
            let mut table = Columns::new(["NUMBER", "TIME", "LIST", "RECIPIENT", "REPLY"]);
            queues.each_bounce(&filter, |event| table.row(row(&event)))?;
            if table.end() == 0 {
                output::line("No bounces");
            }
            Ok(())
        });
        shown.await?;
        Ok(Exit::Done)
    }
}

fn row(event: &BounceEvent) -> [String; 5] {
    [
        event.id.to_string(),
        output::time(event.time),
        event.list_address.clone(),
        output::clean(&event.recipient),
        output::clean(&event.reply),
    ]
}
