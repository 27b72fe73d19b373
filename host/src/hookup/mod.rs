//! An adapter's plan becomes files of the MTA.
//!
//! An adapter says what it wants (tables, files, commands) and touches nothing; this module does
//! it, the same way for every MTA: [`Hookup::apply`] publishes, [`Hookup::preview`] shows what would
//! change, [`Hookup::write_to`] writes elsewhere, [`bring_up_to_date`] keeps the tables in step with
//! the store.
//!
//! What it promises:
//! - Every file is at every moment wholly old or wholly new, whatever happens to the host.
//! - A failure changes nothing, or brings the previous files back and activates them.
//! - What a killed run began, the next one finishes.
//! - No address that is a list before and after is answered with a permanent failure meanwhile;
//!   none is accepted before it has a route.
//! - Equal lists give equal bytes; then nothing is written and no command runs.
//!
//! | file | its one job |
//! |---|---|
//! | `front` | [`Hookup`]: what others call |
//! | `configured` | from names in the configuration to adapters |
//! | `instructions` | what the MTA is told once: text, scripts, comparison |
//! | `generation`, `published` | [`bring_up_to_date`]: store and tables in step |
//! | `site`, `roster`, `tools` | what adapters see |
//! | `collect`, `rows` | takes a plan and checks it |
//! | `together` | plans of several changes become one |
//! | `assess`, `diff` | what differs from what is published |
//! | `schedule` | in which order it is published |
//! | `publish`, `activate`, `undo` | stages and publishes, makes the MTA see it, goes back |
//! | `render`, `sqlite`, `directory`, `place`, `marker` | the forms on disk |
//! | `guard`, `signals` | bits of a directory while its files change; nobody ends us meanwhile |
//! | `command`, `run`, `programs` | programs: declared ones only, no shell, clean environment, time limit |
//! | `outputs` | directories besides the table directory |
//! | `lock`, `steps`, `report`, `error` | one at a time; crash tests; what is told |

mod activate;
mod assess;
pub(crate) mod collect;
mod command;
mod configured;
mod diff;
mod directory;
mod error;
mod front;
mod generation;
mod guard;
mod instructions;
mod lock;
mod marker;
pub(crate) mod outputs;
mod place;
pub(crate) mod programs;
mod publish;
mod published;
mod render;
mod report;
pub(crate) mod roster;
pub(crate) mod rows;
pub(crate) mod run;
mod schedule;
mod signals;
pub(crate) mod site;
mod sqlite;
mod steps;
pub(crate) mod together;
mod tools;
mod undo;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use configured::{AdapterError, from_config, from_name, incoming_settings, outgoing_from_config};
pub use error::{CommandFailure, FailureReason, HookupError};
pub use front::{FilePreview, Hookup, Options, Preview, TablePreview};
pub use generation::{Outcome, Wish, bring_up_to_date};
pub use guard::clear_forgotten_guards;
pub use instructions::{Comparison, Difference, Instructions, KitError};
pub use lock::Lock;
pub use marker::was_interrupted;
pub use published::trace_of_publication;
pub use report::{ByHand, Report, TableOutcome, TableReport, Waiting};
pub use roster::Roster;
pub use site::site_from;
pub use steps::{Observer, Step};
pub use tools::HostTools;
