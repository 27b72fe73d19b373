//! The lists and domains of one moment, as adapters see them.

use crate::lists::{Domain, DomainName, List, ListId, ListName};
use postrider_plugin_api::sdk::{self, Change, DomainView, ListView};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All domains and lists, sorted as [`sdk::Roster`] promises. Holds only what adapters see. A clone
/// is the same roster.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    domains: Arc<[(DomainName, Option<DomainName>)]>,
    lists: Arc<[Entry]>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Index of `Roster::domains`.
    domain: u32,
    local: ListName,
    list_id: ListId,
}

impl Roster {
    /// From the store's answers, in any order. A domain that is missing but has lists is there
    /// without an alias.
    pub fn new(domains: Vec<Domain>, lists: Vec<List>) -> Self {
        let mut all: BTreeMap<DomainName, Option<DomainName>> =
            domains.into_iter().map(|domain| (domain.name, domain.alias)).collect();
        for list in &lists {
            if !all.contains_key(&list.address.domain) {
                all.insert(list.address.domain.clone(), None);
            }
        }
        let domains: Vec<_> = all.into_iter().collect();
        let mut entries: Vec<Entry> = lists
            .into_iter()
            .filter_map(|list| {
                let domain = domains.binary_search_by(|(name, _)| name.cmp(&list.address.domain)).ok()?;
                Some(Entry { domain: domain as u32, local: list.address.name, list_id: list.list_id })
            })
            .collect();
        // Domains are sorted, so their numbers sort like their names.
        entries.sort_by(|a, b| (a.domain, &a.local).cmp(&(b.domain, &b.local)));
        Roster { domains: domains.into(), lists: entries.into() }
    }

    fn domain_view(&self, number: u32) -> DomainView<'_> {
        let (name, alias) = &self.domains[number as usize];
        DomainView { name: name.as_str(), alias: alias.as_ref().map_or("", DomainName::as_str) }
    }
}

impl sdk::Roster for Roster {
    fn for_each_domain(&self, visit: &mut dyn FnMut(&DomainView<'_>) -> sdk::Result<()>) -> sdk::Result<()> {
        (0..self.domains.len() as u32).try_for_each(|number| visit(&self.domain_view(number)))
    }

    fn for_each_list(&self, visit: &mut dyn FnMut(&ListView<'_>) -> sdk::Result<()>) -> sdk::Result<()> {
        self.lists.iter().try_for_each(|list| {
            visit(&ListView {
                local: list.local.as_str(),
                domain: self.domain_view(list.domain),
                list_id: list.list_id.as_str(),
            })
        })
    }

    fn list_count(&self) -> u64 {
        self.lists.len() as u64
    }

    fn list_id(&self, local: &str, domain: &str) -> sdk::Result<Option<String>> {
        let Ok(domain) = self.domains.binary_search_by(|(name, _)| name.as_str().cmp(domain)) else {
            return Ok(None);
        };
        let found = self.lists.binary_search_by(|list| (list.domain, list.local.as_str()).cmp(&(domain as u32, local)));
        Ok(found.ok().map(|number| self.lists[number].list_id.as_str().to_owned()))
    }

    fn for_each_domain_routed_to(
        &self,
        routed: &str,
        visit: &mut dyn FnMut(&DomainView<'_>) -> sdk::Result<()>,
    ) -> sdk::Result<()> {
        self.for_each_domain(&mut |domain| if domain.routed() == routed { visit(domain) } else { Ok(()) })
    }
}

/// A [`Change`] that can be sent to another thread.
#[derive(Debug)]
pub(crate) enum OwnedChange {
    Everything,
    List { added: bool, local: String, domain: OwnedDomain, list_id: String },
    Domain { added: bool, domain: OwnedDomain },
}

#[derive(Debug)]
pub(crate) struct OwnedDomain {
    name: String,
    alias: String,
}

impl From<Change<'_>> for OwnedChange {
    fn from(change: Change<'_>) -> Self {
        let domain = |view: DomainView<'_>| OwnedDomain { name: view.name.to_owned(), alias: view.alias.to_owned() };
        let list = |added, view: ListView<'_>| OwnedChange::List {
            added,
            local: view.local.to_owned(),
            domain: domain(view.domain),
            list_id: view.list_id.to_owned(),
        };
        match change {
            Change::ListAdded(view) => list(true, view),
            Change::ListRemoved(view) => list(false, view),
            Change::DomainAdded(view) => OwnedChange::Domain { added: true, domain: domain(view) },
            Change::DomainRemoved(view) => OwnedChange::Domain { added: false, domain: domain(view) },
            _ => OwnedChange::Everything, // which is always true
        }
    }
}

impl OwnedChange {
    pub(crate) fn view(&self) -> Change<'_> {
        match self {
            OwnedChange::Everything => Change::Everything,
            OwnedChange::List { added, local, domain, list_id } => {
                let view = ListView { local, domain: domain.view(), list_id };
                if *added { Change::ListAdded(view) } else { Change::ListRemoved(view) }
            }
            OwnedChange::Domain { added: true, domain } => Change::DomainAdded(domain.view()),
            OwnedChange::Domain { added: false, domain } => Change::DomainRemoved(domain.view()),
        }
    }
}

impl OwnedDomain {
    fn view(&self) -> DomainView<'_> {
        DomainView { name: &self.name, alias: &self.alias }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hookup::testing::{domain, list};
    use sdk::Roster as _;

    #[test]
    fn domains_and_lists_come_sorted_whatever_the_store_said() {
        let roster = Roster::new(
            vec![domain("b.example", None), domain("a.example", Some("alias.example"))],
            vec![list("zebras@a.example"), list("ants@b.example"), list("ants-2@a.example"), list("ants@a.example")],
        );
        let mut seen = Vec::new();
        roster
            .for_each_list(&mut |list| {
                seen.push(format!("{}@{} {} {}", list.local, list.domain.name, list.domain.routed(), list.list_id));
                Ok(())
            })
            .expect("no error");
        assert_eq!(
            seen,
            [
                "ants@a.example alias.example ants.a.example",
                "ants-2@a.example alias.example ants-2.a.example",
                "zebras@a.example alias.example zebras.a.example",
                "ants@b.example b.example ants.b.example",
            ]
        );
        let mut domains = Vec::new();
        roster
            .for_each_domain(&mut |domain| {
                domains.push(domain.name.to_owned());
                Ok(())
            })
            .expect("no error");
        assert_eq!(domains, ["a.example", "b.example"]);
    }

    #[test]
    fn only_posting_addresses_are_lists() {
        let roster = Roster::new(vec![domain("a.example", Some("alias.example"))], vec![list("ants@a.example")]);
        assert_eq!(roster.is_list("ants", "a.example"), Ok(true));
        assert_eq!(roster.is_list("ants-request", "a.example"), Ok(false));
        assert_eq!(roster.is_list("ants", "alias.example"), Ok(false));
        assert_eq!(roster.is_list("ants", "b.example"), Ok(false));
    }

    #[test]
    fn the_first_error_of_a_visitor_ends_the_tour() {
        let roster = Roster::new(vec![], vec![list("a@a.example"), list("b@a.example")]);
        let mut visits = 0;
        let result = roster.for_each_list(&mut |_| {
            visits += 1;
            Err(sdk::Error::failed("enough"))
        });
        assert_eq!((visits, result.expect_err("passed on").message.as_str()), (1, "enough"));
    }
}
