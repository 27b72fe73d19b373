//! Instructions against what is installed.

use super::{Action, Instructions, Step};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::time::Duration;

/// How one step compares with what is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Counted from 1.
    pub step: usize,
    /// The file; empty for commands.
    pub file: String,
    /// How it compares.
    pub difference: Difference,
}

/// How a step compares with what is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It is there.
    None,
    /// A unified diff for a file; what has to be added for lines.
    Some(String),
    /// The file cannot be read, for this reason.
    Unreadable(String),
    /// Commands leave nothing that could be compared.
    Unknown,
}

impl Instructions {
    /// Compares each step with what is installed. Changes nothing.
    pub fn compare(&self) -> Vec<Comparison> {
        self.steps.iter().map(Step::compare).collect()
    }
}

impl Step {
    fn compare(&self) -> Comparison {
        let file = self.file().unwrap_or_default().to_owned();
        let difference = match &self.action {
            Action::Run { .. } => Difference::Unknown,
            Action::Write { text, .. } => match installed(&file) {
                Ok(Some(there)) if there == text.as_bytes() => Difference::None,
                Ok(there) => Difference::Some(unified(&file, there.as_deref(), text)),
                Err(reason) => Difference::Unreadable(reason),
            },
            Action::Append { text, .. } => match installed(&file) {
                Ok(there) => missing_lines(&file, &there.unwrap_or_default(), text),
                Err(reason) => Difference::Unreadable(reason),
            },
        };
        Comparison { step: self.number, file, difference }
    }
}

/// `None`: there is no such file.
fn installed(file: &str) -> Result<Option<Vec<u8>>, String> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn unified(file: &str, there: Option<&[u8]>, wanted: &str) -> String {
    let state = if there.is_some() { "installed" } else { "missing" };
    similar::TextDiff::configure()
        // A rougher diff is better than none when two large files have little in common.
        .timeout(Duration::from_secs(5))
        .diff_lines(String::from_utf8_lossy(there.unwrap_or_default()).as_ref(), wanted)
        .unified_diff()
        .context_radius(3)
        .header(&format!("{file} ({state})"), &format!("{file} (wanted)"))
        .to_string()
}

/// As `install.sh` sees it: the lines must stand one after the other.
fn missing_lines(file: &str, there: &[u8], wanted: &str) -> Difference {
    let there: Vec<&[u8]> = there.split(|octet| *octet == b'\n').collect();
    let lines: Vec<&[u8]> = wanted.split_terminator('\n').map(str::as_bytes).collect();
    if there.windows(lines.len()).any(|window| window == lines) {
        return Difference::None;
    }
    let mut text = format!("--- {file} (installed)\n+++ {file} (wanted at the end)\n");
    let missing: Vec<&str> = wanted.lines().filter(|line| !there.contains(&line.as_bytes())).collect();
    for line in &missing {
        let _ = writeln!(text, "+{line}");
    }
    if missing.is_empty() {
        text.push_str("  all lines are there, but not one after the other as in this step:\n");
        for line in wanted.lines() {
            let _ = writeln!(text, " {line}");
        }
    }
    Difference::Some(text)
}
