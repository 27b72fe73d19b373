//! The example in C, used by the real program: listed, hooked up, its table on disk, mail in and out.

use postrider_tests::c;
use postrider_tests::installation::{Installation, wait_for};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);
const MTA: &str = "incoming: acme.LMTP\noutgoing: acme.Pipe\nconfiguration: $DIR/acme.cfg\n";

fn program(installation: &Installation, name: &str, script: &str) -> String {
    installation.write(name, &format!("#!/bin/sh\n{script}\n"));
    let file = installation.path().join(name);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file.display().to_string()
}

/// With the example, its two programs, and a directory for its configuration.
fn installation() -> Installation {
    let installation = Installation::with_mta(MTA);
    let library = c::build("plugins/examples/c/acme.c", &c::include_dir(), &[]);
    installation.write("acme.so", "");
    fs::write(installation.path().join("acme.so"), library).unwrap();
    installation.install_plugin(&installation.path().join("acme.so"), "libpostrider_acme.so");
    let dir = installation.path().display().to_string();
    let makemap = program(
        &installation,
        "acme-makemap",
        "[ \"$1\" = -v ] && { echo 'acme 7.1'; exit 0; }\n{ echo compiled; cat \"$1\"; } > \"$1.db\"",
    );
    let sendmail = program(
        &installation,
        "acme-sendmail",
        &format!(
            "cat > {dir}/mail\nprintf '%s\\n' \"$@\" > {dir}/arguments.new\nmv {dir}/arguments.new {dir}/arguments"
        ),
    );
    let settings = format!("[acme]\nmakemap: {makemap}\nsendmail: {sendmail}\ndirectory: {dir}/etc\n");
    installation.write("acme.cfg", &settings);
    fs::create_dir(installation.path().join("etc")).unwrap();
    installation
}

#[test]
fn the_list_shows_it_with_its_interface_and_compiler() {
    let installation = installation();
    let listed = installation.run(&["plugins"]);
    assert!(listed.contains("acme 0.1.0\n"), "{listed}");
    assert!(listed.contains("acme.LMTP  incoming: Lists as a table of the acme mail server"), "{listed}");
    assert!(listed.contains("acme.Pipe  outgoing: Mail through acme-sendmail"), "{listed}");
    assert!(listed.contains("built for plugin API C 1.0 with "), "{listed}");
    let listed = installation.json(&["plugins", "--json"]);
    let acme = listed.as_array().unwrap().iter().find(|plugin| plugin["name"] == "acme").unwrap();
    assert_eq!((&acme["usable"], &acme["api_version"]), (&true.into(), &"C 1.0".into()));
    assert!(acme["built_with"].as_str().unwrap().chars().any(|letter| letter.is_ascii_digit()), "{acme}");
}

#[test]
fn its_table_follows_the_lists() {
    let installation = installation();
    installation.run(&["create", "ants@lists.example.com"]);
    let row = |address: &str| format!("{address} lmtp:[127.0.0.1]:{}", installation.lmtp_port);
    let table = installation.table("acme_lists");
    assert!(table.contains("\n# The addresses of all mailing lists.\n"), "{table}");
    for address in ["ants@lists.example.com", "ants-bounces@lists.example.com", "ants-request@lists.example.com"] {
        assert!(table.lines().any(|line| line == row(address)), "{address}: {table}");
    }
    assert_eq!(installation.table("acme_lists.db"), format!("compiled\n{table}"));

    // A list that is called like a sub-address of the other: one row, as for every plugin.
    installation.run(&["create", "ants-request@lists.example.com"]);
    let table = installation.table("acme_lists");
    assert_eq!(table.lines().filter(|line| line.starts_with("ants-request@")).count(), 1, "{table}");
    assert!(table.contains("\nants-request-bounces@"), "{table}");
    installation.run(&["remove", "ants@lists.example.com"]);
    let table = installation.table("acme_lists");
    assert!(!table.contains("ants@") && table.contains("\nants-request@"), "{table}");
    assert_eq!(installation.table("acme_lists.db"), format!("compiled\n{table}"));

    let dry = installation.run(&["aliases", "--dry-run"]);
    assert!(!dry.contains("acme_lists"), "nothing is to be done: {dry}");
}

#[test]
fn a_compiler_that_fails_leaves_the_old_table() {
    let installation = installation();
    installation.run(&["create", "ants@lists.example.com"]);
    let before = (installation.table("acme_lists"), installation.table("acme_lists.db"));
    program(&installation, "acme-makemap", "echo no >&2; exit 1");
    let output = installation.output(&["create", "bees@lists.example.com"]);
    assert!(!output.status.success());
    assert_eq!((installation.table("acme_lists"), installation.table("acme_lists.db")), before);
}

#[test]
fn the_hookup_shows_its_line_and_sees_whether_it_is_there() {
    let installation = installation();
    let line = format!("lists = table:{}/acme_lists", installation.data().display());
    let shown = installation.run(&["hookup"]);
    assert!(shown.contains(&line) && shown.contains("etc/acme.conf"), "{shown}");

    let check = || {
        let output = installation.output(&["hookup", "--check"]);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (status, text) = check();
    assert!(status == Some(1) && text.contains("the file cannot be read"), "{text}");
    installation.write("etc/acme.conf", "listen = 25\n");
    let (status, text) = check();
    assert!(status == Some(1) && text.contains("no such line"), "{text}");
    installation.write("etc/acme.conf", &format!("listen = 25\n{line}\n"));
    let (status, text) = check();
    assert!(status == Some(0), "{text}");
}

#[test]
fn a_post_comes_in_and_goes_out_through_it() {
    let installation = installation();
    installation.run(&["create", "ants@lists.example.com", "--owner", "olga@example.org"]);
    installation.run_with_input(&["addmembers", "-", "ants@lists.example.com"], "anne@example.org\nbart@example.net\n");
    let daemon = installation.serve();
    let post = "From: Anne <anne@example.org>\nTo: ants@lists.example.com\nSubject: Hello\n\
                Message-ID: <one@example.org>\nDate: Sun, 22 Nov 2026 10:00:00 +0000\n\nHello, ants.";
    let replies = installation.deliver("anne@example.org", &["ants@lists.example.com"], post);
    assert!(replies[0].starts_with("250"), "{replies:?}");
    let arguments =
        wait_for("the program's call", SOON, || fs::read_to_string(installation.path().join("arguments")).ok());
    let arguments: Vec<&str> = arguments.lines().collect();
    assert_eq!(arguments, ["-f", "ants-bounces@lists.example.com", "--", "anne@example.org", "bart@example.net"]);
    let mail = fs::read_to_string(installation.path().join("mail")).unwrap();
    assert!(mail.contains("\nSubject: [Ants] Hello\n") && mail.ends_with("\n\nHello, ants.\n"), "{mail}");
    wait_for("an empty queue", SOON, || installation.run(&["queue"]).contains("empty").then_some(()));
    daemon.stop();
}

#[test]
fn an_mta_that_is_not_there_is_told_like_any_other() {
    let installation = installation();
    let settings = "[acme]\nmakemap: /nonexistent/acme-makemap\nsendmail: /nonexistent/acme-sendmail\n";
    installation.write("acme.cfg", settings);
    let output = installation.output(&["create", "ants@lists.example.com"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("/nonexistent/acme-makemap"), "{error}");
    // The configuration is checked with what the plugin declares.
    installation.write("acme.cfg", "[acme]\nmakemap: relative\n");
    let output = installation.output(&["aliases"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("makemap"));
    installation.write("acme.cfg", "[acme]\nmakemab: /sbin/x\n");
    let output = installation.output(&["aliases"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("makemab") && error.contains("did you mean"), "{error}");
}
