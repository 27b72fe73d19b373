//! Whose addresses are in the tables.
//!
//! Every MTA has its own form of keys. What is an address with a domain (`ants@lists.example.com`,
//! `ants-bounces+*@…`) or an expression between slashes is read and compared with the lists; of other forms
//! (`.qmail-ants`) it is only asked whether a list makes a difference.

use super::case::{Case, Failure, NoPlan, Subject, told};
use super::lists::{self, Lists, Owner};
use crate::hookup::collect::Plan;
use postrider_plugin_api::sdk::{Change, Site, TableRole};
use regex::Regex;
use std::collections::{HashMap, HashSet};

pub(super) fn right(case: &mut Case) -> Result<(), Failure> {
    let (mut read, mut unread) = (0, 0);
    let mut blind = Vec::new();
    let site = lists::site();
    for setup in case.setups()? {
        let Some(subject) = case.subject(&setup, &site)? else { continue };
        for (kind, lists) in lists::kinds() {
            let plan = match subject.plan(&lists.roster(), Change::Everything) {
                Ok(plan) => plan,
                Err(NoPlan::Refused(_)) => continue,
                Err(none) => return Err(none.failure().when(&subject.circumstances(kind))),
            };
            let here = |failure: Failure| failure.when(&subject.circumstances(kind));
            let keys = Keys::of(&plan);
            read += keys.plain.len() + keys.expressions.len();
            unread += keys.unread;
            let truth = Truth::of(&lists, &site);
            keys.nobody_else(&truth).map_err(here)?;
            if keys.plain.is_empty() && keys.expressions.is_empty() {
                if !each_makes_a_difference(&subject, &lists, &plan).map_err(here)? {
                    blind.push(setup.words.clone());
                }
            } else {
                keys.everybody(&truth).map_err(here)?;
                each_makes_a_difference(&subject, &lists, &plan).map_err(here)?;
            }
        }
    }
    blind.dedup();
    if !blind.is_empty() {
        let words = blind.iter().map(|words| if words.is_empty() { "the defaults" } else { words }).collect::<Vec<_>>();
        case.note(format!("no table depends on single lists with {}", words.join("; ")));
    }
    case.note(format!("{read} keys read as addresses, {unread} in other forms"));
    Ok(())
}

/// What is true of the lists.
struct Truth<'a> {
    lists: &'a Lists,
    site: &'a Site,
    owners: HashMap<(String, String), Owner>,
    /// Every address that some list has, in its routed and in its real domain.
    all: HashSet<String>,
    /// Every domain that is ours, routed or real.
    domains: HashSet<&'a str>,
}

impl<'a> Truth<'a> {
    fn of(lists: &'a Lists, site: &'a Site) -> Self {
        let owners = lists.owners(site);
        let mut all = HashSet::new();
        for ((local, routed), owner) in &owners {
            all.insert(format!("{local}@{routed}"));
            all.insert(format!("{local}@{}", owner.domain));
        }
        // A list that another domain's list hides in the routed domain may still be reached in its own.
        for (domain, local) in &lists.lists {
            all.insert(format!("{local}@{domain}"));
            all.extend(site.subaddresses.iter().map(|sub| format!("{local}-{}@{domain}", sub.name)));
        }
        let domains = lists.domains.iter().flat_map(|(name, alias)| [name.as_str(), alias.as_str()]);
        Truth { lists, site, owners, all, domains: domains.filter(|domain| !domain.is_empty()).collect() }
    }

    /// Addresses that look like a list's and are none.
    fn decoys(&self) -> Vec<String> {
        let mut decoys = Vec::new();
        for (local, routed) in self.owners.keys() {
            decoys.push(format!("x{local}@{routed}"));
            decoys.push(format!("{local}x@{routed}"));
            decoys.push(format!("{local}-nosuch@{routed}"));
            decoys.push(format!("{}@{routed}", local.replace('.', "x")));
            decoys.push(format!("{local}@x{routed}"));
            decoys.push(format!("{local}@{routed}x"));
            decoys.push(format!("{local}@{}", routed.replacen('.', "x", 1)));
        }
        decoys.retain(|decoy| !self.all.contains(decoy));
        decoys
    }
}

/// The keys of a plan that can be read.
#[derive(Default)]
struct Keys {
    /// In small letters, with table, key and value.
    plain: Vec<(String, [String; 3])>,
    /// Of tables that decide about acceptance: expression, table and key.
    expressions: Vec<(Regex, [String; 2])>,
    /// Local parts alone (`ants:`).
    locals: HashSet<String>,
    unread: usize,
}

impl Keys {
    fn of(plan: &Plan) -> Self {
        let mut keys = Keys::default();
        for planned in &plan.tables {
            let table = &planned.table;
            for row in planned.rows.iter() {
                let key = row.key.trim_end_matches(':');
                if is_address(key) {
                    let words = [&table.path, row.key, row.value].map(|word: &str| word.to_owned());
                    keys.plain.push((key.to_lowercase(), words));
                } else if let Some(expression) = expression(row.key) {
                    if table.role == TableRole::Acceptance && expression.as_str().contains('@') {
                        keys.expressions.push((expression, [table.path.clone(), row.key.to_owned()]));
                    }
                } else if row.key.ends_with(':') {
                    keys.locals.insert(key.to_lowercase());
                    keys.unread += 1;
                } else {
                    keys.unread += 1;
                }
            }
        }
        keys
    }

    fn nobody_else(&self, truth: &Truth<'_>) -> Result<(), Failure> {
        const EXPECTED: &str = "only addresses of lists: their posting addresses and sub-addresses";
        const ADVICE: &str = "make every table from for_each_address, which also knows whose an address is that two lists \
                              could have";
        let delimiter = truth.site.delimiter.as_str();
        let list_ids: HashSet<&str> = truth.owners.values().map(|owner| owner.list_id.as_str()).collect();
        for (key, [table, written, value]) in &self.plain {
            let Some((local, domain)) = key.rsplit_once('@') else { continue };
            let local = if delimiter.is_empty() { local } else { local.split(delimiter).next().unwrap_or(local) };
            // A whole domain, or somebody else's.
            if local.is_empty() || local == "*" || !truth.domains.contains(domain) {
                continue;
            }
            if !truth.all.contains(&format!("{local}@{domain}")) {
                return Err(Failure::new(
                    format!("table {table} has {written:?}, which no list has"),
                    EXPECTED,
                    ADVICE,
                ));
            }
            let owner = truth.owners.get(&(local.to_owned(), domain.to_owned()));
            if let Some(owner) = owner.filter(|owner| list_ids.contains(value.as_str()) && *value != owner.list_id) {
                return Err(Failure::new(
                    format!("table {table}: {written:?} belongs to {value}"),
                    format!("it belongs to {}, the list {}@{}", owner.list_id, owner.local, owner.domain),
                    ADVICE,
                ));
            }
        }
        if self.expressions.is_empty() {
            return Ok(());
        }
        for decoy in truth.decoys() {
            if let Some((_, [table, key])) = self.expressions.iter().find(|(expression, _)| expression.is_match(&decoy))
            {
                return Err(Failure::new(
                    format!("table {table}: {key:?} takes {decoy}, which no list has"),
                    EXPECTED,
                    "anchor expressions with ^ and $, and put a backslash before dots",
                ));
            }
        }
        Ok(())
    }

    fn everybody(&self, truth: &Truth<'_>) -> Result<(), Failure> {
        let plain: HashSet<&str> = self.plain.iter().map(|(key, _)| key.as_str()).collect();
        for ((local, routed), owner) in &truth.owners {
            if *local != owner.local {
                continue; // only posting addresses: Exim takes suffixes off by itself
            }
            let address = format!("{local}@{routed}");
            let there = plain.contains(address.as_str())
                || self.locals.contains(local)
                || self.expressions.iter().any(|(expression, _)| expression.is_match(&address));
            if !there {
                return Err(Failure::new(
                    format!("no table has {address}, though other addresses are in tables"),
                    "the posting address of every list, in the domain that is routed to the list server",
                    "use DomainView::routed for the domain and ListView::local for the local part",
                ));
            }
        }
        debug_assert!(
            truth.lists.lists.len() >= truth.owners.values().map(|o| &o.list_id).collect::<HashSet<_>>().len()
        );
        Ok(())
    }
}

/// Whether the plan depends on the lists; an error if it does for some of them and not for others.
///
/// Not asked where lists of different domains have the same name: an MTA may not tell them apart.
fn each_makes_a_difference(subject: &Subject, lists: &Lists, plan: &Plan) -> Result<bool, Failure> {
    if lists.may_be_refused() || lists.lists.is_empty() {
        return Ok(true);
    }
    let whole = told(plan);
    let mut without_effect = Vec::new();
    for (domain, local) in &lists.lists {
        match subject.plan(&lists.without(domain, local).roster(), Change::Everything) {
            Ok(other) if told(&other) == whole => without_effect.push(format!("{local}@{domain}")),
            Ok(_) | Err(NoPlan::Refused(_)) => {}
            Err(none) => return Err(none.failure()),
        }
    }
    match without_effect.first() {
        None => Ok(true),
        Some(_) if without_effect.len() == lists.lists.len() => Ok(false),
        Some(list) => Err(Failure::new(
            format!("the plan is the same with and without the list {list}, though other lists make a difference"),
            "every list somewhere in the tables",
            "look for names that are cut short, folded, or taken for a sub-address",
        )),
    }
}

fn is_address(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '*' | '=' | '@');
    key.chars().all(plain) && key.matches('@').count() == 1 && !key.ends_with('@')
}

/// `/^ants@lists\.example\.com$/`, with or without letters behind it, as regexp_table(5) and its like have it.
fn expression(key: &str) -> Option<Regex> {
    let (body, flags) = key.strip_prefix('/')?.rsplit_once('/')?;
    let plain = flags.chars().all(|flag| flag.is_ascii_alphabetic());
    plain.then(|| Regex::new(&format!("(?i){body}")).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_the_forms_of_several_mail_servers() {
        for key in ["ants@lists.example.com", "ants-bounces+*@a.example", "A.b_c=d@x"] {
            assert!(is_address(key), "{key}");
        }
        for key in ["ants", "@a.example@", "ants@", ".qmail-ants", "a b@x", "/^ants@x$/"] {
            assert!(!is_address(key), "{key}");
        }
        let one = expression(r"/^ants-bounces(\+.*)?@lists\.example\.com$/").expect("an expression");
        assert!(one.is_match("Ants-Bounces+x=y@lists.example.com"));
        assert!(!one.is_match("ants-bounces@listsxexample.com"));
        assert!(expression("ants").is_none() && expression("/(/").is_none());
    }

    #[test]
    fn decoys_are_nobodys() {
        let (lists, site) = (Lists::new(&[], &["a.b@lists.example.com", "axb@lists.example.com"]), lists::site());
        let truth = Truth::of(&lists, &site);
        let decoys = truth.decoys();
        assert!(decoys.contains(&"a.b@listsxexample.com".to_owned()));
        assert!(!decoys.contains(&"axb@lists.example.com".to_owned()), "that is a list");
    }
}
