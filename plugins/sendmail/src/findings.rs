//! Short ways to make a finding.

use postrider_plugin_api::sdk::{Finding, Severity};

pub(crate) fn good(subject: &str, seen: impl Into<String>) -> Finding {
    make(Severity::Ok, subject, seen.into(), "", "")
}

pub(crate) fn warning(subject: &str, seen: impl Into<String>, expected: &str, advice: &str) -> Finding {
    make(Severity::Warning, subject, seen.into(), expected, advice)
}

pub(crate) fn error(subject: &str, seen: impl Into<String>, expected: &str, advice: &str) -> Finding {
    make(Severity::Error, subject, seen.into(), expected, advice)
}

fn make(severity: Severity, subject: &str, seen: String, expected: &str, advice: &str) -> Finding {
    Finding::new(severity, subject, seen).with_expected(expected).with_advice(advice)
}
