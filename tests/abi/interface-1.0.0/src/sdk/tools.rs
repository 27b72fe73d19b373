//! How an adapter looks at the MTA: through the host.

use super::Result;
use std::collections::BTreeMap;

/// What an adapter found out about the MTA: names and values of its own, kept by the host while it runs and passed to
/// each call.
pub type Facts = BTreeMap<String, String>;

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ProgramOutput {
    /// Exit status, 0 to 255; -1 when it was killed by a signal or by the time limit, which the last line of `stderr` tells.
    pub status: i32,
    /// Standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Standard error; bytes that are not UTF-8 are replaced.
    pub stderr: String,
}

impl ProgramOutput {
    /// What a program did.
    pub fn new(status: i32, stdout: impl Into<String>, stderr: impl Into<String>) -> Self {
        ProgramOutput { status, stdout: stdout.into(), stderr: stderr.into() }
    }
}

/// What the host does for an adapter, while [`probe`](super::IncomingAdapter::probe) or
/// [`check`](super::IncomingAdapter::check) runs.
pub trait Tools {
    /// Runs a program: absolute path, no shell, clean environment (`PATH`, `LC_ALL=C`), working directory `/`, 30 seconds.
    /// At most 4 MiB of standard output and of standard error are kept.
    ///
    /// # Errors
    /// When it cannot be started, or is not the value of a setting of the kind
    /// [`SettingKind::Program`](super::SettingKind::Program). A status other than 0 is no error here.
    fn run(&self, argv: &[&str], stdin: &str) -> Result<ProgramOutput>;
    /// The contents of a regular file, at most 16 MiB; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// When it is not there, cannot be read, is too large or no regular file.
    fn read_file(&self, path: &str) -> Result<String>;
    /// Does this path exist? No, if that cannot be found out. Symbolic links are followed.
    fn exists(&self, path: &str) -> bool;
}
