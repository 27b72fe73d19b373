//! The limit of open files (`RLIMIT_NOFILE`, setrlimit(2)), and how many LMTP connections it allows.
//!
//! Promise: however many clients come, databases, deliveries and commands find descriptors: what was accepted is
//! processed and sent on.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;

/// Kept for databases (two or three for each of their connections), listeners, logs, commands, and connections that end.
const HOUSE: u64 = 64;
/// A delivery has its connection, and a file while it sends a large message.
const EACH_DELIVERY: u64 = 2;
/// Plugins have at most 16 workers, each with a socket, a pipe and, while it works, a file.
const WORKERS: u64 = 3 * 16;
/// A connection of LMTP has its socket, and a file while it brings a large message.
const EACH: u64 = 2;

/// Raises our own limit as far as we may: systemd's is 1024 by default, and 524288 to those who ask. Worker processes
/// of plugins have a lower one of their own.
pub(crate) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
}

/// As many LMTP connections as are wanted (0: any number), or as fit beside so many connections of deliveries; says so
/// when fewer fit.
pub(crate) fn fitting(wanted: usize, deliveries: usize) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return wanted };
    let most = most(limit, deliveries);
    if wanted > most {
        tracing::warn!(
            target: "lmtp",
            "only {most} connections at a time are served instead of {wanted}, because at most {limit} files may be \
             open; raise LimitNOFILE= of the systemd unit (else `ulimit -n`), or lower [lmtp] max_connections"
        );
    }
    if wanted == 0 { most } else { wanted.min(most) }
}

fn most(limit: u64, deliveries: usize) -> usize {
    let reserved = (deliveries as u64).saturating_mul(EACH_DELIVERY).saturating_add(HOUSE + WORKERS);
    usize::try_from(limit.saturating_sub(reserved) / EACH).unwrap_or(usize::MAX).max(1)
}

/// What is to be done about an error of accept(2), connect(2) or open(2); `None` when it has nothing to do with the
/// number of open files.
pub(crate) fn advice(error: &io::Error) -> Option<&'static str> {
    let full = |code: rustix::io::Errno| error.raw_os_error() == Some(code.raw_os_error());
    if full(rustix::io::Errno::MFILE) {
        Some("too many files are open here: raise LimitNOFILE= of the systemd unit (else `ulimit -n`)")
    } else if full(rustix::io::Errno::NFILE) {
        Some("too many files are open on this machine: raise fs.file-max (sysctl)")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_kept_for_others_and_one_connection_is_always_served() {
        assert_eq!(most(1024, 4), (1024 - 64 - 2 * 4 - 3 * 16) / 2);
        assert_eq!(most(1024, 20), most(1024, 4) - 16);
        assert_eq!(most(120, 4), 1);
        assert_eq!(most(10, 4), 1);
        assert_eq!(most(1024, usize::MAX), 1);
    }

    #[test]
    fn running_out_of_descriptors_comes_with_advice() {
        let error = |code: rustix::io::Errno| io::Error::from_raw_os_error(code.raw_os_error());
        assert!(advice(&error(rustix::io::Errno::MFILE)).is_some_and(|text| text.contains("LimitNOFILE=")));
        assert!(advice(&error(rustix::io::Errno::NFILE)).is_some_and(|text| text.contains("fs.file-max")));
        assert_eq!(advice(&error(rustix::io::Errno::CONNABORTED)), None);
    }
}
