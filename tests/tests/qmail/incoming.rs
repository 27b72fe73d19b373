//! Mail for lists: what reaches Postrider, and what becomes of its replies.

use crate::site::{MESSAGE, Site};
use postrider_tests::{
    mta_box::{Catcher, Times},
    qmail_stand_in::{Fate, Report},
};
use std::fs;

/// Addresses that must come through as they are.
const ADDRESSES: [&str; 13] = [
    "ants@lists.example.com",
    "ants-bounces@lists.example.com",
    "ants-confirm@lists.example.com",
    "ants-join@lists.example.com",
    "ants-leave@lists.example.com",
    "ants-owner@lists.example.com",
    "ants-request@lists.example.com",
    "ants-subscribe@lists.example.com",
    "ants-unsubscribe@lists.example.com",
    "ants-bounces+user=dom.example@lists.example.com",
    "ants-bounces+some-user=my-dom.example@lists.example.com",
    "ants-confirm+0123456789abcdef@lists.example.com",
    "AnTs-Bounces+User=Dom@Lists.Example.COM",
];

/// Each way with a server that remembers what it was given.
fn with_catcher(recipients: &str) -> (Site, Catcher) {
    let site = Site::new("", &format!("recipients: {recipients}\n"));
    let socket = site.installation.path().join("lmtp");
    let config = fs::read_to_string(site.installation.config()).unwrap();
    let lmtp_host = format!("lmtp_host: {}", socket.display());
    fs::write(site.installation.config(), config.replace("lmtp_host: 127.0.0.1", &lmtp_host)).unwrap();
    let catcher = Catcher::lmtp_unix(&socket).unwrap();
    site.hook_up();
    site.create("ants@lists.example.com");
    (site, catcher)
}

#[test]
fn every_address_of_a_list_arrives_as_it_was_written() {
    for recipients in ["default", "per-list"] {
        let (site, catcher) = with_catcher(recipients);
        for address in ADDRESSES {
            site.is_delivered(address);
            let caught = catcher.caught().pop().unwrap();
            assert_eq!(
                (caught.sender.as_str(), &caught.recipients[..]),
                ("zoe@remote.example", &[address.to_owned()][..])
            );
        }
        assert_eq!(catcher.caught().len(), ADDRESSES.len());
    }
}

#[test]
fn the_message_gets_a_trace_and_is_otherwise_as_it_was() {
    let (site, catcher) = with_catcher("default");
    site.is_delivered("ants@lists.example.com");
    let text = catcher.caught().pop().unwrap().text();
    let trace = "Return-Path: <zoe@remote.example>\r\nDelivered-To: postrider-ants@lists.example.com\r\n";
    assert_eq!(text, format!("{trace}{}", MESSAGE.replace('\n', "\r\n")));
    let again = text.replace("\r\n", "\n");
    let fate = site.qmail.receive("zoe@remote.example", "ants@lists.example.com", again.as_bytes());
    assert!(matches!(&fate, Fate::Local(Report::Failure(said)) if said.contains("looping")), "{fate:?}");
}

#[test]
fn a_bounce_has_no_sender() {
    let (site, catcher) = with_catcher("per-list");
    let fate = site.qmail.receive("", "ants-bounces+u=d@lists.example.com", MESSAGE.as_bytes());
    assert!(matches!(fate, Fate::Local(Report::Success(_))), "{fate:?}");
    assert_eq!(catcher.caught()[0].sender, "");
}

#[test]
fn postriders_reply_decides() {
    let (site, catcher) = with_catcher("default");
    catcher.refuse("ants-owner@lists.example.com", "550 5.7.1 not today, not ever", Times::Always);
    catcher.refuse("ants-request@lists.example.com", "451 4.3.0 come later", Times::Always);
    assert!(site.bounces("ants-owner@lists.example.com").contains("550 5.7.1 not today, not ever"));
    assert!(site.is_deferred("ants-request@lists.example.com").contains("451 4.3.0 come later"));
    site.is_delivered("ants@lists.example.com");
}

#[test]
fn what_is_no_list_is_bounced_with_the_reason() {
    for recipients in ["default", "per-list"] {
        let site = Site::with_ants("", &format!("recipients: {recipients}\n"));
        let daemon = site.installation.serve();
        site.is_delivered("ants@lists.example.com");
        for unknown in ["bees", "bees-owner", "ants-nosuch", "foo/../ants", "default", "x-default"] {
            let text = site.bounces(&format!("{unknown}@lists.example.com"));
            assert!(text.contains("550 5.1.1") || text.contains("no mailbox here by that name. (#5.1.1)"), "{text}");
        }
        assert_eq!(site.receive("ants@elsewhere.example"), Fate::Refused);
        // The prefix is an address of the mail server's own domain, and no list's.
        assert!(site.bounces("postrider-ants@mta.example.com").contains("550"));
        daemon.stop();
    }
}

#[test]
fn per_list_qmail_itself_bounces_what_is_no_list_even_while_postrider_is_stopped() {
    let site = Site::with_ants("", "recipients: per-list\n");
    assert!(site.bounces("bees@lists.example.com").contains("no mailbox here by that name. (#5.1.1)"));
    site.is_deferred("ants@lists.example.com");
}

#[test]
fn what_comes_while_postrider_is_stopped_waits_in_qmail() {
    let site = Site::with_ants("", "");
    let reason = site.is_deferred("ants@lists.example.com");
    assert!(reason.contains("127.0.0.1"), "it says where nobody answers: {reason}");
    let daemon = site.installation.serve();
    site.is_delivered("ants@lists.example.com");
    daemon.stop();
}

#[test]
fn lists_beside_mailboxes_come_through_the_user_alias() {
    let site = Site::new("", "");
    let locals = site.qmail.home().join("control/locals");
    fs::write(&locals, "mta.example.com\nexample.com\n").unwrap();
    fs::write(site.qmail.home().join("control/rcpthosts"), "mta.example.com\nexample.com\n").unwrap();
    fs::write(site.qmail.home().join("hup"), "HUP\n").unwrap();
    fs::write(site.qmail.home().join("alias/.qmail-anna"), "|true\n").unwrap();
    site.installation.output(&["domain", "add", "example.com", "--alias-domain", "lists.example.com"]);
    site.hook_up();
    site.create("staff@example.com");
    site.change(&["aliases"]);
    let daemon = site.installation.serve();
    for known in ["staff", "Staff-bounces+u=d", "anna"] {
        site.is_delivered(&format!("{known}@example.com"));
    }
    site.is_delivered("staff@lists.example.com");
    assert!(site.bounces("nobody@example.com").contains("550 5.1.1"));
    daemon.stop();
}
