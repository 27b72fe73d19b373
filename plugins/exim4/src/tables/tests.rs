//! The tables, and that a single change leaves what a plan of everything would.

use super::*;
use crate::testing::{site, Contents, TestRoster, TestSink};
use postrider_plugin_api::sdk::{Facts, Settings};

fn config(pairs: &[(&str, &str)]) -> Config {
    Config::parse(&pairs.iter().copied().collect::<Settings>()).unwrap()
}

fn planned(config: &Config, roster: &TestRoster, change: Change<'_>) -> TestSink {
    let (site, facts, mut sink) = (site(), Facts::new(), TestSink::default());
    write(config, Context::new(&site, &facts, roster), change, &mut sink).unwrap();
    assert!(sink.files.is_empty() && sink.removed.is_empty() && sink.guards.is_empty(), "Exim needs tables only");
    sink
}

fn whole(config: &Config, roster: &TestRoster) -> Contents {
    planned(config, roster, Change::Everything).applied_to(Contents::new())
}

const DOMAIN_NAMES: &[(&str, &str)] = &[("lists.example.com", ""), ("real.example", "virt.example")];
const LIST_NAMES: &[&str] =
    &["ants@lists.example.com", "ants-request@lists.example.com", "crew@real.example", "crew@lists.example.com"];

#[test]
fn a_list_has_one_file_in_each_of_its_domains() {
    let sink = planned(&config(&[]), &TestRoster::new(DOMAIN_NAMES, LIST_NAMES), Change::Everything);
    let keys: Vec<&str> = sink.rows_of(LISTS).keys().copied().collect();
    assert_eq!(
        keys,
        [
            "ants-request@lists.example.com",
            "ants@lists.example.com",
            "crew@lists.example.com",
            "crew@real.example",
            "crew@virt.example"
        ]
    );
    assert_eq!(sink.rows_of(LISTS)["crew@virt.example"], "crew.real.example");
    let domains: Vec<&str> = sink.rows_of(DOMAINS).keys().copied().collect();
    assert_eq!(domains, ["lists.example.com", "real.example", "virt.example"]);
    // Exim must never know a domain before its lists.
    let order: Vec<&str> = sink.tables.iter().map(|(table, _)| table.path.as_str()).collect();
    assert_eq!(order, [LISTS, DOMAINS]);
}

#[test]
fn mailboxes_on_another_host_are_left_alone() {
    let roster = TestRoster::new(DOMAIN_NAMES, LIST_NAMES);
    for pairs in [[("real_domains", "no")], [("recipients", "callout")]] {
        let sink = planned(&config(&pairs), &roster, Change::Everything);
        assert!(!sink.rows_of(DOMAINS).contains_key("real.example"), "{pairs:?}");
        assert!(sink.rows_of(DOMAINS).contains_key("virt.example"), "{pairs:?}");
    }
    let sink = planned(&config(&[("real_domains", "no")]), &roster, Change::Everything);
    assert!(!sink.rows_of(LISTS).contains_key("crew@real.example"));
}

#[test]
fn files_are_compiled_where_exim_needs_it() {
    let roster = TestRoster::new(DOMAIN_NAMES, LIST_NAMES);
    let commands = |kind: &str| {
        let sink = planned(&config(&[("recipients", "file"), ("file_type", kind)]), &roster, Change::Everything);
        assert_eq!(sink.rows_of(LIST_TABLE).len(), 5);
        (sink.tables[0].0.format.clone(), sink.commands.iter().map(|one| one.argv.join(" ")).collect::<Vec<_>>())
    };
    assert_eq!(commands("lsearch"), (TableFormat::Text, vec![]));
    let compiled = |suffix: &str| TableFormat::CompiledRename { suffix: suffix.into() };
    assert_eq!(commands("cdb"), (compiled(".cdb"), vec!["/usr/bin/cdb -c -m {file}.cdb {file}".into()]));
    assert_eq!(commands("dbm"), (compiled(".dbm"), vec!["/usr/sbin/exim_dbmbuild {file} {file}.dbm".into()]));
}

/// Domains whose names and alias domains meet in every way.
const MEETING: [(&str, &str); 4] =
    [("a.example", ""), ("b.example", "x.example"), ("c.example", "x.example"), ("d.example", "a.example")];

/// Every choice of some lists in them.
fn choices() -> Vec<Vec<&'static str>> {
    let lists = ["ants@a.example", "ants@b.example", "ants@c.example", "ants@d.example", "ants-request@c.example"];
    let chosen = |choice: usize| (0..lists.len()).filter(move |n| choice & (1 << n) != 0).map(|n| lists[n]).collect();
    (0..1_usize << lists.len()).map(chosen).collect()
}

#[test]
fn a_single_change_leaves_what_a_plan_of_everything_would() {
    for pairs in [vec![], vec![("real_domains", "no")], vec![("recipients", "file")], vec![("recipients", "callout")]] {
        let config = config(&pairs);
        for lists in choices() {
            let with = TestRoster::new(&MEETING, &lists);
            for gone in &lists {
                let rest: Vec<&str> = lists.iter().copied().filter(|list| list != gone).collect();
                let without = TestRoster::new(&MEETING, &rest);
                let (local, name) = gone.split_once('@').unwrap();
                let alias = MEETING.iter().find(|domain| domain.0 == name).unwrap().1;
                let list_id = format!("{local}.{name}");
                let list = ListView::new(local, DomainView::new(name, alias), &list_id);
                let added = planned(&config, &with, Change::ListAdded(list)).applied_to(whole(&config, &without));
                assert_eq!(added, whole(&config, &with), "{pairs:?}: {gone} added to {rest:?}");
                let removed = planned(&config, &without, Change::ListRemoved(list)).applied_to(whole(&config, &with));
                assert_eq!(removed, whole(&config, &without), "{pairs:?}: {gone} removed from {lists:?}");
            }
        }
    }
}

#[test]
fn the_same_holds_for_domains() {
    for pairs in [vec![], vec![("real_domains", "no")], vec![("recipients", "callout")]] {
        let config = config(&pairs);
        for (number, &(name, alias)) in MEETING.iter().enumerate() {
            let mut rest = MEETING.to_vec();
            rest.remove(number);
            let (with, without) = (TestRoster::new(&MEETING, &[]), TestRoster::new(&rest, &[]));
            let domain = DomainView::new(name, alias);
            let added = planned(&config, &with, Change::DomainAdded(domain)).applied_to(whole(&config, &without));
            assert_eq!(added, whole(&config, &with), "{pairs:?}: {name} added");
            let removed = planned(&config, &without, Change::DomainRemoved(domain)).applied_to(whole(&config, &with));
            assert_eq!(removed, whole(&config, &without), "{pairs:?}: {name} removed");
        }
    }
}

#[test]
fn a_new_list_touches_its_own_rows_only() {
    let sink = planned(
        &config(&[]),
        &TestRoster::new(DOMAIN_NAMES, LIST_NAMES),
        Change::ListAdded(ListView::new("ants", DomainView::new("lists.example.com", ""), "ants.lists.example.com")),
    );
    assert!(sink.tables.iter().all(|(table, rows)| table.extent == Extent::Changes && rows.len() == 1));
}

#[test]
fn what_is_no_file_name_is_refused() {
    for (local, domain) in
        [("../ants", "a.example"), ("", "a.example"), ("Ants", "a.example"), ("a b", "a.example"), ("a:", "a.example")]
    {
        assert!(key(local, domain).is_err(), "{local:?}");
    }
    for domain in ["", "..", ".example", "a/b", "a example", "ä.example", "A.example"] {
        assert!(check_domain(domain).is_err() && key("ants", domain).is_err(), "{domain:?}");
    }
    assert_eq!(key("a.b-c_0", "xn--bcher-kva.example").unwrap(), "a.b-c_0@xn--bcher-kva.example");
}
