//! The list server is another host: it is reached by its address, and may send.

use crate::{LIMIT, MESSAGE, SendOne as _, accepted, assert_no_problems, site::ListServer, stranger, tcp};
use postrider_tests::mta_box::{Catcher, Layer, MtaBox, Postfix, SmtpSession};
use postrider_tests::require::{self, MTA_BOX};

#[test]
fn a_list_server_on_another_host_is_reached_and_may_send() {
    if !require::all("a_list_server_on_another_host_is_reached_and_may_send", MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    machine.shell("for last in 1 2 9; do ip addr add 198.51.100.$last/24 dev lo; done");
    let lists = Catcher::lmtp(&machine, "198.51.100.1:8024").unwrap();
    let world = Catcher::smtp(&machine, "127.0.0.1:2599").unwrap();
    let postfix = Postfix::start(&machine, "inet_interfaces = all\n").unwrap();
    let mut server = ListServer::new(&machine, "hash", tcp("198.51.100.1"));
    server.site.smtp_host = "198.51.100.2".into();
    server.roster.add("ants@lists.example.com");
    server.write_tables();
    let before = machine.run(&["postconf", "-n"]);
    let way_back = server.hook_up();
    accepted(&machine, "ants@lists.example.com").unwrap();
    stranger(&machine).send_one("ants@lists.example.com", MESSAGE);
    lists.wait_for("ants@lists.example.com", LIMIT);

    let outgoing = |from: &str| {
        let mut session = SmtpSession::connect(&machine, from, "198.51.100.2:25").unwrap();
        session.mail("ants-bounces@lists.example.com").unwrap().expect(250);
        let code = session.rcpt("carla@remote.example").unwrap().code;
        if code == 250 {
            session.data(MESSAGE).unwrap().expect(250);
        }
        code
    };
    assert_eq!(outgoing("198.51.100.1"), 250, "{}", postfix.log_tail());
    assert_eq!(outgoing("198.51.100.9"), 454, "nobody else may");
    world.wait_for("carla@remote.example", LIMIT);
    assert_no_problems(&server);

    // Asked again, with the address and the tables there already, the way back is still known; only not what
    // recipient_delimiter was before.
    let again = server.hook_up();
    assert_eq!(outgoing("198.51.100.1"), 250);
    again.go();
    assert_eq!(machine.run(&["postconf", "-n"]).replace("recipient_delimiter = +\n", ""), before);
    way_back.go();
    assert_eq!(machine.run(&["postconf", "-n"]), before);
}
