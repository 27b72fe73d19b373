//! What the author of a plugin works with: plain Rust traits and types.
//!
//! An adapter *plans*, the host *acts*: an adapter never writes a file and never runs a program
//! by itself. It asks [`Tools`] during [`IncomingAdapter::probe`] and
//! [`IncomingAdapter::check`], and says in [`IncomingAdapter::plan`] what it wants done.

mod adapter;
mod error;
mod finding;
mod plan;
mod roster;
mod settings;
mod site;
mod snippet;
mod tools;

pub use adapter::{Batch, Context, HostLog, IncomingAdapter, LogLevel, Outcome, OutgoingAdapter, RecipientResult};
pub use error::{Error, ErrorKind, Result};
pub use finding::{Finding, Severity};
pub use plan::{Change, Command, Need, Phase, PlanSink, Privilege, Row, Table, TableFormat, TableRole};
pub use roster::{DomainView, ListView, Roster};
pub use settings::{SettingKind, SettingSpec, Settings};
pub use site::{LmtpAddress, Site, Subaddress};
pub use snippet::{Snippet, SnippetKind};
pub use tools::{Facts, ProgramOutput, Tools};
