//! A Postrider of its own in a temporary directory: configuration, plugins, command line, daemon.
//!
//! The programs are those of this build (`target/debug`); `tests/run` builds them first.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

/// Where this build's programs and libraries are.
pub fn build_dir() -> PathBuf {
    // Programs lie in target/PROFILE, test programs in its folder `deps`.
    let program = std::env::current_exe().expect("the test knows its own file");
    let folder = program.parent().expect("a folder");
    if folder.ends_with("deps") {
        folder.parent().expect("target directory").to_path_buf()
    } else {
        folder.to_path_buf()
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}

/// Waits until `done` gives something, and says what was waited for when it never does.
pub fn wait_for<T>(what: &str, limit: Duration, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One installation; everything of it vanishes when dropped.
pub struct Installation {
    directory: tempfile::TempDir,
    /// The LMTP port in the configuration.
    pub lmtp_port: u16,
    /// The address of the mail server in the configuration.
    pub smtp_host: String,
    /// The SMTP port in the configuration.
    pub smtp_port: u16,
    environment: Vec<(OsString, OsString)>,
}

impl Installation {
    /// With the Postfix plugin and `sqlite` tables, which need no program of Postfix.
    pub fn new() -> Self {
        Self::with_mta("incoming: postfix.LMTP\nconfiguration: $DIR/postfix.cfg\n")
    }

    /// With these lines in `[mta]` beside hosts and ports; `$DIR` stands for the directory.
    pub fn with_mta(mta: &str) -> Self {
        Self::in_directory(tempfile::Builder::new().prefix("postrider-").tempdir().expect("a directory"), mta)
    }

    /// The same in a directory that exists already.
    pub fn in_directory(directory: tempfile::TempDir, mta: &str) -> Self {
        let (lmtp_port, smtp_port) = (free_port(), free_port());
        let installation = Installation {
            directory,
            lmtp_port,
            smtp_host: "127.0.0.1".to_owned(),
            smtp_port,
            environment: Vec::new(),
        };
        let dir = installation.path().display().to_string();
        fs::create_dir(installation.path().join("plugins")).expect("plugin directory");
        installation.install_plugin(&build_dir().join("libpostrider_postfix.so"), "libpostrider_postfix.so");
        installation.write("postfix.cfg", "[postfix]\ntransport_file_type: sqlite\n");
        installation.write(
            "postrider.cfg",
            &format!(
                "[mailman]\nsite_owner: postmaster@example.com\nlayout: here\n\n\
                 [paths.here]\nvar_dir: {dir}/var\nlock_dir: {dir}/var/locks\nlog_dir: {dir}/var/logs\n\n\
                 [plugins]\npath: {dir}/plugins\n\n\
                 [mta]\nlmtp_host: 127.0.0.1\nlmtp_port: {lmtp_port}\nsmtp_host: 127.0.0.1\nsmtp_port: {smtp_port}\n{}",
                mta.replace("$DIR", &dir)
            ),
        );
        installation
    }

    /// The directory of everything.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The directory with the databases and tables.
    pub fn data(&self) -> PathBuf {
        self.path().join("var/data")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path().join("postrider.cfg")
    }

    /// Writes a file in the directory.
    pub fn write(&self, name: &str, contents: &str) {
        fs::write(self.path().join(name), contents).expect(name);
    }

    /// Adds lines to the configuration file.
    pub fn configure(&self, lines: &str) {
        let mut text = fs::read_to_string(self.config()).expect("configuration");
        text.push_str(lines);
        fs::write(self.config(), text).expect("configuration");
    }

    /// The mail server is at another address.
    pub fn smtp_at(&mut self, host: &str) {
        let text = fs::read_to_string(self.config()).expect("configuration");
        let text = text.replace(&format!("smtp_host: {}\n", self.smtp_host), &format!("smtp_host: {host}\n"));
        fs::write(self.config(), text).expect("configuration");
        host.clone_into(&mut self.smtp_host);
    }

    /// Gives every program that is started from now on a variable of the environment.
    pub fn environment(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.environment.push((name.into(), value.into()));
    }

    /// A table as it is published now; empty when there is none.
    pub fn table(&self, name: &str) -> String {
        fs::read_to_string(self.data().join(name)).unwrap_or_default()
    }

    /// Puts a library into the plugin directory, by rename as a package does it.
    pub fn install_plugin(&self, library: &Path, name: &str) {
        let plugins = self.path().join("plugins");
        let staged = plugins.join(".staged");
        fs::copy(library, &staged).unwrap_or_else(|error| panic!("{}: {error}; use tests/run", library.display()));
        fs::set_permissions(&staged, fs::Permissions::from_mode(0o644)).expect("mode");
        fs::rename(staged, plugins.join(name)).expect("rename");
    }

    /// The program with this configuration.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_by(&build_dir().join("postrider"), args)
    }

    fn command_by(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg("-C").arg(self.config()).args(args).env_remove("RUST_LOG").env_remove("POSTRIDER_CONFIG");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().expect("the program postrider; use tests/run")
    }

    /// Runs a command that must succeed; returns what it printed.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "postrider {args:?}: {}\n{text}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// Runs a command that must fail with this exit status; returns its error text.
    pub fn fails(&self, status: i32, args: &[&str]) -> String {
        let output = self.output(args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(status),
            "postrider {args:?}\n{}\n{error}",
            String::from_utf8_lossy(&output.stdout)
        );
        error
    }

    /// Runs `serve`, which must end by itself with status 1; returns its error text.
    pub fn fails_to_serve(&self, args: &[&str]) -> String {
        let mut child = self
            .command(&[&["serve"], args].concat())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program postrider; use tests/run");
        let start = Instant::now();
        while child.try_wait().expect("child").is_none() {
            if start.elapsed() > Duration::from_secs(30) {
                child.kill().expect("kill");
                panic!("it serves");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let output = child.wait_with_output().expect("its end");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        error
    }

    /// Runs a command with this standard input; it must succeed.
    pub fn run_with_input(&self, args: &[&str], input: &str) -> String {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program postrider; use tests/run");
        child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("stdin");
        let output = child.wait_with_output().expect("its end");
        assert!(output.status.success(), "postrider {args:?}: {}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a command with this standard input that must fail with exit status 1; returns its error text.
    pub fn fails_with_input(&self, args: &[&str], input: &str) -> String {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program postrider; use tests/run");
        child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("stdin");
        let output = child.wait_with_output().expect("its end");
        assert_eq!(output.status.code(), Some(1), "postrider {args:?} with {input:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// What `--json` printed.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.run(args)).expect("JSON")
    }

    /// Starts the daemon and waits until it takes mail.
    pub fn serve(&self) -> Daemon {
        self.serve_by(&build_dir().join("postrider"))
    }

    /// The same with another file of the program.
    pub fn serve_by(&self, program: &Path) -> Daemon {
        self.wait_for_lmtp(self.spawn(self.command_by(program, &["serve"])))
    }

    /// The same by a command of its own making, which should end in `serve`.
    pub fn serve_with(&self, command: Command) -> Daemon {
        self.wait_for_lmtp(self.spawn(command))
    }

    /// Starts the daemon and waits for nothing.
    pub fn begin_to_serve(&self) -> Daemon {
        self.spawn(self.command(&["serve"]))
    }

    fn spawn(&self, mut command: Command) -> Daemon {
        let log = fs::File::options().create(true).append(true).open(self.path().join("log")).expect("log");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log"))
            .stderr(log)
            .spawn()
            .expect("the program postrider; use tests/run");
        Daemon { child }
    }

    fn wait_for_lmtp(&self, mut daemon: Daemon) -> Daemon {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.lmtp_port)).is_err() {
            let ended = daemon.child.try_wait().expect("child");
            assert!(ended.is_none() && start.elapsed() < Duration::from_secs(30), "no LMTP:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }

    /// What the daemons of this installation logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// A connection to the daemon's LMTP port, after LHLO.
    pub fn lmtp(&self) -> Dialogue {
        let mut dialogue = Dialogue::connect(self.lmtp_port);
        dialogue.reply();
        dialogue.send("LHLO mta.example.com");
        dialogue
    }

    /// Delivers a message by LMTP as the MTA would; returns one reply per accepted recipient.
    pub fn deliver(&self, sender: &str, recipients: &[&str], message: &str) -> Vec<String> {
        let mut dialogue = self.lmtp();
        dialogue.expect(&format!("MAIL FROM:<{sender}>"), "250");
        for recipient in recipients {
            dialogue.expect(&format!("RCPT TO:<{recipient}>"), "250");
        }
        dialogue.expect("DATA", "354");
        let stuffed = message.replace("\n.", "\n..").replace('\n', "\r\n");
        dialogue.write(format!("{stuffed}\r\n.\r\n").as_bytes());
        recipients.iter().map(|_| dialogue.reply()).collect()
    }
}

impl Default for Installation {
    fn default() -> Self {
        Self::new()
    }
}

/// A running `postrider serve`; killed when dropped.
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Its process.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("child")
    }

    /// SIGKILL, as a crash would be.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("its end");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).expect("a process");
        rustix::process::kill_process(pid, signal).expect("signal");
    }

    /// SIGTERM, and waits for the end; the exit status must be 0.
    pub fn stop(mut self) {
        self.signal(rustix::process::Signal::TERM);
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "postrider serve ended with {status}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A raw dialogue with a server that speaks in lines.
pub struct Dialogue {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Dialogue {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("time limit");
        stream.set_nodelay(true).expect("nodelay");
        let reader = BufReader::new(stream.try_clone().expect("stream"));
        Dialogue { stream, reader }
    }

    /// Writes octets as they are.
    pub fn write(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).expect("write");
    }

    /// Reads one reply, all of its lines.
    pub fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            let read = self.reader.read_line(&mut line).expect("reply");
            reply.push_str(&line);
            if read == 0 || line.as_bytes().get(3) != Some(&b'-') {
                return reply;
            }
        }
    }

    /// Sends a command, reads its reply.
    pub fn send(&mut self, command: &str) -> String {
        self.write(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// Sends a command whose reply must begin so.
    pub fn expect(&mut self, command: &str, code: &str) -> String {
        let reply = self.send(command);
        assert!(reply.starts_with(code), "{command}: {reply}");
        reply
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        let mut octet = [0];
        matches!(self.reader.read(&mut octet), Ok(0) | Err(_))
    }
}
