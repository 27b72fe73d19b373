//! Bits of a directory while its files change.

use super::{Lab, Options, apply, mode, required};
use crate::hookup::steps::Step;
use crate::hookup::testing::{directory, marked_directory, roster};
use postrider_plugin_api::sdk::Guard;
use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;

#[test]
fn guards_are_set_while_files_change_and_only_then() {
    for fails in [false, true] {
        let lab = Lab::new(marked_directory());
        let home = lab.tables().join("accepted");
        fs::create_dir_all(&home).expect("made");
        fs::set_permissions(&home, Permissions::from_mode(0o2755)).expect("mode");
        lab.set(|setup| setup.guards = vec![Guard::new("accepted", 0o3000)]);
        if fails {
            let argv =
                lab.script(&format!("[ -e {0}/once ] || {{ touch {0}/once; exit 1; }}", lab.dir.path().display()));
            lab.set(|setup| setup.activate = Some(required(argv, &["accepted"])));
        }
        let seen = RefCell::new(Vec::new());
        let observer = |step: Step<'_>| {
            if ["published", "staged", "brought back"].contains(&step.what) {
                seen.borrow_mut().push((step.what, mode(&home)));
            }
            ControlFlow::Continue(())
        };
        let options = Options { observer: Some(&observer), ..Options::default() };
        let result = lab.hookup.apply(&roster(&["ants@example.com"]), options);
        assert_eq!(result.is_err(), fails);
        for (what, mode) in seen.borrow().iter() {
            assert_eq!(*mode, if *what == "staged" { 0o2755 } else { 0o3755 }, "{what}");
        }
        assert!(seen.borrow().iter().any(|(what, _)| *what == if fails { "brought back" } else { "published" }));
        assert_eq!(mode(&home), 0o2755);
    }
}

#[test]
fn a_guard_of_a_killed_run_is_cleared_by_the_next_whatever_its_plan() {
    for at in 1..200 {
        let lab = Lab::new(marked_directory());
        let home = lab.tables().join("accepted");
        fs::create_dir_all(&home).expect("made");
        lab.set(|setup| setup.guards = vec![Guard::new("accepted", 0o1000)]);
        lab.hookup.stop_at.store(at, Ordering::Relaxed);
        let killed = apply(&lab, &["ants@example.com"]).is_err();
        lab.hookup.stop_at.store(0, Ordering::Relaxed);
        if at % 2 == 0 {
            lab.set(|setup| setup.guards.clear());
        }
        apply(&lab, if at % 3 == 0 { &[] } else { &["ants@example.com"] }).expect("applied");
        assert_eq!(mode(&home) & 0o7000, 0, "step {at}");
        if !killed {
            assert!(at > 20, "the steps were not seen");
            return;
        }
    }
    panic!("a publication has fewer steps");
}

#[test]
fn a_guard_that_cannot_be_set_stops_everything_before_it_begins() {
    let lab = Lab::new(directory());
    let outside = lab.outside();
    fs::create_dir(&outside).expect("made");
    let path = format!("{}/accepted", outside.display());
    lab.set(|setup| {
        setup.prefix = format!("{}/", outside.display());
        setup.guards = vec![Guard::new(path.clone(), 0o1000)];
    });
    let error = apply(&lab, &["ants@example.com"]).expect_err("no such directory").to_string();
    assert!(error.contains(&path) && error.contains("not touched"), "{error}");
    assert!(lab.all_files().is_empty());
}

#[test]
fn a_guard_concerns_only_the_directory_in_which_something_changes() {
    let lab = Lab::new(directory());
    let (accepted, other) = (lab.tables().join("accepted"), lab.tables().join("other"));
    fs::create_dir_all(&other).expect("made");
    let guard = |path: &str| Guard::new(path, 0o1000);
    lab.set(|setup| setup.guards = vec![guard("accepted"), guard("other")]);
    apply(&lab, &["ants@example.com"]).expect("a directory that is yet to be made needs no guard");
    let seen = RefCell::new(Vec::new());
    let observer = |step: Step<'_>| {
        if step.what == "published" {
            seen.borrow_mut().push((mode(&accepted) & 0o1000, mode(&other) & 0o1000));
        }
        ControlFlow::Continue(())
    };
    let options = Options { observer: Some(&observer), ..Options::default() };
    lab.hookup.apply(&roster(&["bees@example.com"]), options).expect("applied");
    assert!(!seen.borrow().is_empty() && seen.borrow().iter().all(|seen| *seen == (0o1000, 0)), "{seen:?}");
}

#[test]
fn a_guard_ends_with_the_last_change_in_its_directory_and_is_set_again_on_the_way_back() {
    for fails in [false, true] {
        let lab = Lab::new(marked_directory());
        let home = lab.tables().join("routing");
        fs::create_dir_all(&home).expect("made");
        lab.set(|setup| setup.guards = vec![Guard::new("routing", 0o1000)]);
        let argv = lab.script(if fails { "exit 1" } else { "" });
        lab.set(|setup| setup.activate = Some(required(argv, &["accepted"])));
        let seen = RefCell::new(Vec::new());
        let observer = |step: Step<'_>| {
            let in_home = step.path.starts_with(&home);
            if step.what == "published" || step.what == "brought back" && in_home {
                seen.borrow_mut().push((step.what, in_home, mode(&home) & 0o1000 != 0));
            }
            ControlFlow::Continue(())
        };
        let options = Options { observer: Some(&observer), ..Options::default() };
        let result = lab.hookup.apply(&roster(&["ants@example.com"]), options);
        assert_eq!(result.is_err(), fails);
        for (what, in_home, guarded) in seen.borrow().iter() {
            assert_eq!(in_home, guarded, "{what}");
        }
        assert!(seen.borrow().iter().any(|(_, in_home, _)| !in_home));
        assert_eq!(mode(&home) & 0o7000, 0);
    }
}
