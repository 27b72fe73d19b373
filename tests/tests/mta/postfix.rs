//! Debian's Postfix.

use crate::mta::{Asked, Mta, Network, Refusal, Unknown, WithoutTable};
use postrider_tests::installation::wait_for;
use postrider_tests::mta_box::{self, Layer, MtaBox};
use std::io;
use std::time::Duration;

/// Rules of the site, format texthash: read by `postfix reload`.
const RULES: &str = "/etc/postfix/rules";
const LOG: &str = "/var/log/postfix.log";

/// One type of tables.
pub struct Postfix {
    name: &'static str,
    table_type: &'static str,
    /// Domains that are in `mydestination` besides its own.
    local: &'static str,
}

impl Postfix {
    pub fn new(name: &'static str, table_type: &'static str) -> Self {
        Postfix { name, table_type, local: "" }
    }

    /// The domain of most lists is one of the machine's own, in which its users have mail too.
    pub fn in_mydestination(name: &'static str, table_type: &'static str) -> Self {
        Postfix { name, table_type, local: ", lists.example.com" }
    }
}

impl Mta for Postfix {
    fn name(&self) -> &'static str {
        self.name
    }

    fn layer(&self) -> io::Result<Layer> {
        Layer::postfix()
    }

    fn version(&self, machine: &MtaBox) -> String {
        format!("Postfix {}", machine.run(&["postconf", "-dh", "mail_version"]).trim())
    }

    fn install(&self, machine: &MtaBox, network: Network) {
        machine.write(RULES, "").expect("rules");
        let interfaces = if network == Network::TwoHosts { "all" } else { "loopback-only" };
        // What fails is tried again soon: tests wait for it. Relaying is refused for good; Postfix's default is to defer.
        // The first rule that applies wins; who is local or trusted is refused by them too.
        let main_cf = format!(
            "inet_interfaces = {interfaces}\ninet_protocols = ipv4\nservice_throttle_time = 1s\n\
             smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n\
             smtpd_recipient_restrictions = check_recipient_access texthash:{RULES}\n"
        );
        let local = match self.local {
            "" => String::new(),
            more => format!("mydestination = $myhostname, localhost{more}\n"),
        };
        mta_box::Postfix::configure(machine, &(main_cf + &local)).expect("main.cf");
        machine.run(&["postconf", "-e", &format!("maillog_file={LOG}"), "maillog_file_prefixes=/var"]);
    }

    fn start(&self, machine: &MtaBox) {
        machine.run(&["postfix", "start"]);
    }

    /// `postfix stop` lets its processes finish first, which takes seconds when one of them hangs.
    fn stop(&self, machine: &MtaBox) {
        machine.run(&["postfix", "abort"]);
        // It does not wait for the end of its master, beside which another one does not start.
        wait_for("the end of Postfix", Duration::from_secs(20), || {
            let status = machine.output(&["postfix", "status"]).expect("postfix");
            (!status.status.success()).then_some(())
        });
    }

    fn flush(&self, machine: &MtaBox) {
        machine.run(&["postqueue", "-f"]);
    }

    fn queue_is_empty(&self, machine: &MtaBox) -> bool {
        self.queue(machine).contains("Mail queue is empty")
    }

    fn queue(&self, machine: &MtaBox) -> String {
        let output = machine.output(&["postqueue", "-p"]).expect("postqueue");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    fn log(&self, machine: &MtaBox) -> String {
        machine.read(LOG).unwrap_or_default()
    }

    fn set_rule(&self, machine: &MtaBox, address: &str, reply: Option<&str>) {
        let rules = machine.read(RULES).expect("rules");
        let others = rules.lines().filter(|line| line.split(' ').next() != Some(address));
        let mut text = others.fold(String::new(), |text, line| text + line + "\n");
        if let Some(reply) = reply {
            text = text + address + " " + reply + "\n";
        }
        machine.write(RULES, &text).expect("rules");
        machine.run(&["postfix", "reload"]);
    }

    fn incoming(&self) -> &'static str {
        "postfix.LMTP"
    }

    fn settings(&self) -> String {
        format!("transport_file_type: {}", self.table_type)
    }

    fn tables(&self) -> &'static [&'static str] {
        match self.table_type {
            "hash" => &["/var/lib/postrider/data/postfix_{domains,recipients,transport,vmap}.db"],
            "lmdb" => &["/var/lib/postrider/data/postfix_{domains,recipients,transport,vmap}.lmdb"],
            "sqlite" if !self.local.is_empty() => {
                &["/var/lib/postrider/data/postfix_{domains,lmtp,recipients,transport,vmap}.sqlite"]
            }
            "sqlite" => &["/var/lib/postrider/data/postfix_{domains,recipients,transport,vmap}.sqlite"],
            "regexp" => &["/var/lib/postrider/data/postfix_{domains,lmtp,alias}"],
            _ => &["/var/lib/postrider/data/postfix_{domains,recipients,transport,vmap}"],
        }
    }

    /// Postfix opens its tables as root, whom no mode keeps out; a link to itself nobody can open (ELOOP).
    fn make_unreadable(&self, machine: &MtaBox, path: &str) {
        machine.run(&["rm", path]);
        machine.run(&["ln", "-s", path, path]);
    }

    fn without_table(&self, table: &str, asked: Asked) -> WithoutTable {
        let is = |name: &str| table.rsplit('/').next().and_then(|file| file.split('.').next()) == Some(name);
        if self.table_type == "sqlite" {
            // The process is shared: a question about one address keeps those about others waiting.
            return WithoutTable::NoReply(
                "Postfix's process ends when SQLite fails, and is started again after service_throttle_time",
            );
        }
        match asked {
            // Transport and class of the domain: one map for all addresses of lists, read but for the alias domains'.
            _ if is("postfix_lmtp") => WithoutTable::Taken,
            // The alias is taken and then waits: where it leads to is asked later.
            Asked::Alias if !is("postfix_vmap") && !is("postfix_alias") => WithoutTable::Taken,
            _ => WithoutTable::PutOff,
        }
    }

    fn program_setting(&self) -> Result<&'static str, &'static str> {
        match self.table_type {
            "hash" | "lmdb" => Ok("postmap_command"),
            "regexp" | "texthash" => Ok("postfix_command"),
            _ => Err("a new list is one transaction of SQLite"),
        }
    }

    fn refusal(&self, unknown: Unknown) -> Refusal {
        match (unknown, self.table_type) {
            (_, "regexp") | (Unknown::List | Unknown::Function | Unknown::Path | Unknown::Domain, _) => Refusal::AtRcpt,
            (Unknown::Detail, _) => Refusal::Taken("Postfix cuts the extension before it looks an indexed table up"),
        }
    }
}
