//! Programs of unpacked Debian packages beside which we are measured, and those that compile tables.

mod dovecot;
mod mailman;
mod mlmmj;
mod postfix;

pub use dovecot::Dovecot;
pub use mailman::Mailman;
pub use mlmmj::Mlmmj;
pub use postfix::Postfix;

use postrider_tests::installation::{free_port, wait_for};
use std::{
    fs,
    io::{BufReader, Read as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
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
        Peers { root: root.into() }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.root.join("usr/sbin").join(program));
        command.env("LD_LIBRARY_PATH", self.root.join("usr/lib/postfix"));
        command
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
            .arg(format!("inet:127.0.0.1:{}", load.port))
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
            &format!(
                "LD_LIBRARY_PATH={root}/usr/lib/postfix:$(echo {root}/usr/lib/*-linux-gnu) exec {root}/usr/sbin/postmap -c {} \"$@\"",
                etc.display()
            ),
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
    /// Where to, on this machine.
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

impl Load<'_> {
    /// By LMTP to our list.
    pub fn lmtp(port: u16, sessions: usize, messages: usize, size: usize) -> Self {
        Load {
            lmtp: true,
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
    pub fn smtp(port: u16, sessions: usize, messages: usize, recipients: usize) -> Self {
        Load {
            lmtp: false,
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

/// An smtp-sink whose counter of messages we read.
pub struct CountingSink {
    /// Where it listens.
    pub port: u16,
    child: Child,
    messages: Arc<AtomicUsize>,
    first: Arc<Mutex<Option<Instant>>>,
}

impl CountingSink {
    /// An LMTP sink.
    pub fn lmtp(peers: &Peers) -> Self {
        Self::start(peers, free_port(), &["-L"])
    }

    /// An SMTP sink.
    pub fn smtp(peers: &Peers, port: u16) -> Self {
        Self::start(peers, port, &[])
    }

    fn start(peers: &Peers, port: u16, protocol: &[&str]) -> Self {
        let mut command = peers.command("smtp-sink");
        command.args(protocol).arg("-c");
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        let mut child =
            command.arg(format!("127.0.0.1:{port}")).arg("256").stdout(Stdio::piped()).spawn().expect("smtp-sink");
        let messages = Arc::new(AtomicUsize::new(0));
        let (counter, output) = (messages.clone(), child.stdout.take().expect("stdout"));
        let first = Arc::new(Mutex::new(None));
        let seen = first.clone();
        // It prints `sess=1 quit=0 mesg=23` again and again, each ended by a carriage return.
        thread::spawn(move || {
            let mut line = Vec::new();
            for octet in BufReader::new(output).bytes().map_while(Result::ok) {
                if octet != b'\r' && octet != b'\n' {
                    line.push(octet);
                    continue;
                }
                let text = String::from_utf8_lossy(&line);
                if let Some(count) = text.split("mesg=").nth(1).and_then(|text| text.trim().parse().ok())
                    && counter.swap(count, Ordering::Relaxed) < count
                {
                    seen.lock().expect("lock").get_or_insert_with(Instant::now);
                }
                line.clear();
            }
        });
        wait_for("smtp-sink", Duration::from_secs(10), || TcpStream::connect(("127.0.0.1", port)).ok());
        CountingSink { port, child, messages, first }
    }

    /// Messages received so far.
    pub fn messages(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    /// Waits until so many more have come than `before`.
    pub fn wait_for(&self, before: usize, more: usize) {
        wait_for("the sink's count", LONG, || (self.messages() >= before + more).then_some(()));
    }

    /// Forgets when the first message came.
    pub fn forget_first(&self) {
        *self.first.lock().expect("lock") = None;
    }

    /// When the first message came since then.
    pub fn first(&self) -> Option<Instant> {
        *self.first.lock().expect("lock")
    }
}

impl Drop for CountingSink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
