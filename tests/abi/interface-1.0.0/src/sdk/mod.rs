//! What the author of a plugin works with: plain Rust traits and types.
//!
//! An adapter *plans*, the host *acts*: an adapter never writes a file and never runs a program
//! by itself. It asks [`Tools`] during [`IncomingAdapter::probe`] and
//! [`IncomingAdapter::check`], and says in [`IncomingAdapter::plan`] what it wants done.
//!
//! # What holds for everything here
//!
//! - **Growth.** Structs and enums are `non_exhaustive`: make a struct with its `new` and `with_…`, read and write its fields
//!   as you like, and end patterns with `..` or `_`. New methods of a trait have a body.
//! - **Text** is UTF-8. Sizes are octets, times are [`Duration`](std::time::Duration)s (milliseconds count, finer parts are
//!   lost on the way), modes are the bits of chmod(2), ports are TCP ports.
//! - **Lifetimes.** What comes as a reference is lent until the method returns, or the closure that it was passed to: keep a
//!   copy. What an adapter returns or puts into a sink is the host's, or copied by it.
//! - **Threads.** Methods of an adapter may be called by several threads at a time. What is lent is for the thread that was
//!   called; only [`HostLog`] may go to others.
//! - **Errors** are texts for the administrator with an [`ErrorKind`] for the host. Pass on what a [`PlanSink`], [`Roster`]
//!   or [`Tools`] answers; the host knows its own errors.

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
