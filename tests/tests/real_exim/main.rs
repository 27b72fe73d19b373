//! The real Exim, hooked up with nothing but what `postrider hookup` writes: what the contract for all mail
//! servers (`tests/tests/mta`) does not ask, because only Exim has it: its three layouts, its kinds of
//! look-ups, callouts, a broken configuration that must not be installed.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the right answer")]

mod callout;
mod domains;
mod installation;
mod names;
mod site;
