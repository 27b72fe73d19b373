//! Hands a message to the MTA through a program.
//!
//! Promises:
//! - No shell, no environment but `PATH` and what the adapter names, none of our
//!   descriptors but those it names and standard error, working directory `/`, umask 022, a process group of its own.
//! - No pipe can block another: each input has a writer of its own while the output is read; of the
//!   output 4 KiB are kept and the rest is thrown away.
//! - The message is not copied; it is written in blocks, with the line ends that are asked for.
//! - The exit code decides. A program that does not read all of its input is no error, one that is
//!   killed by a signal or by our time limit has failed for now.
//! - When we break off, the program is killed before its input ends, so that it cannot take a part of a
//!   message for the whole. For the same reason what is not the message (qmail-queue's envelope) is
//!   written after it, unless the program does not read on for a second.

mod check;
mod lines;
mod start;
mod words;

#[cfg(test)]
mod tests;

use super::transaction::Verdict;
pub(super) use lines::size;
use lines::{LineEnd, Lines};
use postrider_plugin_api::sdk::{Content, Injection, Outcome};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use start::Started;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a program may run: as long as an MTA may take for the end of a message (RFC 5321, section
/// 4.5.3.2.6).
pub(super) const TIME_LIMIT: Duration = Duration::from_mins(10);
/// Octets of output that are kept, of standard output and of standard error each.
const KEPT: usize = 4096;
/// Octets that are written at once; a pipe holds as many.
const BLOCK: usize = 64 * 1024;
/// How long other input waits for the end of the message.
const MESSAGE_FIRST: Duration = Duration::from_secs(1);
/// Between SIGTERM and SIGKILL, and after SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How long we wait for the rest of the output of a program that has ended: something that it left
/// running may keep it open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What came of an injection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// For all recipients.
    Verdict(Verdict),
    /// The program could not be started, whatever the message.
    NotStarted(String),
    /// There are more arguments than the system takes.
    TooManyArguments,
}

/// Runs what the adapter planned; `programs` are those that it may have run.
pub(super) async fn run(injection: Injection, programs: &[String], message: &Arc<[u8]>, limit: Duration) -> Ran {
    if let Err(why) = check::check(&injection, programs) {
        let reason = format!("the outgoing adapter planned what cannot be run: {why}; this is a mistake in the plugin");
        return Ran::Verdict(Verdict::Temporary(reason));
    }
    let program = injection.argv[0].clone();
    let Started { mut child, inputs, stdout, stderr } = match start::start(&injection).await {
        Ok(started) => started,
        Err(error) if error.raw_os_error() == Some(Errno::TOOBIG.raw_os_error()) => return Ran::TooManyArguments,
        Err(error) => return Ran::NotStarted(format!("{program} cannot be started: {error}")),
    };
    let feeding = feed(inputs, message);
    // After what it feeds, so that it is dropped, and kills, before that.
    let mut group = Group(Pid::from_raw(child.id().map_or(0, u32::cast_signed)));
    let (mut printed, mut complained) = (Vec::new(), Vec::new());
    let status = {
        let reading = async { tokio::join!(keep(stdout, &mut printed), keep(stderr, &mut complained)) };
        tokio::pin!(reading);
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(deadline);
        let mut silent = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status.map(Some),
                _ = &mut reading, if !silent => silent = true,
                () = &mut deadline => break group.kill(&mut child).await.map(|()| None),
            }
        };
        group.0 = None;
        if !silent {
            let _ = timeout(LAST_WORDS, reading).await;
        }
        status
    };
    drop(feeding);
    let words = words::of(&printed, &complained);
    Ran::Verdict(match status {
        Ok(Some(status)) => judge(&injection, &program, status, &words),
        Ok(None) => {
            let what = format!("{program} did not end within {} s and was killed", limit.as_secs_f64());
            Verdict::Temporary(words::with_context(&words, &what))
        }
        Err(error) => Verdict::Temporary(format!("nobody knows how {program} ended: {error}")),
    })
}

fn judge(injection: &Injection, program: &str, status: ExitStatus, words: &str) -> Verdict {
    let Some(code) = status.code() else {
        let what = format!("{program} was killed by signal {}", status.signal().unwrap_or(0));
        return Verdict::Temporary(words::with_context(words, &what));
    };
    let meaning = injection.exits.iter().find(|exit| (i32::from(exit.first)..=i32::from(exit.last)).contains(&code));
    let (outcome, meant) = meaning.map_or((injection.otherwise, ""), |exit| (exit.outcome, exit.text.as_str()));
    let meant = words::of(meant.as_bytes(), b"");
    let words = if words.is_empty() { meant.as_str() } else { words };
    let reply = words::with_context(words, &format!("{program} exited with {code}"));
    match outcome {
        Outcome::Delivered => {
            tracing::debug!("{reply}");
            Verdict::Delivered
        }
        Outcome::PermanentFailure => Verdict::Permanent(reply),
        // What a later version of the interface may say is not to be lost either.
        _ => Verdict::Temporary(reply),
    }
}

/// Writes each input from a task of its own; they end when this is dropped.
fn feed(inputs: Vec<(pipe::Sender, Content)>, message: &Arc<[u8]>) -> JoinSet<()> {
    let mut writers = JoinSet::new();
    // Hung up when every writer of the message has ended.
    let (writing, written) = watch::channel(());
    let writing = Arc::new(writing);
    for (pipe, content) in inputs {
        let line_end = match content {
            Content::MessageCrLf => LineEnd::CrLf,
            Content::MessageLf => LineEnd::Lf,
            Content::Bytes(octets) => {
                let mut written = written.clone();
                writers.spawn(async move {
                    let _ = timeout(MESSAGE_FIRST, async { while written.changed().await.is_ok() {} }).await;
                    settle(write(pipe, &octets).await);
                });
                continue;
            }
            // Refused when it was checked.
            _ => continue,
        };
        let (message, writing) = (Arc::clone(message), Arc::clone(&writing));
        writers.spawn(async move {
            settle(write_lines(pipe, &message, line_end).await);
            drop(writing);
        });
    }
    writers
}

async fn write(mut pipe: pipe::Sender, octets: &[u8]) -> io::Result<()> {
    pipe.write_all(octets).await
}

async fn write_lines(mut pipe: pipe::Sender, message: &[u8], line_end: LineEnd) -> io::Result<()> {
    let mut lines = Lines::new(message, line_end);
    let mut block = Vec::with_capacity(BLOCK + 2);
    while lines.fill(&mut block, BLOCK) {
        pipe.write_all(&block).await?;
    }
    Ok(())
}

/// A program need not read to the end.
fn settle(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        tracing::warn!("input of a program could not be written: {error}");
    }
}

async fn keep(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut block = [0; KEPT];
    while let Ok(read @ 1..) = pipe.read(&mut block).await {
        let room = KEPT - kept.len();
        kept.extend_from_slice(&block[..read.min(room)]);
    }
}

/// The program and what it has started; killed when dropped.
struct Group(Option<Pid>);

impl Group {
    /// Asks it to end, then makes it.
    async fn kill(&mut self, child: &mut Child) -> io::Result<()> {
        for signal in [Signal::TERM, Signal::KILL] {
            self.send(signal);
            if timeout(GRACE, child.wait()).await.is_ok() {
                break;
            }
        }
        // What it has started may have another opinion about SIGTERM.
        self.send(Signal::KILL);
        Ok(())
    }

    fn send(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // It may have ended just now.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.send(Signal::KILL);
    }
}
