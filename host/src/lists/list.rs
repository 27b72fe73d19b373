//! Domains and lists.

use serde::{Deserialize, Serialize};

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
/// `postrider info` go by that table. The store keeps it as JSON: a key that an older version did
/// not write takes its default, a key that a newer one wrote is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListSettings {
    /// What people call the list, `Ants`.
    pub display_name: String,
    /// One line about the list.
    pub description: String,
    /// Put before subjects, `[Ants] ` (with its blank); empty for none.
    pub subject_prefix: String,
    /// Put before the text of each post: a [`Template`](crate::personal::Template); empty for none.
    pub header: String,
    /// Put behind it.
    pub footer: String,
    /// Whether each member gets a copy of his own.
    pub personalize: Personalize,
    /// Largest post, in KiB; 0 = no limit.
    pub max_message_size: u64,
    /// Members that are named in To or Cc get no second copy through the list.
    pub skip_addressed: bool,
    /// Non-members' posts: held, or rejected, discarded, accepted.
    pub nonmember_action: PostAction,
    /// Members' posts.
    pub member_action: PostAction,
}

impl Default for ListSettings {
    /// Mailman's defaults, without what depends on the list's name.
    fn default() -> Self {
        ListSettings {
            display_name: String::new(),
            description: String::new(),
            subject_prefix: String::new(),
            header: String::new(),
            footer: String::new(),
            personalize: Personalize::None,
            max_message_size: 40,
            skip_addressed: false,
            nonmember_action: PostAction::Hold,
            member_action: PostAction::Accept,
        }
    }
}

/// Whether each member gets a copy of a post of his own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Personalize {
    /// The same for all.
    None,
    /// In which the variables of header and footer are his.
    Individual,
    /// In which To: names him too.
    Full,
}

impl Personalize {
    /// All, in the order in which they are offered.
    pub const ALL: [Personalize; 3] = [Personalize::None, Personalize::Individual, Personalize::Full];

    /// The name in the store, in `postrider set` and in `postrider info`.
    pub fn as_str(self) -> &'static str {
        match self {
            Personalize::None => "none",
            Personalize::Individual => "individual",
            Personalize::Full => "full",
        }
    }

    /// The inverse of [`Personalize::as_str`]; upper case is taken too.
    pub fn parse(text: &str) -> Option<Self> {
        Personalize::ALL.into_iter().find(|one| one.as_str().eq_ignore_ascii_case(text))
    }
}

/// What is done with a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

impl PostAction {
    /// Every action, in the order in which they are offered.
    pub const ALL: [PostAction; 4] = [PostAction::Accept, PostAction::Hold, PostAction::Reject, PostAction::Discard];

    /// The name in the store, in `postrider set` and in `postrider info`.
    pub fn as_str(self) -> &'static str {
        match self {
            PostAction::Accept => "accept",
            PostAction::Hold => "hold",
            PostAction::Reject => "reject",
            PostAction::Discard => "discard",
        }
    }

    /// The inverse of [`PostAction::as_str`]; upper case is taken too.
    pub fn parse(text: &str) -> Option<Self> {
        PostAction::ALL.into_iter().find(|action| action.as_str().eq_ignore_ascii_case(text))
    }
}
