//! Plugin files that cannot be used, and plugins that panic: what `plugins`, `create` and `serve` make of them.

use postrider_tests::fixtures::built;
use postrider_tests::installation::{Installation, build_dir, wait_for};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::site::{ANTS, POST, SOON, Server, make_ants, wait_for_log, wait_until_queues_are_empty};
use postrider::deliver::sink::Script;

const POSTFIX: &str = "incoming: postfix.LMTP\nconfiguration: $DIR/postfix.cfg\n";

/// The installed Postfix plugin.
fn library(installation: &Installation) -> PathBuf {
    installation.path().join("plugins/libpostrider_postfix.so")
}

/// What is wrong, how a plugin is spoiled so, and what the words must be.
type Spoiled = (&'static str, fn(&Installation), &'static [&'static str]);

/// Each way to spoil the plugin, and what is said about it.
fn spoiled() -> [Spoiled; 6] {
    fn put(installation: &Installation, contents: &[u8]) {
        fs::remove_file(library(installation)).expect("remove");
        fs::write(library(installation), contents).expect("write");
    }
    [
        ("missing", |i| fs::remove_file(library(i)).expect("remove"), &["no libpostrider_postfix.so in", "plugins"]),
        (
            "truncated",
            |i| {
                let whole = fs::read(library(i)).expect("read");
                put(i, &whole[..10_000]);
            },
            &["is cut short", "install it again"],
        ),
        ("text", |i| put(i, b"#!/bin/sh\necho hello\n"), &["expected a shared library", "install"]),
        ("empty", |i| put(i, b""), &["expected a shared library", "install"]),
        (
            "writable for all",
            |i| fs::set_permissions(library(i), fs::Permissions::from_mode(0o666)).expect("mode"),
            &["can be written by group or others (mode 0666)", "chmod go-w"],
        ),
        (
            "of another interface",
            |i| i.install_plugin(&built("other_major"), "libpostrider_postfix.so"),
            &["plugin interface 2.0.0, this host speaks 1.", "get the plugin's version"],
        ),
    ]
}

#[test]
fn a_list_is_made_although_the_plugin_cannot_be_used_and_the_mta_learns_of_it_when_it_can() {
    for (how, spoil, words) in spoiled() {
        let installation = Installation::with_mta(POSTFIX);
        spoil(&installation);
        let error = installation.fails(3, &["create", ANTS]);
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), 2, "{how}: {error}");
        for word in words {
            assert!(lines[0].contains(word), "{how}: {word:?} is missing in {error}");
        }
        assert!(lines[0].contains("libpostrider_postfix.so"), "{how}: {error}");
        assert!(lines[1].contains("run `postrider aliases`"), "{how}: {error}");
        assert!(installation.run(&["lists"]).contains(ANTS), "{how}: the list is kept");
        assert_eq!(installation.table("postfix_lmtp.sqlite"), "", "{how}");

        // `aliases` fails for the same reason; mended, it finishes the work.
        let error = installation.fails(1, &["aliases"]);
        assert!(error.contains(words[0]), "{how}: {error}");
        installation.install_plugin(&build_dir().join("libpostrider_postfix.so"), "libpostrider_postfix.so");
        installation.run(&["aliases"]);
        assert!(installation.data().join("postfix_lmtp.sqlite").exists(), "{how}");
        let status = installation.output(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
        assert_eq!(status["mta_up_to_date"], true, "{how}");
    }
}

#[test]
fn plugins_shows_what_can_be_used_and_why_the_rest_cannot() {
    let installation = Installation::with_mta(POSTFIX);
    let plugins = installation.path().join("plugins");
    installation.install_plugin(&built("good"), "libpostrider_good.so");
    for name in ["other_major", "other_layout", "panic_abort", "start_panics", "unresolved", "no_symbol"] {
        installation.install_plugin(&built(name), &format!("libpostrider_{name}.so"));
    }
    installation.install_plugin(&built("good"), "libpostrider_renamed.so");
    fs::write(plugins.join("libpostrider_text.so"), "hello\n").expect("file");
    let whole = fs::read(built("good")).expect("read");
    fs::write(plugins.join("libpostrider_short.so"), &whole[..10_000]).expect("file");
    fs::write(plugins.join("README"), "no plugin\n").expect("file");
    installation.install_plugin(&built("good"), "libpostrider_open.so");
    fs::set_permissions(plugins.join("libpostrider_open.so"), fs::Permissions::from_mode(0o777)).expect("mode");

    let list = installation.json(&["plugins", "--json"]);
    let reason = |name: &str| {
        let found = list.as_array().and_then(|all| all.iter().find(|one| one["name"] == name));
        let found = found.unwrap_or_else(|| panic!("{name} is missing in {list:#}"));
        assert_eq!(found["usable"], found["reason"].is_null());
        found["reason"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!((reason("good").as_str(), reason("postfix").as_str()), ("", ""));
    for (name, word) in [
        ("other_major", "get the plugin's version"),
        ("other_layout", "does not fit"),
        ("panic_abort", "panic = \"abort\""),
        ("start_panics", "failed to start"),
        ("unresolved", "cannot be opened"),
        ("no_symbol", "exports no plugin"),
        ("renamed", "rename the file to libpostrider_good.so"),
        ("text", "expected a shared library"),
        ("short", "is cut short"),
        ("open", "chmod go-w"),
    ] {
        let reason = reason(name);
        assert!(reason.contains(word) && reason.contains(&format!("libpostrider_{name}.so")), "{name}: {reason}");
        assert_eq!(reason.lines().count(), 1, "{reason}");
    }
    assert_eq!(list.as_array().map(Vec::len), Some(12));
    let shown = installation.run(&["plugins"]);
    assert!(shown.contains("postfix.LMTP") && shown.contains("text cannot be used\n"), "{shown}");
}

#[test]
fn the_daemon_serves_mail_although_its_adapter_is_broken() {
    let installation = Installation::with_mta(POSTFIX);
    let server = Server::start(&installation, Script::default());
    fs::write(library(&installation), "rubbish").expect("write");
    installation.fails(3, &["create", ANTS]);
    installation.run_with_input(&["addmembers", "-", ANTS], "anne@example.org\n");
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    server.wait_for(1);
    let line = wait_for_log(&installation, "the MTA's tables are behind");
    assert!(line.contains("libpostrider_postfix.so") && line.contains("tried again in"), "{line}");
    // Mended, the next change brings everything up to date without a restart.
    installation.install_plugin(&build_dir().join("libpostrider_postfix.so"), "libpostrider_postfix.so");
    installation.run(&["create", "bees@lists.example.com"]);
    wait_for("tables that are up to date", SOON, || {
        (installation.json(&["status", "--json"])["mta_up_to_date"] == true).then_some(())
    });
    daemon.stop();
}

#[test]
fn an_adapter_that_panics_in_every_method_is_survived() {
    let installation = Installation::with_mta("incoming: panics.Bomb\nconfiguration: plugin:panics\n");
    installation.install_plugin(&built("panics"), "libpostrider_panics.so");
    assert!(installation.run(&["plugins"]).contains("panics.Bomb"), "it can be loaded");
    let checked = installation.output(&["conf", "--check"]);
    let shown = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.code() == Some(1) && shown.contains("panics.Bomb"), "{shown}");

    let error = installation.fails(3, &["create", ANTS]);
    assert!(error.contains("panics.Bomb") && error.contains("boom in settings"), "{error}");
    assert!(error.contains("postrider aliases"), "{error}");
    installation.run_with_input(&["addmembers", "-", ANTS], "anne@example.org\n");
    let server = Server::start(&installation, Script::default());
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    server.wait_for(1);
    installation.fails(1, &["aliases"]);
    wait_for_log(&installation, "the MTA's tables are behind");
    daemon.stop();
}

#[test]
fn an_outgoing_adapter_that_panics_harms_no_other_recipient() {
    let installation = Installation::with_mta("incoming: null.NullMTA\noutgoing: panics.Touchy\nmax_recipients: 1\n");
    installation.install_plugin(&built("panics"), "libpostrider_panics.so");
    make_ants(&installation);
    installation.run_with_input(&["addmembers", "-", ANTS], "boom@example.org\n");
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    let message = wait_for("three of four done", SOON, || {
        let out = &installation.json(&["queue", "--json"])["out"][0];
        (out["done"] == 3 && out["last_reply"] != "").then(|| out.clone())
    });
    assert_eq!(message["waiting"], 1);
    let reply = message["last_reply"].as_str().expect("reply");
    assert!(reply.contains("the outgoing adapter failed") && reply.contains("boom in deliver"), "{reply}");
    let number = message["id"].to_string();
    installation.run(&["queue", "drop", "out", &number]);
    wait_until_queues_are_empty(&installation);
    daemon.stop();
}

#[test]
fn serve_says_which_outgoing_plugin_is_missing() {
    let installation = Installation::with_mta("incoming: null.NullMTA\noutgoing: qmail.Queue\n");
    let error = installation.fails(1, &["serve"]);
    assert!(error.contains("[mta] outgoing: plugin \"qmail\" not found"), "{error}");
    assert!(error.contains("libpostrider_qmail.so"), "{error}");
}
