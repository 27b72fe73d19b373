//! Writes the two maps.
//!
//! Addresses are published before their domain and withdrawn after it: in a domain that the map has, an
//! address that is missing is refused for good.

use super::{config::Config, destination, facts};
use crate::{names, rows::Rows};
use postrider_plugin_api::sdk::{
    for_each_address, Command, CommandInput, Context, Error, Phase, PlanSink, Result, Roster, Site, Table, TableFormat,
    TableRole,
};
use std::collections::BTreeMap;

pub(crate) const DOMAINS: &str = "sendmail_domains";
pub(crate) const ADDRESSES: &str = "sendmail_addresses";

/// What a domain is, in the values of [`DOMAINS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Addresses that are no list's are refused.
    Lists,
    /// Addresses that are no list's are none of our business.
    Shared,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Lists => "lists",
            Kind::Shared => "shared",
        }
    }
}

pub(crate) fn write(config: &Config, context: Context<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    let Context { site, roster, facts, .. } = context;
    check_delimiter(&site.delimiter)?;
    let domains = domains(roster)?;
    // Where Sendmail is another machine's, makemap is too: it gets the text, and builds the maps there.
    let builds = destination::of(&site.lmtp)?.client.is_none() || !facts::has_no_makemap(facts);
    let format = if builds {
        TableFormat::CompiledRename { suffix: config.map_type.suffix().into() }
    } else {
        TableFormat::Text
    };

    begin(&format, ADDRESSES, TableRole::Routing, "The addresses of the lists, each with its list-id.", sink)?;
    addresses(site, roster, &domains, sink)?;

    let comment = "Domains with lists. lists: all other addresses are refused; shared: they go where they went.";
    begin(&format, DOMAINS, TableRole::Acceptance, comment, sink)?;
    let mut rows = Rows::new(sink, 41);
    for (domain, kind) in &domains {
        rows.add(&[domain], &[kind.word()])?;
    }
    rows.flush()?;
    if builds {
        sink.command(&makemap(config))?;
    }
    Ok(())
}

/// Sendmail takes addresses apart at its operator characters only, and of those only the plus sign is one
/// for which it has room in an address.
///
/// # Errors
/// When it is another character.
pub(crate) fn check_delimiter(delimiter: &str) -> Result<()> {
    if matches!(delimiter, "" | "+") {
        Ok(())
    } else {
        Err(Error::setting(format!("Sendmail cannot take addresses apart at `{delimiter}` (verp_delimiter)"))
            .with_hint("set verp_delimiter: +"))
    }
}

/// Every domain in which lists have addresses. A domain with an alias domain is shared with others: that is
/// what alias domains are for.
pub(crate) fn domains(roster: &dyn Roster) -> Result<BTreeMap<String, Kind>> {
    let mut domains = BTreeMap::new();
    roster.for_each_domain(&mut |domain| {
        names::check_domain(domain.name)?;
        names::check_domain(domain.routed())?;
        domains.insert(domain.routed().to_owned(), Kind::Lists);
        Ok(())
    })?;
    roster.for_each_domain(&mut |domain| {
        domains.entry(domain.name.to_owned()).or_insert(Kind::Shared);
        Ok(())
    })?;
    Ok(domains)
}

fn addresses(
    site: &Site,
    roster: &dyn Roster,
    domains: &BTreeMap<String, Kind>,
    sink: &mut dyn PlanSink,
) -> Result<()> {
    let mut rows = Rows::new(sink, 65);
    for_each_address(site, roster, &mut |address| {
        names::check_local(address.list.local)?;
        let domain = address.list.domain;
        let real = Some(domain.name).filter(|name| *name != domain.routed());
        let real = real.filter(|name| domains.get(*name) == Some(&Kind::Shared));
        for domain in std::iter::once(domain.routed()).chain(real) {
            rows.add(&[address.local, "@", domain], &[address.list.list_id])?;
            if address.has_detail() && !site.delimiter.is_empty() {
                rows.add(&[address.local, &site.delimiter, "*@", domain], &[address.list.list_id])?;
            }
        }
        Ok(())
    })?;
    rows.flush()
}

fn begin(format: &TableFormat, name: &str, role: TableRole, comment: &str, sink: &mut dyn PlanSink) -> Result<()> {
    sink.table(&Table::new(name, format.clone(), role).with_comment(comment))
}

fn makemap(config: &Config) -> Command {
    Command::new(
        Phase::Compile,
        [config.makemap.clone(), config.map_type.name().into(), "{file}".into()],
        "so that Sendmail can read the map",
    )
    .for_table(ADDRESSES)
    .for_table(DOMAINS)
    .with_stdin(CommandInput::Table)
}
