//! Writes the tables. What each is for stands in the crate's documentation.
//!
//! A domain that is Postfix's own is in no table of domains: its lists are routed and accepted address
//! by address, beside the people who live there.

use crate::{
    destination,
    domain_class::Classes,
    facts::{self, Instance},
    pattern,
    pattern::KeyWriter,
    snapshot::{Domain, List, Snapshot},
    table_type::TableType,
};
use postrider_plugin_api::sdk::{Extent, PlanSink, Result, Roster, Row, Site, Table, TableRole};
use std::collections::HashSet;

pub(crate) const TRANSPORT: &str = "postfix_transport";
pub(crate) const LMTP: &str = "postfix_lmtp";
pub(crate) const VMAP: &str = "postfix_vmap";
pub(crate) const ALIAS: &str = "postfix_alias";
pub(crate) const DOMAINS: &str = "postfix_domains";
pub(crate) const RECIPIENTS: &str = "postfix_recipients";
/// All of them, whatever their type.
pub(crate) const NAMES: [&str; 6] = [TRANSPORT, LMTP, VMAP, ALIAS, DOMAINS, RECIPIENTS];

/// The table that rewrites addresses of real domains to their alias domains.
pub(crate) fn rewriting(table_type: TableType) -> &'static str {
    // Mailman's expressions lose what follows the delimiter, and with it every VERP address.
    if table_type == TableType::Regexp {
        ALIAS
    } else {
        VMAP
    }
}

/// All tables of this type, with their roles, in the order in which they are published when lists
/// are added.
///
/// Postfix refuses for good an address that it does not find in a domain that it relays; so it
/// learns of addresses before their domain, and a new domain's state is never `550`.
pub(crate) fn all(table_type: TableType) -> Vec<(&'static str, TableRole)> {
    let mut all = vec![(TRANSPORT, TableRole::Routing), (LMTP, TableRole::Routing), (VMAP, TableRole::Rewriting)];
    if rewriting(table_type) == ALIAS {
        all.push((ALIAS, TableRole::Rewriting));
    }
    all.extend([(RECIPIENTS, TableRole::Acceptance), (DOMAINS, TableRole::Acceptance)]);
    all
}

/// Plans to remove what an earlier choice of `transport_file_type` left behind, as far as no instance
/// refers to it any more: Postfix answers 451 to everybody when a table is missing.
pub(crate) fn remove_other_types(
    table_type: TableType,
    site: &Site,
    instances: &[Instance<'_>],
    sink: &mut dyn PlanSink,
) -> Result<()> {
    if !instances.iter().all(|instance| facts::is_known(&instance.facts)) {
        return Ok(());
    }
    let names = |kind: TableType| all(kind).into_iter().map(|(name, _)| name);
    let mut kept: HashSet<String> = names(table_type).flat_map(|name| table_type.files(name)).collect();
    for kind in TableType::ALL {
        for name in names(kind) {
            let reference = kind.reference(&site.table_dir, name);
            if instances.iter().any(|instance| facts::refers_to(&instance.facts, &reference)) {
                kept.extend(kind.files(name));
            }
        }
    }
    let others = TableType::ALL.iter().flat_map(|kind| names(*kind).flat_map(move |name| kind.files(name)));
    let mut gone: Vec<String> = others.filter(|file| !kept.contains(file)).collect();
    gone.sort();
    gone.dedup();
    gone.iter().try_for_each(|file| sink.remove(file))
}

/// What the tables are made from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) table_type: TableType,
    pub(crate) site: &'a Site,
    pub(crate) roster: &'a dyn Roster,
    pub(crate) classes: &'a Classes,
}

impl Source<'_> {
    /// The value of routing tables.
    pub(crate) fn destination(&self, queue_directory: &str, keys: &KeyWriter) -> Result<String> {
        let mut destination = String::new();
        keys.value(&mut destination, &destination::transport(&self.site.lmtp, queue_directory)?);
        Ok(destination)
    }

    /// Begins a table, and plans the file that `main.cf` names for it if that is another one.
    pub(crate) fn begin(&self, name: &str, role: TableRole, extent: Extent, sink: &mut dyn PlanSink) -> Result<()> {
        let path = self.table_type.file(name);
        if self.table_type == TableType::Sqlite {
            let database = format!("{}/{path}", self.site.table_dir.trim_end_matches('/'));
            let text = format!("dbpath = {database}\nquery = SELECT value FROM map WHERE key = '%s'\n");
            sink.file(&self.table_type.configured_file(name), 0o644, text.as_bytes())?;
        }
        let comment = match name {
            TRANSPORT => "Mail for these domains goes to the list server (transport_maps).",
            LMTP => "Mail for these addresses goes to the list server (transport_maps).",
            DOMAINS => "The domains of the lists (relay_domains).",
            RECIPIENTS => "The addresses of the lists; all others are refused (relay_recipient_maps).",
            _ => "From list addresses to those in the alias domain (virtual_alias_maps).",
        };
        sink.table(&Table::new(path, self.table_type.format(), role).with_extent(extent).with_comment(comment))
    }
}

/// Writes all rows of all tables.
pub(crate) fn write(source: Source<'_>, queue_directory: &str, sink: &mut dyn PlanSink) -> Result<()> {
    let snapshot = Snapshot::take(source.site, source.roster)?;
    let keys = KeyWriter::new(source.table_type, &source.site.delimiter);
    let destination = source.destination(queue_directory, &keys)?;
    let tables = Tables { source, site: source.site, snapshot: &snapshot, keys, destination };
    for (name, role) in all(source.table_type) {
        source.begin(name, role, Extent::Whole, sink)?;
        let mut rows = Rows::new(sink);
        match name {
            TRANSPORT => tables.transport(&mut rows),
            LMTP => tables.lmtp(&mut rows),
            VMAP => tables.vmap(&mut rows, false),
            ALIAS => tables.vmap(&mut rows, true),
            DOMAINS => tables.domains(&mut rows),
            _ => tables.recipients(&mut rows),
        }?;
        rows.flush()?;
    }
    Ok(())
}

struct Tables<'a> {
    source: Source<'a>,
    site: &'a Site,
    snapshot: &'a Snapshot,
    keys: KeyWriter,
    destination: String,
}

impl Tables<'_> {
    fn transport(&self, rows: &mut Rows<'_>) -> Result<()> {
        self.relayed_domains().try_for_each(|domain| {
            rows.add(0, |key| self.keys.whole_domain(key, &domain.routed), |value| value.push_str(&self.destination))
        })
    }

    fn domains(&self, rows: &mut Rows<'_>) -> Result<()> {
        self.relayed_domains().try_for_each(|domain| {
            rows.add(0, |key| self.keys.domain(key, &domain.routed), |value| value.push_str(&domain.name))
        })
    }

    /// Each once; of those that are routed alike the first.
    fn relayed_domains(&self) -> impl Iterator<Item = &Domain> {
        let mut seen = HashSet::new();
        self.snapshot
            .domains()
            .iter()
            .filter(move |domain| seen.insert(domain.routed.as_str()) && !self.source.classes.is_own(&domain.routed))
    }

    fn lmtp(&self, rows: &mut Rows<'_>) -> Result<()> {
        self.for_each_address(|list, domain, suffix, detail, column| {
            rows.add(
                column,
                |key| self.keys.address(key, &list.local, suffix, detail, &domain.routed),
                |value| value.push_str(&self.destination),
            )
        })
    }

    fn recipients(&self, rows: &mut Rows<'_>) -> Result<()> {
        self.for_each_address(|list, domain, suffix, detail, column| {
            rows.add(
                column,
                |key| self.keys.address(key, &list.local, suffix, detail, &domain.routed),
                |value| self.keys.value(value, &list.list_id),
            )
        })
    }

    fn vmap(&self, rows: &mut Rows<'_>, keep_detail: bool) -> Result<()> {
        self.for_each_address(|list, domain, suffix, detail, _| {
            if !domain.has_alias() {
                return Ok(());
            }
            rows.add(
                self.vmap_column(list, domain),
                |key| self.keys.address(key, &list.local, suffix, detail, &domain.name),
                |value| {
                    let mut target = String::new();
                    pattern::plain(&mut target, &list.local, suffix, "");
                    self.keys.value(value, target.trim_end_matches('@'));
                    if keep_detail && detail && !self.site.delimiter.is_empty() {
                        value.push_str("${1}");
                    }
                    value.push('@');
                    self.keys.value(value, &domain.routed);
                },
            )
        })
    }

    /// Visits list, domain, sub-address (empty for the list itself), whether detail may follow, and
    /// the column of the values.
    fn for_each_address(&self, mut visit: impl FnMut(&List, &Domain, &str, bool, usize) -> Result<()>) -> Result<()> {
        for (list, domain) in self.snapshot.lists() {
            let column = self.column(list, domain);
            visit(list, domain, "", false, column)?;
            for number in &list.subaddresses {
                let subaddress = &self.site.subaddresses[*number];
                visit(list, domain, &subaddress.name, subaddress.detail, column)?;
            }
        }
        Ok(())
    }

    /// Mailman's columns, whatever the type: three blanks after the list's longest expression.
    fn column(&self, list: &List, domain: &Domain) -> usize {
        let length = |suffix: &str, detail| self.keys.expression_length(&list.local, suffix, detail, &domain.routed);
        let subaddresses = self.site.subaddresses.iter();
        subaddresses.map(|one| length(&one.name, one.detail)).chain([length("", false)]).max().unwrap_or(0) + 3
    }

    /// In the table of aliases Mailman counts without expressions: 13 after the longest address.
    fn vmap_column(&self, list: &List, domain: &Domain) -> usize {
        let suffix = self.site.subaddresses.iter().map(|one| one.name.len() + 1).max().unwrap_or(0);
        list.local.len() + suffix + 1 + domain.name.len() + 13
    }
}

/// Collects rows so that the host is called for many at a time.
struct Rows<'s> {
    sink: &'s mut dyn PlanSink,
    text: String,
    /// Ends of key and value in `text`, and the column.
    ends: Vec<(usize, usize, u16)>,
}

impl<'s> Rows<'s> {
    const BATCH: usize = 1024;

    fn new(sink: &'s mut dyn PlanSink) -> Self {
        Rows { sink, text: String::new(), ends: Vec::new() }
    }

    fn add(&mut self, column: usize, key: impl FnOnce(&mut String), value: impl FnOnce(&mut String)) -> Result<()> {
        key(&mut self.text);
        let key_end = self.text.len();
        value(&mut self.text);
        self.ends.push((key_end, self.text.len(), u16::try_from(column).unwrap_or(u16::MAX)));
        if self.ends.len() < Self::BATCH {
            Ok(())
        } else {
            self.flush()
        }
    }

    fn flush(&mut self) -> Result<()> {
        let mut begin = 0;
        let rows: Vec<Row<'_>> = self
            .ends
            .iter()
            .map(|&(key_end, value_end, column)| {
                let key = &self.text[begin..key_end];
                begin = value_end;
                Row::new(key, &self.text[key_end..value_end]).with_column(column)
            })
            .collect();
        if !rows.is_empty() {
            self.sink.rows(&rows)?;
        }
        self.text.clear();
        self.ends.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
