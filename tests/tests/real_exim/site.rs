//! Exim in a box, and Postrider beside it, as an administrator installs it.

use postrider_tests::{
    installation::build_dir,
    mta_box::{Exim, EximLayout, MtaBox, Reply, SmtpSession},
    require::{self, MTA_BOX},
};
use std::{
    fs,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

pub const LIMIT: Duration = Duration::from_mins(1);
pub const ANTS: &str = "ants@lists.example.com";
/// An address that Exim does not trust.
const STRANGER: &str = "127.0.0.2";

/// A box, unless this machine cannot have one.
pub fn machine(test: &str) -> Option<MtaBox> {
    require::all(test, MTA_BOX).then(|| MtaBox::start(&Exim::layer().unwrap()).unwrap())
}

/// One Exim, which runs, and one Postrider, which does not serve yet. They do not know of each other.
pub struct Site<'b> {
    pub machine: &'b MtaBox,
    pub exim: Exim<'b>,
}

impl<'b> Site<'b> {
    /// `settings` are lines of the section `[exim4]`.
    pub fn installed(machine: &'b MtaBox, layout: EximLayout, settings: &str) -> Self {
        machine.add_user("anna");
        let exim = Exim::configure(machine, layout, "127.0.0.1");
        exim.start();
        machine.shell("mkdir -p /etc/postrider /usr/lib/postrider/plugins");
        let library = "libpostrider_exim4.so";
        let built = build_dir().join(library);
        fs::copy(&built, format!("/proc/{}/root/usr/lib/postrider/plugins/{library}", machine.pid()))
            .unwrap_or_else(|error| panic!("{}: {error}; use tests/run", built.display()));
        machine
            .write(
                "/etc/postrider/postrider.cfg",
                "[postrider]\nsite_owner: root@mta.example.com\n\n\
                 [mta]\nincoming: exim4.LMTP\nconfiguration: /etc/postrider/exim4.cfg\nlmtp_host: 127.0.0.1\n\
                 lmtp_port: 8024\nsmtp_host: 127.0.0.1\nsmtp_port: 25\n",
            )
            .unwrap();
        let site = Site { machine, exim };
        site.set(settings);
        site
    }

    /// The same with the list ants, hooked up.
    pub fn hooked_up(machine: &'b MtaBox, layout: EximLayout, settings: &str) -> Self {
        let site = Self::installed(machine, layout, settings);
        site.run(&["create", ANTS]);
        site.hook_up();
        site
    }

    /// Lines of the section `[exim4]`.
    pub fn set(&self, lines: &str) {
        self.machine.write("/etc/postrider/exim4.cfg", &format!("[exim4]\n{lines}\n")).unwrap();
    }

    /// The program in the box, as root.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.machine.command(build_dir().join("postrider"));
        command.args(args);
        command
    }

    /// Runs a command that must end with this status; returns all that it printed.
    #[track_caller]
    pub fn ends(&self, status: i32, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        let text = all_of(&output);
        assert_eq!(output.status.code(), Some(status), "postrider {args:?}\n{text}");
        text
    }

    /// Runs a command that must succeed.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> String {
        self.ends(0, args)
    }

    /// `install.sh`, freshly written; returns whether it succeeded, and what it said.
    pub fn install(&self) -> (bool, String) {
        self.run(&["hookup", "--write", "/root/hookup"]);
        let output = self.machine.output(&["sh", "/root/hookup/install.sh"]).unwrap();
        (output.status.success(), all_of(&output))
    }

    #[track_caller]
    pub fn hook_up(&self) {
        self.with_a_restart(|| {
            let (done, said) = self.install();
            assert!(done, "{said}");
        });
    }

    #[track_caller]
    pub fn undo(&self) {
        self.with_a_restart(|| drop(self.machine.run(&["sh", "/root/hookup/undo.sh"])));
    }

    /// The steps tell Exim to read its configuration again: it starts itself anew, and for a moment nobody listens.
    #[track_caller]
    fn with_a_restart(&self, steps: impl FnOnce()) {
        let starts = || self.exim.log().matches("daemon started").count();
        let before = starts();
        steps();
        self.wait_for("Exim to be there again", || {
            (starts() > before && SmtpSession::connect(self.machine, STRANGER, "127.0.0.1:25").is_ok()).then_some(())
        });
    }

    /// A session of a stranger, after `MAIL`.
    pub fn stranger(&self) -> SmtpSession {
        let mut session = SmtpSession::connect(self.machine, STRANGER, "127.0.0.1:25").unwrap();
        session.mail("someone@remote.example").unwrap().expect(250);
        session
    }

    /// What a stranger is answered for this recipient.
    pub fn rcpt(&self, address: &str) -> Reply {
        self.stranger().rcpt(address).unwrap()
    }

    #[track_caller]
    pub fn is_answered(&self, address: &str, code: u16) {
        let reply = self.rcpt(address);
        assert_eq!(reply.code, code, "{address}: {} {}\n{}", reply.code, reply.text, self.exim.log());
    }

    /// Starts the daemon and waits until it takes mail. It ends with its box, or with [`Site::stop`].
    pub fn serve(&self) -> Child {
        let child = self.command(&["serve"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.machine.wait_for_port("127.0.0.1:8024", LIMIT).unwrap();
        child
    }

    pub fn stop(&self, mut daemon: Child) {
        let status: serde_json::Value = serde_json::from_str(&self.run(&["status", "--json"])).unwrap();
        self.machine.run(&["kill", "-TERM", &status["daemon"]["pid"].to_string()]);
        assert!(daemon.wait().unwrap().success());
    }

    /// Waits until `done` gives something.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(value) = done() {
                return value;
            }
            assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} in vain for {what}\n{}", self.exim.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn all_of(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}
