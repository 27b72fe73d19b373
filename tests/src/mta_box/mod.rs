//! A private machine for a real mail server: the *box*.
//!
//! A box is a set of namespaces (mount, network, UTS, PID) over a throw-away overlay of `/`. What
//! runs in it sees all programs and files of the host, but its own port 25, its own
//! `/etc/postfix`, its own users and processes; whatever it writes is gone with it, except in
//! [`MtaBox::shared`], a directory that has the same path inside and outside. It has no network
//! but `lo`, so a test that leaks mail leaks nothing.
//!
//! Debian's Postfix is fetched and installed once ([`Layer::postfix`], some seconds) and kept below
//! `target/mta-cache`; after that a box starts in about 0.1 s.
//!
//! ```no_run
//! use postrider_tests::mta_box::{Catcher, Layer, MtaBox, Postfix, SmtpSession};
//!
//! # fn test() -> std::io::Result<()> {
//! let machine = MtaBox::start(&Layer::postfix()?)?;
//! let lists = Catcher::lmtp(&machine, "127.0.0.1:8024")?;
//! let postfix = Postfix::start(&machine, "relay_domains = lists.example.com\n")?;
//! let mut stranger = SmtpSession::connect(&machine, "127.0.0.2", "127.0.0.1:25")?;
//! stranger.mail("someone@remote.example")?.expect(250);
//! stranger.rcpt("nosuch@lists.example.com")?.expect(550);
//! # Ok(()) }
//! ```
//!
//! Sockets are made in the box's network from this very process ([`MtaBox::listen`],
//! [`MtaBox::connect`], or anything else in [`MtaBox::inside`]); programs run in it by
//! [`MtaBox::command`] and [`MtaBox::run`]. Source addresses: Postfix trusts 127.0.0.1 only, so
//! a client at 127.0.0.2 is a stranger.
//!
//! Dropping the box kills its process 1 and with it everything that runs inside; its mounts
//! vanish. The same happens when the test process dies, however it dies.

mod catcher;
mod exim;
mod layer;
mod machine;
mod opensmtpd;
mod postfix;
mod second_host;
mod sendmail;
mod smtp;
mod systemd;

pub use catcher::{Catcher, Caught, Times};
pub use exim::{Exim, EximLayout};
pub use layer::{Layer, cache_dir};
pub use machine::MtaBox;
pub use opensmtpd::OpenSmtpd;
pub use postfix::Postfix;
pub use second_host::SecondHost;
pub use sendmail::Sendmail;
pub use smtp::{Reply, SmtpSession, Transcript};
pub use systemd::Systemd;

/// The name that every box has.
pub const HOSTNAME: &str = "mta.example.com";
