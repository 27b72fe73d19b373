//! Programs of Postfix that do not do what they should.

use super::site::{ANTS, Site, machine};
use super::traffic::post;

pub fn a_failing_program_of_postfix_leaves_the_tables_as_they_were(table_type: &'static str) {
    let Some(machine) = machine("a_failing_program_of_postfix_leaves_the_tables_as_they_were", table_type) else {
        return;
    };
    let site = Site::hooked_up(&machine, table_type);
    // Nothing compiles expressions; there it is the reload that fails.
    let setting = if table_type == "regexp" { "postfix_command" } else { "postmap_command" };
    let broken = site.broken_program();
    site.set_postfix(&format!("{setting}: {broken}\n"));
    // Afterwards: a daemon that knew the working program could be the one that publishes.
    let daemon = site.serve();
    let before = site.tables();

    let (_, error) = site.ends(3, &["create", "bees@lists.example.com"]);
    let mut told = vec![broken.as_str(), "no room for you", "postrider aliases"];
    if table_type != "regexp" {
        told.push("postfix_");
    }
    for part in told {
        assert!(error.contains(part), "{table_type}: {part:?} is missing in: {error}");
    }
    assert!(site.tables() == before, "{table_type}: the tables have changed");
    assert_eq!(site.rcpt(ANTS), 250);
    assert_eq!(site.rcpt("bees@lists.example.com"), 550);
    assert_eq!(post(&machine, ANTS, "goes on").unwrap(), 250);
    site.wait_for("the post to ants", || site.held().contains(&"goes on".into()).then_some(()));

    site.set_postfix("");
    site.run(&["aliases"]);
    site.wait_until_accepted("bees@lists.example.com");
    assert_eq!(post(&machine, "bees@lists.example.com", "at last").unwrap(), 250);
    site.wait_for("the post to bees", || site.held().contains(&"at last".into()).then_some(()));
    site.assert_nothing_bounced_or_deferred();
    daemon.stop();
}

pub fn lists_are_made_while_postfix_is_stopped(table_type: &'static str) {
    let Some(machine) = machine("lists_are_made_while_postfix_is_stopped", table_type) else { return };
    let site = Site::hooked_up(&machine, table_type);
    machine.run(&["postfix", "stop"]);
    for list in ["bees@lists.example.com", "cats@new.example"] {
        site.run(&["create", list]);
    }
    machine.run(&["postfix", "start"]);
    for list in [ANTS, "bees@lists.example.com", "cats@new.example"] {
        site.wait_until_accepted(list);
    }
}
