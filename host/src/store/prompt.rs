//! Questions that each message brings, answered on the spot.
//!
//! The pools of `sqlx` have a thread for each connection, and a question costs two changes of threads: more than
//! its answer, which is a walk down an index in memory. So there are a few connections more that are asked where
//! the question comes up. They never wait: when the file is locked (another process recovers it after a crash), and
//! whenever else they have no answer, the pools are asked instead.

use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many connections are kept: who asks are the LMTP server and the post pipeline, each with one thread.
const KEPT: usize = 2;

/// The connections, opened by the first question: a command may have none.
#[derive(Default)]
pub(super) struct Prompt {
    readers: Mutex<Vec<Connection>>,
    counter: Mutex<Option<Connection>>,
}

/// What they say.
pub(super) enum Answer<T> {
    /// This.
    Known(T),
    /// They have none now.
    Busy,
}

impl Prompt {
    /// Asks a question that a few pages answer.
    pub(super) fn ask<T>(&self, file: &Path, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Answer<T> {
        let idle = locked(&self.readers).pop();
        let answer = idle
            .map_or_else(|| open(file, OpenFlags::SQLITE_OPEN_READ_ONLY), Ok)
            .and_then(|db| question(&db).map(|found| (db, found)));
        match answer {
            Ok((db, found)) => {
                let mut readers = locked(&self.readers);
                if readers.len() < KEPT {
                    readers.push(db);
                }
                Answer::Known(found)
            }
            // The connection is gone with the error: a file that was replaced or mended is seen by a new one only.
            Err(error) => ask_the_pools(file, &error),
        }
    }

    /// Makes a change that need not survive a power loss: it is not synced before the next one that is.
    pub(super) fn change_lightly<T>(
        &self,
        file: &Path,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Answer<T> {
        let mut counter = locked(&self.counter);
        let answer = counter
            .take()
            .map_or_else(
                || {
                    let db = open(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
                    db.pragma_update(None, "synchronous", "NORMAL")?;
                    Ok(db)
                },
                Ok,
            )
            .and_then(|db| change(&db).map(|made| (db, made)));
        match answer {
            Ok((db, made)) => {
                *counter = Some(db);
                Answer::Known(made)
            }
            Err(error) => ask_the_pools(file, &error),
        }
    }

    /// Ends the connections; a later question opens them again.
    pub(super) fn close(&self) {
        locked(&self.readers).clear();
        *locked(&self.counter) = None;
    }
}

fn open(file: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // rusqlite would wait five seconds for another process.
    db.busy_timeout(Duration::ZERO)?;
    Ok(db)
}

/// They wait if that helps, and tell what is wrong if it does not.
fn ask_the_pools<T>(file: &Path, error: &rusqlite::Error) -> Answer<T> {
    tracing::debug!("{}: not answered on the spot: {error}", file.display());
    Answer::Busy
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
