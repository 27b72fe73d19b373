//! A good guest in the host's process.

use super::case::{Case, Deaf, Failure, Setup, Subject, told};
use super::lists;
use super::process::{self, State};
use super::tools::Machine;
use crate::plugins::Loaded;
use postrider_plugin_api::sdk::{Change, Envelope, Error, ErrorKind};
use rustix::fs::MemfdFlags;
use std::io::{self, Read, Seek};
use std::sync::Arc;

const TIMES: usize = 1000;
/// Before memory is measured: what is made once for all time has been made by then.
const WARM: usize = 200;
/// KiB that memory may grow between the two: allocators keep some.
const GROWTH: u64 = 8 << 10;

const ALONE: &str = "leave the process's own things alone: close what you open, join your threads, keep what you \
                     change inside the adapter";

pub(super) fn start_leaves_no_trace(case: &mut Case) -> Result<(), Failure> {
    let before = State::now();
    case.plugin()?;
    for difference in before.differences() {
        case.fail(Failure::new(
            format!("after loading: {difference}"),
            "a process as it was before",
            "do in `new` what must be done, and leave what belongs to the process",
        ));
    }
    Ok(())
}

/// Makes an adapter and asks all that can be asked without a mail server; the answers in a text.
fn exercise(plugin: &Loaded, name: &str, incoming: bool, setup: &Setup) -> Result<String, Error> {
    if incoming {
        let adapter = plugin.library.incoming(name, Arc::new(Deaf), &setup.settings)?;
        let site = lists::site();
        let facts = adapter.probe(&site, &Machine::without_mta(setup.programs())).unwrap_or_default();
        ask(&Subject { adapter, setup: setup.clone(), site, facts })
    } else {
        let adapter = plugin.library.outgoing(name, Arc::new(Deaf), &setup.settings)?;
        let recipients = ["anne@example.com", "bart@example.com"];
        let injection = answer(adapter.inject(Envelope::new("ants-bounces@lists.example.com", &recipients, 4096)))?;
        Ok(format!("{:?} {:?} {injection:?}", adapter.abilities(), adapter.programs()))
    }
}

fn ask(subject: &Subject) -> Result<String, Error> {
    let lists = lists::plain();
    let roster = lists.roster();
    let mut sink = subject.collector(&Change::Everything);
    subject.adapter.plan(subject.context(&roster), Change::Everything, &mut sink)?;
    let plan = sink.finish().map(|plan| told(&plan));
    let snippets = answer(subject.adapter.snippets(subject.context(&roster)))?;
    let tools = Machine::without_mta(subject.setup.programs());
    let findings = answer(subject.adapter.check(subject.context(&roster), &tools))?;
    Ok(format!("{plan:?}\n{snippets:?}\n{findings:?}"))
}

/// Other errors than panics are answers too.
fn answer<T>(result: Result<T, Error>) -> Result<Result<T, Error>, Error> {
    match result {
        Err(error) if error.kind == ErrorKind::Panic => Err(error),
        other => Ok(other),
    }
}

/// What all tests here need: the plugin, the adapter's name, whether it is incoming, its defaults.
fn parts(case: &mut Case) -> Result<(Arc<Loaded>, String, bool, Setup), Failure> {
    let setup = case.defaults()?;
    let adapter = case.adapter.clone().unwrap_or(super::AdapterId { name: String::new(), incoming: true });
    Ok((case.plugin()?, adapter.name, adapter.incoming, setup))
}

fn broken(error: &Error) -> Failure {
    super::case::refused("the adapter", error)
}

pub(super) fn calls_at_once(case: &mut Case) -> Result<(), Failure> {
    const THREADS: usize = 4;
    const CALLS: usize = 30;
    let (plugin, name, incoming, setup) = parts(case)?;
    let expected = exercise(&plugin, &name, incoming, &setup).map_err(|error| broken(&error))?;
    let failure = |error: String| {
        Failure::new(
            format!("four threads at a time: {error}"),
            "the answers that one thread alone gets",
            "an adapter's methods are called from several threads: keep what changes behind a Mutex, or keep nothing",
        )
    };
    let differs = |answer: &Result<String, Error>| match answer {
        Ok(answer) if *answer == expected => None,
        Ok(answer) => Some(format!("another answer: {}", super::case::difference(&expected, answer))),
        Err(error) => Some(error.to_string()),
    };
    // Each thread with an adapter of its own, then all with one.
    let shared = if incoming { case.subject(&setup, &lists::site())? } else { None };
    let shared = shared.as_ref();
    let errors: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    (0..CALLS).find_map(|_| {
                        differs(&exercise(&plugin, &name, incoming, &setup))
                            .or_else(|| shared.and_then(|subject| differs(&ask(subject))))
                    })
                })
            })
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().unwrap_or_else(|_| Some("a thread of the test panicked".to_owned())))
            .collect()
    });
    errors.into_iter().next().map_or(Ok(()), |error| Err(failure(error)))
}

pub(super) fn leaves_nothing_behind(case: &mut Case) -> Result<(), Failure> {
    let (plugin, name, incoming, setup) = parts(case)?;
    let once = || exercise(&plugin, &name, incoming, &setup).map(drop).map_err(|error| broken(&error));
    once()?;
    let before = State::now();
    (1..WARM).try_for_each(|_| once())?;
    let warm = process::memory();
    (WARM..TIMES).try_for_each(|_| once())?;
    let grown = process::memory().saturating_sub(warm);
    for difference in before.differences() {
        case.fail(Failure::new(
            format!("after {TIMES} adapters were made, used and dropped: {difference}"),
            "a process as it was before",
            ALONE,
        ));
    }
    case.note(format!("{grown} KiB more after {} more adapters", TIMES - WARM));
    if grown > GROWTH {
        case.fail(Failure::new(
            format!("memory grew by {} MiB while {} adapters were made, used and dropped", grown >> 10, TIMES - WARM),
            format!("at most {} MiB", GROWTH >> 10),
            "free what you allocate: no Box::leak, no mem::forget; in C every allocation has its release",
        ));
    }
    Ok(())
}

pub(super) fn keeps_quiet(case: &mut Case) -> Result<(), Failure> {
    let (plugin, name, incoming, setup) = parts(case)?;
    let mut caught = Caught::begin().map_err(|error| {
        Failure::new(format!("output cannot be caught: {error}"), "descriptors", "tell Postrider's authors")
    })?;
    let done = exercise(&plugin, &name, incoming, &setup);
    drop(plugin);
    let printed = caught.end().unwrap_or_default();
    done.map_err(|error| broken(&error))?;
    if printed.is_empty() {
        return Ok(());
    }
    let shown: String = printed.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    Err(Failure::new(
        format!("it printed {:?}", shown.trim()),
        "nothing on standard output and standard error",
        "use the log that `new` gets: what is printed reaches nobody, or the wrong one",
    ))
}

/// Standard output and standard error, kept in memory.
struct Caught {
    kept: std::fs::File,
    before: [std::os::fd::OwnedFd; 2],
}

impl Caught {
    fn begin() -> io::Result<Self> {
        let kept = std::fs::File::from(rustix::fs::memfd_create("printed", MemfdFlags::CLOEXEC)?);
        let before = [rustix::io::dup(io::stdout())?, rustix::io::dup(io::stderr())?];
        rustix::stdio::dup2_stdout(&kept)?;
        rustix::stdio::dup2_stderr(&kept)?;
        Ok(Caught { kept, before })
    }

    fn end(&mut self) -> io::Result<String> {
        rustix::stdio::dup2_stdout(&self.before[0])?;
        rustix::stdio::dup2_stderr(&self.before[1])?;
        let mut printed = Vec::new();
        self.kept.rewind()?;
        self.kept.read_to_end(&mut printed)?;
        Ok(String::from_utf8_lossy(&printed).into_owned())
    }
}
