//! Writes the tables. What each is for stands in the crate's documentation.
//!
//! Keys of one table always differ: a list that is really called `foo-request` has the only line
//! for that address, and of two domains with the same alias domain the first has it.

use crate::{
    destination, pattern,
    pattern::KeyWriter,
    snapshot::{Domain, List, Snapshot},
    table_type::TableType,
};
use postrider_plugin_api::sdk::{Extent, PlanSink, Result, Row, Site, Table, TableRole};
use std::collections::HashSet;

pub(crate) const TRANSPORT: &str = "postfix_transport";
pub(crate) const LMTP: &str = "postfix_lmtp";
pub(crate) const VMAP: &str = "postfix_vmap";
pub(crate) const ALIAS: &str = "postfix_alias";
pub(crate) const DOMAINS: &str = "postfix_domains";
pub(crate) const RECIPIENTS: &str = "postfix_recipients";

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

pub(crate) fn write(table_type: TableType, site: &Site, snapshot: &Snapshot, sink: &mut dyn PlanSink) -> Result<()> {
    let keys = KeyWriter::new(table_type, &site.delimiter);
    let mut destination = String::new();
    keys.value(&mut destination, &destination::transport(&site.lmtp)?);
    let suffixes: Vec<&str> = site.subaddresses.iter().map(|subaddress| subaddress.name.as_str()).collect();
    let tables =
        Tables { table_type, site, snapshot, keys, destination, taken: snapshot.lists_like_subaddresses(&suffixes) };
    for (name, role) in all(table_type) {
        tables.begin(name, role, sink)?;
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
    table_type: TableType,
    site: &'a Site,
    snapshot: &'a Snapshot,
    keys: KeyWriter,
    destination: String,
    taken: HashSet<(&'a str, &'a str)>,
}

impl Tables<'_> {
    fn begin(&self, name: &str, role: TableRole, sink: &mut dyn PlanSink) -> Result<()> {
        let path = self.table_type.file(name);
        if self.table_type == TableType::Sqlite {
            let database = format!("{}/{path}", self.site.table_dir.trim_end_matches('/'));
            let text = format!("dbpath = {database}\nquery = SELECT value FROM map WHERE key = '%s'\n");
            sink.file(&self.table_type.configured_file(name), 0o644, text.as_bytes())?;
        }
        let comment = match name {
            TRANSPORT => "Mail for these domains goes to the list server (transport_maps).",
            LMTP => "Mail for these addresses goes to the list server (transport_maps, as in Mailman).",
            DOMAINS => "The domains of the lists (relay_domains).",
            RECIPIENTS => "The addresses of the lists; all others are refused (relay_recipient_maps).",
            _ => "From list addresses to those in the alias domain (virtual_alias_maps).",
        };
        sink.table(&Table {
            path,
            extent: Extent::Whole,
            format: self.table_type.format(),
            role,
            comment: comment.into(),
        })
    }

    fn transport(&self, rows: &mut Rows<'_>) -> Result<()> {
        let mut seen = HashSet::new();
        for domain in self.snapshot.domains().iter().filter(|domain| seen.insert(domain.routed.as_str())) {
            rows.add(0, |key| self.keys.whole_domain(key, &domain.routed), |value| value.push_str(&self.destination))?;
        }
        Ok(())
    }

    fn domains(&self, rows: &mut Rows<'_>) -> Result<()> {
        let mut seen = HashSet::new();
        for domain in self.snapshot.domains().iter().filter(|domain| seen.insert(domain.routed.as_str())) {
            rows.add(0, |key| self.keys.domain(key, &domain.routed), |value| value.push_str(&domain.name))?;
        }
        Ok(())
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
        let mut last = ("", "");
        for (list, domain) in self.snapshot.lists() {
            let address = (list.local.as_str(), domain.routed.as_str());
            // Two domains may share an alias domain.
            if std::mem::replace(&mut last, address) == address {
                continue;
            }
            let column = self.column(list, domain);
            visit(list, domain, "", false, column)?;
            for subaddress in &self.site.subaddresses {
                let taken = !self.taken.is_empty() && {
                    let local = format!("{}-{}", list.local, subaddress.name);
                    self.taken.contains(&(local.as_str(), domain.routed.as_str()))
                };
                if !taken {
                    visit(list, domain, &subaddress.name, subaddress.detail, column)?;
                }
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
                Row { key, value: &self.text[key_end..value_end], column }
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
