//! `sendmail.Aliases`: each address of a list is an alias for a program that speaks LMTP.
//!
//! For sites whose `sendmail.mc` must stay as it is. It is the lesser way, and every place where an administrator
//! could be surprised says so:
//!
//! - aliases know no domains: `ants` is `ants@` every domain of class w, so two lists cannot share a name, and
//!   the domains of lists have to be in class w;
//! - what follows a plus sign is lost (`ants-bounces+user=dom@` arrives as `ants-bounces@`), because an alias for a
//!   program cannot pass it on.
//!
//! | what | where | whose |
//! |---|---|---|
//! | `sendmail_aliases` | the table directory | Postrider's: the aliases as they should be |
//! | `import-postrider-aliases` | `/etc/mail` | root's: looks every line over, puts them into the alias file, runs newaliases |
//! | `postrider-lmtp` | `/etc/mail/smrsh` | root's: called by Sendmail's mailer prog, hands the message to `qmail-lmtp` |
//!
//! The second is the boundary: whoever has Postrider's rights must not be able to have Sendmail run anything
//! else. [`Aliases`] is the adapter; `config` its settings; `script` the two programs.

mod adapter;
mod config;
mod script;
#[cfg(test)]
mod tests;

pub use adapter::Aliases;
