//! All domains and lists, checked once and in the order of the tables.

use crate::pattern;
use postrider_plugin_api::sdk::{self, DomainView, ListView, Result, Roster, Site};
use std::collections::HashMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Domain {
    pub(crate) name: String,
    /// What Postfix routes to the list server: the alias domain, or the domain itself.
    pub(crate) routed: String,
}

impl Domain {
    fn of(view: &DomainView<'_>) -> Result<Self> {
        pattern::check_domain(view.name)?;
        pattern::check_domain(view.routed())?;
        Ok(Domain { name: view.name.into(), routed: view.routed().into() })
    }

    pub(crate) fn has_alias(&self) -> bool {
        self.name != self.routed
    }
}

/// A list with the addresses that are its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) local: String,
    pub(crate) list_id: String,
    /// Numbers of its sub-addresses; one that is a list itself is missing.
    pub(crate) subaddresses: Vec<usize>,
    domain: usize,
}

/// The lists at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    domains: Vec<Domain>,
    /// By routed domain, then by name.
    lists: Vec<List>,
}

impl Snapshot {
    pub(crate) fn take(site: &Site, roster: &dyn Roster) -> Result<Self> {
        let domains = domains(roster)?;
        let index: HashMap<&str, usize> =
            domains.iter().enumerate().map(|(index, domain)| (domain.name.as_str(), index)).collect();
        let numbers: HashMap<&str, usize> =
            site.subaddresses.iter().enumerate().map(|(number, one)| (one.name.as_str(), number)).collect();
        let mut lists: Vec<List> = Vec::with_capacity(usize::try_from(roster.list_count()).unwrap_or(0));
        sdk::for_each_address(site, roster, &mut |address| {
            match (address.subaddress, lists.last_mut()) {
                (Some(subaddress), Some(list)) => list.subaddresses.push(numbers[subaddress.name.as_str()]),
                // A roster whose lists have domains that it does not show would be a fault of the host.
                _ => lists.extend(index.get(address.list.domain.name).map(|domain| List::of(&address.list, *domain))),
            }
            pattern::check_local(address.local)
        })?;
        lists.sort_by(|a, b| (&domains[a.domain].routed, &a.local).cmp(&(&domains[b.domain].routed, &b.local)));
        Ok(Snapshot { domains, lists })
    }

    /// By name.
    pub(crate) fn domains(&self) -> &[Domain] {
        &self.domains
    }

    pub(crate) fn lists(&self) -> impl Iterator<Item = (&List, &Domain)> {
        self.lists.iter().map(move |list| (list, &self.domains[list.domain]))
    }
}

impl List {
    fn of(view: &ListView<'_>, domain: usize) -> Self {
        List { local: view.local.into(), list_id: view.list_id.into(), subaddresses: Vec::new(), domain }
    }
}

/// All domains, by name.
pub(crate) fn domains(roster: &dyn Roster) -> Result<Vec<Domain>> {
    let mut domains = Vec::new();
    roster.for_each_domain(&mut |domain| {
        domains.push(Domain::of(domain)?);
        Ok(())
    })?;
    Ok(domains)
}

/// The domains that are routed as this one, by name.
pub(crate) fn domains_routed_to(routed: &str, roster: &dyn Roster) -> Result<Vec<Domain>> {
    let mut domains = Vec::new();
    roster.for_each_domain_routed_to(routed, &mut |domain| {
        domains.push(Domain::of(domain)?);
        Ok(())
    })?;
    Ok(domains)
}
