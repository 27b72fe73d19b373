//! What a recipient address means: asked at every RCPT, so it is answered on the spot.
//!
//! The pools of `sqlx` have a thread for each connection, and a question costs two changes of threads: more than
//! its answer, which is a walk down two indexes in memory. So there is one connection more that is asked where
//! the question comes up. It never waits: when the file is locked (another process recovers it after a crash) the
//! pools are asked instead.

use super::{Result, StoreError};
use crate::lists::ListAddress;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The list of the longest name among two, in a domain or its alias.
pub(super) const FIND: &str = "SELECT id, name, domain FROM list WHERE name IN ($1, $2)
    AND domain IN (SELECT d.name FROM domain d WHERE d.name = $3 OR d.alias = $3)
    ORDER BY length(name) DESC LIMIT 1";

/// The connection.
pub(super) struct Routes {
    connection: Mutex<Option<Connection>>,
}

/// What it says.
pub(super) enum Answer {
    /// The list, or that there is none.
    Known(Option<(i64, ListAddress)>),
    /// It would have to wait.
    Busy,
}

impl Routes {
    /// Opened by the first question: a command may have none.
    pub(super) fn new() -> Self {
        Routes { connection: Mutex::new(None) }
    }

    /// Looks for a list with one of these names.
    pub(super) fn find(&self, file: &Path, name: &str, shorter: Option<&str>, domain: &str) -> Result<Answer> {
        let mut connection = self.lock();
        let outcome = ask(&mut connection, file, name, shorter, domain);
        match outcome {
            Ok(None) => Ok(Answer::Known(None)),
            Ok(Some((id, name, domain))) => match ListAddress::parse(&format!("{name}@{domain}")) {
                Ok(address) => Ok(Answer::Known(Some((id, address)))),
                Err(error) => Err(failed(file, &format!("the list number {id}: {error}"))),
            },
            Err(error)
                if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) =>
            {
                Ok(Answer::Busy)
            }
            Err(error) => {
                // A file that was replaced or mended is seen by a new connection only.
                *connection = None;
                Err(failed(file, &error.to_string()))
            }
        }
    }

    /// Ends the connection; a later question opens it again.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask(
    connection: &mut Option<Connection>,
    file: &Path,
    name: &str,
    shorter: Option<&str>,
    domain: &str,
) -> rusqlite::Result<Option<(i64, String, String)>> {
    let db = if let Some(db) = connection {
        db
    } else {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(file, flags)?;
        // rusqlite would wait five seconds for another process.
        db.busy_timeout(Duration::ZERO)?;
        connection.insert(db)
    };
    db.prepare_cached(FIND)?
        .query_row(params![name, shorter, domain], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
}

fn failed(file: &Path, message: &str) -> StoreError {
    StoreError::Database { file: file.display().to_string(), message: message.to_owned() }
}
