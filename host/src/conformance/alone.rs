//! One test in its own process.

use super::case::{AdapterId, Case, Failure, Findings};
use super::named;
use rustix::process::{Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// What the process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) test: String,
    pub(super) adapter: Option<AdapterId>,
    pub(super) only: Vec<String>,
    pub(super) seed: u64,
    /// How many lists a large site has.
    pub(super) lists: u32,
    /// MiB of address space; 0: no limit.
    pub(super) memory: u64,
}

/// Runs one test and writes what it found to standard output; for processes that [`run`](super::run()) starts.
///
/// # Errors
/// The task cannot be read, or nobody takes the findings.
pub fn alone(file: &Path, task: &str) -> anyhow::Result<()> {
    let task: Task = serde_json::from_str(task)?;
    let Some(test) = named(&task.test) else { anyhow::bail!("there is no test {}", task.test) };
    limit(task.memory)?;
    let mut report = own_stdout()?;
    let mut case = Case::new(file, task.adapter, task.only, task.seed);
    case.large_site = task.lists;
    // What is wrong in the suite itself must not look like a crash of the plugin.
    match catch_unwind(AssertUnwindSafe(|| (test.body)(&mut case))) {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => case.fail(failure),
        Err(_) => case.fail(Failure::new(
            "the test itself panicked (see standard error)",
            "a test that ends",
            "this is a mistake of Postrider; tell its authors",
        )),
    }
    write(&mut report, &case.findings)?;
    Ok(())
}

fn write(report: &mut File, findings: &Findings) -> io::Result<()> {
    let mut line = serde_json::to_vec(findings)?;
    line.push(b'\n');
    report.write_all(&line)
}

/// What the plugin prints goes to standard error; only the findings go where standard output was.
fn own_stdout() -> io::Result<File> {
    let report = rustix::io::fcntl_dupfd_cloexec(io::stdout().as_fd(), 3)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(File::from(report))
}

/// No core files, no more memory than this, and no life longer than that of who started us.
fn limit(memory: u64) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none)?;
    if memory > 0 {
        let most = Some(memory << 20);
        let all = rustix::process::getrlimit(Resource::As);
        let most = match all.maximum {
            Some(maximum) => most.map(|most| most.min(maximum)),
            None => most,
        };
        rustix::process::setrlimit(Resource::As, Rlimit { current: most, maximum: all.maximum })?;
    }
    Ok(())
}
