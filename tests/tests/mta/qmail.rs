//! A stand-in for qmail, which has no Debian package (`postrider_tests::qmail_stand_in` says what it covers): the
//! real `.qmail` files, control files, shell and `qmail-lmtp`, behind a port 25 that is not qmail's.

use crate::mta::{Asked, Mta, Network, Refusal, Unknown, WORLD, WithoutTable};
use crate::site::Lmtp;
use postrider_tests::{
    mta_box::{Layer, MtaBox},
    qmail_stand_in::FIRST_ARGUMENT,
};
use std::io;

const HOME: &str = "/var/qmail";
const LOG: &str = "/var/log/qmail.log";
/// Where the site keeps the `.qmail` files of its lists, and who runs what they name.
const LISTS: (&str, &str) = ("/srv/lists", "daemon");

const NOT_AT_RCPT: &str =
    "qmail-smtpd looks at nothing but the domain (seen on the stand-in for qmail, as on notqmail 1.09)";

/// One way to write `.qmail` files.
pub struct Qmail {
    name: &'static str,
    recipients: &'static str,
}

impl Qmail {
    pub fn new(name: &'static str, recipients: &'static str) -> Self {
        Qmail { name, recipients }
    }
}

/// The stand-in's command line, for a shell in the box.
fn stand_in(arguments: &str) -> String {
    let this = std::env::current_exe().expect("this program");
    format!("'{}' {FIRST_ARGUMENT} {arguments}", this.display())
}

impl Mta for Qmail {
    fn name(&self) -> &'static str {
        self.name
    }

    fn layer(&self) -> io::Result<Layer> {
        Ok(Layer::host())
    }

    fn version(&self, _: &MtaBox) -> String {
        "stand-in for qmail (notqmail 1.09), not qmail itself".to_owned()
    }

    /// The domain staff.example is the site's own already: an alias domain of lists is one that qmail delivers.
    fn install(&self, machine: &MtaBox, _: Network) {
        let ((lists, user), world) = (LISTS, WORLD);
        machine.shell(&format!(
            "{install}
             cd {HOME}
             for domain in mta.example.com staff.example; do echo $domain; done | tee control/locals >control/rcpthosts
             echo ':{world}' >control/smtproutes
             for name in anna ben; do
               mkdir -p users/homes/$name
               echo \"/var/mail/$name\" >users/homes/$name/.qmail
               echo \"=$name:$name:$(id -u $name):$(id -g $name):{HOME}/users/homes/$name:::\" >>users/assign
             done
             echo . >>users/assign
             bin/qmail-newu
             printf '%s\\n' '127.0.0.1:allow,RELAYCLIENT=\"\"' ':allow' >/etc/tcp.smtp
             tcprules /etc/tcp.smtp.cdb /etc/tcp.smtp.new </etc/tcp.smtp
             install -d -m 0755 {lists}
             id {user}",
            install = stand_in(&format!("install {HOME}")),
        ));
    }

    fn start(&self, machine: &MtaBox) {
        machine.shell(&format!(
            "setsid {} >>{LOG} 2>&1 </dev/null & echo $! >/run/qmail.pid",
            stand_in(&format!("serve {HOME} 0.0.0.0:25"))
        ));
    }

    fn stop(&self, machine: &MtaBox) {
        machine.shell("pid=$(cat /run/qmail.pid); kill $pid; while [ -e /proc/$pid ]; do sleep 0.02; done");
    }

    fn flush(&self, machine: &MtaBox) {
        machine.shell(&format!("echo ALRM >>{HOME}/alarm"));
    }

    fn queue_is_empty(&self, machine: &MtaBox) -> bool {
        self.queue(machine).is_empty()
    }

    fn queue(&self, machine: &MtaBox) -> String {
        // A message may go while it is looked at.
        machine.shell(&format!("cd {HOME}/queue; for name in *; do head -n 2 $name 2>/dev/null || true; done"))
    }

    fn log(&self, machine: &MtaBox) -> String {
        machine.read(LOG).unwrap_or_default()
    }

    fn set_rule(&self, machine: &MtaBox, address: &str, reply: Option<&str>) {
        let path = format!("{HOME}/rules");
        let rules = machine.read(&path).unwrap_or_default();
        let others = rules.lines().filter(|line| line.split(' ').next() != Some(address));
        let mut text = others.fold(String::new(), |text, line| text + line + "\n");
        if let Some(reply) = reply {
            text = [&text, address, " ", reply, "\n"].concat();
        }
        machine.write(&path, &text).expect("rules");
    }

    fn incoming(&self) -> &'static str {
        "qmail.LMTP"
    }

    fn settings(&self) -> String {
        format!("recipients: {}\nreload_command: echo HUP >>{HOME}/hup\n", self.recipients)
    }

    /// qmail delivers nothing as root, so that where Postrider is root, somebody else must be the lists' user.
    fn settings_beside(&self, lmtp: Lmtp) -> String {
        let settings = self.settings();
        let (lists, user) = LISTS;
        if lmtp == Lmtp::Socket { settings } else { format!("{settings}home: {lists}\nuser: {user}\n") }
    }

    fn tables(&self) -> &'static [&'static str] {
        match self.recipients {
            "default" => &["/srv/lists/.qmail-default"],
            _ => &["/srv/lists/.qmail-{ants,ants-default}"],
        }
    }

    /// Root reads every file; a directory is no `.qmail` file.
    fn make_unreadable(&self, machine: &MtaBox, path: &str) {
        machine.run(&["rm", path]);
        machine.run(&["mkdir", path]);
    }

    fn without_table(&self, table: &str, asked: Asked) -> WithoutTable {
        let needed = match asked {
            // By way of the .qmail-default of the user alias.
            Asked::Alias => false,
            Asked::Posting => !table.ends_with("ants-default"),
            Asked::Verp | Asked::Owner => table.ends_with("-default"),
        };
        let why = "an address without a .qmail file is one that does not exist (dot-qmail(5))";
        if needed { WithoutTable::Bounced(why) } else { WithoutTable::Taken }
    }

    fn program_setting(&self) -> Result<&'static str, &'static str> {
        Err("a new list needs no program, a new domain only what root runs anyway")
    }

    fn refusal(&self, unknown: Unknown) -> Refusal {
        match unknown {
            Unknown::Domain => Refusal::AtRcpt,
            Unknown::Detail if self.recipients == "default" => Refusal::Taken(
                "a plus means nothing to qmail, .qmail-default hands over every address, and Postrider takes the detail \
                 off, as Mailman does",
            ),
            _ => Refusal::Bounced(NOT_AT_RCPT),
        }
    }
}
