//! Tables that are directories, and paths outside the table directory.

use super::{Lab, Options, apply, mode, required};
use crate::hookup::testing::{compiled, directory, marked_directory, roster};
use postrider_plugin_api::sdk::{SettingKind, SettingSpec, TableFormat};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

#[test]
fn in_a_marked_directory_other_peoples_files_stay_and_are_not_replaced() {
    let lab = Lab::new(marked_directory());
    let home = lab.tables().join("accepted");
    fs::create_dir_all(&home).expect("made");
    fs::write(home.join("notes"), "mine\n").expect("written");
    fs::write(home.join("bees@example.com"), "# made by a tester\n").expect("written");
    std::os::unix::fs::symlink("notes", home.join("link")).expect("linked");
    apply(&lab, &["ants@example.com"]).expect("applied");
    assert_eq!(
        fs::read_to_string(home.join("ants@example.com")).expect("there"),
        "# made by a test\nof.ants.example.com\n"
    );
    let error = apply(&lab, &["bees@example.com"]).expect_err("somebody else's").to_string();
    assert!(error.contains("accepted/bees@example.com is not Postrider's (its first line"), "{error}");
    assert!(error.contains("move it away") && error.contains("postrider aliases"), "{error}");
    assert!(home.join("ants@example.com").exists(), "nothing was touched");
    fs::remove_file(home.join("bees@example.com")).expect("moved away");
    apply(&lab, &["bees@example.com"]).expect("applied");
    assert!(!home.join("ants@example.com").exists());
    assert_eq!(fs::read_to_string(home.join("notes")).expect("there"), "mine\n");
    assert!(home.join("link").symlink_metadata().is_ok());
}

#[test]
fn a_directory_of_our_own_is_cleaned_and_damage_is_repaired() {
    let lab = Lab::new(directory());
    apply(&lab, &["ants@example.com"]).expect("applied");
    let whole = lab.all_files();
    let own = lab.tables().join("accepted");
    fs::write(own.join("stray"), "x").expect("written");
    fs::write(own.join(".postrider-1-new-0"), "left by a killed run").expect("written");
    fs::write(own.join("ants@example.com"), b"\xff\0").expect("damaged");
    fs::set_permissions(own.join("ants-owner@example.com"), Permissions::from_mode(0o600)).expect("mode");
    let report = apply(&lab, &["ants@example.com"]).expect("applied");
    assert_eq!(report.to_string(), "accepted: ~2 -1\nrouting: unchanged");
    assert_eq!(lab.all_files(), whole);
    assert_eq!(mode(&own.join("ants-owner@example.com")), 0o644);
    assert!(!apply(&lab, &["ants@example.com"]).expect("applied").changed());

    // Whoever named the wrong directory does not lose a database.
    rusqlite::Connection::open(own.join("lists.db")).and_then(|c| c.execute_batch("CREATE TABLE a (b)")).expect("made");
    apply(&lab, &["bees@example.com"]).expect("applied");
    assert!(own.join("lists.db").exists());
}

#[test]
fn what_a_failure_replaced_in_a_directory_is_brought_back_octet_by_octet() {
    for format in [directory(), marked_directory()] {
        let lab = Lab::new(format);
        apply(&lab, &["ants@example.com", "bees@example.com"]).expect("applied");
        let mut damaged = fs::read(lab.tables().join("accepted/bees@example.com")).expect("there");
        damaged.push(b'\xff');
        fs::write(lab.tables().join("accepted/bees@example.com"), damaged).expect("written");
        let before = lab.all_files();
        let argv = lab.script("exit 1");
        lab.set(|setup| setup.activate = Some(required(argv, &["accepted"])));
        apply(&lab, &["bees@example.com", "cats@new.example"]).expect_err("fails");
        let mut after = lab.all_files();
        after.remove(".postrider-unfinished");
        after.retain(|name, _| !name.contains("/.postrider-"));
        assert_eq!(after, before);
    }
}

#[test]
fn a_directory_that_others_have_filled_is_not_taken_over() {
    let lab = Lab::new(directory());
    let own = lab.tables().join("accepted");
    fs::create_dir_all(&own).expect("made");
    fs::write(own.join("thesis.txt"), "three years").expect("written");
    let error = apply(&lab, &["ants@example.com"]).expect_err("refused").to_string();
    assert!(error.contains("accepted would be Postrider's alone"), "{error}");
    assert!(error.contains("move it away") && error.contains("touch "), "{error}");
    lab.hookup.preview(&roster(&["ants@example.com"])).expect_err("told before it happens");
    assert_eq!(fs::read_to_string(own.join("thesis.txt")).expect("there"), "three years");

    fs::remove_file(own.join("thesis.txt")).expect("removed");
    apply(&lab, &["ants@example.com"]).expect("an empty one is taken");
    assert!(own.join(".postrider").is_file() && lab.tables().join("routing/.postrider").is_file());
    assert_eq!(mode(&own.join(".postrider")), 0o644);
    assert!(!apply(&lab, &["ants@example.com"]).expect("applied").changed());
    assert!(own.join(".postrider").is_file());

    // Without the note it counts as another's again, also for single changes.
    fs::remove_file(own.join(".postrider")).expect("removed");
    apply(&lab, &["bees@example.com"]).expect_err("refused");
    fs::write(own.join(".postrider"), "").expect("touched");
    apply(&lab, &["bees@example.com"]).expect("applied");
    assert!(!own.join("ants@example.com").exists());
}

#[test]
fn an_empty_directory_of_our_own_is_taken_before_it_has_rows() {
    let lab = Lab::new(directory());
    let own = lab.tables().join("accepted");
    fs::create_dir_all(&own).expect("made");
    apply(&lab, &[]).expect("applied");
    assert!(own.join(".postrider").is_file());
}

#[test]
fn the_table_directory_and_the_administrators_are_never_wholly_ours() {
    let lab = Lab::new(directory());
    let outside = lab.outside();
    fs::create_dir(&outside).expect("made");
    lab.set(|setup| setup.prefix = format!("{}/", outside.display()));
    apply(&lab, &["ants@example.com"]).expect("ones below an output directory");

    let (inner, other) = (outside.join("accepted"), outside.join("routing"));
    let named = [("output", &inner), ("other", &other)];
    let settings = named.map(|(name, path)| (name, path.display().to_string())).into_iter().collect();
    let specs = named.map(|(name, _)| SettingSpec::new(name, SettingKind::OutputDirectory, "", ""));
    let hookup = lab.with_tables_in(&lab.tables()).with_settings(&specs, &settings, "1.0");
    let error = hookup.apply(&roster(&["ants@example.com"]), Options::default());
    let error = error.expect_err("the administrator's").to_string();
    assert!(error.contains("is the administrator's; one below it can be"), "{error}");

    // A table directory inside what would be a table.
    let hookup = lab.with_tables_in(&inner.join("tables"));
    let error = hookup.apply(&roster(&["ants@example.com"]), Options::default());
    let error = error.expect_err("it holds the table directory").to_string();
    assert!(error.contains("would be Postrider's alone"), "{error}");
}

#[test]
fn absolute_paths_lead_into_the_administrators_directories_that_must_be_there() {
    for format in [TableFormat::Text, TableFormat::Sqlite, compiled(), directory(), marked_directory()] {
        let lab = Lab::new(format.clone());
        let outside = lab.outside();
        lab.set(|setup| setup.prefix = format!("{}/", outside.display()));
        let error = apply(&lab, &["ants@example.com"]).expect_err("no such directory").to_string();
        assert!(error.contains("outside") && error.contains("does not exist; make it"), "{error}");
        fs::create_dir(&outside).expect("made");
        if format == marked_directory() {
            let error = apply(&lab, &["ants@example.com"]).expect_err("no such directory").to_string();
            assert!(error.contains("does not exist; make it"), "{error}");
            fs::create_dir(outside.join("accepted"))
                .and_then(|()| fs::create_dir(outside.join("routing")))
                .expect("made");
        }
        apply(&lab, &["ants@example.com"]).expect("applied");
        assert!(outside.join("accepted").exists() && outside.join("routing").exists());
        assert!(lab.all_files().is_empty(), "{:?}", lab.all_files().keys());
        let report = apply(&lab, &["bees@example.com"]).expect("applied");
        assert!(report.changed());
        let left: Vec<_> = fs::read_dir(&outside).expect("there").map(|one| one.expect("entry").file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");

        let elsewhere = lab.dir.path().join("elsewhere");
        lab.hookup.write_to(&elsewhere, &roster(&["cats@example.com"])).expect("written");
        let below = elsewhere.join(outside.strip_prefix("/").expect("absolute"));
        assert!(below.join("accepted").exists(), "{format:?}");
        assert!(lab.hookup.preview(&roster(&["bees@example.com"])).expect("preview").is_empty());
    }
}

#[test]
fn a_path_outside_what_the_settings_name_is_refused() {
    let lab = Lab::new(TableFormat::Text);
    for prefix in
        ["/etc/".to_owned(), format!("{}x/", lab.outside().display()), format!("{}/../", lab.outside().display())]
    {
        lab.set(|setup| setup.prefix.clone_from(&prefix));
        let error = apply(&lab, &["ants@example.com"]).expect_err("refused").to_string();
        assert!(error.contains("cannot be used") && error.contains("mistake of the plugin"), "{error}");
    }
}
