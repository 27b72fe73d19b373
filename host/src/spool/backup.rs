//! A consistent copy of the spool, taken while it is in use.
//!
//! The database is copied from one snapshot; then the body files that this copy names. None of
//! them can vanish in between, because a lock keeps every process from removing files meanwhile.

use super::body::BodyDirectory;
use super::{DATABASE, DIRECTORY, Result, SpoolError};
use rusqlite::Connection;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Writes the copy into `target`, which is made, or must be empty. A copy that could not be
/// finished is not left behind. `database_copied` is called when it is clear of which moment the copy is.
pub(super) fn backup(
    connection: &Connection,
    bodies: &BodyDirectory,
    target: &Path,
    database_copied: impl FnOnce(),
) -> Result<()> {
    let io = |error| SpoolError::from_io(target, "write the copy", &error);
    let existed = target.exists();
    if !existed {
        std::fs::DirBuilder::new().mode(0o700).create(target).map_err(io)?;
    } else if std::fs::read_dir(target).map_err(io)?.next().is_some() {
        return Err(SpoolError::Io {
            path: target.display().to_string(),
            message: "the directory for the copy is not empty; name one that does not exist".into(),
        });
    }
    let outcome = copy(connection, bodies, target, database_copied);
    if outcome.is_err() {
        let _ = std::fs::remove_file(target.join(DATABASE));
        let _ = std::fs::remove_dir_all(target.join(DIRECTORY));
        if !existed {
            let _ = std::fs::remove_dir(target);
        }
    }
    outcome
}

fn copy(connection: &Connection, bodies: &BodyDirectory, target: &Path, database_copied: impl FnOnce()) -> Result<()> {
    let io = |error| SpoolError::from_io(target, "write the copy", &error);
    let file = target.join(DATABASE);
    let sqlite = |error: rusqlite::Error| SpoolError::from_sqlite(&file, &error);
    let name = file.to_str().ok_or_else(|| SpoolError::Io {
        path: target.display().to_string(),
        message: "the name of the directory for the copy is no UTF-8".into(),
    })?;

    let _lock = bodies.keep_all()?;
    // SQLite would make the file for all to read, but takes an empty one.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).map_err(io)?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(sqlite)?;
    database_copied();
    File::open(&file).and_then(|file| file.sync_all()).map_err(io)?;

    let copied = BodyDirectory::open(&target.join(DIRECTORY))?;
    let names: Vec<String> = Connection::open(&file)
        .and_then(|copy| {
            copy.prepare("SELECT file FROM body WHERE file IS NOT NULL")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()
        })
        .map_err(sqlite)?;
    for name in names {
        let to = copied.path.join(&name);
        std::fs::copy(bodies.path.join(&name), &to).and_then(|_| File::open(&to)?.sync_all()).map_err(io)?;
    }
    for directory in [&copied.path, &target.join(DIRECTORY), target] {
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)?;
    }
    Ok(())
}
