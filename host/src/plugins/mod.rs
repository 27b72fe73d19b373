//! Finds, checks and loads plugins.
//!
//! What it promises: a file that could hurt is refused before it runs (who owns it, who can write it,
//! whether it is whole), and one that does not fit is refused before its first call (version of the
//! interface, layout of every type, panics that cannot be caught). A refusal is one line that says
//! which file, what was found, what was expected and what to do. One bad plugin never stops a good one.
//! A loaded plugin is never unloaded; a panic in it becomes an error, and the next call meets a new
//! adapter.
//!
//! What it cannot promise: a plugin shares the process. Code runs as soon as the file is opened, and
//! nothing here catches a crash or `exit`; an endless loop costs a thread. That is why only files that root or the
//! host's own user could have put there are opened at all.
//!
//! | file | its one job |
//! |---|---|
//! | `registry.rs` | [`PluginRegistry`]: names to files, files to adapters; each file is loaded once |
//! | `vet.rs` | who could have written this file? |
//! | `elf.rs` | is it a whole shared library for this machine? |
//! | `library.rs` | what can be asked of a plugin, wherever its code runs |
//! | `needs.rs` | does it export a plugin, and where is what it needs searched? |
//! | `interface.rs` | does its interface fit ours? |
//! | `load.rs` | opens it and compares the interface |
//! | `c/` | the same for plugins in C |
//! | `adapter.rs` | an adapter that is made anew after a panic |
//! | `watch.rs` | [`Watch`]: calls that must come back |
//! | `null.rs` | the built-in `null.NullMTA` |
//! | `log.rs` | what adapters say goes to our log |
//! | `error.rs` | the refusals |

#![allow(unsafe_code)] // opening a shared library and trusting its symbol: `load.rs`, `c/`

mod adapter;
mod c;
mod elf;
mod error;
mod interface;
mod library;
mod load;
mod log;
mod needs;
mod null;
mod registry;
mod vet;
mod watch;

pub(crate) use elf::check as check_whole;
pub use error::PluginError;
pub use library::{AdapterReport, PluginInfo};
pub(crate) use load::{Loaded, SYMBOLS, load_from_anywhere};
pub use log::AdapterLog;
pub(crate) use needs::check as check_needs;
pub use null::NullMta;
pub use registry::{PluginRegistry, PluginReport};
pub use vet::Trust;
pub(crate) use vet::vet;
pub use watch::{NoAnswer, Watch};

/// What an adapter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// Tells the MTA about lists.
    Incoming,
    /// Hands mail to the MTA.
    Outgoing,
    /// Of a newer interface; this host has no use for it.
    Unknown(u32),
}

impl std::fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AdapterKind::Incoming => f.write_str("incoming"),
            AdapterKind::Outgoing => f.write_str("outgoing"),
            AdapterKind::Unknown(number) => write!(f, "unknown kind {number}"),
        }
    }
}
