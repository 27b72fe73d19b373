//! Black-box tests of Postrider, and what they share.
//!
//! - [`installation`]: a Postrider of the test's own: configuration, command line, daemon;
//! - [`mta_box`]: a private machine in which a real mail server runs on its real port 25;
//! - [`fixtures`]: fixture plugins, good and bad;
//! - [`c`]: plugins in C;
//! - [`names`]: nasty names of lists, with the addresses that are theirs and those that only look so;
//! - [`set_on_drop`]: ends the threads of a failing test;
//! - [`qmail_stand_in`]: does what qmail does, where no real qmail can be had;
//! - [`site`]: installations with a list, and an SMTP server that can be rude;
//! - [`small_disk`]: a file system that can be filled to the last octet;
//! - [`smtp_sink`]: Postfix's own test server, which can be told to be at fault;
//! - [`stand_ins`]: what tests lend to adapters, where it is not what they are about;
//! - [`require`]: what a test needs of the machine, asked before it starts;
//! - [`third_party`]: plugins built outside the workspace, from the published crate.

pub mod c;
pub mod fixtures;
pub mod installation;
pub mod mta_box;
pub mod names;
pub mod qmail_stand_in;
pub mod require;
pub mod set_on_drop;
pub mod site;
pub mod small_disk;
pub mod smtp_sink;
pub mod stand_ins;
pub mod third_party;
