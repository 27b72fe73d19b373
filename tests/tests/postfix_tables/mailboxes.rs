//! Lists in domains in which people have mailboxes, of all kinds.

use crate::{LIMIT, MESSAGE, SendOne as _, accepted, assert_no_problems, site::ListServer, stranger, tcp};
use postrider_tests::mta_box::{Catcher, Layer, MtaBox, Postfix};
use postrider_tests::require::{self, MTA_BOX};

/// `mta.example.com` is in `mydestination`, `post.example` in `virtual_mailbox_domains`.
fn lists_live_beside_people(table_type: &str) {
    if !require::all(&format!("lists_live_beside_people ({table_type})"), MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    let lists = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    machine.add_user("anna");
    machine.shell("install -d -o 5000 -g 5000 /var/vmail");
    let main_cf = "virtual_mailbox_domains = post.example\nvirtual_mailbox_maps = inline:{ { carla@post.example = carla } }\n\
                   virtual_mailbox_base = /var/vmail\nvirtual_uid_maps = static:5000\nvirtual_gid_maps = static:5000\n";
    let postfix = Postfix::start(&machine, main_cf).unwrap();
    let mut server = ListServer::new(&machine, table_type, tcp("127.0.0.1"));
    for list in ["staff@mta.example.com", "staff@post.example", "ants@lists.example.com"] {
        server.roster.add(list);
    }
    server.write_tables();
    let before = machine.run(&["postconf", "-n"]);
    let way_back = server.hook_up();
    accepted(&machine, "staff@mta.example.com").unwrap();

    let mut session = stranger(&machine);
    for domain in ["mta.example.com", "post.example", "lists.example.com"] {
        for local in ["nosuch", "nosuch-bounces+a=b", "staff-nosuch", "root-bounces"] {
            let reply = session.rcpt(&format!("{local}@{domain}")).unwrap();
            assert_eq!(reply.code, 550, "{table_type}: {local}@{domain}: {}\n{}", reply.text, postfix.log_tail());
        }
    }
    let to_lists = [
        "staff@mta.example.com",
        "staff-bounces+user=remote.example@mta.example.com",
        "Staff-Owner@MTA.example.com",
        "staff@post.example",
        "staff-confirm+0123abcd@post.example",
        "ants@lists.example.com",
    ];
    let to_people =
        ["root@mta.example.com", "anna@mta.example.com", "anna+detail@mta.example.com", "carla@post.example"];
    for known in to_lists.iter().chain(&to_people) {
        let reply = session.rcpt(known).unwrap();
        assert_eq!(reply.code, 250, "{table_type}: {known}: {}\n{}", reply.text, postfix.log_tail());
    }
    session.data(MESSAGE).unwrap().expect(250);
    for list in to_lists {
        lists.wait_for(list, LIMIT);
    }
    postfix.wait_for_log("to=<root@mta.example.com>, relay=local", LIMIT);
    postfix.wait_for_log("to=<anna+detail@mta.example.com>, relay=local", LIMIT);
    postfix.wait_for_log("to=<carla@post.example>, relay=virtual", LIMIT);
    let delivered: usize = lists.caught().iter().map(|message| message.recipients.len()).sum();
    assert_eq!(delivered, to_lists.len(), "{:?}", lists.caught());
    assert_no_problems(&server);

    way_back.go();
    assert_eq!(machine.run(&["postconf", "-n"]), before);
    crate::answered(&machine, "127.0.0.1:25", "staff@mta.example.com", 550).unwrap();
    stranger(&machine).send_one("root@mta.example.com", MESSAGE);
}

#[test]
fn hash_tables_let_lists_live_beside_people() {
    lists_live_beside_people("hash");
}

#[test]
fn lmdb_tables_let_lists_live_beside_people() {
    lists_live_beside_people("lmdb");
}

#[test]
fn regexp_tables_let_lists_live_beside_people() {
    lists_live_beside_people("regexp");
}

#[test]
fn sqlite_tables_let_lists_live_beside_people() {
    lists_live_beside_people("sqlite");
}

#[test]
fn texthash_tables_let_lists_live_beside_people() {
    lists_live_beside_people("texthash");
}
