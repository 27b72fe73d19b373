//! Which addresses the lists have, and whose each of them is.
//!
//! Every table of every adapter comes from here, so that all of them agree: a list that is really called
//! `foo-request` has that address, not the list `foo`; of two domains with the same alias domain the first
//! (by name) has an address that both could have.

use super::{DomainView, ListView, Result, Roster, Site, Subaddress};
use std::collections::{HashMap, HashSet};

/// An address of a list: its posting address or one of its sub-addresses. Made by [`for_each_address`] and
/// [`for_each_address_of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address<'a> {
    /// The local part, without a detail: `ants` or `ants-bounces`.
    pub local: &'a str,
    /// Whose it is.
    pub list: ListView<'a>,
    /// Which of its sub-addresses; `None` for the posting address.
    pub subaddress: Option<&'a Subaddress>,
}

impl Address<'_> {
    /// Whether a detail may follow, `ants-bounces+DETAIL`.
    pub fn has_detail(&self) -> bool {
        self.subaddress.map_or(false, |subaddress| subaddress.detail)
    }
}

/// Shows every address of every list to `visit`: list by list in the roster's order, the posting address
/// first, then the sub-addresses in [`Site::subaddresses`]' order. Each pair of local part and routed domain
/// ([`DomainView::routed`]) comes once.
///
/// # Errors
/// The first one of `visit`, or those of the roster.
pub fn for_each_address(
    site: &Site,
    roster: &dyn Roster,
    visit: &mut dyn FnMut(&Address<'_>) -> Result<()>,
) -> Result<()> {
    let clashes = Clashes::find(site, roster)?;
    let mut local = String::new();
    roster.for_each_list(&mut |list| {
        let routed = list.domain.routed();
        if clashes.is_hidden(list) {
            return Ok(());
        }
        visit(&Address { local: list.local, list: *list, subaddress: None })?;
        for subaddress in &site.subaddresses {
            local.clear();
            local.push_str(list.local);
            local.push('-');
            local.push_str(&subaddress.name);
            if !clashes.is_list(&local, routed) {
                visit(&Address { local: &local, list: *list, subaddress: Some(subaddress) })?;
            }
        }
        Ok(())
    })
}

/// Shows to `visit` every local part that this list has or could have in its routed domain, with the address
/// as it is now, `None` if no list has it: what a table must say after this list was added or removed.
///
/// # Errors
/// The first one of `visit`, or those of the roster.
pub fn for_each_address_of(
    list: ListView<'_>,
    site: &Site,
    roster: &dyn Roster,
    visit: &mut dyn FnMut(&str, Option<&Address<'_>>) -> Result<()>,
) -> Result<()> {
    let mut domains = Vec::new();
    roster.for_each_domain_routed_to(list.domain.routed(), &mut |domain| {
        domains.push((domain.name.to_owned(), domain.alias.to_owned()));
        Ok(())
    })?;
    let posting = std::iter::once(list.local.to_owned());
    let others = site.subaddresses.iter().map(|subaddress| format!("{}-{}", list.local, subaddress.name));
    for local in posting.chain(others) {
        with_owner(&local, &domains, site, roster, &mut |owner| visit(&local, owner))?;
    }
    Ok(())
}

/// The posting address of a list outranks any sub-address; the first domain outranks the others.
fn with_owner(
    local: &str,
    domains: &[(String, String)],
    site: &Site,
    roster: &dyn Roster,
    found: &mut dyn FnMut(Option<&Address<'_>>) -> Result<()>,
) -> Result<()> {
    let as_posting = std::iter::once((local, None));
    let as_subaddress = site.subaddresses.iter().filter_map(|subaddress| {
        let list = local.strip_suffix(subaddress.name.as_str())?.strip_suffix('-')?;
        Some((list, Some(subaddress))).filter(|_| !list.is_empty())
    });
    for (list, subaddress) in as_posting.chain(as_subaddress) {
        for (name, alias) in domains {
            if let Some(list_id) = roster.list_id(list, name)? {
                let list = ListView { local: list, domain: DomainView { name, alias }, list_id: &list_id };
                return found(Some(&Address { local, list, subaddress }));
            }
        }
    }
    found(None)
}

/// The few lists that make a difference: those called like sub-addresses, and those in domains that share
/// their routed domain.
struct Clashes {
    /// Lists with the name of a sub-address, by routed domain.
    like_subaddresses: HashMap<String, HashSet<String>>,
    /// Routed domains of several domains, and the name of the domain that has each local part there.
    shared: HashMap<String, HashMap<String, String>>,
}

impl Clashes {
    fn find(site: &Site, roster: &dyn Roster) -> Result<Clashes> {
        let mut counts: HashMap<String, u32> = HashMap::new();
        roster.for_each_domain(&mut |domain| {
            *counts.entry(domain.routed().to_owned()).or_default() += 1;
            Ok(())
        })?;
        counts.retain(|_, count| *count > 1);
        let mut clashes = Clashes {
            like_subaddresses: HashMap::new(),
            shared: counts.into_keys().map(|routed| (routed, HashMap::new())).collect(),
        };
        roster.for_each_list(&mut |list| {
            let routed = list.domain.routed();
            let like = |one: &Subaddress| {
                list.local.strip_suffix(one.name.as_str()).map_or(false, |rest| rest.len() > 1 && rest.ends_with('-'))
            };
            if site.subaddresses.iter().any(like) {
                clashes.like_subaddresses.entry(routed.to_owned()).or_default().insert(list.local.to_owned());
            }
            if let Some(owners) = clashes.shared.get_mut(routed) {
                owners.entry(list.local.to_owned()).or_insert_with(|| list.domain.name.to_owned());
            }
            Ok(())
        })?;
        Ok(clashes)
    }

    fn is_list(&self, local: &str, routed: &str) -> bool {
        self.like_subaddresses.get(routed).map_or(false, |lists| lists.contains(local))
    }

    /// Whether a list in another domain has this list's addresses.
    fn is_hidden(&self, list: &ListView<'_>) -> bool {
        let owners = self.shared.get(list.domain.routed());
        owners.and_then(|owners| owners.get(list.local)).map_or(false, |owner| owner != list.domain.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::LmtpAddress;
    use std::collections::BTreeSet;

    struct Lists(Vec<(&'static str, DomainView<'static>)>);

    impl Roster for Lists {
        fn for_each_domain(&self, visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
            let domains: BTreeSet<_> = self.0.iter().map(|(_, domain)| (domain.name, domain.alias)).collect();
            domains.into_iter().try_for_each(|(name, alias)| visit(&DomainView { name, alias }))
        }
        fn for_each_list(&self, visit: &mut dyn FnMut(&ListView<'_>) -> Result<()>) -> Result<()> {
            self.0.iter().try_for_each(|&(local, domain)| visit(&ListView { local, domain, list_id: "x" }))
        }
        fn list_count(&self) -> u64 {
            self.0.len() as u64
        }
        fn list_id(&self, local: &str, domain: &str) -> Result<Option<String>> {
            let found = self.0.iter().find(|(name, of)| *name == local && of.name == domain);
            Ok(found.map(|(name, of)| format!("{}.{}", name, of.name)))
        }
        fn for_each_domain_routed_to(
            &self,
            routed: &str,
            visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>,
        ) -> Result<()> {
            self.for_each_domain(&mut |domain| if domain.routed() == routed { visit(domain) } else { Ok(()) })
        }
    }

    fn site() -> Site {
        let subaddress = |name: &str, detail| Subaddress { name: name.into(), detail };
        Site {
            lmtp: LmtpAddress::unix("/s"),
            table_dir: "/t".into(),
            user: "u".into(),
            delimiter: "+".into(),
            subaddresses: vec![subaddress("bounces", true), subaddress("request", false)],
            smtp_host: "h".into(),
            smtp_port: 25,
        }
    }

    const A: DomainView<'static> = DomainView { name: "a.example", alias: "" };
    const B: DomainView<'static> = DomainView { name: "b.example", alias: "x.example" };
    const C: DomainView<'static> = DomainView { name: "c.example", alias: "x.example" };

    fn shown(address: &Address<'_>) -> String {
        let detail = if address.has_detail() { "+" } else { "" };
        format!("{}{}@{} of {}", address.local, detail, address.list.domain.routed(), address.list.local)
    }

    fn all(roster: &Lists) -> Vec<String> {
        let mut seen = Vec::new();
        let visited = for_each_address(&site(), roster, &mut |address| {
            seen.push(shown(address));
            Ok(())
        });
        assert_eq!(visited, Ok(()));
        seen
    }

    fn of(roster: &Lists, local: &'static str, domain: DomainView<'static>) -> Vec<String> {
        let mut seen = Vec::new();
        let list = ListView { local, domain, list_id: "" };
        let visited = for_each_address_of(list, &site(), roster, &mut |local, address| {
            seen.push(address.map_or_else(|| format!("{} free", local), shown));
            Ok(())
        });
        assert_eq!(visited, Ok(()));
        seen
    }

    #[test]
    fn every_list_has_its_posting_address_and_its_subaddresses() {
        let lists = Lists(vec![("ants", A)]);
        let expected = ["ants@a.example of ants", "ants-bounces+@a.example of ants", "ants-request@a.example of ants"];
        assert_eq!(all(&lists), expected);
        assert_eq!(of(&lists, "ants", A), expected);
        assert_eq!(of(&lists, "bees", A), ["bees free", "bees-bounces free", "bees-request free"]);
    }

    #[test]
    fn a_list_called_like_a_subaddress_has_the_address_and_gives_it_back() {
        let both = Lists(vec![("ants", A), ("ants-request", A)]);
        assert_eq!(
            all(&both),
            [
                "ants@a.example of ants",
                "ants-bounces+@a.example of ants",
                "ants-request@a.example of ants-request",
                "ants-request-bounces+@a.example of ants-request",
                "ants-request-request@a.example of ants-request",
            ]
        );
        assert_eq!(of(&both, "ants", A)[2], "ants-request@a.example of ants-request");
        let left = Lists(vec![("ants", A)]);
        assert_eq!(
            of(&left, "ants-request", A),
            ["ants-request@a.example of ants", "ants-request-bounces free", "ants-request-request free"]
        );
    }

    #[test]
    fn the_first_of_two_domains_with_one_alias_domain_has_the_address() {
        let lists = Lists(vec![("ants", B), ("ants", C), ("bees", C)]);
        assert_eq!(
            all(&lists).iter().filter(|address| address.starts_with("ants@") || address.starts_with("bees@")).count(),
            2
        );
        let left = Lists(vec![("ants", C)]);
        assert_eq!(of(&left, "ants", B)[0], "ants@x.example of ants", "it goes on to the other");
    }
}
