//! What can go wrong with the spool.

use crate::personal::SpliceError;
use rusqlite::ErrorCode;
use std::io::ErrorKind;
use std::path::Path;

/// What to do when the system refuses to read or write what is open.
pub(crate) const FAILING_DISK: &str = "; the file or its file system is read-only, or the disk is failing: \
    check `mount`, `lsattr` and the kernel's log (`dmesg`)";

/// A spool operation failed; nothing was half done.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// No room on the disk.
    #[error("spool {path}: no space left on the device; make room on its file system")]
    DiskFull {
        /// Where.
        path: String,
    },
    /// The file is no spool of ours.
    #[error("{path} is not a Postrider spool (application id {found:#x}); choose another data_dir")]
    Foreign {
        /// The file.
        path: String,
        /// What it says it is.
        found: i64,
    },
    /// The spool was written by a newer version.
    #[error(
        "{path} was written by a newer Postrider (schema {found}, this program knows {known}); upgrade the program"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Database trouble.
    #[error("spool {path}: {message}")]
    Database {
        /// The file.
        path: String,
        /// What was said.
        message: String,
    },
    /// File trouble.
    #[error("spool {path}: {message}")]
    Io {
        /// The file.
        path: String,
        /// What was said.
        message: String,
    },
    /// The row of a large message is there, its file is not: only damage does that, or a restore of one without the other.
    #[error(
        "spool {path}: the file of this message is gone; put it back (from a backup), or give the message up with `postrider queue drop`"
    )]
    FileGone {
        /// The file.
        path: String,
    },
    /// A second daemon wants the same spool.
    #[error(
        "{path} is locked: another postrider daemon serves this data directory; stop it first, or give this one a var_dir of its own"
    )]
    InUse {
        /// The lock file.
        path: String,
    },
    /// There is no message with this number (any more).
    #[error("spool {path}: there is no message {message}; it may have been delivered or dropped meanwhile")]
    NoMessage {
        /// The file.
        path: String,
        /// The number.
        message: i64,
    },
    /// A message is in the queue, but what it says is not: only damage, or the repair of damage, does that.
    #[error(
        "the content of outgoing message {outgoing} is lost; `postrider queue drop out {outgoing}` ends it, `queue show` tells who waited for it"
    )]
    ContentLost {
        /// The number of the message.
        outgoing: i64,
    },
    /// The row of an arrival cannot be read whole.
    #[error(
        "arrival {arrival}: {reason}; `postrider queue show in {arrival}` shows the rest, `queue drop in {arrival}` gives it up"
    )]
    Damaged {
        /// Its number.
        arrival: i64,
        /// What is wrong.
        reason: String,
    },
    /// What each recipient of a message is to get of his own cannot be read.
    #[error("outgoing message {outgoing}: {error}; it waits, and `postrider queue drop out {outgoing}` gives it up")]
    Splices {
        /// The number of the message.
        outgoing: i64,
        /// What is wrong.
        error: SpliceError,
    },
    /// The spool was closed.
    #[error("the spool is closed")]
    Closed,
}

impl SpoolError {
    /// From an SQLite error about this file.
    pub(super) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let full = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => true,
            // Without room the shared-memory file and the journal fail as plain input/output errors.
            Some(ErrorCode::SystemIoFailure) => super::space::free_octets(path).is_some_and(|free| free < 1 << 20),
            _ => false,
        };
        if full {
            return SpoolError::DiskFull { path: path.display().to_string() };
        }
        let hint = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                "; it is no SQLite file, or damaged: stop postrider, then repair it with `sqlite3` (see durability.md) or \
                 restore a backup"
            }
            Some(ErrorCode::DatabaseCorrupt) => {
                "; the file is damaged: stop postrider, then repair it with `sqlite3` (see durability.md) or restore a backup"
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "; another process has held it for too long: look for one with `fuser`"
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                "; check owner and mode of the file, of those beside it that end in -wal and -shm, and of the directory, and \
                 whether they are read-only (`lsattr`, `mount`)"
            }
            Some(ErrorCode::SystemIoFailure) => FAILING_DISK,
            _ => "",
        };
        SpoolError::Database { path: path.display().to_string(), message: format!("{error}{hint}") }
    }

    /// From trouble with a file or directory.
    pub(super) fn from_io(path: &Path, doing: &str, error: &std::io::Error) -> Self {
        let path = path.display().to_string();
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => SpoolError::DiskFull { path },
            _ => SpoolError::Io { path, message: format!("cannot {doing}: {error}") },
        }
    }
}
