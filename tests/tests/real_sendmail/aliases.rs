//! `sendmail.Aliases`, whole: aliases, the program, `qmail-lmtp`, LMTP.

use crate::site::{CARLA, LIMIT, Site, machine};
use postrider_tests::mta_box::Catcher;

#[test]
fn mail_to_aliases_reaches_lmtp_without_what_follows_the_plus_sign() {
    let Some(machine) = machine("mail_to_aliases_reaches_lmtp_without_what_follows_the_plus_sign") else { return };
    let site = Site::installed(&machine, "incoming: sendmail.Aliases\n");
    let before = machine.read("/etc/aliases").unwrap();
    site.run(&["create", "ants@lists.example.com"]);
    site.hook_up();
    let lists = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    for (written, arrives) in [
        ("ants-owner@lists.example.com", "ants-owner@lists.example.com"),
        ("Ants@lists.example.com", "ants@lists.example.com"),
        ("ants-bounces+user=dom@lists.example.com", "ants-bounces@lists.example.com"),
    ] {
        site.post(CARLA, written, "Subject: x\n\nhello\n");
        assert_eq!(lists.wait_for(arrives, LIMIT).sender, CARLA);
    }
    assert_eq!(site.rcpt("nosuch@lists.example.com").code, 550);

    site.run(&["create", "bees@lists.example.com"]);
    site.post("", "bees-bounces@lists.example.com", "Subject: x\n\nhello\n");
    assert_eq!(lists.wait_for("bees-bounces@lists.example.com", LIMIT).sender, "");
    assert!(site.run(&["hookup", "--check"]).contains("plus sign is lost"));

    // The list server is away: the message waits.
    drop(lists);
    site.post(CARLA, "bees@lists.example.com", "Subject: later\n\nhello\n");
    let back = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    site.sendmail.flush();
    back.wait_for("bees@lists.example.com", LIMIT);

    site.undo();
    assert_eq!(machine.read("/etc/aliases").unwrap(), before);
}
