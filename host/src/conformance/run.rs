//! A process for each test, and what became of it.

use super::alone::Task;
use super::case::{AdapterId, Described, Failure, Findings};
use super::{About, LARGE_SITE, TESTS, Test};
use crate::hookup::run::{End, Limits, run as run_program};
use crate::nearest::nearest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Ourselves, even if the file was replaced meanwhile.
const OURSELVES: &str = "/proc/self/exe";
/// Octets that are kept of what a test says.
const WORDS: usize = 1 << 20;
/// Most processes at a time.
const MOST_AT_ONCE: usize = 4;

/// What is to be checked.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The plugin.
    pub file: PathBuf,
    /// Only these tests; all if it is empty.
    pub tests: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
    /// Only these adapters; all if it is empty.
    pub adapters: Vec<String>,
    /// For what is random.
    pub seed: u64,
    /// Seconds that each test may take; its own limit if it is not there.
    pub time: Option<u64>,
    /// MiB that each test's process may have, 0 for no limit; its own limit if it is not there.
    pub memory: Option<u64>,
    /// How many lists a large site has, if not [`super::LARGE_SITE`].
    pub lists: Option<u32>,
}

/// What was asked for does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Usage(String);

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should.
    Ok,
    /// As it should, but there is something to know.
    Warning,
    /// Not as it should.
    Failed,
    /// It did not run, or had nothing to test.
    Skipped,
}

impl Status {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Failed => "failed",
            Status::Skipped => "skipped",
        }
    }
}

/// What became of one test.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its name.
    pub test: &'static str,
    /// The adapter that it was about.
    pub adapter: Option<AdapterId>,
    /// How it ended.
    pub status: Status,
    /// What was wrong.
    pub failures: Vec<Failure>,
    /// Warnings, figures, or why it was skipped.
    pub remarks: Vec<String>,
    /// How long it took.
    pub took: Duration,
    /// The command that runs this test alone, the same way.
    pub replay: String,
}

/// What became of all tests.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order of [`TESTS`].
    pub outcomes: Vec<Outcome>,
    plugin: Option<Described>,
}

impl Report {
    /// Whether none failed.
    pub fn passed(&self) -> bool {
        self.count(Status::Failed) == 0
    }

    /// How many ended so.
    pub fn count(&self, status: Status) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.status == status).count()
    }

    /// For programs.
    pub fn json(&self, options: &Options) -> Value {
        let plugin = self.plugin.as_ref().map(|plugin| {
            json!({
                "name": plugin.name,
                "version": plugin.version,
                "api_version": plugin.interface,
                "built_with": plugin.built_with,
            })
        });
        json!({
            "file": options.file,
            "plugin": plugin,
            "seed": options.seed,
            "passed": self.passed(),
            "tests": self.outcomes.iter().map(Outcome::json).collect::<Vec<_>>(),
        })
    }
}

impl Outcome {
    fn json(&self) -> Value {
        json!({
            "name": self.test,
            "adapter": self.adapter.as_ref().map(|adapter| &adapter.name),
            "kind": self.adapter.as_ref().map(|adapter| if adapter.incoming { "incoming" } else { "outgoing" }),
            "status": self.status.word(),
            "remarks": self.remarks,
            "failures": self.failures,
            "milliseconds": self.took.as_millis() as u64,
            "replay": self.replay,
        })
    }
}

/// Runs the tests; `tell` hears of each as soon as it and those before it have ended.
///
/// # Errors
/// There is no such file, test or adapter.
pub fn run(options: &Options, tell: &mut dyn FnMut(&Outcome)) -> Result<Report, Usage> {
    let file = options.file.canonicalize().map_err(|error| {
        Usage(format!(
            "{}: {error}; name the plugin's file, for instance target/release/libpostrider_acme.so",
            options.file.display()
        ))
    })?;
    if file.to_str().is_none() {
        return Err(Usage(format!("{}: the path is not UTF-8; put the plugin elsewhere", file.display())));
    }
    for name in options.tests.iter().chain(&options.skip) {
        known(name, "test", TESTS.iter().map(|test| test.name))?;
    }
    let suite = Suite { options, file: &file };
    let mut report = Report::default();
    let mut gate = None;
    for test in TESTS.iter().filter(|test| matches!(test.about, About::Gate | About::File)) {
        if let (Some(failed), About::Gate) = (gate, test.about) {
            suite.tell_skipped(test, failed, &mut report, tell);
            continue;
        }
        let wanted = suite.wants(test);
        // Without being asked for, gates are passed in silence: what they find decides what can follow.
        if !wanted && test.about == About::File {
            continue;
        }
        let (outcome, plugin) = suite.ask(test, None);
        report.plugin = plugin.or(report.plugin);
        if test.about == About::Gate && outcome.status == Status::Failed {
            gate = Some(test.name);
        }
        if wanted || outcome.status == Status::Failed {
            tell(&outcome);
            report.outcomes.push(outcome);
        }
    }
    if let Some(failed) = gate {
        for test in TESTS.iter().filter(|test| !matches!(test.about, About::Gate | About::File)) {
            suite.tell_skipped(test, failed, &mut report, tell);
        }
        return Ok(report);
    }
    let adapters = report.plugin.as_ref().map(|plugin| plugin.adapters.clone()).unwrap_or_default();
    for name in &options.adapters {
        known(name, "adapter", adapters.iter().map(|adapter| adapter.name.as_str()))?;
    }
    let jobs = suite.jobs(&adapters);
    suite.run_all(&jobs, &mut |outcome| {
        tell(&outcome);
        report.outcomes.push(outcome);
    });
    Ok(report)
}

fn known<'n>(name: &str, what: &str, all: impl Iterator<Item = &'n str>) -> Result<(), Usage> {
    let all: Vec<&str> = all.collect();
    if all.contains(&name) {
        return Ok(());
    }
    Err(Usage(match nearest(name, all.iter().copied()) {
        Some(meant) => format!("there is no {what} {name:?}; did you mean {meant:?}?"),
        None if all.is_empty() => format!("there is no {what} {name:?}; there is none at all"),
        None => format!("there is no {what} {name:?}; there is: {}", all.join(", ")),
    }))
}

type Job = (&'static Test, Option<AdapterId>);

struct Suite<'a> {
    options: &'a Options,
    file: &'a Path,
}

impl Suite<'_> {
    fn wants(&self, test: &Test) -> bool {
        let Options { tests, skip, .. } = self.options;
        (tests.is_empty() || tests.iter().any(|name| name == test.name)) && !skip.iter().any(|name| name == test.name)
    }

    /// Each test for each adapter that it is about.
    fn jobs(&self, adapters: &[AdapterId]) -> Vec<Job> {
        let wanted =
            |adapter: &&AdapterId| self.options.adapters.is_empty() || self.options.adapters.contains(&adapter.name);
        let adapters: Vec<&AdapterId> = adapters.iter().filter(wanted).collect();
        let mut jobs: Vec<Job> = Vec::new();
        for test in TESTS.iter().filter(|test| self.wants(test)) {
            match test.about {
                About::Gate | About::File => {}
                About::Plugin => jobs.push((test, None)),
                about => jobs.extend(
                    adapters
                        .iter()
                        .filter(|adapter| about == About::Adapter || adapter.incoming == (about == About::Incoming))
                        .map(|adapter| (test, Some((*adapter).clone()))),
                ),
            }
        }
        jobs
    }

    /// Several at a time; told in their order.
    fn run_all(&self, jobs: &[Job], done: &mut dyn FnMut(Outcome)) {
        let next = AtomicUsize::new(0);
        let at_once = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_AT_ONCE);
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            for _ in 0..at_once {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    while let Some((number, job)) =
                        Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|number| Some((number, jobs.get(number)?)))
                    {
                        let (outcome, _) = self.ask(job.0, job.1.clone());
                        if sender.send((number, outcome)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let (mut waiting, mut turn) = (BTreeMap::new(), 0);
            for (number, outcome) in receiver {
                waiting.insert(number, outcome);
                while let Some(outcome) = waiting.remove(&turn) {
                    done(outcome);
                    turn += 1;
                }
            }
        });
    }

    /// Runs one test in a process of its own.
    fn ask(&self, test: &'static Test, adapter: Option<AdapterId>) -> (Outcome, Option<Described>) {
        let (time, memory) = test.limits;
        let (time, memory) = (self.options.time.unwrap_or(time), self.options.memory.unwrap_or(memory));
        let task = Task {
            test: test.name.to_owned(),
            adapter: adapter.clone(),
            only: self.options.adapters.clone(),
            seed: self.options.seed,
            lists: self.options.lists.unwrap_or(LARGE_SITE),
            memory,
        };
        let started = Instant::now();
        let task = serde_json::to_string(&task).unwrap_or_default(); // plain data always serialises
        let file = self.file.to_string_lossy();
        let argv = [OURSELVES, "plugin", "check", &file, "--alone", &task];
        let output = run_program(&argv, "", Limits { time: Duration::from_secs(time), output: WORDS });
        let took = started.elapsed();
        let mut findings = match output {
            Err(error) => Findings {
                failures: vec![Failure::new(
                    format!("the test's process cannot be started: {error}"),
                    "a process of its own for each test",
                    "look at the limits of this machine (ulimit -u)",
                )],
                ..Findings::default()
            },
            Ok(output) => judge(&output.stdout, &output.stderr, output.end, memory),
        };
        let status = if !findings.failures.is_empty() {
            Status::Failed
        } else if findings.skipped.is_some() {
            Status::Skipped
        } else if !findings.warnings.is_empty() {
            Status::Warning
        } else {
            Status::Ok
        };
        let remarks = findings.skipped.take().into_iter().chain(findings.warnings).chain(findings.notes).collect();
        let replay = self.replay(test, adapter.as_ref());
        (
            Outcome { test: test.name, adapter, status, failures: findings.failures, remarks, took, replay },
            findings.plugin,
        )
    }

    fn tell_skipped(&self, test: &'static Test, failed: &str, report: &mut Report, tell: &mut dyn FnMut(&Outcome)) {
        if !self.wants(test) {
            return;
        }
        let outcome = Outcome {
            test: test.name,
            adapter: None,
            status: Status::Skipped,
            failures: Vec::new(),
            remarks: vec![format!("because {failed} failed")],
            took: Duration::ZERO,
            replay: self.replay(test, None),
        };
        tell(&outcome);
        report.outcomes.push(outcome);
    }

    fn replay(&self, test: &Test, adapter: Option<&AdapterId>) -> String {
        use std::fmt::Write as _;
        let Options { seed, time, memory, lists, .. } = self.options;
        let mut command =
            format!("postrider plugin check {} --test {}", quoted(&self.file.to_string_lossy()), test.name);
        if let Some(adapter) = adapter {
            let _ = write!(command, " --adapter {}", adapter.name);
        }
        let _ = write!(command, " --seed {seed}");
        let lists = lists.map(u64::from).filter(|_| test.name == "large-site");
        for (option, value) in [("time", *time), ("memory", *memory), ("lists", lists)] {
            if let Some(value) = value {
                let _ = write!(command, " --{option} {value}");
            }
        }
        command
    }
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '=' | ',');
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// What the process found, or how it died instead.
fn judge(stdout: &str, stderr: &str, end: End, memory: u64) -> Findings {
    let found = stdout.strip_suffix('\n').and_then(|line| serde_json::from_str::<Findings>(line).ok());
    let died = |seen: String, advice: &str| {
        let seen = match last_words(stderr) {
            words if words.is_empty() => seen,
            words => format!("{seen}; its last words: {words}"),
        };
        let mut findings = found.clone().unwrap_or_default();
        findings.failures.push(Failure::new(seen, "a test that ends", advice));
        findings
    };
    match (end, &found) {
        (End::Exit(0), Some(_)) => found.unwrap_or_default(),
        (End::Exit(status), None) => died(
            format!("the plugin ended the process (exit status {status})"),
            "a plugin never calls exit(): it would end the host; return an error",
        ),
        (End::Exit(status), Some(_)) => died(
            format!("exit status {status} when the process ended"),
            "look at what the plugin does at exit (atexit, destructors)",
        ),
        (End::Signal(6), _) if stderr.contains("memory allocation of") => died(
            format!("out of memory: the process may have {memory} MiB"),
            "hold less at a time: hand rows over as they come, in batches; --memory sets another limit",
        ),
        (End::Signal(signal), _) => died(
            format!("crashed with signal {signal} ({})", signal_name(signal)),
            "run the command below in a debugger, or build with a sanitizer; a stack overflow and running out of \
             memory (--memory) end so too",
        ),
        (End::TimeLimit(time), _) => died(
            format!("did not end within {} seconds", time.as_secs()),
            "an adapter answers at once, or in time that grows no faster than the number of lists; --time sets \
             another limit",
        ),
    }
}

fn last_words(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    let words = last.join(" / ");
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect()
}

fn signal_name(number: i32) -> &'static str {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.as_str(),
        Err(_) => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(stdout: &str, stderr: &str, end: End) -> String {
        judge(stdout, stderr, end, 100).failures.pop().map_or_else(String::new, |failure| failure.seen)
    }

    #[test]
    fn how_a_process_died_is_told() {
        let whole = format!("{}\n", serde_json::to_string(&Findings::default()).expect("serialises"));
        assert_eq!(seen(&whole, "", End::Exit(0)), "");
        assert_eq!(seen("", "", End::Exit(0)), "the plugin ended the process (exit status 0)");
        assert_eq!(seen(&whole[..5], "", End::Exit(3)), "the plugin ended the process (exit status 3)");
        assert_eq!(seen(&whole, "", End::Exit(1)), "exit status 1 when the process ended");
        assert_eq!(
            seen("", "a\n\nb\nc\n\u{1b}d\n", End::Signal(11)),
            "crashed with signal 11 (SIGSEGV); its last words: b / c /  d"
        );
        assert_eq!(seen(&whole, "", End::Signal(6)), "crashed with signal 6 (SIGABRT)");
        assert!(seen("", "memory allocation of 9 bytes failed", End::Signal(6)).starts_with("out of memory"));
        assert_eq!(seen("", "", End::TimeLimit(Duration::from_secs(7))), "did not end within 7 seconds");
    }

    #[test]
    fn an_unknown_name_is_told_with_the_nearest() {
        let known = |name| known(name, "test", ["opens", "layout"].into_iter()).map_err(|usage| usage.0);
        assert_eq!(known("layout"), Ok(()));
        assert_eq!(known("layuot"), Err("there is no test \"layuot\"; did you mean \"layout\"?".to_owned()));
        assert_eq!(known("zzz"), Err("there is no test \"zzz\"; there is: opens, layout".to_owned()));
    }

    #[test]
    fn replayed_paths_are_words_of_the_shell() {
        assert_eq!(quoted("/a/libpostrider_x.so"), "/a/libpostrider_x.so");
        assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
    }
}
