//! Runs that end at any step, on the way there or back.

use super::{EVERY_FORMAT, Lab, Options, apply, mode, required};
use crate::hookup::error::HookupError;
use crate::hookup::steps::Step;
use crate::hookup::testing::{marked_directory, roster};
use crate::hookup::was_interrupted;
use nix::sys::signal::{Signal, kill};
use postrider_plugin_api::sdk::{Guard, TableFormat};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;

/// Applies and is killed right after step `at`; `false` if it was ready before.
fn apply_until(lab: &Lab, lists: &[&str], at: u32) -> bool {
    let observer = |step: Step<'_>| if step.number == at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let options = Options { observer: Some(&observer), ..Options::default() };
    match lab.hookup.apply(&roster(lists), options) {
        Err(HookupError::Stopped) => true,
        Ok(_) => false,
        Err(error) => panic!("step {at}: {error}"),
    }
}

/// What the fake MTA must see at every moment between `before` and `after`.
fn assert_no_wrong_answer(lab: &Lab, before: &[&str], after: &[&str], moment: &str) {
    let (routing, accepted) = (lab.keys("routing"), lab.keys("accepted"));
    for address in &accepted {
        let domain = address.split_once('@').expect("address").1;
        assert!(routing.iter().any(|one| one == domain), "{moment}: {address} is accepted and has no route");
    }
    for address in before.iter().filter(|address| after.contains(address)) {
        assert!(accepted.iter().any(|one| one == address), "{moment}: {address} would be answered with 550");
    }
}

#[test]
fn killed_after_any_step_every_file_is_whole_and_the_next_run_finishes() {
    let changes: [(&[&str], &[&str]); 4] = [
        (&[], &["ants@a.example"]),
        (&["ants@a.example", "bees@b.example"], &["ants@a.example"]),
        (&["ants@a.example", "bees@b.example"], &["ants@a.example", "cats@c.example"]),
        (&["ants@a.example"], &["ants@a.example", "dogs@a.example"]),
    ];
    for format in EVERY_FORMAT() {
        // A directory takes a step for each file; few changes show as much as many.
        let few = usize::from(matches!(format, TableFormat::Directory { .. })) * 2;
        for (before, after) in changes.into_iter().skip(few) {
            let fresh = Lab::new(format.clone());
            apply(&fresh, after).expect("applied");
            let mut at = 1;
            loop {
                let lab = Lab::new(format.clone());
                let argv = lab.script("");
                lab.set(|setup| setup.activate = Some(required(argv, &["routing"])));
                apply(&lab, before).expect("applied");
                let activations = lab.activations();
                let moment = format!("{format:?} {before:?} -> {after:?}, step {at}");
                let killed = apply_until(&lab, after, at);
                assert_no_wrong_answer(&lab, before, after, &moment);
                if !killed {
                    break;
                }
                // The next run must keep the promise at each of its own steps too.
                let observer = |step: Step<'_>| {
                    assert_no_wrong_answer(&lab, before, after, &format!("{moment}, then {}", step.number));
                    ControlFlow::Continue(())
                };
                let options = Options { observer: Some(&observer), ..Options::default() };
                lab.hookup.apply(&roster(after), options).expect(&moment);
                for table in ["routing", "accepted"] {
                    assert_eq!(lab.keys(table), fresh.keys(table), "{moment}: {table}");
                }
                assert_eq!(
                    lab.all_files().keys().collect::<Vec<_>>(),
                    fresh.all_files().keys().collect::<Vec<_>>(),
                    "{moment}: temporary files are left"
                );
                let domains = |lists: &[&str]| {
                    lists.iter().filter_map(|one| Some(one.split_once('@')?.1.to_owned())).collect::<BTreeSet<_>>()
                };
                if domains(before) != domains(after) {
                    assert!(lab.activations() > activations, "{moment}: the routing table was never activated");
                }
                at += 1;
                assert!(at < 100, "a publication has fewer steps");
            }
            assert!(at > 3, "{format:?}: the steps were not seen");
        }
    }
}

#[test]
fn killed_and_then_reverted_the_old_state_is_wholly_back() {
    for format in EVERY_FORMAT() {
        for at in 1..100 {
            let lab = Lab::new(format.clone());
            apply(&lab, &["ants@a.example"]).expect("applied");
            let killed = apply_until(&lab, &["ants@a.example", "cats@c.example"], at);
            apply(&lab, &["ants@a.example"]).expect("applied");
            assert_eq!(lab.keys("routing"), ["a.example"], "{format:?} step {at}");
            assert_eq!(lab.keys("accepted").len(), 9, "{format:?} step {at}");
            if !killed {
                break;
            }
        }
    }
}

#[test]
fn killed_on_the_way_back_every_file_is_whole_and_the_next_run_finishes() {
    let (before, after) = (["ants@a.example", "bees@b.example"], ["ants@a.example", "cats@c.example"]);
    for format in EVERY_FORMAT() {
        for at in 1..100 {
            let lab = Lab::new(format.clone());
            apply(&lab, &before).expect("applied");
            let argv = lab.script(&format!("[ -e {0}/good ]", lab.dir.path().display()));
            lab.set(|setup| setup.activate = Some(required(argv, &["accepted"])));
            let moment = format!("{format:?}, step {at}");
            let saw_the_way_back = Cell::new(false);
            let observer = |step: Step<'_>| {
                saw_the_way_back.set(saw_the_way_back.get() || step.what == "brought back");
                assert_no_wrong_answer(&lab, &before, &after, &format!("{moment}, then {}", step.number));
                if step.number == at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let options = Options { observer: Some(&observer), ..Options::default() };
            let error = lab.hookup.apply(&roster(&after), options).expect_err("activation fails");
            assert_no_wrong_answer(&lab, &before, &after, &moment);
            fs::write(lab.dir.path().join("good"), "").expect("written");
            apply(&lab, &after).expect(&moment);
            assert_eq!(lab.keys("routing"), ["a.example", "c.example"], "{moment}");
            assert_eq!(lab.keys("accepted").len(), 18, "{moment}");
            assert!(lab.all_files().keys().all(|name| !name.starts_with('.')), "{moment}: something is left");
            if !matches!(error, HookupError::Stopped) {
                assert!(saw_the_way_back.get(), "{moment}");
                break;
            }
        }
    }
}

#[test]
fn a_signal_waits_for_the_end_of_a_publication_and_then_ends_the_program() {
    const CHILD: &str = "POSTRIDER_TEST_SIGNAL";
    const GUARDED: &str = "guarded";
    let guard = |lab: &Lab| {
        fs::create_dir_all(lab.tables().join("accepted")).expect("made");
        lab.set(|setup| setup.guards = vec![Guard::new("accepted", 0o1000)]);
    };
    if let Ok(number) = std::env::var(CHILD) {
        let signal = Signal::try_from(number.parse::<i32>().expect("number")).expect("signal");
        let lab = Lab::new(marked_directory());
        guard(&lab);
        let observer = |step: Step<'_>| {
            if step.what == "set the guards" {
                assert_eq!(mode(&lab.tables().join("accepted")) & 0o1000, 0o1000);
                fs::write(lab.dir.path().join(GUARDED), "").expect("written");
                kill(nix::unistd::Pid::this(), signal).expect("sent");
            }
            ControlFlow::Continue(())
        };
        let options = Options { observer: Some(&observer), ..Options::default() };
        drop(lab.hookup.apply(&roster(&["ants@example.com"]), options));
        panic!("the signal did not end us");
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let dir = tempfile::tempdir().expect("directory");
        let test = "hookup::tests::killed::a_signal_waits_for_the_end_of_a_publication_and_then_ends_the_program";
        // What runs us may have ignored them, as a shell does for what runs in the background.
        let output = std::process::Command::new("env")
            .arg("--default-signal=INT,TERM,HUP")
            .arg(std::env::current_exe().expect("ourselves"))
            .args(["--exact", test])
            .env("TMPDIR", dir.path())
            .env(CHILD, (signal as i32).to_string())
            .output()
            .expect("started");
        assert_eq!(output.status.signal(), Some(signal as i32), "{output:?}");
        let lab = fs::read_dir(dir.path()).expect("there").next().expect("one").expect("entry").path();
        assert!(lab.join(GUARDED).exists(), "{signal}: it was never guarded");
        assert_eq!(mode(&lab.join("tables/accepted")) & 0o1000, 0, "{signal}");
        assert!(lab.join("tables/accepted/ants@example.com").exists(), "{signal}: the publication went to its end");
        assert!(!was_interrupted(&lab.join("tables")), "{signal}");
    }
}
