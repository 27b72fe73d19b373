//! Checks against a qmail that answers as it is told.

use super::*;
use crate::testing::{site, TestRoster, TestTools};
use postrider_plugin_api::sdk::Facts;

const LOCAL: &str = "/var/qmail/bin/qmail-local";
const SAYS: &str = "program /usr/bin/qmail-lmtp --host 127.0.0.1 --port 8024\ndid 0+0+1\n";

fn hooked_up() -> TestTools {
    TestTools::default()
        .file("/usr/bin/qmail-lmtp", "")
        .file("/usr/local/sbin/postrider-qmail", "")
        .file("/var/qmail/control/locals", "mta.example.com\n")
        .file("/var/qmail/control/virtualdomains", "Lists.example.com:postrider\n")
        .file("/var/qmail/control/rcpthosts", "mta.example.com\nlists.example.com\n")
        .file("/var/qmail/users/assign", "+postrider-:postrider:990:990:/var/lib/postrider/data/qmail:-::\n.\n")
        .file("/var/qmail/users/cdb", "")
        .file("/etc/tcp.smtp", "127.:allow,RELAYCLIENT=\"\"\n")
}

fn check_with(settings: &[(&str, &str)], domains: &[(&str, &str)], tools: &TestTools) -> Vec<Finding> {
    let config = Config::parse(&settings.iter().copied().collect()).unwrap();
    let roster = TestRoster::new(domains, &["ants@lists.example.com"]);
    all(&config, Context::new(&site(), &Facts::new(), &roster), tools).unwrap()
}

fn check(tools: &TestTools) -> Vec<Finding> {
    check_with(&[], &[("lists.example.com", "")], tools)
}

/// The findings that are not fine: what was looked at, what was seen, and the cure.
fn problems(findings: &[Finding]) -> Vec<(&str, &str, &str)> {
    let bad = findings.iter().filter(|finding| finding.severity > Severity::Info);
    bad.map(|finding| (finding.subject.as_str(), finding.seen.as_str(), finding.advice.as_str())).collect()
}

#[track_caller]
fn one_problem(tools: &TestTools, subject: &str, seen: &str, advice: &str) {
    let findings = check(tools);
    match problems(&findings)[..] {
        [problem] => {
            let as_expected = problem.0.ends_with(subject) && problem.1.contains(seen) && problem.2.contains(advice);
            assert!(as_expected, "{:?}", problem);
        }
        ref others => panic!("{:?}", others),
    }
}

#[test]
fn a_qmail_that_is_hooked_up_has_nothing_to_complain_about() {
    let findings = check(&hooked_up().answer(LOCAL, 0, SAYS, ""));
    assert_eq!(problems(&findings), []);
    let asked: Vec<_> = findings.iter().map(|finding| finding.subject.as_str()).collect();
    assert!(asked.contains(&"ants@lists.example.com"), "{:?}", asked);
    assert!(asked.contains(&"ants-bounces+user=dom@lists.example.com"), "{:?}", asked);
}

#[test]
fn a_forgotten_sticky_bit_is_named_with_its_cure() {
    let findings = check(&hooked_up().answer(LOCAL, 0, SAYS, "qmail-local: Warning: home directory is sticky.\n"));
    let problem = problems(&findings)[0];
    assert_eq!((problem.0, problem.1), ("/var/lib/postrider/data/qmail", "it is sticky"));
    assert!(problem.2.contains("chmod -t /var/lib/postrider/data/qmail"));
}

#[test]
fn what_makes_qmail_local_defer_or_bounce_is_told_apart() {
    let said = [
        (111, "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)", "chmod 644"),
        (111, "Uh-oh: home directory is writable. (#4.7.0)", "chmod 755"),
        (111, "Uh-oh: .qmail file is writable. (#4.7.0)", "chmod 644"),
        (100, "Sorry, no mailbox here by that name. (#5.1.1)", "bounces mail for lists: run postrider aliases"),
        (111, "Unable to switch to /var/lib/postrider/data/qmail: access denied. (#4.3.0)", "ask as root"),
        (0, "program /usr/local/bin/old-qmail-lmtp 8024 1", "run postrider aliases"),
    ];
    for (status, words, advice) in said {
        let findings = check(&hooked_up().answer(LOCAL, status, words, ""));
        let problem = problems(&findings)[0];
        assert!(problem.1.contains(words) && problem.2.contains(advice), "{:?}", problem);
    }
}

#[test]
fn each_missing_line_comes_with_the_command_that_adds_it() {
    let tools = hooked_up().answer(LOCAL, 0, SAYS, "");
    let tools = tools
        .file("/var/qmail/control/virtualdomains", "# lists.example.com:postrider\nother.example:joe\n")
        .file("/var/qmail/control/postrider.rcpthosts", "lists.example.com\n");
    one_problem(
        &tools,
        "virtualdomains",
        "takes it for a domain elsewhere",
        "run /usr/local/sbin/postrider-qmail as root",
    );
    let tools = hooked_up().answer(LOCAL, 0, SAYS, "").file("/var/qmail/control/rcpthosts", "mta.example.com\n");
    one_problem(&tools, "rcpthosts", "553", "run /usr/local/sbin/postrider-qmail as root");
}

#[test]
fn a_domain_that_is_relayed_to_another_host_is_named_with_both_cures() {
    let unrouted = || hooked_up().answer(LOCAL, 0, SAYS, "").file("/var/qmail/control/virtualdomains", "");
    one_problem(&unrouted(), "virtualdomains", "its mail goes to another host", "a domain of their own; or");
    let tools = unrouted()
        .file("/var/qmail/control/postrider.rcpthosts", "lists.example.com\n")
        .file("/var/qmail/control/smtproutes", ".example.com:inner.example.net:26\n:smarthost.example.net\n");
    one_problem(&tools, "virtualdomains", "its mail goes to another host", "add the line and run");
}

#[test]
fn wildcards_and_morercpthosts_accept_domains_too() {
    let tools = hooked_up().answer(LOCAL, 0, SAYS, "");
    assert_eq!(problems(&check(&tools.file("/var/qmail/control/rcpthosts", ".example.com\n"))), []);
    let tools = hooked_up().answer(LOCAL, 0, SAYS, "").file("/var/qmail/control/rcpthosts", "mta.example.com\n");
    assert_eq!(problems(&check(&tools.file("/var/qmail/control/morercpthosts", "lists.example.com\n"))), []);
    assert!(!accepts(".example.com", "example.com") && !accepts("example.com", "lists.example.com"));
}

#[test]
fn a_domain_of_somebody_else_is_an_error() {
    let tools = hooked_up().answer(LOCAL, 0, SAYS, "");
    one_problem(
        &tools.file("/var/qmail/control/locals", "mta.example.com\nlists.example.com\n"),
        "locals",
        "virtualdomains does not count",
        "--alias-domain",
    );
    let tools = hooked_up().answer(LOCAL, 0, SAYS, "");
    one_problem(
        &tools.file("/var/qmail/control/virtualdomains", "lists.example.com:joe\n"),
        "virtualdomains",
        "lists.example.com:joe",
        "alias domain",
    );
}

#[test]
fn the_assignment_must_be_ours_and_compiled() {
    let with = |assign: &str| hooked_up().answer(LOCAL, 0, SAYS, "").file("/var/qmail/users/assign", assign);
    one_problem(&with("+joe-:joe:1:1:/home/joe:-::\n.\n"), "assign", "no line begins with +postrider-:", "hookup");
    one_problem(&with("+postrider-:joe:1:1:/home/joe:-::\n.\n"), "assign", "/home/joe", "set home");
    let mut tools = hooked_up().answer(LOCAL, 0, SAYS, "");
    tools.files.remove("/var/qmail/users/cdb");
    one_problem(&tools, "assign", "not compiled", "/var/qmail/bin/qmail-newu");
}

#[test]
fn a_user_with_the_name_of_the_prefix_needs_no_assignment() {
    let mut tools = hooked_up().answer(LOCAL, 0, SAYS, "");
    tools.files.remove("/var/qmail/users/assign");
    one_problem(&tools, "assign", "no line begins with", "hookup");
    let home = "postrider:x:990:990::/var/lib/postrider/data/qmail:/usr/sbin/nologin\n";
    assert_eq!(problems(&check(&tools.file("/etc/passwd", home))), []);
}

#[test]
fn missing_programs_are_named() {
    let mut tools = hooked_up().answer(LOCAL, 0, SAYS, "");
    tools.files.remove("/usr/bin/qmail-lmtp");
    one_problem(&tools, "/usr/bin/qmail-lmtp", "does not exist", "defers all mail");
    let findings = check(&hooked_up());
    assert_eq!(problems(&findings)[0].0, LOCAL);
    let findings =
        check(&TestTools::default().file("/usr/bin/qmail-lmtp", "").file("/usr/local/sbin/postrider-qmail", ""));
    assert_eq!(problems(&findings)[0].0, "/var/qmail/control/");
}

#[test]
fn a_list_server_that_may_not_relay_is_told_of_both_ways_out() {
    let tools = hooked_up().answer(LOCAL, 0, SAYS, "").file("/etc/tcp.smtp", "# 127.:RELAYCLIENT\n:allow\n");
    one_problem(&tools, "/etc/tcp.smtp", "no rule lets 127. relay", "qmail.Queue");
}

#[test]
fn lists_beside_mailboxes_need_the_line_in_alias() {
    let domains = [("example.com", "lists.example.com"), ("lists.example.com", "")];
    let tools = hooked_up().answer(LOCAL, 0, SAYS, "");
    assert_eq!(problems(&check_with(&[], &domains, &tools))[0].0, "/var/qmail/alias/.qmail-default");
    let tools = tools.file("/var/qmail/alias/.qmail-default", "|/usr/bin/qmail-lmtp --host 127.0.0.1 --port 8024\n");
    assert_eq!(problems(&check_with(&[], &domains, &tools)), []);
}

#[test]
fn per_list_files_that_let_everything_through_are_worth_a_word() {
    let tools = hooked_up().answer(LOCAL, 0, SAYS, "");
    let findings = check_with(&[("recipients", "per-list")], &[("lists.example.com", "")], &tools);
    assert!(findings.iter().any(|one| one.severity == Severity::Info && one.advice.contains(".qmail-default")));
}
