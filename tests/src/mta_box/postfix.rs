//! The real Postfix in a box, on port 25.

use super::{HOSTNAME, MtaBox};
use std::{
    fs, io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

/// What every test has; the test's own lines win. Local users of the box are
/// `NAME@mta.example.com`; mail for the rest of the world goes to 127.0.0.1:2599, where a
/// [`Catcher`](super::Catcher) can wait for it.
const MAIN_CF: &str = "\
compatibility_level = 3.6
myhostname = mta.example.com
mydestination = $myhostname, localhost
mynetworks = 127.0.0.1/32
inet_interfaces = loopback-only
inet_protocols = all
alias_maps =
alias_database =
append_dot_mydomain = no
biff = no
relayhost = [127.0.0.1]:2599
smtpd_peername_lookup = no
";

/// Debian's services, none of them in a chroot.
const MASTER_CF: &str = "\
smtp      inet  n - n - -     smtpd
pickup    unix  n - n 60 1    pickup
cleanup   unix  n - n - 0     cleanup
qmgr      unix  n - n 300 1   qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - -     trivial-rewrite
bounce    unix  - - n - 0     bounce
defer     unix  - - n - 0     bounce
trace     unix  - - n - 0     bounce
verify    unix  - - n - 1     verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - -     proxymap
proxywrite unix - - n - 1     proxymap
smtp      unix  - - n - -     smtp
relay     unix  - - n - -     smtp
showq     unix  n - n - -     showq
error     unix  - - n - -     error
retry     unix  - - n - -     error
discard   unix  - - n - -     discard
local     unix  - n n - -     local
virtual   unix  - n n - -     virtual
lmtp      unix  - - n - -     lmtp
anvil     unix  - - n - 1     anvil
scache    unix  - - n - 1     scache
postlog   unix-dgram n - n - 1 postlogd
";

/// A running Postfix; ends with its box.
#[derive(Debug)]
pub struct Postfix<'b> {
    machine: &'b MtaBox,
    log: PathBuf,
}

impl<'b> Postfix<'b> {
    /// Writes `/etc/postfix` of the box, with `main_cf` at the end of `main.cf`, starts Postfix and
    /// waits for port 25.
    ///
    /// # Errors
    /// When Postfix does not start; with the end of its log.
    pub fn start(machine: &'b MtaBox, main_cf: &str) -> io::Result<Self> {
        let postfix = Self::configure(machine, main_cf)?;
        postfix.launch()?;
        Ok(postfix)
    }

    /// Writes `/etc/postfix` only, so that a test can change it before [`launch`](Self::launch).
    pub fn configure(machine: &'b MtaBox, main_cf: &str) -> io::Result<Self> {
        let shared = machine.shared().display();
        let log = machine.shared().join("mail.log");
        let logging = format!("maillog_file = {}\nmaillog_file_prefixes = {shared}\n", log.display());
        machine
            .write("/etc/postfix/main.cf", &format!("{}{logging}{main_cf}", without_overridden(MAIN_CF, main_cf)))?;
        machine.write("/etc/postfix/master.cf", MASTER_CF)?;
        Ok(Postfix { machine, log })
    }

    /// Runs the services as Debian installs them: nearly all of them in a chroot. Before
    /// [`launch`](Self::launch).
    pub fn use_debians_services(&self) {
        self.machine.shell(
            "cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf; /usr/lib/postfix/configure-instance.sh -",
        );
    }

    /// Makes a second instance in `/etc/postfix-NAME`, as postmulti(1) does, with `main_cf` at the end of its
    /// `main.cf`; its SMTP server listens on a port of its own. All instances are started by
    /// [`launch`](Self::launch).
    pub fn add_instance(&self, name: &str, port: u16, main_cf: &str) -> io::Result<()> {
        let directory = format!("/etc/postfix-{name}");
        self.machine.shell(&format!(
            "postmulti -e init; postmulti -I postfix-{name} -e create; postconf -c {directory} -X master_service_disable"
        ));
        let log = self.machine.shared().join(format!("mail-{name}.log"));
        let logging =
            format!("maillog_file = {}\nmaillog_file_prefixes = {}\n", log.display(), self.machine.shared().display());
        let own = format!(
            "config_directory = {directory}\nqueue_directory = /var/spool/postfix-{name}\n\
             data_directory = /var/lib/postfix-{name}\nmulti_instance_name = postfix-{name}\n\
             multi_instance_enable = yes\n{logging}{main_cf}"
        );
        self.machine.write(&format!("{directory}/main.cf"), &format!("{}{own}", without_overridden(MAIN_CF, &own)))?;
        let services = MASTER_CF.replacen("smtp  ", &format!("{port}  "), 1);
        self.machine.write(&format!("{directory}/master.cf"), &services)
    }

    /// Starts what was configured and waits for port 25.
    pub fn launch(&self) -> io::Result<()> {
        let output = self.machine.output(&["postfix", "start"])?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(io::Error::other(format!("postfix start: {}\n{said}{}", output.status, self.log_tail())));
        }
        self.machine
            .wait_for_port("127.0.0.1:25", Duration::from_secs(30))
            .map_err(|error| io::Error::other(format!("{error}\n{}", self.log_tail())))
    }

    /// `postfix reload`; returns when the command does, which is a moment before all daemons have
    /// read their configuration again.
    pub fn reload(&self) {
        self.machine.run(&["postfix", "reload"]);
    }

    /// `postfix flush`: tries deferred mail again.
    pub fn flush(&self) {
        self.machine.run(&["postfix", "flush"]);
    }

    /// Sets parameters in `main.cf` as an administrator does: `postconf -e`.
    pub fn set(&self, parameter: &str, value: &str) {
        self.machine.run(&["postconf", "-e", &format!("{parameter}={value}")]);
    }

    /// The queue as `postqueue -p` shows it.
    pub fn queue(&self) -> String {
        self.machine.run(&["postqueue", "-p"])
    }

    /// All that has been logged.
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The last lines of the log, for messages of failing tests.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Waits for a log line that contains `text`, and returns it.
    ///
    /// # Panics
    /// When there is none within `limit`; shows the end of the log.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str, limit: Duration) -> String {
        let begin = Instant::now();
        loop {
            if let Some(line) = self.log().lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(begin.elapsed() < limit, "no `{text}` in the log within {limit:?}:\n{}", self.log_tail());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The mailbox of a local user of the box, mbox format; empty when there is none.
    pub fn mailbox(&self, user: &str) -> String {
        self.machine.read(&format!("/var/mail/{user}")).unwrap_or_default()
    }

    /// The host name in its greeting.
    pub fn hostname(&self) -> &'static str {
        HOSTNAME
    }
}

/// The lines of `base` whose parameter `main_cf` does not set; Postfix warns of repeated ones.
fn without_overridden(base: &str, main_cf: &str) -> String {
    let name = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let set: Vec<String> = main_cf.lines().map(name).collect();
    base.lines().filter(|line| !set.contains(&name(line))).fold(String::new(), |text, line| text + line + "\n")
}
