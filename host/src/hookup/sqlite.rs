//! A table that is an SQLite database, `map(key, value)`.
//!
//! Changed in place, in one transaction, with a rollback journal: readers see the old rows or the
//! new ones. Never WAL (a reader without write permission to the directory could not read),
//! never replaced by rename (running daemons would keep the old file and answer 550 for good).
//! A transaction that was interrupted is rolled back by the next writer.

use super::diff::RowDiff;
use super::error::HookupError;
use super::place;
use super::rows::Rows;
use postrider_plugin_api::sdk::Row;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, params};
use std::path::Path;
use std::time::Duration;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS map (key TEXT PRIMARY KEY COLLATE NOCASE, value TEXT NOT NULL)";
/// How long we wait for readers.
const PATIENCE: Duration = Duration::from_secs(20);

/// What becomes of rows that are not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwanted {
    Keep,
    Delete,
}

/// The rows of a database; none when there is no file.
pub(crate) fn read(path: &Path) -> Result<Rows, HookupError> {
    if !path.exists() {
        let mut none = Rows::new(true);
        none.index();
        return Ok(none);
    }
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| failure(path, &error))?;
    refuse_foreign(&connection, path)?;
    rows_of(&connection).map_err(|error| failure(path, &error))
}

/// Whether there is a database with a table of ours that can be read.
pub(crate) fn is_table(path: &Path) -> bool {
    path.exists()
        && open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .and_then(|connection| connection.table_exists(None, "map"))
            .unwrap_or(false)
}

/// Those rows of a database whose keys are in one of these.
pub(crate) fn read_some(path: &Path, keys: &[&Rows]) -> Result<Rows, HookupError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| failure(path, &error))?;
    refuse_foreign(&connection, path)?;
    let work = || -> rusqlite::Result<Rows> {
        let mut rows = Rows::new(true);
        let mut select = connection.prepare("SELECT key, value FROM map WHERE key = ?1")?;
        for key in keys.iter().flat_map(|keys| keys.iter()) {
            let mut found = select.query([key.key])?;
            while let Some(row) = found.next()? {
                push(&mut rows, row)?;
            }
        }
        rows.index();
        Ok(rows)
    };
    work().map_err(|error| failure(path, &error))
}

/// Changes some rows of an existing database, in one transaction, and touches no others.
pub(crate) fn change<'r>(
    path: &Path,
    puts: impl Iterator<Item = Row<'r>>,
    deletions: impl Iterator<Item = &'r str>,
) -> Result<(), HookupError> {
    let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| failure(path, &error))?;
    refuse_foreign(&connection, path)?;
    let work = |connection: &mut Connection| -> rusqlite::Result<()> {
        let transaction = begin(connection)?;
        change_rows(&transaction, puts, deletions)?;
        transaction.commit()
    };
    work(&mut connection).map_err(|error| failure(path, &error))
}

/// Makes a new database (at a temporary name). SQLite would open one that is there, through a link too; but it takes an
/// empty file.
pub(crate) fn create(path: &Path, wanted: &Rows) -> Result<(), HookupError> {
    place::write_unsynced(path, place::TABLE_MODE, |_| Ok(()))?;
    let work = || -> rusqlite::Result<()> {
        let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        write(&mut connection, wanted, Unwanted::Delete)
    };
    work().map_err(|error| failure(path, &error))
}

/// Changes an existing database to hold `wanted`; only the rows that differ are touched.
pub(crate) fn update(path: &Path, wanted: &Rows, unwanted: Unwanted) -> Result<(), HookupError> {
    let work = |connection: &mut Connection| write(connection, wanted, unwanted);
    let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| failure(path, &error))?;
    refuse_foreign(&connection, path)?;
    work(&mut connection).map_err(|error| failure(path, &error))
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// Our own databases carry an application id; a table has none.
fn refuse_foreign(connection: &Connection, path: &Path) -> Result<(), HookupError> {
    let id: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(|error| failure(path, &error))?;
    if id == 0 { Ok(()) } else { Err(HookupError::NotATable(path.to_owned())) }
}

fn write(connection: &mut Connection, wanted: &Rows, unwanted: Unwanted) -> rusqlite::Result<()> {
    let transaction = begin(connection)?;
    transaction.execute(SCHEMA, [])?;
    let present = rows_of(&transaction)?;
    let diff = RowDiff::between(&present, wanted);
    let removed = if unwanted == Unwanted::Delete { &diff.removed[..] } else { &[] };
    change_rows(
        &transaction,
        diff.added.iter().chain(&diff.changed).map(|number| wanted.row(*number)),
        removed.iter().map(|number| present.row(*number).key),
    )?;
    transaction.commit()
}

fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

fn change_rows<'r>(
    transaction: &Transaction<'_>,
    puts: impl Iterator<Item = Row<'r>>,
    deletions: impl Iterator<Item = &'r str>,
) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare("DELETE FROM map WHERE key = ?1")?;
    for key in deletions {
        delete.execute([key])?;
    }
    let mut put = transaction.prepare(
        "INSERT INTO map (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET key = excluded.key, value = excluded.value",
    )?;
    for row in puts {
        put.execute(params![row.key, row.value])?;
    }
    Ok(())
}

fn rows_of(connection: &Connection) -> rusqlite::Result<Rows> {
    let mut rows = Rows::new(true);
    if connection.table_exists(None, "map")? {
        let mut select = connection.prepare("SELECT key, value FROM map ORDER BY key")?;
        let mut found = select.query([])?;
        while let Some(row) = found.next()? {
            push(&mut rows, row)?;
        }
    }
    rows.index();
    Ok(rows)
}

fn push(rows: &mut Rows, row: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
    // What does not fit cannot be one of ours; it is seen as not there.
    if let (Ok(key), Ok(value)) = (row.get_ref(0)?.as_str(), row.get_ref(1)?.as_str()) {
        let _ = rows.push(Row::new(key, value));
    }
    Ok(())
}

fn failure(path: &Path, error: &rusqlite::Error) -> HookupError {
    let hint = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "free some space there, then run `postrider aliases`",
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            "move the file away, run `postrider aliases`, then make the MTA open the new one"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "run this as the user that owns the data directory, or correct the permissions"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds it locked; when that has ended, run `postrider aliases`"
        }
        _ => "correct that, then run `postrider aliases`",
    };
    HookupError::Sqlite { path: path.to_owned(), message: error.to_string(), hint }
}

#[cfg(test)]
mod tests {
    use super::super::testing::rows;
    use super::*;

    fn contents(path: &Path) -> Vec<String> {
        read(path).expect("read").iter().map(|r| format!("{}={}", r.key, r.value)).collect()
    }

    #[test]
    fn only_what_differs_is_changed_and_in_place() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("lists.sqlite");
        create(&path, &rows(&[("Ants", "1"), ("bees", "1"), ("gone", "1")])).expect("created");
        let inode = path.metadata().expect("file").ino();
        let reader = Connection::open(&path).expect("reader");
        let wanted = rows(&[("ants", "1"), ("bees", "2"), ("new", "1")]);
        update(&path, &wanted, Unwanted::Keep).expect("union");
        assert_eq!(contents(&path), ["ants=1", "bees=2", "gone=1", "new=1"]);
        update(&path, &wanted, Unwanted::Delete).expect("final");
        assert_eq!(contents(&path), ["ants=1", "bees=2", "new=1"]);
        assert_eq!(path.metadata().expect("file").ino(), inode);
        let found: String =
            reader.query_row("SELECT value FROM map WHERE key = 'BEES'", [], |row| row.get(0)).expect("found");
        assert_eq!(found, "2", "an open reader sees the change, whatever the case of the key");
        let mode: String = reader.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("mode");
        assert_eq!(mode, "delete");
    }

    #[test]
    fn a_new_database_is_not_made_through_a_link() {
        let dir = tempfile::tempdir().expect("directory");
        let (link, victim) = (dir.path().join("new"), dir.path().join("victim"));
        std::os::unix::fs::symlink(&victim, &link).expect("planted");
        create(&link, &rows(&[("a", "b")])).expect_err("refused");
        assert!(!victim.exists());
    }

    #[test]
    fn a_database_of_ours_or_a_text_file_is_not_written_over() {
        let dir = tempfile::tempdir().expect("directory");
        let store = dir.path().join("store");
        Connection::open(&store)
            .and_then(|c| c.execute_batch("PRAGMA application_id = 7; CREATE TABLE lists (a)"))
            .expect("made");
        assert!(matches!(update(&store, &rows(&[]), Unwanted::Delete), Err(HookupError::NotATable(_))));
        let text = dir.path().join("text");
        std::fs::write(&text, "ants@example.com lmtp:x, long enough to be no empty database\n".repeat(20))
            .expect("written");
        let error = update(&text, &rows(&[("a", "b")]), Unwanted::Delete).expect_err("no database").to_string();
        assert!(error.contains("not a database") && error.contains("move the file away"), "{error}");
        assert!(std::fs::read_to_string(&text).expect("text").starts_with("ants@"));
    }
}
