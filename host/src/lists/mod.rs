//! The model: addresses, domains, lists, members, and which local part means what.
//!
//! Everything here is parsed once, at the edge, into a type that cannot be wrong. Nothing here
//! touches a disk or a network.

mod address;
mod change;
mod list;
mod member;
mod name;
mod settings;
mod subaddress;

pub use address::{AddressError, EmailAddress, Mailbox};
pub use change::{RosterChange, Subject};
pub use list::{Domain, List, ListSettings, NewList, Personalize, PostAction};
pub use member::{DeliveryStatus, Member, Role};
pub use name::{DomainName, ListAddress, ListId, ListName, NameError};
pub use settings::{LIST_SETTINGS, ListSetting, SettingError};
pub use subaddress::{SplitLocalPart, Subaddress, split_local_part};
