//! `postrider remove LIST`

use super::{Exit, Session, output, publish};

/// Remove a list with its members and held posts, and tell the MTA
#[derive(Debug, clap::Args)]
pub struct Remove {
    /// Posting address or list-id
    list: String,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

impl Remove {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let list = session.list(&self.list).await?;
        let store = session.store().await?;
        let before = store.generation().await?.wanted;
        store.remove_list(list.id).await?;
        if !self.quiet {
            output::line(&format!("Removed list: {}", list.address));
        }
        Ok(publish::publish(session, before, self.quiet).await)
    }
}
