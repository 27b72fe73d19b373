//! `postrider aliases`

use super::{Exit, Session, output, publish};
use crate::hookup::{Outcome, Preview, Roster, Wish};
use std::path::PathBuf;

/// Write the MTA's tables anew
#[derive(Debug, clap::Args)]
pub struct Aliases {
    /// Change nothing, show what would change
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Write the tables into this directory instead, and run nothing
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The commands that were printed to be run by hand have been run
    #[arg(long)]
    activated: bool,
}

impl Aliases {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        if self.dry_run || self.output.is_some() {
            return self.elsewhere(session).await;
        }
        let wish = Wish { always: true, activated: self.activated, ..Wish::default() };
        match publish::bring_up_to_date(session, wish).await? {
            Outcome::AlreadyApplied(_) => Ok(Exit::Done),
            Outcome::Done(report) => Ok(publish::tell(&report)),
        }
    }

    /// Shows or writes what `aliases` would publish, and publishes nothing.
    async fn elsewhere(&self, session: &Session) -> anyhow::Result<Exit> {
        let hookup = session.hookup()?;
        let store = session.store().await?;
        let roster = Roster::of(store.clone());
        if let Some(directory) = &self.output {
            let directory = directory.clone();
            let report = tokio::task::spawn_blocking(move || hookup.write_to(&directory, &roster)).await??;
            publish::tell(&report);
            return Ok(Exit::Done);
        }
        let preview = tokio::task::spawn_blocking(move || hookup.preview(&roster)).await??;
        show(&preview);
        Ok(Exit::Done)
    }
}

fn show(preview: &Preview) {
    if preview.is_empty() {
        output::line("Nothing would change.");
        return;
    }
    if preview.unfinished {
        output::line("An earlier run was interrupted; all tables would be published again.");
    }
    for waiting in &preview.waiting {
        output::line(&format!("An earlier run waits for you. {waiting}."));
    }
    for table in preview.tables.iter().filter(|table| !table.diff.is_empty()) {
        output::line(table.diff.trim_end());
    }
    for file in &preview.files {
        output::line(&format!("{} would be {}", file.path, if file.removed { "removed" } else { "written" }));
    }
    for command in &preview.commands {
        output::line(&format!("would run `{command}`"));
    }
}
