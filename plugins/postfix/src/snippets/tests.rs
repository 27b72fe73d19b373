//! Snippets for various sites.

use super::*;
use crate::testing::{site, TestRoster};
use postrider_plugin_api::sdk::Settings;

const DEFAULT_RELAY_DOMAINS: &str = "${{$compatibility_level} <level {2} ? {$mydestination} : {}}";

/// Each parameter as (name, written, expanded).
fn facts(parameters: &[(&str, &str, &str)]) -> Facts {
    let mut facts = Facts::from([("default_database_type".into(), "hash".into())]);
    for (name, raw, expanded) in parameters {
        facts.insert((*name).into(), (*raw).into());
        facts.insert(format!("{name} (expanded)"), (*expanded).into());
    }
    facts
}

fn snippets(facts: &Facts, domains: &[(&str, &str)]) -> Vec<Snippet> {
    let config = Config::parse(&Settings::default()).unwrap();
    all(&config, Context { site: &site(), facts, roster: &TestRoster::new(domains, &[]) }).unwrap()
}

/// All lines for `main.cf`.
fn lines(snippets: &[Snippet]) -> String {
    snippets.iter().filter(|snippet| snippet.kind == SnippetKind::Lines).map(|snippet| snippet.text.as_str()).collect()
}

fn explanations(snippets: &[Snippet]) -> String {
    snippets.iter().map(|snippet| snippet.explanation.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_fresh_postfix_gets_just_these_lines() {
    let facts = facts(&[
        ("transport_maps", "", ""),
        ("relay_domains", DEFAULT_RELAY_DOMAINS, ""),
        ("relay_recipient_maps", "", ""),
        ("mydestination", "$myhostname, localhost", "mta.example.com, localhost"),
    ]);
    let snippets = snippets(&facts, &[("lists.example.com", "")]);
    assert_eq!(
        lines(&snippets),
        "transport_maps = hash:/var/lib/postrider/data/postfix_transport\n\
         relay_domains = hash:/var/lib/postrider/data/postfix_domains\n\
         relay_recipient_maps = hash:/var/lib/postrider/data/postfix_recipients\n\
         unknown_relay_recipient_reject_code = 550\n\
         recipient_delimiter = +\n\
         owner_request_special = no\n"
    );
    assert!(!explanations(&snippets).contains("WARNING"));
    assert_eq!(snippets[0].text, "cp -np /etc/postfix/main.cf /etc/postfix/main.cf.before-postrider\n");
    let last = snippets.last().unwrap();
    assert_eq!(last.text, "/usr/sbin/postfix check\n/usr/sbin/postfix reload\n");
    assert!(last.explanation.contains("undo"));
}

#[test]
fn what_the_site_has_is_kept() {
    let facts = facts(&[
        ("transport_maps", "hash:/etc/postfix/transport", "hash:/etc/postfix/transport"),
        ("relay_domains", "$mydestination, b.example", "mta.example.com, b.example"),
        ("relay_recipient_maps", "hash:/etc/postfix/relay_recipients", "hash:/etc/postfix/relay_recipients"),
        ("recipient_delimiter", "-", "-"),
        ("owner_request_special", "no", "no"),
        ("mydestination", "mta.example.com", "mta.example.com"),
    ]);
    assert_eq!(
        lines(&snippets(&facts, &[("lists.example.com", "")])),
        "transport_maps = hash:/etc/postfix/transport, hash:/var/lib/postrider/data/postfix_transport\n\
         relay_domains = $mydestination, b.example, hash:/var/lib/postrider/data/postfix_domains\n\
         relay_recipient_maps = hash:/etc/postfix/relay_recipients, hash:/var/lib/postrider/data/postfix_recipients\n\
         unknown_relay_recipient_reject_code = 550\n\
         recipient_delimiter = -+\n"
    );
}

#[test]
fn relay_domains_that_accepted_everything_still_do() {
    let facts = facts(&[
        ("relay_domains", "backup.example, lists.example.com", "backup.example, lists.example.com"),
        ("relay_recipient_maps", "", ""),
    ]);
    let snippets = snippets(&facts, &[("lists.example.com", "")]);
    assert!(
        lines(&snippets).contains("postfix_recipients, inline:{ { @backup.example = accepted } }\n"),
        "{}",
        lines(&snippets)
    );
    assert!(explanations(&snippets).contains("backup.example: it accepts every address"));
}

#[test]
fn relay_domains_in_tables_that_accepted_everything_are_warned_about() {
    let facts = facts(&[("relay_domains", "hash:/etc/postfix/relay", "hash:/etc/postfix/relay")]);
    let text = explanations(&snippets(&facts, &[("lists.example.com", "")]));
    assert!(text.contains("WARNING: relay_domains names tables (hash:/etc/postfix/relay)"), "{text}");
}

#[test]
fn asking_again_after_the_hookup_changes_nothing() {
    let table = |name: &str| format!("hash:/var/lib/postrider/data/{name}");
    let (transport, domains, recipients) =
        (table("postfix_transport"), table("postfix_domains"), table("postfix_recipients"));
    let facts = facts(&[
        ("transport_maps", &transport, &transport),
        ("relay_domains", &domains, &domains),
        ("relay_recipient_maps", &recipients, &recipients),
        ("recipient_delimiter", "+", "+"),
        ("owner_request_special", "no", "no"),
    ]);
    let snippets = snippets(&facts, &[("lists.example.com", "")]);
    for value in [transport, domains, recipients] {
        assert_eq!(lines(&snippets).matches(&value).count(), 1, "{}", lines(&snippets));
    }
    assert!(!explanations(&snippets).contains("WARNING"), "{}", explanations(&snippets));
}

#[test]
fn a_list_domain_in_mydestination_is_warned_about_first_and_taken_out() {
    let facts = facts(&[(
        "mydestination",
        "$myhostname, Lists.example.com localhost",
        "mta.example.com, Lists.example.com localhost",
    )]);
    let snippets = snippets(&facts, &[("lists.example.com", "")]);
    assert_eq!(snippets[1].text, "mydestination = $myhostname, localhost\n");
    assert!(snippets[1].explanation.starts_with("WARNING") && snippets[1].explanation.contains("STOP HERE"));
}

#[test]
fn where_it_cannot_be_told_which_word_it_is_the_administrator_has_to_look() {
    let facts = facts(&[("virtual_mailbox_domains", "$ours", "a.example, lists.example.com")]);
    let snippets = snippets(&facts, &[("lists.example.com", "")]);
    assert_eq!(snippets[1].text, "# take out of virtual_mailbox_domains: lists.example.com\n");
}

#[test]
fn a_domain_with_an_alias_is_rewritten_and_only_the_alias_is_routed() {
    let facts = facts(&[
        ("virtual_alias_maps", "hash:/etc/postfix/virtual", "hash:/etc/postfix/virtual"),
        ("virtual_alias_domains", "$virtual_alias_maps", "hash:/etc/postfix/virtual"),
        ("mydestination", "mta.example.com, shared.example", "mta.example.com, shared.example"),
    ]);
    let snippets = snippets(&facts, &[("real.example", "virt.example"), ("shared.example", "lists.shared.example")]);
    let lines = lines(&snippets);
    let expected = "virtual_alias_maps = hash:/etc/postfix/virtual, hash:/var/lib/postrider/data/postfix_vmap\n\
                    virtual_alias_domains = $virtual_alias_maps, real.example\n";
    assert!(lines.contains(expected), "{lines}");
    // It has mailboxes of its own; it is not an alias domain, and there is no conflict.
    assert!(!explanations(&snippets).contains("WARNING"));
}

#[test]
fn without_facts_the_lines_come_with_a_word_of_care() {
    let snippets = snippets(&Facts::new(), &[("lists.example.com", "")]);
    assert!(lines(&snippets).starts_with("transport_maps = hash:/var/lib/postrider/data/postfix_transport\n"));
    assert!(explanations(&snippets).contains("could not be asked"));
}

#[test]
fn an_instance_of_its_own_is_named_everywhere() {
    let config = Config::parse(&[("config_directory", "/etc/postfix-lists")].into_iter().collect()).unwrap();
    let roster = TestRoster::new(&[("e.org", "")], &[]);
    let snippets = all(&config, Context { site: &site(), facts: &Facts::new(), roster: &roster }).unwrap();
    assert_eq!(snippets[1].file, "/etc/postfix-lists/main.cf");
    assert!(snippets.last().unwrap().text.ends_with("/usr/sbin/postfix -c /etc/postfix-lists reload\n"));
}
