//! A domain that people know, routed to Postrider under another name: with lists only, and with
//! lists and mailboxes.

use super::{Outcome, incoming::SendTo as _};
use crate::mta::{Refusal, Unknown};
use crate::site::{CARLA, LIMIT, MIXED, STAFF, Site};

pub fn check(site: &Site<'_>) -> Outcome {
    let lists = site.lists();
    for (domain, routed) in [STAFF, MIXED] {
        for local in ["crew", "crew-owner", "crew-bounces+user=remote.example", "crew-confirm+0123abcd"] {
            for address in [format!("{local}@{domain}"), format!("{local}@{routed}")] {
                site.stranger_as(CARLA).send_to(&[&address], "to the crew");
                let caught = lists.wait_for_count(1, LIMIT);
                let arrived = &caught[0].recipients;
                // Postrider knows its lists under both names.
                assert!(
                    caught.len() == 1
                        && arrived.len() == 1
                        && [domain, routed].iter().any(|name| arrived[0] == format!("{local}@{name}")),
                    "{address} arrived as {caught:?}"
                );
                lists.clear();
            }
        }
        if site.mta.refusal(Unknown::List) == Refusal::AtRcpt {
            for local in ["nosuch", "nosuch-bounces+user=remote.example"] {
                for name in [domain, routed] {
                    let code = site.rcpt_within(&format!("{local}@{name}"), LIMIT);
                    assert!((500..600).contains(&code), "{local}@{name}: {code}");
                }
            }
        }
    }
    // People have their mail as before.
    site.stranger_as(CARLA).send_to(&["ben@mta.example.com"], "to ben himself");
    site.wait_flushing("ben's mail", || {
        site.mta.mailbox(site.machine, "ben").contains("Subject: to ben himself").then_some(())
    });
    site.wait_until_delivered();
    assert!(lists.caught().is_empty(), "{:?}", lists.caught());
    assert!(site.bounces().is_empty(), "{:?}", site.bounces());
    Outcome::default()
}
