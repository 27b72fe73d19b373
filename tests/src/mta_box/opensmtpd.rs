//! The real OpenSMTPD in a box, on port 25.

use super::{Layer, MtaBox};
use std::{
    fmt::Write as _,
    io, thread,
    time::{Duration, Instant},
};

const PACKAGES: &[&str] = &["opensmtpd"];
const LIMIT: Duration = Duration::from_mins(1);
const LOG: &str = "/var/log/smtpd.log";
/// What must be answered to `RCPT` of some addresses: filters.
const RULES: &str = "/etc/smtpd.rules.conf";

/// As sites write it: their own domain, their own people, and a smart host for the rest.
const SMTPD_CONF: &str = "\
table aliases file:/etc/aliases
include \"/etc/smtpd.rules.conf\"
listen on INTERFACE inet4 port 25 hostname mta.example.com filter \"rules\"
action \"local\" mbox alias <aliases>
action \"out\" relay host \"smtp+notls://127.0.0.1:2599\"
match from any for domain \"mta.example.com\" action \"local\"
match from src { \"127.0.0.1\" } for any action \"out\"
match from socket for any action \"out\"
";

/// OpenSMTPD in a box. Local users of the box are `NAME@mta.example.com`; mail for the rest of the world goes to
/// 127.0.0.1:2599, where a [`Catcher`](super::Catcher) can wait for it. 127.0.0.1 alone may relay.
#[derive(Clone, Copy, Debug)]
pub struct OpenSmtpd<'b> {
    machine: &'b MtaBox,
}

impl<'b> OpenSmtpd<'b> {
    /// Debian's OpenSMTPD.
    ///
    /// # Errors
    /// When packages cannot be fetched or installed, with what apt said.
    pub fn layer() -> io::Result<Layer> {
        Layer::of_packages("opensmtpd", PACKAGES)
    }

    /// The one of this box, whether it runs or not.
    pub fn of(machine: &'b MtaBox) -> Self {
        OpenSmtpd { machine }
    }

    /// Writes its configuration; `interface` as for `listen on`.
    ///
    /// # Panics
    /// When it cannot be written, or OpenSMTPD does not like it.
    pub fn configure(machine: &'b MtaBox, interface: &str) -> Self {
        let opensmtpd = OpenSmtpd { machine };
        opensmtpd.write_rules(&[]);
        machine.write("/etc/smtpd.conf", &SMTPD_CONF.replace("INTERFACE", interface)).expect("smtpd.conf");
        machine.run(&["smtpd", "-n"]);
        opensmtpd
    }

    /// Starts it, with a log of its own: there is no syslog in a box. Returns at once; it ends by itself when it
    /// cannot read its configuration or a table.
    ///
    /// # Panics
    /// When an older one does not go.
    pub fn start(&self) {
        self.machine.shell(&format!("setsid smtpd -d </dev/null >>{LOG} 2>&1 &"));
    }

    /// Stops it, whoever started it.
    ///
    /// # Panics
    /// When it does not go.
    pub fn stop(&self) {
        let begun = Instant::now();
        // The oldest is the parent, and takes the others with it.
        while !self
            .machine
            .shell("kill $(pidof smtpd | tr ' ' '\\n' | sort -n | head -n 1) 2>/dev/null || :; pidof smtpd || :")
            .is_empty()
        {
            assert!(begun.elapsed() < LIMIT, "OpenSMTPD does not stop\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Tries everything in the queue, also by routes that failed just now.
    pub fn flush(&self) {
        self.machine.shell(
            "smtpctl show routes | sed 's/\\..*//' | while read -r route; do smtpctl resume route \"$route\"; done; \
             smtpctl schedule all",
        );
    }

    /// The queue as OpenSMTPD shows it; empty when nothing waits.
    pub fn queue(&self) -> String {
        let output = self.machine.output(&["smtpctl", "show", "queue"]);
        output.map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// All that it has logged since a test started it.
    pub fn log(&self) -> String {
        self.machine.read(LOG).unwrap_or_default()
    }

    /// From now on `RCPT` of this address is answered so; without a reply as if there were no rule. OpenSMTPD reads
    /// its configuration at its start only.
    pub fn set_rule(&self, address: &str, reply: Option<&str>) {
        let rules = self.machine.read(RULES).unwrap_or_default();
        let parsed = rules.lines().filter_map(|line| line.split_once("rcpt-to { \"")?.1.split_once("\" } reject \""));
        let mut rules: Vec<(String, String)> = parsed
            .map(|(address, reply)| (address.to_owned(), reply.trim_end_matches('"').to_owned()))
            .filter(|(known, _)| known != address && known != NOBODY)
            .collect();
        rules.extend(reply.map(|reply| (address.to_owned(), reply.to_owned())));
        self.write_rules(&rules);
        self.stop();
        self.start();
        let up = self.machine.wait_for_port("127.0.0.1:25", LIMIT);
        up.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
    }

    fn write_rules(self, rules: &[(String, String)]) {
        // A chain must not be empty.
        let all = [(NOBODY.to_owned(), "550 5.1.1 nobody".to_owned())].into_iter().chain(rules.iter().cloned());
        let mut text = String::new();
        let mut names = Vec::new();
        for (number, (address, reply)) in all.enumerate() {
            let _ = writeln!(
                text,
                "filter \"rule{number}\" phase rcpt-to match rcpt-to {{ \"{address}\" }} reject \"{reply}\""
            );
            names.push(format!("\"rule{number}\""));
        }
        let _ = writeln!(text, "filter \"rules\" chain {{ {} }}", names.join(", "));
        self.machine.write(RULES, &text).expect("rules");
    }
}

const NOBODY: &str = "nobody@postrider.invalid";
