//! The points of the contract, one file each. A point panics when the MTA breaks it.

mod alias_domains;
mod changes;
mod failures;
mod incoming;
mod outgoing;
mod refusals;
mod stopped;

use crate::mta::{Demand, Point};
use crate::site::{Lmtp, Site};
use std::time::Duration;

/// What a point has shown.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What this MTA does in another way than most, or cannot do, and why.
    pub remarks: Vec<String>,
    /// How long something took.
    pub times: Vec<(&'static str, Duration)>,
}

impl Outcome {
    fn remark(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }
}

impl Point {
    /// How the site must be connected: points with the same answer share one.
    pub fn lmtp(self) -> Lmtp {
        match self {
            Point::TwoHosts => Lmtp::SecondHost,
            Point::UnixSocket | Point::Packaged => Lmtp::Socket,
            _ => Lmtp::Port,
        }
    }

    /// Puts a site to it.
    pub fn check(self, site: &Site<'_>) -> Outcome {
        match self {
            Point::Incoming => incoming::check(site),
            Point::Refusals => refusals::check(site),
            Point::Changes | Point::Packaged => changes::check(site),
            Point::Outgoing => outgoing::check(site),
            Point::Failures => failures::check(site),
            Point::Stopped => stopped::check(site),
            Point::AliasDomains => alias_domains::check(site),
            Point::TwoHosts => {
                let mut outcome = outgoing::there_and_back(site);
                if site.mta.demand(Point::Stopped) == Demand::Whole {
                    site.begin_point();
                    outcome.remarks.extend(stopped::check(site).remarks);
                }
                outcome.remark(
                    "Here the hosts share a file system. Elsewhere tables travel by the administrator's own means, or the \
                     MTA asks Postrider itself.",
                );
                outcome
            }
            Point::UnixSocket => {
                let mut outcome = incoming::check(site);
                site.begin_point();
                outcome.remarks.extend(outgoing::there_and_back(site).remarks);
                outcome
            }
        }
    }
}
