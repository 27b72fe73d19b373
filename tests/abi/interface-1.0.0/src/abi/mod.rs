//! What really crosses between the host and a plugin.
//!
//! - `plugin`: what a library exports, the only thing that the host looks for by its name.
//! - `objects`: what has methods. It is how both sides talk, and how most of what is new will come.
//! - `data`: arguments and results.
//! - `open`: kinds of things, as numbers.
//!
//! Authors of plugins never need this module: they write against [`sdk`](crate::sdk), and
//! [`export_plugin!`](crate::export_plugin) does the rest. The host reaches it through
//! [`host`](crate::host). Both may be built by different compilers, years apart; only the types in
//! here must then be laid out alike, and the loader compares every one of them before the first call.
//!
//! # Text, memory, threads
//!
//! Text is UTF-8 and has no NUL at its end. Paths are text; others cannot be named.
//!
//! What is lent (`RStr`, `RSlice`, every `…View`, `…Ref` and `…Mut`, and what their methods return by reference) may be used
//! until the call returns that it was passed to, and by the thread that was called. What is owned (`RString`, `RVec`, every
//! `…Box`) is the receiver's, who drops it; each carries the function that frees it, which is code of the side that made it.
//! Every `…Box` may be used by several threads at a time and dropped by any of them.
//!
//! # Growth
//!
//! Structs with an `extra` grow by it: names and values, each name at most once, whose meaning is written down beside the
//! struct in the version that adds them. Version 1.0 sends none, and a receiver ignores the names that it does not know; so
//! what stands there must be such that an older receiver may do without it. A plugin does not invent names of its own.
//!
//! # Room for what is coming
//!
//! None of this is there yet. Each is a method at the end of its object, and its default body makes both directions work:
//!
//! - **Live look-ups**, for an MTA that asks instead of reading tables: `answer(map, key, found)` of [`Incoming`]. `map` is
//!   the adapter's own name of what was asked (`relay_domains`, `transport`), `key` is what the MTA wants to know, `found`
//!   is what the host's roster says of it; the result is the value in this MTA's words, or none. Default:
//!   [`ErrorKind::UNSUPPORTED`], and the host goes on with tables.
//! - **Several changes at once**: `plan_changes(site, facts, roster, changes, sink)` of [`Incoming`], with a slice of
//!   [`ListChange`]. Default: [`Incoming::plan`] of everything.
//! - **Rows that say more**: a method of [`PlanSink`]. Default: [`PlanSink::rows`], or [`ErrorKind::UNSUPPORTED`].
//! - **Further injections**: content of another kind is a number of [`ContentKind`]; several programs for one message are a
//!   method of [`Outgoing`]. Default: the one of [`Outgoing::inject`].
//! - **More about a list or domain** (its description, whether it is advertised): a method of [`Roster`]. Default: none is
//!   known.
//!
//! # Rules for whoever changes this module
//!
//! They bind: with version 1.0.0 the interface is frozen.
//!
//! 1. Adding makes a minor version; anything else a major one, which refuses all older plugins.
//! 2. Never move a `last_prefix_field` mark. New methods and fields go to the very end, in the order
//!    of their release, with `since 1.x` beside them.
//! 3. Each new method of a trait has a default body (a neutral answer, or
//!    [`ErrorKind::UNSUPPORTED`]); it runs on the caller's side when the other side is older. New
//!    fields of [`Plugin`] and [`Adapter`] stay optional.
//! 4. Plain `repr(C)` structs are frozen for ever. What may grow is a prefix type, a trait object, an
//!    open set (a `u32` with names), or the `extra` pairs that most structs carry.
//! 5. No Rust enums of ours: an open set can carry a value that the receiver does not know, and
//!    `convert.rs` says what happens then.
//! 6. Never change what an argument, a constant or a key of `extra` means, never swap arguments of one
//!    type. No tool sees it.
//! 7. No change of `Send`, `Sync` or a lifetime; no rename of crate, type, field or method.
//! 8. Only `abi_stable`'s own types across: no type of `std`, no `Box<dyn …>`, nothing of tokio or a
//!    logging crate.
//! 9. `abi_stable` stays `=0.11.3` without default features for the whole major version.
//! 10. At most 64 fields or methods in one prefix type or trait.
//! 11. Plugins built by the oldest supported compiler and by every minor version so far are loaded in
//!     the newest host before a release, and the newest plugin in the oldest host: `tests/tests/abi`.
//! 12. Whoever allocates frees: `RString`, `RVec` and `RBox` carry their own destructor; never take
//!     them apart.
//!
//! And for both sides of every call: a panic must not leave the code that it began in. `abi_stable`
//! ends the process when one tries, so each function is wrapped in `guard`.

mod data;
mod objects;
mod open;
mod plugin;

pub use data::{
    Batch, Command, DomainView, Envelope, Error, ExitMeaning, Finding, Guard, Injection, Input, ListChange, ListView,
    LmtpAddress, Pair, PairView, ProgramOutput, RecipientResult, Res, Row, SettingSpec, Snippet, Subaddress, Table,
};
pub use objects::{
    DomainVisitor, DomainVisitorMut, DomainVisitor_TO, Host, HostBox, Host_TO, Incoming, IncomingBox, Incoming_TO,
    ListVisitor, ListVisitorMut, ListVisitor_TO, Outgoing, OutgoingBox, Outgoing_TO, PlanSink, PlanSinkMut,
    PlanSink_TO, Roster, RosterRef, Roster_TO, Site, SiteRef, Site_TO, Tools, ToolsRef, Tools_TO,
};
pub use open::{
    AdapterKind, ChangeKind, CommandInput, ContentKind, ErrorKind, Extent, LmtpKind, LogLevel, Need, Outcome, Phase,
    Privilege, SettingKind, Severity, SnippetKind, TableFormat, TableRole,
};
pub use plugin::{Adapter, Adapter_Ref, Plugin, Plugin_Ref};
