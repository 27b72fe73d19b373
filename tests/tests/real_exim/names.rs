//! Names that mean something to file systems, patterns and Exim itself: Exim takes just the addresses of
//! lists, with each kind of table.

use super::site::{Site, machine};
use postrider_tests::{
    mta_box::EximLayout::Split,
    names::{self, Kind, Lists},
};
use std::{collections::BTreeSet, fmt::Write as _};

/// Enough for the whole collection.
const LISTS: usize = 80;
/// Addresses that one `exim -bt` is asked for.
const AT_ONCE: usize = 500;

/// Those of the addresses that Exim would give to Postrider.
fn taken(site: &Site<'_>, addresses: &[String]) -> BTreeSet<String> {
    let mut taken = BTreeSet::new();
    for some in addresses.chunks(AT_ONCE) {
        let asked: Vec<&str> = ["exim4", "-bt", "--"].into_iter().chain(some.iter().map(String::as_str)).collect();
        let output = site.machine.output(&asked).unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut address = "";
        for line in told.lines() {
            if line.trim_start().starts_with("router = postrider_") {
                taken.insert(address.to_owned());
            }
            address = line;
        }
    }
    taken
}

#[test]
fn exim_takes_just_the_addresses_of_lists() {
    let Some(machine) = machine("exim_takes_just_the_addresses_of_lists") else { return };
    let seed = names::seed();
    let lists = Lists::new(names::names(seed, LISTS));
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for (local, domain) in lists.names() {
        known.extend(lists.addresses(local, domain));
        let misses = lists.near_misses(local, domain).into_iter().filter(|miss| miss.kind != Kind::Routing);
        unknown.extend(misses.map(|miss| miss.address));
    }
    assert!(known.len() > 10 * LISTS / 2 && unknown.len() > 10 * LISTS, "{} {}", known.len(), unknown.len());

    let site = Site::installed(&machine, Split, "");
    let program = site.command(&[]).get_args().last().unwrap().to_str().unwrap().to_owned();
    let mut script = String::new();
    for (local, domain) in lists.names() {
        writeln!(script, "{program} create --quiet '{local}@{domain}'").unwrap();
    }
    machine.shell(&script);
    for settings in [
        "recipients: directory",
        "recipients: file",
        "recipients: file\nfile_type: cdb",
        "recipients: file\nfile_type: dbm",
    ] {
        site.set(settings);
        site.run(&["aliases"]);
        site.hook_up();
        let told = format!("POSTRIDER_SEED={seed}, {settings}");
        let of_known = taken(&site, &known);
        let missing: Vec<_> = known.iter().filter(|address| !of_known.contains(*address)).collect();
        assert!(missing.is_empty(), "{told}: not taken: {missing:?}");
        let of_unknown = taken(&site, &unknown);
        assert!(of_unknown.is_empty(), "{told}: taken: {of_unknown:?}");
    }
}
