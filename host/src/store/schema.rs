//! The form of the database, and how connections to it are made.
//!
//! A file is looked at before anything is written to it: one of another program, or of a newer
//! Postrider, stays as it is. Each migration runs in one transaction with its version number.
//!
//! For PostgreSQL: `AUTOINCREMENT` becomes `GENERATED ALWAYS AS IDENTITY`, `BLOB` becomes `BYTEA`,
//! `INTEGER` becomes `BIGINT`, text that is compared gets `COLLATE "C"`, and application id and
//! version go into a table of one row; `randomblob` becomes `gen_random_uuid`.

use super::error::is_busy;
use super::{Result, StoreError};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use std::path::Path;
use std::time::{Duration, Instant};

/// `PRAGMA application_id` of a store: "Prst". The spool has another one.
pub(super) const APPLICATION_ID: i64 = 0x5072_7374;

/// How long one process waits while another one writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Recipients are looked up by so many connections at a time.
const READERS: u32 = 4;

/// `PRAGMA user_version` says how many of these a file has seen. Only ever append.
pub(super) const MIGRATIONS: [&str; 4] = [
    "
CREATE TABLE domain (
    name        TEXT PRIMARY KEY NOT NULL,
    alias       TEXT UNIQUE,
    description TEXT NOT NULL
);
CREATE TABLE list (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL,
    domain      TEXT NOT NULL REFERENCES domain (name),
    list_id     TEXT NOT NULL UNIQUE,
    settings    TEXT NOT NULL,               -- JSON
    post_count  INTEGER NOT NULL DEFAULT 0,
    created     INTEGER NOT NULL,            -- Unix seconds, as all times here
    UNIQUE (domain, name)
);
-- A person's address, once, however many lists it is on.
CREATE TABLE address (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    key          TEXT NOT NULL UNIQUE,       -- the form by which addresses are compared
    text         TEXT NOT NULL,              -- as it was given
    display_name TEXT NOT NULL
);
CREATE TABLE member (
    list     INTEGER NOT NULL REFERENCES list (id) ON DELETE CASCADE,
    role     TEXT NOT NULL CHECK (role IN ('member', 'owner', 'moderator')),
    address  INTEGER NOT NULL REFERENCES address (id),
    delivery TEXT NOT NULL CHECK (delivery IN ('enabled', 'by_user', 'by_bounces', 'by_moderator')),
    PRIMARY KEY (list, role, address)
);
CREATE INDEX member_address ON member (address);
-- Posts that wait for a moderator. Arrival numbers begin anew with a new spool (and each node has
-- its own), so the digest of the message is part of what makes two of them the same.
CREATE TABLE held (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    list     INTEGER NOT NULL REFERENCES list (id) ON DELETE CASCADE,
    arrival  INTEGER NOT NULL,
    digest   TEXT NOT NULL,
    sender   TEXT,                           -- NULL: <>
    subject  TEXT NOT NULL,
    from_    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    held     INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    message  BLOB NOT NULL,
    UNIQUE (list, arrival, digest)
);
-- One row: how far the MTA's tables follow.
CREATE TABLE generation (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    wanted  INTEGER NOT NULL,
    applied INTEGER NOT NULL
);
INSERT INTO generation (id, wanted, applied) VALUES (1, 0, 0);
",
    "
-- What the wanted generation changed, and when it and the one before it came (Unix milliseconds).
ALTER TABLE generation ADD COLUMN change TEXT NOT NULL DEFAULT '';
ALTER TABLE generation ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE generation ADD COLUMN changed_before INTEGER NOT NULL DEFAULT 0;
",
    "
-- What tells the wanted generation, and the one before it, from those of the same number in other databases.
ALTER TABLE generation ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE generation ADD COLUMN name_before TEXT NOT NULL DEFAULT '';
UPDATE generation SET name = lower(hex(randomblob(16))), name_before = lower(hex(randomblob(16)));
",
    "
-- The last changes of lists and domains, each of which made a generation.
CREATE TABLE change (
    generation INTEGER PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,                -- random: databases may have generations of one number
    came       INTEGER NOT NULL,             -- Unix milliseconds
    kind       TEXT NOT NULL,                -- list, domain; empty: not known
    subject    TEXT NOT NULL,                -- posting address or name
    alias      TEXT,                         -- the domain's
    added      INTEGER NOT NULL              -- 0: it went
);
INSERT INTO change SELECT wanted, name, changed, '', '', NULL, 0 FROM generation;
ALTER TABLE generation DROP COLUMN change;
ALTER TABLE generation DROP COLUMN changed;
ALTER TABLE generation DROP COLUMN changed_before;
ALTER TABLE generation DROP COLUMN name;
ALTER TABLE generation DROP COLUMN name_before;
",
];

/// The two pools: one connection that writes (more would only wait for each other), several that read.
pub(super) async fn open(file: &Path) -> Result<(SqlitePool, SqlitePool)> {
    let sqlx = |error: sqlx::Error| StoreError::from_sqlx(file, &error);
    make_private_file(file)?;
    let plain = SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .disable_statement_logging();

    // A plain connection does not write before it is told to.
    let mut first = plain.clone().connect().await.map_err(sqlx)?;
    check(&mut first, file).await?;
    use_write_ahead_log(&mut first).await.map_err(sqlx)?;
    first.close().await.map_err(sqlx)?;

    let pool = || {
        // Local files neither time out nor break; a connection made anew would only cost.
        SqlitePoolOptions::new()
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .acquire_timeout(BUSY_TIMEOUT)
    };
    let writing = plain.clone().synchronous(SqliteSynchronous::Full);
    // After an input/output error or without room SQLite has ended the transaction by itself. sqlx does not notice,
    // its ROLLBACK fails, and nothing could be begun on this connection ever again.
    let writer = pool()
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .max_connections(1)
        .connect_with(writing)
        .await
        .map_err(sqlx)?;
    migrate(&writer, file).await?;
    let readers = pool().max_connections(READERS).min_connections(0).connect_lazy_with(plain.read_only(true));
    Ok((writer, readers))
}

/// SQLite does not wait for others in this one case: two processes that make the file at once.
async fn use_write_ahead_log(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let start = Instant::now();
    loop {
        match sqlx::query("PRAGMA journal_mode = WAL").execute(&mut *connection).await {
            Err(error) if is_busy(&error) && start.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            outcome => return outcome.map(|_| ()),
        }
    }
}

/// The journal and shared-memory files get the mode of the database from SQLite.
fn make_private_file(file: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !directory.is_dir() {
        return Err(StoreError::Database {
            file: file.display().to_string(),
            message: format!(
                "the directory {} does not exist; make it, owned by the user that postrider runs as",
                directory.display()
            ),
        });
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::from_io(file, "make it", &error)),
    }
}

async fn check(connection: &mut SqliteConnection, file: &Path) -> Result<()> {
    // One snapshot: another process may be making it at this moment.
    let mut snapshot = connection.begin().await.map_err(|error| StoreError::from_sqlx(file, &error))?;
    let found = number(&mut snapshot, "PRAGMA application_id", file).await?;
    let version = number(&mut snapshot, "PRAGMA user_version", file).await?;
    let tables = number(&mut snapshot, "SELECT count(*) FROM sqlite_schema", file).await?;
    drop(snapshot);
    let fresh = found == 0 && version == 0 && tables == 0;
    let name = || file.display().to_string();
    if !fresh && found != APPLICATION_ID {
        return Err(StoreError::Foreign { file: name(), found });
    }
    let known = MIGRATIONS.len() as i64;
    if version > known {
        return Err(StoreError::Newer { file: name(), found: version, known });
    }
    Ok(())
}

async fn migrate(writer: &SqlitePool, file: &Path) -> Result<()> {
    let sqlx = |error: sqlx::Error| StoreError::from_sqlx(file, &error);
    let mut connection = writer.acquire().await.map_err(sqlx)?;
    if number(&mut connection, "PRAGMA user_version", file).await? as usize == MIGRATIONS.len() {
        return Ok(());
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(sqlx)?;
    // Asked again: another process may have done it while we waited.
    let done = number(&mut transaction, "PRAGMA user_version", file).await? as usize;
    for (before, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        let version = before + 1;
        let sql = format!("{migration}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version};");
        // Put together from constants of this file.
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.map_err(sqlx)?;
    }
    transaction.commit().await.map_err(sqlx)
}

async fn number(connection: &mut SqliteConnection, sql: &'static str, file: &Path) -> Result<i64> {
    sqlx::query_scalar(sql).fetch_one(connection).await.map_err(|error| StoreError::from_sqlx(file, &error))
}
