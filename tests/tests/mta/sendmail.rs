//! Debian's Sendmail.

use crate::mta::{Asked, Mta, Network, WithoutTable};
use postrider_tests::mta_box::{self, Layer, MtaBox};
use std::{io, net::Ipv4Addr};

/// With maps and an LMTP mailer.
pub struct Sendmail;

fn of(machine: &MtaBox) -> mta_box::Sendmail<'_> {
    mta_box::Sendmail::of(machine)
}

impl Mta for Sendmail {
    fn name(&self) -> &'static str {
        "sendmail.LMTP"
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
        "sendmail.LMTP"
    }

    fn settings(&self) -> String {
        String::new()
    }

    fn tables(&self) -> &'static [&'static str] {
        &["/var/lib/postrider/data/sendmail_*"]
    }

    /// Sendmail reads what `makemap` has made of the texts.
    fn without_table(&self, table: &str, _: Asked) -> WithoutTable {
        if table.ends_with(".db") { WithoutTable::PutOff } else { WithoutTable::Taken }
    }

    fn program_setting(&self) -> Result<&'static str, &'static str> {
        Ok("makemap_command")
    }
}
