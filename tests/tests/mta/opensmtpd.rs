//! Debian's OpenSMTPD, with a plugin that a third party could have written: it is built outside the workspace, from
//! the published crate alone.

use crate::mta::{Asked, Mta, Network, WithoutTable};
use postrider_tests::mta_box::{self, Layer, MtaBox};
use postrider_tests::third_party;
use std::io;
use std::path::PathBuf;

/// With the only adapter.
pub struct OpenSmtpd;

fn of(machine: &MtaBox) -> mta_box::OpenSmtpd<'_> {
    mta_box::OpenSmtpd::of(machine)
}

impl Mta for OpenSmtpd {
    fn name(&self) -> &'static str {
        self.incoming()
    }

    fn layer(&self) -> io::Result<Layer> {
        mta_box::OpenSmtpd::layer()
    }

    fn plugin_file(&self) -> PathBuf {
        third_party::example("opensmtpd")
    }

    fn version(&self, machine: &MtaBox) -> String {
        let output = machine.output(&["smtpd", "-h"]).expect("smtpd");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let version = said.lines().find_map(|line| line.strip_prefix("version: "));
        version.unwrap_or("OpenSMTPD of unknown version").to_owned()
    }

    fn install(&self, machine: &MtaBox, network: Network) {
        let interface = if network == Network::TwoHosts { "0.0.0.0" } else { "lo" };
        mta_box::OpenSmtpd::configure(machine, interface);
    }

    fn start(&self, machine: &MtaBox) {
        of(machine).start();
    }

    fn stop(&self, machine: &MtaBox) {
        of(machine).stop();
    }

    fn flush(&self, machine: &MtaBox) {
        of(machine).flush();
    }

    fn queue_is_empty(&self, machine: &MtaBox) -> bool {
        of(machine).queue().is_empty()
    }

    fn queue(&self, machine: &MtaBox) -> String {
        of(machine).queue()
    }

    fn log(&self, machine: &MtaBox) -> String {
        of(machine).log()
    }

    fn set_rule(&self, machine: &MtaBox, address: &str, reply: Option<&str>) {
        of(machine).set_rule(address, reply);
    }

    fn incoming(&self) -> &'static str {
        "opensmtpd.LMTP"
    }

    fn settings(&self) -> String {
        String::new()
    }

    fn tables(&self) -> &'static [&'static str] {
        &["/var/lib/postrider/data/opensmtpd_{addresses,domains,shared}.db"]
    }

    /// While it cannot open a table again, a running OpenSMTPD goes on with the one that it has open; but it looks at
    /// the file's time at each look-up, and a link to itself has none (ELOOP).
    fn make_unreadable(&self, machine: &MtaBox, path: &str) {
        machine.run(&["rm", path]);
        machine.run(&["ln", "-s", path, path]);
    }

    fn without_table(&self, table: &str, asked: Asked) -> WithoutTable {
        let is = |name: &str| table.contains(name);
        match asked {
            // Rules are tried in their order, up to the first that fits: the domain is that of lists.
            Asked::Posting | Asked::Verp | Asked::Owner if is("opensmtpd_shared") => WithoutTable::Taken,
            _ => WithoutTable::PutOff,
        }
    }

    fn needs_tables_to_start(&self) -> Option<&'static str> {
        Some("OpenSMTPD does not start without its tables, so clients cannot connect, and try again")
    }

    fn program_setting(&self) -> Result<&'static str, &'static str> {
        Ok("makemap_command")
    }
}
