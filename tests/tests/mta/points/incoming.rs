//! A stranger posts to a list and all its functions: LMTP gets exactly that recipient, and each of
//! its replies is honoured, in whichever phase it comes.

use super::Outcome;
use crate::site::{ANTS, CARLA, LIMIT, Site, message};
use postrider_tests::mta_box::Times;

const FUNCTIONS: [&str; 8] = ["bounces", "confirm", "join", "leave", "owner", "request", "subscribe", "unsubscribe"];

pub fn check(site: &Site<'_>) -> Outcome {
    addresses_arrive_as_they_were_written(site);
    every_reply_is_honoured(site);
    Outcome::default()
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
        if mixed.contains(&address) {
            let detail = |text: &str| {
                text.split_once('+').and_then(|(_, rest)| rest.rsplit_once('@')).map(|(d, _)| d.to_owned())
            };
            assert!(arrived.eq_ignore_ascii_case(address), "{address} arrived as {arrived}");
            assert_eq!(detail(arrived), detail(address), "the detail of {address}");
        } else {
            assert_eq!(arrived, address);
        }
        assert_eq!(caught[0].sender, CARLA);
        assert!(caught[0].text().contains("\r\n.a line with a dot\r\n"), "{}", caught[0].text());
        lists.clear();
    }

    // All of them in one message.
    let all: Vec<&str> = addresses.iter().map(String::as_str).collect();
    site.stranger_as(CARLA).send_to(&all, "to all at once");
    lists.wait_until_recipients(all.len(), LIMIT);
    let mut arrived: Vec<_> = lists.caught().into_iter().flat_map(|message| message.recipients).collect();
    arrived.sort();
    addresses.sort();
    assert_eq!(arrived, addresses);
    // The null sender, as bounces have it.
    lists.clear();
    let verp = "ants-bounces+user=remote.example@lists.example.com";
    site.stranger_as("").send_to(&[verp], "a bounce");
    assert_eq!(lists.wait_for(verp, LIMIT).sender, "");
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
    let recipients = [ANTS.to_owned(), at("owner"), at("leave"), at("join"), at("request")];
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    site.stranger_as(CARLA).send_to(&recipients, "each its own reply");

    let arrived = || {
        let mut arrived: Vec<_> = lists.caught().into_iter().flat_map(|message| message.recipients).collect();
        arrived.sort();
        arrived
    };
    site.wait_flushing("what was put off", || (arrived().len() >= 3).then_some(()));
    let bounced = |text: &str, address: &str| text.contains(address);
    site.wait_flushing("both bounces", || {
        let text: String = site.bounces().iter().map(postrider_tests::mta_box::Caught::text).collect();
        (bounced(&text, &at("owner")) && bounced(&text, &at("leave"))).then_some(())
    });
    site.wait_until_delivered();
    assert_eq!(arrived(), [at("join"), at("request"), ANTS.to_owned()], "each exactly once");
    for bounce in site.bounces() {
        assert_eq!(bounce.recipients, [CARLA], "{bounce:?}");
        let text = bounce.text();
        // RFC 3464: which recipients failed stands in the second part.
        for line in text.lines().filter(|line| line.starts_with("Final-Recipient:")) {
            assert!(line.contains(&at("owner")) || line.contains(&at("leave")), "{line}\n{text}");
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
