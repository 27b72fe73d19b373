//! The octets of messages: small ones in memory and in the database, large ones in files.
//!
//! A file is written under a temporary name, synced and renamed, and its directory synced, before
//! the row that names it is committed. Its writer holds a lock (flock) on it until then, so that a
//! daemon that starts meanwhile does not take it for a leftover. Files never change.

use super::{Result, SpoolError};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Up to so many octets a body is kept in the database.
pub const MAX_INLINE: usize = 256 * 1024;

/// The octets of a message on their way into the spool: small ones in memory, large ones already
/// in a (synced, unnamed to others) file under `spool/bodies/`, made by
/// [`Spool::body_writer`](super::Spool::body_writer).
#[derive(Clone, Debug)]
pub enum Body {
    /// In memory.
    Memory(Arc<[u8]>),
    /// In a file of the spool.
    File(StagedBody),
}

impl Body {
    /// Octets.
    pub fn len(&self) -> u64 {
        match self {
            Body::Memory(bytes) => bytes.len() as u64,
            Body::File(staged) => staged.inner.size,
        }
    }

    /// Whether it has no octets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same body, in a file if it is large. Writes: not for an async thread.
    pub(super) fn settled(self, directory: &Arc<BodyDirectory>) -> Result<Self> {
        match self {
            Body::Memory(bytes) if bytes.len() > MAX_INLINE => {
                let mut file = TemporaryFile::create(directory)?;
                file.append(&bytes)?;
                file.finish().map(Body::File)
            }
            other => Ok(other),
        }
    }
}

/// A large body that was written under `spool/bodies/` and synced; removed again when dropped
/// without having been accepted.
#[derive(Clone, Debug)]
pub struct StagedBody {
    inner: Arc<Staged>,
}

#[derive(Debug)]
struct Staged {
    path: PathBuf,
    name: String,
    size: u64,
    accepted: AtomicBool,
    /// Carries the lock.
    _file: File,
}

impl StagedBody {
    pub(super) fn name(&self) -> &str {
        &self.inner.name
    }

    /// A committed row names the file from now on.
    pub(super) fn accepted(&self) {
        self.inner.accepted.store(true, Ordering::Release);
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.accepted.load(Ordering::Acquire) {
            // What cannot be removed now is found when the daemon starts next.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Collects a body of unknown length: in memory up to 256 KiB, from there in a file.
#[derive(Debug)]
pub struct BodyWriter {
    directory: Arc<BodyDirectory>,
    /// What is not in the file yet.
    buffer: Vec<u8>,
    file: Option<TemporaryFile>,
    len: u64,
    /// A part could not be written, or the future that wrote it was dropped.
    broken: bool,
}

impl BodyWriter {
    pub(super) fn new(directory: Arc<BodyDirectory>) -> Self {
        BodyWriter { directory, buffer: Vec::new(), file: None, len: 0, broken: false }
    }

    /// Appends.
    ///
    /// # Errors
    /// [`SpoolError::DiskFull`] and others; the body cannot be finished then.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.len += bytes.len() as u64;
        if self.buffer.len() > MAX_INLINE { self.flush().await } else { Ok(()) }
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Syncs a file, returns the body.
    ///
    /// # Errors
    /// [`SpoolError::DiskFull`] and others; nothing is kept then.
    pub async fn finish(mut self) -> Result<Body> {
        if self.file.is_some() || self.broken {
            self.flush().await?;
        }
        match self.file.take() {
            Some(file) => blocking(move || file.finish().map(Body::File)).await,
            None => Ok(Body::Memory(self.buffer.into())),
        }
    }

    async fn flush(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(SpoolError::Io {
                path: self.directory.path.display().to_string(),
                message: "an earlier part of this message could not be written".into(),
            });
        }
        let (buffer, file) = (std::mem::take(&mut self.buffer), self.file.take());
        let directory = self.directory.clone();
        let (file, buffer) = blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => TemporaryFile::create(&directory)?,
            };
            file.append(&buffer)?;
            Ok((file, buffer))
        })
        .await?;
        self.file = Some(file);
        self.buffer = buffer;
        self.buffer.clear();
        self.broken = false;
        Ok(())
    }
}

/// Runs what may block on the disk beside the async threads.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is ending.
            Err(_) => Err(SpoolError::Closed),
        },
    }
}

/// A body file that is being written. Removed when dropped unfinished.
#[derive(Debug)]
struct TemporaryFile {
    directory: Arc<BodyDirectory>,
    stem: String,
    path: PathBuf,
    file: Option<File>,
    size: u64,
}

impl TemporaryFile {
    fn create(directory: &Arc<BodyDirectory>) -> Result<Self> {
        loop {
            let stem = format!("{:032x}", rand::random::<u128>());
            let path = directory.path.join(format!("{stem}.tmp"));
            let failed = |error| SpoolError::from_io(&path, "write a message", &error);
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
            file.lock().map_err(failed)?;
            // A daemon that cleans up may have been quicker than our lock.
            if file.metadata().map_err(failed)?.nlink() > 0 {
                return Ok(TemporaryFile { directory: directory.clone(), stem, path, file: Some(file), size: 0 });
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(bytes).map_err(|error| SpoolError::from_io(&self.path, "write a message", &error))?;
            self.size += bytes.len() as u64;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<StagedBody> {
        let failed = |path: &Path, error| SpoolError::from_io(path, "sync a message", &error);
        let Some(file) = self.file.take() else { return Err(SpoolError::Closed) };
        let path = self.directory.path.join(&self.stem);
        let sync = || {
            file.sync_all()?;
            std::fs::rename(&self.path, &path)?;
            File::open(&self.directory.path)?.sync_all()
        };
        if let Err(error) = sync() {
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::remove_file(&self.path);
            return Err(failed(&path, error));
        }
        let name = std::mem::take(&mut self.stem);
        Ok(StagedBody {
            inner: Arc::new(Staged { path, name, size: self.size, accepted: AtomicBool::new(false), _file: file }),
        })
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes a directory if it is not there, and then syncs its name.
fn make_directory(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |error| SpoolError::from_io(directory, "make the directory", &error);
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => sync_name(directory).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Syncs the directory in which this one is.
fn sync_name(directory: &Path) -> std::io::Result<()> {
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// `spool/bodies/`, and the lock by which a backup in any process keeps files from being removed.
#[derive(Debug)]
pub(super) struct BodyDirectory {
    pub(super) path: PathBuf,
    lock_path: PathBuf,
}

impl BodyDirectory {
    /// Makes `spool/bodies/` below the data directory if it is not there, and then syncs the names of
    /// both directories: a body is synced with its own directory only, and after a power loss a file
    /// system need not know a directory whose name was not.
    pub(super) fn open(spool: &Path) -> Result<Self> {
        let path = spool.join("bodies");
        make_directory(spool)?;
        make_directory(&path)?;
        Ok(BodyDirectory { path, lock_path: spool.join("bodies.lock") })
    }

    /// Syncs the names of both directories, whoever made them: a process may have been killed just before it could.
    pub(super) fn sync_names(&self) -> Result<()> {
        let mut directories = self.path.ancestors().take(2);
        directories.try_for_each(sync_name).map_err(|error| SpoolError::from_io(&self.path, "sync its name", &error))
    }

    pub(super) fn read(&self, name: &str) -> Result<Arc<[u8]>> {
        let path = self.path.join(name);
        std::fs::read(&path).map(Arc::from).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => SpoolError::FileGone { path: path.display().to_string() },
            std::io::ErrorKind::PermissionDenied => SpoolError::Io {
                path: path.display().to_string(),
                message: format!("cannot read a message: {error}; check owner and mode of the file and its directory"),
            },
            _ => SpoolError::from_io(&path, "read a message", &error),
        })
    }

    /// The database is new: messages that are here already belong to one that is gone. They are not
    /// leftovers, perhaps nobody else has them; so they are moved to `spool/orphans/`, for people.
    pub(super) fn set_aside(&self, database: &Path) -> Result<()> {
        let orphans = self.path.with_file_name("orphans");
        let failed = |error| SpoolError::from_io(&orphans, "set messages of an earlier database aside", &error);
        let mut moved = 0;
        for entry in std::fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_whole = entry.path().extension().is_none() && entry.file_type().is_ok_and(|kind| kind.is_file());
            // Who has it locked is just bringing it, for the new database.
            if !is_whole || File::open(entry.path()).and_then(|file| Ok(file.try_lock()?)).is_err() {
                continue;
            }
            if moved == 0 {
                make_directory(&orphans)?;
            }
            std::fs::rename(entry.path(), orphans.join(entry.file_name())).map_err(failed)?;
            moved += 1;
        }
        if moved > 0 {
            for directory in [&orphans, &self.path] {
                File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
            }
            tracing::warn!(
                "{} was made anew, but {moved} large message(s) of an earlier one lay in {}; they are in {} now: to get \
                 the old queue back, stop postrider and restore the database and these files together; else look at \
                 them, hand in again what was not delivered (`postrider inject`), and remove them",
                database.display(),
                self.path.display(),
                orphans.display(),
            );
        }
        Ok(())
    }

    fn lock_file(&self) -> std::io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.lock_path)
    }

    /// While the answer lives no file is removed, by whatever process.
    pub(super) fn keep_all(&self) -> Result<File> {
        let lock = || {
            let file = self.lock_file()?;
            file.lock_shared()?;
            Ok(file)
        };
        lock().map_err(|error| SpoolError::from_io(&self.lock_path, "lock it", &error))
    }

    /// Removes files that no row names any more. What cannot be removed now (a backup runs) stays
    /// in the vector for the next time, or for the next start.
    pub(super) fn remove(&self, names: &mut Vec<String>) {
        if names.is_empty() {
            return;
        }
        let Ok(lock) = self.lock_file() else { return };
        if lock.try_lock().is_err() {
            return;
        }
        for name in names.drain(..) {
            if let Err(error) = std::fs::remove_file(self.path.join(&name)) {
                tracing::warn!("cannot remove the delivered message {}: {error}", self.path.join(&name).display());
            }
        }
    }

    /// Removes every file for which `is_named` says no. Returns how many.
    pub(super) fn remove_leftovers(&self, is_named: impl Fn(&str) -> rusqlite::Result<bool>) -> Result<u64> {
        let failed = |error| SpoolError::from_io(&self.path, "look for leftovers", &error);
        let _lock = match self.lock_file().map_err(failed)? {
            lock if lock.try_lock().is_ok() => lock,
            // A backup runs; the next start will do.
            _ => return Ok(0),
        };
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            // Who still writes it holds its lock until its row is committed; so the rows are
            // asked after the lock.
            let Ok(file) = File::open(entry.path()) else { continue };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            if !is_named(&name).map_err(|error| SpoolError::from_sqlite(&self.path, &error))? {
                std::fs::remove_file(entry.path()).map_err(failed)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
