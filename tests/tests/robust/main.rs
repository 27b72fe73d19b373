//! Wrong input, faults of the machine and of others, signals, backup, and what every command answers.
//!
//! All through the real program: each test shows a clear error, and that nothing was lost or left
//! half done. `cargo test -p postrider-tests --test robust NAME::` runs one file.

use postrider_tests::site;

mod backup;
mod commands;
mod configuration;
mod databases;
mod disk_full;
mod injected_commands;
mod isolation;
mod lmtp_garbage;
mod members;
mod memory;
mod names;
mod personal;
mod plugins_seen_from_outside;
mod queue;
mod queue_files;
mod serve;
mod signals;
mod smtp_faults;
mod smuggling;
mod watchdog;
mod wire;
