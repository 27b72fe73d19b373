//! One publication at a time: an `flock` on `hookup.lock` in the lock directory.
//!
//! The kernel frees the lock when its holder dies, however it dies. The file says who holds it. Only
//! its owner can open it, so that nobody else can keep us waiting; a symbolic link in its place is
//! refused.

use super::error::HookupError;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::{Pid, test_kill_process};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// After this time we say in the log whom we wait for.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// How often we try.
const RETRY: Duration = Duration::from_millis(20);
/// For its owner alone: who may open it may lock it.
const MODE: u32 = 0o600;

/// Held as long as this value lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Waits for the lock.
    ///
    /// # Errors
    /// [`HookupError::Locked`] after `patience`; the lock file cannot be made.
    pub fn wait(directory: &Path, patience: Duration) -> Result<Self, HookupError> {
        Lock::wait_unless(directory, patience, &AtomicBool::new(false))
    }

    /// Waits for the lock until it is told to give up.
    ///
    /// # Errors
    /// [`HookupError::GivenUp`] soon after `given_up` has become true; else those of [`Lock::wait`].
    pub fn wait_unless(directory: &Path, patience: Duration, given_up: &AtomicBool) -> Result<Self, HookupError> {
        fs::create_dir_all(directory).map_err(HookupError::file("make", directory))?;
        let path = directory.join("hookup.lock");
        let mut file = open(&path).map_err(HookupError::file("open", &path))?;
        let started = Instant::now();
        let mut told = false;
        loop {
            if given_up.load(Ordering::Relaxed) {
                return Err(HookupError::GivenUp);
            }
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
        Ok(Lock { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // So that the next holder is not taken for us, even if it cannot write its name.
        let _ = self.file.set_len(0);
        // Closing it is not enough: a process that another thread is just starting has it too, for a moment.
        let _ = self.file.unlock();
    }
}

fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(file)
}

fn locked(file: &mut File, path: PathBuf, patience: Duration) -> HookupError {
    HookupError::Locked { path, holder: holder(file), waited: patience.as_secs() }
}

/// Who wrote its name last, if it still lives.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.rewind().and_then(|()| file.read_to_string(&mut text)) {
        Ok(_) if lives(&text) => text.trim().to_owned(),
        _ => "an unknown process".to_owned(),
    }
}

fn lives(text: &str) -> bool {
    let number = text.strip_prefix("process ").and_then(|rest| rest.split_whitespace().next());
    let process = number.and_then(|number| number.parse().ok()).and_then(Pid::from_raw);
    // A process of another user lives too.
    process.is_some_and(|process| test_kill_process(process) != Err(rustix::io::Errno::SRCH))
}

fn ourselves() -> String {
    format!("process {} ({})", std::process::id(), command(std::env::args()))
}

/// Program and subcommand; further arguments may be private.
fn command(mut arguments: impl Iterator<Item = String>) -> String {
    let program = arguments.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-C" | "--config" => drop(arguments.next()),
            option if option.starts_with('-') => {}
            subcommand => return format!("{program} {subcommand}"),
        }
    }
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

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

    #[test]
    fn a_link_in_place_of_the_lock_is_not_followed() {
        let dir = tempfile::tempdir().expect("directory");
        let victim = dir.path().join("victim");
        fs::write(&victim, "precious").expect("written");
        symlink(&victim, dir.path().join("hookup.lock")).expect("link");
        Lock::wait(dir.path(), Duration::ZERO).expect_err("refused");
        assert_eq!(fs::read(&victim).expect("there"), b"precious");
    }

    #[test]
    fn only_the_owner_can_open_the_lock() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("hookup.lock");
        let mode = || fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        drop(Lock::wait(dir.path(), Duration::ZERO).expect("free"));
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("as it was once made");
        drop(Lock::wait(dir.path(), Duration::ZERO).expect("free"));
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_holder_that_left_or_died_is_not_named() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("hookup.lock");
        let wait = || Lock::wait(dir.path(), Duration::ZERO).expect_err("taken").to_string();
        drop(Lock::wait(dir.path(), Duration::ZERO).expect("free"));
        // Somebody who does not write its name, as flock(1) does.
        let silent = open(&path).expect("opened");
        flock(&silent, FlockOperation::NonBlockingLockExclusive).expect("free");
        assert!(wait().contains("held by an unknown process"), "{}", wait());

        let mut child = std::process::Command::new("/bin/true").spawn().expect("started");
        let dead = child.id();
        child.wait().expect("ended");
        fs::write(&path, format!("process {dead} (postrider aliases)\n")).expect("written");
        assert!(wait().contains("held by an unknown process"), "{}", wait());
    }

    #[test]
    fn the_holder_is_named_by_its_subcommand() {
        for (arguments, named) in [
            ("/usr/bin/postrider -C /etc/x.cfg aliases --dry-run", "postrider aliases"),
            ("./postrider --config=/etc/x.cfg create secret@example.com", "postrider create"),
            ("postrider", "postrider"),
        ] {
            assert_eq!(command(arguments.split(' ').map(str::to_owned)), named);
        }
    }

    #[test]
    fn who_is_told_to_give_up_waits_no_longer() {
        let dir = tempfile::tempdir().expect("directory");
        let _held = Lock::wait(dir.path(), Duration::ZERO).expect("free");
        let given_up = AtomicBool::new(false);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| Lock::wait_unless(dir.path(), Duration::from_mins(10), &given_up));
            given_up.store(true, Ordering::Relaxed);
            assert!(matches!(waiting.join().expect("no panic"), Err(HookupError::GivenUp)));
        });
    }
}
