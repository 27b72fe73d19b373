//! `postrider addmembers`, `delmembers`, `members`

use super::{Exit, Session, output};
use crate::control::Request;
use crate::lists::{DeliveryStatus, EmailAddress, Mailbox, Member, Role};
use crate::store::Added;
use anyhow::Context;
use serde_json::json;
use std::io::Read;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleName {
    Member,
    Owner,
    Moderator,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Member => Role::Member,
            RoleName::Owner => Role::Owner,
            RoleName::Moderator => Role::Moderator,
        }
    }
}

/// Add members to a list
#[derive(Debug, clap::Args)]
pub struct Addmembers {
    /// A file with one `ADDRESS` or `Name <ADDRESS>` a line, `#` begins a comment line; `-` is standard input
    #[arg(value_name = "FILE|-")]
    file: String,
    /// Posting address or list-id
    list: String,
    /// What they become
    #[arg(long, value_enum, default_value = "member")]
    role: RoleName,
    /// Members get posts (enabled) or not (disabled)
    #[arg(long, value_name = "MODE", value_parser = ["enabled", "disabled"], default_value = "enabled")]
    delivery: String,
}

impl Addmembers {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let list = session.list(&self.list).await?;
        let (people, wrong) = read_people(&self.file)?;
        let delivery = if self.delivery == "enabled" { DeliveryStatus::Enabled } else { DeliveryStatus::ByModerator };
        let members: Vec<Member> = people
            .into_iter()
            .map(|person| Member {
                address: person.address,
                display_name: person.name,
                role: self.role.into(),
                delivery,
            })
            .collect();
        let added = session.store().await?.add_members(list.id, &members).await?;
        session.wake(Request::Lists).await;
        let mut new = 0;
        for one in &added {
            match one {
                Added::New(_) => new += 1,
                Added::Already(address) => output::note(&format!(
                    "{address} is a {} of {} already",
                    Role::from(self.role).as_str(),
                    list.address
                )),
            }
        }
        output::line(&format!("Added {new} of {} to {}", added.len() + wrong, list.address));
        Ok(if wrong > 0 { Exit::Failed } else { Exit::Done })
    }
}

/// Remove members from a list
#[derive(Debug, clap::Args)]
pub struct Delmembers {
    /// Posting address or list-id
    list: String,
    /// The addresses
    #[arg(value_name = "ADDRESS", required_unless_present_any = ["file", "all"])]
    addresses: Vec<String>,
    /// A file with one address a line; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// All of them
    #[arg(short, long, conflicts_with_all = ["addresses", "file"])]
    all: bool,
    /// In which role
    #[arg(long, value_enum, default_value = "member")]
    role: RoleName,
}

impl Delmembers {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let list = session.list(&self.list).await?;
        let role = Role::from(self.role);
        let store = session.store().await?;
        let mut addresses: Vec<EmailAddress> =
            self.addresses.iter().map(|text| Ok(Mailbox::parse(text)?.address)).collect::<anyhow::Result<_>>()?;
        let mut wrong = 0;
        if let Some(file) = &self.file {
            let (people, bad) = read_people(file)?;
            addresses.extend(people.into_iter().map(|person| person.address));
            wrong = bad;
        }
        if self.all {
            addresses = store.members(list.id, Some(role)).await?.into_iter().map(|member| member.address).collect();
        }
        let strangers = store.remove_members(list.id, role, &addresses).await?;
        session.wake(Request::Lists).await;
        for address in &strangers {
            output::note(&format!("{address} is no {} of {}", role.as_str(), list.address));
        }
        output::line(&format!(
            "Removed {} of {} from {}",
            addresses.len() - strangers.len(),
            addresses.len() + wrong,
            list.address
        ));
        Ok(if wrong > 0 || !strangers.is_empty() { Exit::Failed } else { Exit::Done })
    }
}

/// Show the members of a list
#[derive(Debug, clap::Args)]
pub struct Members {
    /// Posting address or list-id
    list: String,
    /// Only those in this role
    #[arg(long, value_enum)]
    role: Option<RoleName>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Members {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let list = session.list(&self.list).await?;
        let members = session.store().await?.members(list.id, self.role.map(Role::from)).await?;
        if self.json {
            let members: Vec<_> = members
                .iter()
                .map(|member| {
                    json!({
                        "address": member.address.as_str(),
                        "display_name": member.display_name,
                        "role": member.role,
                        "delivery": member.delivery,
                    })
                })
                .collect();
            output::json(&json!(members));
            return Ok(Exit::Done);
        }
        let rows: Vec<_> = members
            .iter()
            .map(|member| {
                [
                    member.address.to_string(),
                    member.role.as_str().to_owned(),
                    member.delivery.as_str().to_owned(),
                    output::clean(&member.display_name),
                ]
            })
            .collect();
        output::table(["ADDRESS", "ROLE", "DELIVERY", "NAME"], &rows);
        Ok(Exit::Done)
    }
}

/// The people that a file names; wrong lines are told with file and line and counted.
fn read_people(file: &str) -> anyhow::Result<(Vec<Mailbox>, usize)> {
    let mut bytes = Vec::new();
    if file == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).context("standard input cannot be read")?;
    } else {
        bytes = std::fs::read(file).with_context(|| format!("{file} cannot be read"))?;
    }
    let name = if file == "-" { "standard input" } else { file };
    let mut people = Vec::new();
    let mut wrong = 0;
    let lines = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).split(|octet| *octet == b'\n');
    for (number, line) in lines.enumerate() {
        let Ok(line) = std::str::from_utf8(line) else {
            output::note(&format!("{name}, line {}: not UTF-8; convert the file (`iconv -t UTF-8`)", number + 1));
            wrong += 1;
            continue;
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match Mailbox::parse(line) {
            Ok(person) => people.push(person),
            Err(error) => {
                output::note(&format!("{name}, line {}: {error}", number + 1));
                wrong += 1;
            }
        }
    }
    Ok((people, wrong))
}
