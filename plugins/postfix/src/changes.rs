//! What a single change does to tables that are changed row by row: only the rows of the list or the
//! domain, so that it costs the same however many lists there are.

use crate::{
    pattern::{self, KeyWriter},
    snapshot::{self, Domain},
    tables::{self, Source, ALIAS, DOMAINS, LMTP, RECIPIENTS, TRANSPORT, VMAP},
};
use postrider_plugin_api::sdk::{self, Change, Extent, ListView, PlanSink, Result, Row};

/// Plans a change of one list or domain; `false` (and nothing is planned) if it is another change.
pub(crate) fn write(
    source: Source<'_>,
    queue_directory: &str,
    change: Change<'_>,
    sink: &mut dyn PlanSink,
) -> Result<bool> {
    let (domain, list) = match change {
        Change::ListAdded(list) | Change::ListRemoved(list) => (list.domain, Some(list)),
        Change::DomainAdded(domain) | Change::DomainRemoved(domain) => (domain, None),
        _ => return Ok(false),
    };
    let domains = snapshot::domains_routed_to(domain.routed(), source.roster)?;
    let destination =
        source.destination(queue_directory, &KeyWriter::new(source.table_type, &source.site.delimiter))?;
    let addresses = list.map_or_else(|| Ok(Vec::new()), |list| addresses(source, list))?;
    let changed = Changed { source, routed: domain.routed(), gone: domain.name, domains, addresses, destination };
    for (name, role) in tables::all(source.table_type) {
        source.begin(name, role, Extent::Changes, sink)?;
        changed.rows_of(name).send(sink)?;
    }
    Ok(true)
}

/// An address that the change may have touched.
struct Address {
    local: String,
    /// Name of the domain and list-id of the list that has it now.
    owner: Option<(String, String)>,
}

fn addresses(source: Source<'_>, list: ListView<'_>) -> Result<Vec<Address>> {
    let mut addresses = Vec::new();
    sdk::for_each_address_of(list, source.site, source.roster, &mut |local, address| {
        pattern::check_local(local)?;
        let owner = address.map(|address| (address.list.domain.name.to_owned(), address.list.list_id.to_owned()));
        addresses.push(Address { local: local.into(), owner });
        Ok(())
    })?;
    Ok(addresses)
}

struct Changed<'a> {
    source: Source<'a>,
    routed: &'a str,
    /// The changed domain's name; it may be gone.
    gone: &'a str,
    /// All that are routed to `routed` now, by name.
    domains: Vec<Domain>,
    addresses: Vec<Address>,
    destination: String,
}

impl Changed<'_> {
    fn rows_of(&self, table: &str) -> Rows {
        let mut rows = Rows::default();
        match table {
            TRANSPORT => rows.set(self.routed.into(), self.relayed().map(|_| self.destination.clone())),
            DOMAINS => rows.set(self.routed.into(), self.relayed().map(|domain| domain.name.clone())),
            LMTP => self.each_address(&mut rows, |_| self.destination.clone()),
            RECIPIENTS => self.each_address(&mut rows, String::clone),
            VMAP | ALIAS => self.rewriting(&mut rows),
            other => unreachable!("no table is called {}", other),
        }
        rows
    }

    /// The domain whose row a table of domains has.
    fn relayed(&self) -> Option<&Domain> {
        self.domains.first().filter(|domain| !self.source.classes.is_own(&domain.routed))
    }

    fn each_address(&self, rows: &mut Rows, value: impl Fn(&String) -> String) {
        for address in &self.addresses {
            let key = format!("{}@{}", address.local, self.routed);
            rows.set(key, address.owner.as_ref().map(|(_, list_id)| value(list_id)));
        }
    }

    /// Only the domain of the list that has the address rewrites it.
    fn rewriting(&self, rows: &mut Rows) {
        let mut names: Vec<&str> = self.domains.iter().map(|domain| domain.name.as_str()).collect();
        if !names.contains(&self.gone) {
            names.push(self.gone);
        }
        for name in names.into_iter().filter(|name| *name != self.routed) {
            for address in &self.addresses {
                let owned = address.owner.as_ref().map_or(false, |(domain, _)| domain == name);
                let target = format!("{}@{}", address.local, self.routed);
                rows.set(format!("{}@{name}", address.local), Some(target).filter(|_| owned));
            }
        }
    }
}

#[derive(Default)]
struct Rows {
    present: Vec<(String, String)>,
    absent: Vec<String>,
}

impl Rows {
    fn set(&mut self, key: String, value: Option<String>) {
        match value {
            Some(value) => self.present.push((key, value)),
            None => self.absent.push(key),
        }
    }

    fn send(&self, sink: &mut dyn PlanSink) -> Result<()> {
        let rows: Vec<Row<'_>> = self.present.iter().map(|(key, value)| Row::new(key, value)).collect();
        if !rows.is_empty() {
            sink.rows(&rows)?;
        }
        let keys: Vec<&str> = self.absent.iter().map(String::as_str).collect();
        if keys.is_empty() {
            Ok(())
        } else {
            sink.absent(&keys)
        }
    }
}

#[cfg(test)]
mod tests;
