//! What the other commands answer, right and wrong.

use postrider_tests::installation::{Installation, wait_for};
use std::process::Stdio;

use super::site::{ANTS, MEMBERS, POST, SOON, Server, ants, bare, make_ants, wait_until_queues_are_empty};
use postrider::deliver::sink::Script;
use serde_json::json;

#[test]
fn usage_mistakes_have_exit_status_2_and_name_what_is_near() {
    let installation = bare();
    let error = installation.fails(2, &["lsits"]);
    assert!(error.contains("'lists'"), "{error}");
    installation.fails(2, &[]);
    for args in [
        &["create"][..],
        &["queue", "show"],
        &["queue", "show", "in", "x"],
        &["queue", "show", "in", "1", "2"],
        &["queue", "show", "7"],
        &["queue", "retry", "in"],
        &["queue", "drop"],
        &["queue", "drop", "in", "1", "--state", "new"],
        &["queue", "export"],
        &["queue", "export", "--all", "--remove"],
        &["queue", "import"],
        &["held", "accept"],
        &["conf", "--chekc"],
    ] {
        installation.fails(2, args);
    }
    assert!(installation.run(&["--help"]).contains("Exit status"));
    assert_eq!(installation.run(&["version"]), format!("postrider {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_setting_changes_nothing_and_tells_what_is_allowed() {
    let installation = ants();
    let before = installation.json(&["info", "--json", ANTS]);
    for (settings, complaint) in [
        (&["subject_prefx=x"][..], "no setting `subject_prefx`; did you mean `subject_prefix`?"),
        (&["nonmember_action=eat"], "`eat` is no value for `nonmember_action`; allowed is accept, hold"),
        (&["max_message_size=-1"], "allowed is a whole number of KiB"),
        (&["description"], "`description` has no `=`; write KEY=VALUE"),
        (&["description=a\r\nBcc: b"], "one line of at most 200 characters"),
        (&["description=new", "skip_addressed=perhaps"], "allowed is yes or no"),
    ] {
        let args = [&["set", ANTS][..], settings].concat();
        let error = installation.fails(1, &args);
        assert!(error.contains(complaint), "{settings:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error:?}");
    }
    assert_eq!(installation.json(&["info", "--json", ANTS]), before);
    installation.run(&["set", ANTS, "description=All about ants", "nonmember_action=reject"]);
    let info = installation.json(&["info", "--json", ANTS]);
    assert_eq!(info["settings"]["description"], "All about ants");
    assert_eq!(info["settings"]["nonmember_action"], "reject");
    assert_eq!((&info["members"], &info["owners"]), (&json!(3), &json!(1)));
    let shown = installation.run(&["info", "--verbose", ANTS]);
    assert!(
        shown.contains("description = All about ants") && shown.contains("# What becomes of posts from"),
        "{shown}"
    );
}

#[test]
fn what_is_not_in_the_queues_cannot_be_shown_retried_or_dropped() {
    let installation = ants();
    for direction in ["in", "out"] {
        for action in ["show", "retry", "drop"] {
            let error = installation.fails(1, &["queue", action, direction, "7"]);
            assert!(error.contains(&format!("no entry `{direction} 7`; `postrider queue` shows")), "{action}: {error}");
        }
    }
    assert!(installation.run(&["queue"]).contains("The queues are empty"));
    assert!(installation.run(&["queue", "bounces"]).contains("No bounces"));
    assert_eq!(installation.json(&["queue", "bounces", "--json"]), json!([]));
    installation.run(&["queue", "retry"]);
}

#[test]
fn injected_mail_is_queued_without_a_daemon_and_delivered_by_the_next_one() {
    let installation = ants();
    installation.write("post", POST);
    let file = installation.path().join("post").display().to_string();
    assert!(installation.run(&["inject", ANTS, &file]).contains("Queued for ants@lists.example.com"));
    installation.run_with_input(&["inject", ANTS], &POST.replace("one@", "two@"));
    installation.run_with_input(&["inject", ANTS, "-"], &POST.replace("one@", "three@"));
    installation.run_with_input(&["inject", "-f", "stranger@example.org", ANTS], &POST.replace("anne@", "x@"));

    let queue = installation.json(&["queue", "--json"]);
    assert_eq!(queue["in"].as_array().map(Vec::len), Some(4));
    let number = queue["in"][0]["id"].to_string();
    let shown = installation.run(&["queue", "show", "in", &number]);
    assert!(shown.contains("sender: anne@example.org") && shown.contains("Subject: Hello\n"), "{shown}");
    assert!(!shown.contains("Hello, ants."), "the body is shown to those who ask for it");
    for asked in ["--body", "--raw"] {
        assert!(installation.run(&["queue", "show", "in", &number, asked]).contains("Hello, ants."), "{asked}");
    }
    let last = queue["in"][2]["id"].to_string();
    installation.run(&["queue", "drop", "in", &last]);

    let server = Server::start(&installation, Script::default());
    let daemon = installation.serve();
    // And a notice to the owner that a stranger's post is held.
    server.wait_for(2 * MEMBERS.len() + 1);
    wait_until_queues_are_empty(&installation);
    assert_eq!(server.recipients().len(), 2 * MEMBERS.len() + 1, "what was dropped is gone");
    assert_eq!(installation.json(&["held", "--json"]).as_array().map(Vec::len), Some(1));
    daemon.stop();
}

#[test]
fn what_is_no_message_is_not_injected() {
    let installation = ants();
    for (message, complaint) in [
        ("", "the message is empty"),
        (" \n\n", "the message is empty"),
        ("\u{7f}ELF\n", "no header field"),
        ("Subject: x\n\nHi.\n", "no From field"),
    ] {
        let mut child = installation
            .command(&["inject", ANTS])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("postrider");
        std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), message.as_bytes()).expect("stdin");
        let output = child.wait_with_output().expect("its end");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message:?}: {error}");
        assert!(error.contains(complaint), "{message:?}: {error}");
    }
    let error = installation.fails(1, &["inject", ANTS, "/nonexistent/post"]);
    assert!(error.contains("/nonexistent/post cannot be read: No such file"), "{error}");
    let error = installation.fails(1, &["inject", "-f", "anne", ANTS, "/dev/null"]);
    assert!(error.contains("\"anne\" is not an email address"), "{error}");
    assert!(installation.run(&["queue"]).contains("empty"));
}

/// Posts of strangers, as many as this, held.
fn hold(installation: &Installation, count: usize) -> Vec<String> {
    for number in 0..count {
        let post = POST.replace("anne@", "stranger@").replace("one@", &format!("{number}@"));
        installation.deliver("stranger@example.org", &[ANTS], &post);
    }
    wait_for("held posts", SOON, || {
        let held = installation.json(&["held", "--json"]);
        let numbers: Vec<String> = held.as_array()?.iter().map(|one| one["id"].to_string()).collect();
        (numbers.len() == count).then_some(numbers)
    })
}

#[test]
fn held_posts_are_accepted_rejected_and_discarded_each_once() {
    let installation = ants();
    let server = Server::start(&installation, Script::default());
    let daemon = installation.serve();
    let numbers = hold(&installation, 3);
    assert_eq!(installation.json(&["held", "--json", "--list", ANTS])[0]["from"], "Anne <stranger@example.org>");
    assert!(installation.run(&["held", "show", &numbers[0]]).contains("Hello, ants."));

    // An unknown number does not keep the known one from being done.
    let error = installation.fails(1, &["held", "accept", "4711", &numbers[0]]);
    assert!(error.contains("no held post has the number 4711; `postrider held`"), "{error}");
    let got = |recipient: &str| server.messages().into_iter().find(|one| one.recipients.iter().any(|r| r == recipient));
    wait_for("the accepted post", SOON, || got("carla@example.com"));
    assert!(installation.run(&["held", "reject", "--reason", "Not for ants.", &numbers[1]]).contains("rejected"));
    let notice = wait_for("the notice", SOON, || got("stranger@example.org"));
    assert_eq!(notice.sender, "", "nobody answers a notice");
    assert!(String::from_utf8_lossy(&notice.message).contains("Not for ants."));
    installation.run(&["held", "discard", &numbers[2]]);

    assert!(installation.run(&["held"]).contains("No held posts"));
    for action in ["accept", "reject", "discard", "show"] {
        let error = installation.fails(1, &["held", action, &numbers[0]]);
        assert!(error.contains(&format!("no held post has the number {}", numbers[0])), "{action}: {error}");
    }
    wait_until_queues_are_empty(&installation);
    for member in MEMBERS {
        assert_eq!(server.recipients().iter().filter(|one| *one == member).count(), 1, "{member}");
    }
    daemon.stop();
}

#[test]
fn removing_a_list_takes_its_members_and_held_posts_with_it() {
    let installation = ants();
    let daemon = installation.serve();
    hold(&installation, 1);
    assert!(installation.run(&["remove", ANTS]).contains("Removed list: ants@lists.example.com"));
    assert_eq!(installation.json(&["held", "--json"]), json!([]));
    let mut lmtp = installation.lmtp();
    lmtp.expect("MAIL FROM:<anne@example.org>", "250");
    lmtp.expect("RCPT TO:<ants@lists.example.com>", "550 5.1.1");
    installation.run(&["create", ANTS]);
    assert_eq!(installation.json(&["members", "--json", ANTS]), json!([]));
    daemon.stop();
}

#[test]
fn status_tells_whether_the_daemon_runs_and_what_waits() {
    let installation = ants();
    assert!(installation.output(&["status"]).status.code() == Some(1));
    let stopped: serde_json::Value =
        serde_json::from_slice(&installation.output(&["status", "--json"]).stdout).expect("JSON");
    assert_eq!((&stopped["running"], &stopped["mta_up_to_date"]), (&json!(false), &json!(true)));
    installation.run_with_input(&["inject", ANTS], POST);
    let daemon = installation.serve();
    // No SMTP server: the post stays in the outgoing queue.
    let status = wait_for("a post in the outgoing queue", SOON, || {
        let status = installation.json(&["status", "--json"]);
        (status["out"]["messages"] == 1).then_some(status)
    });
    assert_eq!(status["running"], true);
    assert_eq!(status["daemon"]["pid"], daemon.pid());
    assert_eq!(status["daemon"]["lmtp"], json!([format!("127.0.0.1:{}", installation.lmtp_port)]));
    assert_eq!((&status["out"]["recipients"], &status["in"]["new"]), (&json!(3), &json!(0)));
    let shown = installation.run(&["status"]);
    assert!(shown.contains(&format!("Postrider is running (PID {})", daemon.pid())), "{shown}");
    assert!(shown.contains("1 messages to 3 recipients") || shown.contains("1 message to 3 recipients"), "{shown}");
    daemon.stop();
    assert!(installation.fails(1, &["status"]).is_empty(), "not running is no error to be told");
}

#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    let installation = bare();
    let mut child = installation
        .command(&["conf", "--sample"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("postrider");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("its end");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success(), "{}", output.status);
}

#[test]
fn control_characters_of_strangers_do_not_reach_the_terminal() {
    let installation = ants();
    installation.run_with_input(
        &["inject", "-f", "x@example.org", ANTS],
        "From: \u{1b}[2JEve <x@example.org>\nSubject: =?utf-8?q?=1B[31mred?= \u{7}bell\n\nHi \u{1b}[0m.\n",
    );
    let daemon = installation.serve();
    let number = wait_for("the held post", SOON, || {
        installation.json(&["held", "--json"])[0]["id"].as_i64().map(|number| number.to_string())
    });
    let shown = installation.run(&["held"]);
    assert!(shown.contains("bell") && !shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
    // Into a file or pipe the message goes as it is.
    assert!(installation.run(&["held", "show", &number]).contains("\r\n\r\nHi \u{1b}[0m.\r\n"));
    daemon.stop();
}

#[test]
fn started_by_root_every_command_works_as_the_owner_of_the_data() {
    use postrider_tests::require::{self, Capability};
    if !require::all("started_by_root_every_command_works_as_the_owner_of_the_data", &[Capability::Root]) {
        return;
    }
    let installation = bare();
    installation.run(&["lists"]);
    give_to_nobody(installation.path());
    make_ants(&installation);
    installation.run_with_input(&["inject", ANTS], POST);
    let owners: Vec<_> = walk(&installation.data())
        .into_iter()
        .filter(|file| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(file).expect("file")) != NOBODY)
        .collect();
    assert!(owners.is_empty(), "not the owner's: {owners:?}");
}

/// Debian's nobody; any id that is not root would do.
pub const NOBODY: u32 = 65534;

/// The whole directory becomes nobody's.
pub fn give_to_nobody(directory: &std::path::Path) {
    for file in walk(directory) {
        std::os::unix::fs::chown(file, Some(NOBODY), Some(NOBODY)).expect("chown");
    }
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![directory.to_owned()];
    for entry in std::fs::read_dir(directory).expect("directory").flatten() {
        if entry.file_type().expect("type").is_dir() {
            found.extend(walk(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}
