//! `postrider backup DIR`

use super::{Exit, Session, output};
use anyhow::{Context, bail};
use std::path::PathBuf;

/// Copy databases and queues to a new directory, while running
#[derive(Debug, clap::Args)]
#[command(
    after_help = "To restore: stop the daemon, put what is in the backup into an empty data_dir, start the daemon, run `postrider aliases`."
)]
pub struct Backup {
    /// A directory that does not exist yet
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Backup {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let target = &self.directory;
        if target.exists() {
            bail!("{} exists already; name a directory that does not", target.display());
        }
        // Complete under a temporary name first: a backup that exists is whole.
        let mut staged = target.clone().into_os_string();
        staged.push(".part");
        let staged = PathBuf::from(staged);
        if staged.exists() {
            std::fs::remove_dir_all(&staged)?;
        }
        std::fs::create_dir_all(&staged).with_context(|| format!("{} cannot be made", staged.display()))?;
        session.spool().await?.backup(&staged).await?;
        session.store().await?.backup(&staged.join("postrider.db")).await?;
        std::fs::rename(&staged, target).with_context(|| format!("{} cannot be made", target.display()))?;
        output::line(&format!("Backup written to {}", target.display()));
        Ok(Exit::Done)
    }
}
