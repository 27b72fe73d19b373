//! `sendmail.LMTP`: two maps say what a list is, a ruleset looks into them, a mailer speaks LMTP.
//!
//! | table | keys | values |
//! |---|---|---|
//! | `sendmail_domains` | domains with lists | `lists`: only lists live there; `shared`: others do too |
//! | `sendmail_addresses` | every address of every list; `LIST-bounces+*` where a detail may follow | the list-id |
//!
//! The ruleset stands in a file of m4 that `sendmail.mc` includes once. After that, new lists and new domains
//! need nothing but `makemap`: every SMTP session of Sendmail is a process that opens the maps anew.
//!
//! [`Lmtp`] is the adapter; `config` its settings; `destination` says where the list server is; `tables` writes
//! the maps; `fragment` the file of m4; `snippets` how to install it; `facts` what is known of the machine;
//! `check` asks Sendmail.

mod adapter;
mod check;
mod config;
mod destination;
mod facts;
mod fragment;
mod snippets;
mod tables;
#[cfg(test)]
mod tests;

pub use adapter::Lmtp;
