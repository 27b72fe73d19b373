//! A table that is a directory: one file for each row.
//!
//! With a mark only the files that begin with it are ours; all others are somebody else's and stay as they
//! are. Without one all regular files of the directory are ours, but for databases; then the directory itself must be
//! ours: we have made it, or found it empty, and left the note `.postrider` in it. One that is somebody else's, named by a
//! wrong setting, is refused. A file that is ours but not as we would have
//! written it (octets that are no text, another mode) counts as one with another value.
//!
//! New contents are written under temporary names in the same directory, so that a rename is one step.
//! These names begin with `.postrider`, which no row's does.

use super::error::HookupError;
use super::place::{self, TABLE_MODE, Tag};
use super::rows::Rows;
use postrider_plugin_api::sdk::Row;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// So many files are synced one by one; of more, the whole file system once.
const FEW: usize = 32;
/// Begins the value of a file that is not as we would have written it; no row's value has it.
const ANOTHER: &str = "\0";
/// What our temporary files begin with.
const TEMPORARY: &str = ".postrider-";
/// Says that all of the directory is ours. No key begins with a dot where MTAs look (a local part cannot).
const NOTE: &str = ".postrider";
const NOTE_TEXT: &str = "# All files in this directory are Postrider's; it removes those that it has not written.\n";
/// Largest file that can be one of ours, in octets; a row's value is smaller.
const MAX_FILE: u64 = 40 << 10;

/// A directory with files of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Directory<'a> {
    pub(crate) path: &'a Path,
    /// The first line of our files; empty: all files are ours.
    pub(crate) mark: &'a str,
}

/// What is under a name.
enum Found {
    Nothing,
    /// A file of ours, with this value.
    Ours(String),
    /// Something that is not ours, and why.
    Foreign(&'static str),
}

/// A value as the contents of a file: a last line end is added if there is none.
pub(crate) fn with_line_end(value: &str) -> Cow<'_, str> {
    if value.is_empty() || value.ends_with('\n') { Cow::Borrowed(value) } else { Cow::Owned(format!("{value}\n")) }
}

impl Directory<'_> {
    /// Whether it is there and may be used; without a mark that needs our note.
    ///
    /// # Errors
    /// It is there, and all files in it would be ours, but it holds some and no note.
    pub(crate) fn is_ready(&self) -> Result<bool, HookupError> {
        if !self.mark.is_empty() || !self.path.is_dir() {
            return Ok(self.path.is_dir());
        }
        if self.note().is_file() {
            return Ok(true);
        }
        for entry in self.entries()? {
            // What we have left when we were killed is no reason.
            if !entry.map_err(self.reading())?.file_name().as_encoded_bytes().starts_with(NOTE.as_bytes()) {
                return Err(self.not_our_directory());
            }
        }
        Ok(false)
    }

    /// Leaves the note that it is ours, if it needs one. The caller has asked [`Directory::is_ready`].
    pub(crate) fn take(&self) -> Result<(), HookupError> {
        if !self.mark.is_empty() || self.note().is_file() {
            Ok(())
        } else {
            place::write_small(&self.note(), NOTE_TEXT)
        }
    }

    fn note(&self) -> PathBuf {
        self.path.join(NOTE)
    }

    pub(crate) fn not_our_directory(&self) -> HookupError {
        HookupError::NotOurDirectory { path: self.path.to_owned(), note: self.note() }
    }

    /// Our files. Something else in the place of a row of `wanted` is an error.
    pub(crate) fn read(&self, wanted: &Rows) -> Result<Rows, HookupError> {
        let mut rows = Rows::new(false);
        let mut foreign = HashMap::new();
        for entry in self.entries()? {
            let name = entry.map_err(self.reading())?.file_name();
            let Some(key) = name.to_str().filter(|key| !key.starts_with(".postrider")) else { continue };
            match self.look(key)? {
                Found::Nothing => {}
                Found::Ours(value) => push(&mut rows, key, &value),
                Found::Foreign(why) => drop(foreign.insert(key.to_owned(), why)),
            }
        }
        rows.index();
        // Usually there are few of them, or none.
        match foreign.iter().find(|(key, _)| wanted.find(key).is_some()) {
            Some((key, why)) => Err(self.not_ours(key, why)),
            None => Ok(rows),
        }
    }

    /// Those of our files that have these names.
    pub(crate) fn read_some(&self, wanted: &Rows, absent: &Rows) -> Result<Rows, HookupError> {
        let mut rows = Rows::new(false);
        for row in wanted.iter() {
            match self.look(row.key)? {
                Found::Nothing => {}
                Found::Ours(value) => push(&mut rows, row.key, &value),
                Found::Foreign(why) => return Err(self.not_ours(row.key, why)),
            }
        }
        for row in absent.iter() {
            if let Found::Ours(value) = self.look(row.key)? {
                push(&mut rows, row.key, &value);
            }
        }
        rows.index();
        Ok(rows)
    }

    fn look(&self, key: &str) -> Result<Found, HookupError> {
        let path = self.path.join(key);
        let read = || -> io::Result<Found> {
            let metadata = fs::symlink_metadata(&path)?;
            if !metadata.is_file() {
                return Ok(Found::Foreign("it is no regular file"));
            }
            let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
            let file = OpenOptions::new().read(true).custom_flags(flags).open(&path)?;
            let mut head = Vec::new();
            (&file).take(self.mark.len() as u64).read_to_end(&mut head)?;
            if head != self.mark.as_bytes() {
                return Ok(Found::Foreign("its first line is not that of our files"));
            }
            let mut rest = Vec::new();
            (&file).take(MAX_FILE).read_to_end(&mut rest)?;
            if self.mark.is_empty() && rest.starts_with(place::DATABASE_HEAD) {
                return Ok(Found::Foreign("it is an SQLite database"));
            }
            let rest = match (self.mark.is_empty(), rest.first()) {
                (true, _) | (false, None) => &rest[..],
                (false, Some(b'\n')) => &rest[1..],
                (false, Some(_)) => return Ok(Found::Foreign("its first line is not that of our files")),
            };
            let value = std::str::from_utf8(rest).ok().filter(|value| !value.contains('\0'));
            let as_written = metadata.permissions().mode() & 0o7777 == TABLE_MODE && rest.len() < MAX_FILE as usize - 1;
            Ok(Found::Ours(value.filter(|_| as_written).unwrap_or(ANOTHER).to_owned()))
        };
        match read() {
            Ok(found) => Ok(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(HookupError::file("read", &path)(error)),
        }
    }

    fn not_ours(&self, key: &str, why: &'static str) -> HookupError {
        HookupError::NotOurs { path: self.path.join(key), why }
    }

    /// Writes a file for a row under a temporary name.
    pub(crate) fn stage(&self, number: u32, row: Row<'_>) -> Result<PathBuf, HookupError> {
        let staged = self.temporary(Tag::New, number);
        // Only the whole directory's run looks for what a killed one has left.
        place::remove_if_there(&staged)?;
        place::write_unsynced(&staged, TABLE_MODE, |out| {
            if !self.mark.is_empty() {
                out.write_all(self.mark.as_bytes())?;
                out.write_all(b"\n")?;
            }
            out.write_all(row.value.as_bytes())
        })?;
        Ok(staged)
    }

    /// Makes the staged files durable.
    pub(crate) fn sync(&self, staged: &[PathBuf]) -> Result<(), HookupError> {
        if staged.len() <= FEW {
            let sync = |path: &PathBuf| {
                File::open(path).and_then(|file| file.sync_all()).map_err(HookupError::file("sync", path))
            };
            return staged.iter().try_for_each(sync);
        }
        let sync = || rustix::fs::syncfs(File::open(self.path)?).map_err(io::Error::from);
        sync().map_err(HookupError::file("sync", self.path))
    }

    /// The temporary name for a row, by its number.
    pub(crate) fn temporary(&self, tag: Tag, number: u32) -> PathBuf {
        self.path.join(format!("{TEMPORARY}{}-{}-{number}", std::process::id(), tag.word()))
    }

    /// Removes temporary files of whatever run; in a directory of our own also files whose names are no text,
    /// which no row can have. The caller holds the lock.
    pub(crate) fn remove_temporaries(&self) -> Result<(), HookupError> {
        for entry in self.entries()? {
            let entry = entry.map_err(self.reading())?;
            let name = entry.file_name();
            let stray = || {
                self.mark.is_empty() && name.to_str().is_none() && entry.file_type().is_ok_and(|kind| kind.is_file())
            };
            if is_temporary(&name) || stray() {
                place::remove_if_there(&entry.path())?;
            }
        }
        Ok(())
    }

    fn entries(&self) -> Result<impl Iterator<Item = io::Result<fs::DirEntry>>, HookupError> {
        match fs::read_dir(self.path) {
            Ok(entries) => Ok(Some(entries).into_iter().flatten()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
            Err(error) => Err(self.reading()(error)),
        }
    }

    fn reading(&self) -> impl Fn(io::Error) -> HookupError {
        |source| HookupError::File { doing: "read", path: self.path.to_owned(), source }
    }
}

fn is_temporary(name: &OsStr) -> bool {
    let rest = name.to_str().and_then(|name| name.strip_prefix(TEMPORARY));
    rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn push(rows: &mut Rows, key: &str, value: &str) {
    // What does not fit is no row of ours, and read as one with another value.
    if rows.push(Row::new(key, value)).is_err() {
        let _ = rows.push(Row::new(key, ANOTHER));
    }
}
