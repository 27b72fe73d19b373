//! No room on the data directory: a small file system of its own, filled to the last octet.

use postrider_tests::installation::{Installation, wait_for};
use postrider_tests::require;
use postrider_tests::small_disk::{NEEDS, SmallDisk, on_a_small_disk};
use std::fs;

use super::site::{ANTS, MEMBERS, POST, SOON, Server, make_ants, post, wait_until_queues_are_empty};
use postrider::deliver::sink::Script;

#[test]
fn mail_is_put_off_while_the_disk_is_full_and_flows_again_afterwards() {
    if !require::all("mail_is_put_off_while_the_disk_is_full", NEEDS) {
        return;
    }
    let (installation, disk) = on_a_small_disk("incoming: null.NullMTA\n", "8m", "min_free_space: 0\n");
    make_ants(&installation);
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], &post(1));
    wait_for("the post in the outgoing queue", SOON, || {
        (installation.json(&["queue", "--json"])["out"][0]["waiting"] == 3).then_some(())
    });
    disk.fill();

    // Small ones, which go into the database, and a large one, which gets a file.
    let large = format!("{POST}\n{}", "x".repeat(70).repeat(10_000));
    for message in [&post(2), &large, &post(3)] {
        let mut lmtp = installation.lmtp();
        let mail = lmtp.send("MAIL FROM:<anne@example.org>");
        if mail.starts_with("250") {
            lmtp.expect(&format!("RCPT TO:<{ANTS}>"), "250");
            lmtp.expect("DATA", "354");
            lmtp.write(format!("{}\r\n.\r\n", message.replace('\n', "\r\n")).as_bytes());
            let reply = lmtp.reply();
            assert!(reply.starts_with("452 4.3.1"), "{reply}");
        } else {
            assert!(mail.starts_with("452 4.3.1"), "{mail}");
        }
    }
    let log = installation.log();
    assert!(log.contains("no space left") && log.contains(&disk.path().display().to_string()), "{log}");

    disk.make_room();
    let replies = installation.deliver("anne@example.org", &[ANTS], &post(4));
    assert!(replies[0].starts_with("250"), "{replies:?}");
    let server = Server::start(&installation, Script::default());
    installation.run(&["queue", "retry"]);
    server.wait_for(2 * MEMBERS.len());
    wait_until_queues_are_empty(&installation);
    assert_eq!(server.messages().len(), 2, "only what was answered 250");
    let bodies = fs::read_dir(installation.data().join("spool/bodies")).map_or(0, Iterator::count);
    assert_eq!(bodies, 0, "nothing half-written is left");
    daemon.stop();
}

#[test]
fn mail_is_put_off_before_the_disk_is_full() {
    if !require::all("mail_is_put_off_before_the_disk_is_full", NEEDS) {
        return;
    }
    let (installation, _disk) = on_a_small_disk("incoming: null.NullMTA\n", "8m", "min_free_space: 16M\n");
    make_ants(&installation);
    let shown = installation.output(&["conf", "--check"]);
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains("MiB free, less than 16 MiB, so all mail is put off"), "{shown}");
    let daemon = installation.serve();
    installation.lmtp().expect("MAIL FROM:<anne@example.org>", "452 4.3.1");
    daemon.stop();
}

#[test]
fn a_list_cannot_be_made_on_a_full_disk_and_can_when_there_is_room() {
    if !require::all("a_list_cannot_be_made_on_a_full_disk", NEEDS) {
        return;
    }
    let mta = "incoming: postfix.LMTP\nconfiguration: $DIR/postfix.cfg\n";
    let (installation, disk) = on_a_small_disk(mta, "8m", "min_free_space: 0\n");
    installation.run(&["create", "bees@lists.example.com"]);
    let table = || fs::read(installation.data().join("postfix_lmtp.sqlite")).expect("table");
    let published = table();
    disk.fill();
    // The list may be in the store, when there was room in the database; the MTA's tables are whole in any case.
    let output = installation.output(&["create", ANTS]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 3)), "{output:?}");
    assert!(error.contains("full") || error.to_lowercase().contains("no space left"), "{error}");
    assert!(error.contains("room") || error.contains("free some space"), "what to do: {error}");
    assert!(table() == published, "the published table is untouched");

    disk.make_room();
    if output.status.code() == Some(1) {
        assert!(!installation.run(&["lists"]).contains(ANTS), "nothing is half made");
        installation.run(&["create", ANTS]);
    } else {
        installation.run(&["aliases"]);
    }
    assert!(table().windows(ANTS.len()).any(|part| part == ANTS.as_bytes()));
    let left: Vec<_> = fs::read_dir(installation.data())
        .expect("directory")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| {
            name.contains(".tmp") || name.contains("staged") || name.contains(".new") || name.contains(".part")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn tables_that_do_not_fit_are_published_when_there_is_room_and_the_list_is_kept() {
    if !require::all("tables_that_do_not_fit_are_published_when_there_is_room", NEEDS) {
        return;
    }
    let installation = Installation::new();
    let disk = SmallDisk::mount(&installation.path().join("tables"), "2m");
    let config = fs::read_to_string(installation.config()).expect("configuration");
    let config = config.replace("lock_dir:", &format!("table_dir: {}\nlock_dir:", disk.path().display()));
    installation.write("postrider.cfg", &config);
    installation.run(&["create", "bees@lists.example.com"]);
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(disk.path()).expect("directory").flatten().map(|one| one.file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let table = || fs::read(disk.path().join("postfix_lmtp.sqlite")).expect("table");
    let published = table();
    disk.fill();
    let error = installation.fails(3, &["create", ANTS]);
    let first = error.lines().next().unwrap_or_default();
    assert!(first.contains(&disk.path().display().to_string()), "{error}");
    assert!(first.contains("full") || first.to_lowercase().contains("no space left"), "{error}");
    assert!(error.contains("run `postrider aliases`"), "{error}");
    assert!(table() == published, "the published table is untouched");
    assert!(installation.run(&["lists"]).contains(ANTS));
    disk.make_room();
    installation.run(&["aliases"]);
    assert!(table().windows(ANTS.len()).any(|part| part == ANTS.as_bytes()));
    assert_eq!(names(), before, "nothing half-written is left");
}

#[test]
fn a_backup_that_does_not_fit_leaves_nothing_behind() {
    if !require::all("a_backup_that_does_not_fit_leaves_nothing_behind", NEEDS) {
        return;
    }
    let installation = super::site::ants();
    installation.run_with_input(&["inject", ANTS], &format!("{POST}\n{}", "x".repeat(70).repeat(30_000)));
    let disk = SmallDisk::mount(&installation.path().join("small"), "1m");
    let target = disk.path().join("backup").display().to_string();
    let error = installation.fails(1, &["backup", &target]);
    assert!(error.contains(&disk.path().display().to_string()), "{error}");
    assert!(error.to_lowercase().contains("no space left") || error.contains("full"), "{error}");
    let left: Vec<_> = fs::read_dir(disk.path()).expect("directory").flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}
