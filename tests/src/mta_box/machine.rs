//! Namespaces, overlay, life and death of a box.

use super::{HOSTNAME, Layer};
use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    io::{self, BufRead as _, BufReader, Read as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::LinkNameSpaceType;

/// Runs as process 1 of the box. It reaps what is orphaned (a process 1 that does not makes
/// `postfix stop` hang for minutes) and ends when its standard input does, that is, with the test.
const INIT: &str = r#"
set -eu
root=$1 layer=$2 hostname=$3; shift 3
mount -t tmpfs -o mode=755,size=2g tmpfs "$root"
mkdir "$root/upper" "$root/work" "$root/new"
[ -z "$layer" ] || tar -C "$root/upper" --xattrs --xattrs-include='*' -xpf "$layer"
new=$root/new
mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$new"
# The old /proc still speaks of the host's process numbers: this is ours there.
read -r pid rest </proc/self/stat
mount -t proc proc "$new/proc"
mount --rbind /dev "$new/dev"
mount --rbind /sys "$new/sys"
for path; do mkdir -p "$new$path"; mount --rbind "$path" "$new$path"; done
ip link set lo up
hostname "$hostname"
for file in hosts resolv.conf mailname; do rm -f "$new/etc/$file"; done
printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s %s\n' "$hostname" "${hostname%%.*}" >"$new/etc/hosts"
echo 'nameserver 127.0.0.1' >"$new/etc/resolv.conf"
echo "$hostname" >"$new/etc/mailname"
# Only when its root is the new one may anybody be told: what enters earlier would enter the host.
exec chroot "$new" bash -c 'exec 3<&0; cat <&3 >/dev/null & echo "ready $1"; wait $!' init "$pid"
"#;

/// Waits for the line `ready …` of a program that has been started; returns what follows.
pub(super) fn wait_until_ready(program: &mut Child, what: &str) -> io::Result<String> {
    let mut line = String::new();
    if let Some(stdout) = program.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if let Some(told) = line.strip_prefix("ready ") {
        return Ok(told.trim().to_owned());
    }
    let mut said = String::new();
    let _ = program.kill();
    if let Some(mut stderr) = program.stderr.take() {
        let _ = stderr.read_to_string(&mut said);
    }
    let _ = program.wait();
    Err(io::Error::other(format!("{what} did not start: {}", said.trim())))
}

/// A private machine. See the [module](super).
#[derive(Debug)]
pub struct MtaBox {
    init: Child,
    pid: i32,
    directory: tempfile::TempDir,
    shared: PathBuf,
}

impl MtaBox {
    /// Starts a box with what is installed in `layer`.
    ///
    /// # Errors
    /// When the machine has no such namespaces (ask [`crate::require`] first); the text tells
    /// what the kernel or the programs said.
    pub fn start(layer: &Layer) -> io::Result<Self> {
        Self::with_layer_file(layer.file())
    }

    pub(super) fn with_layer_file(layer: Option<&Path>) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("postrider-box-").tempdir()?;
        // Mail servers look into it as users of their own.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        let (root, shared) = (directory.path().join("root"), directory.path().join("shared"));
        fs::create_dir(&root)?;
        fs::create_dir(&shared)?;
        fs::set_permissions(&shared, Permissions::from_mode(0o755))?;
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;

        let mut init = Command::new("unshare")
            .args(["-m", "-n", "-u", "-p", "-f", "--kill-child", "--propagation", "private"])
            .args(["bash", "-c", INIT, "init"])
            .args([root.as_os_str(), layer.map_or(OsStr::new(""), Path::as_os_str), OsStr::new(HOSTNAME)])
            .args([workspace.as_os_str(), shared.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let told = wait_until_ready(&mut init, "the box")?;
        let pid = told.parse().map_err(io::Error::other)?;
        Ok(MtaBox { init, pid, directory, shared })
    }

    /// A directory with the same path inside and outside: tables, sockets, logs.
    pub fn shared(&self) -> &Path {
        &self.shared
    }

    /// The process number of the box's process 1, seen from outside.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// A command that will run inside, as root, in `/`, in a clean environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.pid.to_string(), "-m", "-n", "-u", "-p", "-r", "-w", "--"])
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", "/root")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command inside to its end, whatever its status.
    pub fn output(&self, argv: &[&str]) -> io::Result<Output> {
        let (program, args) = argv.split_first().ok_or_else(|| io::Error::other("empty command"))?;
        self.command(program).args(args).output()
    }

    /// Runs a command inside and returns its standard output.
    ///
    /// # Panics
    /// When it fails; with its status and what it wrote.
    pub fn run(&self, argv: &[&str]) -> String {
        let output = self.output(argv).unwrap_or_else(|error| panic!("{argv:?}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{argv:?} in the box: {}\n{}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Runs a script of `bash -eu` inside and returns its standard output.
    ///
    /// # Panics
    /// When it fails; with its status and what it wrote.
    pub fn shell(&self, script: &str) -> String {
        self.run(&["bash", "-euc", script])
    }

    /// Writes a file inside (`path` is absolute), readable by everybody.
    pub fn write(&self, path: &str, contents: &str) -> io::Result<()> {
        // The kernel shows a process's own root directory here.
        let outside = format!("/proc/{}/root{path}", self.pid);
        fs::write(&outside, contents)?;
        fs::set_permissions(&outside, Permissions::from_mode(0o644))
    }

    /// Reads a file inside.
    pub fn read(&self, path: &str) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(format!("/proc/{}/root{path}", self.pid))?).into_owned())
    }

    /// Makes a local user with a mailbox (`/var/mail/NAME`).
    pub fn add_user(&self, name: &str) {
        self.run(&["useradd", "--no-create-home", "--shell", "/usr/sbin/nologin", name]);
    }

    /// Does something in the box's network: sockets made in `work` belong to it for ever and may
    /// be handed out.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let namespace = File::open(format!("/proc/{}/ns/net", self.pid))?;
        thread::scope(|scope| {
            // A thread of its own, so that the caller's stays where it is.
            let worker = scope.spawn(move || {
                let network = Some(LinkNameSpaceType::Network);
                rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), network)?;
                work()
            });
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Listens on an address of the box, for instance `127.0.0.1:8024` (port 0: any).
    pub fn listen(&self, address: &str) -> io::Result<TcpListener> {
        self.inside(|| TcpListener::bind(address))
    }

    /// Connects to an address of the box from another one (`127.0.0.2` is a stranger).
    pub fn connect(&self, from: &str, to: &str) -> io::Result<TcpStream> {
        let from: IpAddr = from.parse().map_err(io::Error::other)?;
        let to: SocketAddr = to.parse().map_err(io::Error::other)?;
        self.inside(move || {
            let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            rustix::net::bind(&socket, &SocketAddr::new(from, 0))?;
            rustix::net::connect(&socket, &to)?;
            Ok(TcpStream::from(socket))
        })
    }

    /// Waits until somebody accepts connections at `address`.
    pub fn wait_for_port(&self, address: &str, limit: Duration) -> io::Result<()> {
        let begin = Instant::now();
        let source = if address.starts_with('[') { "::1" } else { "127.0.0.1" };
        loop {
            match self.connect(source, address) {
                Ok(_) => return Ok(()),
                Err(error) if begin.elapsed() > limit => {
                    return Err(io::Error::new(
                        error.kind(),
                        format!("nobody listens at {address} in the box: {error}"),
                    ));
                }
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Saves what has been written inside since its start (and its own layer) as a tar file.
    pub(super) fn save(&self, file: &Path) -> io::Result<()> {
        let upper = self.directory.path().join("root/upper");
        let output = Command::new("nsenter")
            .args(["-t", &self.pid.to_string(), "-m", "--", "tar", "--xattrs", "--xattrs-include=*", "-C"])
            .arg(upper)
            .arg("-cpf")
            .arg(file)
            .arg(".")
            .output()?;
        if output.status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("tar failed: {}", String::from_utf8_lossy(&output.stderr).trim())))
        }
    }
}

impl Drop for MtaBox {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.pid) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = self.init.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::require::{self, Capability};

    fn bare_box(test: &str) -> Option<MtaBox> {
        require::all(test, &[Capability::Root, Capability::Namespaces])
            .then(|| MtaBox::with_layer_file(None).expect("a box starts"))
    }

    #[test]
    fn what_is_written_inside_stays_inside_except_in_the_shared_directory() {
        let Some(machine) = bare_box("what_is_written_inside_stays_inside") else { return };
        machine.write("/etc/postrider-box-test", "x").expect("written");
        assert_eq!(machine.run(&["cat", "/etc/postrider-box-test"]), "x");
        assert!(!Path::new("/etc/postrider-box-test").exists());

        let file = machine.shared().join("seen");
        machine.run(&["touch", file.to_str().expect("UTF-8")]);
        assert!(file.exists());
    }

    #[test]
    fn it_has_its_own_name_processes_and_network() {
        let Some(machine) = bare_box("it_has_its_own_name_processes_and_network") else { return };
        assert_eq!(machine.run(&["hostname", "-f"]).trim(), HOSTNAME);
        assert!(machine.shell("ls -d /proc/[0-9]* | wc -l").trim().parse::<u32>().expect("a number") < 10);

        let listener = machine.listen("127.0.0.1:25").expect("port 25 is free in there");
        let client = machine.connect("127.0.0.2", "127.0.0.1:25").expect("connected");
        let (_server, peer) = listener.accept().expect("accepted");
        assert_eq!(peer, client.local_addr().expect("bound"));
        assert_eq!(peer.ip().to_string(), "127.0.0.2");
    }

    #[test]
    fn orphans_are_reaped() {
        let Some(machine) = bare_box("orphans_are_reaped") else { return };
        machine.shell("(sleep 0.01 &)");
        thread::sleep(Duration::from_millis(100));
        assert_eq!(machine.shell("grep -l '^State:.Z' /proc/[0-9]*/status || true"), "");
    }

    #[test]
    fn nothing_is_left_when_it_is_dropped() {
        let Some(machine) = bare_box("nothing_is_left_when_it_is_dropped") else { return };
        let (pid, directory) = (machine.pid(), machine.directory.path().to_owned());
        let mut sleeper = machine.command("bash");
        let mut sleeper =
            sleeper.args(["-c", "echo up; exec sleep 600"]).stdout(Stdio::piped()).spawn().expect("started");
        let mut up = [0; 2];
        sleeper.stdout.take().expect("piped").read_exact(&mut up).expect("it is inside");
        drop(machine);
        assert!(!sleeper.wait().expect("ended").success(), "killed with its box");
        assert!(!directory.exists());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
