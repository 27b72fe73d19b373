//! Plugins in C: they can do what those in Rust can, and no wrong of theirs goes unseen.
#![allow(clippy::unwrap_used)] // tests

#[path = "c_plugins/end_to_end.rs"]
mod end_to_end;
#[path = "c_plugins/lent.rs"]
mod lent;
#[path = "c_plugins/refusals.rs"]
mod refusals;
#[path = "c_plugins/same_as_rust.rs"]
mod same_as_rust;
#[path = "c_plugins/versions.rs"]
mod versions;
#[path = "c_plugins/wrongs.rs"]
mod wrongs;
