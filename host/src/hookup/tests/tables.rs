//! What is published, in which order, and what is shown of it.

use super::{EVERY_FORMAT, Lab, Options, apply, required};
use crate::hookup::error::HookupError;
use crate::hookup::sqlite;
use crate::hookup::steps::Step;
use crate::hookup::testing::{compiled, directory, in_place, roster};
use postrider_plugin_api::sdk::TableFormat;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

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

fn published_by(steps: &[String]) -> Vec<&str> {
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
    assert_eq!(published_by(&added), ["routing.cmp", "routing", "accepted.cmp", "accepted"]);
    let removed = steps(&lab, &[]);
    assert_eq!(published_by(&removed), ["accepted.cmp", "accepted", "routing.cmp", "routing"]);
}

#[test]
fn additions_and_removals_together_go_through_the_union() {
    let lab = Lab::new(TableFormat::Text);
    apply(&lab, &["ants@old.example"]).expect("applied");
    assert_eq!(published_by(&steps(&lab, &["bees@new.example"])), ["routing", "accepted", "accepted", "routing"]);
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
fn a_preview_of_a_directory_names_its_files() {
    let lab = Lab::new(directory());
    apply(&lab, &["ants@example.com"]).expect("applied");
    let many: Vec<String> = (0..50).map(|number| format!("list{number}@example.com")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let preview = lab.hookup.preview(&roster(&many)).expect("preview");
    let diff = &preview.tables[0].diff;
    assert!(
        diff.starts_with("--- accepted/ (published)\n+++ accepted/ (wanted)\n+list0-bounces@example.com\n"),
        "{diff}"
    );
    assert!(diff.contains("+(350 more)\n-ants-bounces@example.com\n"), "{diff}");
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
    const NAME: &str = "hookup::tests::tables::a_full_disk_changes_nothing_and_is_told";
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
            let keys = sqlite::read(&tables.join("routing")).expect("whole");
            assert_eq!(keys.iter().map(|row| row.key.to_owned()).collect::<Vec<_>>(), ["example.com"]);
        } else {
            assert_eq!((bytes("accepted"), bytes("routing")), (before.1, before.2), "{format:?}");
        }
        fs::remove_dir_all(&tables).expect("emptied");
    }
}
