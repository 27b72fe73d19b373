//! Lists with nasty names: exactly their addresses come through.

use crate::site::Site;
use postrider_tests::{
    names::{self, Kind, Lists},
    qmail_stand_in::{Fate, Report},
};
use std::collections::BTreeSet;

/// So many lists at most: every one is created by a command of its own.
const LISTS: usize = 30;

/// The files that dot-qmail(5) wants for these lists, written down anew.
fn files_for<'a>(lists: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut files = BTreeSet::new();
    for (local, _) in lists {
        let name = local.replace('.', ":");
        files.insert(format!(".qmail-{name}"));
        files.insert(format!(".qmail-{name}-default"));
    }
    files.into_iter().collect()
}

#[test]
fn per_list_every_address_has_a_file_and_every_file_has_a_list() {
    let seed = names::seed();
    let names = names::names(seed, LISTS);
    // What qmail finds is the question here, not what Postrider says to it.
    let site = Site::new("", "recipients: per-list\nlmtp_command: /bin/true\n");
    site.hook_up();
    for (local, domain) in &names {
        site.create(&format!("{local}@{domain}"));
    }
    let mut left = Lists::new(names.clone());
    assert_eq!(site.files(), files_for(left.names()), "seed {seed}");
    for (local, domain) in left.names() {
        for address in left.addresses(local, domain) {
            let fate = site.receive(&address);
            assert!(matches!(fate, Fate::Local(Report::Success(_))), "seed {seed}: {address}: {fate:?}");
        }
    }
    for (number, (local, domain)) in names.iter().enumerate() {
        site.remove(&format!("{local}@{domain}"));
        left = Lists::new(names[number + 1..].to_vec());
        assert_eq!(site.files(), files_for(left.names()), "seed {seed}: after {local}@{domain}");
    }
}

#[test]
fn what_only_looks_like_an_address_of_a_list_is_bounced() {
    let seed = names::seed();
    let lists = Lists::new(names::names(seed, 8));
    let site = Site::new("", "");
    site.hook_up();
    for (local, domain) in lists.names() {
        site.create(&format!("{local}@{domain}"));
    }
    let daemon = site.installation.serve();
    for (local, domain) in lists.names() {
        for address in lists.addresses(local, domain) {
            let fate = site.receive(&address);
            assert!(matches!(fate, Fate::Local(Report::Success(_))), "seed {seed}: {address}: {fate:?}");
        }
        // Some of each kind; every one runs a shell and a program.
        // Details that belong nowhere are for Postrider to judge, which takes them as Mailman does.
        let misses = lists.near_misses(local, domain);
        for miss in misses.iter().filter(|miss| miss.kind != Kind::Detail).step_by(7) {
            let fate = site.receive(&miss.address);
            let refused = matches!(fate, Fate::Refused | Fate::Local(Report::Failure(_)));
            assert!(refused, "seed {seed}: {miss:?}: {fate:?}");
        }
    }
    daemon.stop();
}
