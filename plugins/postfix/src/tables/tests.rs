//! The tables against those of a real Mailman, and their own rules.

use super::*;
use crate::settings::Config;
use crate::testing::{site, TestRoster, TestSink};
use postrider_plugin_api::sdk::{Facts, LmtpAddress, Settings};

fn golden_roster() -> TestRoster {
    TestRoster::new(
        &[
            ("example.com", ""),
            ("lists.example.org", ""),
            ("real.example", "virt.example"),
            ("sub-domain.example.net", ""),
        ],
        &[
            "announce@lists.example.org",
            "dev.team@lists.example.org",
            "foo@lists.example.org",
            "foo-request@lists.example.org",
            "a1@example.com",
            "2024@example.com",
            "news-letter@example.com",
            "under_score@example.com",
            "mixedcase@example.com",
            "x.y-z_0@sub-domain.example.net",
            "staff@real.example",
            "all.hands@real.example",
        ],
    )
}

fn planned(table_type: TableType, site: &Site, roster: &TestRoster) -> TestSink {
    planned_beside(table_type, site, roster, "")
}

/// With these domains in `mydestination`.
fn planned_beside(table_type: TableType, site: &Site, roster: &TestRoster, local: &str) -> TestSink {
    let mut sink = TestSink::default();
    write(Source { table_type, site, roster, classes: &classes(local) }, "", &mut sink).unwrap();
    sink
}

fn classes(local: &str) -> Classes {
    let config = Config::parse(&Settings::default()).unwrap();
    let facts = Facts::from([("mydestination (expanded)".into(), local.into())]);
    Classes::seen(&config, &facts::instances(&config, &facts))
}

/// Mailman writes the key of a list called `foo-request` a second time as sub-address of `foo`;
/// that line, which comes first, is left out here.
fn without_repeated_key(golden: &str) -> String {
    let lines: Vec<&str> = golden.lines().collect();
    let key = |line: &str| line.split(' ').next().unwrap_or_default().to_string();
    let repeated = |index: usize| lines[index + 1..].iter().any(|later| key(later) == key(lines[index]));
    let kept = (0..lines.len()).filter(|index| !repeated(*index));
    kept.map(|index| format!("{}\n", lines[index])).collect()
}

#[test]
fn hash_tables_are_mailmans() {
    let sink = planned(TableType::Hash, &site(), &golden_roster());
    let golden = include_str!("../../tests/golden/hash/postfix_lmtp");
    assert_eq!(golden.lines().count(), without_repeated_key(golden).lines().count() + 1);
    assert_eq!(sink.text(LMTP), without_repeated_key(golden));
    assert_eq!(sink.text(DOMAINS), include_str!("../../tests/golden/hash/postfix_domains"));
    assert_eq!(sink.text(VMAP), include_str!("../../tests/golden/hash/postfix_vmap"));
}

#[test]
fn regexp_tables_are_mailmans() {
    let sink = planned(TableType::Regexp, &site(), &golden_roster());
    let golden = include_str!("../../tests/golden/regex/postfix_lmtp");
    assert_eq!(sink.text(LMTP), without_repeated_key(golden));
    assert_eq!(sink.text(DOMAINS), include_str!("../../tests/golden/regex/postfix_domains"));
    assert_eq!(sink.text(VMAP), include_str!("../../tests/golden/regex/postfix_vmap"));
}

#[test]
fn the_other_text_types_have_the_same_rows() {
    let hash = planned(TableType::Hash, &site(), &golden_roster());
    for table_type in [TableType::Lmdb, TableType::Texthash, TableType::Sqlite] {
        let other = planned(table_type, &site(), &golden_roster());
        for (name, _) in all(table_type) {
            assert_eq!(other.text(&table_type.file(name)), hash.text(name), "{table_type:?} {name}");
        }
    }
}

#[test]
fn transport_has_one_line_a_domain_and_the_alias_domain_is_what_is_routed() {
    let sink = planned(TableType::Hash, &site(), &golden_roster());
    let expected = "example.com lmtp:[127.0.0.1]:8024\nlists.example.org lmtp:[127.0.0.1]:8024\n\
                    virt.example lmtp:[127.0.0.1]:8024\nsub-domain.example.net lmtp:[127.0.0.1]:8024\n";
    assert_eq!(sink.text(TRANSPORT), expected);
    let sink = planned(TableType::Regexp, &site(), &golden_roster());
    assert!(sink.text(TRANSPORT).starts_with("/^.*@example\\.com$/ lmtp:[127.0.0.1]:8024\n"));
}

#[test]
fn recipients_are_the_addresses_that_mailman_routes() {
    for table_type in [TableType::Hash, TableType::Regexp] {
        let sink = planned(table_type, &site(), &golden_roster());
        let keys = |name| -> Vec<String> {
            let (_, rows) = sink.tables.iter().find(|(table, _)| table.path == name).unwrap();
            rows.iter().map(|(key, _, _)| key.clone()).collect()
        };
        assert_eq!(keys(RECIPIENTS), keys(LMTP));
    }
}

#[test]
fn expressions_for_aliases_carry_the_detail_over() {
    let sink = planned(TableType::Regexp, &site(), &golden_roster());
    let line = r"/^staff-bounces(\+.*)?@real\.example$/     staff-bounces${1}@virt.example";
    assert!(sink.text(ALIAS).lines().any(|seen| seen == line), "{}", sink.text(ALIAS));
    assert!(sink.text(ALIAS).lines().any(|seen| seen.ends_with(" staff-owner@virt.example")));
}

#[test]
fn routing_is_planned_before_domains_and_acceptance_last() {
    let sink = planned(TableType::Regexp, &site(), &golden_roster());
    let roles: Vec<_> = sink.tables.iter().map(|(table, _)| table.role).collect();
    let mut sorted = roles.clone();
    sorted.sort();
    assert_eq!(roles, sorted);
    assert_eq!(roles.last(), Some(&TableRole::Acceptance));
}

#[test]
fn no_lists_make_empty_tables_because_a_missing_one_stops_postfix() {
    let sink = planned(TableType::Hash, &site(), &TestRoster::new(&[], &[]));
    assert_eq!(sink.tables.len(), 5);
    assert!(sink.tables.iter().all(|(_, rows)| rows.is_empty()));
}

#[test]
fn two_domains_with_one_alias_domain_repeat_no_key() {
    let roster = TestRoster::new(
        &[("a.example", "v.example"), ("b.example", "v.example"), ("v.example", "")],
        &["foo@a.example", "foo@b.example", "foo-request@b.example", "foo@v.example"],
    );
    // The sink refuses repeated keys.
    let sink = planned(TableType::Hash, &site(), &roster);
    assert_eq!(sink.text(TRANSPORT), "v.example lmtp:[127.0.0.1]:8024\n");
    assert_eq!(sink.text(LMTP).lines().count(), 8 + 9);
}

#[test]
fn a_site_without_delimiter_and_with_other_subaddresses_is_written_as_it_is() {
    let mut site = site();
    site.delimiter = String::new();
    site.subaddresses.truncate(1);
    site.lmtp = LmtpAddress::unix("/run/postrider/lmtp");
    let sink = planned(TableType::Regexp, &site, &TestRoster::new(&[("e.org", "")], &["a@e.org"]));
    assert_eq!(
        sink.text(LMTP),
        "/^a@e\\.org$/           lmtp:unix:/run/postrider/lmtp\n/^a-bounces@e\\.org$/   lmtp:unix:/run/postrider/lmtp\n"
    );
}

#[test]
fn sqlite_tables_come_with_the_file_that_main_cf_names() {
    let sink = planned(TableType::Sqlite, &site(), &golden_roster());
    assert_eq!(
        sink.files["postfix_recipients.cf"],
        "dbpath = /var/lib/postrider/data/postfix_recipients.sqlite\nquery = SELECT value FROM map WHERE key = '%s'\n"
    );
    assert_eq!(
        TableType::Sqlite.reference("/var/lib/postrider/data", RECIPIENTS),
        "sqlite:/var/lib/postrider/data/postfix_recipients.cf"
    );
}

#[test]
fn many_lists_are_all_written() {
    let names: Vec<String> = (0..1000).map(|number| format!("l{number:04}@e.org")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut sink = Counter(0);
    let roster = &TestRoster::new(&[("e.org", "")], &names);
    let source = Source { table_type: TableType::Hash, site: &site(), roster, classes: &classes("") };
    write(source, "", &mut sink).unwrap();
    assert_eq!(sink.0, 9000 + 9000 + 1 + 1);
}

#[test]
fn a_list_name_that_no_table_can_hold_fails_the_plan() {
    let roster = TestRoster::new(&[("e.org", "")], &["a b@e.org"]);
    let error = Snapshot::take(&site(), &roster).unwrap_err().to_string();
    assert!(error.contains("\"a b\""), "{error}");
}

#[test]
fn a_domain_of_postfixs_own_is_in_no_table_of_domains() {
    let roster = TestRoster::new(&[("e.org", ""), ("lists.org", "")], &["a@e.org", "b@lists.org"]);
    for table_type in [TableType::Hash, TableType::Regexp] {
        let sink = planned_beside(table_type, &site(), &roster, "m.example, E.ORG");
        for table in [TRANSPORT, DOMAINS] {
            assert!(
                !sink.text(table).contains("e.org") && !sink.text(table).contains(r"e\.org"),
                "{}",
                sink.text(table)
            );
            assert_eq!(sink.text(table).lines().count(), 1);
        }
        for table in [LMTP, RECIPIENTS] {
            assert_eq!(sink.text(table).lines().count(), 18, "{}", sink.text(table));
        }
    }
}

#[test]
fn a_socket_in_the_queue_directory_is_found_in_a_chroot_too() {
    let mut site = site();
    site.lmtp = LmtpAddress::unix("/var/spool/postfix/postrider/lmtp");
    let roster = &TestRoster::new(&[("e.org", "")], &[]);
    let value = |queue_directory: &str| {
        let mut sink = TestSink::default();
        let source = Source { table_type: TableType::Hash, site: &site, roster, classes: &classes("") };
        write(source, queue_directory, &mut sink).unwrap();
        sink.text(TRANSPORT)
    };
    assert_eq!(value("/var/spool/postfix/"), "e.org lmtp:unix:postrider/lmtp\n");
    for elsewhere in ["", "/var/spool/post", "/var/spool/postfix/postrider/lmtp"] {
        assert_eq!(value(elsewhere), "e.org lmtp:unix:/var/spool/postfix/postrider/lmtp\n", "{elsewhere}");
    }
}

#[test]
fn what_another_type_left_behind_goes_once_postfix_does_not_name_it() {
    let removed = |table_type, main_cf: &[(&str, &str)]| {
        let config = Config::parse(&Settings::default()).unwrap();
        let facts: Facts = main_cf.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let mut sink = TestSink::default();
        remove_other_types(table_type, &site(), &facts::instances(&config, &facts), &mut sink).unwrap();
        sink.removed
    };
    let gone = removed(TableType::Lmdb, &[("transport_maps", "lmdb:/var/lib/postrider/data/postfix_transport")]);
    for file in ["postfix_transport.db", "postfix_recipients.sqlite", "postfix_recipients.cf", "postfix_alias"] {
        assert!(gone.iter().any(|name| name == file), "{file}: {gone:?}");
    }
    for file in ["postfix_transport", "postfix_transport.lmdb"] {
        assert!(!gone.iter().any(|name| name == file), "{file}: {gone:?}");
    }
    let still = [("transport_maps", "proxy:hash:/var/lib/postrider/data/postfix_transport")];
    let gone = removed(TableType::Sqlite, &still);
    assert!(!gone.iter().any(|name| name == "postfix_transport" || name == "postfix_transport.db"), "{gone:?}");
    assert!(gone.iter().any(|name| name == "postfix_domains.db"), "{gone:?}");
    assert_eq!(removed(TableType::Sqlite, &[]), [""; 0], "nobody knows what main.cf names");
}

struct Counter(usize);

impl PlanSink for Counter {
    fn table(&mut self, _: &Table) -> Result<()> {
        Ok(())
    }
    fn rows(&mut self, rows: &[Row<'_>]) -> Result<()> {
        self.0 += rows.len();
        Ok(())
    }
    fn absent(&mut self, keys: &[&str]) -> Result<()> {
        unreachable!("{:?} in a plan of everything", keys)
    }

    fn guard(&mut self, guard: &postrider_plugin_api::sdk::Guard) -> Result<()> {
        unreachable!("{:?} for Postfix", guard)
    }

    fn file(&mut self, _: &str, _: u32, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn remove(&mut self, _: &str) -> Result<()> {
        Ok(())
    }
    fn command(&mut self, _: &postrider_plugin_api::sdk::Command) -> Result<()> {
        Ok(())
    }
}
