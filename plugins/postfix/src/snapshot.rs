//! All domains and lists, checked once and in the order of the tables.

use crate::pattern;
use postrider_plugin_api::sdk::{Result, Roster};
use std::collections::{HashMap, HashSet};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Domain {
    pub(crate) name: String,
    /// What Postfix routes to the list server: the alias domain, or the domain itself.
    pub(crate) routed: String,
}

impl Domain {
    pub(crate) fn has_alias(&self) -> bool {
        self.name != self.routed
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) local: String,
    pub(crate) list_id: String,
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
    pub(crate) fn take(roster: &dyn Roster) -> Result<Self> {
        let domains = domains(roster)?;
        let index: HashMap<&str, usize> =
            domains.iter().enumerate().map(|(index, domain)| (domain.name.as_str(), index)).collect();
        let mut lists = Vec::with_capacity(usize::try_from(roster.list_count()).unwrap_or(0));
        roster.for_each_list(&mut |list| {
            pattern::check_local(list.local)?;
            // A roster whose lists have domains that it does not show would be a fault of the host.
            if let Some(domain) = index.get(list.domain.name) {
                lists.push(List { local: list.local.into(), list_id: list.list_id.into(), domain: *domain });
            }
            Ok(())
        })?;
        lists.sort_by(|a: &List, b: &List| {
            let routed = |list: &List| domains[list.domain].routed.as_str();
            (routed(a), &a.local, &domains[a.domain].name).cmp(&(routed(b), &b.local, &domains[b.domain].name))
        });
        Ok(Snapshot { domains, lists })
    }

    /// By name.
    pub(crate) fn domains(&self) -> &[Domain] {
        &self.domains
    }

    pub(crate) fn lists(&self) -> impl Iterator<Item = (&List, &Domain)> {
        self.lists.iter().map(move |list| (list, &self.domains[list.domain]))
    }

    /// Posting addresses (local part, routed domain) that look like a sub-address of another
    /// list: the list wins, and its key must not be written twice.
    pub(crate) fn lists_like_subaddresses<'s>(&'s self, suffixes: &[&str]) -> HashSet<(&'s str, &'s str)> {
        self.lists()
            .filter(|(list, _)| {
                suffixes
                    .iter()
                    .any(|suffix| list.local.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('-')).is_some())
            })
            .map(|(list, domain)| (list.local.as_str(), domain.routed.as_str()))
            .collect()
    }
}

/// All domains, by name.
pub(crate) fn domains(roster: &dyn Roster) -> Result<Vec<Domain>> {
    let mut domains = Vec::new();
    roster.for_each_domain(&mut |domain| {
        pattern::check_domain(domain.name)?;
        pattern::check_domain(domain.routed())?;
        domains.push(Domain { name: domain.name.into(), routed: domain.routed().into() });
        Ok(())
    })?;
    Ok(domains)
}
