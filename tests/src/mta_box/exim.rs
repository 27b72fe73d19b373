//! The real Exim in a box, on port 25, with one of the three ways to keep its configuration.

use super::{Layer, MtaBox};
use std::{
    io,
    process::Output,
    thread,
    time::{Duration, Instant},
};

/// Exim, its configuration programs and tinycdb.
const PACKAGES: &[&str] = &["exim4-daemon-light", "tinycdb"];
/// What must be answered to `RCPT` of some addresses: a directory with a file for each. (Exim keeps text files
/// open as long as a connection lasts, and goes on with what it has read.)
const RULES: &str = "/etc/exim4/rules";
const LOG: &str = "/var/log/exim4/mainlog";
const PID: &str = "/run/exim4/exim.pid";
const LIMIT: Duration = Duration::from_mins(1);

/// The site's own conditions, at the begin of its ACL: for everybody, whom Exim trusts or not.
const RULES_ACL: &str =
    "  warn set acl_m_rule = ${lookup {$local_part@$domain} dsearch,cache=no_rd {/etc/exim4/rules} \
      {${readfile {/etc/exim4/rules/$value} {}}}{}}
  defer condition = ${if match {$acl_m_rule} {^4}}
    message = $acl_m_rule
  deny condition = ${if match {$acl_m_rule} {^5}}
    message = $acl_m_rule
";

/// Where the rest of the world is.
const WORLD_ROUTER: &str = "world:
  driver = manualroute
  domains = ! +local_domains
  route_list = * 127.0.0.1
  self = send
  transport = world
  no_more
";
const WORLD_TRANSPORT: &str = "world:
  driver = smtp
  port = 2599
  allow_localhost
  hosts_avoid_tls = *
";

/// A configuration as sites write it that are not Debian's.
const PLAIN: &str = "primary_hostname = mta.example.com
domainlist local_domains = @ : \\
    localhost
domainlist relay_to_domains =
hostlist   relay_from_hosts = <; 127.0.0.1 ; ::1
acl_smtp_rcpt = acl_check_rcpt
never_users = root
keep_environment =
host_lookup =
tls_advertise_hosts =
ignore_bounce_errors_after = 2d
log_file_path = /var/log/exim4/%slog
pid_file_path = /run/exim4/exim.pid
local_interfaces = INTERFACES
begin acl
acl_check_rcpt:
RULES  accept  hosts = :
  deny    domains = +local_domains
          local_parts = ^[.] : ^.*[@%!/|]
          message = Restricted characters in address
  accept  hosts = +relay_from_hosts
          control = submission
  require message = relay not permitted
          domains = +local_domains : +relay_to_domains
  require verify = recipient
  accept
begin routers
ROUTERlocaluser:
  driver = accept
  check_local_user
  transport = local_delivery
  cannot_route_message = Unknown user
begin transports
TRANSPORTlocal_delivery:
  driver = appendfile
  file = /var/mail/$local_part_data
  delivery_date_add
  envelope_to_add
  return_path_add
  user = mail
  current_directory = /
  group = mail
  mode = 0660
begin retry
*  *  F,2h,15m; G,16h,1h,1.5; F,4d,6h
";

/// How the configuration is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EximLayout {
    /// Debian's `conf.d`.
    Split,
    /// Debian's `exim4.conf.template`.
    Single,
    /// `/etc/exim4/exim4.conf`, which Exim reads as it is.
    Plain,
}

/// Exim in a box. Local users of the box are `NAME@mta.example.com`; mail for the rest of the world goes to
/// 127.0.0.1:2599, where a [`Catcher`](super::Catcher) can wait for it. 127.0.0.1 alone may relay.
#[derive(Clone, Copy, Debug)]
pub struct Exim<'b> {
    machine: &'b MtaBox,
}

impl<'b> Exim<'b> {
    /// Debian's Exim, and the program that makes cdb files.
    ///
    /// # Errors
    /// When packages cannot be fetched or installed, with what apt said.
    pub fn layer() -> io::Result<Layer> {
        Layer::of_packages("exim4", PACKAGES)
    }

    /// The Exim of this box, whether configured or not.
    pub fn of(machine: &'b MtaBox) -> Self {
        Exim { machine }
    }

    /// Writes its configuration; `interfaces` as for Exim's `local_interfaces`.
    ///
    /// # Panics
    /// When it cannot be written, or Exim does not like it.
    pub fn configure(machine: &'b MtaBox, layout: EximLayout, interfaces: &str) -> Self {
        let write =
            |path: &str, text: &str| machine.write(path, text).unwrap_or_else(|error| panic!("{path}: {error}"));
        machine.run(&["mkdir", "-p", RULES]);
        // Exim delivers to nobody whose home directory is missing.
        machine.shell("awk -F: '$6 ~ \"^/home/\" {print $6}' /etc/passwd | xargs -r mkdir -p");
        machine.shell("mkdir -p /run/exim4 && chown Debian-exim:Debian-exim /run/exim4");
        if layout == EximLayout::Plain {
            let text = PLAIN
                .replace("INTERFACES", interfaces)
                .replace("RULES", RULES_ACL)
                .replace("ROUTER", WORLD_ROUTER)
                .replace("TRANSPORT", WORLD_TRANSPORT);
            write("/etc/exim4/exim4.conf", &text);
            machine.run(&["exim4", "-bV"]);
            return Exim { machine };
        }
        let split = layout == EximLayout::Split;
        let set = |name: &str, value: &str| {
            machine.run(&[
                "sed",
                "-i",
                &format!("s|^{name}=.*|{name}='{value}'|"),
                "/etc/exim4/update-exim4.conf.conf",
            ]);
        };
        set("dc_eximconfig_configtype", "internet");
        set("dc_other_hostnames", "mta.example.com");
        set("dc_local_interfaces", interfaces);
        set("dc_use_split_config", if split { "true" } else { "false" });
        machine.write("/etc/exim4/world-router", WORLD_ROUTER).expect("router");
        machine.write("/etc/exim4/world-transport", WORLD_TRANSPORT).expect("transport");
        machine.write("/etc/exim4/rules-acl", RULES_ACL).expect("ACL");
        if split {
            machine.shell(
                "cd /etc/exim4/conf.d; cp ../world-router router/190_world; cp ../world-transport transport/30_world
                 sed -i '/^acl_check_rcpt:/r /etc/exim4/rules-acl' acl/30_exim4-config_check_rcpt",
            );
        } else {
            machine.shell(
                "cd /etc/exim4; sed -i -e '/^acl_check_rcpt:/r rules-acl' -e '/^begin routers/r world-router' \
                 -e '/^begin transports/r world-transport' exim4.conf.template",
            );
        }
        machine.run(&["update-exim4.conf"]);
        Exim { machine }
    }

    /// Starts it; returns when it has begun to listen.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(&self) {
        self.machine.run(&["exim4", "-bd", "-q30m"]);
        self.machine.wait_for_port("127.0.0.1:25", LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
    }

    /// Stops it; deliveries that have begun go on.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn stop(&self) {
        let begun = Instant::now();
        self.machine.shell(&format!("kill \"$(cat {PID})\""));
        while self.machine.connect("127.0.0.1", "127.0.0.1:25").is_ok() {
            assert!(begun.elapsed() < LIMIT, "Exim does not stop\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Tries everything in the queue, whatever retry times say; returns when all has been tried.
    pub fn flush(&self) {
        self.machine.run(&["exim4", "-qff"]);
    }

    /// The queue as Exim shows it; empty when nothing waits.
    pub fn queue(&self) -> String {
        self.machine.run(&["exim4", "-bp"])
    }

    /// All that it has logged, panics last.
    pub fn log(&self) -> String {
        let panics = self.machine.read("/var/log/exim4/paniclog").unwrap_or_default();
        self.machine.read(LOG).unwrap_or_default() + &panics
    }

    /// `exim4 -bt`: how it would deliver mail for this address.
    pub fn route(&self, address: &str) -> Output {
        self.machine.output(&["exim4", "-bt", "--", address]).unwrap_or_else(|error| panic!("exim4 -bt: {error}"))
    }

    /// From now on `RCPT` of this address is answered so; without a reply as if there were no rule.
    pub fn set_rule(&self, address: &str, reply: Option<&str>) {
        let file = format!("{RULES}/{address}");
        match reply {
            Some(reply) => self.machine.write(&file, reply).unwrap_or_else(|error| panic!("{file}: {error}")),
            None => drop(self.machine.run(&["rm", "-f", &file])),
        }
    }
}
