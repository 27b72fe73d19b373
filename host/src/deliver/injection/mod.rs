//! Hands a message to the MTA through a program.
//!
//! Promises:
//! - No shell, no environment but `PATH` and what the adapter names, none of our
//!   descriptors but those it names and standard error, working directory `/`, umask 022, a process group of its own.
//! - Each input is a file in memory that is complete before the program starts (`message`): also when
//!   the daemon dies it cannot take a part of a message for the whole.
//! - Of the output 4 KiB are kept and the rest is thrown away.
//! - The exit code decides. A program that does not read all of its input is no error, one that is
//!   killed by a signal or by our time limit has failed for now.
//! - What a program says after our SIGTERM counts for nothing: Sendmail removes what it has begun
//!   to put into its queue and then exits with 0. Rather a message twice than never.
//! - When we break off, the program is killed.

mod check;
mod lines;
mod message;
mod start;
mod words;

#[cfg(test)]
mod tests;

use super::transaction::Verdict;
pub(crate) use check::check;
use lines::LineEnd;
pub(super) use message::Message;
use postrider_plugin_api::sdk::{Content, Injection, Outcome};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use start::Started;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;
use tokio::time::timeout;

/// How long a program may run: as long as an MTA may take for the end of a message (RFC 5321, section
/// 4.5.3.2.6).
pub(super) const TIME_LIMIT: Duration = Duration::from_mins(10);
/// Octets of output that are kept, of standard output and of standard error each.
const KEPT: usize = 4096;
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
    /// The program could not be started, or says that its MTA takes no mail at all, whatever the message.
    Away(String),
    /// There are more arguments than the system takes.
    TooManyArguments,
}

/// Runs what the adapter planned; `programs` are those that it may have run.
pub(super) async fn run(injection: Injection, programs: &[String], message: &Message, limit: Duration) -> Ran {
    if let Err(why) = check::check(&injection, programs) {
        let reason = format!("the outgoing adapter planned what cannot be run: {why}; this is a mistake in the plugin");
        return Ran::Verdict(Verdict::Temporary(reason));
    }
    let program = injection.argv[0].clone();
    let inputs = match inputs(&injection, message) {
        Ok(inputs) => inputs,
        Err(error) => return Ran::Away(format!("the message for {program} cannot be put into memory: {error}")),
    };
    let Started { mut child, stdout, stderr } = match start::start(&injection, inputs).await {
        Ok(started) => started,
        Err(error) if error.raw_os_error() == Some(Errno::TOOBIG.raw_os_error()) => return Ran::TooManyArguments,
        Err(error) => return Ran::Away(format!("{program} cannot be started: {error}")),
    };
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
                // First the status: one from before our signal counts.
                biased;
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
    let words = words::of(&printed, &complained);
    match status {
        Ok(Some(status)) => judge(&injection, &program, status, &words),
        Ok(None) => {
            let what = format!("{program} did not end within {} s and was killed", limit.as_secs_f64());
            Ran::Verdict(Verdict::Temporary(words::with_context(&words, &what)))
        }
        Err(error) => Ran::Verdict(Verdict::Temporary(format!("nobody knows how {program} ended: {error}"))),
    }
}

fn inputs(injection: &Injection, message: &Message) -> io::Result<Vec<(u32, File)>> {
    let open = |content: &Content| match content {
        Content::MessageCrLf => message.open(LineEnd::CrLf),
        Content::MessageLf => message.open(LineEnd::Lf),
        Content::Bytes(octets) => message::holding(octets),
        // Refused when it was checked.
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    injection.inputs.iter().map(|input| Ok((input.descriptor, open(&input.content)?))).collect()
}

fn judge(injection: &Injection, program: &str, status: ExitStatus, words: &str) -> Ran {
    let Some(code) = status.code() else {
        let what = format!("{program} was killed by signal {}", status.signal().unwrap_or(0));
        return Ran::Verdict(Verdict::Temporary(words::with_context(words, &what)));
    };
    let meaning = injection.exits.iter().find(|exit| (i32::from(exit.first)..=i32::from(exit.last)).contains(&code));
    let (outcome, meant) = meaning.map_or((injection.otherwise, ""), |exit| (exit.outcome, exit.text.as_str()));
    let meant = words::of(meant.as_bytes(), b"");
    let words = if words.is_empty() { meant.as_str() } else { words };
    let reply = words::with_context(words, &format!("{program} exited with {code}"));
    Ran::Verdict(match outcome {
        Outcome::Delivered => {
            tracing::debug!("{reply}");
            Verdict::Delivered
        }
        Outcome::PermanentFailure => Verdict::Permanent(reply),
        Outcome::Unavailable => return Ran::Away(reply),
        // What a later version of the interface may say is not to be lost either.
        _ => Verdict::Temporary(reply),
    })
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
