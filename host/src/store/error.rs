//! What can go wrong with the store.

/// A store operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is a list with this address.
    #[error("the list {0} exists already")]
    ListExists(String),
    /// No such list.
    #[error("there is no list {name}{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    ListUnknown {
        /// What was asked for.
        name: String,
        /// A list with a similar name.
        nearest: Option<String>,
    },
    /// Another list has the same list-id.
    #[error("the list-id {list_id} of {address} would be the same as that of {other}")]
    ListIdTaken {
        /// The new list.
        address: String,
        /// The list-id of both.
        list_id: String,
        /// The list that has it.
        other: String,
    },
    /// There is such a domain.
    #[error("the domain {0} exists already")]
    DomainExists(String),
    /// No such domain.
    #[error("the domain {0} does not exist; add it with `postrider domain add {0}`")]
    DomainUnknown(String),
    /// A domain with lists cannot be removed.
    #[error("the domain {domain} still has {lists} list(s); remove them first")]
    DomainHasLists {
        /// The domain.
        domain: String,
        /// How many.
        lists: u64,
    },
    /// The file is no database of ours.
    #[error("{file} is not a Postrider database (application id {found:#x}); choose another [database] url")]
    Foreign {
        /// The file.
        file: String,
        /// What it says it is.
        found: i64,
    },
    /// The database was written by a newer version.
    #[error(
        "{file} was written by a newer Postrider (schema {found}, this program knows {known}); upgrade the program"
    )]
    Newer {
        /// The file.
        file: String,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// SQL or disk trouble.
    #[error("database {file}: {message}")]
    Database {
        /// The file.
        file: String,
        /// What the database said.
        message: String,
    },
}
