//! Results of a check.

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Good to know.
    Info,
    /// Works, but something should be changed. Also what a severity of a later version is taken for.
    Warning,
    /// Mail will not flow.
    Error,
}

/// One result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// What was looked at, for instance `main.cf: relay_domains`.
    pub subject: String,
    /// What was seen there.
    pub seen: String,
    /// What was expected; may be empty.
    pub expected: String,
    /// What the administrator should do; empty when nothing.
    pub advice: String,
}

impl Finding {
    /// What was seen of a subject; as yet without what was expected and what to do.
    pub fn new(severity: Severity, subject: impl Into<String>, seen: impl Into<String>) -> Self {
        Finding { severity, subject: subject.into(), seen: seen.into(), expected: String::new(), advice: String::new() }
    }

    /// Adds what was expected instead.
    #[must_use]
    pub fn with_expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    /// Adds what the administrator should do.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }
}
