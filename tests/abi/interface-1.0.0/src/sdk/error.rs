//! Errors of an adapter.

use std::fmt;

/// The result of every adapter method.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure it was, so that the host can decide what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ErrorKind {
    /// It did not work; trying again without a change is useless. Also what a kind of a later version is taken for.
    Failed,
    /// It did not work this time; trying again later may help.
    Temporary,
    /// The other side does not offer this: an adapter that lacks a method, a host too old for what a plugin wants.
    Unsupported,
    /// A setting has a value that the adapter cannot use.
    InvalidSetting,
    /// The plugin panicked; the host makes a new adapter before it calls again.
    Panic,
}

/// A failure, told to the administrator: what happened, to what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Error {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What happened and to what (file, command, address); one line, without a full stop at its end.
    pub message: String,
    /// What the administrator can do; may be empty.
    pub hint: String,
}

impl Error {
    /// A failure of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), hint: String::new() }
    }

    /// It did not work.
    pub fn failed(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Failed, message)
    }

    /// A setting has a value that cannot be used.
    pub fn setting(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::InvalidSetting, message)
    }

    /// Adds what the administrator can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
