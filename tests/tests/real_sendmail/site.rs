//! Postrider in a box beside Sendmail, installed as an administrator does it.

use postrider_tests::{
    installation::build_dir,
    mta_box::{Catcher, MtaBox, Reply, Sendmail, SmtpSession},
    require::{self, MTA_BOX},
};
use std::{
    fs,
    io::Write as _,
    net::Ipv4Addr,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

pub const LIMIT: Duration = Duration::from_mins(1);
pub const CARLA: &str = "carla@remote.example";

/// A box, unless this machine cannot have one.
pub fn machine(test: &str) -> Option<MtaBox> {
    require::all(test, MTA_BOX).then(|| MtaBox::start(&Sendmail::layer().unwrap()).unwrap())
}

/// A running Sendmail that knows of no lists, and a Postrider without lists.
pub struct Site<'b> {
    pub machine: &'b MtaBox,
    pub sendmail: Sendmail<'b>,
    /// Where Sendmail sends what is not local.
    pub world: Catcher,
}

impl<'b> Site<'b> {
    /// With these lines in `[mta]`.
    pub fn installed(machine: &'b MtaBox, mta: &str) -> Self {
        Self::with_mc_lines(machine, mta, "")
    }

    /// The same with these lines in `sendmail.mc`.
    pub fn with_mc_lines(machine: &'b MtaBox, mta: &str, mc_lines: &str) -> Self {
        for user in ["anna", "ben"] {
            machine.add_user(user);
        }
        let sendmail = Sendmail::configure(machine, Ipv4Addr::LOCALHOST, mc_lines).unwrap();
        sendmail.start().unwrap();
        let world = Catcher::smtp(machine, "127.0.0.1:2599").unwrap();
        machine.shell("mkdir -p /etc/postrider /usr/lib/postrider/plugins");
        for program in ["postrider", "qmail-lmtp"] {
            machine.run(&["ln", "-s", build_dir().join(program).to_str().unwrap(), &format!("/usr/bin/{program}")]);
        }
        let library = "libpostrider_sendmail.so";
        let installed = format!("/proc/{}/root/usr/lib/postrider/plugins/{library}", machine.pid());
        fs::copy(build_dir().join(library), installed).unwrap_or_else(|error| panic!("{error}; use tests/run"));
        let text = format!(
            "[postrider]\nsite_owner: root@mta.example.com\n\n[mta]\n{mta}verp_delivery_interval: 1\n\
             lmtp_host: 127.0.0.1\nlmtp_port: 8024\nsmtp_host: 127.0.0.1\nsmtp_port: 25\n"
        );
        machine.write("/etc/postrider/postrider.cfg", &text).unwrap();
        Site { machine, sendmail, world }
    }

    /// Runs what `postrider hookup --write` has written.
    pub fn hook_up(&self) {
        self.run(&["hookup", "--write", "/root/hookup"]);
        self.machine.run(&["sh", "/root/hookup/install.sh"]);
        self.wait_for_port();
    }

    /// Takes it back.
    pub fn undo(&self) {
        self.machine.run(&["sh", "/root/hookup/undo.sh"]);
        self.wait_for_port();
    }

    /// SIGHUP is answered some time later: the old daemon closes the port, the new one opens it.
    fn wait_for_port(&self) {
        std::thread::sleep(Duration::from_secs(1));
        self.machine.wait_for_port("127.0.0.1:25", LIMIT).unwrap();
    }

    /// Runs a command that must succeed; returns what it printed.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> String {
        let argv = [&["/usr/bin/postrider"], args].concat();
        self.machine.run(&argv)
    }

    pub fn add_members(&self, list: &str, members: &str) {
        let mut command = self.machine.command("/usr/bin/postrider");
        let mut child =
            command.args(["addmembers", "-", list]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(members.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// The daemon; ends with the box.
    pub fn serve(&self) -> Child {
        let log = fs::File::create(self.machine.shared().join("postrider.log")).unwrap();
        let errors = log.try_clone().unwrap();
        let daemon =
            self.machine.command("/usr/bin/postrider").arg("serve").stdout(log).stderr(errors).spawn().unwrap();
        self.machine.wait_for_port("127.0.0.1:8024", LIMIT).unwrap();
        daemon
    }

    /// A session of somebody whom Sendmail does not trust.
    pub fn stranger(&self) -> SmtpSession {
        let mut session = SmtpSession::connect(self.machine, "127.0.0.2", "127.0.0.1:25").unwrap();
        session.mail(CARLA).unwrap().expect(250);
        session
    }

    /// A stranger's whole message.
    #[track_caller]
    pub fn post(&self, sender: &str, recipient: &str, message: &str) {
        let mut session = SmtpSession::connect(self.machine, "127.0.0.2", "127.0.0.1:25").unwrap();
        session.send(sender, &[recipient], message).unwrap();
    }

    /// What a stranger is answered.
    pub fn rcpt(&self, address: &str) -> Reply {
        self.stranger().rcpt(address).unwrap()
    }

    /// What Postrider has logged, for messages of failing tests.
    pub fn log(&self) -> String {
        fs::read_to_string(self.machine.shared().join("postrider.log")).unwrap_or_default()
    }

    /// Waits for mail in a user's mailbox.
    #[track_caller]
    pub fn wait_for_mailbox(&self, user: &str, text: &str) {
        let begun = Instant::now();
        let mailbox = || self.machine.read(&format!("/var/mail/{user}")).unwrap_or_default();
        while !mailbox().contains(text) {
            assert!(
                begun.elapsed() < LIMIT,
                "no {text:?} for {user}: {}\n{}{}",
                mailbox(),
                self.sendmail.queue(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
