//! `postrider backup DIR`

use super::{Exit, Session, output};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;

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
        // A link that leads nowhere is there too.
        if target.symlink_metadata().is_ok() {
            bail!("{} exists already; name a directory that does not", target.display());
        }
        // Complete under a temporary name first: a backup that exists is whole.
        let mut staged = target.clone().into_os_string();
        staged.push(".part");
        let staged = PathBuf::from(staged);
        if staged.exists() {
            std::fs::remove_dir_all(&staged)?;
        }
        if let Some(parent) = target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", target.display()))?;
        }
        if let Err(error) = write(session, &staged, target).await {
            let _ = std::fs::remove_dir_all(&staged);
            return Err(error);
        }
        output::line(&format!("Backup written to {}", target.display()));
        Ok(Exit::Done)
    }
}

async fn write(session: &Session, staged: &Path, target: &Path) -> anyhow::Result<()> {
    let (spool, store) = (session.spool().await?, session.store().await?);
    // A post that is held goes from the spool into the store, one that is accepted goes back; each is in the new place
    // before it leaves the old one. Copied one after the other, they could both be without it. So the store stands
    // still until the spool's database is copied.
    let frozen = store.freeze().await?;
    let (copied, database_copied) = oneshot::channel();
    let spool_copied = spool.backup(staged, move || {
        let _ = copied.send(());
    });
    let store_copied = async {
        let goes_on = database_copied.await.is_ok();
        let done = if goes_on { store.backup(&staged.join("postrider.db")).await } else { Ok(()) };
        frozen.thaw().await;
        done
    };
    let (spool, store) = tokio::join!(spool_copied, store_copied);
    spool?;
    store?;
    // What has been told as written outlives a power loss, too.
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::rename(staged, target)
        .and_then(|()| std::fs::File::open(parent)?.sync_all())
        .with_context(|| format!("{} cannot be made", target.display()))
}
