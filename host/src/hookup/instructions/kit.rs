//! Instructions as a directory that holds all that is needed: the files, `install.sh`, `undo.sh`
//! and `README`.
//!
//! The scripts are removed first and written last, so that what an interruption leaves behind
//! cannot be run. A note in the directory names all files, so that only what is ours is replaced.

use super::{Action, Instructions};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const NOTE: &str = ".postrider-hookup";
/// What is being written, until it is whole.
const UNFINISHED: &str = ".postrider-hookup.new";
const INSTALL: &str = "install.sh";
const UNDO: &str = "undo.sh";
const README: &str = "README";
const FILE_MODE: u32 = 0o644;
const SCRIPT_MODE: u32 = 0o755;
const DIRECTORY_MODE: u32 = 0o755;
/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;

/// Why a directory cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// It holds something else.
    #[error("{} holds {}, which is not of an earlier `postrider hookup --write`; name a directory that is empty or new", directory.display(), foreign.display())]
    NotOurs {
        /// The directory.
        directory: PathBuf,
        /// What is in it, relative.
        foreign: PathBuf,
    },
    /// Somebody else could change what root will run.
    #[error("{} {problem}, who could change what root will run; name a directory that is new, or that only you or root may write", directory.display())]
    Unsafe {
        /// The directory.
        directory: PathBuf,
        /// Who may write it.
        problem: String,
    },
    /// A file.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// `write`, `read` …
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Instructions {
    /// Writes everything into a directory, which is made if needed.
    ///
    /// # Errors
    /// The directory holds something else, could be changed by others, or cannot be written. In the last case it
    /// has no scripts.
    pub fn write(&self, directory: &Path) -> Result<(), KitError> {
        make_directory(directory)?;
        refuse_unsafe(directory)?;
        let kit = Kit { directory, before: files_of_note(directory)? };
        kit.refuse_others(directory, Path::new(""))?;
        let parts = self.parts();
        let steps = self.steps.iter().zip(&parts).filter_map(|(step, part)| match &step.action {
            Action::Write { text, .. } | Action::Append { text, .. } => Some((part.as_str(), text)),
            Action::Run { .. } => None,
        });
        let scripts = [
            (README, self.readme(), FILE_MODE),
            (UNDO, self.undo_script(&parts), SCRIPT_MODE),
            (INSTALL, self.install_script(&parts), SCRIPT_MODE),
        ];
        let names: BTreeSet<String> = parts
            .iter()
            .filter(|part| !part.is_empty())
            .cloned()
            .chain(scripts.iter().map(|(name, ..)| (*name).to_owned()))
            .collect();

        for (script, ..) in scripts.iter().rev() {
            kit.remove(script)?;
        }
        kit.put(NOTE, &note(kit.before.union(&names)), FILE_MODE)?;
        for (name, text) in steps {
            kit.put(name, text, FILE_MODE)?;
        }
        for stale in kit.before.difference(&names) {
            kit.remove(stale)?;
        }
        for (name, text, mode) in &scripts {
            kit.put(name, text, *mode)?;
        }
        kit.put(NOTE, &note(names.iter()), FILE_MODE)
    }

    /// Where the file of each step lies; empty for commands.
    fn parts(&self) -> Vec<String> {
        let mut taken: BTreeSet<String> = [NOTE, UNFINISHED, INSTALL, UNDO, README].map(str::to_owned).into();
        let mut parts = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let wanted = match &step.action {
                Action::Write { file, .. } => relative(file),
                Action::Append { file, .. } => format!("{}.lines", relative(file)),
                Action::Run { .. } => {
                    parts.push(String::new());
                    continue;
                }
            };
            let numbered = (2..).map(|number| format!("{wanted}-{number}"));
            let free = std::iter::once(wanted.clone()).chain(numbered).find(|name| !taken.contains(name));
            let free = free.unwrap_or(wanted); // there are more numbers than steps
            taken.insert(free.clone());
            parts.push(free);
        }
        parts
    }

    fn readme(&self) -> String {
        format!(
            "How to tell the mail server of the lists: {}, written by `postrider hookup --write`.\n\n\
             `sh install.sh`, run as root, does all of this; `sh undo.sh` takes it back.\n\
             Or do it by hand:\n\n{}",
            self.adapter,
            self.text()
        )
    }
}

/// A path without its `/`; `a//b` is `a/b`.
fn relative(file: &str) -> String {
    file.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

fn note<'a>(files: impl Iterator<Item = &'a String>) -> String {
    let mut text = String::from("# Written by `postrider hookup --write`, which replaces these files:\n");
    for file in files {
        text.push_str(file);
        text.push('\n');
    }
    text
}

/// What an earlier run has written.
fn files_of_note(directory: &Path) -> Result<BTreeSet<String>, KitError> {
    let path = directory.join(NOTE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().skip(1).map(str::to_owned).filter(|name| is_inside(name)).collect()),
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(failure) => Err(error("read", &path)(failure)),
    }
}

/// Whoever wrote the note, it must not lead out of the directory.
fn is_inside(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_))) && !name.is_empty()
}

/// Makes it and what it lies in, whatever the umask allows others.
fn make_directory(directory: &Path) -> Result<(), KitError> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(error("make", directory))
}

/// Who may write a directory may put another `install.sh` into it.
fn refuse_unsafe(directory: &Path) -> Result<(), KitError> {
    let metadata = fs::metadata(directory).map_err(error("read", directory))?;
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let problem = if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        format!("belongs to the user with the number {owner}")
    } else if mode & OTHERS_WRITE != 0 {
        format!("may be written by its group or by others (mode {mode:o})")
    } else {
        return Ok(());
    };
    Err(KitError::Unsafe { directory: directory.to_owned(), problem })
}

struct Kit<'a> {
    directory: &'a Path,
    /// What an earlier run has written.
    before: BTreeSet<String>,
}

impl Kit<'_> {
    fn refuse_others(&self, directory: &Path, relative: &Path) -> Result<(), KitError> {
        for entry in fs::read_dir(directory).map_err(error("read", directory))? {
            let entry = entry.map_err(error("read", directory))?;
            let name = relative.join(entry.file_name());
            // Of a symbolic link this is the kind of the link.
            let kind = entry.file_type().map_err(error("read", &entry.path()))?;
            if kind.is_dir() {
                refuse_unsafe(&entry.path())?;
                self.refuse_others(&entry.path(), &name)?;
                continue;
            }
            let ours =
                name.to_str().is_some_and(|name| name == NOTE || name == UNFINISHED || self.before.contains(name));
            if !ours || !kind.is_file() {
                return Err(KitError::NotOurs { directory: self.directory.to_owned(), foreign: name });
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), KitError> {
        let path = self.directory.join(name);
        match fs::remove_file(&path) {
            Err(failure) if failure.kind() != io::ErrorKind::NotFound => return Err(error("remove", &path)(failure)),
            _ => {}
        }
        // Directories that became empty go too; that others are not empty is no error.
        for parent in Path::new(name).ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
            if fs::remove_dir(self.directory.join(parent)).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Wholly or not at all.
    fn put(&self, name: &str, text: &str, mode: u32) -> Result<(), KitError> {
        let (path, unfinished) = (self.directory.join(name), self.directory.join(UNFINISHED));
        if let Some(parent) = path.parent() {
            make_directory(parent)?;
        }
        self.remove(UNFINISHED)?;
        let written = || -> io::Result<()> {
            let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)
        };
        written().map_err(error("write", &path))
    }
}

fn error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KitError {
    move |source| KitError::File { doing, path: path.to_owned(), source }
}
