//! Results of a check.

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Good to know.
    Info,
    /// Works, but something should be changed.
    Warning,
    /// Mail will not flow.
    Error,
}

/// One result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
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
