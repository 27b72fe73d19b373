//! Programs of unpacked Debian packages beside which we are measured, and those that compile tables.

mod dovecot;
mod mailman;
mod mlmmj;
mod postfix;
mod watcher;

pub use dovecot::Dovecot;
pub use mailman::Mailman;
pub use mlmmj::Mlmmj;
pub use postfix::Postfix;
pub use watcher::Watcher;

use crate::network::Network;
use postrider_tests::installation::{free_port, wait_for};
use std::{
    fs,
    io::Read,
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_mins(30);

/// Where the packages were unpacked.
pub struct Peers {
    root: PathBuf,
}

impl Peers {
    /// The packages unpacked here.
    pub fn unpacked_at(root: impl Into<PathBuf>) -> Self {
        // Some programs are run in other directories.
        Peers { root: fs::canonicalize(root.into()).expect("the directory of the unpacked packages") }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.root.join("usr/sbin").join(program));
        command.env("LD_LIBRARY_PATH", self.libraries(&[&self.root.join("usr/lib/postfix")]));
        command
    }

    /// Where programs look for libraries: in these directories, and in those of the unpacked packages.
    fn libraries(&self, first: &[&Path]) -> String {
        let of = |parent: &str| {
            let inside = fs::read_dir(self.root.join(parent)).into_iter().flatten().flatten().map(|entry| entry.path());
            inside.filter(|path| path.to_string_lossy().ends_with("-linux-gnu")).collect::<Vec<_>>()
        };
        let unpacked = [of("usr/lib"), of("lib")].concat();
        let all = first.iter().copied().chain(unpacked.iter().map(PathBuf::as_path));
        all.map(|path| path.display().to_string()).collect::<Vec<_>>().join(":")
    }

    /// smtp-source sends messages; returns how long it took. What arrived is counted by others.
    pub fn send(&self, load: &Load<'_>) -> Duration {
        let start = Instant::now();
        let mut command = self.command("smtp-source");
        if load.lmtp {
            command.arg("-L");
        }
        let status = command
            .args(["-d", "-f", load.sender, "-t", load.recipient])
            .args(["-l", &load.size.to_string(), "-r", &load.recipients.to_string()])
            .args(["-s", &load.sessions.to_string(), "-m", &load.messages.to_string()])
            .arg(format!("inet:{}:{}", load.host, load.port))
            .status()
            .expect("smtp-source");
        assert!(status.success(), "smtp-source: {status}");
        start.elapsed()
    }

    /// Where the packages were unpacked.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The real postmap, with its libraries and a configuration directory.
    pub fn postmap(&self) -> PathBuf {
        let root = self.root.display();
        let libraries = self.libraries(&[&self.root.join("usr/lib/postfix")]);
        let etc = self.root.join("postfix-etc");
        fs::create_dir_all(&etc).expect("directory");
        let main_cf = format!(
            "compatibility_level = 3.6\nmail_owner = daemon\nsetgid_group = mail\nmeta_directory = {}\n\
             shlib_directory = {root}/usr/lib/postfix\n",
            etc.display()
        );
        fs::write(etc.join("main.cf"), main_cf).expect("main.cf");
        // Its own dynamicmaps.cf names libraries where the package is not installed.
        fs::write(
            etc.join("dynamicmaps.cf"),
            format!("lmdb {root}/usr/lib/postfix/postfix-lmdb.so dict_lmdb_open mkmap_lmdb_open\n"),
        )
        .expect("dynamicmaps.cf");
        script(
            self.root.join("postmap"),
            &format!("LD_LIBRARY_PATH={libraries} exec {root}/usr/sbin/postmap -c {} \"$@\"", etc.display()),
        )
    }

    /// The real makemap of Sendmail.
    pub fn makemap(&self) -> PathBuf {
        let root = self.root.display();
        fs::write(self.root.join("sendmail.cf"), "").expect("sendmail.cf");
        script(
            self.root.join("makemap"),
            &format!("exec {root}/usr/libexec/sendmail/makemap -C {root}/sendmail.cf \"$@\""),
        )
    }
}

/// What smtp-source sends.
pub struct Load<'a> {
    /// LMTP, not SMTP.
    pub lmtp: bool,
    /// Where to.
    pub host: &'a str,
    /// Where to.
    pub port: u16,
    /// Connections at a time.
    pub sessions: usize,
    /// Messages.
    pub messages: usize,
    /// Octets of each.
    pub size: usize,
    /// Recipients of each.
    pub recipients: usize,
    /// Envelope sender.
    pub sender: &'a str,
    /// Recipient; of several, smtp-source puts a number before each.
    pub recipient: &'a str,
}

impl<'a> Load<'a> {
    /// By LMTP to our list.
    pub fn lmtp(port: u16, sessions: usize, messages: usize, size: usize) -> Self {
        Load {
            lmtp: true,
            host: "127.0.0.1",
            port,
            sessions,
            messages,
            size,
            recipients: 1,
            sender: "stranger@example.net",
            recipient: crate::sites::LIST,
        }
    }

    /// By SMTP, as a list server would.
    pub fn smtp((host, port): (&'a str, u16), sessions: usize, messages: usize, recipients: usize) -> Self {
        Load {
            lmtp: false,
            host,
            port,
            sessions,
            messages,
            size: 4096,
            recipients,
            sender: "ants-bounces@lists.example.com",
            recipient: "m@example.org",
        }
    }
}

/// A program of an unpacked package behind a script, so that it finds its libraries and configuration.
fn script(path: PathBuf, text: &str) -> PathBuf {
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
    path
}

/// What an smtp-sink has counted.
#[derive(Default)]
struct Count {
    messages: usize,
    first: Option<Instant>,
    latest: Option<Instant>,
    /// Somebody waits for so many.
    awaited: usize,
}

/// An smtp-sink whose counter of messages we read.
pub struct CountingSink {
    /// Where it can be reached.
    pub host: String,
    /// Where it can be reached.
    pub port: u16,
    child: Child,
    count: Arc<(Mutex<Count>, Condvar)>,
}

impl CountingSink {
    /// An LMTP sink.
    pub fn lmtp(peers: &Peers) -> Self {
        Self::start(peers, &Network::Near, &["-L"])
    }

    /// An SMTP sink.
    pub fn smtp(peers: &Peers, network: &Network) -> Self {
        Self::start(peers, network, &[])
    }

    fn start(peers: &Peers, network: &Network, protocol: &[&str]) -> Self {
        let mut command = peers.command("smtp-sink");
        command.args(protocol).arg("-c");
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        let listens = free_port();
        command.arg(format!("{}:{listens}", network.host())).arg("256");
        let mut child = network.enter(command).stdout(Stdio::piped()).spawn().expect("smtp-sink");
        let count = Arc::new((Mutex::new(Count::default()), Condvar::new()));
        let output = child.stdout.take().expect("stdout");
        let counter = count.clone();
        thread::spawn(move || read_counter(output, &counter));
        let (host, port) = (network.host().to_owned(), network.reach(listens));
        wait_for("smtp-sink", Duration::from_secs(10), || TcpStream::connect((host.as_str(), port)).ok());
        CountingSink { host, port, child, count }
    }

    /// Where it can be reached.
    pub fn at(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Messages received so far.
    pub fn messages(&self) -> usize {
        self.count.0.lock().expect("lock").messages
    }

    /// Waits until so many more have come than `before`; returns when the last of them was counted.
    pub fn wait_for(&self, before: usize, more: usize) -> Instant {
        let (count, news) = &*self.count;
        let mut count = count.lock().expect("lock");
        count.awaited = before + more;
        let (count, waited) =
            news.wait_timeout_while(count, LONG, |count| count.messages < before + more).expect("lock");
        assert!(!waited.timed_out(), "waited {LONG:?} in vain for {more} messages; {} came", count.messages - before);
        count.latest.expect("the time of a message")
    }

    /// Forgets when the first message came.
    pub fn forget_first(&self) {
        self.count.0.lock().expect("lock").first = None;
    }

    /// When the first message came since then.
    pub fn first(&self) -> Option<Instant> {
        self.count.0.lock().expect("lock").first
    }
}

/// It prints `sess=1 quit=0 mesg=23` again and again, each ended by a carriage return. Only the latest of what came
/// together matters.
fn read_counter(mut output: impl Read, (count, news): &(Mutex<Count>, Condvar)) {
    let (mut text, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    while let Ok(length @ 1..) = output.read(&mut buffer) {
        text.extend_from_slice(&buffer[..length]);
        let Some(end) = text.iter().rposition(|octet| *octet == b'\r' || *octet == b'\n') else { continue };
        let whole = String::from_utf8_lossy(&text[..end]);
        let seen = whole.rsplit("mesg=").next().and_then(|text| text.trim().parse::<usize>().ok());
        if let Some(messages) = seen {
            let mut count = count.lock().expect("lock");
            if messages > count.messages {
                let now = Instant::now();
                count.messages = messages;
                count.first.get_or_insert(now);
                count.latest = Some(now);
                if messages >= count.awaited {
                    news.notify_all();
                }
            }
        }
        text.drain(..=end);
    }
}

impl Drop for CountingSink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
