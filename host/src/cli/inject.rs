//! `postrider inject LIST [FILE]`

use super::{Exit, Session, output};
use crate::control::Request;
use crate::lists::EmailAddress;
use crate::post::inject::Injection;
use anyhow::Context;
use std::io::Read;

/// Put a message into a list's queue, as if the MTA had delivered it
#[derive(Debug, clap::Args)]
pub struct Inject {
    /// Posting address or list-id
    list: String,
    /// The message (RFC 5322); standard input when absent or `-`
    #[arg(value_name = "FILE")]
    file: Option<String>,
    /// Envelope sender; the From header's address when absent
    #[arg(short = 'f', long, value_name = "ADDRESS")]
    sender: Option<String>,
}

impl Inject {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let list = session.list(&self.list).await?;
        let sender = self.sender.as_deref().map(EmailAddress::parse).transpose()?;
        let mut message = Vec::new();
        match self.file.as_deref() {
            None | Some("-") => {
                std::io::stdin().lock().read_to_end(&mut message).context("standard input cannot be read")?;
            }
            Some(file) => message = std::fs::read(file).with_context(|| format!("{file} cannot be read"))?,
        }
        let mut injection = Injection::read(&message)?;
        if let Some(sender) = sender {
            injection.sender = sender;
        }
        let number = injection.into_spool(session.spool().await?, &list).await?;
        session.wake(Request::Spool).await;
        output::line(&format!("Queued for {} as message {number}", list.address));
        Ok(Exit::Done)
    }
}
