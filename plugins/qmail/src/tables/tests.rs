//! Plans of `.qmail` files.

use super::*;
use crate::testing::{site, TestRoster, TestSink};
use postrider_plugin_api::sdk::{DomainView, Facts};

const COMMAND: &str = "|/usr/bin/qmail-lmtp --host 127.0.0.1 --port 8024";
const A: DomainView<'static> = DomainView::new("a.example", "");

fn config(recipients: &str) -> Config {
    Config::parse(&[("recipients", recipients)].iter().copied().collect()).unwrap()
}

fn planned(recipients: &str, lists: &[&str], change: Change<'_>) -> TestSink {
    let roster = TestRoster::new(&[("a.example", ""), ("b.example", "")], lists);
    let mut sink = TestSink::default();
    plan(&config(recipients), Context::new(&site(), &Facts::new(), &roster), change, &mut sink).unwrap();
    assert!(sink.files.is_empty() && sink.removed.is_empty(), "files that are no tables are not planned for qmail");
    sink
}

/// Names of files that must not be there.
fn absent(sink: &TestSink) -> Vec<&str> {
    sink.absent.iter().map(|(_, key)| key.as_str()).collect()
}

fn added(local: &str) -> Change<'_> {
    Change::ListAdded(ListView::new(local, A, "x"))
}

fn removed(local: &str) -> Change<'_> {
    Change::ListRemoved(ListView::new(local, A, "x"))
}

fn keys(sink: &TestSink) -> Vec<&str> {
    sink.tables.iter().flat_map(|(_, rows)| rows).map(|(key, _, _)| key.as_str()).collect()
}

#[test]
fn one_file_for_all_needs_nothing_when_lists_change() {
    let sink = planned("default", &["ants@a.example"], Change::Everything);
    assert_eq!(sink.tables.len(), 1);
    let (table, rows) = &sink.tables[0];
    assert_eq!((table.path.as_str(), table.role, table.extent), ("qmail", TableRole::Routing, Extent::Whole));
    assert_eq!(table.format, TableFormat::Directory { mark: dot_qmail::MARK.into() });
    assert_eq!(*rows, [(".qmail-default".to_string(), COMMAND.to_string(), 0)]);
    assert_eq!(sink.guards, [Guard::new("qmail", 0o1000)]);
    for change in [added("bees"), removed("bees"), Change::DomainAdded(A), Change::DomainRemoved(A)] {
        let sink = planned("default", &["ants@a.example"], change);
        assert!(sink.tables.is_empty() && sink.guards.is_empty(), "{:?}", change);
    }
}

#[test]
fn the_bare_user_keeps_the_mail_of_the_machine() {
    for recipients in ["default", "per-list"] {
        let sink = planned(recipients, &["ants@a.example"], Change::Everything);
        assert!(!keys(&sink).contains(&".qmail"), "cron writes to the user, and that is no list");
    }
}

#[test]
fn every_list_has_two_files_and_no_file_comes_twice() {
    let lists = ["ants@a.example", "ants@b.example", "ants-default@a.example", "dev.team@b.example"];
    let sink = planned("per-list", &lists, Change::Everything);
    assert_eq!(
        keys(&sink),
        [
            ".qmail-ants",
            ".qmail-ants-default",
            ".qmail-ants-default-default",
            ".qmail-dev:team",
            ".qmail-dev:team-default"
        ]
    );
    assert!(sink.tables[0].1.iter().all(|(_, value, _)| value == COMMAND));
}

#[test]
fn a_new_list_brings_its_files_and_touches_no_other() {
    let sink = planned("per-list", &["ants@a.example", "bees@a.example"], added("ants"));
    assert_eq!(sink.tables[0].0.extent, Extent::Changes);
    assert_eq!(keys(&sink), [".qmail-ants", ".qmail-ants-default"]);
    assert!(sink.absent.is_empty());
    assert_eq!(sink.guards.len(), 1);
}

#[test]
fn a_removed_list_takes_along_only_what_no_other_list_needs() {
    let gone = planned("per-list", &["bees@a.example"], removed("ants"));
    assert_eq!((keys(&gone), absent(&gone)), (vec![], vec![".qmail-ants", ".qmail-ants-default"]));

    let same_name_elsewhere = planned("per-list", &["ants@b.example"], removed("ants"));
    assert_eq!(keys(&same_name_elsewhere), [".qmail-ants", ".qmail-ants-default"]);
    assert!(same_name_elsewhere.absent.is_empty());

    let called_default = planned("per-list", &["ants-default@b.example"], removed("ants"));
    assert_eq!(keys(&called_default), [".qmail-ants-default"]);
    assert_eq!(absent(&called_default), [".qmail-ants"]);

    let its_base_stays = planned("per-list", &["ants@b.example"], removed("ants-default"));
    assert_eq!(keys(&its_base_stays), [".qmail-ants-default"]);
    assert_eq!(absent(&its_base_stays), [".qmail-ants-default-default"]);
}

#[test]
fn a_list_called_default_has_the_file_for_all_and_gives_it_back() {
    let sink = planned("per-list", &["default@a.example"], Change::Everything);
    assert_eq!(keys(&sink), [".qmail-default", ".qmail-default-default"]);
    assert_eq!(absent(&planned("per-list", &[], removed("default"))), [".qmail-default", ".qmail-default-default"]);
}

#[test]
fn single_changes_come_to_what_a_plan_of_everything_says() {
    // Every order of coming and going of lists whose files overlap.
    let names = ["ants@a.example", "ants@b.example", "ants-default@a.example", "default@a.example", "x-@b.example"];
    for present in 0_u32..1 << names.len() {
        for (number, name) in names.iter().enumerate() {
            let lists = |mask: u32| -> Vec<&str> {
                names.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, name)| *name).collect()
            };
            let all = |mask: u32| -> BTreeSet<String> {
                keys(&planned("per-list", &lists(mask), Change::Everything)).into_iter().map(String::from).collect()
            };
            let after = present ^ 1 << number;
            let (local, domain) = name.split_once('@').unwrap();
            let list = ListView::new(local, DomainView::new(domain, ""), "x");
            let change = if after > present { Change::ListAdded(list) } else { Change::ListRemoved(list) };
            let sink = planned("per-list", &lists(after), change);
            let mut files = all(present);
            files.extend(keys(&sink).into_iter().map(String::from));
            files.retain(|file| !absent(&sink).contains(&file.as_str()));
            assert_eq!(files, all(after), "{:?}", change);
        }
    }
}

#[test]
fn a_home_of_the_sites_own_is_guarded_there() {
    let config = Config::parse(&[("home", "/home/lists")].iter().copied().collect()).unwrap();
    let mut sink = TestSink::default();
    let roster = TestRoster::new(&[], &[]);
    plan(&config, Context::new(&site(), &Facts::new(), &roster), Change::Everything, &mut sink).unwrap();
    assert_eq!(sink.tables[0].0.path, "/home/lists");
    assert_eq!(sink.guards[0].path, "/home/lists");
}
