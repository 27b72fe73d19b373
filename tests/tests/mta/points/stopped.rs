//! While Postrider is away mail waits in the MTA; when it is back, everything is delivered.

use super::{Outcome, incoming::SendTo as _};
use crate::site::{ANTS, CARLA, Site};

pub fn check(site: &Site<'_>) -> Outcome {
    let daemon = site.serve();
    let before = site.held().len();
    site.stop(daemon);
    let subjects = ["patience one", "patience two"];
    for subject in subjects {
        site.stranger_as(CARLA).send_to(&[ANTS], subject);
    }
    site.wait_for("the MTA to keep the mail", || (!site.mta.queue_is_empty(site.machine)).then_some(()));
    // A try that finds nobody changes nothing.
    site.mta.flush(site.machine);

    let daemon = site.serve();
    site.wait_flushing("what has waited", || {
        let held = site.held();
        subjects.iter().all(|subject| held.iter().any(|seen| seen == subject)).then_some(())
    });
    // The notices of held posts, too: the next point would catch them.
    site.wait_until_idle();
    assert_eq!(site.held().len(), before + subjects.len(), "each once");
    assert!(site.bounces().iter().all(|bounce| !bounce.text().contains("Final-Recipient")), "{:?}", site.bounces());
    site.stop(daemon);
    Outcome::default()
}
