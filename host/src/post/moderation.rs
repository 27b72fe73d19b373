//! A moderator decides about a held post.
//!
//! Promise: a held post is decided about once, whoever else decides at the same moment. Each decision
//! is first put into effect in the spool (the post or a notice is queued), which remembers it, and then
//! the held post is dropped from the store. A crash between these two commits leaves the post in the list
//! of those held; the next decision about it, whichever it is, then has no effect but to remove it there,
//! and says so.

use super::distribute::{self, Accepted};
use super::facts::Facts;
use super::headers::Headers;
use super::process::{Failure, Processor, Temporary, guarded};
use crate::clock::unix_now;
use crate::lists::List;
use crate::notice;
use crate::spool::Outgoing;
use crate::store::HeldPost;
use tracing::info;

/// The reason that an author is told when the moderator gives none.
const NO_REASON: &str = "a moderator of the list rejected it";

/// Why a decision had no effect; the post is held as before, if it is still there.
#[derive(Debug, thiserror::Error)]
pub enum ModerationError {
    /// There is no such post.
    #[error("no held post has the number {0}; `postrider held` lists those that wait")]
    Unknown(i64),
    /// Somebody was quicker, or an earlier attempt got further than it could tell.
    #[error("held post {0} was decided about already; this decision has no effect, and it is held no more")]
    Decided(i64),
    /// Its list is gone.
    #[error("the list of held post {0} does not exist any more; only `postrider held discard {0}` is left")]
    ListGone(i64),
    /// A database failed.
    #[error(transparent)]
    Temporary(#[from] Temporary),
    /// It cannot be done with this message.
    #[error("held post {id}: {reason}")]
    Impossible {
        /// The post.
        id: i64,
        /// Why.
        reason: String,
    },
}

/// What became of a held post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The post as it was held.
    pub post: HeldPost,
    /// How many were sent something: members the post, or the author (1) a notice.
    pub recipients: usize,
}

impl Processor {
    /// Distributes a held post.
    ///
    /// # Errors
    /// [`ModerationError`]; then it is still held.
    pub async fn accept_held(&self, id: i64) -> Result<Decided, ModerationError> {
        let (post, message, list) = self.held_with_list(id).await?;
        let fail = |failure| impossible(id, failure);
        let facts = guarded(|| Facts::of(&Headers::parse(&message))).map_err(fail)?;
        let sender = post.sender.as_ref();
        let accepted = Accepted { list: &list, sender, message: &message, facts: &facts, received: post.held };
        let outgoing = accepted.outgoing(&self.store, &self.settings).await.map_err(fail)?;
        let recipients = outgoing.recipients.len();
        let message_id = outgoing.message_id.clone();
        self.carry_out(&post, vec![outgoing]).await?;
        distribute::count(&self.store, &list).await;
        info!(message_id, list = %list.address, held = id, recipients, "held post accepted");
        Ok(Decided { post, recipients })
    }

    /// Sends a held post back, with the moderator's words or, if empty, with ours. The author is
    /// told unless the post is automatic or has no envelope sender.
    ///
    /// # Errors
    /// [`ModerationError`]; then it is still held.
    pub async fn reject_held(&self, id: i64, reason: &str) -> Result<Decided, ModerationError> {
        let (post, message, list) = self.held_with_list(id).await?;
        let facts = guarded(|| Facts::of(&Headers::parse(&message))).map_err(|failure| impossible(id, failure))?;
        let reason = if reason.trim().is_empty() { NO_REASON } else { reason };
        let notice = notice::rejection(&list, post.sender.as_ref(), &facts, reason, unix_now());
        let recipients = usize::from(notice.is_some());
        self.carry_out(&post, notice.into_iter().collect()).await?;
        info!(message_id = facts.message_id, list = %list.address, held = id, told = recipients, "held post rejected");
        Ok(Decided { post, recipients })
    }

    /// Throws a held post away.
    ///
    /// # Errors
    /// [`ModerationError`]; then it is still held.
    pub async fn discard_held(&self, id: i64) -> Result<Decided, ModerationError> {
        let (post, _) = self.held_message(id).await?;
        self.carry_out(&post, Vec::new()).await?;
        info!(list = post.list, held = id, subject = post.subject, "held post discarded");
        Ok(Decided { post, recipients: 0 })
    }

    /// The one place where a decision becomes real; then the post is no longer held.
    async fn carry_out(&self, post: &HeldPost, messages: Vec<Outgoing>) -> Result<(), ModerationError> {
        // Its number alone could be given again by a store that was restored from an older copy.
        let origin = format!("held:{}:{}:{}:{}", post.id, post.list, post.arrival, post.held);
        let first = self.spool.fan_out_once(&origin, messages).await.map_err(Temporary::Spool)?;
        self.store.drop_held(post.id).await.map_err(Temporary::Store)?;
        if first { Ok(()) } else { Err(ModerationError::Decided(post.id)) }
    }

    async fn held_message(&self, id: i64) -> Result<(HeldPost, Vec<u8>), ModerationError> {
        self.store.held_post(id).await.map_err(Temporary::Store)?.ok_or(ModerationError::Unknown(id))
    }

    async fn held_with_list(&self, id: i64) -> Result<(HeldPost, Vec<u8>, List), ModerationError> {
        let (post, message) = self.held_message(id).await?;
        let list = self.store.list_by_id(post.list).await.map_err(Temporary::Store)?;
        Ok((post, message, list.ok_or(ModerationError::ListGone(id))?))
    }
}

fn impossible(id: i64, failure: Failure) -> ModerationError {
    match failure {
        Failure::Temporary(trouble) => ModerationError::Temporary(trouble),
        Failure::Permanent(reason) => ModerationError::Impossible { id, reason },
    }
}
