//! `queue export` and `queue import` when something is in their way.

use super::site::{ANTS, MEMBERS, POST, SOON, Server, ants, post};
use postrider::deliver::sink::Script;
use postrider_tests::installation::{Installation, wait_for};
use rusqlite::Connection;
use std::os::unix::fs::symlink;

fn spool(installation: &Installation) -> Connection {
    Connection::open(installation.data().join("spool.db")).expect("the spool")
}

fn ants_of_any_size() -> Installation {
    let installation = ants();
    installation.run(&["set", ANTS, "max_message_size=0"]);
    installation
}

/// So long that it is kept in a file.
fn long_post(number: usize) -> String {
    format!("{}\n{}", post(number), "A line of a long post.\n".repeat(20_000))
}

#[test]
fn what_an_import_queued_before_it_failed_is_delivered_and_not_doubled_by_the_next() {
    let installation = ants_of_any_size();
    installation.run_with_input(&["inject", ANTS], POST);
    installation.run_with_input(&["inject", ANTS], &long_post(2));
    let file = installation.run(&["queue", "export", "--all"]);
    installation.run(&["queue", "drop", "--state", "new", "--yes"]);
    let server = Server::start(&installation, Script::default());
    let daemon = installation.serve();
    // The second entry fails.
    spool(&installation)
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON arrival WHEN (SELECT size FROM body WHERE id = NEW.message) > 100000
             BEGIN SELECT RAISE(ABORT, 'no room in this test'); END",
        )
        .expect("sql");
    let error = installation.fails_with_input(&["queue", "import", "-"], &file);
    let told = "what was imported before that is queued, and a second import leaves it alone";
    assert!(error.contains("standard input, line 3: ") && error.contains("no room in this test"), "{error}");
    assert!(error.contains(told), "{error}");
    // Nobody else tells the daemon.
    server.wait_for(MEMBERS.len());
    let error = installation.fails_with_input(&["queue", "import", "-", "--again"], &file);
    assert!(error.contains("with --again queues it once more, one without it leaves it alone"), "{error}");
    server.wait_for(2 * MEMBERS.len());
    spool(&installation).execute_batch("DROP TRIGGER full").expect("sql");
    let said = installation.run_with_input(&["queue", "import", "-"], &file);
    assert!(said.contains("Imported 1 message in,"), "{said}");
    assert!(said.contains("1 message in was passed over: imported before"), "{said}");
    server.wait_for(3 * MEMBERS.len());
    daemon.stop();
}

#[test]
fn what_was_only_imported_again_is_passed_over_by_the_next_import() {
    let installation = ants();
    installation.run_with_input(&["inject", ANTS], POST);
    let file = installation.run(&["queue", "export", "--all"]);
    let said = installation.run_with_input(&["queue", "import", "-", "--again"], &file);
    assert!(said.contains("Imported 1 message in"), "{said}");
    installation.run(&["queue", "drop", "--state", "new", "--yes"]);
    let said = installation.run_with_input(&["queue", "import", "-"], &file);
    assert!(said.contains("1 message in was passed over: imported before"), "{said}");
}

#[test]
fn an_export_names_what_it_cannot_read_and_has_everything_else() {
    let installation = ants_of_any_size();
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], &long_post(1));
    wait_for("mail that waits", SOON, || {
        (installation.json(&["queue", "--json"])["summary"]["out"] == 1).then_some(())
    });
    daemon.stop();
    installation.run_with_input(&["inject", ANTS], &long_post(2));
    installation.run_with_input(&["inject", ANTS], POST);
    let file_of = |sql: &str| {
        let name: String = spool(&installation).query_row(sql, [], |row| row.get(0)).expect("a file");
        installation.data().join("spool/bodies").join(name)
    };
    let arrival = file_of("SELECT file FROM body WHERE id = (SELECT min(message) FROM arrival)");
    std::fs::remove_file(&arrival).expect("remove");
    // It is there, but cannot be looked at.
    let outgoing = file_of("SELECT file FROM body WHERE id = (SELECT body FROM outgoing)");
    std::fs::remove_file(&outgoing).expect("remove");
    symlink(&outgoing, &outgoing).expect("a loop");
    let numbers = installation.json(&["queue", "--json"]);
    let [arrival_number, outgoing_number] = ["in", "out"].map(|queue| numbers[queue][0]["id"].to_string());

    for format in ["json", "mbox"] {
        let exported = installation.path().join(format);
        let exported = exported.to_str().expect("UTF-8");
        let error = installation.fails(1, &["queue", "export", "--all", "--format", format, "-o", exported]);
        for told in [
            format!("in {arrival_number} is not in the export"),
            format!("{}: the file of this message is gone", arrival.display()),
            format!("out {outgoing_number} is not in the export"),
            format!("{}: cannot read a message: ", outgoing.display()),
            "exported 1 message in, 0 messages out, 0 recipients".to_owned(),
        ] {
            assert!(error.contains(&told), "{told}: {error}");
        }
        let said = installation.run(&["queue", "import", "--dry-run", exported]);
        assert!(said.contains("is good: 1 message in, 0 messages out to 0 recipients"), "{said}");
    }
    let error = installation.fails(1, &["queue", "show", "in", &arrival_number]);
    assert!(error.contains("the file of this message is gone; put it back"), "{error}");
    let output = installation.output(&["queue", "show", "out", &outgoing_number, "--recipients"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(MEMBERS.iter().all(|member| said.contains(member)), "{said}");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("cannot read a message: "), "{error}");
    // What was not written is not taken out either.
    let file = installation.path().join("removed");
    let file = file.to_str().expect("UTF-8");
    let error = installation.fails(1, &["queue", "export", "--all", "--remove", "-o", file]);
    assert!(error.contains("taken out of the queue: 1 of 1"), "{error}");
    let summary = &installation.json(&["queue", "--json"])["summary"];
    assert_eq!((&summary["in"], &summary["out"]), (&1.into(), &1.into()));
}

#[test]
fn a_row_that_cannot_be_read_hides_none_and_is_shown_dropped_and_not_exported() {
    let installation = ants_of_any_size();
    for _ in 0..2 {
        installation.run_with_input(&["inject", ANTS], POST);
    }
    spool(&installation).execute("UPDATE arrival SET sender = 'nobody' WHERE id = 1", []).expect("sql");
    let listed = installation.json(&["queue", "--json"]);
    assert_eq!(listed["in"].as_array().map(Vec::len), Some(2), "{listed}");
    let why = "its row in the spool cannot be read: ";
    for shown in [&["queue"][..], &["queue", "show", "in", "1"]] {
        let said = installation.run(shown);
        assert!(said.contains(why), "{said}");
    }
    let exported = installation.path().join("exported");
    let exported = exported.to_str().expect("UTF-8");
    let error = installation.fails(1, &["queue", "export", "--all", "--remove", "-o", exported]);
    for told in ["in 1 is not in the export", why, "`queue drop in 1` gives it up", "taken out of the queue: 1 of 1"] {
        assert!(error.contains(told), "{told}: {error}");
    }
    let daemon = installation.serve();
    wait_for("its being put aside", SOON, || {
        (installation.json(&["queue", "--json"])["summary"]["shunted"] == 1).then_some(())
    });
    daemon.stop();
    installation.run(&["queue", "drop", "in", "1"]);
    assert_eq!(installation.json(&["queue", "--json"])["summary"]["in"], 0);
}

#[test]
fn an_mbox_has_everything_that_it_can_keep_and_names_the_rest() {
    let installation = ants();
    installation.run_with_input(&["inject", ANTS], POST);
    installation.run_with_input(&["inject", ANTS], &post(2));
    let bare = "UPDATE body SET data = CAST(replace(CAST(data AS TEXT), char(13), '') AS BLOB) WHERE id =
                (SELECT min(message) FROM arrival)";
    assert_eq!(spool(&installation).execute(bare, []), Ok(1));
    spool(&installation).execute("UPDATE body SET size = length(data)", []).expect("sql");
    let number = installation.json(&["queue", "--json"])["in"][0]["id"].to_string();

    let file = installation.path().join("some.mbox");
    let file = file.to_str().expect("UTF-8");
    let error = installation.fails(1, &["queue", "export", "--all", "--format", "mbox", "--remove", "-o", file]);
    let told = format!("in {number} is not in the export: it has lines that do not end in CRLF");
    assert!(error.contains(&told) && error.contains("exported 1 message in"), "{error}");
    let said = installation.run(&["queue", "import", "--dry-run", file]);
    assert!(said.contains("is good: 1 message in"), "{said}");
    // It stays, and goes into a file of the other kind.
    let all = installation.run(&["queue", "export", "--all"]);
    let said = installation.run_with_input(&["queue", "import", "--dry-run", "-"], &all);
    assert!(said.contains("is good: 1 message in"), "{said}");
}

#[test]
fn an_mbox_without_its_end_is_imported_with_a_remark() {
    let installation = ants();
    installation.run_with_input(&["inject", ANTS], POST);
    installation.run_with_input(&["inject", ANTS], &post(2));
    let file = installation.run(&["queue", "export", "--all", "--format", "mbox"]);
    installation.run(&["queue", "drop", "--state", "new", "--yes"]);
    let ends: Vec<usize> = file.match_indices("\n\nFrom ").map(|(at, _)| at + 2).collect();
    let [second, last] = ends[..] else { panic!("{file}") };
    let changed = format!("{}{}", &file[..second], &file[last..]);
    let error = installation.fails_with_input(&["queue", "import", "-"], &changed);
    assert!(error.contains("had 2 in, 0 out and 0 recipients when it was written, and has 1, 0 and 0 now"), "{error}");
    for (length, imported, remark) in [(second, "1 message in", true), (file.len(), "1 message in", false)] {
        let path = installation.path().join("some.mbox");
        std::fs::write(&path, &file[..length]).expect("write");
        let output = installation.output(&["queue", "import", path.to_str().expect("UTF-8")]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(&format!("Imported {imported}")), "{said}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(error.contains("(X-Postrider-Total), is not there"), remark, "{error}");
    }
}
