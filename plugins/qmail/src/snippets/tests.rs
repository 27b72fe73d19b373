//! The steps for various sites; those that are commands are run by the real sh.

use super::*;
use crate::testing::{run_sh, site, Scratch, TestRoster};
use postrider_plugin_api::sdk::{Facts, Settings, SnippetKind};

fn config(pairs: &[(&str, &str)]) -> Config {
    Config::parse(&pairs.iter().copied().collect()).unwrap()
}

fn steps(config: &Config, site: &Site, facts: &Facts, domains: &[(&str, &str)]) -> Vec<Snippet> {
    all(config, Context::new(site, facts, &TestRoster::new(domains, &[]))).unwrap()
}

fn texts(snippets: &[Snippet]) -> String {
    snippets.iter().map(|snippet| format!("{}\n{}\n{}\n", snippet.file, snippet.explanation, snippet.text)).collect()
}

fn facts(pairs: &[(&str, &str)]) -> Facts {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn other_host() -> Site {
    site().with_lmtp(LmtpAddress::tcp("198.51.100.2", 8024))
}

#[test]
fn a_plain_site_has_three_steps() {
    let snippets = steps(&config(&[]), &site(), &Facts::new(), &[("lists.example.com", "")]);
    assert_eq!(
        snippets.iter().map(|snippet| snippet.kind).collect::<Vec<_>>(),
        [SnippetKind::Commands, SnippetKind::File, SnippetKind::Commands]
    );
    assert_eq!(snippets[1].file, "/usr/local/sbin/postrider-qmail");
    assert_eq!(snippets[2].text, "chmod 0755 /usr/local/sbin/postrider-qmail\n/usr/local/sbin/postrider-qmail\n");
    assert_eq!(snippets[2].undo, "/usr/local/sbin/postrider-qmail undo\n");
    assert!(snippets[2].explanation.contains("DOMAIN:postrider"));
}

/// A qmail whose qmail-newu notes that it ran.
fn qmail_with(assign: Option<&str>) -> Scratch {
    let qmail = Scratch::new();
    qmail.write("bin/qmail-newu", &format!("#!/bin/sh\ncp {0}/users/assign {0}/users/cdb\n", qmail.path()));
    assert_eq!(run_sh(&format!("chmod 755 {}/bin/qmail-newu", qmail.path()), &[]).0, 0);
    match assign {
        Some(text) => qmail.write("users/assign", text),
        None => qmail.write("users/.keep", ""),
    }
    qmail
}

fn assignment_of(qmail: &Scratch, user: &str) -> Snippet {
    let config = config(&[("qmail_home", qmail.path()), ("user", user), ("home", "/home/it's here")]);
    assignment(&config, &site())
}

/// This user has these numbers everywhere on Debian.
const USER: &str = "daemon";
const LINE: &str = "+postrider-:daemon:1:1:/home/it's here:-::\n";

#[test]
fn nothing_is_assigned_to_root_as_whom_qmail_delivers_nothing() {
    let qmail = qmail_with(Some(".\n"));
    let (status, said) = run_sh(&assignment_of(&qmail, "root").text, &[]);
    assert_eq!(status, 1);
    assert!(said.contains("set `user` in the section [qmail]"), "{}", said);
    assert_eq!(qmail.read("users/assign"), ".\n");
}

#[test]
fn a_server_that_listens_everywhere_is_on_this_host() {
    let expected = texts(&steps(&config(&[]), &site(), &Facts::new(), &[("lists.example.com", "")]));
    for host in ["0.0.0.0", "::", "LOCALHOST", "::ffff:127.0.0.1"] {
        let here = site().with_lmtp(LmtpAddress::tcp(host, 8024));
        let seen = texts(&steps(&config(&[]), &here, &Facts::new(), &[("lists.example.com", "")]));
        assert_eq!(seen, expected, "{}", host);
    }
}

#[test]
fn the_assignment_goes_before_the_last_line_and_can_be_taken_back() {
    let before = "+vpopmail.example-:joe:89:89:/home/v:-::\n=ann:ann:1:1:/home/ann:::\n.\n";
    let qmail = qmail_with(Some(before));
    let step = assignment_of(&qmail, USER);
    for _ in 0..2 {
        assert_eq!(run_sh(&step.text, &[]), (0, String::new()));
        assert_eq!(qmail.read("users/assign"), before.replace("\n.\n", &format!("\n{}.\n", LINE)));
        assert_eq!(qmail.read("users/cdb"), qmail.read("users/assign"), "qmail-newu has run");
    }
    assert_eq!(run_sh(&step.undo, &[]), (0, String::new()));
    assert_eq!(qmail.read("users/assign"), before);
    assert_eq!(qmail.read("users/cdb"), before);
}

#[test]
fn a_site_without_assignments_gets_the_file() {
    let qmail = qmail_with(None);
    assert_eq!(run_sh(&assignment_of(&qmail, USER).text, &[]), (0, String::new()));
    assert_eq!(qmail.read("users/assign"), format!("{}.\n", LINE));
}

#[test]
fn a_prefix_that_is_somebody_elses_is_left_alone() {
    let before = "+postrider-:joe:89:89:/home/joe:-::\n.\n";
    let qmail = qmail_with(Some(before));
    let (status, said) = run_sh(&assignment_of(&qmail, USER).text, &[]);
    assert_eq!(status, 1);
    assert!(said.contains("set another prefix"), "{}", said);
    assert_eq!(qmail.read("users/assign"), before);
}

#[test]
fn a_home_of_the_sites_own_is_made_for_postrider() {
    let snippets = steps(&config(&[("home", "/home/lists"), ("user", "lists")]), &site(), &Facts::new(), &[]);
    assert_eq!(
        snippets[0].text,
        "test -d /home/lists || install -d -o postrider -g \"$(id -gn postrider)\" -m 0755 /home/lists\n"
    );
    assert!(snippets[1].text.starts_with("user=lists\n"));
}

#[test]
fn a_list_server_elsewhere_may_relay_and_its_file_is_brought_along() {
    let snippets = steps(&config(&[]), &other_host(), &Facts::new(), &[("lists.example.com", "")]);
    let file = snippets.iter().find(|snippet| snippet.file.ends_with(".qmail-default")).unwrap();
    assert_eq!(file.text, format!("{}\n|/usr/bin/qmail-lmtp --host 198.51.100.2 --port 8024\n", dot_qmail::MARK));
    let text = texts(&snippets);
    assert!(text.contains("198.51.100.2:allow,RELAYCLIENT=\"\""));
    assert!(text.contains("copy /var/lib/postrider/data/qmail_domains"));
    let by_name = site().with_lmtp(LmtpAddress::tcp("lists.example.com", 8024));
    let text = texts(&steps(&config(&[]), &by_name, &Facts::new(), &[]));
    assert!(text.contains("lists.example.com must be allowed to relay") && !text.contains(":allow"));
}

#[test]
fn the_rule_for_relaying_is_added_once_and_compiled() {
    let scratch = Scratch::new();
    let before = "10.:allow,RELAYCLIENT=\"\"\n:allow\n";
    scratch.write("tcp.smtp", before);
    let rules = format!("{}/tcp.smtp", scratch.path());
    let known = facts(&[("tcp_rules", before)]);
    let config = config(&[("tcp_rules", &rules)]);
    let roster = TestRoster::new(&[], &[]);
    let step = relay(&config, Context::new(&site(), &known, &roster)).unwrap();
    let with = |script: &str| format!("tcprules() {{ cat >\"$1\"; : \"$2\"; }}\n{}", script);
    for _ in 0..2 {
        assert_eq!(run_sh(&with(&step.text), &[]), (0, String::new()));
        let after = format!("{}127.:allow,RELAYCLIENT=\"\"\n", before);
        assert_eq!((scratch.read("tcp.smtp"), scratch.read("tcp.smtp.cdb")), (after.clone(), after));
    }
    assert_eq!(run_sh(&with(&step.undo), &[]), (0, String::new()));
    assert_eq!((scratch.read("tcp.smtp"), scratch.read("tcp.smtp.cdb")), (before.to_string(), before.to_string()));
}

#[test]
fn who_may_relay_already_needs_no_rule() {
    for rules in ["127.:allow,RELAYCLIENT=\"\"\n", "127.0.0.1:allow,RELAYCLIENT=\"\"\n:allow\n"] {
        let snippets = steps(&config(&[]), &site(), &facts(&[("tcp_rules", rules)]), &[]);
        assert!(!texts(&snippets).contains(":allow"), "{}", rules);
    }
}

#[test]
fn lists_beside_mailboxes_come_through_the_user_alias() {
    let domains = [("example.com", "lists.example.com"), ("example.org", "lists.example.org")];
    let snippets = steps(&config(&[]), &site(), &facts(&[("locals", "example.com")]), &domains);
    let step = snippets.iter().find(|snippet| snippet.text.contains("/alias/")).unwrap();
    assert!(
        step.explanation.contains("enough for example.com")
            && step.explanation.contains("example.org is not in locals")
    );

    let qmail = Scratch::new();
    qmail.write("alias/.keep", "");
    let config = config(&[("qmail_home", qmail.path())]);
    let roster = TestRoster::new(&domains, &[]);
    let step = aliases(&config, Context::new(&site(), &Facts::new(), &roster)).unwrap().remove(0);
    let expected = format!("{}\n|/usr/bin/qmail-lmtp --host 127.0.0.1 --port 8024\n", dot_qmail::MARK);
    for _ in 0..2 {
        assert_eq!(run_sh(&step.text, &[]), (0, String::new()));
        assert_eq!(qmail.read("alias/.qmail-default"), expected);
    }
    assert_eq!(run_sh(&step.undo, &[]).0, 0);
    assert!(!qmail.exists("alias/.qmail-default"));

    qmail.write("alias/.qmail-default", "| fastforward -d /etc/aliases.cdb\n");
    let (status, said) = run_sh(&step.text, &[]);
    assert_eq!(status, 0);
    assert!(said.contains("add the following line"), "{}", said);
    assert_eq!(run_sh(&step.undo, &[]).0, 0);
    assert_eq!(qmail.read("alias/.qmail-default"), "| fastforward -d /etc/aliases.cdb\n");
}

#[test]
fn every_step_is_understood_by_sh() {
    let settings = [("home", "/home/it's"), ("qmail_home", "/opt/q mail"), ("recipients", "per-list")];
    let domains = [("example.com", "lists.example.com")];
    for snippet in steps(&config(&settings), &other_host(), &Facts::new(), &domains) {
        let script = if snippet.file.ends_with(".qmail-default") { "" } else { &snippet.text };
        for text in [script, &snippet.undo] {
            assert_eq!(run_sh(&format!("sh -n <<'END_OF_STEP'\n{}\nEND_OF_STEP\n", text), &[]), (0, String::new()));
        }
    }
}

/// What an administrator sees, kept beside the tests.
#[test]
fn the_steps_are_those_of_the_golden_file() {
    let facts = facts(&[("locals", "mta.example.com"), ("tcp_rules", ":allow\n")]);
    let config = Config::parse(&Settings::default()).unwrap();
    let mut text = String::new();
    for snippet in steps(&config, &site(), &facts, &[("lists.example.com", "")]) {
        text.push_str(&format!(
            "== {:?} {}\n{}\n-- text\n{}-- undo\n{}\n",
            snippet.kind, snippet.file, snippet.explanation, snippet.text, snippet.undo
        ));
    }
    crate::testing::assert_golden("hookup.txt", &text);
}
