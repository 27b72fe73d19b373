//! `postrider plugin`: tools for those who write plugins.

mod check;
mod new;
mod skeleton;

use super::Exit;

/// Tools for those who write plugins
#[derive(Debug, clap::Subcommand)]
pub enum Plugin {
    /// Begin a plugin: a directory that builds, is tested, and is there to be changed
    New(new::New),
    /// Test whether a plugin keeps what a host relies on
    Check(check::Check),
}

impl Plugin {
    /// Runs it.
    pub fn run(self) -> anyhow::Result<Exit> {
        match self {
            Plugin::New(new) => new.run(),
            Plugin::Check(check) => check.run(),
        }
    }
}
