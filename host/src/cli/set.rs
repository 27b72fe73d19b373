//! `postrider set LIST key=value …`

use super::{Exit, Session, output};
use crate::control::Request;
use crate::personal::MAX_TEXT;
use anyhow::{Context as _, anyhow, bail};
use std::fs::File;
use std::io::Read;

/// Change settings of a list (`postrider info --verbose LIST` explains them)
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Posting address or list-id
    list: String,
    /// Settings and their new values; all are changed or none
    #[arg(value_name = "KEY=VALUE", required_unless_present = "file")]
    settings: Vec<String>,
    /// Take the value from a file (may be given several times); `-` is standard input
    #[arg(short, long, value_name = "KEY=FILE")]
    file: Vec<String>,
}

impl Set {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let mut list = session.list(&self.list).await?;
        let mut keys = Vec::new();
        for setting in &self.settings {
            let (key, value) =
                setting.split_once('=').ok_or_else(|| anyhow!("`{setting}` has no `=`; write KEY=VALUE"))?;
            list.settings.set(key.trim(), value)?;
            keys.push(key.trim());
        }
        if self.file.iter().filter(|setting| setting.ends_with("=-")).count() > 1 {
            bail!("standard input can be the value of one setting only");
        }
        for setting in &self.file {
            let (key, file) =
                setting.split_once('=').ok_or_else(|| anyhow!("`--file {setting}` has no `=`; write KEY=FILE"))?;
            // A key that is none is told before a file that is none.
            list.settings.value(key.trim())?;
            list.settings.set(key.trim(), &contents(file)?).with_context(|| format!("in {file}"))?;
            keys.push(key.trim());
        }
        list.settings.check()?;
        session.store().await?.set_list_settings(list.id, &list.settings).await?;
        session.wake(Request::Lists).await;
        for key in keys {
            let value = list.settings.value(key).unwrap_or_default();
            // Several lines are told by their number.
            let shown = match value.split('\n').count() {
                1 => value,
                lines => output::counted(lines as u64, "line"),
            };
            output::line(&format!("{key} = {shown}"));
        }
        Ok(Exit::Done)
    }
}

/// Of a file no more is read than a value may have, and a little, so that it is seen when there is more.
fn contents(file: &str) -> anyhow::Result<String> {
    let most = 2 * MAX_TEXT as u64;
    let mut octets = Vec::new();
    if file == "-" {
        std::io::stdin().lock().take(most + 1).read_to_end(&mut octets).context("standard input cannot be read")?;
    } else {
        let read = File::open(file).and_then(|opened| opened.take(most + 1).read_to_end(&mut octets));
        read.with_context(|| {
            format!("{file} cannot be read by the user that Postrider runs as (another way: `--file KEY=- < FILE`)")
        })?;
    }
    if octets.len() as u64 > most {
        bail!("{file} has more than {most} octets; no setting takes so many");
    }
    String::from_utf8(octets).map_err(|error| {
        anyhow!(
            "{file} is not UTF-8, from octet {} on; convert it, for instance with iconv(1)",
            error.utf8_error().valid_up_to() + 1
        )
    })
}
