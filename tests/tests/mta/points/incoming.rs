//! A stranger posts to a list and all its functions: LMTP gets exactly that recipient, and each of
//! its replies is honoured, in whichever phase it comes.

use super::Outcome;
use crate::site::{ANTS, CARLA, LIMIT, Site, message};
use postrider_tests::mta_box::Times;

const FUNCTIONS: [&str; 8] = ["bounces", "confirm", "join", "leave", "owner", "request", "subscribe", "unsubscribe"];

pub fn check(site: &Site<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    addresses_arrive_as_they_were_written(site);
    every_reply_is_honoured(site);
    if let Err(why) = site.mta.keeps_detail() {
        outcome.remark(format!("The detail is lost: {why}"));
    }
    outcome
}

/// What Postrider is to get for this address.
fn arriving(site: &Site<'_>, address: &str) -> String {
    match (site.mta.keeps_detail(), address.split_once('+'), address.rsplit_once('@')) {
        (Err(_), Some((function, _)), Some((_, domain))) => format!("{function}@{domain}"),
        _ => address.to_owned(),
    }
}

fn addresses_arrive_as_they_were_written(site: &Site<'_>) {
    let mut addresses = vec![ANTS.to_owned()];
    addresses.extend(FUNCTIONS.map(|function| format!("ants-{function}@lists.example.com")));
    addresses.extend(
        [
            "ants-bounces+user=remote.example@lists.example.com",
            "ants-bounces+a+b=sub.remote.example@lists.example.com",
            "ants-confirm+0123abcd@lists.example.com",
        ]
        .map(str::to_owned),
    );
    let mixed = [
        "Ants@lists.example.com",
        "ANTS-Request@LISTS.example.com",
        "ants-Bounces+User=Remote.Example@Lists.Example.COM",
    ];

    let lists = site.lists();
    for address in addresses.iter().map(String::as_str).chain(mixed) {
        site.stranger_as(CARLA).send_to(&[address], "as it was written");
        let caught = lists.wait_for_count(1, LIMIT);
        assert_eq!((caught.len(), caught[0].recipients.len()), (1, 1), "{address}: {caught:?}");
        let arrived = &caught[0].recipients[0];
        // RFC 5321 leaves the case of a local part to whoever reads it: Postrider folds it. Detail does not
        // change with it.
        let expected = arriving(site, address);
        if mixed.contains(&address) {
            assert!(arrived.eq_ignore_ascii_case(&expected), "{address} arrived as {arrived}");
            let detail = |text: &str| {
                text.split_once('+').and_then(|(_, rest)| rest.rsplit_once('@')).map(|(d, _)| d.to_owned())
            };
            assert_eq!(detail(arrived), detail(&expected), "the detail of {address}");
        } else {
            assert_eq!(*arrived, expected);
        }
        assert_eq!(caught[0].sender, CARLA);
        assert!(caught[0].text().contains("\r\n.a line with a dot\r\n"), "{}", caught[0].text());
        lists.clear();
    }

    // All of them in one message.
    let all: Vec<&str> = addresses.iter().map(String::as_str).collect();
    site.stranger_as(CARLA).send_to(&all, "to all at once");
    // Addresses without their detail may be the same; each is delivered to once.
    let mut expected: Vec<String> = addresses.iter().map(|address| arriving(site, address)).collect();
    expected.sort();
    expected.dedup();
    lists.wait_until_recipients(expected.len(), LIMIT);
    let mut arrived: Vec<_> = lists.caught().into_iter().flat_map(|message| message.recipients).collect();
    arrived.sort();
    assert_eq!(arrived, expected);
    // The null sender, as bounces have it.
    lists.clear();
    let verp = "ants-bounces+user=remote.example@lists.example.com";
    site.stranger_as("").send_to(&[verp], "a bounce");
    assert_eq!(lists.wait_for(&arriving(site, verp), LIMIT).sender, "");
    site.wait_until_delivered();
    assert!(site.bounces().is_empty(), "nothing was to be bounced");
}

fn every_reply_is_honoured(site: &Site<'_>) {
    let lists = site.lists();
    let at = |function: &str| format!("ants-{function}@lists.example.com");
    let (no, not_now) = ("550 5.7.1 not wanted here", "451 4.3.0 come back later");
    lists.refuse(&at("owner"), no, Times::Always);
    lists.refuse_message(&at("leave"), no, Times::Always);
    lists.refuse(&at("join"), not_now, Times::Once);
    lists.refuse_message(&at("request"), not_now, Times::Once);
    let mut recipients = vec![ANTS.to_owned(), at("owner"), at("leave"), at("join"), at("request")];
    let mut refused = vec![at("owner"), at("leave")];
    let mut session = site.stranger_as(CARLA);
    if site.mta.asks_postrider() {
        // Who is told at RCPT gets no bounce.
        session.rcpt(&at("owner")).expect("a reply").expect(550);
        session.rcpt(&at("join")).expect("a reply").expect(451);
        recipients.retain(|address| *address != at("owner"));
        refused.retain(|address| *address != at("owner"));
    }
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    session.send_to(&recipients, "each its own reply");

    let arrived = || {
        let mut arrived: Vec<_> = lists.caught().into_iter().flat_map(|message| message.recipients).collect();
        arrived.sort();
        arrived
    };
    site.wait_flushing("what was put off", || (arrived().len() >= 3).then_some(()));
    site.wait_flushing("the bounces", || {
        let text: String = site.bounces().iter().map(postrider_tests::mta_box::Caught::text).collect();
        refused.iter().all(|address| text.contains(address)).then_some(())
    });
    site.wait_until_delivered();
    assert_eq!(arrived(), [at("join"), at("request"), ANTS.to_owned()], "each exactly once");
    for bounce in site.bounces() {
        assert_eq!(bounce.recipients, [CARLA], "{bounce:?}");
        let text = bounce.text();
        // RFC 3464: which recipients failed stands in the second part.
        for line in text.lines().filter(|line| line.starts_with("Final-Recipient:")) {
            assert!(refused.iter().any(|address| line.contains(address)), "{line}\n{text}");
        }
        assert!(text.contains("not wanted here"), "the reason is in the bounce:\n{text}");
    }
}

/// A message in an open session.
pub trait SendTo {
    fn send_to(&mut self, recipients: &[&str], subject: &str);
}

impl SendTo for postrider_tests::mta_box::SmtpSession {
    #[track_caller]
    fn send_to(&mut self, recipients: &[&str], subject: &str) {
        for recipient in recipients {
            self.rcpt(recipient).expect("a reply").expect(250);
        }
        self.data(&message(subject)).expect("a reply").expect(250);
    }
}
