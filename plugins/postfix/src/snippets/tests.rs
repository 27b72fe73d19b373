//! Snippets for various sites.

use super::*;
use crate::testing::{site, TestRoster};
use std::path::Path;

const DEFAULT_RELAY_DOMAINS: &str = "${{$compatibility_level} <level {2} ? {$mydestination} : {}}";

/// Each parameter as (name, written, expanded); those that are not defaults are set.
fn facts(parameters: &[(&str, &str, &str)]) -> Facts {
    let mut facts = Facts::from([("default_database_type".into(), "hash".into())]);
    let defaults = [
        ("transport_maps", "", ""),
        ("relay_domains", DEFAULT_RELAY_DOMAINS, ""),
        ("relay_recipient_maps", "", ""),
        ("local_recipient_maps", "proxy:unix:passwd.byname $alias_maps", "proxy:unix:passwd.byname hash:/etc/aliases"),
        ("mydestination", "$myhostname, localhost", "mta.example.com, localhost"),
        ("mynetworks", "127.0.0.0/8", "127.0.0.0/8"),
        ("recipient_delimiter", "", ""),
        ("unknown_relay_recipient_reject_code", "550", "550"),
        ("virtual_alias_domains", "$virtual_alias_maps", ""),
        ("virtual_alias_maps", "$virtual_maps", ""),
        ("virtual_mailbox_maps", "", ""),
    ];
    for (name, raw, expanded) in defaults.iter().chain(parameters) {
        facts.insert((*name).into(), (*raw).into());
        facts.insert(format!("{name} (expanded)"), (*expanded).into());
    }
    facts.extend(parameters.iter().map(|(name, raw, _)| (format!("{name} (set)"), raw.to_string())));
    facts
}

/// A fresh Debian.
fn debian() -> Facts {
    let networks = "127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128";
    facts(&[
        (
            "mydestination",
            "$myhostname, debian, localhost.localdomain, localhost",
            "mta.example.com, debian, localhost",
        ),
        ("mynetworks", networks, networks),
        ("recipient_delimiter", "+", "+"),
    ])
}

/// A site with values of its own.
fn busy() -> Facts {
    facts(&[
        ("transport_maps", "hash:/etc/postfix/transport", "hash:/etc/postfix/transport"),
        ("relay_domains", "$mydestination, b.example", "mta.example.com, own.example, b.example"),
        ("relay_recipient_maps", "", ""),
        ("recipient_delimiter", "-", "-"),
        ("unknown_relay_recipient_reject_code", "450", "450"),
        ("mydestination", "mta.example.com, own.example", "mta.example.com, own.example"),
        ("virtual_alias_maps", "hash:/etc/postfix/virtual", "hash:/etc/postfix/virtual"),
        ("virtual_alias_domains", "$virtual_alias_maps", "hash:/etc/postfix/virtual"),
        ("virtual_mailbox_domains", "post.example", "post.example"),
        ("virtual_mailbox_maps", "mysql:/etc/postfix/it's.cf", "mysql:/etc/postfix/it's.cf"),
    ])
}

const BUSY_DOMAINS: &[(&str, &str)] =
    &[("lists.example.com", ""), ("own.example", ""), ("post.example", ""), ("real.example", "virt.example")];

fn snippets_at(site: &Site, settings: &[(&str, &str)], facts: &Facts, domains: &[(&str, &str)]) -> Vec<Snippet> {
    let config = Config::parse(&settings.iter().copied().collect()).unwrap();
    all(&config, Context::new(site, facts, &TestRoster::new(domains, &[]))).unwrap()
}

fn snippets(facts: &Facts, domains: &[(&str, &str)]) -> Vec<Snippet> {
    snippets_at(&site(), &[], facts, domains)
}

/// All commands.
fn texts(snippets: &[Snippet]) -> String {
    snippets.iter().map(|snippet| snippet.text.as_str()).collect()
}

/// All commands that take them back, in their order.
fn undos(snippets: &[Snippet]) -> String {
    snippets.iter().rev().map(|snippet| snippet.undo.as_str()).collect()
}

fn explanations(snippets: &[Snippet]) -> String {
    snippets.iter().map(|snippet| snippet.explanation.as_str()).collect::<Vec<_>>().join("\n")
}

/// Compares with a file in `tests/golden/hookup`, or writes it anew when `WRITE_GOLDEN` is set.
fn assert_golden(name: &str, snippets: &[Snippet]) {
    let mut text = String::new();
    for snippet in snippets {
        text.push_str(&format!("# {}\n{}", snippet.explanation, snippet.text));
        if !snippet.undo.is_empty() {
            text.push_str(&format!("# undo:\n{}", snippet.undo));
        }
        text.push('\n');
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hookup").join(name);
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, golden, "{}: set WRITE_GOLDEN=1 if this is what you want", file.display());
}

#[test]
fn a_fresh_debian_gets_just_these_steps() {
    let snippets = snippets(&debian(), &[("lists.example.com", "")]);
    assert!(!explanations(&snippets).contains("WARNING"));
    assert_golden("fresh-debian", &snippets);
}

#[test]
fn what_a_site_has_is_kept_and_comes_back() {
    let snippets = snippets(&busy(), BUSY_DOMAINS);
    assert!(!explanations(&snippets).contains("WARNING"), "{}", explanations(&snippets));
    assert_golden("site-with-values", &snippets);
}

#[test]
fn relay_domains_that_accepted_everything_still_do() {
    let facts = facts(&[("relay_domains", "backup.example", "backup.example")]);
    let snippets = snippets(&facts, &[("lists.example.com", "")]);
    assert!(
        texts(&snippets).contains("postfix_recipients, inline:{ { @backup.example = accepted } }'"),
        "{}",
        texts(&snippets)
    );
    assert!(explanations(&snippets).contains("backup.example: it accepts every address"));
}

#[test]
fn relay_domains_in_tables_that_accepted_everything_stop_the_hookup_before_anything_is_changed() {
    let facts = facts(&[("relay_domains", "hash:/etc/postfix/relay", "hash:/etc/postfix/relay")]);
    let snippets = snippets(&facts, &[("lists.example.com", "")]);
    let stop = snippets.iter().position(|snippet| snippet.text.ends_with("exit 1\n")).unwrap();
    let first_change = snippets.iter().position(|snippet| snippet.text.contains("postconf")).unwrap();
    assert!(stop < first_change, "{stop} {first_change}");
    assert!(snippets[stop].explanation.starts_with("WARNING: relay_domains names tables (hash:/etc/postfix/relay)"));
}

const PARENTS: &str = "mynetworks,relay_domains,smtpd_access_maps";

/// A Postfix as it comes, in which names match what is below them, with these relay domains.
fn with_parents(version: &str, relay_domains: &str) -> Facts {
    let mut facts = facts(&[("relay_domains", relay_domains, relay_domains), ("recipient_delimiter", "+", "+")]);
    for name in ["parent_domain_matches_subdomains", "parent_domain_matches_subdomains (expanded)"] {
        facts.insert(name.into(), PARENTS.into());
    }
    facts.insert("mail_version".into(), version.into());
    facts
}

#[test]
fn list_domains_do_not_match_what_is_below_them_and_others_still_do() {
    let steps = snippets(&with_parents("3.7.11", "b.example"), &[("example.org", ""), ("lists.b.example", "")]);
    let text = texts(&steps);
    assert!(text.contains("'parent_domain_matches_subdomains = mynetworks, smtpd_access_maps'"), "{text}");
    assert!(text.contains("'relay_domains = b.example, hash:/var/lib/postrider/data/postfix_domains, .b.example'"));
    let accepted =
        "regexp:{ { if !/[@](example\\.org|lists\\.b\\.example)$$/ }, { /[@.]b\\.example$$/ accepted }, { endif } }'";
    assert!(text.contains(accepted), "{text}");
    let undo = undos(&steps);
    assert!(undo.contains("postconf -e 'relay_domains = b.example'\n"), "{undo}");
    assert!(undo.contains("postconf -X transport_maps parent_domain_matches_subdomains"), "{undo}");
}

#[test]
fn expressions_match_as_they_are_and_need_no_change_of_what_matches() {
    let facts = with_parents("3.7.11", "b.example");
    let steps = snippets_at(&site(), &[("transport_file_type", "regexp")], &facts, &[("example.org", "")]);
    assert!(!texts(&steps).contains("'parent_domain") && !texts(&steps).contains(".b.example, "), "{}", texts(&steps));
}

#[test]
fn where_subdomains_cannot_be_accepted_the_hookup_stops() {
    let steps = snippets(&with_parents("3.5.25", "b.example"), &[("example.org", "")]);
    let stop = steps.iter().find(|step| step.text.ends_with("exit 1\n") && step.text.starts_with("echo")).unwrap();
    assert!(stop.explanation.contains("`/[@.]b\\.example$/ accepted`"), "{}", stop.explanation);
}

#[test]
fn where_tables_of_the_site_match_subdomains_the_hookup_stops() {
    let mut facts = with_parents("3.7.11", "hash:/etc/postfix/relay");
    for name in ["relay_recipient_maps", "relay_recipient_maps (expanded)"] {
        facts.insert(name.into(), "hash:/etc/postfix/people".into());
    }
    let steps = snippets(&facts, &[("example.org", "")]);
    let stop = steps.iter().find(|step| step.text.ends_with("exit 1\n") && step.text.starts_with("echo")).unwrap();
    let command = "postconf -e 'parent_domain_matches_subdomains = mynetworks, smtpd_access_maps'`";
    assert!(stop.explanation.contains(command), "{}", stop.explanation);
}

#[test]
fn people_behind_a_gateway_keep_their_mail() {
    let steps = snippets(&facts(&[("relay_domains", "e.org", "e.org")]), &[("e.org", "")]);
    let text = texts(&steps);
    assert!(text.contains("postfix_transport, hash:/var/lib/postrider/data/postfix_lmtp'"), "{text}");
    assert!(text.contains("postfix_recipients, inline:{ { @e.org = accepted } }'"), "{text}");
    assert!(explanations(&steps).contains("If nobody but lists lives there, take e.org out of relay_domains"));
}

#[test]
fn steps_that_are_asked_for_again_know_what_was_before() {
    let mut first = with_parents("3.7.11", "b.example");
    first.insert("recipient_delimiter".into(), String::new());
    first.remove("recipient_delimiter (set)");
    let domains = [("example.org", ""), ("staff.example", "lists.staff.example")];
    let way_back = undos(&snippets(&first, &domains));
    // What the steps have set, and what `main.cf.before-postrider` says.
    let mut hooked_up = first.clone();
    for (name, value) in first.iter().filter(|(name, _)| !name.contains('(')) {
        hooked_up.insert(format!("{name} (before)"), value.clone());
    }
    hooked_up.insert("relay_domains (set before)".into(), "b.example".into());
    for line in texts(&snippets(&first, &domains)).lines() {
        let pair = line.split('\'').find_map(|word| word.split_once(" = "));
        if let Some((name, value)) = pair.filter(|_| line.contains(" = ") && !line.contains("echo")) {
            for key in ["", " (set)", " (expanded)"] {
                hooked_up.insert(format!("{name}{key}"), value.into());
            }
        }
    }
    assert_eq!(hooked_up["recipient_delimiter"], "+");
    assert_eq!(undos(&snippets(&hooked_up, &domains)), way_back);
    assert_eq!(texts(&snippets(&hooked_up, &domains)), texts(&snippets(&first, &domains)));
}

#[test]
fn the_steps_stop_without_tables_and_where_a_table_says_that_people_live_in_a_domain() {
    let facts = facts(&[("transport_maps", "hash:/etc/postfix/transport", "hash:/etc/postfix/transport")]);
    let steps = snippets(&facts, &[("lists.example.com", ""), ("staff.example", "lists.staff.example")]);
    assert!(steps[0]
        .text
        .contains("for file in postfix_transport.db postfix_domains.db postfix_recipients.db postfix_vmap.db;"));
    let guard = steps.iter().find(|step| step.text.contains("postmap -q")).unwrap();
    let domains = "for domain in lists.example.com lists.staff.example staff.example; do";
    assert!(guard.text.starts_with(domains), "{}", guard.text);
}

#[test]
fn asking_again_after_the_hookup_changes_nothing_and_still_knows_the_way_back() {
    let table = |name: &str| format!("hash:/var/lib/postrider/data/{name}");
    let (transport, domains, recipients) =
        (table("postfix_transport"), table("postfix_domains"), table("postfix_recipients"));
    let transport = format!("hash:/etc/postfix/transport, {transport}");
    let relayed = format!("backup.example, {domains}");
    let recipients = format!("{recipients}, inline:{{ {{ @backup.example = accepted }} }}");
    let facts = facts(&[
        ("transport_maps", &transport, &transport),
        ("relay_domains", &relayed, &relayed),
        ("relay_recipient_maps", &recipients, &recipients),
        ("recipient_delimiter", "+", "+"),
    ]);
    let snippets = snippets(&facts, &[("lists.example.com", "")]);
    for value in [&transport, &relayed, &recipients] {
        assert_eq!(texts(&snippets).matches(&format!("= {value}'")).count(), 1, "{}", texts(&snippets));
    }
    assert_eq!(
        undos(&snippets),
        "/usr/sbin/postconf -e \\\n    'transport_maps = hash:/etc/postfix/transport' \\\n    \
         'relay_domains = backup.example'\n\
         /usr/sbin/postconf -X relay_recipient_maps\n\
         rm -f '/etc/postfix/main.cf.before-postrider'\n\
         if /usr/sbin/postfix status; then /usr/sbin/postfix reload; fi\n"
    );
    assert!(!explanations(&snippets).contains("WARNING"), "{}", explanations(&snippets));
}

#[test]
fn addresses_of_lists_are_added_beside_those_of_people() {
    let facts = facts(&[("mydestination", "$myhostname, E.org", "mta.example.com, E.org")]);
    let snippets = snippets(&facts, &[("e.org", "")]);
    let text = texts(&snippets);
    let dir = "hash:/var/lib/postrider/data";
    assert!(text.contains(&format!("'transport_maps = {dir}/postfix_transport, {dir}/postfix_lmtp'")), "{text}");
    let local = format!("'local_recipient_maps = proxy:unix:passwd.byname, $alias_maps, {dir}/postfix_recipients'\n");
    assert!(text.contains(&local), "{text}");
    assert!(!text.contains("'mydestination"), "{text}");
    assert!(undos(&snippets).contains("postconf -X local_recipient_maps\n"), "{}", undos(&snippets));
}

#[test]
fn where_every_address_was_accepted_no_table_is_added() {
    let facts = facts(&[("mydestination", "e.org", "e.org"), ("local_recipient_maps", "", "")]);
    let snippets = snippets(&facts, &[("e.org", "")]);
    assert!(!texts(&snippets).contains("'local_recipient_maps ="), "{}", texts(&snippets));
    assert!(explanations(&snippets).contains("local_recipient_maps is empty"));
}

#[test]
fn a_list_domain_among_the_virtual_alias_domains_is_warned_about() {
    let facts = facts(&[("virtual_alias_domains", "$ours", "a.example, lists.example.com")]);
    let snippets = snippets(&facts, &[("lists.example.com", "")]);
    assert!(explanations(&snippets).contains("WARNING: virtual_alias_domains has lists.example.com"));
    assert!(!texts(&snippets).contains("'virtual_alias_domains ="));
}

#[test]
fn a_list_server_on_another_host_may_send_unless_it_may_already() {
    let mut site = site();
    site.lmtp = LmtpAddress::tcp("198.51.100.1", 8024);
    site.smtp_host = "198.51.100.2".into();
    let steps = |site: &Site, facts: &Facts| snippets_at(site, &[], facts, &[("e.org", "")]);

    let added = steps(&site, &debian());
    let networks = "127.0.0.0/8, [::ffff:127.0.0.0]/104, [::1]/128";
    assert!(texts(&added).contains(&format!("'mynetworks = {networks}, 198.51.100.1/32'\n")), "{}", texts(&added));
    assert!(
        undos(&added).contains("'mynetworks = 127.0.0.0/8, [::ffff:127.0.0.0]/104, [::1]/128'\n"),
        "{}",
        undos(&added)
    );

    let again = facts(&[("mynetworks", "127.0.0.0/8, 198.51.100.1/32", "127.0.0.0/8, 198.51.100.1/32")]);
    assert!(undos(&steps(&site, &again)).contains("'mynetworks = 127.0.0.0/8'\n"), "{}", undos(&steps(&site, &again)));
    let covered = facts(&[("mynetworks", "198.51.100.0/24", "198.51.100.0/24")]);
    assert!(!texts(&steps(&site, &covered)).contains("mynetworks ="));
    let unknown = steps(&site, &Facts::new());
    assert!(texts(&unknown).contains("\"mynetworks = $(/usr/sbin/postconf -h mynetworks) 198.51.100.1/32\""));

    site.lmtp = LmtpAddress::tcp("lists.internal", 8024);
    assert!(texts(&steps(&site, &debian())).contains("echo 'Add the address of lists.internal to mynetworks"));
    site.smtp_host = "localhost".into();
    assert!(!texts(&steps(&site, &debian())).contains("mynetworks ="), "its mail goes another way");
}

#[test]
fn a_socket_is_made_reachable_for_a_client_in_a_chroot() {
    let mut site = site();
    let mut facts = debian();
    facts.insert("queue_directory".into(), "/var/spool/postfix".into());
    facts.insert("lmtp/unix/chroot".into(), "y".into());
    let steps = |site: &Site, facts: &Facts| snippets_at(site, &[], facts, &[("e.org", "")]);
    site.lmtp = LmtpAddress::unix("/run/postrider/lmtp");
    let outside = steps(&site, &facts);
    assert!(texts(&outside).contains("postconf -F lmtp/unix/chroot=n\nusermod -a -G \"$(id -gn postrider)\" postfix\n"));
    assert!(undos(&outside).contains("postconf -F lmtp/unix/chroot=y\n"));

    site.lmtp = LmtpAddress::unix("/var/spool/postfix/postrider/lmtp");
    let inside = texts(&steps(&site, &facts));
    assert!(!inside.contains("chroot") && inside.contains("-m 0755 '/var/spool/postfix/postrider'\n"), "{inside}");

    site.user = "root".into();
    assert!(!texts(&steps(&site, &facts)).contains("usermod"));
}

#[test]
fn without_facts_the_steps_stop_where_postfix_has_values() {
    let snippets = snippets(&Facts::new(), &[("lists.example.com", "")]);
    assert!(snippets[1].text.contains("exit 1") && snippets[1].explanation.contains("could not be asked"));
    assert!(texts(&snippets).contains("'transport_maps = hash:/var/lib/postrider/data/postfix_transport'"));
}

#[test]
fn every_instance_has_steps_of_its_own() {
    let mut both = debian();
    both.extend(busy().into_iter().map(|(name, value)| (format!("/etc/postfix-lists {name}"), value)));
    let settings = [("config_directory", "/etc/postfix /etc/postfix-lists")];
    let snippets = snippets_at(&site(), &settings, &both, &[("lists.example.com", "")]);
    let middle = snippets.iter().rposition(|snippet| snippet.text.contains("test -e '/var")).unwrap();
    let (first, second) = snippets.split_at(middle);
    assert!(first.iter().all(|snippet| snippet.text.contains("-c /etc/postfix ")), "{first:#?}");
    assert!(second.iter().all(|snippet| snippet.text.contains("-c /etc/postfix-lists ")), "{second:#?}");
    assert!(
        texts(second).contains("hash:/etc/postfix/transport, hash:")
            && !texts(first).contains("/etc/postfix/transport")
    );
}

#[test]
fn values_are_one_word_for_a_shell_whatever_is_in_them() {
    assert_eq!(quoted("a $b `c` \"d\""), "'a $b `c` \"d\"'");
    assert_eq!(quoted("it's"), r"'it'\''s'");
}

#[test]
fn a_port_for_the_list_server_alone_is_made_and_taken_away() {
    let mut site = site();
    let steps = |site: &Site, settings: &[(&str, &str)]| snippets_at(site, settings, &debian(), &[("e.org", "")]);
    assert!(!texts(&steps(&site, &[])).contains("smtpd"), "only when asked for");
    let made = steps(&site, &[("smtpd_port", "10027")]);
    assert!(explanations(&made).contains("Then set smtp_port: 10027 in [mta]."));
    assert!(undos(&made).contains("then /usr/sbin/postconf -MX 127.0.0.1:10027/inet; fi\n"));
    assert_golden("own-port", &made);

    site.smtp_port = 10027;
    assert!(!explanations(&steps(&site, &[("smtpd_port", "10027")])).contains("Then set"));
    for elsewhere in ["::1", "127.0.0.2"] {
        site.smtp_host = elsewhere.into();
        let told = explanations(&steps(&site, &[("smtpd_port", "10027")]));
        assert!(told.contains("Then set smtp_host: 127.0.0.1 in [mta]."), "{elsewhere}: {told}");
    }
    site.smtp_host = "localhost".into();
    let two = [("smtpd_port", "10027"), ("config_directory", "/etc/postfix /etc/postfix-lists")];
    assert_eq!(
        texts(&steps(&site, &two)).matches("another service at 127.0.0.1:10027").count(),
        1,
        "one port, one instance"
    );
    site.smtp_host = "198.51.100.2".into();
    let elsewhere = texts(&steps(&site, &[("smtpd_port", "10027")]));
    assert!(elsewhere.contains("only where smtp_host of [mta] is this host") && !elsewhere.contains("postconf -M "));
}

#[test]
fn a_service_of_the_sites_own_at_that_port_is_neither_overwritten_nor_removed() {
    let directory = std::env::temp_dir().join(format!("postrider-own-port-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (postconf, state) = (directory.join("postconf"), directory.join("state"));
    // Answers and writes as Postfix 3.7 does: columns, an option a line.
    let program = format!(
        "#!/bin/sh\nstate='{}'\ncase \"$1 $2\" in\n'-M '*=*) echo \"${{2#*=}}\" | sed 's/ -o /\\n    -o /g; s/ - /       -  /' > \"$state\" ;;\n\
         '-M '*) if test -e \"$state\"; then cat \"$state\"; else echo unmatched >&2; fi ;;\n'-MX '*) rm \"$state\" ;;\nesac\n",
        state.display()
    );
    std::fs::write(&postconf, program).unwrap();
    let made = snippets_at(&site(), &[("smtpd_port", "10027")], &debian(), &[("e.org", "")]);
    let step = made.iter().find(|step| step.undo.contains("-MX")).unwrap();
    let run = |text: &str| {
        let text = text.replace("/usr/sbin/postconf", &format!("sh {}", postconf.display()));
        std::process::Command::new("sh").args(["-ec", &text]).output().unwrap()
    };
    for _ in 0..2 {
        assert!(run(&step.text).status.success(), "also when it is there already");
        assert!(std::fs::read_to_string(&state).unwrap().contains("\n    -o smtpd_hard_error_limit=1000"));
    }
    assert!(run(&step.undo).status.success());
    assert!(!state.exists());

    let foreign = "127.0.0.1:10027 inet n - n - - smtpd\n    -o content_filter=\n";
    std::fs::write(&state, foreign).unwrap();
    let stopped = run(&step.text);
    let told = String::from_utf8_lossy(&stopped.stderr).into_owned();
    assert!(!stopped.status.success() && told.contains("another service at 127.0.0.1:10027"), "{told}");
    assert!(run(&step.undo).status.success());
    assert_eq!(std::fs::read_to_string(&state).unwrap(), foreign);
    std::fs::remove_dir_all(&directory).unwrap();
}
