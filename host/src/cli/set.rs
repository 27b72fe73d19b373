//! `postrider set LIST key=value …`

use super::{Exit, Session, output};
use crate::control::Request;
use anyhow::anyhow;

/// Change settings of a list (`postrider info --verbose LIST` explains them)
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Posting address or list-id
    list: String,
    /// Settings and their new values; all are changed or none
    #[arg(value_name = "KEY=VALUE", required = true)]
    settings: Vec<String>,
}

impl Set {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let mut list = session.list(&self.list).await?;
        for setting in &self.settings {
            let (key, value) =
                setting.split_once('=').ok_or_else(|| anyhow!("`{setting}` has no `=`; write KEY=VALUE"))?;
            list.settings.set(key.trim(), value)?;
        }
        session.store().await?.set_list_settings(list.id, &list.settings).await?;
        session.wake(Request::Lists).await;
        for setting in &self.settings {
            let key = setting.split_once('=').map_or("", |(key, _)| key.trim());
            output::line(&format!("{key} = {}", list.settings.value(key).unwrap_or_default()));
        }
        Ok(Exit::Done)
    }
}
