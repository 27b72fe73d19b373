//! Lists, members and held posts, in an SQL database (`[database] url`).
//!
//! The only code that knows the SQL of these. Every change that an adapter must see (a list or
//! domain comes or goes) raises the *wanted generation* in the same transaction; `hookup` marks a
//! generation applied after it has published it. So an interrupted publication is always found
//! and finished.

mod error;

pub use error::StoreError;

use crate::config::DatabaseUrl;
use crate::lists::{
    Domain, DomainName, EmailAddress, List, ListAddress, ListSettings, Member, NewList, Role, Subaddress,
};

/// The result of every store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The database. Cheap to clone; clones share one pool.
#[derive(Clone)]
pub struct Store {}

/// What a recipient address means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The list.
    pub list: i64,
    /// Its posting address.
    pub address: ListAddress,
    /// Which function of it.
    pub function: Subaddress,
    /// What stood behind the delimiter, case kept.
    pub detail: Option<String>,
}

/// What became of one address of [`Store::add_members`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is a member now.
    New(EmailAddress),
    /// It was one before; nothing changed.
    Already(EmailAddress),
}

/// A post that waits for a moderator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPost {
    /// Its number.
    pub id: i64,
    /// The list.
    pub list: i64,
    /// Number of the arrival in the spool it came from; the same arrival is held only once.
    pub arrival: i64,
    /// Envelope sender; `None` for `<>`.
    pub sender: Option<EmailAddress>,
    /// The Subject header, decoded, for people.
    pub subject: String,
    /// The From header, decoded, for people.
    pub from: String,
    /// Why it is held.
    pub reason: String,
    /// Unix time, in seconds.
    pub held: i64,
    /// Octets of the message.
    pub size: u64,
}

/// How far the MTA's tables follow the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Raised by every change that an adapter must see.
    pub wanted: i64,
    /// The last one that was published wholly.
    pub applied: i64,
}

impl Store {
    /// Opens the database, makes it when it does not exist, and brings it to this version's form.
    ///
    /// # Errors
    /// When it cannot be opened, belongs to another program (SQLite's `application_id`) or to a
    /// newer Postrider.
    pub async fn open(_url: &DatabaseUrl) -> Result<Self> {
        todo!()
    }

    /// Writes a consistent copy to a new file, while in use.
    pub async fn backup(&self, _file: &std::path::Path) -> Result<()> {
        todo!()
    }

    /// Adds a domain. Raises the wanted generation.
    pub async fn add_domain(&self, _domain: &Domain) -> Result<()> {
        todo!()
    }

    /// Removes a domain that has no lists. Raises the wanted generation.
    pub async fn remove_domain(&self, _name: &DomainName) -> Result<()> {
        todo!()
    }

    /// All domains, sorted by name.
    pub async fn domains(&self) -> Result<Vec<Domain>> {
        todo!()
    }

    /// The domain with this name.
    pub async fn domain(&self, _name: &DomainName) -> Result<Option<Domain>> {
        todo!()
    }

    /// Makes a list, and its domain too if `add_domain`. Raises the wanted generation.
    ///
    /// # Errors
    /// `ListExists`, `DomainUnknown`, `ListIdTaken` (`a.b@c` and `a@b.c` would share one).
    pub async fn create_list(&self, _new: &NewList, _add_domain: bool) -> Result<List> {
        todo!()
    }

    /// Removes a list with its members and held posts. Raises the wanted generation.
    pub async fn remove_list(&self, _id: i64) -> Result<()> {
        todo!()
    }

    /// All lists (of a domain), sorted by domain and then by name.
    pub async fn lists(&self, _domain: Option<&DomainName>) -> Result<Vec<List>> {
        todo!()
    }

    /// The list with this posting address (its domain may be given by its alias).
    pub async fn list(&self, _address: &ListAddress) -> Result<Option<List>> {
        todo!()
    }

    /// The list that a person names: a posting address or a list-id.
    ///
    /// # Errors
    /// `ListUnknown`, with the nearest existing name if one is near.
    pub async fn find_list(&self, _name: &str) -> Result<List> {
        todo!()
    }

    /// The list with this number.
    pub async fn list_by_id(&self, _id: i64) -> Result<Option<List>> {
        todo!()
    }

    /// Replaces the settings of a list.
    pub async fn set_list_settings(&self, _id: i64, _settings: &ListSettings) -> Result<()> {
        todo!()
    }

    /// Counts a post; returns the new count.
    pub async fn count_post(&self, _list: i64) -> Result<u64> {
        todo!()
    }

    /// What an envelope recipient means: list, function and detail; `None` if nothing here.
    ///
    /// The longest list name wins: a list really called `foo-request` before `-request` of `foo`.
    /// The domain may be a list domain or its alias.
    pub async fn resolve(&self, _recipient: &EmailAddress, _delimiter: &str) -> Result<Option<Route>> {
        todo!()
    }

    /// Adds members in one transaction; the answer is in the order of `members`.
    pub async fn add_members(&self, _list: i64, _members: &[Member]) -> Result<Vec<Added>> {
        todo!()
    }

    /// Removes memberships of one role; returns those addresses that had none.
    pub async fn remove_members(
        &self,
        _list: i64,
        _role: Role,
        _addresses: &[EmailAddress],
    ) -> Result<Vec<EmailAddress>> {
        todo!()
    }

    /// Members (of one role), sorted by address.
    pub async fn members(&self, _list: i64, _role: Option<Role>) -> Result<Vec<Member>> {
        todo!()
    }

    /// The membership of one address.
    pub async fn member(&self, _list: i64, _role: Role, _address: &EmailAddress) -> Result<Option<Member>> {
        todo!()
    }

    /// The addresses that a post goes to: members with delivery enabled, sorted.
    pub async fn post_recipients(&self, _list: i64) -> Result<Vec<EmailAddress>> {
        todo!()
    }

    /// Keeps a post for a moderator, with its message. Holding the same arrival again changes
    /// nothing and returns the number it has. `post.id` is ignored.
    pub async fn hold(&self, _post: &HeldPost, _message: &[u8]) -> Result<i64> {
        todo!()
    }

    /// Held posts (of a list), oldest first.
    pub async fn held(&self, _list: Option<i64>) -> Result<Vec<HeldPost>> {
        todo!()
    }

    /// One held post and its message.
    pub async fn held_post(&self, _id: i64) -> Result<Option<(HeldPost, Vec<u8>)>> {
        todo!()
    }

    /// Forgets a held post, after it was accepted, rejected or discarded.
    pub async fn drop_held(&self, _id: i64) -> Result<()> {
        todo!()
    }

    /// How far the MTA's tables follow.
    pub async fn generation(&self) -> Result<Generation> {
        todo!()
    }

    /// Marks a generation as published. A lower one than the last is ignored.
    pub async fn mark_applied(&self, _generation: i64) -> Result<()> {
        todo!()
    }
}
