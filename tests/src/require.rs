//! What a test needs of the machine it runs on.
//!
//! On a developer's machine a test whose needs are not met says `SKIPPED` loudly and passes. In
//! CI (`CI=true`) nothing is skipped: the missing capability fails the test by its name.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    sync::OnceLock,
};

/// Something that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// The test runs as the superuser.
    Root,
    /// Mount, network, UTS and PID namespaces of our own, with an overlay of `/` and a loopback
    /// interface in them.
    Namespaces,
    /// Debian packages can be fetched with `apt-get`, or have been.
    Packages,
    /// A systemd that can be given a control group of its own (cgroup2).
    Systemd,
}

/// Everything that [`crate::mta_box`] needs.
pub const MTA_BOX: &[Capability] = &[Capability::Root, Capability::Namespaces, Capability::Packages];

/// Are all of these here? If not, the test has to return at once:
///
/// ```no_run
/// use postrider_tests::require::{self, MTA_BOX};
///
/// # fn test() {
/// if !require::all("unknown_list_is_refused_at_rcpt", MTA_BOX) {
///     return;
/// }
/// # }
/// ```
///
/// # Panics
/// In CI, naming the first capability that is missing.
pub fn all(test: &str, needed: &[Capability]) -> bool {
    for capability in needed {
        if let Err(why) = capability.check() {
            skip(&format!("{test} needs {capability:?}, which this machine does not offer: {why}"));
            return false;
        }
    }
    true
}

/// Says loudly that a test cannot do its work here; the caller returns after this.
///
/// # Panics
/// In CI: what is not run there is not known to work.
pub fn skip(why: &str) {
    assert!(!in_ci(), "CI must not skip: {why}");
    // Written past the test harness, which would swallow it.
    let _ = writeln!(std::io::stderr().lock(), "\nSKIPPED: {why}");
}

/// `CI=true` (or `1`) in the environment.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

impl Capability {
    /// Looks whether the machine has it; says why not.
    pub fn check(self) -> Result<(), String> {
        match self {
            Capability::Root => {
                if rustix::process::geteuid().is_root() {
                    Ok(())
                } else {
                    Err("run the tests as root".into())
                }
            }
            Capability::Namespaces => {
                static SEEN: OnceLock<Result<(), String>> = OnceLock::new();
                SEEN.get_or_init(try_namespaces).clone()
            }
            Capability::Packages => {
                let offline = fs::read_dir(crate::mta_box::cache_dir()).is_ok_and(|mut files| files.next().is_some());
                if offline || runs("apt-get", &["--version"]) { Ok(()) } else { Err("there is no apt-get".into()) }
            }
            Capability::Systemd => {
                let groups = runs("findmnt", &["-t", "cgroup2"]);
                match (runs("/lib/systemd/systemd", &["--version"]), groups) {
                    (true, true) => Ok(()),
                    (false, _) => Err("systemd is missing; run tests/setup".into()),
                    (true, false) => Err("no file system of control groups (cgroup2) is mounted".into()),
                }
            }
        }
    }
}

fn try_namespaces() -> Result<(), String> {
    for (program, package) in [("unshare", "util-linux"), ("nsenter", "util-linux"), ("ip", "iproute2"), ("tar", "tar")]
    {
        if !runs(program, &["-V"]) && !runs(program, &["--version"]) {
            return Err(format!("the program {program} (Debian package {package}) is missing; run tests/setup"));
        }
    }
    let script = "mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w /mnt/m && ip link set lo up && \
                  mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/m";
    let output = Command::new("unshare")
        .args(["-m", "-n", "-u", "-p", "-f", "--propagation", "private", "sh", "-c", script])
        .output()
        .map_err(|error| format!("unshare: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("unshare or overlay failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

fn runs(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
