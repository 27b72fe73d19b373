//! `postrider serve`

use super::{Exit, Session};
use crate::daemon;

/// Run the daemon in the foreground
#[derive(Debug, clap::Args)]
#[command(
    after_help = "SIGTERM stops it after it has finished what it answered; SIGHUP makes it read the configuration \
                        again, load plugins anew whose files have changed, and say what needs a restart."
)]
pub struct Serve {}

impl Serve {
    /// Runs it.
    pub async fn run(&self, session: Session) -> anyhow::Result<Exit> {
        daemon::serve(session).await
    }
}
