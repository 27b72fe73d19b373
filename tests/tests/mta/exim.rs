//! Debian's Exim, with its configuration in each of the three ways.

use crate::mta::{Asked, Demand, Mta, Network, Point, Refusal, Unknown, WithoutTable};
use postrider_tests::mta_box::{self, EximLayout, Layer, MtaBox};
use std::io;

/// One way to keep the configuration and to know the recipients.
pub struct Exim {
    name: &'static str,
    layout: EximLayout,
    recipients: &'static str,
}

impl Exim {
    /// `recipients` is the value of the setting, or `cdb` for a file of this type.
    pub fn new(name: &'static str, layout: EximLayout, recipients: &'static str) -> Self {
        Exim { name, layout, recipients }
    }
}

impl Mta for Exim {
    fn name(&self) -> &'static str {
        self.name
    }

    fn layer(&self) -> io::Result<Layer> {
        mta_box::Exim::layer()
    }

    fn version(&self, machine: &MtaBox) -> String {
        let told = machine.run(&["exim4", "-bV"]);
        let version = told.strip_prefix("Exim version ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        format!("Exim {version}")
    }

    fn install(&self, machine: &MtaBox, network: Network) {
        let interfaces = if network == Network::TwoHosts { "0.0.0.0" } else { "127.0.0.1" };
        mta_box::Exim::configure(machine, self.layout, interfaces);
    }

    fn start(&self, machine: &MtaBox) {
        mta_box::Exim::of(machine).start();
    }

    fn stop(&self, machine: &MtaBox) {
        mta_box::Exim::of(machine).stop();
    }

    fn flush(&self, machine: &MtaBox) {
        mta_box::Exim::of(machine).flush();
    }

    fn queue_is_empty(&self, machine: &MtaBox) -> bool {
        mta_box::Exim::of(machine).queue().is_empty()
    }

    fn queue(&self, machine: &MtaBox) -> String {
        mta_box::Exim::of(machine).queue()
    }

    fn log(&self, machine: &MtaBox) -> String {
        mta_box::Exim::of(machine).log()
    }

    fn set_rule(&self, machine: &MtaBox, address: &str, reply: Option<&str>) {
        mta_box::Exim::of(machine).set_rule(address, reply);
    }

    /// Exim writes `Return-path:`, which means the same.
    fn mailbox(&self, machine: &MtaBox, user: &str) -> String {
        let mailbox = machine.read(&format!("/var/mail/{user}")).unwrap_or_default();
        mailbox.replace("Return-path:", "Return-Path:")
    }

    fn incoming(&self) -> &'static str {
        "exim4.LMTP"
    }

    fn settings(&self) -> String {
        match self.recipients {
            "cdb" | "dbm" | "lsearch" => format!("recipients: file\nfile_type: {}", self.recipients),
            other => format!("recipients: {other}"),
        }
    }

    fn tables(&self) -> &'static [&'static str] {
        &["/var/lib/postrider/data/exim4_*"]
    }

    /// Exim reads what `cdb` or `exim_dbmbuild` has made of the text.
    fn without_table(&self, table: &str, _: Asked) -> WithoutTable {
        let is_source = table.ends_with("/exim4_list_table") && self.recipients != "lsearch";
        if is_source { WithoutTable::Taken } else { WithoutTable::PutOff }
    }

    fn program_setting(&self) -> Result<&'static str, &'static str> {
        match self.recipients {
            "cdb" => Ok("cdb_command"),
            "dbm" => Ok("exim_dbmbuild_command"),
            "callout" => Err("Exim asks Postrider itself"),
            _ => Err("Exim looks into directories and text files itself"),
        }
    }

    fn asks_postrider(&self) -> bool {
        self.recipients == "callout"
    }

    fn refusal(&self, unknown: Unknown) -> Refusal {
        match unknown {
            Unknown::Detail if self.asks_postrider() => {
                Refusal::Taken("Exim asks Postrider, to whom a detail means nothing")
            }
            _ => Refusal::AtRcpt,
        }
    }

    fn demand(&self, point: Point) -> Demand {
        if !self.asks_postrider() {
            return Demand::Whole;
        }
        match point {
            Point::Changes => Demand::Not("Exim asks Postrider, and here a stand-in for it takes every address"),
            Point::Stopped => {
                Demand::Not("Exim cannot ask while Postrider is away: mail is put off (451) and waits with its sender")
            }
            Point::AliasDomains => Demand::Not(
                "lists are known under the alias domain only, because asking does not tell lists from mailboxes",
            ),
            Point::UnixSocket | Point::Packaged => Demand::Not("Exim can ask at a TCP port only"),
            _ => Demand::Whole,
        }
    }
}
