//! qmail support for the mailing-list server Postrider: the adapters `qmail.LMTP` (incoming) and
//! `qmail.Queue` (outgoing).
//!
//! qmail has no LMTP client: it runs a program for each delivery. `virtualdomains` gives the list domains to
//! a controlling user (`lists.example.com:postrider` makes `ants@lists.example.com` the local address
//! `postrider-ants`), and a `.qmail` file in that user's home runs `qmail-lmtp`, which hands the message over.
//!
//! | what | for |
//! |---|---|
//! | `.qmail-default` in the home | every address in the list domains goes to Postrider, which knows the lists |
//! | or `.qmail-LIST` and `.qmail-LIST-default` | qmail itself bounces what belongs to no list |
//! | `qmail_domains` in the table directory | the list domains, for the superuser's program below |
//! | a root program of a few lines | brings `virtualdomains` and `rcpthosts` into step with `qmail_domains` |
//!
//! The modules: [`Lmtp`] and [`Queue`] are the adapters; `settings` reads their section; `dot_qmail` knows the
//! names and contents of `.qmail` files; `tables` plans them; `control` is about the domains and qmail's
//! control files; `facts` looks at the machine for `snippets` and `check`.

#![deny(missing_docs, unsafe_code)]

mod adapter;
mod check;
mod control;
mod dot_qmail;
mod facts;
mod queue;
mod settings;
mod snippets;
mod tables;
#[cfg(test)]
mod testing;

pub use adapter::Lmtp;
pub use queue::Queue;

postrider_plugin_api::export_plugin! {
    name: "qmail",
    version: env!("CARGO_PKG_VERSION"),
    incoming: ["LMTP" = Lmtp, "qmail: .qmail files that hand mail to the list server by LMTP"],
    outgoing: ["Queue" = Queue, "qmail: mail goes into the queue by qmail-queue, with qmail's own VERP"],
}
