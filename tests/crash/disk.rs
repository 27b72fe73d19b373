//! The disk is full while a post becomes its recipients, and while a database is brought to a newer form.

use postrider::deliver::sink::Script;
use postrider_tests::installation::{Installation, wait_for};
use postrider_tests::require;
use postrider_tests::site::{
    ANTS, MEMBERS, POST, SOON, Server, make_ants, post, wait_for_log, wait_until_queues_are_empty,
};
use postrider_tests::small_disk::{NEEDS, on_a_small_disk};
use rusqlite::Connection;

const CROWD: &str = "crowd@lists.example.com";
/// Their rows do not fit where a few small posts do.
const MANY: usize = 20_000;

#[test]
fn a_post_whose_recipients_do_not_fit_waits_for_room_and_holds_up_nobody() {
    if !require::all("a_post_whose_recipients_do_not_fit_waits_for_room", NEEDS) {
        return;
    }
    let mta = "incoming: null.NullMTA\nmax_recipients: 500\n";
    let (installation, disk) = on_a_small_disk(mta, "24m", "min_free_space: 0\n");
    make_ants(&installation);
    installation.run(&["create", CROWD]);
    let members: Vec<String> = (0..MANY).map(|number| format!("member{number}@example.org")).collect();
    installation.run_with_input(&["addmembers", "-", CROWD], &members.join("\n"));
    installation.run_with_input(&["addmembers", "-", CROWD], "anne@example.org");
    let server = Server::start(&installation, Script::default());
    let daemon = installation.serve();
    disk.fill_but(600 * 1024);

    let to_the_crowd = POST.replace(ANTS, CROWD).replace("one@", "crowd@");
    assert!(installation.deliver("anne@example.org", &[CROWD], &to_the_crowd)[0].starts_with("250"));
    let line = wait_for_log(&installation, "trying again in");
    assert!(line.contains(CROWD) && line.contains("make room"), "{line}");
    assert!(line.contains(&installation.data().join("spool.db").display().to_string()), "{line}");
    for number in 0..3 {
        let replies = installation.deliver("anne@example.org", &[ANTS], &post(number));
        assert!(replies[0].starts_with("250"), "{replies:?}");
    }
    server.wait_for(3 * MEMBERS.len());
    assert_eq!(server.recipients().len(), 3 * MEMBERS.len(), "the big one waits");
    assert_eq!(installation.json(&["queue", "--json"])["in"].as_array().map(Vec::len), Some(1));

    disk.make_room();
    server.wait_for(3 * MEMBERS.len() + MANY + 1);
    wait_until_queues_are_empty(&installation);
    let mut crowd: Vec<String> = server
        .messages()
        .into_iter()
        .filter(|message| message.sender.starts_with("crowd-bounces"))
        .flat_map(|message| message.recipients)
        .collect();
    crowd.sort();
    assert_eq!(crowd.len(), MANY + 1);
    crowd.dedup();
    assert_eq!(crowd.len(), MANY + 1, "to each once");
    daemon.stop();
}

#[test]
fn an_older_store_is_upgraded_when_there_is_room_and_stays_as_it_was_until_then() {
    if !require::all("an_older_store_is_upgraded_when_there_is_room", NEEDS) {
        return;
    }
    // From no room at all to room for some of the files that SQLite puts beside the database.
    let mut failures = 0;
    for free in [0, 4096, 40 * 1024, 44 * 1024] {
        let (installation, disk) = on_a_small_disk("incoming: null.NullMTA\n", "8m", "min_free_space: 0\n");
        make_ants(&installation);
        let newest = version(&installation, "postrider.db");
        make_store_of_version_1(&installation);
        disk.fill_but(free);
        let output = installation.output(&["lists"]);
        if output.status.success() {
            continue;
        }
        installation.fails_to_serve(&[]);
        disk.make_room();
        failures += 1;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(&installation.data().join("postrider.db").display().to_string()), "{free}: {error}");
        assert!(error.contains("make room on its file system"), "{free}: {error}");
        assert_eq!(version(&installation, "postrider.db"), 1, "the old form, for the old program");
        let file = installation.data().join("postrider.db");
        let old = Connection::open(file).expect("database");
        let whole: String = old.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("check");
        assert_eq!(whole, "ok");
        let members: i64 =
            old.query_row("SELECT count(*) FROM member WHERE role = 'member'", [], |row| row.get(0)).expect("members");
        assert_eq!(members, 3);
        drop(old);

        assert!(installation.run(&["lists"]).contains(ANTS));
        assert_eq!(version(&installation, "postrider.db"), newest);
        installation.serve().stop();
    }
    assert!(failures >= 2, "only {failures} of these were too little room");
}

/// The spool has had one form only, so there is no older one to upgrade; making it is its first migration.
#[test]
fn a_spool_that_cannot_be_made_for_want_of_room_is_made_later() {
    if !require::all("a_spool_that_cannot_be_made_for_want_of_room", NEEDS) {
        return;
    }
    for free in [0, 4096, 40 * 1024] {
        let (installation, disk) = on_a_small_disk("incoming: null.NullMTA\n", "8m", "min_free_space: 0\n");
        make_ants(&installation);
        assert!(!installation.data().join("spool.db").exists());
        disk.fill_but(free);
        let error = installation.fails_to_serve(&[]);
        assert!(error.contains(&installation.data().display().to_string()), "{free}: {error}");
        assert!(error.contains("no space left on the device; make room on its file system"), "{free}: {error}");
        disk.make_room();
        let daemon = installation.serve();
        assert!(installation.deliver("anne@example.org", &[ANTS], POST)[0].starts_with("250"));
        wait_for("the post in the outgoing queue", SOON, || {
            (installation.json(&["queue", "--json"])["out"][0]["waiting"] == 3).then_some(())
        });
        daemon.stop();
    }
}

fn version(installation: &Installation, database: &str) -> i64 {
    let connection = Connection::open(installation.data().join(database)).expect("database");
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("version")
}

/// What was appended since is taken away again.
fn make_store_of_version_1(installation: &Installation) {
    let connection = Connection::open(installation.data().join("postrider.db")).expect("database");
    connection.execute_batch("DROP TABLE change; PRAGMA user_version = 1").expect("version");
}
