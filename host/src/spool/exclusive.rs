//! What only the daemon does when it opens the spool.

use super::body::BodyDirectory;
use super::{Result, SpoolError};
use rusqlite::Connection;
use std::fs::File;
use std::path::Path;

/// Takes the lock that one daemon holds for its life; the system frees it at the end of the process.
pub(super) fn lock_for_daemon(spool: &Path) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = spool.join("lock");
    let failed = |error| SpoolError::from_io(&path, "lock it", &error);
    let file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(SpoolError::InUse { path: path.display().to_string() }),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// SQLite opens a file that cannot be written for reading only and says nothing; each commit would fail.
pub(super) fn must_be_writable(connection: &Connection, file: &Path) -> Result<()> {
    match connection.is_readonly("main") {
        Ok(false) => Ok(()),
        Ok(true) => Err(SpoolError::Database {
            path: file.display().to_string(),
            message: "it is read-only for the user that postrider runs as; check its owner and mode, \
                      `lsattr`, and whether its file system is mounted read-only"
                .into(),
        }),
        Err(error) => Err(SpoolError::from_sqlite(file, &error)),
    }
}

/// Removes the bodies that a crash has left without a row.
pub(super) fn remove_leftovers(connection: &Connection, bodies: &BodyDirectory) -> Result<()> {
    let is_named = |name: &str| {
        connection.query_row("SELECT EXISTS (SELECT 1 FROM body WHERE file = ?1)", [name], |row| row.get(0))
    };
    let removed = bodies.remove_leftovers(is_named)?;
    if removed > 0 {
        tracing::info!("{}: removed {removed} unfinished message(s) of an earlier run", bodies.path.display());
    }
    Ok(())
}
