//! Nothing by itself: every other file here is a plugin, see `Cargo.toml`.
