//! Plain data. Every struct here is frozen for ever (rule 4).
//!
//! [`DomainView`], [`ListView`] and [`Row`] have no `extra`: there can be 100,000 of them in one call, and each would pay.
//! What they lack comes by a new method of the object that hands them out or takes them, as their own texts say.

use super::{
    ChangeKind, CommandInput, ContentKind, ErrorKind, Extent, LmtpKind, Need, Outcome, Phase, Privilege, SettingKind,
    Severity, SnippetKind, TableFormat, TableRole,
};
use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString, RVec, Tuple2};
use abi_stable::StableAbi;

/// A name and a value, owned.
pub type Pair = Tuple2<RString, RString>;

/// A name and a value, lent.
pub type PairView<'a> = Tuple2<RStr<'a>, RStr<'a>>;

/// What every call that can fail returns.
pub type Res<T> = RResult<T, Error>;

/// [`sdk::Error`](crate::sdk::Error).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What happened and to what; one line.
    pub message: RString,
    /// What the administrator can do; may be empty.
    pub hint: RString,
    /// See [growth](super#growth).
    pub extra: RVec<Pair>,
}

/// [`sdk::LmtpAddress`](crate::sdk::LmtpAddress).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct LmtpAddress {
    /// What kind of address.
    pub kind: LmtpKind,
    /// `TCP`: host name or IP address, IPv6 without brackets. `UNIX`: absolute path of the socket.
    pub host: RString,
    /// `TCP`: the port. `UNIX`: 0.
    pub port: u16,
    /// See [growth](super#growth).
    pub extra: RVec<Pair>,
}

/// [`sdk::Subaddress`](crate::sdk::Subaddress).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Subaddress {
    /// What follows the dash.
    pub name: RString,
    /// Whether a detail may follow.
    pub detail: bool,
    /// See [growth](super#growth).
    pub extra: RVec<Pair>,
}

/// [`sdk::DomainView`](crate::sdk::DomainView).
///
/// Has no `extra`: what else is known of a domain will come by a method of [`Roster`](super::Roster) that is asked for
/// one by its name.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainView<'a> {
    /// The domain of the list addresses: lower case, A-labels.
    pub name: RStr<'a>,
    /// The domain that the MTA routes to the list server; empty if it is `name`.
    pub alias: RStr<'a>,
}

/// [`sdk::ListView`](crate::sdk::ListView).
///
/// Has no `extra`: what else is known of a list will come by a method of [`Roster`](super::Roster) that is asked for one
/// by its address.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListView<'a> {
    /// The local part of the posting address.
    pub local: RStr<'a>,
    /// The domain of the posting address.
    pub domain: DomainView<'a>,
    /// The list-id (RFC 2919), without brackets.
    pub list_id: RStr<'a>,
}

/// [`sdk::Change`](crate::sdk::Change).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListChange<'a> {
    /// What happened.
    pub kind: ChangeKind,
    /// To what: the whole of it for the kinds of a list, `list.domain` for the kinds of a domain. What means nothing is
    /// empty.
    pub list: ListView<'a>,
    /// See [growth](super#growth).
    pub extra: RSlice<'a, PairView<'a>>,
}

/// [`sdk::Table`](crate::sdk::Table).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a> {
    /// The file or directory: relative to the table directory, or absolute in an output directory.
    pub path: RStr<'a>,
    /// Which rows follow.
    pub extent: Extent,
    /// How it is stored.
    pub format: TableFormat,
    /// The suffix of compiled formats, with its dot; the mark of directories; empty for the others.
    pub format_text: RStr<'a>,
    /// What it is for.
    pub role: TableRole,
    /// Comment lines for the head of a text file, separated by LF, without `#`.
    pub comment: RStr<'a>,
    /// See [growth](super#growth).
    pub extra: RSlice<'a, PairView<'a>>,
}

/// [`sdk::Row`](crate::sdk::Row).
///
/// Has no `extra`: rows with more to say will come by a new method of [`PlanSink`](super::PlanSink).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The key, as the MTA looks it up.
    pub key: RStr<'a>,
    /// The value.
    pub value: RStr<'a>,
    /// The column of a text file, from 0, in which the value starts.
    pub column: u16,
}

/// [`sdk::Command`](crate::sdk::Command).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// When it runs.
    pub phase: Phase,
    /// Must it run?
    pub need: Need,
    /// Whose rights does it need?
    pub privilege: Privilege,
    /// Program (absolute path) and arguments.
    pub argv: RSlice<'a, RStr<'a>>,
    /// What it reads from its standard input.
    pub stdin: CommandInput,
    /// Paths ([`Table::path`]) of the tables that it belongs to.
    pub tables: RSlice<'a, RStr<'a>>,
    /// Milliseconds until the MTA notices by itself; none if it never does.
    pub settle_ms: ROption<u64>,
    /// Why, in a few words.
    pub reason: RStr<'a>,
    /// See [growth](super#growth).
    pub extra: RSlice<'a, PairView<'a>>,
}

/// [`sdk::Guard`](crate::sdk::Guard).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard<'a> {
    /// The directory; as for [`Table::path`].
    pub path: RStr<'a>,
    /// Bits of a file mode, of 0o7000 only (chmod(2)).
    pub mode: u32,
    /// See [growth](super#growth).
    pub extra: RSlice<'a, PairView<'a>>,
}

/// [`sdk::ProgramOutput`](crate::sdk::ProgramOutput).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct ProgramOutput {
    /// Exit status, 0 to 255; -1 when the program was killed.
    pub status: i32,
    /// Standard output; what is not UTF-8 is replaced.
    pub stdout: RString,
    /// Standard error; what is not UTF-8 is replaced.
    pub stderr: RString,
    /// See [growth](super#growth).
    pub extra: RVec<Pair>,
}

/// [`sdk::Snippet`](crate::sdk::Snippet).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// What kind of step.
    pub kind: SnippetKind,
    /// Absolute path; empty for commands.
    pub file: RString,
    /// The lines or commands.
    pub text: RString,
    /// Why.
    pub explanation: RString,
    /// Commands that take the step back; may be empty.
    pub undo: RString,
    /// See [growth](super#growth).
    pub extra: RVec<Pair>,
}

/// [`sdk::Finding`](crate::sdk::Finding).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// What was looked at.
    pub subject: RString,
    /// What was seen there.
    pub seen: RString,
    /// What was expected; may be empty.
    pub expected: RString,
    /// What the administrator should do; may be empty.
    pub advice: RString,
    /// See [growth](super#growth).
    pub extra: RVec<Pair>,
}

/// [`sdk::SettingSpec`](crate::sdk::SettingSpec).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct SettingSpec {
    /// The key.
    pub name: RString,
    /// What the value looks like.
    pub kind: SettingKind,
    /// The words of `SettingKind::CHOICE`; empty for the others.
    pub choices: RVec<RString>,
    /// The value when the key is absent.
    pub default: RString,
    /// What it does.
    pub help: RString,
    /// See [growth](super#growth).
    pub extra: RVec<Pair>,
}

/// [`sdk::Batch`](crate::sdk::Batch).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Envelope sender without brackets; empty for `<>`.
    pub sender: RStr<'a>,
    /// Envelope recipients without brackets; at least one.
    pub recipients: RSlice<'a, RStr<'a>>,
    /// The message: lines end in CRLF, not dot-stuffed.
    pub message: RSlice<'a, u8>,
    /// Whether SMTPUTF8 is needed (RFC 6531).
    pub smtp_utf8: bool,
    /// See [growth](super#growth).
    pub extra: RSlice<'a, PairView<'a>>,
}

/// [`sdk::RecipientResult`](crate::sdk::RecipientResult).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct RecipientResult {
    /// What became of it.
    pub outcome: Outcome,
    /// The MTA's reply.
    pub reply: RString,
    /// See [growth](super#growth).
    pub extra: RVec<Pair>,
}

/// [`sdk::Envelope`](crate::sdk::Envelope).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Envelope sender without brackets; empty for `<>`.
    pub sender: RStr<'a>,
    /// If not empty, each recipient gets a sender of its own, made with this delimiter.
    pub verp_delimiter: RStr<'a>,
    /// Envelope recipients without brackets; at least one.
    pub recipients: RSlice<'a, RStr<'a>>,
    /// Octets of the message, with CRLF as line ends.
    pub size: u64,
    /// Whether the message has octets above 127 (RFC 6152).
    pub eight_bit: bool,
    /// Whether SMTPUTF8 is needed (RFC 6531).
    pub smtp_utf8: bool,
    /// See [growth](super#growth).
    pub extra: RSlice<'a, PairView<'a>>,
}

/// [`sdk::Input`](crate::sdk::Input).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The program's descriptor: 0, 1 or 3 to 9.
    pub descriptor: u32,
    /// What it reads there.
    pub kind: ContentKind,
    /// The octets of `ContentKind::BYTES`; empty for the others.
    pub bytes: RVec<u8>,
    /// See [growth](super#growth).
    pub extra: RVec<Pair>,
}

/// [`sdk::ExitMeaning`](crate::sdk::ExitMeaning).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct ExitMeaning {
    /// The first exit code.
    pub first: u8,
    /// The last exit code; not below the first.
    pub last: u8,
    /// What became of the message.
    pub outcome: Outcome,
    /// In words.
    pub text: RString,
    /// See [growth](super#growth).
    pub extra: RVec<Pair>,
}

/// [`sdk::Injection`](crate::sdk::Injection).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// Program (absolute path) and arguments.
    pub argv: RVec<RString>,
    /// Variables of the environment, each at most once.
    pub environment: RVec<Pair>,
    /// What the program reads; each descriptor at most once.
    pub inputs: RVec<Input>,
    /// What exit codes mean; the first that fits counts.
    pub exits: RVec<ExitMeaning>,
    /// What all others mean; never `Outcome::DELIVERED`.
    pub otherwise: Outcome,
    /// See [growth](super#growth).
    pub extra: RVec<Pair>,
}
