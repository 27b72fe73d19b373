//! What is done with a post: the first rule that has an opinion decides; when none has, it passes.
//!
//! One file a rule. A rule is a pure function of what is [`Examined`]; the table gives their order:
//! what must never go through first, then who wrote it, then its form. So a non-member's post that
//! is to be discarded is not held for its size.

mod automatic;
mod header_size;
mod r#loop;
mod max_size;
mod member;
mod nonmember;

use super::facts::Facts;
use super::headers::Headers;
use crate::lists::{EmailAddress, List, PostAction};

/// A post under examination.
pub struct Examined<'a> {
    /// The list that it is for.
    pub list: &'a List,
    /// Its header.
    pub headers: &'a Headers<'a>,
    /// What was read from the header.
    pub facts: &'a Facts,
    /// Envelope sender; `None` for `<>`.
    pub envelope_sender: Option<&'a EmailAddress>,
    /// The author (From, Sender or envelope sender) that is a member.
    pub member: Option<&'a EmailAddress>,
    /// Octets of the message.
    pub size: u64,
}

/// What is to be done; the reason is a clause for people: `the author is not a member of the list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Distribute it.
    Accept,
    /// Keep it for a moderator.
    Hold(String),
    /// Send it back.
    Reject(String),
    /// Throw it away, with a line in the log.
    Discard(String),
}

impl Verdict {
    /// The word for the log.
    pub fn as_str(&self) -> &'static str {
        match self {
            Verdict::Accept => "accept",
            Verdict::Hold(_) => "hold",
            Verdict::Reject(_) => "reject",
            Verdict::Discard(_) => "discard",
        }
    }

    /// Why; empty when accepted.
    pub fn reason(&self) -> &str {
        match self {
            Verdict::Accept => "",
            Verdict::Hold(reason) | Verdict::Reject(reason) | Verdict::Discard(reason) => reason,
        }
    }

    /// What a list's setting wants; `None` for "accept", so that later rules are asked.
    fn of_action(action: PostAction, reason: &str) -> Option<Self> {
        match action {
            PostAction::Accept => None,
            PostAction::Hold => Some(Verdict::Hold(reason.to_owned())),
            PostAction::Reject => Some(Verdict::Reject(reason.to_owned())),
            PostAction::Discard => Some(Verdict::Discard(reason.to_owned())),
        }
    }
}

/// A verdict and the rule that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What is to be done.
    pub verdict: Verdict,
    /// Name of the rule; `none` when no rule objected.
    pub rule: &'static str,
}

type Check = fn(&Examined<'_>) -> Option<Verdict>;

/// The rules, in their order.
const RULES: [(&str, Check); 6] = [
    ("loop", r#loop::check),
    ("member", member::check),
    ("nonmember", nonmember::check),
    ("automatic", automatic::check),
    ("header_size", header_size::check),
    ("max_size", max_size::check),
];

/// Asks the rules.
pub fn judge(post: &Examined<'_>) -> Judgement {
    for (rule, check) in RULES {
        if let Some(verdict) = check(post) {
            return Judgement { verdict, rule };
        }
    }
    Judgement { verdict: Verdict::Accept, rule: "none" }
}

#[cfg(test)]
mod tests;
