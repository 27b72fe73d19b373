//! Mail to members, by the real daemon through the real MTA: each gets it once, with a VERP sender; who is
//! refused becomes a bounce event, who is put off gets it later. What looks like the end of a message ends none.

use super::{Outcome, incoming::SendTo as _};
use crate::site::{CARLA, LIMIT, Site, message};
use serde_json::Value;

const REFUSED: &str = "refused@remote.example";
/// Nobody who sent anything.
const EVIL: &str = "evil@remote.example";
const PUT_OFF: &str = "later@remote.example";

/// What some servers take for the end of a message (CVE-2023-51764 and its family).
const FALSE_ENDS: [&str; 5] = ["\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r"];

pub fn check(site: &Site<'_>) -> Outcome {
    let list = "outgoing@lists.example.com";
    let daemon = site.serve();
    // While the daemon runs: it is told of the list too.
    site.change(&["create", list]);
    site.add_members(list, &format!("anna@mta.example.com\nCarla <{CARLA}>\n{REFUSED}\n{PUT_OFF}\n"));
    site.mta.set_rule(site.machine, REFUSED, Some("550 5.1.1 no such person"));
    site.mta.set_rule(site.machine, PUT_OFF, Some("451 4.7.1 not now"));
    site.wait_for("the list to be taken", || (site.rcpt(list) == 250).then_some(()));

    site.stranger_as(CARLA).send_to(&[list], "to all members");
    arrives(site, list, CARLA);
    in_mailbox(site, list, "anna");
    let bounce = site.wait_for("the bounce event", || {
        let events = site.json(&["queue", "bounces", "--json"]);
        events.as_array()?.iter().find(|event| event["recipient"] == REFUSED).cloned()
    });
    assert_eq!(bounce["list"], list);
    assert!(
        bounce["reply"].as_str().is_some_and(|reply| reply.contains("550") && reply.contains("no such person")),
        "{bounce}"
    );
    site.wait_for("the member who is put off to wait", || {
        let queue = site.json(&["queue", "--json"]);
        queue["out"].as_array()?.iter().find(|out| out["list"] == list && out["waiting"] == 1).map(drop)
    });
    assert!(site.world.caught().iter().all(|message| message.recipients != [PUT_OFF]), "nothing was sent to {PUT_OFF}");

    site.mta.set_rule(site.machine, PUT_OFF, None);
    // No connection is left that goes by the old rule.
    site.restart_mta();
    site.run(&["queue", "retry"]);
    arrives(site, list, PUT_OFF);
    site.wait_until_idle();
    for member in [CARLA, PUT_OFF] {
        assert_eq!(copies(site, member), 1, "copies for {member}");
    }
    assert_eq!(site.mta.mailbox(site.machine, "anna").matches("Subject: [Outgoing] to all members").count(), 1);
    let events = site.json(&["queue", "bounces", "--json"]);
    let refused = |event: &&Value| event["recipient"] == REFUSED;
    assert_eq!(events.as_array().expect("an array").iter().filter(refused).count(), 1, "{events}");
    assert!(site.bounces().is_empty(), "{:?}", site.bounces());
    site.mta.set_rule(site.machine, REFUSED, None);
    nothing_is_smuggled(site, list);
    site.stop(daemon);
    Outcome::default()
}

/// Posts with a second message in them, such as an MTA that looks at the true end only hands on: the next one must get
/// one message of each, too.
fn nothing_is_smuggled(site: &Site<'_>, list: &str) {
    let before = copies(site, CARLA);
    let mut session = site.lmtp();
    for (number, end) in FALSE_ENDS.iter().enumerate() {
        session.mail(CARLA).expect("a reply").expect(250);
        session.rcpt(list).expect("a reply").expect(250);
        session.command("DATA").expect("a reply").expect(354);
        let evil = format!("MAIL FROM:<{EVIL}>\r\nRCPT TO:<{CARLA}>\r\nDATA\r\nSubject: smuggled\r\n\r\nx");
        let text = message(&format!("number {number}")).replace('\n', "\r\n");
        session.write(format!("{text}first{end}{evil}{end}rest\r\n.\r\n").as_bytes()).expect("written");
        session.reply().expect("a reply").expect(250);
    }
    site.wait_until_idle();
    assert_eq!(copies(site, CARLA) - before, FALSE_ENDS.len(), "one message each");
    for caught in site.world.caught() {
        let text = caught.text();
        assert_ne!(caught.sender, EVIL, "{text}");
        assert!(!text.contains("\r\nfirst") || text.contains("rest\r\n"), "it was cut: {text}");
    }
}

/// In by LMTP, out by SMTP, and back again to the VERP address: for sites that are connected in another way.
pub fn there_and_back(site: &Site<'_>) -> Outcome {
    let list = "echo@lists.example.com";
    let daemon = site.serve();
    site.change(&["create", list]);
    site.add_members(list, &format!("anna@mta.example.com\n{CARLA}\n"));
    site.wait_for("the list to be taken", || (site.rcpt(list) == 250).then_some(()));
    assert!(
        site.rcpt_within("nosuch@lists.example.com", LIMIT) >= 500
            || site.mta.refusal(crate::mta::Unknown::List) != crate::mta::Refusal::AtRcpt
    );

    site.stranger_as(CARLA).send_to(&[list], "there and back");
    let sender = arrives(site, list, CARLA);
    in_mailbox(site, list, "anna");
    // Should carla's mail server send it back, then it comes to the VERP address with the null sender.
    site.stranger_as("").send_to(&[&sender], "undeliverable");
    site.wait_flushing("the returned mail", || {
        let queue = site.json(&["queue", "--json"]);
        queue["in"].as_array()?.iter().find(|entry| entry["recipient"] == sender.as_str()).map(drop)
    });
    site.wait_until_idle();
    assert_eq!(copies(site, CARLA), 1);
    assert!(site.bounces().is_empty(), "{:?}", site.bounces());
    site.stop(daemon);
    Outcome::default()
}

/// Waits for a member's copy in the outside world; returns its sender.
fn arrives(site: &Site<'_>, list: &str, member: &str) -> String {
    let caught = site.wait_flushing(&format!("the copy for {member}"), || {
        site.world.caught().into_iter().find(|message| message.recipients.iter().any(|to| to == member))
    });
    assert_eq!(caught.recipients, [member], "VERP: one recipient each");
    assert_eq!(caught.sender, verp(list, member));
    assert!(caught.text().contains("\r\n.a line with a dot\r\n"), "{}", caught.text());
    caught.sender
}

fn in_mailbox(site: &Site<'_>, list: &str, user: &str) {
    let sender = format!("Return-Path: <{}>", verp(list, &format!("{user}@mta.example.com")));
    site.wait_flushing(&format!("{user}'s copy, with {sender}"), || {
        site.mta.mailbox(site.machine, user).contains(&sender).then_some(())
    });
}

/// LIST-bounces+LOCAL=DOMAIN@…
fn verp(list: &str, member: &str) -> String {
    let (local, domain) = list.split_once('@').expect("an address");
    format!("{local}-bounces+{}@{domain}", member.replace('@', "="))
}

fn copies(site: &Site<'_>, member: &str) -> usize {
    let caught = site.world.caught();
    caught.iter().flat_map(|message| &message.recipients).filter(|to| *to == member).count()
}
