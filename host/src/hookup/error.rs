//! What can go wrong between a plan and the MTA's tables.

use super::run::{End, Output};
use crate::store::StoreError;
use postrider_plugin_api::sdk::Phase;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The hookup failed. Unless it says otherwise, the MTA's tables are as they were before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookupError {
    /// The adapter refused, or broke a rule of plans.
    #[error("the adapter failed to {doing}: {source}")]
    Adapter {
        /// `plan`, `probe`, `check`, `give its snippets`.
        doing: &'static str,
        /// What it said.
        source: postrider_plugin_api::sdk::Error,
    },
    /// A file or directory.
    #[error("cannot {doing} {}: {source}; {}", path.display(), hint(source))]
    File {
        /// `write`, `rename`, `read` …
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A table that is an SQLite database.
    #[error("cannot write the SQLite table {}: {message}; {hint}", path.display())]
    Sqlite {
        /// Which.
        path: PathBuf,
        /// What SQLite said.
        message: String,
        /// What to do.
        hint: &'static str,
    },
    /// A plan would replace something that is not a table.
    #[error("{} is an SQLite database and no table of this plan; move it away or choose another directory", .0.display())]
    NotATable(PathBuf),
    /// A row would replace a file that is not ours.
    #[error(
        "{} is not Postrider's ({why}); move it away if nobody needs it, or rename what has its name here, then run \
         `postrider aliases`", path.display()
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// How we know.
        why: &'static str,
    },
    /// A directory would be wholly ours, but holds what may be somebody else's.
    #[error(
        "the directory {} would be Postrider's alone, and every other file in it be removed, but it is there and not \
         empty, and has no note of ours ({}); move it away and run `postrider aliases`, or, if all files in it are \
         Postrider's, make the note first: `touch {}`", path.display(), note.display(), note.display()
    )]
    NotOurDirectory {
        /// The directory.
        path: PathBuf,
        /// The file that would say that it is ours.
        note: PathBuf,
    },
    /// Root would write where others could mislead it.
    #[error("{0}; then run `postrider aliases`")]
    Untrusted(String),
    /// A directory outside the table directory is not there.
    #[error(
        "the directory {} does not exist; make it, so that the user that Postrider runs as can write there (a unit with \
         ProtectHome= does not see what is in /home, /root and /run/user), or correct the adapter's settings, then run \
         `postrider aliases`", .0.display()
    )]
    NoDirectory(PathBuf),
    /// A directory cannot get its guard, or lose it.
    #[error(
        "cannot {doing} the guard of the directory {} ({owner}): {source}; {}; then run `postrider aliases`",
        path.display(), about_guard(source)
    )]
    Guard {
        /// `set`, `clear`.
        doing: &'static str,
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// What the system said.
        source: io::Error,
    },
    /// A command of the plan could not be started or did not succeed.
    #[error("{0}")]
    Command(CommandFailure),
    /// Somebody else has been publishing for very long.
    #[error("{} is held by {holder} for more than {waited} seconds; wait until it has ended or end it, then run `postrider aliases`", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Process and command.
        holder: String,
        /// Seconds.
        waited: u64,
    },
    /// Nobody waits for it any more: the program ends. Nothing was begun.
    #[error("the publication of the tables was given up before it began; run `postrider aliases`")]
    GivenUp,
    /// It failed before anything was published.
    #[error("{0}; the published tables were not touched")]
    NotPublished(Box<HookupError>),
    /// It failed in the middle; the previous files are back and active.
    #[error("{0}; the previous tables are back in place")]
    RolledBack(Box<HookupError>),
    /// It failed in the middle, and so did bringing the previous files back or activating them.
    #[error("{cause}; {state}: {second}; correct both, then run `postrider aliases`")]
    RollbackFailed {
        /// The first failure.
        cause: Box<HookupError>,
        /// Whether the files are back.
        state: &'static str,
        /// The second.
        second: Box<HookupError>,
    },
    /// The lists could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The same, seen by who asked them for an adapter's sake.
    #[error("{0}")]
    Lists(String),
    /// The thread that published died.
    #[error("the publication of the tables ended unexpectedly: {0}; run `postrider aliases` to finish it")]
    Died(String),
    /// Tests only: stopped as if killed.
    #[doc(hidden)]
    #[error("stopped at a step, as a test wanted")]
    Stopped,
}

impl HookupError {
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| HookupError::File { doing, path: path.to_owned(), source }
    }

    pub(crate) fn lists(error: postrider_plugin_api::sdk::Error) -> Self {
        HookupError::Lists(error.message)
    }

    pub(crate) fn adapter(doing: &'static str) -> impl FnOnce(postrider_plugin_api::sdk::Error) -> Self {
        move |source| HookupError::Adapter { doing, source }
    }
}

/// What to do about an error of the system.
fn hint(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => "free some space there, then run `postrider aliases`",
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
            "run this as the user that owns the data directory, or correct the permissions"
        }
        Kind::NotADirectory | Kind::NotFound => "check the paths in [paths.*] of the configuration",
        _ => "correct that, then run `postrider aliases`",
    }
}

/// What to do about a guard that cannot be set or cleared.
fn about_guard(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::NotFound {
        "mount or make it, or, where a systemd unit hides it (ProtectHome=), let the unit see it; if a guard is to be \
         cleared and the directory is gone for good, remove its line from .postrider-unfinished in the table directory"
    } else {
        "Postrider must run as its owner, or the adapter's settings name another directory; a systemd unit must let it \
         change the directory (not so with ProtectHome= or, if it is set-group-id, with RestrictSUIDSGID=yes)"
    }
}

/// A command that did not do its work.
#[derive(Debug)]
pub struct CommandFailure {
    /// Program and arguments, as they would be typed.
    pub command: String,
    /// When it ran.
    pub phase: Phase,
    /// The published file it was for; empty for none.
    pub file: String,
    /// Why it failed.
    pub reason: FailureReason,
    /// The first lines of what it wrote to standard error.
    pub stderr: String,
}

/// Why a command did not do its work.
#[derive(Debug)]
#[non_exhaustive]
pub enum FailureReason {
    /// It could not be started.
    NotStarted(io::Error),
    /// Exit status other than 0.
    Status(i32),
    /// Killed by this signal.
    Signal(i32),
    /// Not ready after so many seconds.
    TimeLimit(u64),
    /// It said that it succeeded, but this file is not there.
    NoResult(PathBuf),
}

impl CommandFailure {
    pub(crate) fn ended(command: String, phase: Phase, file: &str, output: &Output) -> Self {
        let reason = match output.end {
            End::Exit(status) => FailureReason::Status(status),
            End::Signal(signal) => FailureReason::Signal(signal),
            End::TimeLimit(time) => FailureReason::TimeLimit(time.as_secs()),
        };
        // Some programs complain on standard output.
        let words = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
        let stderr =
            words.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect::<Vec<_>>().join(" / ");
        CommandFailure { command, phase, file: file.to_owned(), reason, stderr }
    }

    /// Whether the program itself is missing.
    pub(crate) fn program_is_missing(&self) -> bool {
        matches!(&self.reason, FailureReason::NotStarted(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for CommandFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.phase {
            Phase::Check => "checking",
            Phase::Compile => "compiling",
            _ => "activating",
        };
        write!(f, "{what}")?;
        if !self.file.is_empty() {
            write!(f, " {}", self.file)?;
        }
        write!(f, " with `{}` failed: ", self.command)?;
        match &self.reason {
            FailureReason::NotStarted(error) => write!(f, "it cannot be started ({error})")?,
            FailureReason::Status(status) => write!(f, "exit status {status}")?,
            FailureReason::Signal(signal) => write!(f, "killed by signal {signal}")?,
            FailureReason::TimeLimit(seconds) => write!(f, "not ready after {seconds} seconds, killed")?,
            FailureReason::NoResult(path) => write!(f, "exit status 0, but it made no {}", path.display())?,
        }
        if !self.stderr.is_empty() {
            write!(f, ", {:?}", self.stderr)?;
        }
        f.write_str(match &self.reason {
            FailureReason::NotStarted(_) => "; install it or correct its path in the adapter's configuration",
            FailureReason::TimeLimit(_) => "; see what it waits for, then run `postrider aliases`",
            _ => "; correct what it says, then run `postrider aliases`",
        })
    }
}
