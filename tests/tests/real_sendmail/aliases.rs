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

    // A list with the name of an alias of the site's own: the alias stays, all other lists come.
    machine.shell("echo 'support: anna' >>/etc/aliases; newaliases");
    site.run(&["create", "support@lists.example.com"]);
    site.run(&["create", "cats@lists.example.com"]);
    for list in ["cats", "support-owner"] {
        let address = format!("{list}@lists.example.com");
        site.post(CARLA, &address, "Subject: x\n\nhello\n");
        lists.wait_for(&address, LIMIT);
    }
    site.post(CARLA, "support@lists.example.com", "Subject: to the site's own\n\nhello\n");
    site.wait_for_mailbox("anna", "Subject: to the site's own");
    let output = machine.output(&["/usr/bin/postrider", "hookup", "--check"]).unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("/etc/aliases has an alias of its own with that name"), "{told}");

    // The list server is away: the message waits.
    drop(lists);
    site.post(CARLA, "bees@lists.example.com", "Subject: later\n\nhello\n");
    let back = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    site.sendmail.flush();
    back.wait_for("bees@lists.example.com", LIMIT);

    site.undo();
    assert_eq!(machine.read("/etc/aliases").unwrap(), before + "support: anna\n");
    assert_eq!(site.rcpt("cats@lists.example.com").code, 550);
}

#[test]
fn the_import_reads_nothing_that_the_owner_of_the_data_may_not_read() {
    let Some(machine) = machine("the_import_reads_nothing_that_the_owner_of_the_data_may_not_read") else { return };
    let site = Site::installed(&machine, "incoming: sendmail.Aliases\n");
    site.run(&["create", "ants@lists.example.com"]);
    machine.run(&["chown", "-R", "ben", "/var/lib/postrider"]);
    site.hook_up();
    assert_eq!(site.rcpt("ants@lists.example.com").code, 250, "read with ben's rights");
    let before = machine.read("/etc/aliases").unwrap();
    machine.shell("ln -sf /etc/shadow /var/lib/postrider/data/sendmail_aliases");
    let output = machine.output(&["/etc/mail/import-postrider-aliases"]).unwrap();
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(66), "{told}");
    assert!(!told.contains("root:"), "{told}");
    assert_eq!(machine.read("/etc/aliases").unwrap(), before);
}
