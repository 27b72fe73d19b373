//! The way of a post, there and back.

use super::site::{ANTS, LIMIT, Site, machine, message};

pub fn a_strangers_post_reaches_two_mailboxes_and_the_rest_of_the_world_once(table_type: &'static str) {
    let Some(machine) = machine("a_strangers_post_reaches_two_mailboxes_and_the_rest_of_the_world_once", table_type)
    else {
        return;
    };
    let site = Site::hooked_up(&machine, table_type);
    for user in ["anna", "ben"] {
        machine.add_user(user);
    }
    site.add_members(ANTS, "anna@mta.example.com\nBen <ben@mta.example.com>\ncarla@remote.example\n");
    let daemon = site.serve();

    site.stranger("carla@remote.example").send_to(ANTS, &message("carla@remote.example", "hello"));
    let to_carla = site.world.wait_for("carla@remote.example", LIMIT);
    assert_eq!(to_carla.sender, "ants-bounces+carla=remote.example@lists.example.com");
    assert_eq!(to_carla.recipients, ["carla@remote.example"]);
    for user in ["anna", "ben"] {
        let mailbox = site.wait_for(&format!("{user}'s mail"), || {
            Some(site.postfix.mailbox(user)).filter(|mailbox| mailbox.contains("Hello, list."))
        });
        let sender = format!("Return-Path: <ants-bounces+{user}=mta.example.com@lists.example.com>");
        for line in [&sender, "Subject: [Ants] hello", "List-Id: <ants.lists.example.com>", "\n.a line with a dot\n"] {
            assert!(mailbox.contains(line), "{line:?} is missing in\n{mailbox}");
        }
    }
    site.wait_until_idle();
    assert_eq!(site.world.caught().len(), 1);
    for user in ["anna", "ben"] {
        assert_eq!(site.postfix.mailbox(user).matches("Message-ID: <hello@remote.example>").count(), 1, "{user}");
    }

    // Should carla's mail server send it back, then it comes to the VERP address with the null sender.
    site.stranger("").send_to(&to_carla.sender, &message("postmaster@remote.example", "undeliverable"));
    site.wait_for("the bounce in the queue", || {
        let queue = site.json(&["queue", "--json"]);
        queue["in"].as_array()?.iter().find(|entry| entry["recipient"] == to_carla.sender.as_str()).map(drop)
    });
    site.assert_nothing_bounced_or_deferred();
    daemon.stop();
}

pub fn unknown_lists_and_functions_are_refused_at_rcpt_and_detail_is_kept(table_type: &'static str) {
    let Some(machine) = machine("unknown_lists_and_functions_are_refused_at_rcpt_and_detail_is_kept", table_type)
    else {
        return;
    };
    let site = Site::hooked_up(&machine, table_type);
    let daemon = site.serve();
    let kept = [
        "ants-bounces+user=remote.example@lists.example.com",
        "ants-confirm+0123abcd@lists.example.com",
        "ANTS-Request@LISTS.example.com",
        "ants-join@lists.example.com",
    ];
    let mut session = site.stranger("someone@remote.example");
    for unknown in [
        "bees@lists.example.com",
        "bees-owner@lists.example.com",
        "bees-bounces+user=remote.example@lists.example.com",
        "ants-nosuch@lists.example.com",
        "nosuch-ants@lists.example.com",
    ] {
        let reply = session.rcpt(unknown).unwrap().expect(550);
        assert!(reply.text.starts_with("5.1.1") && reply.text.contains(unknown), "{}", reply.text);
    }
    for known in kept {
        session.rcpt(known).unwrap().expect(250);
    }
    session.rcpt("bees@lists.example.com").unwrap().expect(550);
    session.rcpt("somebody@elsewhere.example").unwrap().expect(454);
    session.data(&message("someone@remote.example", "hello")).unwrap().expect(250);
    let arrived = site.wait_for("what was kept", || {
        let queue = site.json(&["queue", "--json"]);
        let recipients = queue["in"].as_array()?.iter().map(|entry| entry["recipient"].as_str().map(str::to_owned));
        recipients.collect::<Option<Vec<_>>>().filter(|recipients| recipients.len() >= kept.len())
    });
    for recipient in kept {
        assert!(arrived.iter().any(|seen| seen == recipient), "{recipient} is not among {arrived:?}");
    }
    site.assert_nothing_bounced_or_deferred();
    daemon.stop();
}

pub fn at_a_port_of_its_own_postfix_makes_the_senders_of_a_post(table_type: &'static str) {
    let Some(machine) = machine("at_a_port_of_its_own_postfix_makes_the_senders_of_a_post", table_type) else { return };
    let site = Site::installed(&machine, table_type);
    site.set_postfix("smtpd_port: 10027\n");
    site.configure(10027);
    site.run(&["create", ANTS]);
    site.hook_up();
    let members: Vec<String> = (0..30).map(|number| format!("u{number}+tag@remote.example")).collect();
    site.add_members(ANTS, &members.join("\n"));
    let daemon = site.serve();
    site.stranger("u1+tag@remote.example").send_to(ANTS, &message("u1+tag@remote.example", "hello"));
    site.world.wait_until_recipients(members.len(), LIMIT);
    for message in site.world.caught() {
        let recipient = message.recipients.concat();
        let local = recipient.split('@').next().unwrap();
        assert_eq!(message.sender, format!("ants-bounces+{local}=remote.example@lists.example.com"));
    }
    // Ten share a transaction, as max_recipients says.
    assert!(site.postfix.log().contains("nrcpt=10 "), "{}", site.postfix.log_tail());
    site.assert_nothing_bounced_or_deferred();
    daemon.stop();

    // The way back.
    let undo = site.json(&["hookup", "--json"]);
    let undo: Vec<_> = undo.as_array().unwrap().iter().filter_map(|step| step["undo"].as_str()).collect();
    let undo = undo.iter().find(|text| text.contains("-MX")).unwrap();
    machine.run(&["sh", "-ec", undo]);
    assert!(!machine.read("/etc/postfix/master.cf").unwrap().contains("10027"));
}

/// After `MAIL`.
pub trait SendTo {
    fn send_to(self, recipient: &str, message: &str);
}

impl SendTo for postrider_tests::mta_box::SmtpSession {
    #[track_caller]
    fn send_to(mut self, recipient: &str, message: &str) {
        self.rcpt(recipient).unwrap().expect(250);
        self.data(message).unwrap().expect(250);
    }
}
