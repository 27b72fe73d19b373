//! What a worker gives up before the first octet of the plugin is mapped.

use rustix::process::{Resource, Rlimit, Signal};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Most open files.
const FILES: u64 = 256;
/// Address space beyond the memory that may be written to: the C library reserves 64 MiB for each thread without using it.
const ADDRESSES: u64 = 4 << 30;

/// Takes the socket and the opened plugin, which the host has put at 0 and 1, to where no plugin writes by mistake, and
/// closes all that else is open: standard input and output are empty, standard error is the host's log.
pub(super) fn take_descriptors() -> io::Result<(UnixStream, File)> {
    let take = |standard| -> io::Result<OwnedFd> { Ok(rustix::io::fcntl_dupfd_cloexec(standard, 3)?) };
    let socket = take(rustix::stdio::stdin())?;
    let library = take(rustix::stdio::stdout())?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    drop(null);
    let mut first = 3;
    let mut keep = [socket.as_raw_fd() as u32, library.as_raw_fd() as u32];
    keep.sort_unstable();
    for end in keep {
        close_range(first, end - 1)?;
        first = end + 1;
    }
    close_range(first, u32::MAX)?;
    Ok((socket.into(), library.into()))
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: this process is at its beginning, has one thread, and owns no descriptor above 2 but the two that are left
    // out; what is closed here was inherited by mistake.
    if unsafe { libc::close_range(first, last, 0) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ends with the host.
///
/// # Errors
/// It has ended already.
pub(super) fn end_with(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended just before.
    if rustix::process::getppid().is_some_and(|now| now.as_raw_pid().cast_unsigned() == parent) {
        Ok(())
    } else {
        Err(io::Error::other("the host has ended"))
    }
}

/// Limits, a directory of nobody's, no new rights, no programs, no other processes.
pub(super) fn lock_down(memory: u64) -> io::Result<()> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    enter_a_directory_that_is_gone()?;
    limit(Resource::Data, memory)?;
    limit(Resource::As, memory.saturating_add(ADDRESSES))?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Nofile, FILES)?;
    // To write a file is an error that the plugin can tell, and not its end. What is sent to all processes of a service
    // (`systemctl stop`, `systemctl kill -s HUP`) is for the host, which ends us when our call is over.
    for signal in [libc::SIGXFSZ, libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        // SAFETY: to ignore a signal sets no handler; this process has one thread.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // It would be called `exe`, after the link by which it was started.
    rustix::thread::set_name(c"plugin-worker")?;
    rustix::thread::set_no_new_privs(true)?;
    filter()
}

/// What is created by a relative name is created nowhere.
fn enter_a_directory_that_is_gone() -> io::Result<()> {
    if let Ok(directory) = tempfile::Builder::new().prefix("postrider-worker-").tempdir_in("/tmp") {
        rustix::process::chdir(directory.path())?;
        return directory.close();
    }
    Ok(rustix::process::chdir("/")?)
}

fn limit(resource: Resource, wanted: u64) -> io::Result<()> {
    // What the host has inherited may be less.
    let wanted = rustix::process::getrlimit(resource).maximum.map_or(wanted, |most| most.min(wanted));
    Ok(rustix::process::setrlimit(resource, Rlimit { current: Some(wanted), maximum: Some(wanted) })?)
}

/// Makes the system calls fail by which a plugin would run programs, or harm processes that have the same rights.
fn filter() -> io::Result<()> {
    // Elsewhere limits and `no_new_privs` have to do.
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(()) };
    let programs: BpfProgram = refuse(refused()?, libc::EPERM.cast_unsigned(), arch)?;
    // Its flags lie in memory, where no filter can look; the C library then takes clone(2).
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let clone3: BpfProgram = refuse(clone3, libc::ENOSYS.cast_unsigned(), arch)?;
    for program in [programs, clone3] {
        if let Err(error) = seccompiler::apply_filter(&program) {
            // A kernel or container without it; the rest of the jail holds.
            eprintln!("this system has no seccomp filters ({error}): the plugin could run programs");
            break;
        }
    }
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn refuse(rules: Rules, errno: u32, arch: TargetArch) -> io::Result<BpfProgram> {
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), arch)
        .and_then(TryInto::try_into)
        .map_err(io::Error::other)
}

fn refused() -> io::Result<Rules> {
    let own = u64::from(std::process::id());
    let condition =
        |argument, operator, value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
    let rule = |conditions: Vec<_>| -> io::Result<Vec<SeccompRule>> {
        let conditions = conditions.into_iter().collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        Ok(vec![SeccompRule::new(conditions).map_err(io::Error::other)?])
    };
    let others = || rule(vec![condition(0, SeccompCmpOp::Ne, own)]);
    let mut rules: Rules = [
        libc::SYS_execve,
        libc::SYS_execveat,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_vfork,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_pidfd_send_signal,
        libc::SYS_tkill,
    ]
    .into_iter()
    .map(|call| (call, Vec::new()))
    .collect();
    // Signals to itself (abort(3) is one) are its own affair.
    for call in [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo] {
        rules.insert(call, others()?);
    }
    let limits = vec![condition(0, SeccompCmpOp::Ne, own), condition(0, SeccompCmpOp::Ne, 0)];
    rules.insert(libc::SYS_prlimit64, rule(limits)?);
    // Threads yes, processes no.
    let thread = libc::CLONE_THREAD.cast_unsigned().into();
    rules.insert(libc::SYS_clone, rule(vec![condition(0, SeccompCmpOp::MaskedEq(thread), 0)])?);
    Ok(rules)
}
