//! The real Sendmail in a box, on port 25, as Debian's package configures it.

use super::{Layer, MtaBox};
use std::{
    io,
    net::Ipv4Addr,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const PACKAGES: &[&str] = &["sendmail", "sendmail-bin", "sensible-mda"];

/// What a test wants otherwise than Debian has it. Mail for the rest of the world goes to
/// 127.0.0.1:2599, where a [`Catcher`](super::Catcher) can wait for it; names are looked up in `/etc/hosts`
/// only, because nobody answers for the DNS in a box; who sends many unknown recipients
/// is not slowed down; and nothing is left in the queue because the machine has much to do.
const SENDMAIL_MC: &str = "\
define(`confSERVICE_SWITCH_FILE', `/etc/mail/service.switch-box')dnl
define(`confBAD_RCPT_THROTTLE', `0')dnl
define(`confCONNECTION_RATE_THROTTLE', `0')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
define(`RELAY_MAILER_ARGS', `TCP $h 2599')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`blocklist_recipients')dnl
";

/// Debian trusts all of 127/8; here 127.0.0.2 is a stranger.
const ACCESS: &str = "Connect:127.0.0.1\tRELAY\nGreetPause:\t0\nClientRate:\t0\nClientConn:\t0\n";
const ACCESS_FILE: &str = "/etc/mail/access";
const PID_FILE: &str = "/var/run/sendmail/mta/sendmail.pid";
const PROGRAM: &str = "/usr/sbin/sendmail";
/// Every word of every session: there is no syslog in a box.
const TRANSCRIPT: &str = "/var/log/sendmail.transcript";

/// The Sendmail of a box.
#[derive(Clone, Copy, Debug)]
pub struct Sendmail<'b> {
    machine: &'b MtaBox,
}

impl<'b> Sendmail<'b> {
    /// Debian's Sendmail.
    ///
    /// # Errors
    /// When packages cannot be fetched or installed, with what apt said.
    pub fn layer() -> io::Result<Layer> {
        Layer::of_packages("sendmail", PACKAGES)
    }

    /// The one of this box, whether it runs or not.
    pub fn of(machine: &'b MtaBox) -> Self {
        Sendmail { machine }
    }

    /// Debian's `sendmail.mc` with a few lines for tests and these lines, listening at `address`; and the
    /// `sendmail.cf` that m4 makes of it.
    pub fn configure(machine: &'b MtaBox, address: Ipv4Addr, mc_lines: &str) -> io::Result<Self> {
        let mc = machine.read("/etc/mail/sendmail.mc")?;
        let begin = mc.find("MAILER_DEFINITIONS").ok_or_else(|| io::Error::other("another sendmail.mc"))?;
        let (head, mailers) = mc.split_at(begin);
        let head = head.replace("Addr=127.0.0.1", &format!("Addr={address}"));
        machine.write("/etc/mail/sendmail.mc", &format!("{head}{SENDMAIL_MC}{mc_lines}{mailers}"))?;
        machine.write("/etc/mail/service.switch-box", "hosts files\naliases files\n")?;
        let hosts = machine.read("/etc/hosts")?;
        machine.write("/etc/hosts", &format!("{hosts}127.0.0.2 stranger.remote.example\n"))?;
        let sendmail = Sendmail { machine };
        sendmail.set_access(ACCESS)?;
        sendmail.build();
        // The program that takes mail from local users reads a configuration of its own.
        machine.shell(
            "sed -i 's|^#*O ServiceSwitchFile=.*|O ServiceSwitchFile=/etc/mail/service.switch-box|' /etc/mail/submit.cf\n\
             grep -q '^O ServiceSwitchFile=' /etc/mail/submit.cf",
        );
        Ok(sendmail)
    }

    /// Makes `sendmail.cf` of `sendmail.mc`, as Debian's tools do.
    pub fn build(&self) {
        self.machine.shell(
            "cd /etc/mail; m4 sendmail.mc >sendmail.cf.new; mv sendmail.cf.new sendmail.cf\n\
             install -d -o smmta -g smmsp -m 2755 /run/sendmail/mta\n\
             install -d -o smmsp -g smmsp -m 2755 /run/sendmail/msp",
        );
    }

    /// A rule of the site's own (`To:someone@remote.example`, `ERROR:5.1.1:550 no`) in its access map; without
    /// a value the rule is taken back. Sessions that are open follow too.
    pub fn set_rule(&self, key: &str, value: Option<&str>) -> io::Result<()> {
        let access = self.machine.read(ACCESS_FILE)?;
        let others = access.lines().filter(|line| line.split('\t').next() != Some(key));
        let mut text = others.fold(String::new(), |text, line| text + line + "\n");
        if let Some(value) = value {
            text += &format!("{key}\t{value}\n");
        }
        self.set_access(&text)
    }

    fn set_access(&self, text: &str) -> io::Result<()> {
        self.machine.write(ACCESS_FILE, text)?;
        // Whoever has the map open sees that it was written when its time differs, in seconds.
        self.machine.shell(&format!("sleep 1; makemap hash {ACCESS_FILE} <{ACCESS_FILE}"));
        Ok(())
    }

    /// Starts the daemon and waits for port 25.
    pub fn start(&self) -> io::Result<()> {
        self.launch()?;
        self.machine.wait_for_port("127.0.0.1:25", Duration::from_secs(60))
    }

    /// Starts the daemon. It runs its queue when told to ([`Sendmail::flush`]).
    pub fn launch(&self) -> io::Result<()> {
        // By its whole path: without it, SIGHUP would end it.
        self.command(PROGRAM).args(["-bd", "-q1h", "-X", TRANSCRIPT]).stdout(Stdio::null()).status().map(drop)
    }

    /// Ends the daemon and waits until it is gone.
    pub fn stop(&self) {
        let begun = Instant::now();
        self.machine.shell(&format!("kill -TERM $(head -n 1 {PID_FILE})"));
        while self.machine.connect("127.0.0.1", "127.0.0.1:25").is_ok() {
            assert!(begun.elapsed() < Duration::from_secs(60), "Sendmail does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Tries everything that waits in the queue.
    pub fn flush(&self) {
        self.machine.run(&[PROGRAM, "-q"]);
    }

    /// Is nothing in the queue, nor under way?
    pub fn queue_is_empty(&self) -> bool {
        self.machine.run(&["find", "/var/spool/mqueue", "/var/spool/mqueue-client", "-name", "qf*"]).is_empty()
    }

    /// The queue as `mailq` shows it.
    pub fn queue(&self) -> String {
        let output = self.machine.output(&["mailq", "-v"]);
        output.map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Every word of every session.
    pub fn log(&self) -> String {
        self.machine.read(TRANSCRIPT).unwrap_or_default()
    }

    /// What the program calls itself.
    pub fn version(&self) -> String {
        let said = self.test_mode("", &["-d0.1"]);
        let version = said.lines().find_map(|line| line.strip_prefix("Version "));
        version.unwrap_or("of unknown version").trim().to_owned()
    }

    /// `sendmail -bt` with these commands, one a line; returns what it says.
    pub fn test_mode(&self, commands: &str, args: &[&str]) -> String {
        let file: PathBuf = self.machine.shared().join("test-mode");
        std::fs::write(&file, commands).expect("the shared directory");
        let mut command = self.command(PROGRAM);
        command.args(args).arg("-bt").stdin(std::fs::File::open(&file).expect("just written"));
        let output = command.output().expect("sendmail");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    fn command(&self, program: &str) -> Command {
        self.machine.command(program)
    }
}
