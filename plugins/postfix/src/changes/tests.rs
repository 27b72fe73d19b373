//! Changes row by row come to the same as everything anew.

use super::*;
use crate::{
    domain_class::Classes,
    facts,
    settings::Config,
    table_type::TableType,
    testing::{site, TestRoster, TestSink},
};
use postrider_plugin_api::sdk::{DomainView, Facts, Settings};
use std::collections::BTreeMap;

/// Rows of all tables.
type Database = BTreeMap<(String, String), String>;

const DOMAINS: [(&str, &str); 5] =
    [("a.example", "v.example"), ("b.example", "v.example"), ("v.example", ""), ("own.example", ""), ("c.example", "")];
/// Names that get in each other's way.
const NAMES: [&str; 6] = ["foo", "foo-request", "foo-request-request", "bar", "foo-owner", "bounces"];

struct Site {
    domains: Vec<(&'static str, &'static str)>,
    lists: Vec<String>,
}

impl Site {
    fn roster(&self) -> TestRoster {
        let lists: Vec<&str> = self.lists.iter().map(String::as_str).collect();
        TestRoster::new(&self.domains, &lists)
    }

    fn plan(&self, change: Change<'_>) -> TestSink {
        let config = Config::parse(&Settings::default()).unwrap();
        let facts = Facts::from([("mydestination (expanded)".into(), "own.example".into())]);
        let classes = &Classes::seen(&config, &facts::instances(&config, &facts));
        let (roster, site) = (&self.roster(), &site());
        let source = Source { table_type: TableType::Sqlite, site, roster, classes };
        let mut sink = TestSink::default();
        if !write(source, "", change, &mut sink).unwrap() {
            tables::write(source, "", &mut sink).unwrap();
        }
        sink
    }
}

fn apply(database: &mut Database, plan: TestSink) {
    for (table, key) in plan.absent {
        assert!(
            !plan.tables.iter().any(|(one, rows)| one.path == table && rows.iter().any(|row| row.0 == key)),
            "{key}"
        );
        database.remove(&(table, key));
    }
    for (table, rows) in plan.tables {
        database.extend(rows.into_iter().map(|(key, value, _)| ((table.path.clone(), key), value)));
    }
}

/// Numbers that look random and are the same every time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

#[test]
fn one_change_after_another_comes_to_the_same_as_everything_anew() {
    for seed in 1..=20 {
        let mut numbers = Numbers(seed);
        let mut site = Site { domains: Vec::new(), lists: Vec::new() };
        let mut database = Database::new();
        for step in 0..60 {
            let (domain, alias) = DOMAINS[numbers.below(DOMAINS.len())];
            let view = DomainView::new(domain, alias);
            let local = NAMES[numbers.below(NAMES.len())];
            let (address, list_id) = (format!("{local}@{domain}"), format!("{local}.{domain}"));
            let list = ListView::new(local, view, &list_id);
            let is_used = site.lists.iter().any(|list| list.ends_with(&format!("@{domain}")));
            let known = site.domains.contains(&(domain, alias));
            let change = if !known {
                site.domains.push((domain, alias));
                Change::DomainAdded(view)
            } else if !is_used && numbers.below(4) == 0 {
                site.domains.retain(|one| one.0 != domain);
                Change::DomainRemoved(view)
            } else if let Some(place) = site.lists.iter().position(|list| *list == address) {
                site.lists.remove(place);
                Change::ListRemoved(list)
            } else {
                site.lists.push(address);
                Change::ListAdded(list)
            };
            apply(&mut database, site.plan(change));
            let mut whole = Database::new();
            apply(&mut whole, site.plan(Change::Everything));
            assert_eq!(database, whole, "seed {seed}, step {step}: {change:?}");
        }
        assert!(database.len() > 20);
    }
}

#[test]
fn a_change_does_not_look_at_the_other_lists() {
    let mut site = Site { domains: vec![("c.example", "")], lists: Vec::new() };
    let list = ListView::new("l1", DomainView::new("c.example", ""), "l1.c.example");
    let size = |site: &Site| {
        let plan = site.plan(Change::ListAdded(list));
        plan.tables.iter().map(|(_, rows)| rows.len()).sum::<usize>() + plan.absent.len()
    };
    site.lists.push("l1@c.example".into());
    let alone = size(&site);
    site.lists.extend((2..500).map(|number| format!("l{number}@c.example")));
    assert_eq!(size(&site), alone);
    assert_eq!(alone, 2 + 2 * 9, "its domain in two tables, its addresses in two");
}
