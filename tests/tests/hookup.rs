//! What an administrator is told about the MTA's own configuration.

use postrider::deliver::sink::{Answer, Script, Step};
use postrider_tests::installation::Installation;
use postrider_tests::site::Server;
use postrider_tests::{fixtures, require};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Postfix that is installed and has never heard of lists.
const POSTCONF: &str = "#!/bin/sh\n\
    for name in \"$@\"; do case $name in\n\
    -m) echo hash; echo sqlite ;;\n\
    -*) ;;\n\
    mydestination) echo 'mydestination = mail.example.com' ;;\n\
    transport_maps) echo 'transport_maps = inline:{{old.example.com=smtp:}}' ;;\n\
    *) echo \"$name =\" ;;\n\
    esac; done\n";

fn installation(postconf: &str) -> Installation {
    let installation = Installation::new();
    let postconf = postconf.replace("$DIR", &installation.path().display().to_string());
    installation
        .write("postfix.cfg", &format!("[postfix]\ntransport_file_type: sqlite\npostconf_command: {postconf}\n"));
    installation.write("postconf", POSTCONF);
    let script = installation.path().join("postconf");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("mode");
    installation.run(&["create", "ants@lists.example.com"]);
    installation
}

#[test]
fn the_lines_for_main_cf_name_our_tables_and_keep_what_is_there() {
    let installation = installation("$DIR/postconf");
    let lines = installation.run(&["hookup"]);
    let data = installation.data();
    let routes = format!(
        "transport_maps = inline:{{{{old.example.com=smtp:}}}}, sqlite:{}/postfix_transport.cf",
        data.display()
    );
    assert!(lines.contains(&routes), "{routes}\n{lines}");
    assert!(lines.contains(&format!("sqlite:{}/postfix_recipients.cf", data.display())), "{lines}");
}

#[test]
fn a_postfix_that_does_not_ask_our_tables_is_found_out() {
    let installation = installation("$DIR/postconf");
    let output = installation.output(&["hookup", "--check"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.lines().any(|line| line.starts_with("error") && line.contains("relay_domains")), "{text}");
}

#[test]
fn without_postfix_the_lines_are_shown_and_the_check_says_that_it_could_not_ask() {
    let installation = installation("$DIR/nothing");
    assert!(installation.run(&["hookup"]).contains("postfix_transport.cf"));
    let found: serde_json::Value =
        serde_json::from_str(&installation.run(&["hookup", "--check", "--json"])).expect("JSON");
    assert_eq!((&found[0]["severity"], found.as_array().map(Vec::len)), (&"warning".into(), Some(2)));
    assert!(found[1]["seen"].as_str().is_some_and(|seen| seen.contains("could not be asked")), "{found:#}");
}

#[test]
fn the_check_notes_whether_postfix_makes_senders_for_verp() {
    let installation = installation("$DIR/nothing");
    let note = || {
        let found: Value = serde_json::from_str(&installation.run(&["hookup", "--check", "--json"])).expect("JSON");
        let about = |one: &&Value| one["subject"].as_str().is_some_and(|subject| subject.contains("XVERP"));
        found.as_array().into_iter().flatten().find(about).cloned()
    };
    let script = Script::new(|moment| match moment.step {
        Step::Ehlo if moment.session > 1 => Answer::say("250-mta.example.com\r\n250-PIPELINING\r\n250 XVERP"),
        _ => Answer::Usual,
    });
    let server = Server::start(&installation, script);
    let found = note().expect("a note");
    assert_eq!(found["severity"], "info");
    assert!(found["subject"].as_str().is_some_and(|one| one.contains(&installation.smtp_port.to_string())));
    assert!(found["advice"].as_str().is_some_and(|advice| advice.contains("smtpd_port")), "{found:#}");
    assert_eq!(note().expect("a note")["severity"], "ok");
    assert!(server.messages().is_empty());
    installation.configure("smtp_xverp: no\n");
    assert_eq!(note(), None, "it would not be used");
}

// ---- Another adapter, and before anything is there

/// With the fixture plugin `good`, whose mail server lives in `$DIR/mta`, installed beside Postfix's.
fn with_good(mta: &str) -> Installation {
    let installation = Installation::with_mta(mta);
    installation.install_plugin(&fixtures::built("good"), "libpostrider_good.so");
    installation
}

/// Its mail server is configured; the program that it asks is not there.
fn good() -> Installation {
    let installation = with_good("incoming: good.LMTP\nconfiguration: $DIR/good.cfg\n");
    installation.write("good.cfg", &format!("[good]\ndirectory: {}\n", mta_of(&installation).display()));
    installation
}

fn mta_of(installation: &Installation) -> PathBuf {
    installation.path().join("it's the \"MTA\" \\ $HOME")
}

#[test]
fn another_adapter_is_shown_with_its_defaults_or_its_section() {
    let installation = with_good("incoming: postfix.LMTP\nconfiguration: $DIR/postfix.cfg\n");
    let text = installation.run(&["hookup", "good.LMTP"]);
    assert!(text.contains("Add to the end of /etc/good.conf:"), "{text}");
    let settings = "[postfix]\ntransport_file_type: sqlite\n[good]\ndirectory: /opt/mta\n";
    installation.write("postfix.cfg", settings);
    let text = installation.run(&["hookup", "good.LMTP"]);
    assert!(text.contains("Add to the end of /opt/mta/good.conf:"), "{text}");
    assert!(installation.run(&["hookup"]).contains("sqlite:"));

    // Keys before any section are those of the configured plugin.
    installation.write("postfix.cfg", "transport_file_type: sqlite\n");
    assert!(installation.run(&["hookup", "good.LMTP"]).contains("/etc/good.conf"));
}

#[test]
fn an_unknown_adapter_is_told_with_the_nearest_names() {
    let installation = with_good("incoming: postfix.LMTP\n");
    let error = |name: &str| installation.fails(1, &["hookup", name]);
    assert!(error("goood.LMTP").contains("did you mean \"good\"?"));
    assert!(error("good.Lmtp").contains("did you mean \"LMTP\"?"));
    assert!(error("good.Memory").contains("has no incoming adapter \"Memory\""));
    assert!(error("good").contains("PLUGIN.ADAPTER"));
    assert!(!error("goood.LMTP").contains("[mta]"), "nobody configured it");
    assert!(installation.run(&["hookup", "null.NullMTA"]).contains("nothing to be told"));
}

#[test]
fn it_makes_nothing_and_works_before_anything_is_there() {
    let installation = good();
    for args in [&["hookup"][..], &["hookup", "--json"], &["hookup", "postfix.LMTP"]] {
        installation.run(args);
        assert!(!installation.path().join("var").exists(), "{args:?}");
    }
    assert_eq!(installation.output(&["hookup", "--check"]).status.code(), Some(1));
    assert!(!installation.path().join("var").exists());
}

#[test]
fn who_may_not_read_the_database_sees_the_steps_all_the_same() {
    if !require::all("who_may_not_read_the_database_sees_the_steps_all_the_same", &[require::Capability::Root]) {
        return;
    }
    let installation = good();
    installation.run(&["create", "ants@lists.example.com"]);
    // As a package installs it: nobody else may look into the data directory.
    fs::set_permissions(installation.path(), fs::Permissions::from_mode(0o755)).expect("mode");
    fs::set_permissions(installation.data(), fs::Permissions::from_mode(0o700)).expect("mode");
    let as_nobody = |args: &[&str]| {
        let asked = installation.command(args);
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        let output = command.arg(asked.get_program()).args(asked.get_args()).output().expect("setpriv");
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (status, shown, error) = as_nobody(&["hookup"]);
    assert_eq!(status, Some(0), "{error}");
    assert!(error.contains("shown as if there were no lists"), "{error}");
    assert!(shown.contains("# user root\n"), "the daemon's user, not who asks: {shown}");

    // What a program or a person works with must not be made without the lists.
    let kit = tempfile::tempdir().expect("directory");
    fs::set_permissions(kit.path(), fs::Permissions::from_mode(0o777)).expect("mode");
    let place = kit.path().join("kit");
    let write = ["hookup", "--write", place.to_str().expect("UTF-8")];
    for args in [&["hookup", "--json"][..], &["hookup", "--diff"], &write] {
        let (status, shown, error) = as_nobody(args);
        assert_eq!((status, shown.as_str()), (Some(1), ""), "{args:?}: {error}");
        assert!(error.contains("the steps depend on the lists"), "{args:?}: {error}");
    }
    assert!(!place.exists());
}

#[test]
fn commands_are_compared_by_asking_the_mail_server() {
    let installation = installation("$DIR/postconf");
    installation.run(&["aliases"]);
    let output = installation.output(&["hookup", "--diff"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("(commands): the mail server does not answer as it would after them:"), "{shown}");
    assert!(shown.contains("error   ") && shown.contains("relay_domains"), "{shown}");

    // A mail server that cannot be asked is no mail server that was hooked up.
    let installation = good();
    let output = installation.output(&["hookup", "--diff"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("step 3 (commands)") && shown.contains("good_lists: missing"), "{shown}");
}

#[test]
fn json_has_all_that_a_program_needs_to_do_the_steps() {
    let installation = good();
    let steps = installation.json(&["hookup", "--json"]);
    let kinds: Vec<_> = steps.as_array().expect("an array").iter().map(|step| step["kind"].clone()).collect();
    assert_eq!(kinds, ["lines", "file", "commands"]);
    for key in ["kind", "file", "text", "explanation", "undo"] {
        assert!(steps[2][key].is_string(), "{key}");
    }
    assert!(steps[2]["undo"].as_str().expect("text").starts_with("rm -f "));
}

// ---- Files and scripts

#[test]
fn a_machine_is_hooked_up_by_install_sh_and_unhooked_by_undo_sh() {
    if !require::all("a_machine_is_hooked_up_by_install_sh_and_unhooked_by_undo_sh", &[require::Capability::Root]) {
        return;
    }
    let installation = good();
    installation.run(&["create", "ants@lists.example.com"]);
    let mta = mta_of(&installation);
    fs::create_dir_all(mta.join("good.d")).expect("directory");
    fs::write(mta.join("good.conf"), "listen = 25").expect("file");
    fs::write(mta.join("good.d/lists"), "the administrator's\n").expect("file");
    let kit = installation.path().join("a kit's place");
    let kit_name = kit.to_str().expect("UTF-8");

    let said = installation.run(&["hookup", "--write", kit_name]);
    assert!(said.contains("Run as root: sh '"), "{said}");
    assert_eq!(fs::read_to_string(mta.join("good.conf")).expect("file"), "listen = 25", "only install.sh changes it");
    let lists = fs::read_to_string(below(&kit, &mta.join("good.d/lists"))).expect("file");
    assert!(lists.ends_with("\nlists.example.com\n"), "{lists}");
    let lines = fs::read_to_string(below(&kit, &mta.join("good.conf.lines"))).expect("lines");
    assert!(lines.starts_with("lists = text:"), "{lines}");
    let readme = fs::read_to_string(kit.join("README")).expect("README");
    assert!(readme.contains("To undo it, in this order:"), "{readme}");

    let diff = installation.output(&["hookup", "--diff"]);
    let shown = String::from_utf8_lossy(&diff.stdout);
    assert_eq!(diff.status.code(), Some(1), "{shown}");
    assert!(shown.contains(&format!("\n+{}", lines.trim_end())), "{shown}");
    assert!(shown.contains("\n-the administrator's\n"), "{shown}");

    for _ in 0..2 {
        script(&kit, "install.sh");
        let conf = fs::read_to_string(mta.join("good.conf")).expect("file");
        assert_eq!(conf, format!("listen = 25\n{lines}"));
        assert_eq!(fs::read_to_string(mta.join("good.d/lists")).expect("file"), lists);
        assert!(mta.join("reloaded").exists());
        installation.run(&["hookup", "--diff"]);
    }
    // Written again into the same place, and with another list.
    installation.run(&["create", "bees@other.example.com"]);
    assert_eq!(installation.output(&["hookup", "--diff"]).status.code(), Some(1));
    installation.run(&["hookup", "--write", kit_name]);
    script(&kit, "install.sh");
    installation.run(&["hookup", "--diff"]);

    script(&kit, "undo.sh");
    let mut left: Vec<_> =
        fs::read_dir(&mta).expect("directory").map(|entry| entry.expect("entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["good.conf", "good.d"]);
    assert_eq!(fs::read_to_string(mta.join("good.conf")).expect("file"), "listen = 25");
    assert_eq!(fs::read_to_string(mta.join("good.d/lists")).expect("file"), "the administrator's\n");
}

/// A file of the kit.
fn below(kit: &Path, file: &Path) -> PathBuf {
    kit.join(file.strip_prefix("/").expect("an absolute path"))
}

fn script(kit: &Path, name: &str) {
    let output = Command::new("sh").arg(kit.join(name)).output().expect("sh");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_directory_with_other_files_is_refused() {
    let installation = good();
    fs::create_dir(installation.path().join("full")).expect("directory");
    installation.write("full/precious", "x");
    let full = installation.path().join("full");
    let error = installation.fails(1, &["hookup", "--write", full.to_str().expect("UTF-8")]);
    assert!(error.contains("holds precious"), "{error}");
    assert!(!full.join("install.sh").exists());
    // Adapters fail before anything is written.
    let kit = installation.path().join("kit");
    installation.fails(1, &["hookup", "goood.LMTP", "--write", kit.to_str().expect("UTF-8")]);
    assert!(!kit.exists());
}

#[test]
fn root_compares_with_files_that_the_daemon_may_not_read() {
    if !require::all("root_compares_with_files_that_the_daemon_may_not_read", &[require::Capability::Root]) {
        return;
    }
    let installation = good();
    // The owner of the data decides as whom the adapter is asked.
    fs::set_permissions(installation.path(), fs::Permissions::from_mode(0o755)).expect("mode");
    fs::create_dir_all(installation.data()).expect("directory");
    for directory in ["var", "var/data"] {
        std::os::unix::fs::chown(installation.path().join(directory), Some(65534), Some(65534)).expect("owner");
    }
    let mta = mta_of(&installation);
    fs::create_dir_all(mta.join("good.d")).expect("directory");
    let kit = installation.path().join("kit");
    installation.run(&["hookup", "--write", kit.to_str().expect("UTF-8")]);
    let lists = fs::read_to_string(below(&kit, &mta.join("good.d/lists"))).expect("file");
    assert!(lists.starts_with("# user nobody\n"), "{lists}");
    assert_eq!(fs::metadata(kit.join("install.sh")).expect("there").uid(), 0, "root will run it");
    script(&kit, "install.sh");
    installation.run(&["aliases"]);
    fs::set_permissions(mta.join("good.d/lists"), fs::Permissions::from_mode(0o600)).expect("mode");
    installation.run(&["hookup", "--diff"]);
}
