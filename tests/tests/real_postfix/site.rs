//! Postrider in a box beside Postfix, installed as an administrator does it.

use postrider_tests::{
    installation::build_dir,
    mta_box::{Catcher, Layer, MtaBox, Postfix, SmtpSession},
    require::{self, MTA_BOX},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

pub const LIMIT: Duration = Duration::from_secs(40);
pub const ANTS: &str = "ants@lists.example.com";
/// An address that Postfix does not trust.
pub const STRANGER: &str = "127.0.0.2";

/// A box, unless this machine cannot have one.
pub fn machine(test: &str, table_type: &str) -> Option<MtaBox> {
    let needed = require::all(&format!("{test} ({table_type})"), MTA_BOX);
    needed.then(|| MtaBox::start(&Layer::postfix().unwrap()).unwrap())
}

/// One Postrider, its Postfix, and the rest of the world.
pub struct Site<'b> {
    pub machine: &'b MtaBox,
    pub postfix: Postfix<'b>,
    /// Where Postfix sends what is not local.
    pub world: Catcher,
    directory: PathBuf,
    pub table_type: &'static str,
}

impl<'b> Site<'b> {
    /// A running Postfix that is hooked up and knows the list ants; Postrider runs as root and
    /// does not serve yet.
    pub fn hooked_up(machine: &'b MtaBox, table_type: &'static str) -> Self {
        let site = Self::installed(machine, table_type);
        site.run(&["create", ANTS]);
        site.hook_up();
        site
    }

    /// A running Postfix, and a Postrider without lists of which it knows nothing.
    pub fn installed(machine: &'b MtaBox, table_type: &'static str) -> Self {
        let postfix = Postfix::start(machine, "").unwrap();
        let world = Catcher::smtp(machine, "127.0.0.1:2599").unwrap();
        let directory = machine.shared().join("postrider");
        let site = Site { machine, postfix, world, directory, table_type };
        fs::create_dir_all(site.directory.join("plugins")).unwrap();
        let library = "libpostrider_postfix.so";
        let built = build_dir().join(library);
        fs::copy(&built, site.directory.join("plugins").join(library))
            .unwrap_or_else(|error| panic!("{}: {error}; use tests/run", built.display()));
        site.set_postfix("");
        site.configure(25);
        site
    }

    /// Sends mail to this port; 25 is Postfix's.
    pub fn configure(&self, smtp_port: u16) {
        let dir = self.directory.display();
        let text = format!(
            "[mailman]\nsite_owner: root@mta.example.com\nlayout: here\n\n\
             [paths.here]\nvar_dir: {dir}/var\nlock_dir: {dir}/var/locks\nlog_dir: {dir}/var/logs\n\n\
             [plugins]\npath: {dir}/plugins\n\n\
             [mta]\nincoming: postfix.LMTP\nconfiguration: {dir}/postfix.cfg\nverp_delivery_interval: 1\n\
             lmtp_host: 127.0.0.1\nlmtp_port: 8024\nsmtp_host: 127.0.0.1\nsmtp_port: {smtp_port}\n",
        );
        fs::write(self.directory.join("postrider.cfg"), text).unwrap();
    }

    /// Adds lines to the plugin's section.
    pub fn set_postfix(&self, lines: &str) {
        let text = format!("[postfix]\ntransport_file_type: {}\n{lines}", self.table_type);
        fs::write(self.directory.join("postfix.cfg"), text).unwrap();
    }

    /// A program that complains and fails; returns its path.
    pub fn broken_program(&self) -> String {
        let file = self.directory.join("broken");
        fs::write(&file, "#!/bin/sh\necho 'broken: no room for you' >&2\nexit 1\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file.display().to_string()
    }

    /// Does what `postrider hookup` says, word for word.
    pub fn hook_up(&self) {
        for step in self.json(&["hookup", "--json"]).as_array().unwrap() {
            assert_eq!(step["kind"], "commands");
            self.machine.run(&["sh", "-ec", step["text"].as_str().unwrap()]);
        }
        self.wait_until_accepted(ANTS);
    }

    /// The program in the box, as root, with this configuration.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.machine.command(build_dir().join("postrider"));
        command.arg("-C").arg(self.directory.join("postrider.cfg")).args(args);
        command
    }

    /// Runs a command that must succeed; returns what it printed.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> String {
        self.ends(0, args).0
    }

    /// Runs a command that must end with this status; returns its output and its errors.
    #[track_caller]
    pub fn ends(&self, status: i32, args: &[&str]) -> (String, String) {
        let output = self.command(args).output().unwrap();
        let (text, errors) = texts(&output);
        assert_eq!(
            output.status.code(),
            Some(status),
            "postrider {args:?}\n{text}\n{errors}{}",
            self.postfix.log_tail()
        );
        (text, errors)
    }

    /// What `--json` printed.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(args)).unwrap()
    }

    pub fn add_members(&self, list: &str, members: &str) {
        let mut command = self.command(&["addmembers", "-", list]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(members.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Starts the daemon and waits until it takes mail.
    pub fn serve(&self) -> Daemon<'_> {
        let log = fs::File::options().create(true).append(true).open(self.directory.join("log")).unwrap();
        let errors = log.try_clone().unwrap();
        let child = self.command(&["serve"]).stdout(log).stderr(errors).spawn().unwrap();
        self.machine.wait_for_port("127.0.0.1:8024", LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        Daemon { site: self, child }
    }

    /// What the daemons logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// The published tables, octet by octet.
    pub fn tables(&self) -> BTreeMap<String, Vec<u8>> {
        let files = fs::read_dir(self.data()).unwrap().map(|entry| entry.unwrap());
        files
            .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
            .filter(|(name, _)| name.starts_with("postfix_"))
            .map(|(name, path)| (name, fs::read(path).unwrap()))
            .collect()
    }

    pub fn data(&self) -> PathBuf {
        self.directory.join("var/data")
    }

    /// A session after `MAIL`, from an address that Postfix does not trust.
    pub fn stranger(&self, sender: &str) -> SmtpSession {
        let mut session = SmtpSession::connect(self.machine, STRANGER, "127.0.0.1:25").unwrap();
        session.mail(sender).unwrap().expect(250);
        session
    }

    /// What a stranger is answered for this recipient; 0 when a reload cuts the connection.
    pub fn rcpt(&self, address: &str) -> u16 {
        let ask = || {
            let mut session = SmtpSession::connect(self.machine, STRANGER, "127.0.0.1:25")?;
            session.mail("someone@remote.example")?;
            session.rcpt(address)
        };
        ask().map_or(0, |reply| reply.code)
    }

    pub fn wait_until_accepted(&self, address: &str) {
        self.wait_for(&format!("{address} to be accepted"), || (self.rcpt(address) == 250).then_some(()));
    }

    /// Waits until neither Postrider nor Postfix has anything on its way.
    pub fn wait_until_idle(&self) {
        self.wait_for("empty queues", || {
            let status = self.json(&["status", "--json"]);
            let idle = status["in"]["new"] == 0 && status["out"]["messages"] == 0;
            (idle && self.postfix.queue().contains("Mail queue is empty")).then_some(())
        });
    }

    /// Subjects of the held posts.
    pub fn held(&self) -> Vec<String> {
        let held = self.json(&["held", "--json"]);
        held.as_array().unwrap().iter().map(|post| post["subject"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until `done` gives something.
    ///
    /// # Panics
    /// When it never does; with all that may tell why.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(value) = done() {
                return value;
            }
            assert!(
                begun.elapsed() < LIMIT,
                "{}: waited {LIMIT:?} in vain for {what}\n{}\n{}\nin the rest of the world: {:?}\nPostrider:\n{}",
                self.table_type,
                self.postfix.queue(),
                self.postfix.log_tail(),
                self.world.caught().into_iter().map(|message| message.recipients).collect::<Vec<_>>(),
                self.log().lines().rev().take(20).collect::<Vec<_>>().join("\n"),
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until all of these posts have arrived and wait for a moderator.
    #[track_caller]
    pub fn wait_until_held(&self, subjects: &[String]) {
        let held = || self.held().into_iter().collect::<BTreeSet<_>>();
        let missing = |held: &BTreeSet<String>| subjects.iter().find(|subject| !held.contains(*subject)).cloned();
        self.wait_for("what was accepted", || missing(&held()).is_none().then_some(()));
    }

    /// No mail has been sent back, and none had to wait.
    #[track_caller]
    pub fn assert_nothing_bounced_or_deferred(&self) {
        let log = self.postfix.log();
        let troubled: Vec<_> =
            log.lines().filter(|line| line.contains("=deferred") || line.contains("=bounced")).collect();
        assert!(troubled.is_empty(), "{}: {troubled:#?}", self.table_type);
    }

    /// No mail has been sent back.
    #[track_caller]
    pub fn assert_nothing_bounced(&self) {
        let log = self.postfix.log();
        let bounced: Vec<_> = log.lines().filter(|line| line.contains("=bounced")).collect();
        assert!(bounced.is_empty(), "{}: {bounced:#?}", self.table_type);
    }
}

/// Standard output and standard error.
pub fn texts(output: &Output) -> (String, String) {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A message with this subject.
pub fn message(sender: &str, subject: &str) -> String {
    format!(
        "From: {sender}\nTo: {ANTS}\nSubject: {subject}\nMessage-ID: <{}@remote.example>\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0000\n\nHello, list.\n.a line with a dot\n",
        subject.replace(' ', ".")
    )
}

/// A running `postrider serve`; ends with its box at the latest.
pub struct Daemon<'s> {
    site: &'s Site<'s>,
    child: Child,
}

impl Daemon<'_> {
    /// Its process number in the box.
    pub fn pid(&self) -> String {
        self.site.json(&["status", "--json"])["daemon"]["pid"].to_string()
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) {
        self.site.machine.run(&["kill", "-TERM", &self.pid()]);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "postrider serve ended with {status}\n{}", self.site.log());
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
