//! How many connections the limit of open files (`RLIMIT_NOFILE`, setrlimit(2)) allows.
//!
//! Promise: however many clients come, databases, deliveries and commands find descriptors: what was accepted is
//! processed and sent on.

use rustix::process::{Resource, getrlimit};
use std::io;

/// Kept for everything but LMTP: databases (two or three for each of their connections), deliveries, plugins, commands.
const RESERVED: u64 = 48;
/// A connection has its socket, and a file while it brings a large message.
const EACH: u64 = 2;

/// As many connections as are wanted (0: any number), or as fit; says so when fewer fit.
pub(super) fn fitting(wanted: usize) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return wanted };
    let most = most(limit);
    if wanted > most {
        tracing::warn!(
            target: "lmtp",
            "only {most} connections at a time are served instead of {wanted}, because at most {limit} files may be \
             open; raise LimitNOFILE= of the systemd unit (else `ulimit -n`), or lower [lmtp] max_connections"
        );
    }
    if wanted == 0 { most } else { wanted.min(most) }
}

fn most(limit: u64) -> usize {
    usize::try_from(limit.saturating_sub(RESERVED) / EACH).unwrap_or(usize::MAX).max(1)
}

/// What is to be done about an error of accept(2); `None` when nothing is.
pub(super) fn advice(error: &io::Error) -> Option<&'static str> {
    let full = |code: rustix::io::Errno| error.raw_os_error() == Some(code.raw_os_error());
    if full(rustix::io::Errno::MFILE) {
        Some("; clients wait until files are closed: raise LimitNOFILE= of the systemd unit (else `ulimit -n`)")
    } else if full(rustix::io::Errno::NFILE) {
        Some("; clients wait until files are closed: raise fs.file-max (sysctl)")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_kept_for_others_and_one_connection_is_always_served() {
        assert_eq!(most(1024), 488);
        assert_eq!(most(64), 8);
        assert_eq!(most(10), 1);
    }

    #[test]
    fn running_out_of_descriptors_comes_with_advice() {
        let error = |code: rustix::io::Errno| io::Error::from_raw_os_error(code.raw_os_error());
        assert!(advice(&error(rustix::io::Errno::MFILE)).is_some_and(|text| text.contains("LimitNOFILE=")));
        assert!(advice(&error(rustix::io::Errno::NFILE)).is_some_and(|text| text.contains("fs.file-max")));
        assert_eq!(advice(&error(rustix::io::Errno::CONNABORTED)), None);
    }
}
