//! Runs a program for an adapter: no shell, clean environment, time limit, bounded output.
//!
//! The program gets a process group of its own; when its time is up the group gets SIGTERM and, two
//! seconds later, SIGKILL. Output beyond the limit is read and thrown away, so that a talkative
//! program neither blocks nor fills the memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What programs find others with.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How often we look whether a program that keeps its output open has ended.
const LOOK: Duration = Duration::from_millis(20);

/// How long we wait for the last output of a program that has ended: the threads that read it may
/// have to wait for a processor, but a daemon that it has started may keep it open for ever.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How much a program may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Wall-clock time.
    pub(crate) time: Duration,
    /// Octets kept of standard output, and as many of standard error.
    pub(crate) output: usize,
}

impl Limits {
    /// For the commands of a plan: compiling the tables of 100,000 lists takes six seconds.
    pub(crate) const COMMAND: Limits = Limits { time: Duration::from_mins(2), output: 64 << 10 };
    /// For questions to the MTA.
    pub(crate) const QUESTION: Limits = Limits { time: Duration::from_secs(30), output: 4 << 20 };
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this exit status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// We killed it after this time.
    TimeLimit(Duration),
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) end: End,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end.
///
/// # Errors
/// It cannot be started; the caller has checked that `argv` has an absolute program.
pub(crate) fn run(argv: &[impl AsRef<str>], stdin: &str, limits: Limits) -> io::Result<Output> {
    let from = if stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
    run_from(argv, from, stdin, limits)
}

/// The same for a program that reads a file from its standard input.
///
/// # Errors
/// The file cannot be opened, or those of [`run`].
pub(crate) fn run_on_file(argv: &[impl AsRef<str>], stdin: &Path, limits: Limits) -> io::Result<Output> {
    run_from(argv, Stdio::from(File::open(stdin)?), "", limits)
}

fn run_from(argv: &[impl AsRef<str>], from: Stdio, stdin: &str, limits: Limits) -> io::Result<Output> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program.as_ref())
        .args(arguments.iter().map(AsRef::as_ref))
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .current_dir("/")
        .process_group(0)
        .stdin(from)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        let text = stdin.to_owned();
        // A program that does not read to the end is no error.
        thread::spawn(move || drop(pipe.write_all(text.as_bytes())));
    }
    let (closed, all_closed) = channel();
    let collect = |pipe: Option<Box<dyn Read + Send>>| {
        let kept = Arc::new(Mutex::new(Vec::new()));
        if let Some(pipe) = pipe {
            let (kept, closed) = (Arc::clone(&kept), closed.clone());
            thread::spawn(move || {
                keep(pipe, &kept, limits.output);
                drop(closed);
            });
        }
        kept
    };
    let stdout = collect(child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let stderr = collect(child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    drop(closed);
    let end = wait(&mut child, &all_closed, limits.time)?;
    let text = |kept: &Mutex<Vec<u8>>| {
        String::from_utf8_lossy(&kept.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    };
    Ok(Output { end, stdout: text(&stdout), stderr: text(&stderr) })
}

/// Waits for the end of the program, or of its time. `all_closed` hangs up when its output ends.
fn wait(child: &mut Child, all_closed: &Receiver<()>, time: Duration) -> io::Result<End> {
    let started = Instant::now();
    let mut output_open = true;
    loop {
        let left = time.saturating_sub(started.elapsed());
        if output_open {
            output_open = all_closed.recv_timeout(left.min(LOOK)) == Err(RecvTimeoutError::Timeout);
        }
        if let Some(status) = child.try_wait()? {
            if output_open {
                let _ = all_closed.recv_timeout(LAST_WORDS);
            }
            return Ok(end_of(status));
        }
        if left.is_zero() {
            kill(child)?;
            return Ok(End::TimeLimit(time));
        }
        if !output_open {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn kill(child: &mut Child) -> io::Result<()> {
    let group = rustix::process::Pid::from_child(child);
    // It may have ended just now.
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
    let asked = Instant::now();
    while asked.elapsed() < GRACE {
        if child.try_wait()?.is_some() {
            break;
        }
        thread::sleep(LOOK);
    }
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    child.wait().map(drop)
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exit(code),
        (None, signal) => End::Signal(signal.unwrap_or(0)),
    }
}

fn keep(mut pipe: impl Read, kept: &Mutex<Vec<u8>>, limit: usize) {
    let mut buffer = [0; 8192];
    loop {
        let read = match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = limit.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, stdin: &str, time: Duration) -> Output {
        run(&["/bin/sh", "-c", script], stdin, Limits { time, output: 100 }).expect("started")
    }

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn output_status_and_input_are_passed() {
        let output = shell("cat; echo oops >&2; exit 3", "hello", LONG);
        assert_eq!((output.end, output.stdout.as_str(), output.stderr.as_str()), (End::Exit(3), "hello", "oops\n"));
    }

    #[test]
    fn the_environment_is_clean() {
        let output = run(&["/usr/bin/env"], "", Limits::QUESTION).expect("started");
        let mut names: Vec<_> = output.stdout.lines().filter_map(|line| line.split('=').next()).collect();
        names.sort_unstable();
        assert_eq!(names, ["LC_ALL", "PATH"]);
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed_with_its_children() {
        let output = shell("sleep 600 & echo $!; wait", "", Duration::from_millis(300));
        assert_eq!(output.end, End::TimeLimit(Duration::from_millis(300)));
        let child: i32 = output.stdout.trim().parse().expect("process id of the sleep");
        let gone = (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            std::fs::read_to_string(format!("/proc/{child}/stat")).map_or(true, |stat| stat.contains(") Z "))
        });
        assert!(gone, "process {child} lives on");
    }

    #[test]
    fn output_beyond_the_limit_is_dropped_and_does_not_block() {
        let output = shell("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done", "", LONG);
        assert_eq!((output.end, output.stdout.len()), (End::Exit(0), 100));
    }

    #[test]
    fn a_daemon_that_keeps_the_output_open_does_not_hold_us_up() {
        let output = shell("(trap '' TERM; sleep 5) & echo started", "", LONG);
        assert_eq!((output.end, output.stdout.as_str()), (End::Exit(0), "started\n"));
    }

    #[test]
    fn a_signal_is_told() {
        assert_eq!(shell("kill -9 $$", "", LONG).end, End::Signal(9));
    }
}
