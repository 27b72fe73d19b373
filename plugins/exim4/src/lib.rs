//! Exim 4 support for the mailing-list server Postrider: the incoming adapter `exim4.LMTP`.
//!
//! Exim looks two things up at each RCPT and each delivery, so new lists and new domains need neither a
//! new configuration nor a restart:
//!
//! | table | what it is | keys |
//! |---|---|---|
//! | `exim4_domains/` | a directory, one file a domain | domains of lists and their alias domains |
//! | `exim4_lists/` | a directory, one file a list (`recipients: directory`) | posting addresses |
//! | `exim4_list_table` | a text or compiled file (`recipients: file`) | posting addresses |
//!
//! The sub-addresses (`-bounces`, `-confirm+TOKEN`, …) are suffixes in Exim's own configuration, which
//! [`Lmtp`] writes for Debian's split configuration, Debian's single file and a plain `exim.conf`.
//!
//! The modules: `adapter` answers the host; `settings` and `facts` say what Exim it is; `tables` writes
//! the tables; `configuration` writes Exim's configuration, `lookup` and `destination` the parts of it that
//! depend on the site; `snippets` puts it in place, `layout` says how for each layout; `check` asks Exim.

#![deny(missing_docs, unsafe_code)]

mod adapter;
mod check;
mod configuration;
mod destination;
mod facts;
mod layout;
mod lookup;
mod settings;
mod snippets;
mod tables;
#[cfg(test)]
mod testing;

pub use adapter::Lmtp;

postrider_plugin_api::export_plugin! {
    name: "exim4",
    version: env!("CARGO_PKG_VERSION"),
    incoming: ["LMTP" = Lmtp, "Exim 4: tables that Exim looks into, and delivery to the list server by LMTP"],
}
