//! `postrider.cfg`: Mailman's ini form, Mailman's sections, keys and defaults.
//!
//! One table (`table.rs`) describes every key; the parser, `postrider conf` and the sample file
//! come from it. Reading never loads a plugin and never touches the network: a value is right or
//! wrong by itself. What is not installed is told by `conf --check` only.
//!
//! | file | its one job |
//! |---|---|
//! | `ini` | text becomes sections, keys, values with their lines |
//! | `table` | every setting: section, key, kind, default, explanation |
//! | `value` | what a value can be: its parser, and what is allowed in words |
//! | `parse`, `template` | the parsers |
//! | `names` | adapters, as we and Mailman write them |
//! | `paths` | layouts and `$var_dir` |
//! | `foreign` | what is Mailman's and means nothing here |
//! | `load` | from a file to a [`Loaded`] configuration |
//! | `consistency` | values that are wrong together |
//! | `adapter` | settings of adapters, from their own file |
//! | `show`, `sample` | `postrider conf`, the sample file |
//! | `check` | what is not installed |
//! | `listen` | where LMTP listens |
//! | `changes` | what SIGHUP changes |

mod adapter;
mod changes;
mod check;
mod consistency;
mod error;
mod foreign;
pub mod ini;
mod listen;
mod load;
mod names;
mod parse;
mod paths;
mod sample;
pub mod show;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod types;
mod value;

pub(crate) use adapter::check as check_setting;
pub use adapter::{Whose, adapter_settings};
pub use changes::{Change, changes};
pub use check::{Problem, ProblemSeverity, check_installed};
pub use error::{ConfigError, ConfigErrors, Notice, Place};
pub use listen::{ListenError, listen_addresses};
pub use load::{DEFAULT_FILE, FILE_VARIABLE, Loaded, Origin};
pub(crate) use names::check_adapter as check_adapter_name;
pub use sample::{sample_config, shown_default};
pub use table::{Effect, SECTIONS, SETTINGS, Setting};
pub use types::*;
pub use value::KindInfo;
