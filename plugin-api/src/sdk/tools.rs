//! How an adapter looks at the MTA: through the host.

use super::Result;
use std::collections::BTreeMap;

/// What an adapter found out about the MTA, kept by the host between calls.
pub type Facts = BTreeMap<String, String>;

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ProgramOutput {
    /// Exit status; -1 when it was killed by a signal or by the time limit.
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

/// What the host does for an adapter.
pub trait Tools {
    /// Runs a program: absolute path, no shell, clean environment, time limit.
    ///
    /// # Errors
    /// When it cannot be started. A status other than 0 is no error here.
    fn run(&self, argv: &[&str], stdin: &str) -> Result<ProgramOutput>;
    /// The contents of a file, at most 16 MiB; bytes that are not UTF-8 are replaced.
    fn read_file(&self, path: &str) -> Result<String>;
    /// Does this path exist?
    fn exists(&self, path: &str) -> bool;
}
