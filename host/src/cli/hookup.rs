//! `postrider hookup`

use super::{Exit, Session, output};
use crate::hookup::{Roster, snippets_text};
use postrider_plugin_api::sdk::{Snippet, SnippetKind};
use serde_json::{Value, json};

/// Show what the MTA's own configuration needs, once, to know of the lists
///
/// Changes nothing. The steps are made from what the MTA's configuration holds now, so that
/// nothing that is in it gets lost.
#[derive(Debug, clap::Args)]
pub struct Hookup {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Hookup {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let hookup = session.hookup()?;
        let store = session.store().await?;
        let roster = Roster::new(store.domains().await?, store.lists(None).await?);
        let snippets = tokio::task::spawn_blocking(move || hookup.snippets(&roster)).await??;
        if self.json {
            output::json(&json!(snippets.iter().map(value).collect::<Vec<_>>()));
        } else if snippets.is_empty() {
            output::line("The MTA needs no configuration for this adapter.");
        } else {
            output::line(snippets_text(&snippets).trim_end());
        }
        Ok(Exit::Done)
    }
}

fn value(snippet: &Snippet) -> Value {
    let kind = match snippet.kind {
        SnippetKind::Lines => "lines",
        SnippetKind::Commands => "commands",
        // A plugin of a later API; whoever reads this must not take it for something that he knows.
        _ => "unknown",
    };
    json!({ "kind": kind, "file": snippet.file, "text": snippet.text, "explanation": snippet.explanation })
}
