//! What can go wrong with the spool.

/// A spool operation failed; nothing was half done.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// No room on the disk.
    #[error("spool {path}: no space left on the device")]
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
    /// The spool was closed.
    #[error("the spool is closed")]
    Closed,
}
