//! `postrider lists`

use super::{Exit, Session, output};
use crate::lists::DomainName;
use serde_json::json;

/// Show all lists
#[derive(Debug, clap::Args)]
pub struct Lists {
    /// Only lists of this domain
    #[arg(short, long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Lists {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let domain = self.domain.as_deref().map(DomainName::parse).transpose()?;
        let lists = session.store().await?.lists(domain.as_ref()).await?;
        if self.json {
            let lists: Vec<_> = lists
                .iter()
                .map(|list| {
                    json!({
                        "address": list.address.to_string(),
                        "list_id": list.list_id.as_str(),
                        "display_name": list.settings.display_name,
                        "description": list.settings.description,
                        "post_count": list.post_count,
                    })
                })
                .collect();
            output::json(&json!(lists));
        } else if lists.is_empty() {
            output::line("No matching mailing lists found");
        } else {
            let rows: Vec<_> = lists
                .iter()
                .map(|list| {
                    [
                        list.address.to_string(),
                        output::clean(&list.settings.display_name),
                        output::clean(&list.settings.description),
                    ]
                })
                .collect();
            output::table(["ADDRESS", "NAME", "DESCRIPTION"], &rows);
        }
        Ok(Exit::Done)
    }
}
