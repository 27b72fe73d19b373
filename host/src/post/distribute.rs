//! An accepted post becomes one outgoing message for all recipients; where each gets a copy of his own, together with what
//! is his in it.

use super::decorate::decorate;
use super::facts::Facts;
use super::frame::{Audience, frame};
use super::process::{Failure, PostSettings, guarded};
use super::recipients;
use crate::lists::{EmailAddress, List, Personalize};
use crate::personal::own_name;
use crate::spool::{EnvelopeSender, Outgoing, Personal};
use crate::store::Store;
use std::sync::Arc;
use tracing::warn;

/// A post that may go to the members.
pub(super) struct Accepted<'a> {
    /// Its list.
    pub list: &'a List,
    /// Envelope sender; `None` for `<>`.
    pub sender: Option<&'a EmailAddress>,
    /// The message as it came.
    pub message: &'a [u8],
    /// What was read from its header.
    pub facts: &'a Facts,
    /// Unix time, in seconds, at which it came.
    pub received: i64,
}

impl Accepted<'_> {
    /// Makes the message, finds the recipients (there may be none). Changes nothing; the post is
    /// counted ([`count`]) when it is queued.
    pub(super) async fn outgoing(&self, store: &Store, settings: &PostSettings) -> Result<Outgoing, Failure> {
        let list = self.list;
        let personal = list.settings.personalize != Personalize::None;
        let members = store.post_recipients(list.id, personal).await?;
        let chosen = recipients::choose(list, members, self.facts);
        let (recipients, names): (Vec<_>, Vec<_>) =
            chosen.into_iter().map(|(address, name)| (address, own_name(&name))).unzip();
        let audience = Audience::of(recipients.iter().zip(names.iter().map(String::as_str)));
        let (post, framed) = guarded(|| {
            let mut post = decorate(list, self.sender, self.message, self.received);
            let framed = frame(list, std::mem::take(&mut post.message), audience);
            (post, framed)
        })?;
        Ok(Outgoing {
            list: Some(list.id),
            list_address: list.address.to_string(),
            message_id: post.message_id,
            sender: if personal && settings.verp_personalized_deliveries {
                EnvelopeSender::Verp(list.address.with("bounces"))
            } else {
                envelope_sender(list, settings.verp_delivery_interval, list.post_count + 1)
            },
            message: Arc::from(framed.message),
            recipients,
            personal: framed.splices.map(|splices| Personal { splices, names }),
        })
    }
}

/// Counts a post that was queued. Not before: a step that is repeated after trouble would count twice.
/// A crash in between leaves one uncounted, which is no reason to do anything.
pub(super) async fn count(store: &Store, list: &List) {
    if let Err(trouble) = store.count_post(list.id).await {
        warn!(list = %list.address, %trouble, "a post was queued but not counted");
    }
}

/// The list's `-bounces` address, or VERP: with an interval of 0 never, of n for every nth post.
fn envelope_sender(list: &List, interval: u64, count: u64) -> EnvelopeSender {
    let bounces = list.address.with("bounces");
    if interval > 0 && count.is_multiple_of(interval) {
        EnvelopeSender::Verp(bounces)
    } else {
        EnvelopeSender::Fixed(bounces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::post::testing::ants;

    #[test]
    fn verp_is_used_never_always_or_for_every_nth_post() {
        let verps = |interval| -> Vec<u64> {
            let is_verp = |count: &u64| matches!(envelope_sender(&ants(), interval, *count), EnvelopeSender::Verp(_));
            (1..=7).filter(is_verp).collect()
        };
        assert_eq!(verps(0), Vec::<u64>::new());
        assert_eq!(verps(1), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(verps(3), [3, 6]);
        assert_eq!(envelope_sender(&ants(), 0, 1), EnvelopeSender::Fixed("ants-bounces@example.com".into()));
    }
}
