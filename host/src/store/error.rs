//! What can go wrong with the store.

use std::path::Path;

/// A store operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is a list with this address.
    #[error("the list {0} exists already")]
    ListExists(String),
    /// No such list.
    #[error("there is no list {name}; {}", nearest.as_ref().map_or("`postrider lists` shows all".to_owned(), |n| format!("did you mean {n}?")))]
    ListUnknown {
        /// What was asked for.
        name: String,
        /// A list with a similar name.
        nearest: Option<String>,
    },
    /// Its addresses are too long in the domain that the MTA routes to us.
    #[error(
        "the list {address} cannot be made: LIST-unsubscribe@{alias}, with the alias of its domain, would be longer than 254 octets"
    )]
    TooLongInAlias {
        /// The new list.
        address: String,
        /// The alias of its domain.
        alias: String,
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
    #[error("the domain {domain} still has {lists} {}; remove them first with `postrider remove`", if *lists == 1 { "list" } else { "lists" })]
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
    /// An address cannot be the alias of one domain and mean another one too.
    #[error("{name} is already the name or alias of the domain {domain}; each may be used once only")]
    AliasTaken {
        /// The name or alias that is wanted.
        name: String,
        /// The domain that has it.
        domain: String,
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

/// Primary result codes of SQLite (<https://www.sqlite.org/rescode.html>).
mod code {
    pub(super) const BUSY: i64 = 5;
    pub(super) const LOCKED: i64 = 6;
    pub(super) const READONLY: i64 = 8;
    pub(super) const IOERR: i64 = 10;
    pub(super) const CORRUPT: i64 = 11;
    pub(super) const FULL: i64 = 13;
    pub(super) const CANTOPEN: i64 = 14;
    pub(super) const NOTADB: i64 = 26;
}

impl StoreError {
    pub(super) fn from_sqlx(file: &Path, error: &sqlx::Error) -> Self {
        let message = match error {
            sqlx::Error::Database(database) => {
                let hint = match primary_code(&**database) {
                    Some(code::BUSY | code::LOCKED) => {
                        "; another process has held it for too long: look for one with `fuser`"
                    }
                    Some(code::READONLY | code::CANTOPEN) => {
                        "; check owner and mode of the file, of those beside it that end in -wal and -shm, and of the directory, and \
                 whether they are read-only (`lsattr`, `mount`)"
                    }
                    Some(code::CORRUPT) => {
                        "; the file is damaged: stop postrider, then repair it with `sqlite3` (see durability.md) or restore a backup"
                    }
                    Some(code::FULL) => "; make room on its file system",
                    // Without room the shared-memory file fails as a plain input/output error.
                    Some(code::IOERR) if has_no_room(file) => {
                        ": no space left on the device; make room on its file system"
                    }
                    Some(code::IOERR) => crate::spool::FAILING_DISK,
                    // Not "move it away": with a new one, all lists would be unknown, and their mail refused.
                    Some(code::NOTADB) => {
                        "; it is no SQLite file, or damaged: stop postrider, then repair it with `sqlite3` (see durability.md) \
                         or restore a backup"
                    }
                    _ => "",
                };
                format!("{}{hint}", database.message())
            }
            sqlx::Error::PoolTimedOut => "no connection became free in time; something holds the database".into(),
            sqlx::Error::PoolClosed => "it was closed".into(),
            other => other.to_string(),
        };
        StoreError::Database { file: file.display().to_string(), message }
    }

    pub(super) fn from_io(file: &Path, doing: &str, error: &std::io::Error) -> Self {
        StoreError::Database { file: file.display().to_string(), message: format!("cannot {doing}: {error}") }
    }

    /// A number that no list has (any more).
    pub(super) fn no_list(id: i64) -> Self {
        StoreError::ListUnknown { name: format!("with the number {id}"), nearest: None }
    }
}

/// Whether another process holds the database.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(primary_code);
    matches!(code, Some(code::BUSY | code::LOCKED))
}

fn has_no_room(file: &Path) -> bool {
    rustix::fs::statvfs(file).is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) < 1 << 20)
}

/// The low octet is the primary code, the rest tells more.
fn primary_code(error: &dyn sqlx::error::DatabaseError) -> Option<i64> {
    error.code()?.parse::<i64>().ok().map(|code| code & 0xff)
}
