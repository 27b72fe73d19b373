//! OpenSMTPD support for the mailing-list server Postrider.
//!
//! `opensmtpd.LMTP` writes three tables for `smtpd`: the addresses of the lists, the domains that are for lists
//! alone, and the list addresses in domains that people have too. An included file has the rules that look into
//! them; a small script hands each message to the list server by LMTP.
//!
//! The modules: [`adapter`] is what the host calls, `settings` what the administrator may set, `facts` what is
//! found on the machine, `tables` the plan, `configuration` the two files, `snippets` how they get into
//! `smtpd.conf`, `check` asks the running server, `names` keeps out what no table can hold.

#![deny(missing_docs, unsafe_code)]

mod adapter;
mod check;
mod configuration;
mod facts;
mod names;
mod settings;
mod snippets;
mod tables;

pub use adapter::Lmtp;

postrider_plugin_api::export_plugin! {
    name: "opensmtpd",
    version: env!("CARGO_PKG_VERSION"),
    incoming: ["LMTP" = Lmtp, "OpenSMTPD: tables of addresses and domains, and delivery to the list server by LMTP"],
}
