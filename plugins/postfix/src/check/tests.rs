//! Checks against a Postfix that answers as it is told.

use super::*;
use crate::testing::{site, TestRoster, TestTools};
use postrider_plugin_api::sdk::{Facts, Settings};

const HOOKED_UP: &str = "\
default_database_type = hash
local_recipient_maps = proxy:unix:passwd.byname
mydestination = mta.example.com
mynetworks = 127.0.0.0/8
propagate_unmatched_extensions = canonical, virtual
recipient_delimiter = +
relay_domains = hash:/var/lib/postrider/data/postfix_domains
relay_recipient_maps = hash:/var/lib/postrider/data/postfix_recipients
smtpd_reject_unlisted_recipient = yes
soft_bounce = no
transport_maps = hash:/var/lib/postrider/data/postfix_transport
unknown_relay_recipient_reject_code = 550
";

fn check(main_cf: &str, postmap: impl Fn(TestTools) -> TestTools) -> Vec<Finding> {
    let config = Config::parse(&Settings::default()).unwrap();
    let roster = TestRoster::new(&[("e.org", "")], &["a@e.org"]);
    let tools = TestTools::default()
        .answer("/usr/sbin/postconf -m", 0, "hash\n", "")
        .answer("/usr/sbin/postconf", 0, main_cf, "")
        .answer("/usr/sbin/postmap -q postrider-asks", 1, "", "");
    let tools = postmap(tools).answer("/usr/sbin/postmap", 0, "x\n", "");
    all(&config, Context::new(&site(), &Facts::new(), &roster), &tools).unwrap()
}

fn problems(findings: &[Finding]) -> Vec<(&str, &str)> {
    let bad = findings.iter().filter(|finding| finding.severity > Severity::Info);
    bad.map(|finding| (finding.subject.as_str(), finding.seen.as_str())).collect()
}

#[test]
fn a_postfix_that_is_hooked_up_has_nothing_to_complain_about() {
    let findings = check(HOOKED_UP, |tools| tools);
    assert_eq!(problems(&findings), []);
    assert!(findings.len() >= 10);
}

#[test]
fn a_parameter_that_lacks_our_table_comes_with_the_line_to_write() {
    let main_cf = HOOKED_UP
        .replace("transport_maps = hash:/var/lib/postrider/data/postfix_transport", "transport_maps = hash:/etc/t");
    let findings = check(&main_cf, |tools| tools);
    let finding = findings.iter().find(|finding| finding.severity == Severity::Error).unwrap();
    assert_eq!(finding.subject, "transport_maps");
    let line = "transport_maps = hash:/etc/t, hash:/var/lib/postrider/data/postfix_transport";
    assert!(finding.advice.ends_with(&format!("put into /etc/postfix/main.cf: {line}")), "{}", finding.advice);
}

#[test]
fn a_site_configured_as_mailmans_manual_says_is_hooked_up() {
    let main_cf = HOOKED_UP.replace("postfix_transport", "postfix_lmtp").replace("postfix_recipients", "postfix_lmtp");
    assert_eq!(problems(&check(&main_cf, |tools| tools)), []);
}

#[test]
fn a_domain_with_mailboxes_needs_routes_and_acceptance_by_address() {
    let main_cf = HOOKED_UP.replace("= mta.example.com", "= mta.example.com, e.org");
    let findings = check(&main_cf, |tools| tools);
    let lacking: Vec<_> = problems(&findings).into_iter().map(|(subject, _)| subject).collect();
    assert_eq!(lacking, ["transport_maps", "local_recipient_maps"]);

    let main_cf = main_cf
        .replace("data/postfix_transport", "data/postfix_transport, hash:/var/lib/postrider/data/postfix_lmtp")
        .replace("passwd.byname", "passwd.byname, hash:/var/lib/postrider/data/postfix_recipients");
    assert_eq!(problems(&check(&main_cf, |tools| tools)), []);
}

#[test]
fn a_domain_that_is_postfixs_own_by_a_table_is_told_with_the_setting() {
    let main_cf = HOOKED_UP.replace("= mta.example.com", "= mta.example.com, hash:/etc/postfix/local");
    let findings =
        check(&main_cf, |tools| tools.answer("/usr/sbin/postmap -q e.org hash:/etc/postfix/local", 0, "x", ""));
    assert_eq!(
        problems(&findings),
        [("mydestination", "hash:/etc/postfix/local has e.org, which is a domain of lists")]
    );
    assert!(findings.iter().any(|finding| finding.advice.starts_with("set shared_domains: e.org")));
}

#[test]
fn a_virtual_alias_domain_cannot_have_lists() {
    let findings = check(&format!("{HOOKED_UP}virtual_alias_domains = e.org\n"), |tools| tools);
    assert_eq!(problems(&findings), [("virtual_alias_domains", "it has e.org, which is a domain of lists")]);
}

#[test]
fn a_list_server_that_is_out_of_reach_is_told() {
    let config = Config::parse(&Settings::default()).unwrap();
    let roster = TestRoster::new(&[("e.org", "")], &["a@e.org"]);
    let tools = TestTools::default()
        .answer("/usr/sbin/postconf -m", 0, "hash\n", "")
        .answer("/usr/sbin/postconf -F", 0, "lmtp/unix/chroot = y\n", "")
        .answer("/usr/sbin/postconf", 0, &format!("{HOOKED_UP}queue_directory = /var/spool/postfix\n"), "")
        .answer("/usr/sbin/postmap -q postrider-asks", 1, "", "")
        .answer("/usr/sbin/postmap", 0, "x\n", "");
    let seen = |lmtp: LmtpAddress| {
        let mut site = site();
        site.lmtp = lmtp;
        site.smtp_host = "198.51.100.2".into();
        let findings = all(&config, Context::new(&site, &Facts::new(), &roster), &tools).unwrap();
        problems(&findings).into_iter().map(|(subject, _)| subject.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(seen(LmtpAddress::unix("/run/postrider/lmtp")), ["lmtp/unix/chroot"]);
    assert_eq!(seen(LmtpAddress::unix("/var/spool/postfix/postrider/lmtp")), [""; 0]);
    assert_eq!(seen(LmtpAddress::tcp("198.51.100.1", 8024)), ["mynetworks"]);
    assert_eq!(seen(LmtpAddress::tcp("::1", 8024)), [""; 0]);
}

#[test]
fn every_instance_is_checked_and_named() {
    let config = Config::parse(&[("config_directory", "/a /b")].into_iter().collect::<Settings>()).unwrap();
    let roster = TestRoster::new(&[("e.org", "")], &[]);
    let tools = TestTools::default()
        .answer("/usr/sbin/postconf -c /a -m", 0, "hash\n", "")
        .answer("/usr/sbin/postconf -c /a", 0, HOOKED_UP, "")
        .answer("/usr/sbin/postconf -c /b -m", 0, "hash\n", "")
        .answer("/usr/sbin/postconf -c /b", 0, &HOOKED_UP.replace("= 550", "= 450"), "")
        .answer("/usr/sbin/postmap", 1, "", "");
    let findings = all(&config, Context::new(&site(), &Facts::new(), &roster), &tools).unwrap();
    assert_eq!(problems(&findings), [("/b: unknown_relay_recipient_reject_code", "450")]);
}

#[test]
fn missing_addresses_and_unreadable_tables_are_told_apart() {
    let findings = check(HOOKED_UP, |tools| {
        tools.answer("/usr/sbin/postmap -q a@e.org", 1, "", "").answer(
            "/usr/sbin/postmap -q e.org hash:/var/lib/postrider/data/postfix_transport",
            1,
            "",
            "postmap: fatal: open",
        )
    });
    assert_eq!(
        problems(&findings),
        [
            ("hash:/var/lib/postrider/data/postfix_recipients", "a@e.org is missing"),
            ("hash:/var/lib/postrider/data/postfix_transport", "postmap: fatal: open"),
        ]
    );
}

#[test]
fn a_machine_without_postfix_is_a_warning() {
    let config = Config::parse(&Settings::default()).unwrap();
    let roster = TestRoster::new(&[], &[]);
    let findings = all(&config, Context::new(&site(), &Facts::new(), &roster), &TestTools::default()).unwrap();
    assert_eq!(problems(&findings), [("/usr/sbin/postconf", "it does not exist, so Postfix cannot be asked")]);
}
