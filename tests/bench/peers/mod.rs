//! smtp-sink, smtp-source, postmap and makemap of unpacked Debian packages.

use postrider_tests::installation::{free_port, wait_for};
use std::{
    fs,
    io::{BufReader, Read as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

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

    /// Sends messages of 4 KiB by LMTP; returns how long it took.
    pub fn send_lmtp(&self, port: u16, sessions: usize, messages: usize, recipient: &str) -> Duration {
        self.source(&["-L"], port, sessions, messages, &["-t", recipient])
    }

    /// Sends messages of 4 KiB by SMTP, each to so many recipients.
    pub fn send_smtp(&self, port: u16, sessions: usize, messages: usize, recipients: usize) -> Duration {
        self.source(&[], port, sessions, messages, &["-r", &recipients.to_string(), "-t", "m@example.org"])
    }

    fn source(&self, protocol: &[&str], port: u16, sessions: usize, messages: usize, to: &[&str]) -> Duration {
        let start = Instant::now();
        let status = self
            .command("smtp-source")
            .args(protocol)
            .args(["-d", "-l", "4096", "-f", "stranger@example.net"])
            .args(["-s", &sessions.to_string(), "-m", &messages.to_string()])
            .args(to)
            .arg(format!("inet:127.0.0.1:{port}"))
            .status()
            .expect("smtp-source");
        assert!(status.success(), "smtp-source: {status}");
        start.elapsed()
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
        // It prints `sess=1 quit=0 mesg=23` again and again, each ended by a carriage return.
        thread::spawn(move || {
            let mut line = Vec::new();
            for octet in BufReader::new(output).bytes().map_while(Result::ok) {
                if octet != b'\r' && octet != b'\n' {
                    line.push(octet);
                    continue;
                }
                let text = String::from_utf8_lossy(&line);
                if let Some(count) = text.split("mesg=").nth(1).and_then(|text| text.trim().parse().ok()) {
                    counter.store(count, Ordering::Relaxed);
                }
                line.clear();
            }
        });
        wait_for("smtp-sink", Duration::from_secs(10), || TcpStream::connect(("127.0.0.1", port)).ok());
        CountingSink { port, child, messages }
    }

    /// Messages received so far.
    pub fn messages(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }
}

impl Drop for CountingSink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
