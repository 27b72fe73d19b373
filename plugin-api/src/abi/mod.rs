//! What really crosses between the host and a plugin.
//!
//! Authors of plugins never need this module: they write against [`sdk`](crate::sdk), and
//! [`export_plugin!`](crate::export_plugin) does the rest. The host reaches it through
//! [`host`](crate::host). Both may be built by different compilers, years apart; only the types in
//! here must then be laid out alike, and the loader compares every one of them before the first call.
//!
//! # Rules for whoever changes this module
//!
//! They bind from the release of version 1.0.0 of this crate, which is not out yet; until then anything may change.
//!
//! 1. Adding makes a minor version; anything else a major one, which refuses all older plugins.
//! 2. Never move a `last_prefix_field` mark. New methods and fields go to the very end, in the order
//!    of their release, with `since 1.x` beside them.
//! 3. Each new method of a trait has a default body (a neutral answer, or
//!    [`ErrorKind::UNSUPPORTED`]); it runs on the caller's side when the other side is older. New
//!    fields of [`Plugin`] and [`Adapter`] stay optional.
//! 4. Plain `repr(C)` structs are frozen for ever. What may grow is a prefix type, a trait object, an
//!    open set (a `u32` with names), or the `extra` pairs that many structs carry.
//! 5. No Rust enums: an open set can carry a value that the receiver does not know, and
//!    `convert.rs` says what happens then.
//! 6. Never change what an argument, a constant or a key of `extra` means, never swap arguments of one
//!    type. No tool sees it.
//! 7. No change of `Send`, `Sync` or a lifetime; no rename of crate, type, field or method.
//! 8. Only `abi_stable`'s own types across: no type of `std`, no `Box<dyn …>`, nothing of tokio or a
//!    logging crate.
//! 9. `abi_stable` stays `=0.11.3` without default features for the whole major version.
//! 10. At most 64 fields or methods in one prefix type or trait.
//! 11. Plugins built by the oldest supported compiler and by every minor version so far are loaded in
//!     the newest host before a release, and the newest plugin in the oldest host.
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
