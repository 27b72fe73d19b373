//! What is recorded: a Postrider at work, from its first command on.

use super::post::{ANTS, LATER, Post, STRANGER, members};
use super::record::{Event, Record};
use postrider_tests::installation::{Daemon, Dialogue, Installation, wait_for};
use postrider_tests::set_on_drop::SetOnDrop;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, thread};

const SOON: Duration = Duration::from_mins(1);
/// LMTP sessions at a time.
const SESSIONS: usize = 4;
/// More than the spool keeps in its database.
pub const LARGE: usize = 300_000;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Posts of each session, in each of the three rounds.
    pub posts: u32,
    /// Posts of 250 KB while the MTA is away; about 40 of them make SQLite copy its log into the database, and make the
    /// spool give back pages when they are delivered.
    pub big_posts: u32,
}

/// What was recorded.
pub struct Recording {
    pub events: Vec<Event>,
    /// The inode of the directory that was empty in the beginning.
    pub root: u64,
    /// By the id that the daemon gave in its reply.
    pub posts: BTreeMap<String, Post>,
    /// What the directory holds in the end.
    pub end: super::disk::State,
    /// Most recipients of a batch, and most connections to the MTA, as configured.
    pub batch: usize,
    pub connections: usize,
    _directory: Installation,
}

/// Runs it all. `environment`: for the daemon.
pub fn record(amount: Amount, environment: &[(&str, &str)]) -> Recording {
    let (batch, connections) = (10, 2);
    let mut installation = Installation::with_mta(&format!(
        "incoming: postfix.LMTP\nconfiguration: $DIR/postfix.cfg\nmax_recipients: {batch}\nmax_delivery_threads: {connections}\nverp_delivery_interval: 3\n[lmtp]\nmin_free_space: 0\n"
    ));
    let var = installation.path().join("var");
    fs::create_dir(&var).expect("directory");
    let record = Record::new(&installation.path().join("record"), &var);
    let recorder = build_recorder(installation.path());
    for (name, value) in record.environment(&recorder) {
        installation.environment(name, value);
    }
    for (name, value) in environment {
        installation.environment(*name, *value);
    }
    let load = Load {
        installation: &installation,
        record: &record,
        posts: Mutex::default(),
        next: AtomicU32::new(1),
        accepted: Mutex::default(),
    };
    load.make_list("ants", &members());
    installation.run(&["set", ANTS, "max_message_size=0"]);
    let sink = Sink::default();
    thread::scope(|scope| {
        let stop = SetOnDrop(&sink.stop);
        scope.spawn(|| sink.serve(installation.smtp_port, &record));
        load.run(amount, &sink);
        drop(stop);
    });
    let posts = load.posts.into_inner().expect("posts");
    Recording {
        events: record.events(),
        root: fs::metadata(&var).expect("directory").ino(),
        posts,
        end: read(&var),
        batch,
        connections,
        _directory: installation,
    }
}

fn build_recorder(directory: &Path) -> std::path::PathBuf {
    let library = directory.join("recorder.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("crash/power_loss/recorder.c");
    let output = std::process::Command::new("cc")
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", "-shared", "-pthread", "-o"])
        .args([&library, &source])
        .output()
        .expect("cc; run tests/setup");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// Files, and directories; no sockets and nothing of shared memory.
fn read(root: &Path) -> super::disk::State {
    fn walk(root: &Path, at: &Path, state: &mut super::disk::State) {
        let name = at.strip_prefix(root).expect("below").to_owned();
        let metadata = fs::symlink_metadata(at).expect("file");
        if metadata.is_dir() {
            state.insert(name, None);
            for entry in fs::read_dir(at).expect("directory") {
                walk(root, &entry.expect("entry").path(), state);
            }
        } else if metadata.is_file() && !name.to_string_lossy().ends_with("-shm") {
            state.insert(name, Some(fs::read(at).expect("file")));
        }
    }
    let mut state = super::disk::State::new();
    walk(root, root, &mut state);
    state
}

struct Load<'a> {
    installation: &'a Installation,
    record: &'a Record,
    posts: Mutex<BTreeMap<String, Post>>,
    next: AtomicU32,
    /// Held posts that a command has accepted.
    accepted: Mutex<BTreeSet<i64>>,
}

impl Load<'_> {
    fn run(&self, amount: Amount, sink: &Sink) {
        let daemon = self.installation.serve();
        self.round(amount.posts, true);
        // The end of a daemon removes the log of its database; the next one makes a new one.
        daemon.stop();
        let daemon = self.installation.serve();
        self.round(amount.posts, false);
        // While deliveries run; the next one finds the log and uses it.
        daemon.kill();
        let daemon = self.installation.serve();
        self.round(amount.posts, true);
        self.accept_held();
        self.wait_until_delivered();
        self.big(amount.big_posts, sink);
        daemon_ends(daemon);
    }

    /// All sessions, and commands beside them.
    fn round(&self, posts: u32, commands: bool) {
        thread::scope(|scope| {
            for session in 0..SESSIONS {
                scope.spawn(move || {
                    let mut lmtp = self.installation.lmtp();
                    for count in 0..posts {
                        let post = self.new_post(match (session, count % 5) {
                            (0, 1) | (1, 3) => LARGE + count as usize * 10_001,
                            (_, 2) => 60_000 + session * 777,
                            _ => 900 + count as usize * 131,
                        });
                        let post = Post { held: session == 2 && count % 2 == 1, ..post };
                        self.send(&mut lmtp, post);
                    }
                });
            }
            if commands {
                scope.spawn(|| {
                    let name = format!("bees{}", self.next.load(Ordering::Relaxed));
                    self.make_list(&name, &["b1@example.org".to_owned(), "b2@example.org".to_owned()]);
                    self.accept_held();
                });
            }
        });
    }

    /// Big posts while the MTA is away, then all at once.
    fn big(&self, posts: u32, sink: &Sink) {
        sink.away.store(true, Ordering::Relaxed);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut lmtp = self.installation.lmtp();
                    for _ in 0..posts / 2 {
                        self.send(&mut lmtp, self.new_post(250_000));
                    }
                });
            }
        });
        sink.away.store(false, Ordering::Relaxed);
        wait_for("the daemon to ask the MTA again", SOON, || {
            self.installation.run(&["queue", "retry"]);
            self.is_delivered().then_some(())
        });
    }

    fn new_post(&self, size: usize) -> Post {
        Post { number: self.next.fetch_add(1, Ordering::Relaxed), size, held: false }
    }

    fn send(&self, lmtp: &mut Dialogue, post: Post) {
        lmtp.expect(&format!("MAIL FROM:<{}>", post.sender()), "250");
        lmtp.expect(&format!("RCPT TO:<{ANTS}>"), "250");
        lmtp.expect("DATA", "354");
        let mut message = post.message();
        message.extend(b".\r\n");
        lmtp.write(&message);
        let reply = lmtp.reply();
        let id = accepted_id(&reply).unwrap_or_else(|| panic!("{post:?}: {reply}"));
        self.posts.lock().expect("posts").insert(id.to_owned(), post);
    }

    fn make_list(&self, name: &str, members: &[String]) {
        let list = format!("{name}@lists.example.com");
        self.installation.run(&["create", &list, "--owner", "olga@example.org"]);
        self.record.mark(&format!("list {list}"));
        self.installation.run_with_input(&["addmembers", "-", &list], &members.join("\n"));
        self.record.mark(&format!("members {list} {}", members.join(",")));
    }

    fn accept_held(&self) {
        let mut accepted = self.accepted.lock().expect("numbers");
        for post in self.installation.json(&["held", "--json"]).as_array().expect("posts") {
            let number = post["id"].as_i64().expect("number");
            if post["sender"] == STRANGER && accepted.len() % 3 != 2 {
                self.installation.run(&["held", "accept", &number.to_string()]);
            }
            accepted.insert(number);
        }
    }

    /// Nobody waits but those for whom the MTA says "later".
    fn is_delivered(&self) -> bool {
        let queue = self.installation.json(&["queue", "--json"]);
        let out = queue["out"].as_array().expect("queue");
        queue["in"].as_array().expect("queue").is_empty() && out.iter().all(|one| one["waiting"] == 1)
    }

    fn wait_until_delivered(&self) {
        wait_for("deliveries", SOON, || self.is_delivered().then_some(()));
    }
}

fn daemon_ends(daemon: Daemon) {
    daemon.stop();
}

/// The id in a reply that takes responsibility for a message.
pub fn accepted_id(reply: &str) -> Option<&str> {
    reply.trim_end().strip_prefix("250 2.0.0 Accepted as ")
}

/// The MTA: takes every message, and notes for whom before it says so.
#[derive(Default)]
struct Sink {
    stop: AtomicBool,
    /// Says 421.
    away: AtomicBool,
}

impl Sink {
    fn serve(&self, port: u16, record: &Record) {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the SMTP port");
        listener.set_nonblocking(true).expect("socket");
        thread::scope(|scope| {
            while !self.stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => drop(scope.spawn(|| self.session(stream, record))),
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
    }

    fn session(&self, stream: TcpStream, record: &Record) {
        stream.set_nonblocking(false).expect("socket");
        stream.set_nodelay(true).expect("socket");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("socket");
        let mut output = stream.try_clone().expect("socket");
        let mut input = BufReader::new(stream);
        let mut recipients = Vec::new();
        let greeting = if self.away.load(Ordering::Relaxed) { "421 4.3.2 away\r\n" } else { "220 sink\r\n" };
        if output.write_all(greeting.as_bytes()).is_err() || greeting.starts_with('4') {
            return;
        }
        while let Some(line) = self.line(&mut input) {
            let upper = String::from_utf8_lossy(&line).to_ascii_uppercase();
            let reply = match upper.get(..4).unwrap_or_default() {
                "EHLO" => "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n",
                "RCPT" if upper.contains(&LATER.to_ascii_uppercase()) => "451 4.2.0 later\r\n",
                "RCPT" => {
                    recipients.push(upper.split(['<', '>']).nth(1).unwrap_or_default().to_ascii_lowercase());
                    "250 2.1.5 OK\r\n"
                }
                "DATA" if recipients.is_empty() => "554 5.5.1 no recipients\r\n",
                "DATA" => {
                    let _ = output.write_all(b"354 go on\r\n");
                    let Some(message) = self.message(&mut input) else { return };
                    if let Some(post) = Post::of(&message).expect("a post, whole, or a notice") {
                        record.mark(&format!("got {} {}", post.number, recipients.join(",")));
                    }
                    recipients.clear();
                    "250 2.0.0 OK\r\n"
                }
                "QUIT" => {
                    let _ = output.write_all(b"221 2.0.0 bye\r\n");
                    return;
                }
                "RSET" | "MAIL" => {
                    recipients.clear();
                    "250 2.0.0 OK\r\n"
                }
                _ => "250 2.0.0 OK\r\n",
            };
            if output.write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// Up to the line feed; `None` at the end.
    fn line(&self, input: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            match input.read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(_) if line.ends_with(b"\n") => return Some(line),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                    if self.stop.load(Ordering::Relaxed) {
                        return None;
                    }
                }
                Err(_) => return None,
            }
        }
    }

    fn message(&self, input: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            let line = self.line(input)?;
            if line == b".\r\n" {
                return Some(message);
            }
            message.extend(line.strip_prefix(b".").unwrap_or(&line));
        }
    }
}
