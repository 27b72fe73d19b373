//! x
use super::Exit;
/// See a list work, on embedded defaults
#[derive(Debug, clap::Args)]
pub struct Demo {}
impl Demo {
    /// Runs it.
    pub async fn run(&self) -> anyhow::Result<Exit> {
        Ok(Exit::Done)
    }
}
