//! Lists, members and held posts, in an SQL database (`[database] url`).
//!
//! The only code that knows the SQL of these. Every change that an adapter must see (a list or
//! domain comes or goes) raises the *wanted generation* in the same transaction; `hookup` marks a
//! generation applied after it has published it. So an interrupted publication is always found
//! and finished.
//!
//! Promise: what a method here has returned `Ok` for is on disk (WAL, `synchronous=FULL`), all but the number of a
//! list's posts; what failed changed nothing. Several processes may use one database at the same time.
//!
//! The SQL keeps to what PostgreSQL understands too (`$1`, `ON CONFLICT`, `RETURNING`), so that it
//! can follow; what differs has a comment.

mod domains;
mod error;
mod generation;
mod held;
mod lists;
mod members;
mod prompt;
mod schema;
#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use generation::{Changes, Everything};

use crate::config::DatabaseUrl;
use crate::lists::{EmailAddress, ListAddress, Subaddress};
use generation::wanted_generation_rises;
use prompt::Prompt;
use sqlx::sqlite::SqlitePool;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The result of every store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

type Transaction = sqlx::Transaction<'static, sqlx::Sqlite>;

/// The database. Cheap to clone; clones share one pool.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    file: PathBuf,
    writer: SqlitePool,
    readers: SqlitePool,
    prompt: Prompt,
}

/// What a recipient address means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The list.
    pub list: i64,
    /// Its posting address.
    pub address: ListAddress,
    /// Which function of it.
    pub function: Subaddress,
    /// What stood behind the delimiter, case kept.
    pub detail: Option<String>,
}

/// What became of one address of [`Store::add_members`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is a member now.
    New(EmailAddress),
    /// It was one before; nothing changed.
    Already(EmailAddress),
}

/// A post that waits for a moderator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPost {
    /// Its number.
    pub id: i64,
    /// The list.
    pub list: i64,
    /// Number of the arrival in the spool it came from; the same arrival is held only once.
    pub arrival: i64,
    /// Envelope sender; `None` for `<>`.
    pub sender: Option<EmailAddress>,
    /// The Subject header, decoded, for people.
    pub subject: String,
    /// The From header, decoded, for people.
    pub from: String,
    /// Why it is held.
    pub reason: String,
    /// Unix time, in seconds.
    pub held: i64,
    /// Octets of the message.
    pub size: u64,
}

/// How far the MTA's tables follow the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Raised by every change that an adapter must see.
    pub wanted: i64,
    /// The last one that was published wholly.
    pub applied: i64,
    /// What tells the wanted one from all others, be they of another database: random hexadecimal digits.
    pub id: String,
    /// When the one before the wanted one came: Unix time, in milliseconds.
    pub changed_before: i64,
}

/// While it lives, nobody changes the store.
pub struct Frozen(Transaction);

impl Frozen {
    /// From now on changes are possible again.
    pub async fn thaw(self) {
        // Nothing was written. What cannot be taken back ends with the connection.
        let _ = self.0.rollback().await;
    }
}

impl Store {
    /// Opens the database, makes it when it does not exist (its directory must), and brings it to
    /// this version's form.
    ///
    /// # Errors
    /// When it cannot be opened, belongs to another program (SQLite's `application_id`) or to a
    /// newer Postrider. Such a file stays as it is.
    pub async fn open(url: &DatabaseUrl) -> Result<Self> {
        let DatabaseUrl::Sqlite(file) = url;
        let (writer, readers) = schema::open(file).await?;
        Ok(Store { inner: Arc::new(Inner { file: file.clone(), writer, readers, prompt: Prompt::default() }) })
    }

    /// Writes a consistent copy to a new file, while in use.
    ///
    /// # Errors
    /// When the file exists already, or cannot be written; then none is left behind.
    pub async fn backup(&self, file: &Path) -> Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let name = file.to_str().ok_or_else(|| StoreError::Database {
            file: file.display().to_string(),
            message: "the name of a copy must be UTF-8".into(),
        })?;
        // SQLite would make the file for all to read, but takes an empty one.
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
            .map_err(|error| StoreError::from_io(file, "make the copy", &error))?;
        // PostgreSQL has pg_dump instead.
        let copied = match sqlx::query("VACUUM INTO $1").bind(name).execute(&self.inner.readers).await {
            Ok(_) => sync(file).map_err(|error| StoreError::from_io(file, "sync the copy", &error)),
            Err(error) => Err(StoreError::from_sqlx(file, &error)),
        };
        if copied.is_err() {
            let _ = std::fs::remove_file(file);
        }
        copied
    }

    /// Keeps everybody, other processes too, from changing anything until it is thawed. Reading goes on.
    ///
    /// # Errors
    /// When somebody else writes for too long.
    pub async fn freeze(&self) -> Result<Frozen> {
        Ok(Frozen(self.begin().await?))
    }

    /// Ends all connections, after what they are doing.
    pub async fn close(&self) {
        // The writer last: only then does it leave no journal behind.
        self.inner.prompt.close();
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    /// A transaction that has the right to write from its start, so that it never fails half-way
    /// because of another writer.
    async fn begin(&self) -> Result<Transaction> {
        self.inner.writer.begin_with("BEGIN IMMEDIATE").await.map_err(|error| self.sqlx(&error))
    }

    async fn commit(&self, transaction: Transaction) -> Result<()> {
        transaction.commit().await.map_err(|error| self.sqlx(&error))
    }

    fn sqlx(&self, error: &sqlx::Error) -> StoreError {
        StoreError::from_sqlx(&self.inner.file, error)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("file", &self.inner.file).finish_non_exhaustive()
    }
}

/// The file and the directory that names it.
fn sync(file: &Path) -> std::io::Result<()> {
    std::fs::File::open(file)?.sync_all()?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(directory)?.sync_all()
}
