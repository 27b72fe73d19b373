//! Guards: permission bits that a directory has while files change in it.
//!
//! Which bits we set is in the note ([`Marker`]) before they are set, so that whoever finds the note can take
//! them away again, even if the plan (or the adapter) is another by then. Bits that a directory had of
//! itself are not ours: they are neither noted nor cleared. The note forgets a directory only when it was seen without
//! the bits: one that cannot be seen may be on a file system that is not mounted, or be hidden by a unit's
//! `ProtectHome=`.
//!
//! A run clears its guards itself, also when it fails or gets a signal ([`signals`](super::signals)). What one leaves
//! that was killed, the next run clears, or the daemon, when it starts or is woken.

use super::error::HookupError;
use super::lock::Lock;
use super::marker::{Marker, Unfinished};
use postrider_plugin_api::sdk::Guard;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bits that a directory has because of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Guarded {
    pub(crate) path: PathBuf,
    pub(crate) bits: u32,
}

/// What is to be set for these guards; nothing is changed yet. `before`: what a killed run has set already,
/// which is ours too.
///
/// # Errors
/// A directory is missing, or not ours to change.
pub(crate) fn prepare(table_dir: &Path, guards: &[Guard], before: &[Guarded]) -> Result<Vec<Guarded>, HookupError> {
    let mut all = before.to_vec();
    for guard in guards {
        let path = table_dir.join(&guard.path);
        let mode = mode_of(&path).map_err(failed("set", &path))?;
        let known = all.iter_mut().find(|one| one.path == path);
        let ours_already = known.as_ref().map_or(0, |one| one.bits);
        let bits = guard.mode & (!mode | ours_already);
        // To set what is set changes nothing, and tells whether we may.
        change(&path, |mode| mode).map_err(failed("set", &path))?;
        match known {
            Some(one) => one.bits |= bits,
            None if bits != 0 => all.push(Guarded { path, bits }),
            None => {}
        }
    }
    Ok(all)
}

/// Sets the bits. A directory that a killed run has guarded and that cannot be found now does not matter to this one:
/// [`prepare`] has seen those that do.
pub(crate) fn set(guarded: &[Guarded]) -> Result<(), HookupError> {
    guarded.iter().try_for_each(|one| match change(&one.path, |mode| mode | one.bits) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("set", &one.path)(error)),
        _ => Ok(()),
    })
}

/// Clears the bits; all that can be, even if one cannot. What could not be cleared is left in the list.
pub(crate) fn clear(guarded: &mut Vec<Guarded>) -> Result<(), HookupError> {
    let mut result = Ok(());
    guarded.retain(|one| match change(&one.path, |mode| mode & !one.bits) {
        Ok(()) => false,
        Err(error) => {
            if result.is_ok() {
                result = Err(failed("clear", &one.path)(error));
            }
            true
        }
    });
    result
}

/// Clears what a killed run has set, whatever adapter it had; tells which directories these were. Does nothing
/// while another run publishes: then they are its own.
///
/// # Errors
/// The note cannot be read or written; a directory cannot be changed.
pub fn clear_forgotten_guards(table_dir: &Path, lock_dir: &Path) -> Result<Vec<PathBuf>, HookupError> {
    let marker = Marker::in_directory(table_dir);
    if guards_of(marker.read()?.as_ref()).is_empty() {
        return Ok(Vec::new());
    }
    let _lock = match Lock::wait(lock_dir, Duration::ZERO) {
        Err(HookupError::Locked { .. }) => return Ok(Vec::new()),
        lock => lock?,
    };
    let Some(Unfinished::Publishing(guarded)) = marker.read()? else { return Ok(Vec::new()) };
    let mut left = guarded.clone();
    let cleared = clear(&mut left);
    if left != guarded {
        marker.write(&Unfinished::Publishing(left))?;
    }
    cleared.map(|()| guarded.into_iter().map(|one| one.path).collect())
}

/// What the note says of guards.
pub(crate) fn guards_of(note: Option<&Unfinished>) -> &[Guarded] {
    match note {
        Some(Unfinished::Publishing(guarded)) => guarded,
        _ => &[],
    }
}

fn mode_of(path: &Path) -> io::Result<u32> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() { Ok(metadata.mode() & 0o7777) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

fn change(path: &Path, new: impl Fn(u32) -> u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(new(mode_of(path)?)))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HookupError {
    let owner = match fs::metadata(path) {
        Ok(metadata) => match nix::unistd::User::from_uid(metadata.uid().into()) {
            Ok(Some(user)) => format!("its owner is {}", user.name),
            _ => format!("its owner is user {}", metadata.uid()),
        },
        Err(_) => "it cannot be looked at".to_owned(),
    };
    move |source| HookupError::Guard { doing, path: path.to_owned(), owner, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        mode_of(path).expect("directory")
    }

    #[test]
    fn bits_that_were_there_stay_and_those_of_a_killed_run_are_ours() {
        let dir = tempfile::tempdir().expect("directory");
        let home = dir.path().join("home");
        fs::create_dir(&home).expect("made");
        let guard = |bits| vec![Guard::new("home", bits)];
        fs::set_permissions(&home, Permissions::from_mode(0o2755)).expect("mode");
        let guarded = prepare(dir.path(), &guard(0o3000), &[]).expect("ours");
        assert_eq!(guarded, [Guarded { path: home.clone(), bits: 0o1000 }]);
        assert_eq!(mode(&home), 0o2755, "nothing is done yet");
        set(&guarded).expect("set");
        assert_eq!(mode(&home), 0o3755);
        assert_eq!(prepare(dir.path(), &guard(0o3000), &guarded).expect("ours"), guarded, "after a kill");
        assert_eq!(prepare(dir.path(), &[], &guarded).expect("ours"), guarded, "another plan");
        clear(&mut guarded.clone()).expect("cleared");
        assert_eq!(mode(&home), 0o2755);
        assert_eq!(prepare(dir.path(), &guard(0o2000), &[]).expect("ours"), [], "it has them of itself");
    }

    #[test]
    fn a_directory_that_is_away_stays_in_the_note_until_it_is_seen_again() {
        let dir = tempfile::tempdir().expect("directory");
        let (home, away, other) = (dir.path().join("home"), dir.path().join("away"), dir.path().join("other"));
        fs::create_dir(&home).expect("made");
        fs::create_dir(&other).expect("made");
        let marker = Marker::in_directory(dir.path());
        let guarded = [&home, &other].map(|path| Guarded { path: path.clone(), bits: 0o1000 });
        marker.write(&Unfinished::Publishing(guarded.to_vec())).expect("written");
        set(&guarded).expect("set");
        fs::rename(&home, &away).expect("not mounted");
        let forgotten = || clear_forgotten_guards(dir.path(), &dir.path().join("locks"));
        let error = forgotten().expect_err("it is away").to_string();
        assert!(error.contains("/home") && error.contains("ProtectHome="), "{error}");
        assert!(error.contains(".postrider-unfinished"), "{error}");
        assert_eq!(mode(&other) & 0o7000, 0, "the other one is cleared");
        let left = marker.read().expect("read");
        assert_eq!(left, Some(Unfinished::Publishing(guarded[..1].to_vec())), "the one that is away is remembered");
        set(&guarded[..1]).expect("what is away keeps nobody else from publishing");
        fs::rename(&away, &home).expect("mounted");
        assert_eq!(forgotten().expect("seen"), std::slice::from_ref(&home));
        assert_eq!(mode(&home) & 0o7000, 0);
        assert_eq!(marker.read().expect("read"), Some(Unfinished::Publishing(Vec::new())));
    }

    #[test]
    fn a_directory_that_is_missing_or_no_directory_is_told() {
        let dir = tempfile::tempdir().expect("directory");
        fs::write(dir.path().join("file"), "").expect("written");
        for (path, why, hint) in
            [("missing", "No such file", "mount or make it"), ("file", "not a directory", "as its owner")]
        {
            let error = prepare(dir.path(), &[Guard::new(path, 0o1000)], &[]).expect_err("refused");
            let error = error.to_string();
            assert!(error.contains("cannot set the guard of the directory") && error.contains(why), "{error}");
            assert!(error.contains(path) && error.contains(hint), "{error}");
        }
    }

    #[test]
    fn forgotten_guards_are_cleared_without_an_adapter_but_not_those_of_a_run() {
        let dir = tempfile::tempdir().expect("directory");
        let (home, locks) = (dir.path().join("home"), dir.path().join("locks"));
        fs::create_dir(&home).expect("made");
        let marker = Marker::in_directory(dir.path());
        let forgotten = || clear_forgotten_guards(dir.path(), &locks).expect("looked");
        assert_eq!(forgotten(), [] as [PathBuf; 0]);
        let guarded = vec![Guarded { path: home.clone(), bits: 0o1000 }];
        marker.write(&Unfinished::Publishing(guarded.clone())).expect("written");
        set(&guarded).expect("set");
        let lock = Lock::wait(&locks, Duration::ZERO).expect("free");
        assert_eq!(forgotten(), [] as [PathBuf; 0]);
        assert_eq!(mode(&home) & 0o7000, 0o1000);
        drop(lock);
        assert_eq!(forgotten(), std::slice::from_ref(&home));
        assert_eq!(mode(&home) & 0o7000, 0);
        assert_eq!(marker.read().expect("read"), Some(Unfinished::Publishing(Vec::new())), "still unfinished");
    }
}
