//! `postrider inject LIST [FILE]`

use super::{Exit, Session, output};
use crate::control::Request;
use crate::lists::{EmailAddress, Subaddress};
use crate::post::inject;
use anyhow::{Context, bail};
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
    /// For another function of the list: bounces, confirm, join, leave, owner, request
    #[arg(short, long, value_name = "FUNCTION")]
    queue: Option<String>,
}

impl Inject {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let list = session.list(&self.list).await?;
        let function = match self.queue.as_deref() {
            None => Subaddress::Post,
            Some(name) => match Subaddress::named(name) {
                Some(function) => function,
                None => bail!("`{name}` is no function of a list; bounces, confirm, join, leave, owner, request are"),
            },
        };
        let sender = self.sender.as_deref().map(EmailAddress::parse).transpose()?;
        let mut message = Vec::new();
        match self.file.as_deref() {
            None | Some("-") => {
                std::io::stdin().lock().read_to_end(&mut message).context("standard input cannot be read")?;
            }
            Some(file) => message = std::fs::read(file).with_context(|| format!("{file} cannot be read"))?,
        }
        let number = inject::inject(session.spool().await?, &list, function, sender, &message).await?;
        session.wake(Request::Spool).await;
        output::line(&format!("Queued for {} as message {number}", list.address));
        Ok(Exit::Done)
    }
}
