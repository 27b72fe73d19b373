//! Domains and lists.

use super::{DomainName, ListAddress, ListId};

/// A mail domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: DomainName,
    /// What the MTA routes to us in its stead (Mailman's `alias_domain`).
    pub alias: Option<DomainName>,
    /// For people; may be empty.
    pub description: String,
}

/// What is needed to make a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewList {
    /// The posting address.
    pub address: ListAddress,
    /// Its settings.
    pub settings: ListSettings,
}

/// A mailing list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its number in the store; never used again after a removal.
    pub id: i64,
    /// The posting address.
    pub address: ListAddress,
    /// The list-id (RFC 2919).
    pub list_id: ListId,
    /// Its settings.
    pub settings: ListSettings,
    /// How many posts it has distributed; VERP's "every nth post" counts by it.
    pub post_count: u64,
    /// Unix time, in seconds, of its creation.
    pub created: i64,
}

/// The settings of a list that its owner can change.
///
/// The table in `lists/settings.rs` names each, with its explanation; `postrider set` and
/// `postrider info` go by that table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ListSettings {
    /// What people call the list, `Ants`.
    pub display_name: String,
    /// One line about the list.
    pub description: String,
    /// Put before subjects, `[Ants] ` (with its blank); empty for none.
    pub subject_prefix: String,
    /// Largest post, in KiB; 0 = no limit.
    pub max_message_size: u64,
    /// Members that are named in To or Cc get no second copy through the list.
    pub skip_addressed: bool,
    /// Non-members' posts: held, or rejected, discarded, accepted.
    pub nonmember_action: PostAction,
    /// Members' posts.
    pub member_action: PostAction,
}

/// What is done with a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PostAction {
    /// Distributed.
    Accept,
    /// Kept for a moderator.
    Hold,
    /// Sent back.
    Reject,
    /// Thrown away, with a line in the log.
    Discard,
}
