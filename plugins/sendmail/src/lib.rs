//! Sendmail support for the mailing-list server Postrider.
//!
//! | adapter | direction | for |
//! |---|---|---|
//! | `sendmail.LMTP` | incoming | sites that can add one line to `sendmail.mc`: two maps and a mailer that speaks LMTP |
//! | `sendmail.Aliases` | incoming | sites that cannot: a second alias file, and a program that speaks LMTP |
//! | `sendmail.Pipe` | outgoing | hands mail to `/usr/sbin/sendmail`, be it Sendmail's or another MTA's |
//!
//! The modules: [`Lmtp`] is in `lmtp`, [`Aliases`] in `aliases`, [`Pipe`] in `pipe`; `programs` knows which
//! programs and files of Sendmail are where, `names` keeps out what no map can hold, `rows` hands rows to
//! the host, `findings` helps with checks, `test_mode` talks to `sendmail -bt`.

#![deny(missing_docs, unsafe_code)]

mod aliases;
mod findings;
mod lmtp;
mod names;
mod pipe;
mod programs;
mod rows;
mod test_mode;
#[cfg(test)]
mod testing;

pub use aliases::Aliases;
pub use lmtp::Lmtp;
pub use pipe::Pipe;

postrider_plugin_api::export_plugin! {
    name: "sendmail",
    version: env!("CARGO_PKG_VERSION"),
    incoming: [
        "LMTP" = Lmtp, "Sendmail: maps that makemap builds, and delivery to the list server by LMTP",
        "Aliases" = Aliases, "Sendmail without a change to sendmail.mc: aliases and a program that speaks LMTP",
    ],
    outgoing: ["Pipe" = Pipe, "the program sendmail, of Sendmail or another mail server"],
}
