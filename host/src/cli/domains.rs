//! `postrider domains`, `postrider domain add|remove`

use super::{Exit, Session, output, publish};
use crate::lists::{self, DomainName};
use anyhow::bail;
use serde_json::json;

/// Show all domains
#[derive(Debug, clap::Args)]
pub struct Domains {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Domains {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let store = session.store().await?;
        let domains = store.domains().await?;
        if self.json {
            let domains: Vec<_> = domains
                .iter()
                .map(|domain| {
                    json!({
                        "domain": domain.name.as_str(),
                        "alias_domain": domain.alias.as_ref().map(DomainName::as_str),
                        "description": domain.description,
                    })
                })
                .collect();
            output::json(&json!(domains));
            return Ok(Exit::Done);
        }
        let mut rows = Vec::new();
        for domain in &domains {
            let alias = domain.alias.as_ref().map(ToString::to_string).unwrap_or_default();
            rows.push([domain.name.to_string(), alias, output::clean(&domain.description)]);
        }
        if rows.is_empty() {
            output::line("No domains");
        }
        output::table(["DOMAIN", "ALIAS DOMAIN", "DESCRIPTION"], &rows);
        Ok(Exit::Done)
    }
}

/// Add or remove a domain
#[derive(Debug, clap::Subcommand)]
pub enum Domain {
    /// Add a domain, and tell the MTA
    Add {
        /// Its name
        host: String,
        /// The domain that the MTA routes to us in its stead
        #[arg(long, value_name = "DOMAIN")]
        alias_domain: Option<String>,
        /// One line for people
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Remove a domain that has no lists, and tell the MTA
    Remove {
        /// Its name
        host: String,
    },
}

impl Domain {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let store = session.store().await?;
        let before = store.generation().await?.wanted;
        match self {
            Domain::Add { host, alias_domain, description } => {
                let name = DomainName::parse(host)?;
                let alias = alias_domain.as_deref().map(DomainName::parse).transpose()?;
                if alias.as_ref() == Some(&name) {
                    bail!("the alias domain of {name} cannot be {name} itself");
                }
                let domain = lists::Domain { name: name.clone(), alias, description: description.clone() };
                store.add_domain(&domain).await?;
                output::line(&format!("Added domain: {name}"));
                Ok(publish::publish(session, before, false).await)
            }
            Domain::Remove { host } => {
                let name = DomainName::parse(host)?;
                store.remove_domain(&name).await?;
                output::line(&format!("Removed domain: {name}"));
                Ok(publish::publish(session, before, false).await)
            }
        }
    }
}
