//! Instructions against what is installed.

use super::{Action, Instructions, Step};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
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
        self.steps.iter().map(|step| step.compare(&self.obsolete_lines(step))).collect()
    }

    /// What an earlier `install.sh` has added to the file of this step, if it is the first with this file, and
    /// what no step adds any more.
    fn obsolete_lines(&self, step: &Step) -> Vec<Vec<u8>> {
        let Some(file) = step.file().filter(|file| self.is_first_of(step, file)) else { return Vec::new() };
        let wanted = |record: &Vec<u8>| {
            let mut texts = self.steps.iter().filter(|other| other.file() == Some(file)).map(Step::text);
            texts.any(|text| text.as_bytes() == record)
        };
        records_of(Path::new(file)).into_iter().filter(|record| !wanted(record)).collect()
    }
}

impl Step {
    fn text(&self) -> &str {
        match &self.action {
            Action::Write { text, .. } | Action::Append { text, .. } | Action::Run { text } => text,
        }
    }

    fn compare(&self, obsolete: &[Vec<u8>]) -> Comparison {
        let file = self.file().unwrap_or_default().to_owned();
        let difference = match &self.action {
            Action::Run { .. } => Difference::Unknown,
            Action::Write { text, .. } => match installed(&file) {
                Ok(Some(there)) if there == text.as_bytes() => Difference::None,
                Ok(there) => Difference::Some(unified(&file, there.as_deref(), text)),
                Err(reason) => Difference::Unreadable(reason),
            },
            Action::Append { text, .. } => match installed(&file) {
                Ok(there) => other_lines(&file, &there.unwrap_or_default(), text, obsolete),
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

/// The marks beside a file with what `install.sh` has added to it.
fn records_of(file: &Path) -> Vec<Vec<u8>> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name().and_then(OsStr::to_str)) else {
        return Vec::new();
    };
    let mark = format!("{name}.lines-of-postrider");
    let is_mark = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with(&mark));
    // Without the right to read them they cannot be told; the file itself says so.
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(is_mark).filter_map(|entry| fs::read(entry.path()).ok()).collect()
}

fn lines_of(text: &[u8]) -> Vec<&[u8]> {
    text.strip_suffix(b"\n").unwrap_or(text).split(|octet| *octet == b'\n').collect()
}

/// As `install.sh` sees it: the lines must stand one after the other, and those of an earlier one must go.
fn other_lines(file: &str, there: &[u8], wanted: &str, obsolete: &[Vec<u8>]) -> Difference {
    let there: Vec<&[u8]> = there.split(|octet| *octet == b'\n').collect();
    let stand = |lines: &[&[u8]]| there.windows(lines.len()).any(|window| window == lines);
    let obsolete: Vec<&Vec<u8>> = obsolete.iter().filter(|record| stand(&lines_of(record))).collect();
    let is_there = stand(&lines_of(wanted.as_bytes()));
    if is_there && obsolete.is_empty() {
        return Difference::None;
    }
    let mut text = format!("--- {file} (installed)\n+++ {file} (wanted at the end)\n");
    for line in obsolete.iter().flat_map(|record| lines_of(record)) {
        let _ = writeln!(text, "-{}", String::from_utf8_lossy(line));
    }
    // What an earlier one has added is taken out first, so that all lines are added anew.
    let missing: Vec<&str> =
        wanted.lines().filter(|line| !obsolete.is_empty() || !there.contains(&line.as_bytes())).collect();
    for line in &missing {
        let _ = writeln!(text, "+{line}");
    }
    if missing.is_empty() && !is_there {
        text.push_str("  all lines are there, but not one after the other as in this step:\n");
        for line in wanted.lines() {
            let _ = writeln!(text, " {line}");
        }
    }
    Difference::Some(text)
}
