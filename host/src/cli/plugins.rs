//! `postrider plugins`

use super::{Exit, Session, output};
use serde_json::json;

/// Show the plugins that can be found, or why they cannot be used
#[derive(Debug, clap::Args)]
pub struct Plugins {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Plugins {
    /// Runs it.
    pub fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let reports = session.plugins().list();
        if self.json {
            output::json(&json!(reports));
            return Ok(Exit::Done);
        }
        if reports.is_empty() {
            let path: Vec<_> = session.config().plugins.path.iter().map(|dir| dir.display().to_string()).collect();
            output::line(&format!("No plugins in {}", path.join(", ")));
        }
        for report in &reports {
            report.lines().iter().for_each(|line| output::line(line));
        }
        Ok(Exit::Done)
    }
}
