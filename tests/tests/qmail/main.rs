//! Postrider and qmail, hooked up with nothing but what `postrider hookup` writes.
//!
//! qmail has no Debian package, so **a stand-in takes its place** (`postrider_tests::qmail_stand_in`, which says what
//! it covers and what not). All the rest is real: `postrider`, its plugin, `qmail-lmtp`, `/bin/sh`, the control
//! files and the `.qmail` files.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the right answer")]

mod changes;
mod hookup;
mod incoming;
mod names;
mod outgoing;
mod site;
