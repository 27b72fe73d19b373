//! Checks against a Postfix that answers as it is told.

use super::*;
use crate::testing::{site, TestRoster, TestTools};
use postrider_plugin_api::sdk::{Facts, Settings};

const HOOKED_UP: &str = "\
default_database_type = hash
mydestination = mta.example.com
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
    all(&config, Context { site: &site(), facts: &Facts::new(), roster: &roster }, &tools).unwrap()
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
    assert_eq!(finding.advice, format!("put into /etc/postfix/main.cf: {line}"));
}

#[test]
fn a_site_configured_as_mailmans_manual_says_is_hooked_up() {
    let main_cf = HOOKED_UP.replace("postfix_transport", "postfix_lmtp").replace("postfix_recipients", "postfix_lmtp");
    assert_eq!(problems(&check(&main_cf, |tools| tools)), []);
}

#[test]
fn a_list_domain_that_postfix_takes_for_its_own_is_an_error() {
    let findings = check(&HOOKED_UP.replace("= mta.example.com", "= mta.example.com, e.org"), |tools| tools);
    assert_eq!(problems(&findings), [("mydestination", "it has e.org, which is a domain of lists")]);
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
    let context = Context { site: &site(), facts: &Facts::new(), roster: &roster };
    let findings = all(&config, context, &TestTools::default()).unwrap();
    assert_eq!(problems(&findings), [("/usr/sbin/postconf", "it does not exist, so Postfix cannot be asked")]);
}
