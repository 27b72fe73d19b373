//! Lists and installations to ask adapters about.

use crate::hookup::roster::Roster;
use crate::hookup::site::subaddresses;
use crate::lists::{Domain, DomainName, List, ListAddress, ListName, ListSettings};
use postrider_plugin_api::sdk::{self, DomainView, ListView, LmtpAddress, Site};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// An ordinary installation.
pub(super) fn site() -> Site {
    let mut site = Site::new(tcp("127.0.0.1"), "/var/lib/postrider/data");
    site.subaddresses = subaddresses();
    site
}

/// Other installations, in words.
pub(super) fn other_sites() -> Vec<(&'static str, Site)> {
    let with = |change: fn(&mut Site)| {
        let mut site = site();
        change(&mut site);
        site
    };
    vec![
        ("LMTP at a Unix socket", with(|site| site.lmtp = LmtpAddress::Unix("/run/postrider/lmtp.sock".into()))),
        ("the list server is another host", with(|site| site.lmtp = tcp("2001:db8::25"))),
        ("the list server is called by a name", with(|site| site.lmtp = tcp("lists.example.net"))),
        ("no delimiter", with(|site| site.delimiter = String::new())),
        ("a table directory with blanks", with(|site| site.table_dir = "/srv/list tables/it's".into())),
        ("no sub-addresses", with(|site| site.subaddresses = Vec::new())),
    ]
}

fn tcp(host: &str) -> LmtpAddress {
    LmtpAddress::Tcp { host: host.into(), port: 8024 }
}

/// Domains and lists that can be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lists {
    /// Name and alias; no alias is empty.
    pub(super) domains: BTreeMap<String, String>,
    /// Domain and local part.
    pub(super) lists: BTreeSet<(String, String)>,
}

impl Lists {
    /// Of domains (name, alias) and posting addresses; a domain that is missing has no alias.
    pub(super) fn new(domains: &[(&str, &str)], lists: &[&str]) -> Self {
        let mut new = Lists::default();
        for (name, alias) in domains {
            new.domains.insert((*name).to_owned(), (*alias).to_owned());
        }
        for address in lists {
            let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
            new.add(local, domain);
        }
        new
    }

    pub(super) fn add(&mut self, local: &str, domain: &str) {
        self.domains.entry(domain.to_owned()).or_default();
        self.lists.insert((domain.to_owned(), local.to_owned()));
    }

    pub(super) fn without(&self, domain: &str, local: &str) -> Self {
        let mut without = self.clone();
        without.lists.remove(&(domain.to_owned(), local.to_owned()));
        without
    }

    /// As the host shows it to adapters. What is no name of a list or domain is not in it.
    pub(super) fn roster(&self) -> Roster {
        let name = |text: &String| DomainName::parse(text).ok();
        let domains = self.domains.iter().filter_map(|(domain, alias)| {
            Some(Domain { name: name(domain)?, alias: name(alias), description: String::new() })
        });
        let lists = self.lists.iter().filter_map(|(domain, local)| {
            Some(list(ListAddress { name: ListName::parse(local).ok()?, domain: name(domain)? }))
        });
        Roster::new(domains.collect(), lists.collect())
    }

    pub(super) fn domain<'a>(&'a self, name: &'a str) -> DomainView<'a> {
        DomainView::new(name, self.domains.get(name).map_or("", String::as_str))
    }

    /// Whether lists in different domains have the same name, or domains the same alias: there are MTAs that
    /// cannot tell such lists apart, and say so.
    pub(super) fn may_be_refused(&self) -> bool {
        let mut seen = HashSet::new();
        let twice = self.lists.iter().any(|(_, local)| !seen.insert(local.as_str()));
        let mut routed = HashSet::new();
        twice || self.domains.iter().any(|(name, alias)| !routed.insert(if alias.is_empty() { name } else { alias }))
    }

    /// Whose each address is: local part and routed domain, to domain, local part and list-id of the list.
    pub(super) fn owners(&self, site: &Site) -> HashMap<(String, String), Owner> {
        let mut owners = HashMap::new();
        let roster = self.roster();
        let visited = sdk::for_each_address(site, &roster, &mut |address| {
            let list = &address.list;
            owners.insert(
                (address.local.to_owned(), list.domain.routed().to_owned()),
                Owner {
                    domain: list.domain.name.to_owned(),
                    local: list.local.to_owned(),
                    list_id: list.list_id.to_owned(),
                },
            );
            Ok(())
        });
        debug_assert_eq!(visited, Ok(()), "neither the roster nor the visitor fails");
        owners
    }
}

/// A list that has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) domain: String,
    pub(super) local: String,
    pub(super) list_id: String,
}

pub(super) fn list(address: ListAddress) -> List {
    List { id: 1, list_id: address.list_id(), address, settings: ListSettings::default(), post_count: 0, created: 0 }
}

/// A list as adapters see it, with its list-id.
pub(super) fn list_view<'a>(lists: &'a Lists, domain: &'a str, local: &'a str, list_id: &'a str) -> ListView<'a> {
    ListView::new(local, lists.domain(domain), list_id)
}

/// RFC 2919, as the host makes it.
pub(super) fn list_id(domain: &str, local: &str) -> String {
    ListAddress::parse(&format!("{local}@{domain}"))
        .map_or_else(|_| format!("{local}.{domain}"), |address| address.list_id().as_str().to_owned())
}

/// Two lists, nothing odd.
pub(super) fn plain() -> Lists {
    Lists::new(&[], &["ants@lists.example.com", "bees@lists.example.com"])
}

/// Lists of every kind that the host takes: the name of the kind, and the lists.
pub(super) fn kinds() -> Vec<(&'static str, Lists)> {
    let longest = format!("{}@lists.example.com", "l".repeat(52));
    let long_domain = format!("{0}.{0}.{0}.example", "d".repeat(57));
    let in_long_domain = format!("ants@{long_domain}");
    vec![
        ("ordinary lists", plain()),
        (
            "odd names",
            Lists::new(
                &[],
                &[
                    "0@lists.example.com",
                    "9-9@lists.example.com",
                    "_x_@lists.example.com",
                    "a.b@lists.example.com",
                    "c-d@lists.example.com",
                    "e_f@lists.example.com",
                    "default@lists.example.com",
                    &longest,
                ],
            ),
        ),
        (
            "lists called like sub-addresses",
            Lists::new(
                &[],
                &[
                    "foo@a.example",
                    "foo-request@a.example",
                    "foo-bounces@a.example",
                    "bar-owner@a.example",
                    "request@a.example",
                ],
            ),
        ),
        (
            "a domain with an alias domain",
            Lists::new(
                &[("example.org", "lists.example.org")],
                &["ants@example.org", "bees@example.org", "cats@lists.example.com"],
            ),
        ),
        (
            "domains that share their alias domain",
            Lists::new(
                &[("a.example", "x.example"), ("b.example", "x.example")],
                &["ants@a.example", "ants@b.example", "bees@b.example"],
            ),
        ),
        ("lists of one name in two domains", Lists::new(&[], &["ants@a.example", "ants@b.example", "bees@a.example"])),
        ("an international domain", Lists::new(&[], &["ants@xn--bcher-kva.example"])),
        ("a very long domain", Lists::new(&[], &[&in_long_domain])),
        ("a domain without lists", Lists::new(&[("empty.example", "")], &["ants@lists.example.com"])),
        (
            "an alias domain that is a domain of lists",
            Lists::new(&[("a.example", "b.example"), ("b.example", "")], &["ants@a.example", "bees@b.example"]),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_of_lists_are_ones_that_the_host_takes() {
        for (kind, lists) in kinds() {
            let mut shown = 0;
            let roster = lists.roster();
            sdk::Roster::for_each_list(&roster, &mut |_| {
                shown += 1;
                Ok(())
            })
            .expect("no error");
            assert_eq!(shown, lists.lists.len(), "{kind}");
            for (domain, local) in &lists.lists {
                let domain = DomainName::parse(domain).expect(kind);
                assert!(ListName::parse(local).expect(kind).fits(&domain), "{kind}: {local}");
            }
        }
    }

    #[test]
    fn a_list_called_like_a_subaddress_is_the_owner() {
        let lists = Lists::new(&[], &["foo@a.example", "foo-request@a.example"]);
        let owners = lists.owners(&site());
        assert_eq!(owners[&("foo-request".to_owned(), "a.example".to_owned())].local, "foo-request");
        assert_eq!(owners[&("foo-join".to_owned(), "a.example".to_owned())].local, "foo");
    }
}
