//! Postfix support for the mailing-list server Postrider: the incoming adapter `postfix.LMTP`.
//!
//! The adapter writes lookup tables for Postfix and says how `main.cf` has to name them:
//!
//! | table | for | keys |
//! |---|---|---|
//! | `postfix_transport` | `transport_maps` | one line a domain: mail for it goes to the list server |
//! | `postfix_domains` | `relay_domains` | the domains |
//! | `postfix_recipients` | `relay_recipient_maps` | every address of every list |
//! | `postfix_vmap` | `virtual_alias_maps` | addresses in domains that have an alias domain |
//! | `postfix_alias` | `virtual_alias_maps`, regexp only | the same, keeping what follows the `+` |
//! | `postfix_lmtp` | `transport_maps` where people have mailboxes in a list's domain, or as Mailman's manual says | every address |
//!
//! Usually routing goes by domain and acceptance by address. That is what makes a new list deliverable at
//! once: Postfix's router may read an indexed table again much later than its SMTP server does,
//! and mail for a list that only one of them knows would be deferred or bounced.
//!
//! In a domain that is Postfix's own (`mydestination`, `virtual_mailbox_domains`) both go by address.
//!
//! The modules: [`Lmtp`] is the adapter; `tables` writes rows from a `snapshot` of the lists, `changes`
//! only those that one change touches; `domain_class` says which domains are Postfix's own; `pattern`
//! makes keys; `destination` the value; `table_type` knows the kinds of tables; `commands` what must
//! run; `main_cf` reads and merges Postfix's parameters, and `networks` addresses in them, for `facts`,
//! `snippets` and `check`.

#![deny(missing_docs, unsafe_code)]

mod adapter;
mod changes;
mod check;
mod commands;
mod destination;
mod domain_class;
mod facts;
mod main_cf;
mod networks;
mod pattern;
mod settings;
mod snapshot;
mod snippets;
mod table_type;
mod tables;
#[cfg(test)]
mod testing;

pub use adapter::Lmtp;

postrider_plugin_api::export_plugin! {
    name: "postfix",
    version: env!("CARGO_PKG_VERSION"),
    incoming: ["LMTP" = Lmtp, "Postfix: lookup tables, and delivery to the list server by LMTP"],
}
