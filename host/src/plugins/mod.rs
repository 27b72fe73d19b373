//! Finds, checks and loads plugins.
//!
//! What it promises: a file that could hurt is refused before it runs (who owns it, who can write it,
//! whether it is whole), and one that does not fit is refused before its first call (version of the
//! interface, layout of every type, panics that cannot be caught). A refusal is one line that says
//! which file, what was found, what was expected and what to do. One bad plugin never stops a good one.
//!
//! A plugin runs in worker processes of its own (`worker`), from its constructors on. A crash, a hang, `exit` or memory
//! without end is an error of one call; the process is replaced, after growing pauses if it dies again and again. The
//! configuration may let a plugin run in our process instead (`[plugins] isolation`). Then a panic becomes an error, but
//! nothing catches a crash, and an endless loop costs a thread.
//!
//! What neither can promise: a plugin has the rights of our user, in a worker too. That is why only files that
//! root or the host's own user could have put there are opened at all.
//!
//! | file | its one job |
//! |---|---|
//! | `registry.rs` | [`PluginRegistry`]: names to files, files to adapters; each file is loaded once |
//! | `reload.rs` | [`Reload`]: plugins are loaded anew, all of it or nothing |
//! | `vet.rs` | who could have written this file? |
//! | `elf.rs` | is it a whole shared library for this machine? |
//! | `library.rs` | what can be asked of a plugin, wherever its code runs |
//! | `needs.rs` | does it export a plugin, and where is what it needs searched? |
//! | `interface.rs` | does its interface fit ours? |
//! | `load.rs` | opens it and compares the interface, or has a worker do so |
//! | `c/` | the same for plugins in C |
//! | `adapter.rs` | an adapter that is made anew after a panic |
//! | `worker/` | plugins in processes of their own |
//! | `watch.rs` | [`Watch`]: calls that must come back |
//! | `fate.rs` | [`Fate`]: whether an error is the plugin's own |
//! | `null.rs` | the built-in `null.NullMTA` |
//! | `log.rs` | what adapters say goes to our log |
//! | `error.rs` | the refusals |

#![allow(unsafe_code)] // opening a shared library and trusting its symbol: `load.rs`, `c/`

mod adapter;
mod c;
mod elf;
mod error;
mod fate;
mod interface;
mod library;
mod load;
mod log;
mod needs;
mod null;
mod registry;
mod reload;
mod vet;
mod watch;
pub mod worker;

pub(crate) use elf::check as check_whole;
pub use error::PluginError;
pub use fate::Fate;
pub use library::{AdapterReport, PluginInfo};
pub(crate) use load::{Loaded, SYMBOLS, load_from_anywhere};
pub use log::AdapterLog;
pub(crate) use needs::check as check_needs;
pub use null::NullMta;
pub use registry::{Opened, PluginRegistry, PluginReport};
pub use reload::{Reload, Reloaded};
pub use vet::Trust;
pub(crate) use vet::vet;
pub use watch::{NoAnswer, Watch};

use std::time::Duration;

/// How long an incoming adapter may take for one answer, if nothing else is set: longer than any healthy one for
/// 100,000 lists, and less than those wait who wait for the tables' lock, so that they hear of it.
pub const ANSWER: Duration = Duration::from_mins(5);
/// How long an outgoing adapter may take for one batch, if nothing else is set: as long as an MTA may take for the end
/// of a message (RFC 5321, section 4.5.3.2), and as much again for the rest.
pub const BATCH: Duration = Duration::from_mins(20);

/// What an adapter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
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
