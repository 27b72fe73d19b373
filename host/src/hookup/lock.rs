//! One publication at a time: an `flock` on `hookup.lock` in the lock directory.
//!
//! The kernel frees the lock when its holder dies, however it dies. The file says who holds it.

use super::error::HookupError;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// After this time we say in the log whom we wait for.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// How often we try.
const RETRY: Duration = Duration::from_millis(20);

/// Held as long as this value lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock.
    ///
    /// # Errors
    /// [`HookupError::Locked`] after `patience`; the lock file cannot be made.
    pub fn wait(directory: &Path, patience: Duration) -> Result<Self, HookupError> {
        fs::create_dir_all(directory).map_err(HookupError::file("make", directory))?;
        let path = directory.join("hookup.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(HookupError::file("open", &path))?;
        let started = Instant::now();
        let mut told = false;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(HookupError::file("lock", &path)(error.into())),
            }
            if started.elapsed() >= patience {
                return Err(locked(&mut file, path, patience));
            }
            if !told && started.elapsed() >= TELL_AFTER {
                told = true;
                tracing::info!(holder = holder(&mut file), "waiting for another publication of the MTA's tables");
            }
            thread::sleep(RETRY);
        }
        // Who holds it is a courtesy; a full disk must not keep us from trying.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", ourselves()));
        Ok(Lock { _file: file })
    }
}

fn locked(file: &mut File, path: PathBuf, patience: Duration) -> HookupError {
    HookupError::Locked { path, holder: holder(file), waited: patience.as_secs() }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.rewind().and_then(|()| file.read_to_string(&mut text)) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "an unknown process".to_owned(),
    }
}

fn ourselves() -> String {
    // The subcommand says more than the program; further arguments may be private.
    let command: Vec<_> = std::env::args().take(2).collect();
    format!("process {} ({})", std::process::id(), command.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_and_is_told_who_holds_the_lock() {
        let dir = tempfile::tempdir().expect("directory");
        let first = Lock::wait(dir.path(), Duration::ZERO).expect("free");
        let error = Lock::wait(dir.path(), Duration::from_millis(50)).expect_err("taken").to_string();
        assert!(error.contains(&format!("held by process {}", std::process::id())), "{error}");
        drop(first);
        Lock::wait(dir.path(), Duration::ZERO).expect("free again");
    }

    #[test]
    fn a_lock_directory_that_cannot_be_made_is_an_error() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let error = Lock::wait(&file.path().join("locks"), Duration::ZERO).expect_err("no directory").to_string();
        assert!(error.contains("cannot make"), "{error}");
    }
}
