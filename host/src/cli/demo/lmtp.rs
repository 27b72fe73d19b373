//! The MTA's part of an LMTP dialogue (RFC 2033), shown as it goes.

use super::{PATIENCE, say};
use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A connection to the daemon.
pub(super) struct Dialogue {
    stream: BufReader<TcpStream>,
}

impl Dialogue {
    /// Connects and reads the greeting.
    pub(super) async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("LMTP")?;
        let mut dialogue = Dialogue { stream: BufReader::new(stream) };
        dialogue.reply().await?;
        Ok(dialogue)
    }

    /// Sends a command without showing it.
    pub(super) async fn quietly(&mut self, command: &str) -> anyhow::Result<String> {
        self.stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// Sends a command; its reply must begin with this code.
    pub(super) async fn say(&mut self, command: &str, code: &str) -> anyhow::Result<()> {
        say(&format!("  > {command}"));
        let reply = self.quietly(command).await?;
        expect(&reply, code)
    }

    /// Sends a message that has no lines with a leading dot.
    pub(super) async fn message(&mut self, lines: &[&str], code: &str) -> anyhow::Result<()> {
        for line in lines {
            say(format!("  > {line}").trim_end());
        }
        say("  > .");
        let reply = self.quietly(&format!("{}\r\n.", lines.join("\r\n"))).await?;
        expect(&reply, code)
    }

    /// All lines of one reply.
    async fn reply(&mut self) -> anyhow::Result<String> {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(PATIENCE, self.stream.read_line(&mut line));
            if read.await.context("the daemon does not answer")?? == 0 {
                bail!("the daemon closed the connection");
            }
            let last = line.as_bytes().get(3) != Some(&b'-');
            reply.push_str(&line);
            if last {
                return Ok(reply);
            }
        }
    }
}

/// Shows a reply and compares its code.
fn expect(reply: &str, code: &str) -> anyhow::Result<()> {
    say(&format!("  < {}", reply.trim_end()));
    if !reply.starts_with(code) {
        bail!("a reply {code} was expected");
    }
    Ok(())
}
