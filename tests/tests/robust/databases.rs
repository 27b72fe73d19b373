//! Database files that are damaged, cannot be written, or are somebody else's.

use postrider_tests::installation::Installation;
use postrider_tests::require::{self, Capability};
use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;

use super::commands::give_to_nobody;
use super::site::{ANTS, POST, ants, bare};

const FILES: [&str; 2] = ["postrider.db", "spool.db"];

/// A command that opens this file.
fn command_for(file: &str) -> &'static [&'static str] {
    if file == "spool.db" { &["queue"] } else { &["lists"] }
}

fn file(installation: &Installation, name: &str) -> PathBuf {
    installation.data().join(name)
}

#[test]
fn what_is_no_database_is_left_alone_and_told() {
    for name in FILES {
        let installation = ants();
        installation.run(&["queue"]);
        let file = file(&installation, name);
        let rubbish = b"This is somebody's notes, and no database.\n".repeat(200);
        fs::write(&file, &rubbish).expect("file");
        for args in [command_for(name), &["serve"]] {
            let error = installation.fails(1, args);
            assert!(error.contains(&file.display().to_string()), "{error}");
            assert!(error.contains("not a database") && error.contains("restore a backup"), "{error}");
        }
        assert_eq!(fs::read(&file).expect("file"), rubbish, "not changed");
    }
}

#[test]
fn a_database_of_lists_that_is_gone_is_not_made_anew() {
    let (used, published) = (ants(), Installation::new());
    used.run_with_input(&["inject", ANTS], POST);
    published.run(&["create", ANTS, "--owner", "olga@example.org"]);
    for (installation, trace) in [(&used, "spool.db"), (&published, ".postrider-published")] {
        let (database, kept) = (file(installation, "postrider.db"), installation.path().join("kept.db"));
        fs::rename(&database, &kept).expect("the database");
        for emptied in [false, true] {
            if emptied {
                fs::write(&database, "").expect("an empty file");
            }
            for args in [&["lists"][..], &["create", "bees@lists.example.com"], &["aliases"], &["serve"]] {
                let error = installation.fails(1, args);
                assert!(
                    error.contains(&format!("{} with all lists and members is gone", database.display())),
                    "{error}"
                );
                assert!(error.contains(trace) && error.contains("Restore it from a backup"), "{error}");
            }
            assert_eq!(fs::metadata(&database).map_or(0, |metadata| metadata.len()), 0, "nothing was made");
        }
        assert!(installation.run(&["queue", "export", "--all"]).contains("\"end\""), "mail can be saved");
        fs::rename(&kept, &database).expect("put back");
        assert!(installation.run(&["lists"]).contains(ANTS));
    }
    // What was never used shows nothing.
    let new = bare();
    new.run(&["queue"]);
    assert!(!file(&new, "postrider.db").exists() && file(&new, "spool.db").exists());
    new.serve().stop();
}

#[test]
fn a_damaged_database_is_told_with_what_to_do() {
    let installation = ants();
    installation.run_with_input(&["inject", ANTS], POST);
    for name in FILES {
        let file = file(&installation, name);
        let database = fs::OpenOptions::new().write(true).open(&file).expect("file");
        let length = database.metadata().expect("metadata").len();
        for page in 1..length / 4096 {
            database.write_all_at(&[0x55; 4096], page * 4096).expect("write");
        }
        let error = installation.fails(1, command_for(name));
        assert!(error.contains(&file.display().to_string()), "{error}");
        assert!(error.contains("damaged") && error.contains("restore a backup"), "{error}");
    }
}

#[test]
fn databases_of_other_programs_are_not_touched() {
    for name in FILES {
        for (sql, id) in [
            ("PRAGMA application_id = 1234; CREATE TABLE t (x);", "0x4d2"),
            // Mailman's says nothing of itself.
            (
                "CREATE TABLE mailinglist (id INTEGER PRIMARY KEY, list_name TEXT); INSERT INTO mailinglist VALUES (1, 'ants');",
                "0x0",
            ),
        ] {
            let installation = bare();
            fs::create_dir_all(installation.data()).expect("directory");
            let file = file(&installation, name);
            rusqlite::Connection::open(&file).and_then(|db| db.execute_batch(sql)).expect("database");
            let before = fs::read(&file).expect("file");
            for args in [command_for(name), &["serve"]] {
                let error = installation.fails(1, args);
                assert!(error.contains(&file.display().to_string()), "{error}");
                assert!(error.contains("is not a Postrider") && error.contains(id), "{error}");
            }
            assert_eq!(fs::read(&file).expect("file"), before, "not changed");
        }
    }
}

#[test]
fn a_database_of_a_newer_postrider_is_refused() {
    for name in FILES {
        let installation = ants();
        installation.run(&["queue"]);
        let file = file(&installation, name);
        let newer = rusqlite::Connection::open(&file).and_then(|db| db.execute_batch("PRAGMA user_version = 99"));
        newer.expect("database");
        let error = installation.fails(1, command_for(name));
        assert!(error.contains("newer Postrider (schema 99") && error.contains("upgrade"), "{error}");
    }
}

#[test]
fn a_database_that_cannot_be_written_is_told_with_what_to_check() {
    if !require::all("a_database_that_cannot_be_written_is_told", &[Capability::Root]) {
        return;
    }
    let installation = ants();
    give_to_nobody(installation.path());
    installation.run(&["queue"]);
    for (name, args) in [("postrider.db", &["set", ANTS, "description=x"][..]), ("spool.db", &["inject", ANTS, "post"])]
    {
        installation.write("post", POST);
        let post = installation.path().join("post").display().to_string();
        let args: Vec<&str> = args.iter().map(|arg| if *arg == "post" { post.as_str() } else { arg }).collect();
        let file = file(&installation, name);
        chown(&file, Some(0), Some(0)).expect("chown");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).expect("mode");
        let error = installation.fails(1, &args);
        assert!(error.contains(&file.display().to_string()) && error.contains("owner and mode"), "{error}");
        // SQLite gave its helpers the same mode.
        for helper in ["", "-wal", "-shm"] {
            let helper = file.with_file_name(format!("{name}{helper}"));
            if helper.exists() {
                fs::set_permissions(&helper, fs::Permissions::from_mode(0o600)).expect("mode");
            }
        }
        give_to_nobody(installation.path());
        installation.run(&args);
    }
}

#[test]
fn a_data_directory_that_cannot_be_made_is_told() {
    let installation = bare();
    fs::write(installation.path().join("var"), "a file").expect("file");
    let error = installation.fails(1, &["lists"]);
    assert!(error.contains("var") && error.contains("cannot be made"), "{error}");
    assert!(error.contains("[paths."), "{error}");
}
