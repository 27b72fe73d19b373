//! Two instances of Postfix on one machine, made by postmulti(1).

use crate::{LIMIT, MESSAGE, answered, assert_no_problems, site::ListServer, tcp};
use postrider_plugin_api::sdk::Severity;
use postrider_tests::mta_box::{Catcher, Layer, MtaBox, Postfix, SmtpSession};
use postrider_tests::require::{self, MTA_BOX};

const PORTS: [&str; 2] = ["127.0.0.1:25", "127.0.0.1:2525"];

fn both_instances_know_the_lists(table_type: &str) {
    if !require::all(&format!("both_instances_know_the_lists ({table_type})"), MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    let lists = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    let postfix = Postfix::configure(&machine, "").unwrap();
    // The second has something of its own that must stay.
    let own = "relay_domains = backup.example\nrelay_recipient_maps = inline:{ { kept@backup.example = x } }\n";
    postfix.add_instance("lists", 2525, own).unwrap();
    postfix.launch().unwrap();
    machine.wait_for_port(PORTS[1], LIMIT).unwrap();

    let settings = [("config_directory", "/etc/postfix /etc/postfix-lists")];
    let mut server = ListServer::with_settings(&machine, table_type, tcp("127.0.0.1"), &settings);
    server.roster.add("ants@lists.example.com");
    server.write_tables();
    let main_cf = || ["/etc/postfix", "/etc/postfix-lists"].map(|one| machine.run(&["postconf", "-c", one, "-n"]));
    let before = main_cf();
    let way_back = server.hook_up();
    server.roster.add("bees@new.example");
    server.publish(true);
    for port in PORTS {
        for (address, code) in [
            ("ants@lists.example.com", 250),
            ("bees-bounces+a=b@new.example", 250),
            ("nosuch@new.example", 550),
            ("nosuch@lists.example.com", 550),
        ] {
            answered(&machine, port, address, code)
                .unwrap_or_else(|late| panic!("{port}: {late}\n{}", postfix.log_tail()));
        }
        let mut session = SmtpSession::connect(&machine, "127.0.0.2", port).unwrap();
        session.send("someone@remote.example", &["bees@new.example"], MESSAGE).unwrap();
    }
    answered(&machine, PORTS[1], "kept@backup.example", 250).unwrap();
    lists.wait_for_count(2, LIMIT);
    assert_no_problems(&server);

    machine.run(&["postconf", "-c", "/etc/postfix-lists", "-e", "soft_bounce = yes"]);
    let found = server.check();
    let problem = found.iter().find(|finding| finding.severity > Severity::Info).unwrap();
    assert_eq!(problem.subject, "/etc/postfix-lists: soft_bounce");
    machine.run(&["postconf", "-c", "/etc/postfix-lists", "-X", "soft_bounce"]);

    way_back.go();
    assert_eq!(main_cf(), before);
    for port in PORTS {
        answered(&machine, port, "ants@lists.example.com", 454).unwrap();
    }
}

#[test]
fn both_instances_know_the_lists_by_hash() {
    both_instances_know_the_lists("hash");
}

#[test]
fn both_instances_know_the_lists_by_sqlite() {
    both_instances_know_the_lists("sqlite");
}
