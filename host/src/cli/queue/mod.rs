//! `postrider queue`: what waits, and what a person can do about it. One file an action.

mod bounces;
mod choice;
mod drop;
mod entry;
mod export;
mod file;
mod import;
mod list;
mod live;
mod retry;
mod show;
mod shown;

use super::{Exit, Session};

/// Show what waits in the queues and act on it
#[derive(Debug, clap::Args)]
pub struct Queue {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show what waits (the default)
    List(list::List),
    /// Show one entry: its header, and its recipients with what the mail server said of them
    Show(show::Show),
    /// Try again now: mail that waits for a later try, and shunted mail
    Retry(retry::Retry),
    /// Throw entries away, or some recipients of them
    Drop(drop::Drop),
    /// Write entries to a file from which they can be put back
    Export(export::Export),
    /// Put back what `queue export` wrote
    Import(import::Import),
    /// Show the permanent failures of the last 30 days
    Bounces(bounces::Bounces),
}

impl Queue {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        match &self.action {
            None => list::List::default().run(session, self.json).await,
            Some(Action::List(list)) => list.run(session, self.json).await,
            Some(Action::Show(show)) => show.run(session, self.json).await,
            Some(Action::Retry(retry)) => retry.run(session).await,
            Some(Action::Drop(drop)) => drop.run(session).await,
            Some(Action::Export(export)) => export.run(session).await,
            Some(Action::Import(import)) => import.run(session).await,
            Some(Action::Bounces(bounces)) => bounces.run(session, self.json).await,
        }
    }
}
