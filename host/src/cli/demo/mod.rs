//! `postrider demo`: a list works, before anything is installed.
//!
//! Everything lives in a temporary directory that vanishes at the end: configuration, database, a copy
//! of this build's plugins, and an SMTP sink of our own in the MTA's place. The commands that are shown
//! are run as a person would run them: as processes of this very program.

mod lmtp;
mod stage;

use super::Exit;
use crate::config::{AdapterConfiguration, AdapterName, Config};
use crate::deliver::sink::Captured;
use crate::hookup::{self, Instructions, Roster};
use crate::lists::{Domain, DomainName};
use crate::plugins::{PluginRegistry, Trust};
use anyhow::{Context, bail};
use lmtp::Dialogue;
use stage::Stage;
use std::path::PathBuf;
use std::time::Duration;

/// How long anything in the demo may take.
const PATIENCE: Duration = Duration::from_secs(30);

const LIST: &str = "ants@lists.example.com";
const MEMBERS: &str = "anne@example.org\nBart Person <bart@example.net>\ncarla@example.com\n";
const POST: &[&str] = &[
    "From: Anne <anne@example.org>",
    "To: ants@lists.example.com",
    "Subject: The queen is well",
    "Message-ID: <demo@example.org>",
    "Date: Sun, 22 Nov 2026 10:00:00 +0000",
    "",
    "Send more sugar.",
];

/// See a list work, on embedded defaults
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Where this build's plugins are; beside the program when absent
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
}

impl Demo {
    /// Runs it.
    pub async fn run(&self) -> anyhow::Result<Exit> {
        let stage = Stage::set(self.plugins.as_deref()).await?;
        let show = async {
            make_list(&stage).await?;
            let mut daemon = stage.serve().await?;
            let done = post_and_receive(&stage).await;
            daemon.stop(&stage).await?;
            done?;
            hook_up(&stage)
        };
        tokio::select! {
            done = show => done?,
            _ = tokio::signal::ctrl_c() => bail!("interrupted; nothing is left behind"),
        }
        say("\nThe demo's files are gone again. README.md tells how to install.");
        Ok(Exit::Done)
    }
}

async fn make_list(stage: &Stage) -> anyhow::Result<()> {
    say(&format!("Postrider {}, everything in {}", env!("CARGO_PKG_VERSION"), stage.path().display()));
    heading("A list with three members");
    stage.show(&["create", LIST], "").await?;
    stage.show(&["addmembers", "-", LIST], MEMBERS).await?;
    stage.show(&["set", LIST, "description=All about ants"], "").await?;
    heading("What Postfix is told of it (as text; the files behind it may be hash, lmdb, regexp or sqlite)");
    for name in ["postfix_transport", "postfix_domains", "postfix_recipients"] {
        let table = stage.table(name).await?;
        let rows: Vec<_> = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        let shown: Vec<_> = rows.iter().take(3).map(|row| format!("    {row}")).collect();
        say(&format!("  {name}\n{}", shown.join("\n")));
        if rows.len() > shown.len() {
            say(&format!("    … and {} more: -confirm, -join, -leave, -owner, -request", rows.len() - shown.len()));
        }
    }
    Ok(())
}

async fn post_and_receive(stage: &Stage) -> anyhow::Result<()> {
    heading("A member's post comes in by LMTP; 250 means that it is on disk");
    let mut lmtp = Dialogue::open(stage.lmtp_port()).await?;
    lmtp.quietly("LHLO mta.example.com").await?;
    lmtp.say("MAIL FROM:<anne@example.org>", "250").await?;
    lmtp.say("RCPT TO:<ants@lists.example.com>", "250").await?;
    lmtp.say("RCPT TO:<bees@lists.example.com>", "550").await?;
    lmtp.say("DATA", "354").await?;
    lmtp.message(POST, "250").await?;

    heading("What each member received");
    tokio::time::timeout(PATIENCE, stage.sink().wait_for(3)).await.context("the members did not get the post")?;
    let mut messages = stage.sink().messages();
    messages.sort_by(|one, other| one.recipients.cmp(&other.recipients));
    for message in &messages {
        say(&format!("  MAIL FROM:<{}>", message.sender));
        say(&format!("  RCPT TO:<{}>", message.recipients.join("> RCPT TO:<")));
    }
    if let Some(first) = messages.first() {
        say("  each with these headers, beside the author's own:");
        for line in headers_that_matter(first) {
            say(&format!("    {line}"));
        }
    }
    Ok(())
}

fn headers_that_matter(message: &Captured) -> Vec<String> {
    let text = String::from_utf8_lossy(&message.message).into_owned();
    let wanted = ["From:", "Subject:", "List-Id:", "List-Post:", "List-Unsubscribe:", "Precedence:"];
    let header = text.split("\r\n\r\n").next().unwrap_or_default();
    header.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name))).map(str::to_owned).collect()
}

/// The lines that hook up the Postfix of this machine, with the paths of a real installation.
fn hook_up(stage: &Stage) -> anyhow::Result<()> {
    heading("To hook up the Postfix of this machine, once (for an installation with the default directories)");
    let mut config = Config::built_in().config;
    config.mta.incoming = AdapterName::parse("postfix.LMTP").map_err(anyhow::Error::msg)?;
    config.mta.configuration = AdapterConfiguration::Defaults;
    config.plugins.path = vec![stage.plugins()];
    let hookup = hookup::from_config(&config, &PluginRegistry::configured(&config).trusting(Trust::RootAndUs))?;
    let domain = Domain { name: DomainName::parse("lists.example.com")?, alias: None, description: String::new() };
    let snippets = hookup.snippets(&Roster::new(vec![domain], Vec::new()))?;
    say(Instructions::parse("postfix.LMTP", &snippets)?.steps_text().trim_end());
    Ok(())
}

/// Prints a line. Unlike a command, the demo goes on when nobody reads (`| head`): it has to tidy up.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn heading(text: &str) {
    say(&format!("\n== {text}"));
}
