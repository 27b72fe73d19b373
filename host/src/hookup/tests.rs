//! The whole way from plan to disk, with a fake adapter and a fake compiler.

use super::error::HookupError;
use super::front::Options;
use super::generation::{Outcome, Source, Wish, follow};
use super::lock::Lock;
use super::report::TableOutcome;
use super::steps::Step;
use super::testing::{Activation, Lab, compiled, directory, domain, in_place, list, marked_directory, roster};
use crate::clock::unix_now_ms;
use crate::lists::{Domain, DomainName, ListAddress, RosterChange, Subject};
use crate::plugins::Watch;
use crate::store::{Changes, Everything, Generation, Result as StoreResult, StoreError};
use postrider_plugin_api::sdk::{Need, Privilege, TableFormat};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const EVERY_FORMAT: fn() -> [TableFormat; 6] =
    || [TableFormat::Text, compiled(), in_place(), TableFormat::Sqlite, directory(), marked_directory()];

fn apply(lab: &Lab, lists: &[&str]) -> Result<super::Report, HookupError> {
    lab.hookup.apply(&roster(lists), Options::default())
}

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

/// The names of the steps that applying takes.
fn steps(lab: &Lab, lists: &[&str]) -> Vec<String> {
    let seen = RefCell::new(Vec::new());
    let observer = |step: Step<'_>| {
        let name = step.path.file_name().expect("name").to_string_lossy();
        seen.borrow_mut().push(format!("{} {name}", step.what));
        ControlFlow::Continue(())
    };
    let options = Options { observer: Some(&observer), ..Options::default() };
    lab.hookup.apply(&roster(lists), options).expect("applied");
    seen.into_inner()
}

fn published(steps: &[String]) -> Vec<&str> {
    steps.iter().filter_map(|step| step.strip_prefix("published ")).collect()
}

#[test]
fn a_list_is_published_in_every_format_and_readable_for_the_mta() {
    for format in EVERY_FORMAT() {
        let lab = Lab::new(format.clone());
        let report = apply(&lab, &["ants@example.com"]).expect("applied");
        assert_eq!(report.to_string(), "accepted: +9\nrouting: +1", "{format:?}");
        assert_eq!(lab.keys("routing"), ["example.com"]);
        assert_eq!(lab.keys("accepted").len(), 9);
        for entry in fs::read_dir(lab.tables()).expect("directory") {
            let entry = entry.expect("entry");
            let metadata = entry.metadata().expect("file");
            let mode = if metadata.is_dir() { 0o755 } else { 0o644 };
            assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{:?}", entry.path());
            assert!(!entry.file_name().to_string_lossy().starts_with('.'), "{:?} was left", entry.path());
        }
    }
}

#[test]
fn nothing_changed_means_nothing_done() {
    for format in EVERY_FORMAT() {
        let lab = Lab::new(format.clone());
        let argv = lab.script("");
        lab.set(|setup| setup.activate = Some(required(argv, &["routing"])));
        apply(&lab, &["ants@example.com"]).expect("applied");
        let stamp = |lab: &Lab| {
            let inodes = fs::read_dir(lab.tables()).expect("directory").map(|entry| {
                let entry = entry.expect("entry");
                let metadata = entry.metadata().expect("file");
                (entry.file_name(), (metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
            });
            (inodes.collect::<BTreeMap<_, _>>(), lab.activations(), lab.compilations())
        };
        let before = stamp(&lab);
        let report = apply(&lab, &["ants@example.com"]).expect("applied");
        assert!(!report.changed() && report.ran.is_empty(), "{report}");
        assert_eq!(stamp(&lab), before, "{format:?}");
    }
}

#[test]
fn a_compiled_file_that_vanished_is_made_again() {
    let lab = Lab::new(compiled());
    apply(&lab, &["ants@example.com"]).expect("applied");
    fs::remove_file(lab.tables().join("accepted.cmp")).expect("removed");
    let report = apply(&lab, &["ants@example.com"]).expect("applied");
    assert_eq!(report.to_string(), "accepted: written again\nrouting: unchanged");
    assert_eq!(lab.keys("accepted").len(), 9);
}

#[test]
fn a_compiled_file_that_was_damaged_or_exchanged_is_made_again() {
    for format in [compiled(), in_place()] {
        let lab = Lab::new(format);
        let file = lab.tables().join("accepted.cmp");
        apply(&lab, &["ants@example.com"]).expect("applied");
        let whole = fs::read(&file).expect("there");
        let exchange = |octets: &[u8]| fs::write(&file, octets).expect("written");
        for damage in [&b""[..], b"compiled\nbees@example.com x\n"] {
            exchange(damage);
            let report = apply(&lab, &["ants@example.com"]).expect("applied");
            assert_eq!(report.to_string(), "accepted: written again\nrouting: unchanged");
            assert_eq!(fs::read(&file).expect("there"), whole);
        }
        assert!(!apply(&lab, &["ants@example.com"]).expect("applied").changed());
    }
}

#[test]
fn routing_precedes_acceptance_when_added_and_follows_when_removed() {
    let lab = Lab::new(compiled());
    let added = steps(&lab, &["ants@example.com"]);
    assert_eq!(published(&added), ["routing.cmp", "routing", "accepted.cmp", "accepted"]);
    let removed = steps(&lab, &[]);
    assert_eq!(published(&removed), ["accepted.cmp", "accepted", "routing.cmp", "routing"]);
}

#[test]
fn additions_and_removals_together_go_through_the_union() {
    let lab = Lab::new(TableFormat::Text);
    apply(&lab, &["ants@old.example"]).expect("applied");
    assert_eq!(published(&steps(&lab, &["bees@new.example"])), ["routing", "accepted", "accepted", "routing"]);
    assert_eq!(lab.keys("routing"), ["new.example"]);
}

#[test]
fn files_in_place_keep_their_inode() {
    for (format, file) in [(in_place(), "accepted.cmp"), (TableFormat::Sqlite, "accepted")] {
        let lab = Lab::new(format);
        apply(&lab, &["ants@example.com"]).expect("applied");
        let inode = lab.tables().join(file).metadata().expect("file").ino();
        apply(&lab, &["bees@example.com"]).expect("applied");
        assert_eq!(lab.tables().join(file).metadata().expect("file").ino(), inode);
        assert!(lab.keys("accepted").contains(&"bees@example.com".to_owned()));
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
fn a_failing_compiler_leaves_every_byte_as_it_was() {
    for format in [compiled(), in_place()] {
        let lab = Lab::new(format);
        apply(&lab, &["ants@example.com"]).expect("applied");
        let before = lab.all_files();
        lab.fail("always");
        let error = apply(&lab, &["bees@other.example"]).expect_err("fails").to_string();
        assert_eq!(lab.all_files(), before);
        let file = lab.tables().join("routing");
        assert!(error.starts_with(&format!("compiling {} with", file.display())), "{error}");
        assert!(error.contains("exit status 1") && error.contains("No space left on device"), "{error}");
        assert!(error.contains("the published tables were not touched"), "{error}");
        lab.heal();
        apply(&lab, &["bees@other.example"]).expect("healed");
        assert_eq!(lab.keys("routing"), ["other.example"]);
    }
}

#[test]
fn a_compiler_that_makes_nothing_hangs_or_is_missing_is_told() {
    let lab = Lab::new(compiled());
    lab.fail("silent");
    let error = apply(&lab, &["ants@example.com"]).expect_err("fails").to_string();
    assert!(error.contains("exit status 0, but it made no"), "{error}");
    lab.fail("slow");
    let error = apply(&lab, &["ants@example.com"]).expect_err("fails").to_string();
    assert!(error.contains("not ready after 3 seconds, killed"), "{error}");
    lab.set(|setup| setup.compiler = "/nonexistent/postmap".into());
    let error = apply(&lab, &["ants@example.com"]).expect_err("fails").to_string();
    assert!(error.contains("cannot be started") && error.contains("install it"), "{error}");
    assert!(lab.all_files().is_empty());
}

#[test]
fn a_compiler_that_fails_only_in_place_brings_text_and_compiled_file_back() {
    let lab = Lab::new(in_place());
    apply(&lab, &["ants@example.com"]).expect("applied");
    let before = lab.all_files();
    lab.fail("in-place"); // once
    let error = apply(&lab, &["bees@other.example"]).expect_err("fails").to_string();
    assert!(error.contains("fatal: in place") && error.contains("previous tables are back in place"), "{error}");
    assert_eq!(lab.all_files(), before);
}

#[test]
fn a_check_sees_the_staged_file_and_can_refuse_it() {
    let lab = Lab::new(TableFormat::Text);
    apply(&lab, &["ants@example.com"]).expect("applied");
    let before = lab.all_files();
    let argv = lab.script("! grep -n 'bees@' \"$1\" >&2");
    lab.set(|setup| setup.check = Some(argv));
    let error = apply(&lab, &["bees@example.com"]).expect_err("refused").to_string();
    assert!(error.starts_with("checking ") && error.contains("bees@example.com"), "{error}");
    assert_eq!(lab.all_files(), before);
    apply(&lab, &["cats@example.com"]).expect("passes");
}

#[test]
fn a_failing_activation_brings_the_previous_files_back_and_activates_again() {
    for format in EVERY_FORMAT() {
        let lab = Lab::new(format.clone());
        apply(&lab, &["ants@example.com"]).expect("applied");
        let (before, keys) = (lab.all_files(), (lab.keys("routing"), lab.keys("accepted")));
        let argv = lab.script(&format!(
            "[ -e {0}/once ] || {{ touch {0}/once; echo bad >&2; exit 75; }}",
            lab.dir.path().display()
        ));
        lab.set(|setup| setup.activate = Some(required(argv, &["accepted"])));
        let error = apply(&lab, &["bees@other.example"]).expect_err("fails").to_string();
        assert!(error.contains("exit status 75, \"bad\""), "{error}");
        assert!(error.ends_with("the previous tables are back in place"), "{error}");
        assert_eq!(lab.activations(), 2, "it failed, and the old state was activated");
        assert_eq!((lab.keys("routing"), lab.keys("accepted")), keys);
        if format != TableFormat::Sqlite {
            assert_eq!(lab.all_files(), before, "{format:?}");
        }
        apply(&lab, &["bees@other.example"]).expect("the second time it works");
    }
}

#[test]
fn an_activation_that_fails_twice_is_told_twice_and_the_next_run_does_everything() {
    let lab = Lab::new(compiled());
    apply(&lab, &["ants@example.com"]).expect("applied");
    let argv = lab.script("exit 1");
    lab.set(|setup| setup.activate = Some(required(argv, &["routing"])));
    let error = apply(&lab, &["bees@other.example"]).expect_err("fails").to_string();
    assert!(error.contains("back in place, but this failed too"), "{error}");
    assert_eq!(lab.keys("routing"), ["example.com"]);
    let argv = lab.script("");
    lab.set(|setup| setup.activate = Some(required(argv, &["routing"])));
    let report = apply(&lab, &["ants@example.com"]).expect("applied");
    assert!(report.recovered && report.ran.len() == 1, "{report}");
}

#[test]
fn an_advised_activation_that_fails_is_only_told() {
    let lab = Lab::new(TableFormat::Text);
    let argv = lab.script("exit 1");
    lab.set(|setup| setup.activate = Some(Activation { need: Need::Advised, ..required(argv, &["routing"]) }));
    let report = apply(&lab, &["ants@example.com"]).expect("applied");
    assert_eq!(report.by_hand.len(), 1);
    assert!(report.to_string().contains("you may run") && report.to_string().contains("exit status 1"), "{report}");
    assert_eq!(lab.keys("accepted").len(), 9);
}

#[test]
fn without_the_superuser_the_later_tables_wait_for_the_administrator() {
    let lab = Lab::new(compiled());
    let argv = lab.script("");
    lab.set(|setup| setup.activate = Some(Activation { privilege: Privilege::Root, ..required(argv, &["routing"]) }));
    let report = apply(&lab, &["ants@example.com"]).expect("waits");
    let waiting = report.waiting.as_ref().expect("waiting").to_string();
    assert!(waiting.contains("activate") && waiting.ends_with("then `postrider aliases --activated`"), "{waiting}");
    assert_eq!(report.tables[0].outcome, TableOutcome::Held);
    assert_eq!((lab.keys("routing"), lab.keys("accepted")), (vec!["example.com".to_owned()], vec![]));

    // Nobody has run it: the next one waits too.
    let report = apply(&lab, &["ants@example.com"]).expect("waits");
    assert!(report.waiting.is_some() && lab.keys("accepted").is_empty());

    // Another domain comes: what was activated is not what is published now.
    let activated = Options { activated: true, ..Options::default() };
    let two = roster(&["ants@example.com", "bees@other.example"]);
    let report = lab.hookup.apply(&two, activated).expect("waits");
    assert!(report.waiting.is_some() && lab.keys("accepted").is_empty());

    let report = lab.hookup.apply(&two, activated).expect("goes on");
    assert_eq!(report.waiting, None);
    assert_eq!(lab.keys("accepted").len(), 18);
    assert_eq!(lab.activations(), 0);
    assert!(!apply(&lab, &["ants@example.com", "bees@other.example"]).expect("applied").changed());
}

#[test]
fn a_command_for_the_last_table_is_advice_and_nothing_waits() {
    let lab = Lab::new(TableFormat::Text);
    let argv = vec!["/nonexistent/postfix".to_owned(), "reload".to_owned()];
    lab.set(|setup| setup.activate = Some(required(argv, &["routing", "accepted"])));
    let report = apply(&lab, &["ants@example.com"]).expect("applied");
    assert_eq!(report.waiting, None);
    let advice = report.by_hand[0].to_string();
    let expected = "run `/nonexistent/postfix reload` so that the test sees it; it was not run because there is no /nonexistent/postfix here";
    assert_eq!(advice, expected);
}

#[test]
fn an_mta_that_notices_by_itself_is_given_the_time() {
    let lab = Lab::new(TableFormat::Text);
    let argv = lab.script("");
    let settle = Some(Duration::from_millis(30));
    lab.set(|setup| {
        setup.activate = Some(Activation { privilege: Privilege::Root, settle, ..required(argv, &["routing"]) });
    });
    let report = apply(&lab, &["ants@example.com"]).expect("applied");
    assert!(report.waiting.is_none() && !report.settled.is_zero(), "{report}");
    assert_eq!(lab.keys("accepted").len(), 9);
    let report = apply(&lab, &["ants@example.com", "bees@example.com"]).expect("applied");
    assert!(report.settled.is_zero() && report.by_hand.is_empty(), "routing did not change: {report}");
}

#[test]
fn files_that_are_no_tables_come_and_go() {
    let lab = Lab::new(TableFormat::Text);
    lab.set(|setup| setup.files = true);
    apply(&lab, &["ants@example.com", "gone@example.com"]).expect("applied");
    assert!(lab.tables().join("lists/gone.example.com").exists());
    let report = apply(&lab, &["ants@example.com"]).expect("applied");
    assert_eq!(report.files, ["lists/gone.example.com"]);
    assert!(
        !lab.tables().join("lists/gone.example.com").exists() && lab.tables().join("lists/ants.example.com").exists()
    );
}

#[test]
fn a_preview_shows_the_difference_and_writes_nothing() {
    for format in EVERY_FORMAT() {
        let lab = Lab::new(format.clone());
        apply(&lab, &["ants@example.com"]).expect("applied");
        let before = lab.all_files();
        let preview = lab.hookup.preview(&roster(&["bees@example.com"])).expect("preview");
        assert_eq!(lab.all_files(), before);
        let accepted = &preview.tables[0];
        assert_eq!((accepted.added, accepted.removed), (9, 9));
        assert!(
            accepted.diff.contains("-ants@example.com") && accepted.diff.contains("+bees@example.com"),
            "{accepted:?}"
        );
        assert_eq!(preview.tables[1].diff, "");
        assert!(lab.hookup.preview(&roster(&["ants@example.com"])).expect("preview").is_empty());
    }
}

#[test]
fn output_elsewhere_compiles_where_it_can_and_says_what_it_left() {
    let lab = Lab::new(compiled());
    let elsewhere = lab.dir.path().join("elsewhere");
    let report = lab.hookup.write_to(&elsewhere, &roster(&["ants@example.com"])).expect("written");
    assert!(elsewhere.join("routing.cmp").exists() && report.by_hand.is_empty());
    lab.set(|setup| setup.compiler = "/nonexistent/postmap".into());
    let report = lab.hookup.write_to(&elsewhere, &roster(&["bees@example.com"])).expect("written");
    assert!(fs::read_to_string(elsewhere.join("accepted")).expect("text").contains("bees@example.com"));
    assert!(!elsewhere.join("accepted.cmp").exists(), "a compiled file of other rows");
    assert!(report.by_hand.iter().any(|one| one.command.ends_with("/elsewhere/accepted")), "{report}");
    assert!(lab.all_files().is_empty());
}

#[test]
fn a_directory_that_cannot_be_made_is_told() {
    let lab = Lab::new(TableFormat::Text);
    let file = lab.dir.path().join("file");
    fs::write(&file, "").expect("written");
    let hookup = lab.with_tables_in(&file.join("tables"));
    let error = hookup.apply(&roster(&["ants@example.com"]), Options::default()).expect_err("fails");
    let error = error.to_string();
    assert!(error.contains("Not a directory") && error.contains("[paths.*]"), "{error}");
}

#[test]
fn a_database_in_the_place_of_a_table_is_not_replaced() {
    let lab = Lab::new(TableFormat::Text);
    fs::create_dir_all(lab.tables()).expect("made");
    let path = lab.tables().join("accepted");
    rusqlite::Connection::open(&path).and_then(|c| c.execute_batch("CREATE TABLE lists (a)")).expect("made");
    assert!(matches!(apply(&lab, &["ants@example.com"]), Err(HookupError::NotATable(_))));
    assert!(fs::read(&path).expect("file").starts_with(b"SQLite format 3"));
}

/// Runs this very test again in a mount namespace with a tiny file system.
#[test]
fn a_full_disk_changes_nothing_and_is_told() {
    const NAME: &str = "hookup::tests::a_full_disk_changes_nothing_and_is_told";
    let Some(small) = std::env::var_os("POSTRIDER_TEST_SMALL_DISK") else {
        let mount = tempfile::tempdir().expect("directory");
        let script = "mount -t tmpfs -o size=256k none \"$POSTRIDER_TEST_SMALL_DISK\" && exec \"$0\" --exact \"$1\"";
        let output = std::process::Command::new("unshare")
            .args(["-rm", "/bin/sh", "-c", script])
            .arg(std::env::current_exe().expect("this program"))
            .arg(NAME)
            .env("POSTRIDER_TEST_SMALL_DISK", mount.path())
            .output()
            .expect("unshare");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    };
    for format in EVERY_FORMAT() {
        let lab = Lab::new(format.clone());
        let tables = Path::new(&small).join("tables");
        let hookup = lab.with_tables_in(&tables);
        hookup.apply(&roster(&["ants@example.com"]), Options::default()).expect("fits");
        let names = || {
            fs::read_dir(&tables).expect("directory").map(|e| e.expect("entry").file_name()).collect::<BTreeSet<_>>()
        };
        let bytes = |name: &str| match fs::read_dir(tables.join(name)) {
            Ok(files) => files.flat_map(|one| one.expect("entry").file_name().into_encoded_bytes()).collect(),
            Err(_) => fs::read(tables.join(name)).expect("file"),
        };
        let before = (names(), bytes("accepted"), bytes("routing"));
        let many: Vec<String> = (0..2000).map(|number| format!("list{number}@other.example")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let error = hookup.apply(&roster(&many), Options::default()).expect_err("does not fit").to_string();
        assert!(error.contains("No space left on device") || error.contains("disk is full"), "{error}");
        assert!(error.contains("free some space"), "{error}");
        assert_eq!(names(), before.0, "{format:?}");
        if format == TableFormat::Sqlite {
            let keys = super::sqlite::read(&tables.join("routing")).expect("whole");
            assert_eq!(keys.iter().map(|row| row.key.to_owned()).collect::<Vec<_>>(), ["example.com"]);
        } else {
            assert_eq!((bytes("accepted"), bytes("routing")), (before.1, before.2), "{format:?}");
        }
        fs::remove_dir_all(&tables).expect("emptied");
    }
}

pub(super) fn required(argv: Vec<String>, tables: &[&'static str]) -> Activation {
    Activation { argv, need: Need::Required, privilege: Privilege::Owner, settle: None, tables: tables.to_vec() }
}

/// A store in memory.
#[derive(Clone)]
pub(super) struct FakeStore(Arc<Mutex<FakeLists>>);

pub(super) struct FakeLists {
    pub(super) generation: Generation,
    /// Of all generations, from the first one.
    ids: Vec<String>,
    changes: Vec<RosterChange>,
    changed: i64,
    lists: Vec<String>,
    /// How often all lists or domains were asked for.
    pub(super) tours: u32,
    /// It cannot be read.
    pub(super) broken: bool,
    /// A list that somebody makes just when all lists are asked for.
    comes_between: Option<&'static str>,
}

impl Default for FakeStore {
    fn default() -> Self {
        let id = || format!("{:032x}", rand::random::<u128>());
        let generation = Generation { wanted: 0, applied: 0, id: id(), changed_before: 0 };
        let lists = FakeLists {
            ids: vec![generation.id.clone()],
            generation,
            changes: vec![],
            changed: 0,
            lists: vec![],
            tours: 0,
            broken: false,
            comes_between: None,
        };
        FakeStore(Arc::new(Mutex::new(lists)))
    }
}

impl FakeStore {
    pub(super) fn inner(&self) -> std::sync::MutexGuard<'_, FakeLists> {
        self.0.lock().expect("store")
    }

    fn changed(&self, address: &str, added: bool) {
        let mut inner = self.inner();
        let id = format!("{:032x}", rand::random::<u128>());
        inner.changes.push(RosterChange { subject: Subject::List(list(address).address), alias: None, added });
        inner.ids.push(id.clone());
        let changed_before = std::mem::replace(&mut inner.changed, unix_now_ms());
        let Generation { wanted, applied, .. } = inner.generation;
        inner.generation = Generation { wanted: wanted + 1, applied, id, changed_before };
    }

    /// Makes a list.
    pub(super) fn create(&self, address: &str) {
        self.inner().lists.push(address.to_owned());
        self.changed(address, true);
    }

    /// Removes a list.
    pub(super) fn remove(&self, address: &str) {
        self.inner().lists.retain(|one| one != address);
        self.changed(address, false);
    }

    pub(super) fn applied(&self) -> i64 {
        self.inner().generation.applied
    }

    fn answer<T>(&self, answer: impl FnOnce(&mut FakeLists) -> T) -> StoreResult<T> {
        let mut inner = self.inner();
        if inner.broken {
            return Err(StoreError::Database { file: "lists.db".into(), message: "disk I/O error".into() });
        }
        Ok(answer(&mut inner))
    }
}

impl Source for FakeStore {
    async fn generation(&self) -> StoreResult<Generation> {
        Ok(self.inner().generation.clone())
    }
    async fn changes(&self, generation: &Generation) -> StoreResult<Option<Changes>> {
        let (applied, wanted) = (generation.applied as usize, generation.wanted as usize);
        let change = |inner: &mut FakeLists| Changes {
            from: inner.ids[applied].clone(),
            changes: inner.changes[applied..wanted].to_vec(),
        };
        Ok(Some(change(&mut self.inner())))
    }
    async fn domains(&self) -> StoreResult<Vec<Domain>> {
        self.answer(|inner| {
            inner.tours += 1;
            vec![domain("example.com", None)]
        })
    }
    async fn everything(&self) -> StoreResult<Everything> {
        let between = self.inner().comes_between.take();
        if let Some(address) = between {
            self.create(address);
        }
        self.answer(|inner| {
            inner.tours += 1;
            let lists = inner.lists.iter().map(|address| list(address).address).collect();
            Everything { generation: inner.generation.id.clone(), domains: vec![domain("example.com", None)], lists }
        })
    }
    async fn has_list(&self, address: &ListAddress) -> StoreResult<bool> {
        self.answer(|inner| inner.lists.contains(&address.to_string()))
    }
    async fn domains_routed_to(&self, routed: &DomainName) -> StoreResult<Vec<Domain>> {
        self.answer(|inner| {
            let known = inner.lists.iter().any(|list| list.ends_with(&format!("@{routed}")));
            if known || routed.as_str() == "example.com" { vec![domain(routed.as_str(), None)] } else { vec![] }
        })
    }
    async fn mark_applied(&self, generation: i64) -> StoreResult<()> {
        self.inner().generation.applied = generation;
        Ok(())
    }
}

#[tokio::test]
async fn a_generation_is_applied_once() {
    let lab = Lab::new(TableFormat::Text);
    let store = FakeStore::default();
    store.create("ants@example.com");
    let update = |wish| follow(&store, lab.hookup.clone(), wish);
    assert!(matches!(update(Wish::default()).await.expect("applied"), Outcome::Done(report) if report.changed()));
    assert_eq!(store.applied(), 1);
    assert_eq!(update(Wish::default()).await.expect("nothing to do"), Outcome::AlreadyApplied(Vec::new()));
    fs::remove_file(lab.tables().join("accepted")).expect("removed");
    let always = Wish { always: true, ..Wish::default() };
    assert!(matches!(update(always).await.expect("repaired"), Outcome::Done(report) if report.changed()));
}

#[tokio::test]
async fn whose_change_somebody_else_published_is_told_what_is_left_all_the_same() {
    let lab = Lab::new(TableFormat::Text);
    let argv = vec!["/nonexistent/postfix".to_owned(), "reload".to_owned()];
    lab.set(|setup| setup.activate = Some(required(argv, &["routing", "accepted"])));
    let store = FakeStore::default();
    store.create("ants@example.com");
    let update = || follow(&store, lab.hookup.clone(), Wish::default());
    let Outcome::Done(report) = update().await.expect("published") else { panic!("nothing was published") };
    assert_eq!(report.by_hand.len(), 1);
    assert_eq!(update().await.expect("nothing to do"), Outcome::AlreadyApplied(report.by_hand));
}

#[tokio::test]
async fn whose_list_a_run_that_had_begun_before_published_is_told_what_it_left_by_hand() {
    let lab = Lab::new(TableFormat::Text);
    let argv = vec!["/nonexistent/postfix".to_owned(), "reload".to_owned()];
    lab.set(|setup| setup.activate = Some(required(argv, &["routing", "accepted"])));
    let store = FakeStore::default();
    store.create("ants@example.com");
    let run = |wish| {
        let hookup = lab.hookup.clone();
        let store = store.clone();
        async move { follow(&store, hookup, wish).await.expect("published") }
    };
    let done = |outcome| match outcome {
        Outcome::Done(report) => report,
        Outcome::AlreadyApplied(_) => panic!("nothing was published"),
    };
    store.inner().comes_between = Some("bees@example.com");
    let early = done(run(Wish::default()).await);
    assert_eq!((lab.keys("accepted").len(), store.applied(), store.inner().generation.wanted), (18, 1, 2));
    assert_eq!(early.by_hand.len(), 1);
    // Who made bees finds nothing to be changed, and learns what is left all the same.
    let report = done(run(Wish::default()).await);
    assert_eq!((report.changed(), &report.by_hand, store.applied()), (false, &early.by_hand, 2));
    // Also who finds that another run compared the tables meanwhile.
    let always = Wish { always: true, ..Wish::default() };
    assert_eq!(done(run(always).await).by_hand, []);
    assert_eq!(run(Wish::default()).await, Outcome::AlreadyApplied(early.by_hand));
    // The administrator has done it.
    assert_eq!(done(run(Wish { activated: true, ..always }).await).by_hand, []);
    assert_eq!(run(Wish::default()).await, Outcome::AlreadyApplied(Vec::new()));
    // The next list is not told of it.
    lab.set(|setup| setup.activate = None);
    store.create("cats@example.com");
    assert_eq!(done(run(Wish::default()).await).by_hand, []);
}

#[tokio::test]
async fn what_was_left_by_hand_for_a_change_is_known_though_others_were_published_since() {
    let lab = Lab::new(TableFormat::Text);
    let argv = vec!["/nonexistent/postfix".to_owned(), "reload".to_owned()];
    let store = FakeStore::default();
    let run = || follow(&store, lab.hookup.clone(), Wish::default());
    lab.set(|setup| setup.activate = Some(required(argv, &["routing", "accepted"])));
    store.create("ants@example.com");
    let Outcome::Done(first) = run().await.expect("published") else { panic!("nothing was published") };
    assert_eq!(first.by_hand.len(), 1);
    lab.set(|setup| setup.activate = None);
    store.create("bees@example.com");
    let Outcome::Done(second) = run().await.expect("published") else { panic!("nothing was published") };
    assert_eq!(second.by_hand, []);
    // Whoever made the first one waited all the time; whoever made the second one is not told of it.
    for (made_after, told) in [(0, first.by_hand.clone()), (1, Vec::new())] {
        let wish = Wish { made_after: Some(made_after), ..Wish::default() };
        let outcome = follow(&store, lab.hookup.clone(), wish).await.expect("nothing to do");
        assert_eq!(outcome, Outcome::AlreadyApplied(told));
    }
    // And if he is the one who publishes what came third.
    store.create("cats@example.com");
    let wish = Wish { made_after: Some(0), ..Wish::default() };
    let third = follow(&store, lab.hookup.clone(), wish).await.expect("published");
    assert!(matches!(third, Outcome::Done(report) if report.changed() && report.by_hand == first.by_hand));
    store.create("dogs@example.com");
    let fourth = run().await.expect("published");
    assert!(matches!(fourth, Outcome::Done(report) if report.changed() && report.by_hand.is_empty()));
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_not_the_adapters_failure() {
    let lab = Lab::new(TableFormat::Text);
    let store = FakeStore::default();
    store.create("ants@example.com");
    store.inner().broken = true;
    let error = follow(&store, lab.hookup.clone(), Wish::default()).await.expect_err("broken").to_string();
    assert!(error.starts_with("the lists cannot be read: "), "{error}");
}

#[tokio::test]
async fn whoever_finishes_what_a_killed_run_had_published_is_told_what_is_left_by_hand() {
    let lab = Lab::new(TableFormat::Text);
    let argv = vec!["/nonexistent/postfix".to_owned(), "reload".to_owned()];
    lab.set(|setup| setup.activate = Some(required(argv, &["routing", "accepted"])));
    let store = FakeStore::default();
    let run = || follow(&store, lab.hookup.clone(), Wish::default());
    store.create("ants@example.com");
    lab.hookup.stop_at.store(super::front::NOTED, std::sync::atomic::Ordering::Relaxed);
    run().await.expect_err("killed before the generation is marked");
    lab.hookup.stop_at.store(0, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(store.applied(), 0);
    let Outcome::Done(report) = run().await.expect("finished") else { panic!("nothing was done") };
    assert_eq!((report.changed(), report.by_hand.len(), store.applied()), (false, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_knows_that_it_was_loaded_after_a_change() {
    let store = FakeStore::default();
    store.create("ants@example.com");
    let generation = store.inner().generation.clone();
    for (between, after) in [(None, false), (Some("bees@example.com"), true)] {
        let roster = super::Roster::asking(store.clone());
        assert!(!roster.was_loaded_after(&generation), "nothing is loaded");
        store.inner().comes_between = between;
        tokio::task::block_in_place(|| roster.load()).expect("loaded");
        assert_eq!(roster.was_loaded_after(&generation), after);
    }
}

#[tokio::test]
async fn lists_that_come_between_two_questions_of_one_plan_are_not_half_in_it() {
    for format in [TableFormat::Text, TableFormat::Sqlite] {
        let lab = Lab::new(format);
        let store = FakeStore::default();
        let run = || follow(&store, lab.hookup.clone(), Wish::default());
        store.create("ants@example.com");
        run().await.expect("published");
        store.create("bees@example.com");
        store.inner().comes_between = Some("cats@example.com");
        run().await.expect("published");
        assert_eq!(lab.keys("accepted").len(), 27);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn creations_that_come_together_share_one_publication() {
    let lab = Lab::new(compiled());
    let store = FakeStore::default();
    let lock = Lock::wait(&lab.dir.path().join("locks"), Duration::ZERO).expect("free");
    for name in ["a@example.com", "b@example.com", "c@example.com"] {
        store.create(name);
    }
    let update = || follow(&store, lab.hookup.clone(), Wish::default());
    let free = async {
        tokio::time::sleep(Duration::from_millis(100)).await; // so that all three really wait
        drop(lock);
    };
    let (a, b, c, ()) = tokio::join!(update(), update(), update(), free);
    let outcomes = [a, b, c].map(|outcome| outcome.expect("applied"));
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Done(_))).count(), 1);
    assert_eq!(store.applied(), 3);
    assert_eq!(lab.keys("accepted").len(), 27);
    assert_eq!(lab.compilations(), 2, "one for each table");
}

#[tokio::test]
async fn a_generation_that_waits_or_fails_is_not_applied() {
    let lab = Lab::new(compiled());
    let store = FakeStore::default();
    store.create("ants@example.com");
    let update = |wish| follow(&store, lab.hookup.clone(), wish);
    lab.fail("always");
    update(Wish::default()).await.expect_err("the compiler fails");
    assert_eq!(store.applied(), 0);
    lab.heal();
    let argv = lab.script("");
    lab.set(|setup| setup.activate = Some(Activation { privilege: Privilege::Root, ..required(argv, &["routing"]) }));
    assert!(matches!(update(Wish::default()).await.expect("waits"), Outcome::Done(report) if report.waiting.is_some()));
    assert_eq!(store.applied(), 0);
    let activated = Wish { activated: true, ..Wish::default() };
    assert!(matches!(update(activated).await.expect("goes on"), Outcome::Done(report) if report.waiting.is_none()));
    assert_eq!(store.applied(), 1);
}

#[tokio::test]
async fn whoever_no_longer_waits_for_another_run_does_not_publish_later() {
    let lab = Lab::new(TableFormat::Text);
    let store = FakeStore::default();
    store.create("ants@example.com");
    let lock = Lock::wait(&lab.dir.path().join("locks"), Duration::ZERO).expect("free");
    let waiting = follow(&store, lab.hookup.clone(), Wish::default());
    tokio::time::timeout(Duration::from_millis(100), waiting).await.expect_err("the lock is taken");
    // The thread that waited holds the adapter's hookup until it has given up.
    let has_given_up = async {
        while Arc::strong_count(&lab.hookup) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), has_given_up).await.expect("it still waits");
    drop(lock);
    assert!(lab.all_files().is_empty());
}

#[test]
fn an_adapter_that_hangs_is_left_behind_and_not_asked_again() {
    let lab = Lab::new(TableFormat::Text);
    let watch = Watch::over("the incoming adapter hangs.Test", Duration::from_millis(50));
    let hookup = lab.with_tables_in(&lab.tables()).with_watch(watch);
    let plan = || hookup.apply(&roster(&["ants@example.com"]), Options::default());
    lab.set(|setup| setup.hangs = true);
    let error = plan().expect_err("overdue").to_string();
    assert!(error.contains("the incoming adapter hangs.Test did not return from plan()"), "{error}");
    lab.set(|setup| setup.hangs = false);
    let error = plan().expect_err("refused").to_string();
    assert!(error.contains("hangs.Test is not asked, because it has not returned from plan()"), "{error}");
    Lock::wait(&lab.dir.path().join("locks"), Duration::ZERO).expect("it does not keep the lock");
}

#[test]
fn the_future_can_be_spawned() {
    fn sendable<T: Send>(_: &T) {}
    let lab = Lab::new(TableFormat::Text);
    let store = FakeStore::default();
    sendable(&follow(&store, lab.hookup.clone(), Wish::default()));
}
