//! A backup taken while mail flows, and put back elsewhere.

use postrider_tests::installation::{Installation, wait_for};
use postrider_tests::set_on_drop::SetOnDrop;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::site::{ANTS, MEMBERS, POST, SOON, Server, ants, bare, post};
use postrider::deliver::sink::Script;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("directory");
    for entry in fs::read_dir(from).expect("directory").flatten() {
        if entry.file_type().expect("type").is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copy");
        }
    }
}

#[test]
fn a_backup_taken_while_mail_flows_is_whole_and_can_be_put_back() {
    let installation = ants();
    installation.run(&["set", ANTS, "max_message_size=0", "description=Kept"]);
    // Nobody takes mail: everything stays in the queues.
    let daemon = installation.serve();
    let held = POST.replace("anne@", "stranger@");
    installation.deliver("stranger@example.org", &[ANTS], &held);
    installation.deliver("anne@example.org", &["ants-join@lists.example.com"], POST);
    let large = format!("{}\n{}", post(1000), "x".repeat(70).repeat(10_000));
    installation.deliver("anne@example.org", &[ANTS], &large);
    wait_for("the large post in the outgoing queue", SOON, || {
        let queue = installation.json(&["queue", "--json"]);
        queue["out"].as_array()?.iter().any(|one| one["message_id"] == "<1000@example.org>").then_some(())
    });

    let target = installation.path().join("backup");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = SetOnDrop(&done);
        let flow = scope.spawn(|| {
            let mut number = 0;
            while !done.load(Ordering::SeqCst) {
                installation.deliver("anne@example.org", &[ANTS], &post(number));
                number += 1;
            }
            number
        });
        wait_for("mail that flows", SOON, || installation.log().contains("0@example.org").then_some(()));
        let said = installation.run(&["backup", &target.display().to_string()]);
        done.store(true, Ordering::SeqCst);
        assert!(said.contains(&format!("Backup written to {}", target.display())), "{said}");
        assert!(flow.join().expect("flow") > 0);
    });
    daemon.stop();

    let help = installation.run(&["backup", "--help"]);
    assert!(help.contains("To restore") && help.contains("empty data_dir"), "{help}");
    // A directory for nobody else's eyes: it holds mail and addresses.
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&target).expect("backup").permissions());
    assert_eq!(mode & 0o077, 0, "mode {mode:o}");

    let restored = bare();
    copy(&target, &restored.data());
    restored.run(&["aliases"]);
    assert_eq!(restored.json(&["info", "--json", ANTS])["settings"]["description"], "Kept");
    assert_eq!(restored.json(&["members", "--json", ANTS]), installation.json(&["members", "--json", ANTS]));
    assert_eq!(restored.json(&["held", "--json"])[0]["subject"], "Hello");
    let queue = restored.json(&["queue", "--json"]);
    assert!(queue["in"].as_array().is_some_and(|all| all.iter().any(|one| one["state"] == "kept")), "{queue:#}");
    // A notice to the owner among them: its recipient is one.
    let recipients: u64 =
        queue["out"].as_array().map_or(0, |all| all.iter().filter_map(|one| one["waiting"].as_u64()).sum())
            + 3 * queue["in"].as_array().map_or(0, |all| all.iter().filter(|one| one["state"] == "new").count() as u64);
    let recipients = usize::try_from(recipients).expect("a small number");
    assert!(recipients > MEMBERS.len());

    // The mail of the backup is delivered, the large one whole, and held posts can be decided.
    let server = Server::start(&restored, Script::default());
    let daemon = restored.serve();
    server.wait_for(recipients);
    assert!(server.messages().iter().any(|one| one.message.len() > 700_000));
    let number = restored.json(&["held", "--json"])[0]["id"].to_string();
    restored.run(&["held", "accept", &number]);
    server.wait_for(recipients + MEMBERS.len());
    daemon.stop();
}

#[test]
fn a_post_that_is_accepted_meanwhile_is_in_each_backup() {
    const POSTS: usize = 8;
    let installation = ants();
    installation.run(&["set", ANTS, "max_message_size=0"]);
    let daemon = installation.serve();
    // Its file takes time to copy.
    let large = format!("{}\n{}", post(1000), "x".repeat(70).repeat(400_000));
    installation.deliver("anne@example.org", &[ANTS], &large);
    for number in 0..POSTS {
        installation.deliver("stranger@example.org", &[ANTS], &post(number).replace("anne@", "stranger@"));
    }
    let held = wait_for("held posts", SOON, || {
        let held = installation.json(&["held", "--json"]);
        (held.as_array()?.len() == POSTS).then_some(held)
    });
    let numbers: Vec<String> = held.as_array().into_iter().flatten().map(|one| one["id"].to_string()).collect();
    std::thread::scope(|scope| {
        let accepting =
            scope.spawn(|| numbers.iter().for_each(|number| drop(installation.run(&["held", "accept", number]))));
        for round in 0.. {
            let last = accepting.is_finished();
            let target = installation.path().join(format!("backup{round}"));
            installation.run(&["backup", &target.display().to_string()]);
            let count = |file: &str, sql: &str| {
                let copy = rusqlite::Connection::open(target.join(file)).expect("the copy");
                copy.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a count")
            };
            let held = count("postrider.db", "SELECT count(*) FROM held");
            let accepted = count("spool.db", "SELECT count(*) FROM outgoing WHERE message_id GLOB '<[0-9]@*'");
            assert!(held + accepted >= POSTS as i64, "backup {round}: {held} held and {accepted} accepted");
            fs::remove_dir_all(&target).expect("removed");
            if last {
                break;
            }
        }
        accepting.join().expect("accepted");
    });
    daemon.stop();
}

#[test]
fn a_backup_never_goes_over_something_that_exists() {
    let installation = ants();
    for name in ["directory", "file", "link"] {
        let target = installation.path().join(name);
        match name {
            "directory" => fs::create_dir(&target).expect("directory"),
            "file" => fs::write(&target, "precious").expect("file"),
            _ => std::os::unix::fs::symlink("/nonexistent", &target).expect("link"),
        }
        let error = installation.fails(1, &["backup", &target.display().to_string()]);
        assert!(error.contains("exists already; name a directory that does not"), "{error}");
    }
    assert_eq!(fs::read_to_string(installation.path().join("file")).expect("file"), "precious");
    let error = installation.fails(1, &["backup", "/proc/nonexistent/backup"]);
    assert!(error.contains("/proc/nonexistent/backup") && error.contains("cannot be made"), "{error}");
    assert!(installation.output(&["backup"]).status.code() == Some(2));
}

#[test]
fn a_backup_needs_no_daemon() {
    let installation: Installation = ants();
    let target = installation.path().join("backup");
    installation.run(&["backup", &target.display().to_string()]);
    assert!(target.join("postrider.db").is_file() && target.join("spool.db").is_file());
    assert!(!installation.path().join("backup.part").exists());
}
