//! Tables, the file of m4 and the steps, against the files in `tests/golden/lmtp`.

use super::*;
use crate::testing::{site, TestRoster, TestSink};
use postrider_plugin_api::sdk::{
    Change, Context, Facts, HostLog, IncomingAdapter, LmtpAddress, LogLevel, Phase, Settings, Site, Snippet,
    SnippetKind, TableFormat, TableRole,
};

struct NoLog;

impl HostLog for NoLog {
    fn log(&self, _: LogLevel, _: &str) {}
}

fn adapter() -> Lmtp {
    Lmtp::new(Box::new(NoLog), &Settings::default()).unwrap()
}

fn roster() -> TestRoster {
    TestRoster::new(
        &[("lists.example.org", ""), ("mta.example.com", ""), ("real.example", "virt.example")],
        &[
            "ants@lists.example.org",
            "ants-request@lists.example.org",
            "dev.team_9@mta.example.com",
            "staff@real.example",
        ],
    )
}

fn planned(site: &Site, roster: &TestRoster) -> TestSink {
    let mut sink = TestSink::default();
    adapter().plan(Context::new(site, &Facts::new(), roster), Change::Everything, &mut sink).unwrap();
    assert!(sink.absent.is_empty() && sink.guards.is_empty());
    sink
}

fn snippets(site: &Site) -> Vec<Snippet> {
    adapter().snippets(Context::new(site, &Facts::new(), &roster())).unwrap()
}

/// With `WRITE_GOLDEN=1` writes the file instead.
#[track_caller]
fn assert_golden(name: &str, seen: &str) {
    let path = format!("{}/tests/golden/lmtp/{}", env!("CARGO_MANIFEST_DIR"), name);
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(&path, seen).unwrap();
    }
    assert_eq!(seen, std::fs::read_to_string(&path).unwrap(), "{path}");
}

#[test]
fn tables_have_every_address_and_plussed_ones_where_a_detail_may_follow() {
    let sink = planned(&site(), &roster());
    assert_golden("sendmail_domains", &sink.text("sendmail_domains"));
    assert_golden("sendmail_addresses", &sink.text("sendmail_addresses"));
}

#[test]
fn the_file_of_m4_is_that_which_the_real_sendmail_was_tried_with() {
    assert_golden("postrider.m4", &snippets(&site())[0].text);
    let mut elsewhere = site();
    elsewhere.lmtp = LmtpAddress::tcp("2001:db8::2", 8024);
    assert_golden("postrider-two-hosts.m4", &snippets(&elsewhere)[0].text);
}

#[test]
fn the_steps_keep_include_build_and_install() {
    let mut shown = String::new();
    for snippet in snippets(&site()).iter().filter(|snippet| snippet.kind != SnippetKind::File) {
        shown += &format!("# {:?} {}\n{}", snippet.kind, snippet.file, snippet.text);
        if !snippet.undo.is_empty() {
            shown += &format!("# Undo\n{}", snippet.undo);
        }
    }
    assert_golden("steps", &shown);
}

#[test]
fn before_sendmail_mc_is_touched_the_maps_and_a_build_are_tried() {
    let snippets = snippets(&site());
    let line = snippets.iter().position(|snippet| snippet.kind == SnippetKind::Lines).unwrap();
    let trial = snippets[..line].iter().find(|snippet| snippet.kind == SnippetKind::Commands).unwrap();
    for part in [
        "test -f /var/lib/postrider/data/sendmail_domains.db",
        "/usr/bin/m4 /etc/mail/sendmail.mc.postrider-new",
        "-bt",
    ] {
        assert!(trial.text.contains(part), "{}", trial.text);
    }
    assert!(!trial.text.contains("> /etc/mail/sendmail.mc\n") && !trial.text.contains("mv "), "{}", trial.text);
}

#[test]
fn a_list_server_without_makemap_writes_the_text_for_sendmails_machine() {
    let mut site = site();
    let facts = adapter().probe(&site, &crate::testing::TestTools::default()).unwrap();
    let plan = |site: &Site| {
        let mut sink = TestSink::default();
        adapter().plan(Context::new(site, &facts, &roster()), Change::Everything, &mut sink).unwrap();
        sink
    };
    assert_eq!(plan(&site).commands.len(), 1, "on one machine makemap must be there, and its absence be told");
    site.lmtp = LmtpAddress::tcp("192.0.2.7", 8024);
    let sink = plan(&site);
    assert!(sink.commands.is_empty());
    assert!(sink.tables.iter().all(|(table, _)| table.format == TableFormat::Text));
    let steps = snippets(&site);
    assert!(steps[0].explanation.contains("Two hosts") && steps[1].text.contains("copy the tables here"));
}

#[test]
fn addresses_are_published_before_their_domain_and_makemap_reads_the_text() {
    let sink = planned(&site(), &roster());
    let tables: Vec<_> = sink.tables.iter().map(|(table, _)| (table.path.as_str(), table.role)).collect();
    assert_eq!(tables, [("sendmail_addresses", TableRole::Routing), ("sendmail_domains", TableRole::Acceptance)]);
    for (table, _) in &sink.tables {
        assert_eq!(table.format, TableFormat::CompiledRename { suffix: ".db".into() });
    }
    assert_eq!(sink.commands.len(), 1, "nothing has to be told to Sendmail");
    assert_eq!(sink.commands[0].phase, Phase::Compile);
    assert_eq!(sink.commands[0].argv, ["/usr/sbin/makemap", "hash", "{file}"]);
}

#[test]
fn no_lists_make_empty_maps_because_a_missing_one_is_a_451_for_all_mail() {
    let sink = planned(&site(), &TestRoster::new(&[], &[]));
    assert_eq!(sink.tables.len(), 2);
    assert!(sink.tables.iter().all(|(_, rows)| rows.is_empty()));
}

#[test]
fn two_domains_with_one_alias_domain_repeat_no_key() {
    let roster = TestRoster::new(
        &[("a.example", "v.example"), ("b.example", "v.example"), ("v.example", ""), ("w.example", "a.example")],
        &["foo@a.example", "foo@b.example", "foo-request@b.example", "foo@v.example", "foo@w.example"],
    );
    // The sink refuses repeated keys.
    let domains = planned(&site(), &roster).text("sendmail_domains");
    let kinds: Vec<Vec<&str>> = domains.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        kinds,
        [["a.example", "lists"], ["b.example", "shared"], ["v.example", "lists"], ["w.example", "shared"]]
    );
}

#[test]
fn a_site_without_delimiter_has_no_plussed_addresses() {
    let mut site = site();
    site.delimiter = String::new();
    assert!(!planned(&site, &roster()).text("sendmail_addresses").contains('*'));
    assert!(!snippets(&site)[0].text.contains("+ *"));
}

#[test]
fn what_sendmail_cannot_do_fails_the_plan() {
    let plan = |site: &Site, roster: &TestRoster| {
        adapter()
            .plan(Context::new(site, &Facts::new(), roster), Change::Everything, &mut TestSink::default())
            .unwrap_err()
            .to_string()
    };
    let mut other = site();
    other.delimiter = "=".into();
    assert!(plan(&other, &roster()).contains("verp_delimiter: +"));
    let error = plan(&site(), &TestRoster::new(&[("e.org", "")], &["a b@e.org"]));
    assert!(error.contains("\"a b\""), "{error}");
    let error = plan(&site(), &TestRoster::new(&[("e org", "")], &[]));
    assert!(error.contains("\"e org\""), "{error}");
}

#[test]
fn a_quote_in_the_table_directory_is_refused_before_it_gets_into_m4() {
    let mut site = site();
    site.table_dir = "/var/lib/it's".into();
    assert!(adapter()
        .snippets(Context::new(&site, &Facts::new(), &roster()))
        .unwrap_err()
        .to_string()
        .contains("it's"));
}

#[test]
fn rules_have_a_tab_between_their_sides() {
    let text = &snippets(&site())[0].text;
    let rules: Vec<&str> = text.lines().filter(|line| line.starts_with('R')).collect();
    assert!(rules.len() >= 12);
    assert!(rules.iter().all(|rule| rule.contains('\t')), "{text}");
}
