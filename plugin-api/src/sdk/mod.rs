//! What the author of a plugin works with: plain Rust traits and types.
//!
//! An adapter *plans*, the host *acts*: an adapter never writes a file and never runs a program
//! by itself. It asks [`Tools`] during [`IncomingAdapter::probe`] and
//! [`IncomingAdapter::check`], and says in [`IncomingAdapter::plan`] what it wants done.

mod adapter;
mod addresses;
mod error;
mod finding;
mod injection;
mod plan;
mod roster;
mod settings;
mod site;
mod snippet;
mod tools;

pub use adapter::{Batch, Context, HostLog, IncomingAdapter, LogLevel, Outcome, OutgoingAdapter, RecipientResult};
pub use addresses::{for_each_address, for_each_address_of, Address};
pub use error::{Error, ErrorKind, Result};
pub use finding::{Finding, Severity};
pub use injection::{Abilities, Content, Envelope, ExitMeaning, Injection, Input};
pub use plan::{
    Change, Command, CommandInput, Extent, Guard, Need, Phase, PlanSink, Privilege, Row, Table, TableFormat, TableRole,
};
pub use roster::{DomainView, ListView, Roster};
pub use settings::{SettingKind, SettingSpec, Settings};
pub use site::{is_this_host, reachable_host, LmtpAddress, Site, Subaddress};
pub use snippet::{Snippet, SnippetKind};
pub use tools::{Facts, ProgramOutput, Tools};
