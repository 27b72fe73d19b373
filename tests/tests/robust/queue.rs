//! What an administrator does with the queues.

use super::site::{
    ANTS, MEMBERS, POST, SOON, Server, ants, bare, make_ants, post, wait_for_log, wait_until_queues_are_empty,
};
use super::watchdog::looping;
use postrider::deliver::sink::{Answer, Script, Step};
use postrider_tests::installation::{Installation, wait_for};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Waits for an outgoing message that is as wanted.
fn wait_for_out(installation: &Installation, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, SOON, || {
        let message = installation.json(&["queue", "--json"])["out"][0].clone();
        wanted(&message).then_some(message)
    })
}

/// A server that greylists bart and does not know carla.
fn picky(installation: &Installation) -> Server {
    Server::start(
        installation,
        Script::new(|moment| match moment.step {
            Step::Rcpt if moment.line.contains("bart@") => Answer::say("451 4.7.1 <bart@example.net>: come\x07 later"),
            Step::Rcpt if moment.line.contains("carla@") => Answer::say("550 5.1.1 no such user"),
            _ => Answer::Usual,
        }),
    )
}

#[test]
fn the_list_has_a_summary_and_can_be_narrowed_down() {
    let installation = ants();
    installation.run_with_input(&["inject", ANTS], POST);
    installation.run_with_input(&["inject", ANTS], &post(2));
    let shown = installation.run(&["queue"]);
    assert!(shown.contains("2 messages in (2 new), oldest "), "{shown}");
    for (filter, found) in [
        (&["--list", ANTS][..], 2),
        (&["--list", "ants.lists.example.com"], 2),
        (&["--list", "bees@lists.example.com"], 0),
        (&["--state", "new"], 2),
        (&["--state", "shunted"], 0),
        (&["--state", "deferred"], 0),
        (&["--recipient", "Ants@Lists.example.com"], 2),
        (&["--recipient", "anne@example.org"], 0),
    ] {
        let args = [&["queue", "list", "--json"][..], filter].concat();
        let queue = installation.json(&args);
        assert_eq!(queue["in"].as_array().map(Vec::len), Some(found), "{filter:?}");
        assert_eq!((&queue["summary"]["in"], &queue["summary"]["new"]), (&json!(2), &json!(2)));
    }
    let shown = installation.run(&["queue", "list", "--state", "deferred"]);
    assert!(shown.starts_with("Nothing in the queues is like that\n2 messages in"), "{shown}");
    let error = installation.fails(1, &["queue", "list", "--list", "bees"]);
    assert!(error.contains("no list bees"), "{error}");
    installation.fails(2, &["queue", "list", "--state", "lost"]);
}

#[test]
fn an_outgoing_message_is_shown_with_what_became_of_each_recipient() {
    let installation = ants();
    let server = picky(&installation);
    let daemon = installation.serve();
    let german = POST.replace("Subject: Hello", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=");
    installation.deliver("anne@example.org", &[ANTS], &german);
    let out = wait_for_out(&installation, "results", |message| message["done"] == 2 && message["deferred"] == 1);
    let number = out["id"].to_string();
    assert_eq!((&out["state"], &out["waiting"]), (&json!("deferred"), &json!(1)));

    let value = installation.json(&["queue", "show", "--json", "--recipients", &format!("out{number}")]);
    assert_eq!(value["recipients"], json!({"delivered": 1, "failed": 1, "in_flight": 0, "due": 0, "deferred": 1}));
    let reply = &value["replies"][0];
    assert_eq!((&reply["recipients"], &reply["attempts"]), (&json!(1), &json!([1, 1])));
    assert!(reply["reply"].as_str().is_some_and(|reply| reply.starts_with("451 4.7.1 <*>: come")), "{reply}");
    assert_eq!(reply["examples"], json!(["bart@example.net"]));
    assert_eq!(value["bounces"][0]["recipient"], "carla@example.com");
    let bounces = |of: &[&str]| installation.json(&[&["queue", "bounces", "--json"], of].concat());
    assert_eq!(bounces(&[])[0]["recipient"], "carla@example.com");
    assert_eq!(bounces(&["--list", ANTS, "--recipient", "Carla@example.com"]), bounces(&[]));
    assert_eq!(bounces(&["--recipient", "bart@example.net"]), json!([]));
    assert!(installation.run(&["queue", "bounces", "--list", ANTS]).contains("carla@example.com"));
    assert!(installation.run(&["queue", "bounces", "--recipient", "bart@example.net"]).contains("No bounces"));
    let one = &value["recipient_list"][0];
    assert_eq!(
        (&one["address"], &one["state"], &one["attempts"]),
        (&json!("bart@example.net"), &json!("deferred"), &json!(1))
    );
    assert!(one["next_try"].as_i64() > value["queued"].as_i64());
    assert_eq!(value["message_id"], "<one@example.org>");
    assert!(
        value["header"].as_array().is_some_and(|header| header.contains(&json!(["Subject", "[Ants] Grüße"]))),
        "{value:#}"
    );

    let shown = installation.run(&["queue", "show", "out", &number, "--recipients"]);
    for line in ["delivered: 1", "failed for good: 1", "deferred: 1", "carla@example.com: 550 5.1.1", "[Ants] Grüße"]
    {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains('\u{7}') && shown.contains("deferred  1 "), "{shown}");

    // Retries that mean nobody change nothing; one that means bart is made at once.
    for (nobody, told) in [
        (&["--reply", "mailbox full"][..], "0 will be tried again now"),
        (&["--recipient", "anne@example.org"], "0 will be tried again now"),
        (&["--list", "bees@lists.example.com"], "0 will be tried again now"),
        (&["--reply", "COME"], "1 will be tried again now"),
    ] {
        let said = installation.run(&[&["queue", "retry"][..], nobody].concat());
        assert!(said.contains(told), "{nobody:?}: {said}");
    }
    wait_for_out(&installation, "the second try", |message| {
        message["deferred"] == 1
            && installation.json(&["queue", "show", "--json", "out", &number])["replies"][0]["attempts"]
                == json!([2, 2])
    });
    let said = installation.run(&["queue", "drop", "out", &number, "--recipient", "nobody@example.net"]);
    assert!(said.contains("Nothing was left"), "{said}");
    let said = installation.run(&["queue", "drop", "out", &number, "--recipient", "BART@example.net"]);
    assert!(
        said.contains(&format!("Dropped out {number}: ")) && said.contains("BART@example.net (2 done before)"),
        "{said}"
    );
    wait_until_queues_are_empty(&installation);
    assert_eq!(server.recipients(), ["anne@example.org"]);
    daemon.stop();
}

#[test]
fn shunted_mail_is_told_of_everywhere_and_processed_or_dropped_all_at_once() {
    let installation = ants();
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], &looping());
    installation.deliver("anne@example.org", &[ANTS], &looping());
    let shunted = |number| {
        wait_for("shunted mail", SOON, || {
            let queue = installation.json(&["queue", "list", "--state", "shunted", "--json"]);
            (queue["summary"]["shunted"] == number).then_some(queue)
        })
    };
    let queue = shunted(2);
    assert!(queue["in"][0]["reason"].as_str().is_some_and(|reason| reason.contains("a mail loop")), "{queue:#}");
    let number = queue["in"][0]["id"].to_string();
    let line = wait_for_log(&installation, "shunted: ");
    assert!(line.contains(&format!("postrider queue retry in {number}")) && line.contains("a mail loop"), "{line}");
    assert!(installation.run(&["queue"]).contains("postrider queue retry in NUMBER"));
    assert!(installation.run(&["status"]).contains("postrider queue list --state shunted"));
    assert!(installation.run(&["queue", "show", "in", &number]).contains("reason: it went through 102 mail servers"));

    let said = installation.run(&["queue", "retry", "--state", "shunted"]);
    assert!(said.contains("2 will be tried again now"), "{said}");
    wait_for("another try of both", SOON, || (installation.log().matches("shunted: ").count() == 4).then_some(()));
    let error = installation.fails(1, &["queue", "drop", "--state", "shunted"]);
    assert!(error.contains("2 messages in and 0 messages out would be dropped; say --yes"), "{error}");
    shunted(2);
    let said = installation.run(&["queue", "drop", "--state", "shunted", "--yes"]);
    assert!(said.contains(&format!("Dropped in {number}: from anne@example.org to {ANTS}")), "{said}");
    assert!(installation.run(&["queue"]).contains("The queues are empty"));
    daemon.stop();
}

#[test]
fn what_is_being_delivered_is_shown_and_gets_through_although_it_is_dropped() {
    let installation = ants();
    let answers = Arc::new(AtomicBool::new(false));
    let now = answers.clone();
    let server = Server::start(
        &installation,
        Script::new(move |moment| {
            while moment.step == Step::EndOfData && !now.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
            Answer::Usual
        }),
    );
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    let out = wait_for_out(&installation, "mail in flight", |message| message["in_flight"] == 3);
    let number = out["id"].to_string();
    let shown = installation.json(&["queue", "show", "out", &number, "--json", "--recipients"]);
    assert_eq!(shown["recipients"]["in_flight"], 3);
    assert_eq!(shown["recipient_list"][0]["state"], "in flight");
    assert!(installation.run(&["queue"]).contains("3 in flight"));
    assert!(installation.run(&["queue", "drop", "out", &number]).contains("3 recipients"));
    answers.store(true, Ordering::SeqCst);
    server.wait_for(3);
    wait_until_queues_are_empty(&installation);
    assert_eq!(installation.json(&["queue", "bounces", "--json"]), json!([]));
    daemon.stop();
}

/// Two posts in, one of them shunted, and one post out to anne, whom it reached, and two who wait.
fn with_mail_of_all_kinds(installation: &Installation) {
    {
        let _server = Server::start(
            installation,
            Script::new(|moment| {
                if moment.step == Step::Rcpt && !moment.line.contains("anne@") {
                    Answer::say("451 4.7.1 later")
                } else {
                    Answer::Usual
                }
            }),
        );
        let daemon = installation.serve();
        installation.deliver("anne@example.org", &[ANTS], POST);
        installation.deliver("anne@example.org", &[ANTS], &looping());
        wait_for_out(installation, "the first tries", |message| message["deferred"] == 2 && message["done"] == 1);
        wait_for("shunted mail", SOON, || {
            (installation.json(&["queue", "--json"])["summary"]["shunted"] == 1).then_some(())
        });
        daemon.stop();
    }
    installation.run_with_input(&["inject", ANTS], &post(2));
}

/// Everything of the queues that an import must bring back; numbers are new.
fn contents(installation: &Installation) -> Value {
    let queue = installation.json(&["queue", "--json"]);
    let show = |direction: &str, entry: &Value| {
        let number = entry["id"].to_string();
        let mut value = installation.json(&["queue", "show", direction, &number, "--json", "--recipients"]);
        value["raw"] = json!(installation.run(&["queue", "show", direction, &number, "--raw"]));
        // Their number is that of this spool, the age that of the moment; events stay in theirs.
        for key in ["id", "age", "bounces"] {
            value.as_object_mut().expect("an object").remove(key);
        }
        value
    };
    let all = |direction: &str| -> Vec<Value> {
        let mut entries: Vec<_> =
            queue[direction].as_array().into_iter().flatten().map(|entry| show(direction, entry)).collect();
        entries.sort_by_key(|entry| entry["raw"].to_string());
        entries
    };
    json!({ "in": all("in"), "out": all("out") })
}

#[test]
fn what_was_exported_and_removed_comes_back_elsewhere_whole_and_once() {
    for format in ["json", "mbox"] {
        let from = ants();
        with_mail_of_all_kinds(&from);
        let before = contents(&from);
        let file = from.path().join("queue.export");
        let file = file.to_str().expect("UTF-8");
        let output = from.output(&["queue", "export", "--all", "--format", format, "-o", file, "--remove"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("2 messages in, 1 message out, 2 recipients"), "{told}");
        assert!(told.contains("taken out of the queue: 4 of 4"), "{told}");
        assert!(from.run(&["queue"]).contains("The queues are empty"));
        let mode = std::fs::metadata(file).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = from.fails(1, &["queue", "export", "--all", "-o", file]);
        assert!(error.contains("is there already"), "{error}");

        let to = bare();
        let error = to.fails(1, &["queue", "import", file]);
        assert!(error.contains(&format!("there is no list {ANTS}; make it with")), "{error}");
        assert!(to.run(&["queue"]).contains("The queues are empty"), "nothing was queued");
        make_ants(&to);
        let said = to.run(&["queue", "import", file, "--dry-run"]);
        assert!(said.contains("is good: 2 messages in, 1 message out to 2 recipients"), "{said}");
        assert!(to.run(&["queue"]).contains("The queues are empty"), "a dry run queues nothing");
        let said = to.run(&["queue", "import", file]);
        assert!(said.contains("Imported 2 messages in, 1 message out to 2 recipients"), "{said}");
        assert_eq!(contents(&to), before, "{format}");
        let said = to.run_with_input(&["queue", "import", "-"], &std::fs::read_to_string(file).expect("the file"));
        assert!(said.contains("Imported 0 messages in, 0 messages out to 0 recipients"), "{said}");
        assert!(said.contains("passed over: imported before"), "{said}");
        assert_eq!(contents(&to), before, "the second import doubles nothing");

        let server = Server::start(&to, Script::default());
        let daemon = to.serve();
        // Who waited for a later try still does.
        server.wait_for(MEMBERS.len());
        to.run(&["queue", "retry"]);
        server.wait_for(MEMBERS.len() + 2);
        to.run(&["queue", "drop", "--state", "shunted", "--yes"]);
        wait_until_queues_are_empty(&to);
        let mut got = server.recipients();
        got.sort();
        assert_eq!(
            got,
            ["anne@example.org", "bart@example.net", "bart@example.net", "carla@example.com", "carla@example.com"]
        );
        daemon.stop();
    }
}

#[test]
fn an_import_into_the_queue_that_it_came_from_doubles_nothing() {
    let installation = ants();
    with_mail_of_all_kinds(&installation);
    let file = installation.run(&["queue", "export", "--all"]);
    let said = installation.run_with_input(&["queue", "import", "-"], &file);
    assert!(
        said.contains("Imported 0 messages in")
            && said.contains("2 messages in and 2 recipients of 1 message out were passed over: in the queue still"),
        "{said}"
    );
}

#[test]
fn some_recipients_of_a_message_are_taken_out_and_come_back_here_and_elsewhere_each_once() {
    let from = ants();
    with_mail_of_all_kinds(&from);
    let whole = from.run(&["queue", "export", "--recipient", "bart@example.net"]);
    assert_eq!(whole.matches("bart@").count(), 1);
    let all = from.run(&["queue", "export", "--state", "deferred"]);
    let [a, b] = ["bart@example.net", "carla@example.com"].map(|recipient| {
        let file = from.path().join(recipient).to_str().expect("UTF-8").to_owned();
        from.run(&["queue", "export", "--recipient", recipient, "-o", &file, "--remove"]);
        if recipient.starts_with("bart") {
            let out = &from.json(&["queue", "--json"])["out"][0];
            assert_eq!((&out["waiting"], &out["done"]), (&json!(1), &json!(1)));
            // The message is here still, and so is carla: only bart comes back.
            let said = from.run_with_input(&["queue", "import", "-"], &all);
            assert!(said.contains("Imported 0 messages in, 1 message out to 1 recipient\n"), "{said}");
            assert!(said.contains("1 recipient of 1 message out was passed over: in the queue still"), "{said}");
            assert_eq!(waiting(&from), ["bart@example.net", "carla@example.com"]);
            let said = from.run(&["queue", "import", &file]);
            assert!(said.contains("1 recipient of 1 message out was passed over: imported before"), "{said}");
            assert_eq!(waiting(&from), ["bart@example.net", "carla@example.com"]);
        }
        file
    });
    assert_eq!(waiting(&from), ["bart@example.net"]);
    let to = ants();
    for file in [&a, &b] {
        let said = to.run(&["queue", "import", file]);
        assert!(said.contains("1 message out to 1 recipient\n") && !said.contains("passed over"), "{said}");
    }
    for file in [&b, &a] {
        // Why depends on the number that the message got here: it may be the one that it had.
        let said = to.run(&["queue", "import", file]);
        assert!(said.contains("1 recipient of 1 message out was passed over: "), "{said}");
    }
    assert_eq!(waiting(&to), ["bart@example.net", "carla@example.com"]);
}

/// Who waits for mail that goes out, in order.
fn waiting(installation: &Installation) -> Vec<String> {
    let queue = installation.json(&["queue", "--json"]);
    let mut all = Vec::new();
    for out in queue["out"].as_array().into_iter().flatten() {
        let shown = installation.json(&["queue", "show", "out", &out["id"].to_string(), "--json", "--recipients"]);
        let list = shown["recipient_list"].as_array().cloned().unwrap_or_default();
        all.extend(list.iter().filter_map(|one| one["address"].as_str().map(str::to_owned)));
    }
    all.sort();
    all
}

#[test]
fn root_is_told_to_keep_an_export_to_standard_output_from_others() {
    let installation = ants();
    installation.run_with_input(&["inject", ANTS], POST);
    let error = installation.fails(1, &["queue", "export", "--all", "-o", "/nonexistent/file"]);
    assert!(error.contains("`(umask 077; postrider queue export … --output - > FILE)`"), "{error}");
}

#[test]
fn a_wrong_file_imports_nothing_and_is_told_with_its_line() {
    let installation = ants();
    with_mail_of_all_kinds(&installation);
    let good = installation.run(&["queue", "export", "--all"]);
    installation.run(&["queue", "drop", "--list", ANTS, "--yes"]);
    let cut = &good[..good.len() - 3];
    let [version, header, latin] = [("_queue\":1", "_queue\":9"), ("bart@", "bart\\r\\nX: @"), ("\"451", "\"\u{0}451")]
        .map(|(from, to)| {
            assert!(good.contains(from), "{from}");
            good.replacen(from, to, 1)
        });
    for (text, complaint) in [
        ("", "standard input, line 1: the file is empty"),
        ("Hello\n", "standard input, line 1: this is no file of `postrider queue export`"),
        (
            "From anne@example.org Sat Nov 28 07:47:10 2026\nSubject: x\n\nHi\n",
            "line 1: the message has no X-Postrider-Queue",
        ),
        (cut, "the file ends in the middle: it was cut off"),
        (&version, "line 1: the file is of version 9"),
        (&header, "recipient: \"bart\\r\\nX: @example.net\" is not an email address"),
        (&latin, "this is no record of a queue"),
    ] {
        let mut child = installation
            .command(&["queue", "import", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("postrider");
        std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), text.as_bytes()).expect("stdin");
        let output = child.wait_with_output().expect("its end");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("nothing was imported") && error.contains(complaint), "{complaint}: {error}");
    }
    let error = installation.fails(1, &["queue", "import", "/nonexistent"]);
    assert!(error.contains("/nonexistent cannot be read"), "{error}");
    assert!(installation.run(&["queue"]).contains("The queues are empty"));
}

#[test]
fn a_pager_that_waits_does_not_keep_the_database_from_being_tidied_up() {
    let installation = ants();
    with_mail_of_all_kinds(&installation);
    let other = rusqlite::Connection::open(installation.data().join("spool.db")).expect("the spool");
    // More than a pipe takes.
    other
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
             INSERT INTO recipient (outgoing, address) SELECT (SELECT max(id) FROM outgoing),
                 'a-member-with-a-long-name-' || i || '@example.com' FROM n;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO arrival (message, list, list_address, function, recipient, state, reason, received)
                 SELECT message, list, list_address, function, recipient, 'shunted', 'for a test', received
                 FROM n, (SELECT * FROM arrival WHERE state = 'new' LIMIT 1);",
        )
        .expect("sql");
    let number = installation.json(&["queue", "--json"])["out"][0]["id"].to_string();
    for args in [
        &["queue", "list"][..],
        &["queue", "list", "--json"],
        &["queue", "show", "out", &number, "--recipients"],
        &["queue", "show", "out", &number, "--recipients", "--json"],
        &["queue", "export", "--all"],
    ] {
        let mut child = installation.command(args).stdout(Stdio::piped()).spawn().expect("postrider");
        let mut read = [0];
        std::io::Read::read_exact(child.stdout.as_mut().expect("stdout"), &mut read).expect("output");
        wait_for(&format!("{args:?} to let go"), SOON, || {
            other.execute("UPDATE arrival SET reason = reason || '.' WHERE state = 'new'", []).expect("sql");
            let busy = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
            (busy == Ok(0)).then_some(())
        });
        assert!(child.try_wait().expect("its state").is_none(), "{args:?}: it did not wait for its reader");
        child.kill().expect("kill");
        child.wait().expect("its end");
    }
}
