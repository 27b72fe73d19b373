//! Tables that are missing, unreadable or old, and a program of the MTA that fails: mail for a list is put
//! off, never refused for good, and Postrider says what is wrong.

use super::Outcome;
use crate::mta::WithoutTables;
use crate::site::{ANTS, Site};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// Where tables are put aside.
const ASIDE: &str = "/root/aside";

pub fn check(site: &Site<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    let lists = site.lists();
    without_a_table(site, &mut outcome);
    with_an_unreadable_table(site, &mut outcome);
    with_old_tables(site);
    with_a_failing_program(site, &mut outcome);
    drop(lists);
    outcome
}

/// Each by itself, then all of them, each time with an MTA that is just being started.
fn without_a_table(site: &Site<'_>, outcome: &mut Outcome) {
    let tables = put_aside(site);
    for table in &tables {
        start_with(site, &|| drop(site.machine.run(&["rm", "-rf", table])));
        is_put_off(site, &format!("without {table}"), outcome);
    }
    start_with(site, &|| drop(site.machine.shell(&format!("rm -rf {}", tables.join(" ")))));
    is_put_off(site, "without any table", outcome);
    trouble_is_told(site, &tables);
    // What the check advises.
    site.run(&["aliases"]);
    is_mended(site);
}

fn with_an_unreadable_table(site: &Site<'_>, outcome: &mut Outcome) {
    for table in put_aside(site) {
        start_with(site, &|| site.mta.make_unreadable(site.machine, &table));
        is_put_off(site, &format!("with {table} unreadable"), outcome);
    }
    start_with(site, &|| ());
    is_mended(site);
}

/// Keeps a copy of the tables; returns their paths.
fn put_aside(site: &Site<'_>) -> Vec<String> {
    let tables = site.table_paths();
    assert!(!tables.is_empty(), "there are no tables like {:?}", site.mta.tables());
    site.machine.shell(&format!("rm -rf {ASIDE}; mkdir {ASIDE}; cp -a --parents {} {ASIDE}", tables.join(" ")));
    tables
}

/// Starts the MTA anew with the tables that were put aside, after `damage`.
fn start_with(site: &Site<'_>, damage: &dyn Fn()) {
    site.mta.stop(site.machine);
    for table in site.table_paths() {
        site.machine.run(&["rm", "-rf", &table]);
    }
    site.machine.shell(&format!("cp -a {ASIDE}/. /"));
    damage();
    site.start_mta();
}

/// Tables that are older than the MTA's start are still good.
fn with_old_tables(site: &Site<'_>) {
    site.mta.stop(site.machine);
    for table in site.table_paths() {
        site.machine.run(&["touch", "-d", "2 days ago", &table]);
    }
    site.start_mta();
    let code = site.rcpt(ANTS);
    assert!(code == 250, "old tables: {ANTS}: {code}");
    is_mended(site);
}

fn with_a_failing_program(site: &Site<'_>, outcome: &mut Outcome) {
    let setting = match site.mta.program_setting() {
        Ok(setting) => setting,
        Err(why) => return outcome.remark(format!("No program can fail: {why}")),
    };
    let broken = site.machine.shared().join("broken");
    fs::write(&broken, "#!/bin/sh\necho 'broken: no room for you' >&2\nexit 1\n").expect("written");
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).expect("mode");
    site.set_settings(&format!("{setting}: {}\n", broken.display()));
    let told = site.ends(3, &["create", "dogs@lists.example.com"]);
    for part in [broken.to_str().expect("UTF-8"), "no room for you", "postrider aliases"] {
        assert!(told.contains(part), "{part:?} is missing in: {told}");
    }
    assert_eq!(site.rcpt(ANTS), 250, "the lists that were there are still there");
    site.set_settings("");
    site.run(&["aliases"]);
    site.wait_for("dogs to be taken", || (site.rcpt("dogs@lists.example.com") == 250).then_some(()));
}

fn is_mended(site: &Site<'_>) {
    site.wait_for("the list to be taken again", || (site.rcpt(ANTS) == 250).then_some(()));
}

/// A known list gets 250 or 4xx: some tables are kept in memory, some are not needed for each address. Who
/// gets no reply at all tries again too.
fn is_put_off(site: &Site<'_>, state: &str, outcome: &mut Outcome) {
    let code = site.rcpt(ANTS);
    match site.mta.without_tables() {
        WithoutTables::Deferred => {
            assert!(code == 0 || code == 250 || (400..500).contains(&code), "{state}: {ANTS}: {code}");
        }
        WithoutTables::Bounced(why) => outcome.remark(format!("Without its tables mail for lists is bounced: {why}")),
    }
}

/// The check finds an error and names one of the tables that are gone.
fn trouble_is_told(site: &Site<'_>, gone: &[String]) {
    let told = site.ends(1, &["hookup", "--check"]);
    let stem = |path: &String| path.rsplit('/').next().and_then(|name| name.split('.').next()).map(str::to_owned);
    assert!(told.lines().any(|line| line.starts_with("error")), "the check finds nothing wrong: {told}");
    assert!(gone.iter().filter_map(stem).any(|name| told.contains(&name)), "the check names none of {gone:?}: {told}");
}
