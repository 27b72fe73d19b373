//! A real systemd in the box.

use super::MtaBox;
use super::machine::wait_until_ready;
use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

/// Becomes process 1 of namespaces of its own, below a control group of its own. What a system manager would change for
/// the whole machine (`/proc/sys`, `/sys`) is read-only there.
const BOOT: &str = r#"
set -eu
groups=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
[ -n "$groups" ] || { echo "there is no file system of control groups (cgroup2)" >&2; exit 1; }
group=$groups/postrider-test-$1
mkdir "$group"
echo $$ >"$group/cgroup.procs"
exec unshare -C -m -p -i -u -f --kill-child --propagation private bash -c '
    set -eu
    # The old /proc still speaks of the process numbers of the box.
    read -r pid rest </proc/self/stat
    mount -t proc proc /proc
    mount --bind /proc/sys /proc/sys
    mount -o remount,bind,ro /proc/sys
    mount -t sysfs -o ro sysfs /sys
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs /run
    : >/etc/machine-id
    echo "ready $pid $1"
    exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=basic.target
' systemd "$group"
"#;

/// systemd as a system manager, with the units that are installed in the box. It has the files and the network of its box, and
/// a `/run` of its own.
#[derive(Debug)]
pub struct Systemd<'b> {
    machine: &'b MtaBox,
    manager: Child,
    /// Its process 1, as the box numbers it.
    pid: String,
    group: String,
}

impl<'b> Systemd<'b> {
    /// Boots it, up to `basic.target`.
    ///
    /// # Errors
    /// When it does not come up; with what was said.
    pub fn boot(machine: &'b MtaBox) -> io::Result<Self> {
        let mut manager = machine
            .command("bash")
            .args(["-c", BOOT, "boot", &machine.pid().to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let told = wait_until_ready(&mut manager, "systemd")?;
        let (pid, group) = told.split_once(' ').ok_or_else(|| io::Error::other(told.clone()))?;
        let systemd = Systemd { machine, manager, pid: pid.to_owned(), group: group.to_owned() };
        let mut state = String::new();
        for _ in 0..600 {
            let output = systemd.output(&["systemctl", "is-system-running"])?;
            String::from_utf8_lossy(&output.stdout).trim().clone_into(&mut state);
            if state == "running" || state == "degraded" {
                return Ok(systemd);
            }
            thread::sleep(Duration::from_millis(50));
        }
        let jobs = systemd.run(&["systemctl", "list-jobs", "--no-pager"]);
        Err(io::Error::other(format!("systemd is {state:?} after 30 s; jobs:\n{jobs}")))
    }

    /// A command that will run beside its services, as root.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.machine.command("nsenter");
        command.args(["-t", &self.pid, "-m", "-p", "-i", "-u", "-C", "-r", "-w", "--"]).arg(program);
        command
    }

    /// Runs a command to its end, whatever its status.
    pub fn output(&self, argv: &[&str]) -> io::Result<Output> {
        let (program, args) = argv.split_first().ok_or_else(|| io::Error::other("empty command"))?;
        self.command(program).args(args).output()
    }

    /// Runs a command that must succeed, and returns its standard output.
    ///
    /// # Panics
    /// When it cannot be run or fails; shows what it said.
    #[track_caller]
    pub fn run(&self, argv: &[&str]) -> String {
        let output = self.output(argv).unwrap_or_else(|error| panic!("{argv:?}: {error}"));
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{argv:?}: {}\n{said}{errors}", output.status);
        said
    }

    /// A property of a unit, as `systemctl show` has it.
    #[track_caller]
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.run(&["systemctl", "show", "--value", "-p", name, unit]).trim().to_owned()
    }

    /// Everything that a unit has written, and what systemd says of it.
    #[track_caller]
    pub fn journal(&self, unit: &str) -> String {
        self.run(&["journalctl", "--no-pager", "-o", "cat", "-u", unit])
    }

    /// A file as this process, outside, sees it.
    pub fn outside(&self, path: &str) -> std::path::PathBuf {
        format!("/proc/{}/root/proc/{}/root{path}", self.machine.pid(), self.pid).into()
    }
}

impl Drop for Systemd<'_> {
    fn drop(&mut self) {
        // To SIGTERM a system manager executes itself anew.
        let _ = self.machine.output(&["kill", "-KILL", &self.pid]);
        let _ = self.manager.wait();
        // Control groups outlive the box.
        let remove = format!(
            "for try in 1 2 3 4 5 6 7 8 9 10; do find {0} -depth -type d -exec rmdir {{}} + 2>/dev/null; [ -d {0} ] || break; sleep 0.1; done",
            self.group
        );
        let _ = self.machine.output(&["bash", "-c", &remove]);
    }
}
