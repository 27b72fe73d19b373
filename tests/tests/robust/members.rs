//! People who come and go, in files with mistakes.

use std::process::Stdio;

use super::site::{ANTS, ants, bare};
use serde_json::json;

#[test]
fn wrong_lines_are_named_and_the_right_ones_are_added() {
    let installation = bare();
    installation.run(&["create", ANTS]);
    let file = installation.path().join("people");
    let lines: &[u8] = b"\xef\xbb\xbfanne@example.org\r\nBart Person <bart@example.net>\n\nnot an address\n# comment\n\
        carla@@example.com\nJ\xf6rg <joerg@example.com>\n\xff\xfe@example.com\nANNE@example.org\nlast@example.com";
    std::fs::write(&file, lines).expect("file");
    let name = file.display().to_string();
    let output = installation.output(&["addmembers", &name, ANTS]);
    assert_eq!(output.status.code(), Some(1), "some lines were wrong");
    let error = String::from_utf8_lossy(&output.stderr);
    for wrong in ["line 4: \"not an address\"", "line 6: \"carla@@example.com\"", "line 7: ", "line 8: "] {
        assert!(error.contains(&format!("{name}, {wrong}")), "{wrong:?} is missing in\n{error}");
    }
    assert!(error.contains("ANNE@example.org is a member of ants@lists.example.com already"), "{error}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("Added 3 of 8"), "{output:?}");

    let members = installation.json(&["members", "--json", ANTS]);
    assert_eq!(
        members,
        json!([
            {"address": "anne@example.org", "role": "member", "delivery": "enabled", "display_name": ""},
            {"address": "bart@example.net", "role": "member", "delivery": "enabled", "display_name": "Bart Person"},
            {"address": "last@example.com", "role": "member", "delivery": "enabled", "display_name": ""},
        ])
    );
}

#[test]
fn adding_again_changes_nothing_and_is_no_error() {
    let installation = ants();
    let before = installation.json(&["members", "--json", ANTS]);
    let said = installation.run_with_input(&["addmembers", "-", ANTS], "Anne New Name <Anne@Example.org>\n");
    assert!(said.contains("Added 0 of 1"), "{said}");
    assert_eq!(installation.json(&["members", "--json", ANTS]), before);
    assert!(installation.run_with_input(&["addmembers", "-", ANTS], "").contains("Added 0 of 0"));
    let error = installation.fails(1, &["addmembers", "/nonexistent/people", ANTS]);
    assert!(error.contains("/nonexistent/people cannot be read: No such file"), "{error}");
}

#[test]
fn wrong_lines_of_standard_input_are_named_too() {
    let installation = ants();
    let mut child = installation
        .command(&["addmembers", "-", ANTS])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("postrider");
    std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), b"dora@example.com\nnobody\n").expect("stdin");
    let output = child.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("standard input, line 2: \"nobody\""), "{error}");
    assert!(installation.run(&["members", ANTS]).contains("dora@example.com"));
}

#[test]
fn strangers_cannot_be_removed_and_the_others_are() {
    let installation = ants();
    let error = installation.fails(1, &["delmembers", ANTS, "stranger@example.org", "ANNE@example.org"]);
    assert!(error.contains("stranger@example.org is no member of ants@lists.example.com"), "{error}");
    let members = installation.run(&["members", "--role", "member", ANTS]);
    assert!(!members.contains("anne") && members.contains("bart") && members.contains("carla"), "{members}");
    let error = installation.fails(1, &["delmembers", ANTS, "bart@example.net", "bart"]);
    assert!(error.contains("\"bart\" is not an email address"), "{error}");
    assert!(installation.run(&["members", ANTS]).contains("bart"), "nothing was done");
    installation.fails(2, &["delmembers", ANTS]);
    // Roles are apart.
    installation.fails(1, &["delmembers", ANTS, "--role", "member", "olga@example.org"]);
    assert!(installation.run(&["delmembers", ANTS, "--all"]).contains("Removed 2 of 2"));
    assert!(installation.run(&["members", ANTS]).contains("olga@example.org"));
    assert!(installation.run(&["delmembers", ANTS, "--role", "owner", "olga@example.org"]).contains("Removed 1 of 1"));
}
