//! The plan for the domains, and the superuser's program, run by the real sh on control files of the test's own.

use super::*;
use crate::testing::{run_sh, site, Scratch, TestRoster, TestSink};
use postrider_plugin_api::sdk::{DomainView, Facts, ListView, Need};

/// A qmail of which only the control files are real.
struct Control {
    scratch: Scratch,
}

impl Control {
    fn new() -> Self {
        let control = Control { scratch: Scratch::new() };
        control.write("control/me", "mta.example.com\n");
        control.write("control/locals", "mta.example.com\nlocalhost\n");
        control.write("control/rcpthosts", "mta.example.com\n");
        control.write("data/qmail/.qmail-default", "|true\n");
        control
    }

    fn write(&self, name: &str, text: &str) {
        self.scratch.write(name, text);
    }

    fn read(&self, name: &str) -> String {
        self.scratch.read(name)
    }

    fn domains(&self, domains: &[&str]) {
        let rows: String = domains.iter().map(|domain| format!("{:<30} lists\n", domain)).collect();
        self.write("data/qmail_domains", &format!("# comment\n{}", rows));
    }

    /// Runs the program; status, and what it said.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        run_sh(&self.program(), arguments)
    }

    fn program(&self) -> String {
        let dir = self.scratch.path();
        let reload = format!(
            "cat {0}/control/virtualdomains {0}/control/rcpthosts >>{0}/hup 2>/dev/null || :; echo HUP >>{0}/hup",
            dir
        );
        let settings = [("qmail_home", dir), ("prefix", "lists"), ("reload_command", &reload)];
        let config = Config::parse(&settings.iter().copied().collect()).unwrap();
        let site = site().with_table_dir(format!("{}/data", dir));
        // The pause between the two signals is for the real qmail-send.
        program(&config, &site).replacen("\tsleep 1\n\ttell_qmail_send", "\ttell_qmail_send", 1)
    }

    fn succeeds(&self, arguments: &[&str]) {
        assert_eq!(self.run(arguments), (0, String::new()));
    }

    fn fails(&self) -> String {
        let (status, said) = self.run(&[]);
        assert_eq!(status, 1, "{}", said);
        said
    }
}

const BEFORE: &str = "mta.example.com\n";

#[test]
fn a_new_domain_is_routed_before_it_is_accepted() {
    let qmail = Control::new();
    qmail.domains(&["a.example", "b.example"]);
    qmail.succeeds(&[]);
    assert_eq!(qmail.read("control/virtualdomains"), "a.example:lists\nb.example:lists\n");
    assert_eq!(qmail.read("control/rcpthosts"), "mta.example.com\na.example\nb.example\n");
    let when_told = "a.example:lists\nb.example:lists\nmta.example.com\nHUP\n";
    assert_eq!(qmail.read("hup"), when_told.repeat(2), "told twice, and before rcpthosts has the domains");
}

#[test]
fn a_removed_domain_is_refused_before_its_route_goes() {
    let qmail = Control::new();
    qmail.domains(&["a.example", "b.example"]);
    qmail.succeeds(&[]);
    qmail.write("hup", "");
    qmail.domains(&["b.example"]);
    qmail.succeeds(&[]);
    assert_eq!(qmail.read("control/virtualdomains"), "b.example:lists\n");
    assert_eq!(qmail.read("control/rcpthosts"), "mta.example.com\nb.example\n");
    assert!(qmail.read("hup").starts_with("b.example:lists\nmta.example.com\nb.example\nHUP\n"));
}

#[test]
fn once_more_changes_nothing_and_tells_nobody() {
    let qmail = Control::new();
    qmail.domains(&["a.example"]);
    qmail.succeeds(&[]);
    qmail.write("hup", "");
    qmail.succeeds(&[]);
    assert_eq!(qmail.read("hup"), "");
    assert_eq!(qmail.read("control/virtualdomains"), "a.example:lists\n");
}

#[test]
fn lines_of_the_site_stay_whatever_they_look_like() {
    let qmail = Control::new();
    let virtualdomains = "# by hand\nA.example:lists \n\nother.example:joe\n.wild.example:ann\nuser@x.example:bob";
    qmail.write("control/virtualdomains", virtualdomains);
    qmail.write("control/rcpthosts", "mta.example.com\nA.example\t\n# end");
    qmail.domains(&["a.example", "b.example"]);
    qmail.succeeds(&[]);
    assert_eq!(qmail.read("control/virtualdomains"), format!("{}\nb.example:lists\n", virtualdomains));
    assert_eq!(qmail.read("control/rcpthosts"), "mta.example.com\nA.example\t\n# end\nb.example\n");
    qmail.succeeds(&["undo"]);
    assert_eq!(qmail.read("control/virtualdomains"), format!("{}\n", virtualdomains));
    assert_eq!(qmail.read("control/rcpthosts"), "mta.example.com\nA.example\t\n# end\n");
}

#[test]
fn undo_brings_back_what_was_there() {
    let qmail = Control::new();
    qmail.domains(&["a.example", "b.example"]);
    qmail.succeeds(&[]);
    qmail.succeeds(&["undo"]);
    assert_eq!(qmail.read("control/rcpthosts"), BEFORE);
    assert_eq!(qmail.read("control/virtualdomains"), "");
}

/// What is said when this domain clashes for the first time.
fn told_of(qmail: &Control, domain: &str, words: &str) {
    let said = qmail.fails();
    let sentence = format!("{} {}", domain, words);
    assert!(said.contains(&sentence), "{:?} is missing in: {}", sentence, said);
    assert!(said.contains("all other domains are in step"), "{}", said);
}

#[test]
fn a_domain_that_is_taken_stays_as_it_is_and_keeps_no_other_waiting() {
    for (file, text, words) in [
        ("locals", "mta.example.com\nA.example\n", "is in locals"),
        ("virtualdomains", "A.example:joe\n", "belongs to somebody else"),
        ("virtualdomains", ".EXAMPLE:joe\nb.example:lists\n", "belongs to somebody else"),
        ("rcpthosts", "mta.example.com\nA.example\n", "is in rcpthosts"),
        ("morercpthosts", "A.example\n", "is in rcpthosts"),
        ("smtproutes", "a.example:inner.example.net:26\n", "is in smtproutes"),
        ("smtproutes", ".example:inner.example.net\nb.example:x\n", "is in smtproutes"),
    ] {
        let qmail = Control::new();
        qmail.write(&format!("control/{}", file), text);
        // By hand: the lists are to have this one, whatever the other files say.
        if file == "smtproutes" {
            qmail.write("control/virtualdomains", "b.example:lists\n");
        }
        qmail.domains(&["a.example", "b.example"]);
        told_of(&qmail, "a.example", words);
        let routes = qmail.read("control/virtualdomains").to_lowercase();
        let hosts = qmail.read("control/rcpthosts");
        assert!(routes.contains("b.example:lists\n") && hosts.ends_with("b.example\n"), "{} {}", routes, hosts);
        assert!(!routes.contains("a.example:lists") && !hosts.contains("\na.example"), "{} {}", routes, hosts);
        // What was told once is told again, and is no failure: else new.test would never be published.
        qmail.domains(&["a.example", "b.example", "new.test"]);
        let (status, said) = qmail.run(&[]);
        assert_eq!(status, 0, "{}", said);
        assert!(said.contains(words), "{}", said);
        assert!(qmail.read("control/rcpthosts").ends_with("new.test\n"));
        qmail.succeeds(&["undo"]);
        assert!(!qmail.read("control/rcpthosts").contains("new.test"));
    }
}

#[test]
fn a_rejected_domain_is_not_told_as_new_after_the_host_has_taken_its_table_back() {
    let qmail = Control::new();
    qmail.write("control/virtualdomains", "joe.example:joe\n");
    qmail.domains(&["joe.example"]);
    told_of(&qmail, "joe.example", "belongs to somebody else");
    qmail.domains(&[]);
    qmail.succeeds(&[]);
    qmail.domains(&["joe.example", "b.example"]);
    assert_eq!(qmail.run(&[]).0, 0);
    assert_eq!(qmail.read("control/virtualdomains"), "joe.example:joe\nb.example:lists\n");
}

#[test]
fn a_line_by_hand_gives_a_relayed_domain_to_the_lists() {
    let qmail = Control::new();
    qmail.write("control/rcpthosts", "mta.example.com\na.example\n");
    qmail.domains(&["a.example"]);
    told_of(&qmail, "a.example", "is in rcpthosts, so its people are on another host");
    assert!(!qmail.scratch.exists("hup"));
    qmail.write("control/virtualdomains", "a.example:lists\n");
    qmail.succeeds(&[]);
    assert!(qmail.read("hup").contains("HUP"), "qmail-send is told of the line by hand");
    assert_eq!(qmail.read("control/rcpthosts"), "mta.example.com\na.example\n");
    assert_eq!(qmail.read("control/postrider.clashes"), "");
}

#[test]
fn a_published_domain_that_is_taken_later_keeps_its_lines() {
    let qmail = Control::new();
    qmail.domains(&["a.example"]);
    qmail.succeeds(&[]);
    qmail.write("control/locals", "mta.example.com\na.example\n");
    told_of(&qmail, "a.example", "is in locals");
    assert_eq!(qmail.read("control/rcpthosts"), "mta.example.com\na.example\n", "its people get their mail");
    assert_eq!(qmail.read("control/virtualdomains"), "a.example:lists\n");
}

#[test]
fn without_locals_the_name_of_the_host_is_local() {
    let qmail = Control::new();
    qmail.scratch.remove("control/locals");
    qmail.domains(&["mta.example.com"]);
    told_of(&qmail, "mta.example.com", "is in locals");
}

#[test]
fn runs_at_the_same_time_lose_no_line() {
    for path in ["", "no flock"] {
        let qmail = Control::new();
        let tables: Vec<String> = (0..6).map(|number| format!("d{}.example lists\n", number)).collect();
        std::thread::scope(|scope| {
            for end in 1..=tables.len() {
                let (qmail, table) = (&qmail, tables[..end].concat());
                scope.spawn(move || {
                    let copy = format!("copy{}", end);
                    qmail.write(&copy, &table);
                    let program = qmail.program();
                    let program = if path.is_empty() { program } else { program.replace("command -v flock", "false") };
                    let (status, said) = run_sh(&program, &[&format!("{}/{}", qmail.scratch.path(), copy)]);
                    assert_eq!((status, said.as_str()), (0, ""));
                });
            }
        });
        // Whoever was last decides; the files agree, and nothing of the site is gone.
        let routes = qmail.read("control/virtualdomains");
        let domains: Vec<&str> = routes.lines().map(|line| line.trim_end_matches(":lists")).collect();
        assert!(!domains.is_empty() && domains.len() <= tables.len());
        let mut hosts: Vec<String> = qmail.read("control/rcpthosts").lines().map(String::from).collect();
        assert_eq!(hosts.remove(0), "mta.example.com");
        hosts.sort();
        let mut domains: Vec<String> = domains.into_iter().map(String::from).collect();
        domains.sort();
        assert_eq!(hosts, domains);
        assert!(!qmail.scratch.exists("control/postrider.lock.d"));
    }
}

#[test]
fn a_table_that_is_no_table_of_domains_changes_and_reveals_nothing() {
    for line in [
        "root:$6$secret:19000:0:99999:7:::",
        "a.example",
        "a.example joe",
        "a.example lists more",
        "A.example lists",
        ".example lists",
        "a..example lists",
        "-a.example lists",
        "a/../b lists",
        "$(id) lists",
        "user@a.example lists",
    ] {
        let qmail = Control::new();
        qmail.write("data/qmail_domains", &format!("ok.example lists\n{}\n", line));
        let said = qmail.fails();
        assert!(said.contains("not DOMAIN lists") && !said.contains("secret"), "{}: {}", line, said);
        assert_eq!(qmail.read("control/rcpthosts"), BEFORE);
    }
}

#[test]
fn no_mail_is_accepted_for_a_home_without_files() {
    let qmail = Control::new();
    qmail.scratch.remove("data/qmail/.qmail-default");
    qmail.domains(&["a.example"]);
    assert!(qmail.fails().contains("postrider aliases"));
    assert_eq!(qmail.read("control/rcpthosts"), BEFORE);
    assert!(!qmail.scratch.exists("control/virtualdomains"));
}

#[test]
fn before_there_is_a_table_there_is_nothing_to_do() {
    let (status, said) = Control::new().run(&[]);
    assert_eq!(status, 0);
    assert!(said.contains("postrider aliases"), "{}", said);
}

#[test]
fn an_open_relay_is_named_and_not_closed_by_the_way() {
    let qmail = Control::new();
    qmail.scratch.remove("control/rcpthosts");
    qmail.domains(&["a.example"]);
    let (status, said) = qmail.run(&[]);
    assert_eq!(status, 0);
    assert!(said.contains("relays mail of everybody"), "{}", said);
    assert!(!qmail.scratch.exists("control/rcpthosts"), "with this one line all other domains were refused");
}

#[test]
fn what_morercpthosts_accepts_is_not_added() {
    let qmail = Control::new();
    qmail.write("control/morercpthosts", "A.example\n");
    qmail.write("control/virtualdomains", "a.example:lists\n");
    qmail.domains(&["a.example", "b.example"]);
    qmail.succeeds(&[]);
    assert_eq!(qmail.read("control/rcpthosts"), "mta.example.com\nb.example\n");
}

#[test]
fn a_failing_signal_is_repeated_next_time_and_nothing_is_accepted_before() {
    let qmail = Control::new();
    qmail.domains(&["a.example"]);
    qmail.scratch.make_directory("hup");
    let (status, _) = qmail.run(&[]);
    assert_ne!(status, 0);
    assert_eq!(qmail.read("control/rcpthosts"), BEFORE);
    qmail.scratch.remove_directory("hup");
    qmail.succeeds(&[]);
    assert!(qmail.read("hup").contains("HUP"));
    assert_eq!(qmail.read("control/rcpthosts"), "mta.example.com\na.example\n");
}

#[test]
fn a_copy_of_the_table_serves_as_well() {
    let qmail = Control::new();
    qmail.write("copy", "a.example lists\n");
    qmail.succeeds(&[&format!("{}/copy", qmail.scratch.path())]);
    assert_eq!(qmail.read("control/virtualdomains"), "a.example:lists\n");
}

fn planned(domains: &[(&str, &str)], facts: &Facts, change: Change<'_>) -> TestSink {
    let config = Config::parse(&[("prefix", "lists")].iter().copied().collect()).unwrap();
    let mut sink = TestSink::default();
    let roster = TestRoster::new(domains, &[]);
    plan(&config, Context::new(&site(), facts, &roster), change, &mut sink).unwrap();
    sink
}

#[test]
fn the_table_has_each_routed_domain_once() {
    let domains = [("a.example", ""), ("b.example", "x.example"), ("c.example", "x.example")];
    let sink = planned(&domains, &Facts::new(), Change::Everything);
    let (table, rows) = &sink.tables[0];
    assert_eq!((table.path.as_str(), table.role), ("qmail_domains", TableRole::Acceptance));
    let rows: Vec<_> = rows.iter().map(|(key, value, _)| (key.as_str(), value.as_str())).collect();
    assert_eq!(rows, [("a.example", "lists"), ("x.example", "lists")]);
}

#[test]
fn a_new_domain_needs_root() {
    let domain = DomainView::new("a.example", "");
    let sink = planned(&[("a.example", "")], &Facts::new(), Change::DomainAdded(domain));
    let command = &sink.commands[0];
    assert_eq!(command.argv, ["/usr/local/sbin/postrider-qmail"]);
    assert_eq!((command.privilege, command.need, command.settle), (Privilege::Root, Need::Required, None));
    assert_eq!(command.tables, ["qmail_domains"]);
}

#[test]
fn a_list_may_be_new_together_with_its_domain() {
    let domain = DomainView::new("a.example", "");
    let list = ListView::new("ants", domain, "ants.a.example");
    let sink = planned(&[("a.example", "")], &Facts::new(), Change::ListAdded(list));
    assert_eq!(sink.tables[0].1[0].0, "a.example");
    assert_eq!(sink.commands[0].tables, ["qmail_domains"], "it runs only if they change");
    let sink = planned(&[("a.example", "")], &Facts::new(), Change::ListRemoved(list));
    assert!(sink.tables.is_empty() && sink.commands.is_empty());
}

#[test]
fn a_qmail_that_is_not_hooked_up_need_not_be_told() {
    let facts = Facts::from([("control_command".to_string(), "no".to_string())]);
    assert!(planned(&[("a.example", "")], &facts, Change::Everything).commands.is_empty());
}
