//! `postrider plugin`: tools for those who write plugins.

mod check;

use super::Exit;

/// Tools for those who write plugins
#[derive(Debug, clap::Subcommand)]
pub enum Plugin {
    /// Test whether a plugin keeps what a host relies on
    Check(check::Check),
}

impl Plugin {
    /// Runs it.
    pub fn run(self) -> anyhow::Result<Exit> {
        match self {
            Plugin::Check(check) => check.run(),
        }
    }
}
