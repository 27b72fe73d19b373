//! Starts a program with its input where it wants it.

use command_fds::{CommandFdExt as _, FdMapping};
use nix::sched::{CloneFlags, unshare};
use postrider_plugin_api::sdk::Injection;
use rustix::fs::Mode;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Stdio;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What programs find others with.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What the program's files may not be open for: others' writing.
const UMASK: Mode = Mode::from_bits_truncate(0o022);
/// The last descriptor that an input can have.
const LAST_DESCRIPTOR: i32 = 9;

/// A program that runs.
pub(super) struct Started {
    pub(super) child: Child,
    /// Nothing if that is an input.
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
}

/// Starts it; it was checked before. `inputs` are those of the injection, by descriptor.
///
/// # Errors
/// The program is not to be had.
pub(super) async fn start(injection: &Injection, inputs: Vec<(u32, File)>) -> io::Result<Started> {
    let (program, arguments) = injection.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = std::process::Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).envs(injection.environment.iter().map(|(k, v)| (k, v)));
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut others = Vec::new();
    for (descriptor, file) in inputs {
        match descriptor {
            0 => drop(command.stdin(Stdio::from(file))),
            1 => drop(command.stdout(Stdio::from(file))),
            other => others.push(FdMapping { parent_fd: file.into(), child_fd: other.cast_signed() }),
        }
    }
    let fillers = if others.is_empty() { Vec::new() } else { fill_low_descriptors()? };
    if !others.is_empty() {
        command.fd_mappings(others).map_err(io::Error::other)?;
    }
    let mut child = spawn(command.into()).await?;
    drop(fillers);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    Ok(Started { child, stdout, stderr })
}

/// Starts it from a thread of its own, which has an umask of its own.
async fn spawn(mut command: Command) -> io::Result<Child> {
    let (answer, answered) = oneshot::channel();
    let runtime = Handle::current();
    let work = move || {
        let _runtime = runtime.enter();
        // A container may forbid it; then the daemon's umask holds.
        if unshare(CloneFlags::CLONE_FS).is_ok() {
            rustix::process::umask(UMASK);
        }
        // Nobody waits any more when the daemon stops just now; then the child is killed.
        let _ = answer.send(command.kill_on_drop(true).spawn());
    };
    std::thread::Builder::new().name("injection".to_owned()).spawn(work)?;
    answered.await.map_err(io::Error::other)?
}

/// Occupies the descriptors that will be those of inputs: the one over which the standard library
/// hears that the program could not be run must not be replaced by an input.
fn fill_low_descriptors() -> io::Result<Vec<OwnedFd>> {
    let mut fillers = Vec::new();
    loop {
        let filler = OwnedFd::from(File::open("/dev/null")?);
        if filler.as_raw_fd() > LAST_DESCRIPTOR {
            return Ok(fillers);
        }
        fillers.push(filler);
    }
}
