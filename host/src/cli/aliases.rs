//! `postrider aliases`

use super::{Exit, Session, output, publish};
use crate::hookup::{self, Change, Options};
use anyhow::Context;
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
        let hookup = session.hookup()?;
        let store = session.store().await?;
        if self.dry_run {
            let difference = hookup::difference(store, hookup).await?;
            output::line(if difference.is_empty() { "Nothing would change." } else { difference.trim_end() });
            return Ok(Exit::Done);
        }
        if let Some(directory) = &self.output {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("the directory {} cannot be made", directory.display()))?;
            let report = hookup::write_to(store, hookup, directory).await?;
            return Ok(publish::tell(&report));
        }
        let options = Options { force: true, activated: self.activated };
        let report = hookup::bring_up_to_date(store, hookup, Change::Everything, options).await?;
        Ok(publish::tell(&report))
    }
}
