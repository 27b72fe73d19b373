//! Configurations, right and wrong, as `postrider conf` and the other commands show them.

use postrider_tests::fixtures::repository;
use postrider_tests::installation::{Installation, build_dir};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::site::{ANTS, bare};

const WRONG: &str = "\
[mta]
smtp_port: 70000
smtp_secure_mode: tls
verp_format: ${bounces}+x
smtp_hots: mail.example.com
max_recipients: 5
max_recipients: 6
delivery_retry_period: soon
lmtp_host: a:b
incoming: postfix
[mtaa]
x: y
[postrider]
site_owner: nobody
[mta]
lmtp_port: 1
[lmtp]
max_message_size: 2T
stray line
";

/// What each line of [`WRONG`] is answered with: place, key, what is wrong or allowed.
const COMPLAINTS: [(&str, &[&str]); 13] = [
    (":2:", &["[mta] smtp_port", "70000", "a number from 1 to 65535"]),
    (":3:", &["[mta] smtp_secure_mode", "tls", "smtps", "starttls"]),
    (":4:", &["[mta] verp_format", "${local}", "${bounces}, ${local} and ${domain}"]),
    (":5:", &["[mta] smtp_hots", "no such key", "`smtp_host`"]),
    (":7:", &["[mta] max_recipients", "6 and 7"]),
    (":8:", &["[mta] delivery_retry_period", "soon", "5d"]),
    (":9:", &["[mta] lmtp_host", "without port"]),
    (":10:", &["[mta] incoming", "`postfix`", "PLUGIN.ADAPTER"]),
    (":11:", &["[mtaa]", "did you mean [mta]?"]),
    (":14:", &["[postrider] site_owner", "nobody", "name@domain"]),
    (":15:", &["[mta]", "1 and 15"]),
    (":18:", &["[lmtp] max_message_size", "2T", "64K", "1G"]),
    (":19:", &["stray", "`:` nor `=`"]),
];

/// The program with no configuration named.
fn plain(args: &[&str]) -> Command {
    let mut command = Command::new(build_dir().join("postrider"));
    command.args(args).env_remove("POSTRIDER_CONFIG").env_remove("RUST_LOG");
    command
}

fn with_file(file: &Path, args: &[&str]) -> Output {
    plain(args).arg("-C").arg(file).output().expect("the program postrider; use tests/run")
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn file(contents: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("postrider.cfg");
    fs::write(&file, contents).expect("file");
    (directory, file)
}

#[track_caller]
fn assert_complaints(shown: &str) {
    for (place, words) in COMPLAINTS {
        let line = shown.lines().find(|line| line.contains(&format!("postrider.cfg{place}")));
        let line = line.unwrap_or_else(|| panic!("nothing about line {place} in\n{shown}"));
        for word in words {
            assert!(line.contains(word), "{word:?} is missing in {line:?}");
        }
    }
}

#[test]
fn check_tells_all_mistakes_at_once_each_with_its_line_and_what_is_allowed() {
    let (_directory, file) = file(WRONG);
    let output = with_file(&file, &["conf", "--check"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert_complaints(&shown);
    assert_eq!(shown.lines().count(), COMPLAINTS.len(), "{shown}");
    assert!(shown.lines().all(|line| line.starts_with("error: ")), "{shown}");

    let json: serde_json::Value =
        serde_json::from_slice(&with_file(&file, &["conf", "--check", "--json"]).stdout).expect("JSON");
    assert_eq!(json["errors"].as_array().map(Vec::len), Some(COMPLAINTS.len()));
}

#[test]
fn every_command_refuses_a_wrong_configuration_with_all_its_mistakes_and_makes_nothing() {
    let installation = bare();
    let good = fs::read_to_string(installation.config()).expect("configuration");
    installation.configure("smtp_hots: a\n[lmtp]\ntimeout: never\n");
    for args in [&["lists"][..], &["create", ANTS], &["serve"], &["conf"], &["status"], &["aliases"]] {
        let error = installation.fails(1, args);
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), 2, "{error}");
        assert!(
            lines.iter().all(|line| line.starts_with("postrider: /") && line.contains("postrider.cfg:")),
            "{error}"
        );
        assert!(error.contains("smtp_hots") && error.contains("[lmtp] timeout"), "{error}");
    }
    assert!(!installation.path().join("var").exists());
    installation.write("postrider.cfg", &good);
    installation.run(&["lists"]);
}

#[test]
fn conf_shows_every_value_and_where_it_came_from() {
    let installation = bare();
    let config = installation.config().display().to_string();
    let text = fs::read_to_string(installation.config()).expect("configuration");
    let line = |key: &str| 1 + text.lines().position(|line| line.starts_with(&format!("{key}:"))).expect("key");
    let all = installation.run(&["conf"]);
    for section in ["[mta]", "[postrider]", "[paths.here]", "[database]", "[logging]", "[plugins]", "[lmtp]"] {
        assert!(all.contains(&format!("\n{section}\n")), "{section} is missing in\n{all}");
    }
    assert!(
        all.contains(&format!("# {config}:{}\nlmtp_port: {}\n", line("lmtp_port"), installation.lmtp_port)),
        "{all}"
    );
    let section = installation.run(&["conf", "mta"]);
    assert!(section.contains("smtp_port") && !section.contains("[paths"), "{section}");
    assert_eq!(installation.run(&["conf", "mailman"]), installation.run(&["conf", "postrider"]));

    let key = installation.run(&["conf", "mta", "smtp_port"]);
    assert!(
        key.contains(&format!("# From {config}:{}.\nsmtp_port: {}", line("smtp_port"), installation.smtp_port)),
        "{key}"
    );
    assert!(installation.run(&["conf", "mta", "max_recipients"]).contains("This is the default.\nmax_recipients: 10"));

    let json = installation.json(&["conf", "mta", "smtp_port", "--json"]);
    assert_eq!(json[0]["value"], installation.smtp_port.to_string());
    assert_eq!((&json[0]["file"], &json[0]["line"]), (&config.clone().into(), &line("smtp_port").into()));
    assert_eq!((&json[0]["default"], &json[0]["takes_effect"]), (&"25".into(), &"reload".into()));

    let error = installation.fails(1, &["conf", "mta", "smtp_prot"]);
    assert!(error.contains("no key `smtp_prot` in [mta]; did you mean `smtp_port`?"), "{error}");
    let error = installation.fails(1, &["conf", "mat"]);
    assert!(error.contains("no section `mat`; did you mean `mta`?"), "{error}");
    assert!(!installation.path().join("var").exists(), "`conf` makes nothing");
}

#[test]
fn what_conf_prints_can_be_used_as_a_configuration() {
    let installation = bare();
    for args in [&["conf"][..], &["conf", "--defaults"], &["conf", "--sample"]] {
        let (_directory, file) = file(&installation.run(args));
        let again = with_file(&file, &["conf", "--json"]);
        assert!(again.status.success(), "{args:?}: {}", text(&again.stderr));
        let values = |octets: &[u8]| -> Vec<_> {
            let all: serde_json::Value = serde_json::from_slice(octets).expect("JSON");
            all.as_array().expect("array").iter().map(|one| (one["key"].clone(), one["value"].clone())).collect()
        };
        let wanted = if args == ["conf"] {
            installation.output(&["conf", "--json"])
        } else {
            plain(&["conf", "--defaults", "--json"]).output().expect("postrider")
        };
        assert_eq!(values(&again.stdout), values(&wanted.stdout), "{args:?}");
    }
}

#[test]
fn passwords_are_shown_only_when_asked_for() {
    let installation = bare();
    installation.configure("smtp_user: rider\nsmtp_pass: hush;hush#\n");
    for args in
        [&["conf"][..], &["conf", "mta"], &["conf", "mta", "smtp_pass"], &["conf", "--json"], &["conf", "--check"]]
    {
        assert!(!installation.run(args).contains("hush"), "{args:?}");
    }
    assert!(installation.run(&["conf", "mta", "smtp_pass"]).contains("smtp_pass: ********"));
    assert!(installation.run(&["conf", "mta", "smtp_pass", "--secrets"]).contains("smtp_pass: hush;hush#"));
    let checked = installation.run(&["conf", "--check"]);
    assert!(checked.contains("everybody can read the password") && checked.contains("chmod o-r"), "{checked}");
}

#[test]
fn the_option_goes_before_the_environment_and_a_named_file_must_exist() {
    let (_one, by_option) = file("[mta]\nsmtp_port: 1001\n");
    let (_two, by_environment) = file("[mta]\nsmtp_port: 1002\n");
    let port = |command: &mut Command| {
        let output = command.args(["conf", "mta", "smtp_port"]).output().expect("postrider");
        text(&output.stdout).lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(port(plain(&[]).env("POSTRIDER_CONFIG", &by_environment)), "smtp_port: 1002");
    assert_eq!(port(plain(&["-C"]).arg(&by_option).env("POSTRIDER_CONFIG", &by_environment)), "smtp_port: 1001");

    let missing = with_file(Path::new("/nonexistent/postrider.cfg"), &["lists"]);
    assert_eq!(missing.status.code(), Some(1));
    let error = text(&missing.stderr);
    assert!(
        error.contains("/nonexistent/postrider.cfg: the configuration file cannot be read: No such file"),
        "{error}"
    );
    assert!(error.contains("-C FILE or POSTRIDER_CONFIG"), "{error}");
    let missing = plain(&["lists"]).env("POSTRIDER_CONFIG", "/nonexistent").output().expect("postrider");
    assert!(text(&missing.stderr).contains("/nonexistent: the configuration file cannot be read"));
    let directory = text(&with_file(Path::new("/tmp"), &["lists"]).stderr);
    assert!(directory.contains("/tmp: the configuration file cannot be read: Is a directory"), "{directory}");
    let (_three, binary) = file("");
    fs::write(&binary, b"\x7fELF\xff\xfe").expect("file");
    let error = text(&with_file(&binary, &["lists"]).stderr);
    assert!(error.contains("postrider.cfg:1: ") && error.contains("UTF-8"), "{error}");
}

#[test]
fn the_sections_of_mailmans_documentation_load_as_they_stand() {
    let directory = repository().join("host/tests/mailman");
    let value = |name: &str, key: &str| {
        let output = with_file(&directory.join(name), &["conf", "mta", key, "--json"]);
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        json[0]["value"].as_str().expect("value").to_owned()
    };
    assert_eq!(value("default.cfg", "lmtp_port"), "8024");
    assert_eq!(value("postfix-hash.cfg", "smtp_host"), "mail.example.com");
    assert_eq!(value("postfix-regexp.cfg", "configuration"), "/path/to/postfix-mailman.cfg");
    assert_eq!(value("exim4.cfg", "incoming"), "mailman.mta.exim4.LMTP");
    assert_eq!(value("qmail.cfg", "incoming"), "mailman.mta.null.NullMTA");

    // What is written there is right; what is not installed is told by --check only.
    let checked = with_file(&directory.join("exim4.cfg"), &["conf", "--check"]);
    let shown = text(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1), "{shown}");
    assert!(shown.contains("libpostrider_exim4.so") && shown.contains("[plugins] path"), "{shown}");
    let shown = text(&with_file(&directory.join("postfix-regexp.cfg"), &["conf", "--check"]).stdout);
    assert!(shown.contains("/path/to/postfix-mailman.cfg"), "{shown}");

    // The adapter's own file of the same documentation.
    let installation =
        Installation::with_mta("incoming: mailman.mta.postfix.LMTP\nconfiguration: $DIR/postfix-mailman.cfg\n");
    fs::copy(directory.join("postfix-mailman.cfg"), installation.path().join("postfix-mailman.cfg")).expect("copy");
    let shown = installation.run(&["conf", "--check"]);
    assert!(shown.contains("The configuration is good."), "{shown}");
}

#[test]
fn sections_of_mailmans_that_do_nothing_here_are_told_and_accepted() {
    let installation = bare();
    installation.configure("[archiver.hyperkitty]\nenable: yes\n[webservice]\nport: 8001\n");
    let shown = installation.run(&["conf", "--check"]);
    for section in ["[archiver.hyperkitty]", "[webservice]"] {
        assert!(shown.lines().any(|line| line.starts_with("notice: ") && line.contains(section)), "{shown}");
    }
}

#[test]
fn the_adapters_own_file_is_checked_too() {
    let installation = Installation::with_mta("incoming: postfix.LMTP\nconfiguration: $DIR/own.cfg\n");
    let own = installation.path().join("own.cfg").display().to_string();

    let missing = installation.output(&["conf", "--check"]);
    let shown = text(&missing.stdout);
    assert_eq!(missing.status.code(), Some(1));
    assert!(shown.contains(&own) && shown.contains("plugin:NAME"), "{shown}");

    installation.write("own.cfg", "[postfix]\ntransport_file_tpye: hash\npostmap_command: postmap\n");
    let shown = text(&installation.output(&["conf", "--check"]).stdout);
    assert!(shown.contains(&format!("{own}:2: ")) && shown.contains("`transport_file_type`"), "{shown}");

    installation.write("own.cfg", "[postfix]\ntransport_file_type: btree\n");
    let shown = text(&installation.output(&["conf", "--check"]).stdout);
    assert!(shown.contains(&format!("{own}:2: ")) && shown.contains("btree") && shown.contains("lmdb"), "{shown}");

    // The list is made; the MTA learns of it when the file is right.
    let error = installation.fails(3, &["create", ANTS]);
    assert!(error.contains("own.cfg:2") && error.contains("postrider aliases"), "{error}");
    installation.write("own.cfg", "[postfix]\ntransport_file_type: sqlite\n");
    installation.run(&["aliases"]);
    assert!(installation.data().join("postfix_lmtp.sqlite").exists());
}
