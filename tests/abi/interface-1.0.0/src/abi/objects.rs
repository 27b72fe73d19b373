//! Objects with methods. Each may get further methods in a minor version (rules 2 and 3).
//!
//! What is lent (every `…Ref` and `…Mut`) is neither `Send` nor `Sync`; what is owned (every `…Box`) is both.

use super::{
    Batch, Command, DomainView, Envelope, Finding, Guard, Injection, ListChange, ListView, LmtpAddress, LogLevel, Pair,
    PairView, ProgramOutput, RecipientResult, Res, Row, Snippet, Subaddress, Table,
};
use abi_stable::sabi_trait;
use abi_stable::sabi_types::{RMut, RRef};
use abi_stable::std_types::{RBox, ROption, RSlice, RStr, RString, RVec};

// ---- Objects that the host implements: the way by which new data reaches plugins later.

/// What an adapter gets from the host when it is made, and keeps. The plugin drops it with the adapter, or later.
#[sabi_trait]
pub trait Host: Send + Sync {
    /// Writes one line to the log. Cannot fail; a line end within the message does not begin a new line of the log.
    #[sabi(last_prefix_field)]
    fn log(&self, level: LogLevel, message: RStr<'_>);
}

/// The host's [`Host`], owned by an adapter.
pub type HostBox = Host_TO<'static, RBox<()>>;

/// [`sdk::Site`](crate::sdk::Site). Its texts are lent as long as the site is.
#[sabi_trait]
pub trait Site {
    /// Where the MTA reaches the host.
    fn lmtp(&self) -> LmtpAddress;
    /// Absolute path of the directory of the tables.
    fn table_dir(&self) -> RStr<'_>;
    /// Name of the user whose rights the host has.
    fn user(&self) -> RStr<'_>;
    /// What stands between an address and its detail.
    fn delimiter(&self) -> RStr<'_>;
    /// What every list has besides its posting address.
    fn subaddresses(&self) -> RVec<Subaddress>;
    /// Where outgoing mail goes: host name or IP address.
    fn smtp_host(&self) -> RStr<'_>;
    /// Where outgoing mail goes: TCP port.
    #[sabi(last_prefix_field)]
    fn smtp_port(&self) -> u16;
}

/// The host's [`Site`], lent.
pub type SiteRef<'a> = Site_TO<'a, RRef<'a, ()>>;

/// [`sdk::Roster`](crate::sdk::Roster). What a visitor is shown is lent for that one call of the visitor.
#[sabi_trait]
pub trait Roster {
    /// Shows all domains, any number at a time. Fails with the visitor's error as soon as there is one.
    fn for_each_domain(&self, visitor: &mut DomainVisitorMut<'_>) -> Res<()>;
    /// Shows all lists, any number at a time. Fails with the visitor's error as soon as there is one.
    fn for_each_list(&self, visitor: &mut ListVisitorMut<'_>) -> Res<()>;
    /// How many lists.
    fn list_count(&self) -> u64;
    /// The list-id of the list with this posting address; none is no error.
    fn list_id(&self, local: RStr<'_>, domain: RStr<'_>) -> Res<ROption<RString>>;
    /// Shows the domains with this routed domain, any number at a time. Fails with the visitor's error as soon as there
    /// is one.
    #[sabi(last_prefix_field)]
    fn for_each_domain_routed_to(&self, routed: RStr<'_>, visitor: &mut DomainVisitorMut<'_>) -> Res<()>;
}

/// The host's [`Roster`], lent.
pub type RosterRef<'a> = Roster_TO<'a, RRef<'a, ()>>;

/// [`sdk::PlanSink`](crate::sdk::PlanSink). The host copies what it is given. Each method fails when the plan breaks a
/// rule; from then on the plan is lost, and every further call fails with the same error.
#[sabi_trait]
pub trait PlanSink {
    /// Begins a table.
    fn table(&mut self, table: Table<'_>) -> Res<()>;
    /// Adds rows to it, any number at a time.
    fn rows(&mut self, rows: RSlice<'_, Row<'_>>) -> Res<()>;
    /// Says which keys must not be in it, any number at a time.
    fn absent(&mut self, keys: RSlice<'_, RStr<'_>>) -> Res<()>;
    /// Wants a directory guarded.
    fn guard(&mut self, guard: Guard<'_>) -> Res<()>;
    /// Wants a file; `mode` are permission bits (chmod(2)).
    fn file(&mut self, path: RStr<'_>, mode: u32, contents: RSlice<'_, u8>) -> Res<()>;
    /// Wants a file gone.
    fn remove(&mut self, path: RStr<'_>) -> Res<()>;
    /// Wants a program run.
    #[sabi(last_prefix_field)]
    fn command(&mut self, command: Command<'_>) -> Res<()>;
}

/// The host's [`PlanSink`], lent.
pub type PlanSinkMut<'a> = PlanSink_TO<'a, RMut<'a, ()>>;

/// [`sdk::Tools`](crate::sdk::Tools).
#[sabi_trait]
pub trait Tools {
    /// Runs a program and waits for its end. Fails when it cannot be started or is not one of those that may run; a bad
    /// status is no failure.
    fn run(&self, argv: RSlice<'_, RStr<'_>>, stdin: RStr<'_>) -> Res<ProgramOutput>;
    /// Reads a regular file. Fails when it cannot be read or is too large.
    fn read_file(&self, path: RStr<'_>) -> Res<RString>;
    /// Does this path exist? No, if that cannot be found out.
    #[sabi(last_prefix_field)]
    fn exists(&self, path: RStr<'_>) -> bool;
}

/// The host's [`Tools`], lent.
pub type ToolsRef<'a> = Tools_TO<'a, RRef<'a, ()>>;

// ---- Objects that the plugin implements.

/// Gets the domains of a [`Roster`].
#[sabi_trait]
pub trait DomainVisitor {
    /// Some more domains. An error ends the visit.
    #[sabi(last_prefix_field)]
    fn domains(&mut self, domains: RSlice<'_, DomainView<'_>>) -> Res<()>;
}

/// The plugin's [`DomainVisitor`], lent.
pub type DomainVisitorMut<'a> = DomainVisitor_TO<'a, RMut<'a, ()>>;

/// Gets the lists of a [`Roster`].
#[sabi_trait]
pub trait ListVisitor {
    /// Some more lists. An error ends the visit.
    #[sabi(last_prefix_field)]
    fn lists(&mut self, lists: RSlice<'_, ListView<'_>>) -> Res<()>;
}

/// The plugin's [`ListVisitor`], lent.
pub type ListVisitorMut<'a> = ListVisitor_TO<'a, RMut<'a, ()>>;

/// [`sdk::IncomingAdapter`](crate::sdk::IncomingAdapter). A context comes in its three parts.
///
/// A method that an adapter does not offer fails with `UNSUPPORTED`; one that panicked, with `PANIC`, after which the host
/// drops the object.
#[sabi_trait]
pub trait Incoming: Send + Sync {
    /// Asks the MTA what must be known to plan: facts, each name once, which the host keeps and passes to the others.
    fn probe(&self, site: &SiteRef<'_>, tools: &ToolsRef<'_>) -> Res<RVec<Pair>>;
    /// Plans.
    fn plan(
        &self,
        site: &SiteRef<'_>,
        facts: RSlice<'_, PairView<'_>>,
        roster: &RosterRef<'_>,
        change: ListChange<'_>,
        sink: &mut PlanSinkMut<'_>,
    ) -> Res<()>;
    /// What the administrator puts into the MTA's configuration, in order.
    fn snippets(
        &self,
        site: &SiteRef<'_>,
        facts: RSlice<'_, PairView<'_>>,
        roster: &RosterRef<'_>,
    ) -> Res<RVec<Snippet>>;
    /// Asks the MTA whether it knows the lists.
    #[sabi(last_prefix_field)]
    fn check(
        &self,
        site: &SiteRef<'_>,
        facts: RSlice<'_, PairView<'_>>,
        roster: &RosterRef<'_>,
        tools: &ToolsRef<'_>,
    ) -> Res<RVec<Finding>>;
}

/// The plugin's [`Incoming`], owned by the host.
pub type IncomingBox = Incoming_TO<'static, RBox<()>>;

/// [`sdk::OutgoingAdapter`](crate::sdk::OutgoingAdapter). Errors as for [`Incoming`].
#[sabi_trait]
pub trait Outgoing: Send + Sync {
    /// Names of what it can do; names that the host does not know mean nothing. Known: `verp`.
    fn abilities(&self) -> Res<RVec<RString>>;
    /// Absolute paths of the programs that injections run, and of those that these run in turn.
    fn programs(&self) -> Res<RVec<RString>>;
    /// Says what to run for a message.
    fn inject(&self, envelope: Envelope<'_>) -> Res<Injection>;
    /// Delivers one message: one result for each recipient, in their order.
    #[sabi(last_prefix_field)]
    fn deliver(&self, batch: Batch<'_>) -> Res<RVec<RecipientResult>>;
}

/// The plugin's [`Outgoing`], owned by the host.
pub type OutgoingBox = Outgoing_TO<'static, RBox<()>>;
