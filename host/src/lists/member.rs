//! Members of a list.

use super::EmailAddress;

/// What a person is to a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Receives and may send posts.
    Member,
    /// Answers for the list.
    Owner,
    /// Decides about held posts.
    Moderator,
}

/// Whether a member gets posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Gets them.
    Enabled,
    /// Asked for none for a while.
    ByUser,
    /// The address bounced too often.
    ByBounces,
    /// A moderator switched it off.
    ByModerator,
}

/// A person's membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The address, as it was given.
    pub address: EmailAddress,
    /// The display name; may be empty.
    pub display_name: String,
    /// What the person is to the list.
    pub role: Role,
    /// Whether posts are delivered.
    pub delivery: DeliveryStatus,
}

macro_rules! stored_names {
    ($type:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        impl $type {
            /// The name in the store and on the command line.
            pub fn as_str(self) -> &'static str {
                match self { $($type::$variant => $name),* }
            }
            /// The inverse of `as_str`.
            pub fn from_stored(text: &str) -> Option<Self> {
                match text { $($name => Some($type::$variant),)* _ => None }
            }
        }
    };
}
stored_names!(Role { Member = "member", Owner = "owner", Moderator = "moderator" });
stored_names!(DeliveryStatus { Enabled = "enabled", ByUser = "by_user", ByBounces = "by_bounces", ByModerator = "by_moderator" });

impl Member {
    /// Somebody with this role, without a display name, with delivery enabled.
    pub fn new(address: EmailAddress, role: Role) -> Self {
        Member { address, display_name: String::new(), role, delivery: DeliveryStatus::Enabled }
    }
}
