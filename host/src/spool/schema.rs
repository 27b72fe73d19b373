//! The form of `spool.db`, and how a connection to it is made.
//!
//! A file is looked at before anything is written to it: one of another program, or of a newer
//! Postrider, stays as it is. Each migration runs in one transaction with its version number.

use super::{Result, SpoolError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::path::Path;
use std::time::{Duration, Instant};

/// `PRAGMA application_id` of a spool: "Prsp".
pub(super) const APPLICATION_ID: i64 = 0x5072_7370;

/// How long one process waits while another one writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// `PRAGMA user_version` says how many of these a file has seen. Only ever append.
///
/// Rows refer to each other without `REFERENCES`: every deletion is in `commands.rs`, and checking
/// 100,000 recipients of a post one by one would be paid for nothing.
pub(super) const MIGRATIONS: [&str; 2] = [
    "
-- The octets of a message, apart from the rows that change while it waits.
CREATE TABLE body (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    size     INTEGER NOT NULL,
    file     TEXT,                      -- name in spool/bodies/, for large ones; else:
    data     BLOB,
    CHECK ((file IS NULL) <> (data IS NULL))
);
CREATE UNIQUE INDEX body_file ON body (file) WHERE file IS NOT NULL;
-- Mail that came in: one row for each list function that a message is for.
CREATE TABLE arrival (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    message      INTEGER NOT NULL,      -- body.id
    sender       TEXT,                  -- NULL: <>
    list         INTEGER NOT NULL,
    list_address TEXT NOT NULL,
    function     TEXT NOT NULL,
    recipient    TEXT NOT NULL,
    detail       TEXT,
    state        TEXT NOT NULL CHECK (state IN ('new', 'kept', 'shunted')),
    reason       TEXT NOT NULL,
    received     INTEGER NOT NULL       -- Unix seconds, as all times here
);
CREATE INDEX arrival_state ON arrival (state, id);
CREATE INDEX arrival_message ON arrival (message);
-- Mail that goes out.
CREATE TABLE outgoing (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    body         INTEGER NOT NULL,
    list         INTEGER,
    list_address TEXT NOT NULL,
    message_id   TEXT NOT NULL,
    sender_kind  TEXT NOT NULL CHECK (sender_kind IN ('null', 'fixed', 'verp')),
    sender       TEXT NOT NULL,
    queued       INTEGER NOT NULL,
    done         INTEGER NOT NULL DEFAULT 0,
    next_try     INTEGER NOT NULL DEFAULT 0,  -- the least of its recipients'
    last_reply   TEXT NOT NULL DEFAULT ''
);
CREATE INDEX outgoing_due ON outgoing (next_try);
-- Who still has to get it; a row goes when its recipient is done.
CREATE TABLE recipient (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    outgoing  INTEGER NOT NULL,
    address   TEXT NOT NULL,
    attempts  INTEGER NOT NULL DEFAULT 0,
    next_try  INTEGER NOT NULL DEFAULT 0,     -- 0: at once
    reply     TEXT NOT NULL DEFAULT ''
);
CREATE INDEX recipient_due ON recipient (outgoing, next_try);
-- Steps whose cause is in another database, so that none is taken twice; forgotten after some time.
CREATE TABLE origin (
    name TEXT PRIMARY KEY,
    time INTEGER NOT NULL
) WITHOUT ROWID;
-- Permanent failures.
CREATE TABLE bounce_event (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    list         INTEGER,
    list_address TEXT NOT NULL,
    recipient    TEXT NOT NULL,
    reply        TEXT NOT NULL,
    message_id   TEXT NOT NULL,
    time         INTEGER NOT NULL
);
",
    "
-- Where each recipient's own text goes (JSON); NULL: all get the same.
ALTER TABLE outgoing ADD COLUMN splices TEXT;
-- The recipient's name, where it is needed for that.
ALTER TABLE recipient ADD COLUMN name TEXT NOT NULL DEFAULT '';
",
];

/// Opens the file for writing; makes it, or brings it to this version's form. `before_making` is called when it is
/// empty or not there, while no other process can write to it.
pub(super) fn open_writer(file: &Path, before_making: impl FnOnce() -> Result<()>) -> Result<Connection> {
    let sqlite = |error: rusqlite::Error| SpoolError::from_sqlite(file, &error);
    make_private_file(file)?;
    let mut connection = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(sqlite)?;
    let fresh = check(&connection, file)?;
    if fresh {
        // Both must come before the first table; neither works inside a transaction.
        connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL").map_err(sqlite)?;
    }
    use_write_ahead_log(&connection).map_err(sqlite)?;
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = {}; PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;
             PRAGMA cache_size = -16384;",
            synchronous()
        ))
        .map_err(sqlite)?;
    migrate(&mut connection, file, before_making)?;
    rusqlite::vtab::array::load_module(&connection).map_err(sqlite)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// How SQLite syncs. FULL: the log at each commit, and so the directory in which it was made. Of a debug build the
/// power-loss test can want less, to show that it would find what is lost then.
fn synchronous() -> &'static str {
    #[cfg(debug_assertions)]
    for less in ["OFF", "NORMAL"] {
        if std::env::var_os("POSTRIDER_TEST_SYNCHRONOUS").is_some_and(|value| value == less) {
            return less;
        }
    }
    "FULL"
}

/// SQLite does not wait for others in this one case: two processes that make the file at once.
fn use_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match connection.execute_batch("PRAGMA journal_mode = WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && start.elapsed() < BUSY_TIMEOUT =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

/// Opens the file for reading only.
pub(super) fn open_reader(file: &Path) -> Result<Connection> {
    let open = || {
        let connection = connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| SpoolError::from_sqlite(file, &error))
}

/// Each connection is used by one thread at a time; a data directory may have `?` in its name.
fn connect(file: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // A plan is made once, and not anew for each value of a LIMIT.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// The journal and shared-memory files get the mode of the database from SQLite.
fn make_private_file(file: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(SpoolError::from_io(file, "make it", &error)),
    }
}

/// Whose file it is. `true`: nobody's yet.
fn check(connection: &Connection, file: &Path) -> Result<bool> {
    // One snapshot: another process may be making it at this moment.
    let snapshot = connection.unchecked_transaction().map_err(|error| SpoolError::from_sqlite(file, &error))?;
    let number = |sql: &str| {
        snapshot.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|error| SpoolError::from_sqlite(file, &error))
    };
    let found = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let fresh = found == 0 && version == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0;
    let path = || file.display().to_string();
    if !fresh && found != APPLICATION_ID {
        return Err(SpoolError::Foreign { path: path(), found });
    }
    let known = MIGRATIONS.len() as i64;
    if version > known {
        return Err(SpoolError::Newer { path: path(), found: version, known });
    }
    Ok(fresh)
}

fn migrate(connection: &mut Connection, file: &Path, before_making: impl FnOnce() -> Result<()>) -> Result<()> {
    let sqlite = |error: rusqlite::Error| SpoolError::from_sqlite(file, &error);
    let version = |connection: &Connection| {
        connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0)).map_err(sqlite)
    };
    if version(connection)? as usize == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    // Asked again: another process may have done it while we waited.
    let found = version(&transaction)? as usize;
    if found == 0 {
        before_making()?;
    }
    for (done, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        transaction
            .execute_batch(&format!(
                "{migration}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {};",
                done + 1
            ))
            .map_err(sqlite)?;
    }
    transaction.commit().map_err(sqlite)
}
