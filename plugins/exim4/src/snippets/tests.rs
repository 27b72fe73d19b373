//! The steps, as a whole: `tests/golden` has them for every layout and every way to know the recipients. Each
//! of them was installed on a real Exim (`tests/tests/real_exim`, `tests/tests/mta`). After a change:
//! `WRITE_GOLDEN=1 cargo test -p postrider-plugin-exim4 golden`.

use super::*;
use crate::testing::{site, TestRoster};
use postrider_plugin_api::sdk::{Facts, LmtpAddress, Settings, Site};
use std::path::Path;

fn steps(pairs: &[(&str, &str)], site: &Site) -> Result<Vec<Snippet>> {
    let config = Config::parse(&pairs.iter().copied().collect::<Settings>()).unwrap();
    let facts = Facts::from([(facts::VERSION.to_string(), "4.96".to_string())]);
    let roster = TestRoster::new(&[], &[]);
    all(&config, Context::new(site, &facts, &roster))
}

fn shown(snippets: &[Snippet]) -> String {
    let mut text = String::new();
    for snippet in snippets {
        text.push_str(&format!(
            "==== {:?} {}\n{}\n----\n{}",
            snippet.kind, snippet.file, snippet.explanation, snippet.text
        ));
        if !snippet.undo.is_empty() {
            text.push_str(&format!("---- undo\n{}", snippet.undo));
        }
    }
    text
}

fn is_golden(name: &str, pairs: &[(&str, &str)], site: &Site) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let seen = shown(&steps(pairs, site).unwrap());
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(&file, &seen).unwrap();
    }
    let wanted = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(seen == wanted, "{} is not what is made now:\n{seen}", file.display());
}

#[test]
fn every_layout_and_every_way_to_know_recipients_is_golden() {
    for layout in ["split", "single", "plain"] {
        for recipients in ["directory", "lsearch", "cdb", "dbm", "callout"] {
            let mut pairs = vec![("layout", layout), ("config_file", "/etc/exim/exim.conf")];
            match recipients {
                "lsearch" | "cdb" | "dbm" => pairs.extend([("recipients", "file"), ("file_type", recipients)]),
                other => pairs.push(("recipients", other)),
            }
            is_golden(&format!("{layout}-{recipients}"), &pairs, &site());
        }
    }
}

#[test]
fn other_ways_to_the_list_server_are_golden() {
    let there = |host: &str| site().with_lmtp(LmtpAddress::tcp(host, 8024));
    is_golden("split-two-hosts", &[("layout", "split")], &there("198.51.100.2"));
    is_golden("split-two-hosts-ipv6", &[("layout", "split")], &there("2001:db8::2"));
    let plain = [("layout", "plain"), ("config_file", "/etc/exim/exim.conf")];
    is_golden("plain-two-hosts", &plain, &there("198.51.100.2"));
    let socket = site().with_lmtp(LmtpAddress::unix("/run/postrider/lmtp"));
    is_golden("split-socket", &[("layout", "split")], &socket);
}

#[test]
fn suffixes_follow_the_delimiter() {
    let router = |delimiter: &str| {
        let site = site().with_delimiter(delimiter);
        let steps = steps(&[], &site).unwrap();
        steps.into_iter().find(|step| step.file.ends_with("/router")).unwrap().text
    };
    let text = router("=");
    assert!(text.contains("local_part_suffix = -bounces=* : -confirm=* : -bounces : -confirm : -join"), "{text}");
    assert!(text.contains(r"{\N[\=].*\N}"), "{text}");
    let text = router("+=");
    assert!(text.contains("-bounces+* : -bounces=* : -confirm+*") && text.contains(r"{\N[\+\=].*\N}"), "{text}");
    let text = router("");
    assert!(text.contains("local_part_suffix = -bounces : -confirm : -join") && !text.contains("*\\N"), "{text}");
}

#[test]
fn what_would_change_the_meaning_of_the_configuration_is_refused() {
    let refused = |site: Site| steps(&[], &site).unwrap_err();
    assert!(refused(site().with_delimiter("$")).message.contains("verp_delimiter"));
    assert!(refused(site().with_table_dir("/var/lib/a b")).message.contains("/var/lib/a b"));
    assert!(refused(site().with_table_dir("/var/${run{x}}")).message.contains("cannot be written"));
    let socket = site().with_lmtp(LmtpAddress::unix("/run/lmtp"));
    let error = steps(&[("recipients", "callout")], &socket).unwrap_err();
    assert!(error.message.contains("/run/lmtp") && error.hint.contains("directory"), "{error}");
}

#[test]
fn an_older_exim_is_not_given_what_it_does_not_know() {
    let config = Config::parse(&Settings::default()).unwrap();
    let roster = TestRoster::new(&[], &[]);
    let text = |version: &str| {
        let facts = Facts::from([(facts::VERSION.to_string(), version.to_string())]);
        shown(&all(&config, Context::new(&site(), &facts, &roster)).unwrap())
    };
    assert!(!text("4.94.2").contains("cache=no_rd") && text("4.96").contains("cache=no_rd"));
    // Exim is on another host, and may be an old one.
    assert!(!text("").contains("cache=no_rd"));
}
