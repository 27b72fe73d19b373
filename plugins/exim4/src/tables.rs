//! Writes the tables. What each is for stands in the crate's documentation.
//!
//! A table of lists has only posting addresses: Exim takes suffixes off itself. An address that is a list
//! is never somebody's sub-address (`ants-request` may be a list); Exim's routers look in this order too.
//!
//! For one new list or domain the plan has just its rows, so that it costs the same with 100,000 lists.

use crate::settings::{Config, FileType, Recipients};
use postrider_plugin_api::sdk::{
    for_each_address, for_each_address_of, Change, Command, Context, DomainView, Error, Extent, ListView, Phase,
    PlanSink, Result, Roster, Row, Table, TableFormat, TableRole,
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const DOMAINS: &str = "exim4_domains";
const LISTS: &str = "exim4_lists";
const LIST_TABLE: &str = "exim4_list_table";

/// Where the posting addresses are; `None` if Exim asks the list server.
pub(crate) fn lists(recipients: Recipients) -> Option<&'static str> {
    match recipients {
        Recipients::Directory => Some(LISTS),
        Recipients::File(_) => Some(LIST_TABLE),
        Recipients::Callout => None,
    }
}

/// What Exim reads, as it is called in the directory of the tables.
pub(crate) fn read(config: &Config) -> Vec<String> {
    let suffix = match config.recipients {
        Recipients::File(kind) if kind != FileType::Lsearch => format!(".{}", kind.name()),
        _ => String::new(),
    };
    lists(config.recipients).map(|name| format!("{name}{suffix}")).into_iter().chain([DOMAINS.to_owned()]).collect()
}

pub(crate) fn write(config: &Config, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    let tables = Tables { config, context };
    match change {
        Change::ListAdded(list) | Change::ListRemoved(list) => {
            match config.recipients {
                Recipients::Directory => tables.list_changed(list, sink)?,
                Recipients::File(kind) => tables.file(kind, sink)?,
                Recipients::Callout => {}
            }
            // The first list of a domain may have made the domain.
            tables.domain_changed(list.domain, sink)
        }
        Change::DomainAdded(domain) | Change::DomainRemoved(domain) => tables.domain_changed(domain, sink),
        _ => {
            match config.recipients {
                Recipients::Directory => {
                    begin(LISTS, Extent::Whole, directory(), "", sink)?;
                    tables.all_lists(sink)?;
                }
                Recipients::File(kind) => tables.file(kind, sink)?,
                Recipients::Callout => {}
            }
            // Addresses before their domain: Exim refuses for good what it does not find in a domain that
            // it knows.
            tables.all_domains(sink)
        }
    }
}

struct Tables<'a> {
    config: &'a Config,
    context: Context<'a>,
}

impl Tables<'_> {
    fn all_domains(&self, sink: &mut dyn PlanSink) -> Result<()> {
        let mut names = BTreeMap::new();
        self.context.roster.for_each_domain(&mut |domain| {
            for name in self.served(domain) {
                names.entry(check_domain(name)?.to_owned()).or_insert_with(|| domain.name.to_owned());
            }
            Ok(())
        })?;
        begin(DOMAINS, Extent::Whole, directory(), "", sink)?;
        names.iter().try_for_each(|(name, of)| sink.rows(&[Row::new(name, of)]))
    }

    fn domain_changed(&self, domain: DomainView<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        begin(DOMAINS, Extent::Changes, directory(), "", sink)?;
        for name in [domain.name, domain.routed()].iter().copied().collect::<BTreeSet<_>>() {
            match self.domain_served_as(check_domain(name)?, domain)? {
                Some(of) => sink.rows(&[Row::new(name, &of)])?,
                None => sink.absent(&[name])?,
            }
        }
        Ok(())
    }

    /// The domain, by its real name, for which mail to `name` is taken now.
    fn domain_served_as(&self, name: &str, changed: DomainView<'_>) -> Result<Option<String>> {
        let mut found: Option<String> = None;
        let mut look = |domain: &DomainView<'_>| {
            if found.is_none() && self.served(domain).contains(&name) {
                found = Some(domain.name.to_owned());
            }
            Ok(())
        };
        self.context.roster.for_each_domain_routed_to(name, &mut look)?;
        // The real name of a domain with an alias domain.
        self.context.roster.for_each_domain_routed_to(changed.routed(), &mut look)?;
        Ok(found)
    }

    /// The domains in which mail for this domain's lists is taken.
    fn served<'d>(&self, domain: &DomainView<'d>) -> Vec<&'d str> {
        let mut names = vec![domain.routed()];
        // By asking alone nobody can tell lists and mailboxes of one domain apart.
        if self.serves_real_domains() && domain.name != domain.routed() {
            names.push(domain.name);
        }
        names
    }

    fn serves_real_domains(&self) -> bool {
        self.config.real_domains && self.config.recipients != Recipients::Callout
    }

    fn all_lists(&self, sink: &mut dyn PlanSink) -> Result<()> {
        let Context { site, roster, .. } = self.context;
        for_each_address(site, roster, &mut |address| {
            if address.subaddress.is_some() {
                return Ok(());
            }
            row(&key(address.local, address.list.domain.routed())?, &address.list, sink)
        })?;
        if !self.serves_real_domains() {
            return Ok(());
        }
        roster.for_each_list(&mut |list| match self.real_key(list)? {
            Some(key) => row(&key, list, sink),
            None => Ok(()),
        })
    }

    /// The posting address in the real domain, if it is not the one that is routed, nor that of another
    /// list whose alias domain it is.
    fn real_key(&self, list: &ListView<'_>) -> Result<Option<String>> {
        let domain = &list.domain;
        if !self.serves_real_domains() || domain.name == domain.routed() {
            return Ok(None);
        }
        if posting_at(list.local, domain.name, self.context.roster)?.is_some() {
            return Ok(None);
        }
        key(list.local, domain.name).map(Some)
    }

    fn list_changed(&self, list: ListView<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        let Context { site, roster, .. } = self.context;
        begin(LISTS, Extent::Changes, directory(), "", sink)?;
        for_each_address_of(list, site, roster, &mut |local, owner| {
            if local != list.local {
                return Ok(());
            }
            let key = key(local, list.domain.routed())?;
            match owner.filter(|address| address.subaddress.is_none()) {
                Some(address) => row(&key, &address.list, sink),
                None => sink.absent(&[&key]),
            }
        })?;
        match self.real_key(&list)? {
            Some(key) if roster.is_list(list.local, list.domain.name)? => row(&key, &list, sink),
            Some(key) => sink.absent(&[&key]),
            None => Ok(()),
        }
    }

    fn file(&self, kind: FileType, sink: &mut dyn PlanSink) -> Result<()> {
        let format = match kind {
            FileType::Lsearch => TableFormat::Text,
            FileType::Cdb | FileType::Dbm => TableFormat::CompiledRename { suffix: format!(".{}", kind.name()) },
        };
        begin(
            LIST_TABLE,
            Extent::Whole,
            format,
            "The lists, for Exim: a router looks posting addresses up here.",
            sink,
        )?;
        self.all_lists(sink)?;
        match kind {
            FileType::Lsearch => Ok(()),
            FileType::Cdb => self.compile(&[&self.config.cdb, "-c", "-m", "{file}.cdb", "{file}"], sink),
            FileType::Dbm => self.compile(&[&self.config.dbmbuild, "{file}", "{file}.dbm"], sink),
        }
    }

    fn compile(&self, argv: &[&str], sink: &mut dyn PlanSink) -> Result<()> {
        sink.command(
            &Command::new(Phase::Compile, argv.iter().copied(), "so that Exim can read the table")
                .for_table(LIST_TABLE),
        )
    }
}

fn directory() -> TableFormat {
    TableFormat::Directory { mark: String::new() }
}

fn begin(path: &str, extent: Extent, format: TableFormat, comment: &str, sink: &mut dyn PlanSink) -> Result<()> {
    sink.table(&Table::new(path, format, TableRole::Acceptance).with_extent(extent).with_comment(comment))
}

fn row(key: &str, list: &ListView<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    sink.rows(&[Row::new(key, list.list_id)])
}

/// The list-id of the list that has this posting address because its domain is routed there.
fn posting_at(local: &str, routed: &str, roster: &dyn Roster) -> Result<Option<String>> {
    let mut found = None;
    roster.for_each_domain_routed_to(routed, &mut |domain| {
        if found.is_none() {
            found = roster.list_id(local, domain.name)?;
        }
        Ok(())
    })?;
    Ok(found)
}

/// The name of a list's file, or its key in a table.
fn key(local: &str, domain: &str) -> Result<String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if local.is_empty() || !local.chars().all(good) {
        return Err(Error::failed(format!("a list named {local:?} cannot be written in a table for Exim")));
    }
    Ok(format!("{local}@{}", check_domain(domain)?))
}

/// Refuses what is not a domain name in A-labels, and with that, what is no file name.
fn check_domain(domain: &str) -> Result<&str> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if domain.is_empty() || domain.starts_with('.') || !domain.chars().all(good) {
        return Err(Error::failed(format!("a domain named {domain:?} cannot be written in a table for Exim")));
    }
    Ok(domain)
}

#[cfg(test)]
mod tests;
