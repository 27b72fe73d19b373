//! `postrider version`

use super::{Exit, output};

/// Print the version
#[derive(Debug, clap::Args)]
pub struct Version {}

impl Version {
    /// Runs it.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // every command has this form
    pub fn run(&self) -> anyhow::Result<Exit> {
        output::line(concat!("postrider ", env!("CARGO_PKG_VERSION")));
        Ok(Exit::Done)
    }
}
