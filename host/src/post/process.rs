//! One arrival is processed: a post judged and distributed, held or answered; mail for people
//! forwarded; mail for functions to come kept.
//!
//! Promise: when [`Processor::process`] returns [`Done::Settled`], one commit has removed the arrival or changed its
//! state, and what became of it is on disk. Every step before that commit can be repeated: holding
//! goes by the number of the arrival, and the spool queues a fan-out together with the removal of the
//! arrival it came from. What cannot be processed (its list was removed, a message that makes us panic)
//! is shunted with the reason, never dropped. `Err` means trouble with a database: nothing has changed,
//! try again later.

use super::distribute::{self, Accepted};
use super::facts::Facts;
use super::headers::Headers;
use super::rules::{self, Examined, Judgement, Verdict};
use super::{forward, people_to_tell};
use crate::clock::unix_now;
use crate::config::Config;
use crate::lists::{EmailAddress, List, Role, Subaddress};
use crate::notice;
use crate::spool::{Arrival, ArrivalState, Outgoing, Spool, SpoolError};
use crate::store::{HeldPost, Store, StoreError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use tracing::{info, warn};

/// What `site_owner` is when nobody has set it, as in Mailman.
const UNSET_SITE_OWNER: &str = "changeme@example.com";

/// What the pipeline needs of the configuration.
#[derive(Clone, Debug, Default)]
pub struct PostSettings {
    /// Gets what nobody else answers for; `None` when the configured one is no address, or still the
    /// default: `example.com` is nobody's.
    pub site_owner: Option<EmailAddress>,
    /// `verp_delivery_interval`: 0 never, 1 always, n every nth post.
    pub verp_delivery_interval: u64,
    /// `verp_personalized_deliveries`: copies of members' own always have VERP.
    pub verp_personalized_deliveries: bool,
    /// `verp_delimiter`: what separates an address from its detail.
    pub delimiter: String,
}

impl PostSettings {
    /// Takes what it needs.
    pub fn from_config(config: &Config) -> Self {
        PostSettings {
            site_owner: Some(config.site.site_owner.trim())
                .filter(|owner| !owner.eq_ignore_ascii_case(UNSET_SITE_OWNER))
                .and_then(|owner| EmailAddress::parse(owner).ok()),
            verp_delivery_interval: config.mta.verp.delivery_interval,
            verp_personalized_deliveries: config.mta.verp.personalized_deliveries,
            delimiter: config.mta.verp.delimiter.clone(),
        }
    }
}

/// How an arrival was processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Done {
    /// It is gone, or has another state.
    Settled,
    /// Nothing of it is to be kept. It is still there: whoever asked removes it, with others of its kind
    /// ([`Spool::finish`]).
    Discarded,
}

/// Trouble that may pass; the arrival is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Temporary {
    /// The store.
    #[error(transparent)]
    Store(StoreError),
    /// The spool.
    #[error(transparent)]
    Spool(SpoolError),
}

/// Why a step did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// May pass.
    Temporary(Temporary),
    /// Will not pass by itself: shunt, with this reason.
    Permanent(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database { .. } => Failure::Temporary(Temporary::Store(error)),
            other => Failure::Permanent(other.to_string()),
        }
    }
}

impl From<SpoolError> for Failure {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::NoMessage { .. } | SpoolError::FileGone { .. } => Failure::Permanent(error.to_string()),
            other => Failure::Temporary(Temporary::Spool(other)),
        }
    }
}

/// Runs code that only computes; a panic in it becomes a reason to shunt.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Failure::Permanent(format!("the message made this program fail ({text}); please report it with the message"))
    })
}

/// Processes arrivals. Cheap to clone.
#[derive(Clone)]
pub struct Processor {
    pub(super) store: Store,
    pub(super) spool: Spool,
    pub(super) settings: PostSettings,
}

impl Processor {
    /// Over these stores.
    pub fn new(store: Store, spool: Spool, settings: PostSettings) -> Self {
        Processor { store, spool, settings }
    }

    /// Processes one arrival; see above.
    ///
    /// # Errors
    /// [`Temporary`]: to be tried again later.
    pub async fn process(&self, arrival: &Arrival) -> Result<Done, Temporary> {
        match self.dispatch(arrival).await {
            Ok(done) => Ok(done),
            Err(Failure::Temporary(trouble)) => Err(trouble),
            Err(Failure::Permanent(reason)) => self.shunt(arrival, &reason).await.map(|()| Done::Settled),
        }
    }

    /// Puts an arrival aside, visible and retryable.
    ///
    /// # Errors
    /// [`Temporary`] when the spool cannot do it.
    pub async fn shunt(&self, arrival: &Arrival, reason: &str) -> Result<(), Temporary> {
        warn!(
            arrival = arrival.id,
            recipient = arrival.recipient.recipient,
            reason,
            "shunted: `postrider queue show in {id}` shows it, `postrider queue retry in {id}` processes it again",
            id = arrival.id
        );
        let done = self.spool.set_state(arrival.id, ArrivalState::Shunted, reason).await;
        done.map(|_| ()).map_err(Temporary::Spool)
    }

    async fn dispatch(&self, arrival: &Arrival) -> Result<Done, Failure> {
        if arrival.damaged {
            return Err(Failure::Permanent(arrival.reason.clone()));
        }
        if arrival.recipient.list_address.is_empty() {
            return forward::to_site_owner(self, arrival).await.map(|()| Done::Settled);
        }
        match arrival.recipient.function {
            Subaddress::Post => return self.post(arrival).await,
            Subaddress::Owner => forward::to_owners(self, arrival).await?,
            Subaddress::Bounces => crate::bounce::keep(&self.spool, arrival).await?,
            Subaddress::Confirm | Subaddress::Join | Subaddress::Leave | Subaddress::Request => {
                crate::request::keep(&self.spool, arrival).await?;
            }
        }
        Ok(Done::Settled)
    }

    /// The list that an arrival is for.
    pub(super) async fn list(&self, arrival: &Arrival) -> Result<List, Failure> {
        self.store.list_by_id(arrival.recipient.list).await?.ok_or_else(|| {
            Failure::Permanent(format!("the list {} was removed after this mail came", arrival.recipient.list_address))
        })
    }

    async fn post(&self, arrival: &Arrival) -> Result<Done, Failure> {
        let started = Instant::now();
        let list = self.list(arrival).await?;
        let message = self.spool.message(arrival.message).await?;
        let (facts, hops) = guarded(|| {
            let headers = Headers::parse(&message);
            (Facts::of(&headers), headers.endless_hops())
        })?;
        if let Some(hops) = hops {
            return Err(Failure::Permanent(format!("it went through {hops} mail servers (Received): a mail loop")));
        }
        let sender = arrival.sender.as_ref();
        let member = self.member_among(&list, facts.authors(sender)).await?;
        let Judgement { verdict, rule } = guarded(|| {
            let headers = Headers::parse(&message);
            rules::judge(&Examined {
                list: &list,
                headers: &headers,
                facts: &facts,
                envelope_sender: sender,
                member: member.as_ref(),
                size: message.len() as u64,
            })
        })?;
        let mut message_id = facts.message_id.clone();
        let mut recipients = 0;
        match &verdict {
            Verdict::Accept => {
                let post =
                    Accepted { list: &list, sender, message: &message, facts: &facts, received: arrival.received };
                let outgoing = post.outgoing(&self.store, &self.settings).await?;
                message_id.clone_from(&outgoing.message_id);
                recipients = outgoing.recipients.len();
                self.spool.fan_out(Some(arrival.id), vec![outgoing]).await?;
                distribute::count(&self.store, &list).await;
            }
            Verdict::Hold(reason) => self.hold(arrival, &list, &facts, &message, reason).await?,
            Verdict::Reject(reason) => {
                let notice = notice::rejection(&list, sender, &facts, reason, unix_now());
                self.spool.fan_out(Some(arrival.id), notice.into_iter().collect()).await?;
            }
            Verdict::Discard(_) => {}
        }
        info!(
            message_id,
            list = %list.address,
            verdict = verdict.as_str(),
            rule,
            reason = verdict.reason(),
            recipients,
            size = message.len(),
            ms = started.elapsed().as_millis() as u64,
            "post"
        );
        Ok(if matches!(verdict, Verdict::Discard(_)) { Done::Discarded } else { Done::Settled })
    }

    /// The first of the authors that is a member.
    async fn member_among(&self, list: &List, authors: Vec<EmailAddress>) -> Result<Option<EmailAddress>, Failure> {
        for author in authors {
            if self.store.has_role(list.id, Role::Member, &author).await? {
                return Ok(Some(author));
            }
        }
        Ok(None)
    }

    async fn hold(
        &self,
        arrival: &Arrival,
        list: &List,
        facts: &Facts,
        message: &[u8],
        reason: &str,
    ) -> Result<(), Failure> {
        let held = HeldPost {
            id: 0,
            list: list.id,
            arrival: arrival.id,
            sender: arrival.sender.clone(),
            subject: facts.subject.clone(),
            from: facts.from_text.clone(),
            reason: reason.to_owned(),
            held: unix_now(),
            size: message.len() as u64,
        };
        let id = self.store.hold(&held, message).await?;
        // A notice about a notice would never end, and delivery reports come by the thousand.
        let quiet = arrival.sender.is_none() || facts.is_submitted_by_a_program();
        let people = if quiet { Vec::new() } else { people_to_tell(&self.store, list, &self.settings).await? };
        let notices: Vec<Outgoing> = if quiet {
            info!(list = %list.address, held = id, "nobody is told of a held post that a program sent");
            Vec::new()
        } else if people.is_empty() {
            warn!(list = %list.address, held = id, "nobody can be told: no owner, no moderator, and [mailman] site_owner is not set");
            Vec::new()
        } else {
            vec![notice::held(list, &HeldPost { id, ..held }, message, people)]
        };
        // Removes the arrival with or without a notice, in one commit: told exactly once.
        Ok(self.spool.fan_out(Some(arrival.id), notices).await?)
    }
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
