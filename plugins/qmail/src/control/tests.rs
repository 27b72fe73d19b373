//! The plan for the domains, and the superuser's program, run by the real sh on control files of the test's own.

use super::*;
use crate::testing::{run_sh, site, Scratch, TestRoster, TestSink};
use postrider_plugin_api::sdk::{DomainView, Facts, ListView};

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
        let dir = self.scratch.path();
        let reload = format!(
            "cat {0}/control/virtualdomains {0}/control/rcpthosts >>{0}/hup 2>/dev/null || :; echo HUP >>{0}/hup",
            dir
        );
        let settings = [("qmail_home", dir), ("prefix", "lists"), ("reload_command", &reload)];
        let config = Config::parse(&settings.iter().copied().collect()).unwrap();
        let site = Site { table_dir: format!("{}/data", dir), ..site() };
        // The pause between the two signals is for the real qmail-send.
        let program = program(&config, &site).replace("sleep 1", ":");
        run_sh(&program, arguments)
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

#[test]
fn a_domain_that_is_taken_changes_nothing() {
    let qmail = Control::new();
    qmail.domains(&["a.example", "localhost"]);
    assert!(qmail.fails().contains("localhost is in locals"));
    qmail.write("control/virtualdomains", "A.example:joe\n");
    qmail.domains(&["a.example", "b.example"]);
    assert!(qmail.fails().contains("a.example belongs to somebody else"));
    assert_eq!(qmail.read("control/virtualdomains"), "A.example:joe\n");
    assert_eq!(qmail.read("control/rcpthosts"), BEFORE);
    assert!(!qmail.scratch.exists("hup"));
}

#[test]
fn without_locals_the_name_of_the_host_is_local() {
    let qmail = Control::new();
    qmail.scratch.remove("control/locals");
    qmail.domains(&["mta.example.com"]);
    assert!(qmail.fails().contains("in locals"));
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
    plan(&config, Context { site: &site(), facts, roster: &roster }, change, &mut sink).unwrap();
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
    let domain = DomainView { name: "a.example", alias: "" };
    let sink = planned(&[("a.example", "")], &Facts::new(), Change::DomainAdded(domain));
    let command = &sink.commands[0];
    assert_eq!(command.argv, ["/usr/local/sbin/postrider-qmail"]);
    assert_eq!((command.privilege, command.need, command.settle), (Privilege::Root, Need::Required, None));
    assert_eq!(command.tables, ["qmail_domains"]);
}

#[test]
fn a_list_may_be_new_together_with_its_domain() {
    let domain = DomainView { name: "a.example", alias: "" };
    let list = ListView { local: "ants", domain, list_id: "ants.a.example" };
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
