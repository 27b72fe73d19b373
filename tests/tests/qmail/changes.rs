//! Lists and domains come and go while mail comes in.

use crate::site::Site;
use postrider_tests::{
    qmail_stand_in::{Fate, Report},
    set_on_drop::SetOnDrop,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

#[test]
fn a_new_list_takes_mail_from_the_moment_create_returns() {
    for recipients in ["default", "per-list"] {
        let site = Site::with_ants("", &format!("recipients: {recipients}\n"));
        let daemon = site.installation.serve();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let stop = SetOnDrop(&done);
            // Another list's mail is never lost on the way.
            let ants = scope.spawn(|| {
                let mut fates = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    fates.push(site.receive("ants@lists.example.com"));
                }
                fates
            });
            for number in 0..5 {
                let list = format!("bees{number}@lists.example.com");
                site.create(&list);
                for address in [&list, &list.replace('@', "-bounces+u=d@"), &list.replace('@', "-owner@")] {
                    let fate = site.receive(address);
                    assert!(
                        matches!(fate, Fate::Local(Report::Success(_) | Report::Deferral(_))),
                        "{address}: {fate:?}"
                    );
                }
                site.remove(&list);
                assert!(site.bounces(&list).contains("5.1.1"));
            }
            drop(stop);
            let fates = ants.join().unwrap();
            for fate in &fates {
                assert!(matches!(fate, Fate::Local(Report::Success(_) | Report::Deferral(_))), "{fate:?}");
            }
            assert!(fates.iter().any(|fate| matches!(fate, Fate::Local(Report::Success(_)))));
        });
        assert!(!site.is_sticky());
        daemon.stop();
    }
}

#[test]
fn a_new_domain_is_never_remote() {
    let site = Site::with_ants("", "recipients: per-list\n");
    let daemon = site.installation.serve();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = SetOnDrop(&done);
        let stranger = scope.spawn(|| {
            let mut fates = Vec::new();
            while !done.load(Ordering::Relaxed) {
                fates.push(site.receive("ants@new.example"));
            }
            fates
        });
        site.create("ants@new.example");
        site.is_delivered("ants@new.example");
        site.is_delivered("ants@lists.example.com");
        drop(stop);
        for fate in stranger.join().unwrap() {
            let as_wanted = matches!(fate, Fate::Refused | Fate::Local(Report::Success(_) | Report::Deferral(_)));
            assert!(as_wanted, "{fate:?}");
        }
    });
    site.remove("ants@new.example");
    site.is_delivered("ants@lists.example.com");
    assert!(site.bounces("ants@new.example").contains("5.1.1"));
    site.change(&["domain", "remove", "new.example"]);
    assert_eq!(site.receive("ants@new.example"), Fate::Refused);
    daemon.stop();
}

#[test]
fn files_of_others_are_left_alone_and_never_replaced() {
    let site = Site::with_ants("", "recipients: per-list\n");
    fs::write(site.home().join(".qmail-mine"), "|exit 100\n").unwrap();
    let error = site.installation.fails(3, &["create", "mine@lists.example.com"]);
    assert!(error.contains(".qmail-mine"), "{error}");
    assert_eq!(fs::read_to_string(site.home().join(".qmail-mine")).unwrap(), "|exit 100\n");
    assert!(!site.is_sticky());
    fs::remove_file(site.home().join(".qmail-mine")).unwrap();
    site.change(&["aliases"]);
    site.create("bees@lists.example.com");
    assert!(site.files().contains(&".qmail-bees".to_owned()));
}

#[test]
fn a_change_of_the_way_leaves_only_the_files_of_the_new_one() {
    let site = Site::with_ants("", "");
    assert_eq!(site.files(), [".qmail-default"]);
    let settings = fs::read_to_string(site.installation.path().join("qmail.cfg")).unwrap();
    site.installation.write("qmail.cfg", &format!("{settings}recipients: per-list\n"));
    site.change(&["aliases"]);
    assert_eq!(site.files(), [".qmail-ants", ".qmail-ants-default"]);
    site.installation.write("qmail.cfg", &settings);
    site.change(&["aliases"]);
    assert_eq!(site.files(), [".qmail-default"]);
}

#[test]
fn files_may_be_read_and_not_run() {
    let site = Site::with_ants("", "recipients: per-list\n");
    for name in site.files() {
        let mode = fs::metadata(site.home().join(&name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o644, "{name}");
    }
}

#[test]
fn lost_files_are_written_anew() {
    let site = Site::with_ants("", "");
    let daemon = site.installation.serve();
    fs::remove_file(site.home().join(".qmail-default")).unwrap();
    assert!(site.bounces("ants@lists.example.com").contains("(#5.1.1)"), "by its nature qmail bounces then");
    site.change(&["aliases"]);
    site.is_delivered("ants@lists.example.com");
    daemon.stop();
}
