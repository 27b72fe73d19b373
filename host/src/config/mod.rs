//! `postrider.cfg`: Mailman's ini form, Mailman's sections, keys and defaults.
//!
//! One table (`table.rs`) describes every key; the parser, `postrider conf` and the sample file
//! come from it. Reading never loads a plugin and never touches the network: a value is right or
//! wrong by itself. What is not installed is told by `conf --check` only.

mod types;

pub use types::*;
