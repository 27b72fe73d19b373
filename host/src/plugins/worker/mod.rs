//! A plugin whose code runs in processes of its own.
//!
//! One worker serves one call at a time, so a crash is an error of just that call; a plugin that is called from several
//! threads gets several workers, and those that are idle for a while end. The host never opens the library.
//!
//! | file | its one job |
//! |---|---|
//! | `wire.rs` | what crosses |
//! | `guest.rs` | the worker's side: `postrider plugin-worker` |
//! | `jail.rs` | what a worker gives up before it loads the plugin |
//! | `process.rs` | one worker process, as the host sees it |
//! | `pool.rs` | the workers of one plugin: who is idle, who died, when it is tried again |
//! | `remote.rs` | adapters whose calls go to a worker |

mod guest;
mod jail;
mod pool;
mod process;
mod remote;
mod wire;

pub use guest::main;
pub(super) use pool::Pool;
pub(super) use remote::Remote;

use super::{ANSWER, BATCH, Trust};
use std::path::PathBuf;
use std::time::Duration;

/// What workers may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Octets of memory that a worker may write to.
    pub memory: u64,
    /// How long the start of a worker, which loads a library, may take, and so the making of an adapter.
    pub start: Duration,
    /// How long an adapter may take for one answer.
    pub answer: Duration,
    /// How long an adapter may take to deliver one batch.
    pub batch: Duration,
    /// How long a worker waits for the next call before it ends.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory: 512 << 20,
            start: Duration::from_secs(30),
            answer: ANSWER,
            batch: BATCH,
            idle: Duration::from_mins(1),
        }
    }
}

/// How workers of one plugin are started.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    /// The program that has the subcommand `plugin-worker`.
    pub(super) program: PathBuf,
    /// The plugin's real path.
    pub(super) file: PathBuf,
    /// Whose plugins are taken.
    pub(super) trust: Trust,
    /// What people call it.
    pub(super) name: String,
    pub(super) limits: Limits,
}
