//! Debian's Sendmail.

use crate::mta::{Asked, Demand, Mta, Network, Point, Refusal, Unknown, WithoutTable};
use postrider_tests::mta_box::{self, Layer, MtaBox};
use std::{io, net::Ipv4Addr};

const NO_DETAIL: &str = "an alias for a program cannot pass on what follows the plus sign";

/// With one of the adapters.
pub struct Sendmail {
    adapter: Adapter,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Adapter {
    Lmtp,
    Aliases,
}

impl Sendmail {
    /// With maps and an LMTP mailer.
    pub fn lmtp() -> Self {
        Sendmail { adapter: Adapter::Lmtp }
    }

    /// With aliases for a program.
    pub fn aliases() -> Self {
        Sendmail { adapter: Adapter::Aliases }
    }
}

fn of(machine: &MtaBox) -> mta_box::Sendmail<'_> {
    mta_box::Sendmail::of(machine)
}

impl Mta for Sendmail {
    fn name(&self) -> &'static str {
        self.incoming()
    }

    fn layer(&self) -> io::Result<Layer> {
        mta_box::Sendmail::layer()
    }

    fn version(&self, machine: &MtaBox) -> String {
        format!("Sendmail {}", of(machine).version())
    }

    fn install(&self, machine: &MtaBox, network: Network) {
        let address = match network {
            Network::OneHost => Ipv4Addr::LOCALHOST,
            Network::TwoHosts => Ipv4Addr::UNSPECIFIED,
        };
        mta_box::Sendmail::configure(machine, address, "").expect("sendmail.mc");
    }

    fn start(&self, machine: &MtaBox) {
        of(machine).launch().expect("sendmail");
    }

    fn stop(&self, machine: &MtaBox) {
        of(machine).stop();
    }

    fn flush(&self, machine: &MtaBox) {
        of(machine).flush();
    }

    fn queue_is_empty(&self, machine: &MtaBox) -> bool {
        of(machine).queue_is_empty()
    }

    fn queue(&self, machine: &MtaBox) -> String {
        of(machine).queue()
    }

    fn log(&self, machine: &MtaBox) -> String {
        of(machine).log()
    }

    /// `451 4.7.1 not now` is `ERROR:4.7.1:451 not now` in the access map.
    fn set_rule(&self, machine: &MtaBox, address: &str, reply: Option<&str>) {
        let value = reply.map(|reply| {
            let mut words = reply.splitn(3, ' ');
            let mut word = || words.next().expect("code, enhanced code, text");
            let (code, enhanced, text) = (word(), word(), word());
            format!("ERROR:{enhanced}:{code} {text}")
        });
        of(machine).set_rule(&format!("To:{address}"), value.as_deref()).expect("access map");
    }

    fn incoming(&self) -> &'static str {
        match self.adapter {
            Adapter::Lmtp => "sendmail.LMTP",
            Adapter::Aliases => "sendmail.Aliases",
        }
    }

    fn settings(&self) -> String {
        String::new()
    }

    fn tables(&self) -> &'static [&'static str] {
        &["/var/lib/postrider/data/sendmail_*"]
    }

    /// Sendmail reads what `makemap` has made of the texts.
    fn without_table(&self, table: &str, _: Asked) -> WithoutTable {
        if std::path::Path::new(table).extension().is_some_and(|extension| extension == "db") {
            WithoutTable::PutOff
        } else {
            WithoutTable::Taken
        }
    }

    fn program_setting(&self) -> Result<&'static str, &'static str> {
        match self.adapter {
            Adapter::Lmtp => Ok("makemap_command"),
            Adapter::Aliases => Ok("update_command"),
        }
    }

    fn refusal(&self, unknown: Unknown) -> Refusal {
        match (self.adapter, unknown) {
            (Adapter::Aliases, Unknown::Detail) => Refusal::Taken("an alias holds for every detail"),
            _ => Refusal::AtRcpt,
        }
    }

    fn keeps_detail(&self) -> Result<(), &'static str> {
        match self.adapter {
            Adapter::Lmtp => Ok(()),
            Adapter::Aliases => Err(NO_DETAIL),
        }
    }

    fn tells_domains_apart(&self) -> bool {
        self.adapter == Adapter::Lmtp
    }

    fn demand(&self, point: Point) -> Demand {
        match (self.adapter, point) {
            (Adapter::Aliases, Point::Changes) => {
                Demand::Not("a new domain needs a line in local-host-names and a SIGHUP")
            }
            (Adapter::Aliases, Point::Outgoing) => Demand::Not(
                "list domains are in class w, so Debian's FEATURE(masquerade_envelope) gives VERP senders the host's own domain",
            ),
            (Adapter::Aliases, Point::Failures) => {
                Demand::Not("the tables are the site's own aliases, without which Sendmail knows no people either")
            }
            (Adapter::Aliases, Point::AliasDomains) => Demand::Not("aliases know no domains"),
            (Adapter::Aliases, Point::TwoHosts | Point::UnixSocket | Point::Packaged) => {
                Demand::Not("mail does not come back to a VERP address: an alias for a program loses the detail")
            }
            _ => Demand::Whole,
        }
    }
}
