//! People who live below a domain of lists, or in it behind a gateway, keep their mail; where nobody can
//! see whether there are any, the hookup stops before it changes anything.

use crate::{
    LIMIT, MESSAGE, SendOne as _, accepted, answered, assert_no_problems, rcpt, site::ListServer, stranger, tcp,
};
use postrider_plugin_api::sdk::Severity;
use postrider_tests::mta_box::{Catcher, Layer, MtaBox, Postfix, SmtpSession};
use postrider_tests::require::{self, MTA_BOX};

/// A box with a Postfix that has these lines, and `table` as `hash:/etc/postfix/table`.
fn machine(test: &str) -> Option<MtaBox> {
    require::all(test, MTA_BOX).then(|| MtaBox::start(&Layer::postfix().unwrap()).unwrap())
}

fn start<'b>(machine: &'b MtaBox, main_cf: &str, table: &str) -> Postfix<'b> {
    let postfix = Postfix::configure(machine, main_cf).unwrap();
    machine.write("/etc/postfix/table", table).unwrap();
    machine.run(&["postmap", "hash:/etc/postfix/table"]);
    postfix.launch().unwrap();
    postfix
}

fn list_domains_leave_alone_what_is_below_them(table_type: &str) {
    let Some(machine) = machine(&format!("list_domains_leave_alone_what_is_below_them ({table_type})")) else { return };
    let world = Catcher::smtp(&machine, "127.0.0.1:2599").unwrap();
    let main_cf = "relay_domains = b.example\ntransport_maps = hash:/etc/postfix/table\nrecipient_delimiter =\n";
    let _postfix = start(&machine, main_cf, "* smtp:[127.0.0.1]:2599\n");
    let mut server = ListServer::new(&machine, table_type, tcp("127.0.0.1"));
    server.roster.add("ants@example.org");
    server.roster.add("ants@lists.b.example");
    server.write_tables();
    let before = machine.run(&["postconf", "-n"]);
    assert_eq!(rcpt(&machine, "u@sub.b.example"), 250);
    server.hook_up();
    accepted(&machine, "ants@example.org").unwrap();

    // A member of a list, who lives below the list's domain.
    let mut trusted = SmtpSession::connect(&machine, "127.0.0.1", "127.0.0.1:25").unwrap();
    trusted.send("ants-bounces@example.org", &["x@cs.example.org"], MESSAGE).unwrap();
    world.wait_for("x@cs.example.org", LIMIT);
    let mut session = stranger(&machine);
    for (address, code) in [
        ("x@cs.example.org", 454),
        ("nosuch@example.org", 550),
        ("ants@lists.b.example", 250),
        ("nosuch@lists.b.example", 550),
        ("u@sub.b.example", 250),
        ("u@b.example", 250),
    ] {
        let reply = session.rcpt(address).unwrap();
        assert_eq!(reply.code, code, "{table_type}: {address}: {}", reply.text);
    }
    assert_no_problems(&server);

    // The way back is known to steps that are asked for now.
    server.hook_up().go();
    assert_eq!(machine.run(&["postconf", "-n"]), before);
    machine.run(&["test", "!", "-e", "/etc/postfix/main.cf.before-postrider"]);
}

#[test]
fn hash_tables_leave_alone_what_is_below_list_domains() {
    list_domains_leave_alone_what_is_below_them("hash");
}

#[test]
fn sqlite_tables_leave_alone_what_is_below_list_domains() {
    list_domains_leave_alone_what_is_below_them("sqlite");
}

#[test]
fn regexp_tables_leave_alone_what_is_below_list_domains() {
    list_domains_leave_alone_what_is_below_them("regexp");
}

#[test]
fn lists_live_in_a_domain_whose_people_are_behind_a_gateway() {
    let Some(machine) = machine("lists_live_in_a_domain_whose_people_are_behind_a_gateway") else { return };
    let lists = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    let inside = Catcher::smtp(&machine, "127.0.0.1:2600").unwrap();
    let main_cf = "relay_domains = example.com\ntransport_maps = hash:/etc/postfix/table\n";
    let postfix = start(&machine, main_cf, "example.com smtp:[127.0.0.1]:2600\n");
    let mut server = ListServer::new(&machine, "hash", tcp("127.0.0.1"));
    server.roster.add("ants@example.com");
    server.publish(false);
    server.hook_up();
    let mut session = stranger(&machine);
    let mixed = ["ants@example.com", "ants-bounces+a=b@example.com", "boss@example.com"];
    for address in mixed {
        session.rcpt(address).unwrap().expect(250);
    }
    session.data(MESSAGE).unwrap().expect(250);
    inside.wait_for("boss@example.com", LIMIT);
    lists.wait_for("ants@example.com", LIMIT);
    lists.wait_for("ants-bounces+a=b@example.com", LIMIT);
    server.roster.add("bees@example.com");
    server.publish(true);
    accepted(&machine, "bees@example.com").unwrap();
    stranger(&machine).send_one("bees@example.com", MESSAGE);
    lists.wait_for("bees@example.com", LIMIT);
    assert_eq!(inside.caught().len(), 1, "{}", postfix.log_tail());
    assert_no_problems(&server);
}

#[test]
fn a_gateway_that_knows_its_domains_by_a_table_stops_the_hookup() {
    let Some(machine) = machine("a_gateway_that_knows_its_domains_by_a_table_stops_the_hookup") else { return };
    let main_cf = "relay_domains = hash:/etc/postfix/table\nparent_domain_matches_subdomains = smtpd_access_maps\n\
                   relay_recipient_maps = inline:{ { boss@example.com = x } }\n";
    let postfix = start(&machine, main_cf, "example.com x\n");
    let mut server = ListServer::new(&machine, "hash", tcp("127.0.0.1"));
    server.roster.add("ants@example.com");
    server.write_tables();
    let said = server.hook_up_stops();
    assert!(said.contains("Stopped: hash:/etc/postfix/table has example.com."), "{said}");
    let found = server.check();
    let told = found.iter().find(|finding| finding.subject == "relay_domains" && finding.severity == Severity::Error);
    assert!(found.iter().any(|finding| finding.advice.contains("shared_domains: example.com")), "{told:?}");

    // What they advise.
    remove_tables(&server);
    let settings = [("shared_domains", "example.com")];
    let mut server = ListServer::with_settings(&machine, "hash", tcp("127.0.0.1"), &settings);
    server.roster.add("ants@example.com");
    server.write_tables();
    server.hook_up();
    answered(&machine, "127.0.0.1:25", "ants@example.com", 250).unwrap();
    assert_eq!(rcpt(&machine, "boss@example.com"), 250, "{}", postfix.log_tail());
    assert_eq!(rcpt(&machine, "nobody@example.com"), 550);
    assert_no_problems(&server);
}

#[test]
fn a_domain_that_has_a_route_is_not_made_a_virtual_alias_domain() {
    let Some(machine) = machine("a_domain_that_has_a_route_is_not_made_a_virtual_alias_domain") else { return };
    let _postfix =
        start(&machine, "transport_maps = hash:/etc/postfix/table\n", "staff.example smtp:[127.0.0.1]:2600\n");
    let mut server = ListServer::new(&machine, "hash", tcp("127.0.0.1"));
    server.roster.add_domain("staff.example", "lists.staff.example");
    server.roster.add("crew@staff.example");
    server.write_tables();
    let said = server.hook_up_stops();
    assert!(said.contains("hash:/etc/postfix/table has staff.example"), "{said}");
}

#[test]
fn without_tables_nothing_is_changed() {
    let Some(machine) = machine("without_tables_nothing_is_changed") else { return };
    let _postfix = start(&machine, "", "");
    for table_type in ["hash", "sqlite", "texthash"] {
        let server = ListServer::new(&machine, table_type, tcp("127.0.0.1"));
        let said = server.hook_up_stops();
        assert!(said.contains("is missing. Run this first: postrider aliases"), "{said}");
        remove_tables(&server);
    }
}

/// Another list server begins with an empty directory.
fn remove_tables(server: &ListServer<'_>) {
    std::fs::remove_dir_all(&server.site.table_dir).unwrap();
}
