//! A site as an administrator has it: an MTA, Postrider beside it where packages put it, and the
//! outside world. The MTA learns of the lists by what `postrider hookup` prints, and by nothing else.

use crate::mta::{Mta, Network, WORLD};
use postrider_tests::{
    installation::build_dir,
    mta_box::{Catcher, Caught, MtaBox, SecondHost, SmtpSession, Transcript},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Generous: several sites share a machine.
pub const LIMIT: Duration = Duration::from_mins(1);
/// How long somebody waits for a reply who only wants to know.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks at something that takes its time.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two flushes of the MTA's queue, while somebody waits for what is in it.
const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// Lines of logs that are shown when something fails.
const SHOWN_LINES: usize = 40;

/// The list that every site has.
pub const ANTS: &str = "ants@lists.example.com";
/// A member of the outside world, whom the MTA does not know.
pub const CARLA: &str = "carla@remote.example";
/// An address from which the MTA relays nothing.
const STRANGER: &str = "127.0.0.2";
/// A domain of lists only, under another name for the MTA.
pub const STAFF: (&str, &str) = ("staff.example", "lists.staff.example");
/// The MTA's own domain, which has mailboxes and lists, and the name under which the lists are routed.
pub const MIXED: (&str, &str) = ("mta.example.com", "lists.mta.example.com");

const CONFIG: &str = "/etc/postrider/postrider.cfg";
const LMTP_SOCKET: &str = "/run/postrider/lmtp.sock";
const LMTP_PORT: u16 = 8024;

/// As whom the packages run Postrider, where `Lmtp::Socket` asks for it.
const USER: &str = "postrider";

/// Where the MTA delivers mail for lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lmtp {
    /// Port 8024 of the same host.
    Port,
    /// A Unix socket with the default mode; Postrider is the packages' user.
    Socket,
    /// Port 8024 of the second host.
    SecondHost,
}

/// A running MTA and an installed Postrider, which does not serve yet.
pub struct Site<'b> {
    pub mta: &'b dyn Mta,
    pub machine: &'b MtaBox,
    /// What is neither local nor a list comes here.
    pub world: Catcher,
    second_host: Option<SecondHost<'b>>,
    lmtp: Lmtp,
    transcript: Transcript,
    log: PathBuf,
}

impl<'b> Site<'b> {
    /// They do not know of each other yet.
    pub fn beside(mta: &'b dyn Mta, machine: &'b MtaBox, lmtp: Lmtp) -> Self {
        let second_host = (lmtp == Lmtp::SecondHost).then(|| SecondHost::join(machine));
        let network = if second_host.is_some() { Network::TwoHosts } else { Network::OneHost };
        for user in ["anna", "ben"] {
            machine.add_user(user);
        }
        mta.install(machine, network);
        let world = Catcher::smtp(machine, WORLD).expect("the outside world");
        let (transcript, log) = (Transcript::default(), machine.shared().join("postrider.log"));
        let site = Site { mta, machine, world, second_host, lmtp, transcript, log };
        site.start_mta();
        site.install_postrider();
        site
    }

    /// Makes the first lists, does what `postrider hookup` says, and waits until the MTA knows them.
    pub fn hook_up(&self) {
        self.change(&["create", ANTS]);
        for (domain, routed) in [STAFF, MIXED] {
            self.run(&["domain", "add", domain, "--alias-domain", routed]);
            if domain == STAFF.0 || self.mta.tells_domains_apart() {
                self.change(&["create", &format!("crew@{domain}")]);
            }
        }
        self.run(&["hookup", "--write", "/root/hookup"]);
        self.machine.run(&["sh", "/root/hookup/install.sh"]);
        let daemon = self.mta.asks_postrider().then(|| self.serve());
        self.wait_for("the MTA to take mail for the list", || (self.rcpt(ANTS) == 250).then_some(()));
        self.run(&["hookup", "--check"]);
        if let Some(daemon) = daemon {
            self.stop(daemon);
        }
    }

    /// Program, plugins and configuration, where a package puts them.
    fn install_postrider(&self) {
        let machine = self.machine;
        machine.shell("mkdir -p /etc/postrider /usr/lib/postrider/plugins /run/postrider");
        for program in ["postrider", "qmail-lmtp"] {
            let built = build_dir().join(program);
            if built.exists() {
                machine.run(&["ln", "-s", built.to_str().expect("UTF-8"), &format!("/usr/bin/{program}")]);
            }
        }
        let library = format!("libpostrider_{}.so", self.plugin());
        let built = self.mta.plugin_file();
        let installed = self.outside(&format!("/usr/lib/postrider/plugins/{library}"));
        fs::copy(&built, installed).unwrap_or_else(|error| panic!("{}: {error}; use tests/run", built.display()));
        self.set_settings("");
        let (lmtp_host, smtp_host) = match self.lmtp {
            Lmtp::Port => ("127.0.0.1", "127.0.0.1"),
            Lmtp::Socket => (LMTP_SOCKET, "127.0.0.1"),
            Lmtp::SecondHost => (SecondHost::SECOND, SecondHost::FIRST),
        };
        let text = format!(
            "[postrider]\nsite_owner: root@mta.example.com\n\n\
             [mta]\nincoming: {}\noutgoing: {}\nconfiguration: /etc/postrider/mta.cfg\nverp_delivery_interval: 1\n\
             lmtp_host: {lmtp_host}\nlmtp_port: {LMTP_PORT}\nsmtp_host: {smtp_host}\nsmtp_port: 25\n",
            self.mta.incoming(),
            self.mta.outgoing(),
        );
        machine.write(CONFIG, &text).expect("configuration");
        if self.lmtp == Lmtp::Socket {
            // What sysusers.d and the unit's directories make.
            machine.shell(&format!(
                "useradd --system --user-group --home-dir /var/lib/postrider --shell /usr/sbin/nologin {USER}
                 install -d -o {USER} -g {USER} /var/lib/postrider /var/log/postrider /run/postrider"
            ));
        }
    }

    /// A path of the box as this process sees it.
    fn outside(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.machine.pid()).into()
    }

    fn plugin(&self) -> &str {
        self.mta.incoming().split('.').next().unwrap_or_default()
    }

    /// Writes the plugin's settings, with these lines behind those that the MTA always has.
    pub fn set_settings(&self, lines: &str) {
        let settings = self.mta.settings_beside(self.lmtp);
        let text = format!("[{}]\n{}\n{lines}\n", self.plugin(), settings.trim_end());
        self.machine.write("/etc/postrider/mta.cfg", &text).expect("settings");
    }

    /// Starts the MTA and waits until it takes connections.
    pub fn start_mta(&self) {
        self.mta.start(self.machine);
        self.machine.wait_for_port("127.0.0.1:25", LIMIT).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Stops and starts the MTA.
    pub fn restart_mta(&self) {
        self.mta.stop(self.machine);
        self.start_mta();
    }

    /// Postrider's command line beside the MTA, as the user whose data it has. What looks into the MTA is
    /// for root.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = match args {
            ["hookup", ..] => self.machine.command("/usr/bin/postrider"),
            _ => self.postrider(),
        };
        command.args(args);
        command
    }

    fn postrider(&self) -> Command {
        if self.lmtp != Lmtp::Socket {
            return self.machine.command("/usr/bin/postrider");
        }
        let mut command = self.machine.command("setpriv");
        command.args(["--reuid", USER, "--regid", USER, "--init-groups", "--inh-caps=-all", "/usr/bin/postrider"]);
        command
    }

    /// Makes or removes a list. Where Postrider may not do all that it needs, root does what it says
    /// (exit 3); returns those commands.
    #[track_caller]
    pub fn change(&self, args: &[&str]) -> Vec<String> {
        let (mut args, mut by_root) = (args, Vec::new());
        loop {
            let output = self.command(args).output().expect("the program postrider");
            let (text, errors) = texts(&output);
            let (told, line) = (text + &errors, args.join(" "));
            if output.status.success() {
                return by_root;
            }
            // Each table may need its own command before the next one can be published.
            let may_go_on = output.status.code() == Some(3) && self.lmtp == Lmtp::Socket && by_root.len() < 10;
            assert!(may_go_on, "postrider {line}: {}\n{told}", output.status);
            let commands = told.split("run `").skip(1).filter_map(|rest| rest.split('`').next());
            let commands: Vec<String> = commands.map(str::to_owned).collect();
            assert!(!commands.is_empty(), "postrider {line} ends with 3 and says nothing to do: {told}");
            for command in &commands {
                self.machine.shell(command);
            }
            by_root.extend(commands);
            if !told.contains("postrider aliases --activated") {
                return by_root;
            }
            args = &["aliases", "--activated"];
        }
    }

    /// Runs a command that must succeed; returns what it printed.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("the program postrider");
        let (text, errors) = texts(&output);
        assert!(output.status.success(), "postrider {}: {}\n{text}{errors}", args.join(" "), output.status);
        text
    }

    /// Runs a command that must end with this status; returns all that it printed.
    #[track_caller]
    pub fn ends(&self, status: i32, args: &[&str]) -> String {
        let output = self.command(args).output().expect("the program postrider");
        let (text, errors) = texts(&output);
        let line = args.join(" ");
        assert_eq!(output.status.code(), Some(status), "postrider {line}: {}\n{text}{errors}", output.status);
        text + &errors
    }

    /// What `--json` printed.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(args)).expect("JSON")
    }

    pub fn add_members(&self, list: &str, members: &str) {
        let mut command = self.command(&["addmembers", "-", list]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program postrider");
        child.stdin.take().expect("a pipe").write_all(members.as_bytes()).expect("members");
        assert!(child.wait().expect("its end").success());
    }

    /// Starts the daemon on its host and waits until it takes mail.
    pub fn serve(&self) -> Daemon {
        let log = fs::File::options().create(true).append(true).open(&self.log).expect("log");
        let errors = log.try_clone().expect("log");
        let mut command = match &self.second_host {
            Some(host) => host.command("/usr/bin/postrider"),
            None => self.postrider(),
        };
        let child = command.arg("serve").stdout(log).stderr(errors).spawn().expect("the program postrider");
        let daemon = Daemon { child };
        match (&self.second_host, self.lmtp) {
            (Some(host), _) => host.wait_for_port(LMTP_PORT, LIMIT).unwrap_or_else(|error| panic!("{error}")),
            (None, Lmtp::Socket) => {
                let socket = self.outside(LMTP_SOCKET);
                self.wait_for("Postrider's socket", || UnixStream::connect(&socket).ok().map(drop));
            }
            (None, _) => {
                let address = format!("127.0.0.1:{LMTP_PORT}");
                self.machine.wait_for_port(&address, LIMIT).unwrap_or_else(|error| panic!("{error}"));
            }
        }
        daemon
    }

    /// SIGTERM to the daemon, and waits for its end.
    pub fn stop(&self, mut daemon: Daemon) {
        let pid = self.json(&["status", "--json"])["daemon"]["pid"].to_string();
        self.machine.run(&["kill", "-TERM", &pid]);
        let status = daemon.child.wait().expect("its end");
        assert!(status.success(), "postrider serve ended with {status}");
    }

    /// A server in Postrider's place, which takes everything and remembers it.
    pub fn lists(&self) -> Catcher {
        match self.lmtp {
            Lmtp::Socket => {
                let path = self.outside(LMTP_SOCKET);
                let _ = fs::remove_file(&path);
                let lists = Catcher::lmtp_unix_with_mode(&path, 0o660).expect("LMTP");
                self.machine.run(&["chown", &format!("{USER}:{USER}"), LMTP_SOCKET]);
                lists
            }
            _ => Catcher::lmtp(self.machine, &format!("127.0.0.1:{LMTP_PORT}")).expect("LMTP"),
        }
    }

    /// A session of somebody whom the MTA does not trust.
    pub fn stranger(&self) -> io::Result<SmtpSession> {
        SmtpSession::connect_noting(self.machine, STRANGER, "127.0.0.1:25", &self.transcript)
    }

    /// A session of somebody who hands mail to Postrider itself.
    pub fn lmtp(&self) -> SmtpSession {
        let port = format!("127.0.0.1:{LMTP_PORT}");
        let session = SmtpSession::connect_noting(self.machine, "127.0.0.1", &port, &self.transcript);
        let mut session = session.expect("Postrider serves");
        session.command("LHLO client.remote.example").expect("a reply").expect(250);
        session
    }

    /// A session of a stranger who has told the sender already.
    #[track_caller]
    pub fn stranger_as(&self, sender: &str) -> SmtpSession {
        let mut session = self.stranger().unwrap_or_else(|error| panic!("the MTA hangs up: {error}"));
        session.mail(sender).expect("a reply").expect(250);
        session
    }

    /// What a stranger is answered for this recipient; 0 when the MTA hangs up or says nothing for a while.
    pub fn rcpt(&self, address: &str) -> u16 {
        self.rcpt_within(address, PATIENCE)
    }

    /// The same; the stranger waits so long for each reply.
    pub fn rcpt_within(&self, address: &str, patience: Duration) -> u16 {
        let ask = || {
            let (machine, transcript) = (self.machine, &self.transcript);
            let mut session = SmtpSession::connect_within(machine, STRANGER, "127.0.0.1:25", transcript, patience)?;
            let reply = session.mail(CARLA)?;
            // Some refuse the sender already while they cannot look anything up.
            if reply.code == 250 { session.rcpt(address) } else { Ok(reply) }
        };
        ask().map_or(0, |reply| reply.code)
    }

    /// A stranger's whole message; returns the last reply.
    pub fn post(&self, list: &str, subject: &str) -> io::Result<u16> {
        let mut session = self.stranger()?;
        let code = session.mail(CARLA)?.code;
        if code != 250 {
            return Ok(code);
        }
        let code = session.rcpt(list)?.code;
        if code != 250 {
            return Ok(code);
        }
        Ok(session.data(&message(subject))?.code)
    }

    /// Waits until `done` gives something.
    ///
    /// # Panics
    /// When it never does.
    #[track_caller]
    #[allow(clippy::unused_self, reason = "reads as its sisters do, and what fails is reported for the site")]
    pub fn wait_for<T>(&self, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(value) = done() {
                return value;
            }
            assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} in vain for {what}");
            thread::sleep(PAUSE);
        }
    }

    /// The same for what waits in the MTA's queue, or may.
    #[track_caller]
    pub fn wait_flushing<T>(&self, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
        let mut flushed = Instant::now();
        self.wait_for(what, || {
            let value = done();
            if value.is_none() && flushed.elapsed() > FLUSH_EVERY {
                self.mta.flush(self.machine);
                flushed = Instant::now();
            }
            value
        })
    }

    /// Waits until the MTA has nothing more to do.
    #[track_caller]
    pub fn wait_until_delivered(&self) {
        self.wait_flushing("the MTA's queue to become empty", || self.mta.queue_is_empty(self.machine).then_some(()));
    }

    /// Waits until neither the MTA nor Postrider has anything on its way.
    #[track_caller]
    pub fn wait_until_idle(&self) {
        self.wait_flushing("empty queues", || {
            let status = self.json(&["status", "--json"]);
            let idle = status["in"]["new"] == 0 && status["out"]["messages"] == 0;
            (idle && self.mta.queue_is_empty(self.machine)).then_some(())
        });
    }

    /// Subjects of the posts that wait for a moderator.
    pub fn held(&self) -> Vec<String> {
        let held = self.json(&["held", "--json"]);
        let subject = |post: &Value| post["subject"].as_str().unwrap_or_default().to_owned();
        held.as_array().map(|posts| posts.iter().map(subject).collect()).unwrap_or_default()
    }

    /// Bounces that the outside world has got.
    pub fn bounces(&self) -> Vec<Caught> {
        self.world.caught().into_iter().filter(|message| message.sender.is_empty()).collect()
    }

    /// The tables as the MTA reads them: path, and a size or the names in it.
    pub fn table_paths(&self) -> Vec<String> {
        let patterns = self.mta.tables().join(" ");
        // Braces name files whether they are there or not. A link to nothing is there.
        let paths = self.machine.shell(&format!(
            "shopt -s nullglob; for path in {patterns}; do [ ! -e \"$path\" -a ! -L \"$path\" ] || echo \"$path\"; done"
        ));
        paths.lines().map(str::to_owned).collect()
    }

    /// Forgets what was said and seen before this point.
    pub fn begin_point(&self) {
        self.transcript.clear();
        self.world.clear();
    }

    /// All that may tell why something failed.
    pub fn report(&self) -> String {
        let mut report = String::new();
        let last = |text: &str| {
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
        };
        let world = self.world.caught().into_iter().map(|message| (message.sender, message.recipients));
        let sections = [
            ("SMTP dialogue", self.transcript.to_string()),
            ("MTA's log", last(&self.mta.log(self.machine))),
            ("MTA's queue", self.mta.queue(self.machine)),
            ("outside world", format!("{:?}", world.collect::<Vec<_>>())),
            ("Postrider's log", last(&fs::read_to_string(&self.log).unwrap_or_default())),
            ("tables", self.machine.shell(&format!("ls -ld {} 2>&1 || true", self.mta.tables().join(" ")))),
        ];
        for (title, text) in sections {
            let _ = writeln!(report, "--- {title}\n{}", text.trim_end());
        }
        report
    }
}

/// A message with this subject.
pub fn message(subject: &str) -> String {
    format!(
        "From: Carla <{CARLA}>\nTo: People <people@remote.example>\nSubject: {subject}\n\
         Message-ID: <{}@remote.example>\nDate: Sun, 22 Nov 2026 10:00:00 +0000\n\nHello, list.\n.a line with a dot\n",
        subject.replace([' ', '@'], ".")
    )
}

/// How often each subject arrived.
pub fn subjects(caught: &[Caught]) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for message in caught {
        let text = message.text();
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default();
        *seen.entry(subject.trim_end().to_owned()).or_default() += message.recipients.len();
    }
    seen
}

fn texts(output: &Output) -> (String, String) {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A running `postrider serve`; ends with its box at the latest.
pub struct Daemon {
    child: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // nsenter hands no signal on; what runs in the box dies with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
