//! The box holds a working Postfix.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the right answer")]

use postrider_tests::mta_box::{Catcher, Layer, MtaBox, Postfix, SmtpSession};
use postrider_tests::require::{self, MTA_BOX};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn postfix_delivers_to_local_users_and_to_the_rest_of_the_world() {
    if !require::all("postfix_delivers_to_local_users_and_to_the_rest_of_the_world", MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    machine.add_user("anna");
    let world = Catcher::smtp(&machine, "127.0.0.1:2599").unwrap();
    let postfix = Postfix::start(&machine, "").unwrap();

    let mut trusted = SmtpSession::connect(&machine, "127.0.0.1", "127.0.0.1:25").unwrap();
    let recipients = ["anna@mta.example.com", "bob@remote.example"];
    trusted.send("list@mta.example.com", &recipients, "Subject: hello\n\n.dot\n").unwrap();
    let caught = world.wait_for("bob@remote.example", LIMIT);
    assert_eq!(caught.sender, "list@mta.example.com");
    assert!(caught.text().ends_with("\r\n\r\n.dot\r\n"), "{}", caught.text());
    postfix.wait_for_log("to=<anna@mta.example.com>", LIMIT);
    assert!(postfix.mailbox("anna").contains("Subject: hello"), "{}", postfix.log_tail());

    let mut stranger = SmtpSession::connect(&machine, "127.0.0.2", "127.0.0.1:25").unwrap();
    stranger.mail("someone@remote.example").unwrap().expect(250);
    stranger.rcpt("bob@remote.example").unwrap().expect(454);
}
