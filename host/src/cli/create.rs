//! `postrider create LIST@DOMAIN`

use super::{Exit, Session, output, publish};
use crate::lists::{EmailAddress, ListAddress, ListSettings, Member, NewList, Role};

/// Make a list, and its domain if needed, and tell the MTA
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The posting address of the new list
    #[arg(value_name = "LIST@DOMAIN")]
    address: String,
    /// An owner of the list (may be given several times)
    #[arg(short, long, value_name = "ADDRESS")]
    owner: Vec<String>,
    /// Make the domain too if it does not exist (the default)
    #[arg(short, long, overrides_with = "no_domain")]
    domain: bool,
    /// Refuse if the domain does not exist
    #[arg(short = 'D', long)]
    no_domain: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

impl Create {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let address = ListAddress::parse(&self.address)?;
        let owners = self
            .owner
            .iter()
            .map(|owner| EmailAddress::parse(owner).map(|address| Member::new(address, Role::Owner)))
            .collect::<Result<Vec<_>, _>>()?;
        let store = session.store().await?;
        let new = NewList { settings: ListSettings::defaults_for(&address), address };
        let before = store.generation().await?.wanted;
        let list = store.create_list(&new, !self.no_domain).await?;
        store.add_members(list.id, &owners).await?;
        if !self.quiet {
            output::line(&format!("Created mailing list: {}", list.address));
        }
        Ok(publish::publish(session, before, self.quiet).await)
    }
}
