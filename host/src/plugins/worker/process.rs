//! One worker process, as the host sees it: started, spoken to until a moment, ended, and what it died of.

use super::Launch;
use super::guest::NO_HOST;
use super::wire::{self, MAX_FROM_WORKER, Said};
use crate::plugins::load::Stamp;
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a worker may take to end when it is asked to, and to be seen dead when its socket is closed.
const FAREWELL: Duration = Duration::from_secs(1);
/// Longest line of its standard error that is logged, in octets.
const LINE: u64 = 1024;
/// Most lines of its standard error that are logged.
const LINES: u32 = 500;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// It took too long.
    Late,
    /// It is gone, or has closed the socket.
    Gone,
    /// What it says is no answer.
    Garbled(String),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Broken::Late,
            io::ErrorKind::InvalidData => Broken::Garbled(error.to_string()),
            _ => Broken::Gone,
        }
    }
}

impl From<wire::Garbled> for Broken {
    fn from(garbled: wire::Garbled) -> Self {
        Broken::Garbled(garbled.to_string())
    }
}

/// A worker. It is killed when dropped.
pub(super) struct Worker {
    child: Child,
    reader: BufReader<Timed>,
    writer: Timed,
    last_words: LastWords,
    /// The adapters that it has, by number.
    pub(super) made: Vec<u64>,
}

/// What the worker wrote last to its standard error; the channel closes when it has written all.
struct LastWords {
    line: Arc<Mutex<String>>,
    end: mpsc::Receiver<()>,
}

impl Worker {
    /// Starts one and tells it which plugin to load; its answer is to be waited for.
    pub(super) fn start(launch: &Launch, library: &File, stamp: Stamp, until: Instant) -> io::Result<Worker> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&launch.program);
        command.arg0("postrider").arg("plugin-worker").arg(&launch.file).env_clear().process_group(0);
        command.stdin(OwnedFd::from(theirs)).stdout(library.try_clone()?).stderr(Stdio::piped());
        // All descriptors first: a process that nobody holds could not be waited for.
        let (reader, writer) = (ours.try_clone()?, ours);
        let mut child = spawn(command)?;
        let last_words = LastWords::listen(child.stderr.take(), launch.name.clone());
        let timed = |stream| Timed { stream, until };
        let reader = BufReader::with_capacity(64 << 10, timed(reader));
        let mut worker = Worker { child, reader, writer: timed(writer), last_words, made: Vec::new() };
        let start = wire::Request::Start {
            parent: std::process::id(),
            memory: launch.limits.memory,
            file: launch.file.as_os_str().as_bytes(),
            stamp,
            trust: launch.trust,
        };
        // If it is dead already, reading tells why.
        let _ = worker.send(&start);
        Ok(worker)
    }

    /// From now on everything must be done by then.
    pub(super) fn be_done_by(&mut self, until: Instant) {
        self.reader.get_mut().until = until;
        self.writer.until = until;
    }

    pub(super) fn send(&mut self, value: &impl Serialize) -> Result<(), Broken> {
        let frame = wire::frame(value).map_err(|error| Broken::Garbled(error.to_string()))?;
        Ok(self.writer.write_all(&frame)?)
    }

    pub(super) fn receive(&mut self) -> Result<Vec<u8>, Broken> {
        Ok(wire::read(&mut self.reader, MAX_FROM_WORKER)?)
    }

    /// Whether it has ended by itself while nobody asked anything.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Closes the socket, upon which a sound worker drops its adapters and ends.
    pub(super) fn end(mut self) {
        let _ = self.writer.stream.shutdown(std::net::Shutdown::Both);
        self.wait(FAREWELL);
    }

    /// What it died of, or was killed for, in words.
    pub(super) fn cause_of_death(mut self, broken: &Broken, launch: &Launch, limit: Duration) -> String {
        let by_itself = match broken {
            Broken::Gone => self.wait(FAREWELL),
            Broken::Late | Broken::Garbled(_) => None,
        };
        self.kill();
        let words = self.last_words.wait();
        let mut cause = match (by_itself, broken) {
            (Some(status), _) => how_it_ended(status),
            (None, Broken::Late) => format!("it did not return within {} s and was killed", limit.as_secs()),
            (None, Broken::Garbled(what)) => format!("it sent what is no answer ({what}) and was killed"),
            (None, Broken::Gone) => "it closed its connection and was killed".to_owned(),
        };
        if !words.is_empty() {
            cause = format!("{cause}, its last words: {words}");
        }
        if words.contains("memory allocation of") {
            let limit = launch.limits.memory >> 20;
            cause = format!("{cause} (it may use {limit} MiB, see [plugins] worker_memory)");
        }
        cause
    }

    /// Waits for its end, without looking again and again.
    fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        let pid = Pid::from_raw(self.child.id().cast_signed())?;
        if let Ok(ended) = pidfd_open(pid, PidfdFlags::empty()) {
            let left = until.saturating_duration_since(Instant::now());
            let time = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            let _ = poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&time));
        }
        self.child.try_wait().ok().flatten()
    }

    fn kill(&mut self) {
        // It may have ended by itself. SIGKILL cannot be put off, so the wait is short.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn how_it_ended(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => {
            let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
            let why = if signal == 9 { ", sent from outside, or by the kernel for lack of memory" } else { "" };
            format!("signal {signal} ({name}{why})")
        }
        (None, Some(code)) if code == NO_HOST => "it closed or misused its connection to Postrider".to_owned(),
        (None, Some(code)) => format!("it ended the process with exit status {code}"),
        (None, None) => "it ended".to_owned(),
    }
}

impl LastWords {
    /// Logs what the process writes to its standard error, on a thread of its own.
    fn listen(stderr: Option<ChildStderr>, plugin: String) -> Self {
        let line = Arc::new(Mutex::new(String::new()));
        let (ended, end) = mpsc::channel();
        let last = Arc::clone(&line);
        let read = move || {
            let _ended = ended;
            let mut reader = BufReader::with_capacity(LINE as usize, stderr?);
            let mut logged = 0;
            let mut octets = Vec::new();
            while reader.by_ref().take(LINE).read_until(b'\n', &mut octets).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&octets);
                let text = text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
                octets.clear();
                logged += u32::from(logged <= LINES);
                if logged <= LINES && !text.is_empty() {
                    tracing::warn!(target: "plugin", plugin, "{text}");
                } else if logged > LINES && !text.is_empty() {
                    tracing::debug!(target: "plugin", plugin, "{text}");
                }
                // Rust's standard library ends with advice that is of no use here.
                if !text.is_empty() && !text.starts_with("note: ") {
                    *last.lock().unwrap_or_else(PoisonError::into_inner) = text;
                }
            }
            Some(())
        };
        // Without the thread the pipe is closed, and the plugin's words are lost; that is all.
        let _ = thread::Builder::new().name("plugin-stderr".to_owned()).stack_size(256 << 10).spawn(read);
        LastWords { line, end }
    }

    fn wait(&self) -> String {
        // An error is what is expected here: nothing is ever sent.
        let _ = self.end.recv_timeout(FAREWELL);
        std::mem::take(&mut self.line.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A stream with which one must be done by some moment.
struct Timed {
    stream: UnixStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left.max(Duration::from_millis(1)))),
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts a process from a thread that lives as long as we do: the kernel ends a worker together with the *thread* that
/// started it (`PR_SET_PDEATHSIG`, prctl(2)), and those that call adapters come and go.
fn spawn(command: Command) -> io::Result<Child> {
    static STARTER: Mutex<Option<mpsc::Sender<Order>>> = Mutex::new(None);
    let (reply, replied) = mpsc::channel();
    {
        let mut starter = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
        let orders = if let Some(orders) = &*starter {
            orders
        } else {
            let (orders, ordered) = mpsc::channel::<Order>();
            let run = move || {
                for (mut command, reply) in ordered {
                    let _ = reply.send(command.spawn());
                }
            };
            thread::Builder::new().name("plugin-starter".to_owned()).stack_size(256 << 10).spawn(run)?;
            starter.insert(orders)
        };
        orders.send((command, reply)).map_err(|_| io::Error::other("the thread that starts workers has ended"))?;
    }
    replied.recv().map_err(io::Error::other)?
}

/// What a worker says, taken apart.
pub(super) fn understand(frame: &[u8]) -> Result<Said<'_>, Broken> {
    Ok(wire::value(frame)?)
}
