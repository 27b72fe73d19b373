//! What is no list is refused while the sender is still there, where the MTA can; elsewhere its sender
//! gets a bounce. Nothing of it stays with Postrider.

use super::Outcome;
use crate::mta::{Refusal, Unknown};
use crate::site::{ANTS, CARLA, Site, message};

const ADDRESSES: [(&str, Unknown); 13] = [
    ("nosuch@lists.example.com", Unknown::List),
    ("nosuch-owner@lists.example.com", Unknown::List),
    ("nosuch-bounces+user=remote.example@lists.example.com", Unknown::List),
    ("ants.example.com@lists.example.com", Unknown::List),
    ("ant@lists.example.com", Unknown::List),
    ("ants-foo@lists.example.com", Unknown::Function),
    ("ants-@lists.example.com", Unknown::Function),
    ("ants-owner-owner@lists.example.com", Unknown::Function),
    ("ants+detail@lists.example.com", Unknown::Detail),
    ("foo/../ants@lists.example.com", Unknown::Path),
    ("ants.lists.example.com/../ants@lists.example.com", Unknown::Path),
    ("ants@nolists.example.com", Unknown::Domain),
    ("ants@remote.example", Unknown::Domain),
];

pub fn check(site: &Site<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    let daemon = site.serve();
    let mut held = site.held().len();
    for (address, unknown) in ADDRESSES {
        match site.mta.refusal(unknown) {
            Refusal::AtRcpt => {
                let mut session = site.stranger_as(CARLA);
                let reply = session.rcpt(address).expect("a reply");
                assert!((500..600).contains(&reply.code), "{address}: {reply:?}");
                // The session is as good as new for an address that exists.
                session.rcpt(ANTS).expect("a reply").expect(250);
            }
            Refusal::Bounced(why) => {
                let before = site.bounces().len();
                let mut session = site.stranger_as(CARLA);
                session.rcpt(address).expect("a reply").expect(250);
                session.data(&message("nobody there")).expect("a reply").expect(250);
                site.wait_flushing(&format!("the bounce for {address}"), || {
                    let bounces = site.bounces();
                    bounces[before..].iter().find(|bounce| bounce.text().contains(address)).map(drop)
                });
                outcome.remark(format!("{} bounced instead: {why}", described(unknown)));
            }
            Refusal::Taken(why) => {
                let mut session = site.stranger_as(CARLA);
                session.rcpt(address).expect("a reply").expect(250);
                session.data(&message("taken for the list")).expect("a reply").expect(250);
                held += 1;
                site.wait_flushing(&format!("the post to {address}"), || (site.held().len() == held).then_some(()));
                outcome.remark(format!("{} taken as mail to the list: {why}", described(unknown)));
            }
        }
    }
    site.wait_until_delivered();
    assert_eq!(site.held().len(), held, "Postrider took something that was to be refused");
    site.stop(daemon);
    outcome
}

fn described(unknown: Unknown) -> &'static str {
    match unknown {
        Unknown::List => "An unknown list is",
        Unknown::Function => "An unknown function of a list is",
        Unknown::Detail => "A detail behind a list's posting address is",
        Unknown::Path => "An address with a slash is",
        Unknown::Domain => "Another domain is",
    }
}
