//! What is wrong with a configuration, and where.
//!
//! All errors of a configuration are told together: who repairs a file does not want to learn of
//! the second mistake only after the first.

use std::fmt;
use std::sync::Arc;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file; empty when the mistake is in no file.
    pub file: Arc<str>,
    /// The line, when it is in a line.
    pub line: Option<usize>,
    /// The section, when it is in one.
    pub section: Option<String>,
    /// The key, when it is in one.
    pub key: Option<String>,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl ConfigError {
    /// A mistake in a file as a whole.
    pub fn in_file(file: &str, message: impl Into<String>) -> Self {
        ConfigError { file: file.into(), line: None, section: None, key: None, message: message.into() }
    }

    /// A mistake in a line.
    pub fn at(place: &Place, message: impl Into<String>) -> Self {
        ConfigError {
            file: place.file.clone(),
            line: Some(place.line),
            section: None,
            key: None,
            message: message.into(),
        }
    }

    /// Names the section and key.
    #[must_use]
    pub fn with_key(mut self, section: &str, key: &str) -> Self {
        self.section = Some(section.to_owned());
        self.key = Some(key.to_owned());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.file.is_empty() {
            f.write_str(": ")?;
        }
        match (&self.section, &self.key) {
            (Some(section), Some(key)) => write!(f, "[{section}] {key}: ")?,
            (None, Some(key)) => write!(f, "{key}: ")?,
            _ => {}
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong, at least one mistake; one line each when shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        ConfigErrors(vec![error])
    }
}

/// What the administrator should know of a configuration that is right: a section of Mailman's
/// that does nothing here, for instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Where.
    pub place: Place,
    /// What; one sentence.
    pub message: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}
