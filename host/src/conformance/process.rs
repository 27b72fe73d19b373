//! What a process has that a plugin must leave alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// How long threads that are just ending get.
const PATIENCE: Duration = Duration::from_secs(2);

/// Its state at one moment.
#[derive(Debug)]
pub(super) struct State {
    threads: BTreeSet<String>,
    descriptors: BTreeMap<String, PathBuf>,
    /// Lines of `/proc/self/status`: signals that are caught, ignored, blocked; the umask.
    status: BTreeMap<String, String>,
    directory: Option<PathBuf>,
    environment: BTreeMap<OsString, OsString>,
}

impl State {
    pub(super) fn now() -> Self {
        State {
            threads: names("/proc/self/task"),
            descriptors: descriptors(),
            status: status(&["SigCgt", "SigIgn", "SigBlk", "Umask"]),
            directory: std::env::current_dir().ok(),
            environment: std::env::vars_os().collect(),
        }
    }

    /// What differs now, each in a sentence.
    pub(super) fn differences(&self) -> Vec<String> {
        let mut now = State::now();
        let mut waited = Duration::ZERO;
        while now.threads.len() > self.threads.len() && waited < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
            waited += Duration::from_millis(20);
            now = State::now();
        }
        let mut differences = Vec::new();
        let threads = now.threads.difference(&self.threads).count();
        if threads > 0 {
            differences.push(format!("{threads} threads more are running"));
        }
        let new: Vec<String> = now
            .descriptors
            .iter()
            .filter(|(number, target)| self.descriptors.get(*number) != Some(target))
            .map(|(number, target)| format!("{number} ({})", target.display()))
            .collect();
        if !new.is_empty() {
            differences.push(format!("{} descriptors are open that were not: {}", new.len(), shown(&new)));
        }
        if self.descriptors.keys().any(|number| !now.descriptors.contains_key(number)) {
            differences.push("descriptors are closed that were open".to_owned());
        }
        for (name, before) in &self.status {
            let after = now.status.get(name);
            if after != Some(before) {
                let what = match name.as_str() {
                    "Umask" => "the umask".to_owned(),
                    "SigCgt" => "the set of signals that are caught".to_owned(),
                    "SigIgn" => "the set of signals that are ignored".to_owned(),
                    _ => "the set of signals that are blocked".to_owned(),
                };
                differences.push(format!("{what} was {before} and is {}", after.map_or("", String::as_str)));
            }
        }
        if now.directory != self.directory {
            differences.push(format!("the working directory is now {}", now.directory.unwrap_or_default().display()));
        }
        let environment: Vec<String> = now
            .environment
            .iter()
            .filter(|(name, value)| self.environment.get(*name) != Some(value))
            .map(|(name, _)| name)
            .chain(self.environment.keys().filter(|name| !now.environment.contains_key(*name)))
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        if !environment.is_empty() {
            differences.push(format!("variables of the environment have changed: {}", shown(&environment)));
        }
        differences
    }
}

fn shown(words: &[String]) -> String {
    let first = words.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
    if words.len() > 3 { format!("{first}, …") } else { first }
}

/// KiB that the process has in memory now.
pub(super) fn memory() -> u64 {
    kib("VmRSS")
}

/// KiB that it had at most.
pub(super) fn most_memory() -> u64 {
    kib("VmHWM")
}

fn kib(field: &str) -> u64 {
    let status = status(&[field]);
    status.get(field).and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn status(fields: &[&str]) -> BTreeMap<String, String> {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(name, _)| fields.contains(name))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

fn names(directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Number and what it leads to; not the one by which we look.
fn descriptors() -> BTreeMap<String, PathBuf> {
    let numbers = names("/proc/self/fd");
    numbers
        .into_iter()
        .filter_map(|number| {
            let target = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
            Some((number, target))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_is_seen_and_a_closed_one_is_not() {
        // Other tests of this process open and close files at the same time, so only ours is looked for.
        let before = State::now();
        let file = fs::File::open("/proc/self/maps").expect("readable");
        let seen = |state: &State| state.differences().iter().any(|difference| difference.contains("/maps"));
        let open = seen(&before);
        drop(file);
        assert!(open && memory() > 0 && most_memory() >= memory());
        assert!(!descriptors().values().any(|target| target.ends_with("maps")));
    }
}
