//! Plain data. Every struct here is frozen for ever (rule 4).
//!
//! `extra` is the way to grow: pairs whose keys are written down beside the struct in the version that
//! adds them. Version 1.0 sends none, and a receiver ignores the keys that it does not know.

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
    pub kind: ErrorKind,
    pub message: RString,
    pub hint: RString,
    pub extra: RVec<Pair>,
}

/// [`sdk::LmtpAddress`](crate::sdk::LmtpAddress); `host` is the path if `kind` is `UNIX`.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct LmtpAddress {
    pub kind: LmtpKind,
    pub host: RString,
    pub port: u16,
    pub extra: RVec<Pair>,
}

/// [`sdk::Subaddress`](crate::sdk::Subaddress).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Subaddress {
    pub name: RString,
    pub detail: bool,
    pub extra: RVec<Pair>,
}

/// [`sdk::DomainView`](crate::sdk::DomainView).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainView<'a> {
    pub name: RStr<'a>,
    pub alias: RStr<'a>,
}

/// [`sdk::ListView`](crate::sdk::ListView).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListView<'a> {
    pub local: RStr<'a>,
    pub domain: DomainView<'a>,
    pub list_id: RStr<'a>,
}

/// [`sdk::Change`](crate::sdk::Change). `list` means something for the kinds of a list, `list.domain`
/// for those and the kinds of a domain.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListChange<'a> {
    pub kind: ChangeKind,
    pub list: ListView<'a>,
    pub extra: RSlice<'a, PairView<'a>>,
}

/// [`sdk::Table`](crate::sdk::Table); `format_text` is the suffix of compiled formats, the mark of
/// directories.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a> {
    pub path: RStr<'a>,
    pub extent: Extent,
    pub format: TableFormat,
    pub format_text: RStr<'a>,
    pub role: TableRole,
    pub comment: RStr<'a>,
    pub extra: RSlice<'a, PairView<'a>>,
}

/// [`sdk::Row`](crate::sdk::Row).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    pub key: RStr<'a>,
    pub value: RStr<'a>,
    pub column: u16,
}

/// [`sdk::Command`](crate::sdk::Command).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    pub phase: Phase,
    pub need: Need,
    pub privilege: Privilege,
    pub argv: RSlice<'a, RStr<'a>>,
    pub stdin: CommandInput,
    pub tables: RSlice<'a, RStr<'a>>,
    pub settle_ms: ROption<u64>,
    pub reason: RStr<'a>,
    pub extra: RSlice<'a, PairView<'a>>,
}

/// [`sdk::Guard`](crate::sdk::Guard).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard<'a> {
    pub path: RStr<'a>,
    pub mode: u32,
    pub extra: RSlice<'a, PairView<'a>>,
}

/// [`sdk::ProgramOutput`](crate::sdk::ProgramOutput).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct ProgramOutput {
    pub status: i32,
    pub stdout: RString,
    pub stderr: RString,
    pub extra: RVec<Pair>,
}

/// [`sdk::Snippet`](crate::sdk::Snippet).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    pub kind: SnippetKind,
    pub file: RString,
    pub text: RString,
    pub explanation: RString,
    pub undo: RString,
    pub extra: RVec<Pair>,
}

/// [`sdk::Finding`](crate::sdk::Finding).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub subject: RString,
    pub seen: RString,
    pub expected: RString,
    pub advice: RString,
    pub extra: RVec<Pair>,
}

/// [`sdk::SettingSpec`](crate::sdk::SettingSpec); `choices` are those of `SettingKind::CHOICE`.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct SettingSpec {
    pub name: RString,
    pub kind: SettingKind,
    pub choices: RVec<RString>,
    pub default: RString,
    pub help: RString,
    pub extra: RVec<Pair>,
}

/// [`sdk::Batch`](crate::sdk::Batch).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    pub sender: RStr<'a>,
    pub recipients: RSlice<'a, RStr<'a>>,
    pub message: RSlice<'a, u8>,
    pub smtp_utf8: bool,
    pub extra: RSlice<'a, PairView<'a>>,
}

/// [`sdk::RecipientResult`](crate::sdk::RecipientResult).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct RecipientResult {
    pub outcome: Outcome,
    pub reply: RString,
    pub extra: RVec<Pair>,
}

/// [`sdk::Envelope`](crate::sdk::Envelope).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    pub sender: RStr<'a>,
    pub verp_delimiter: RStr<'a>,
    pub recipients: RSlice<'a, RStr<'a>>,
    pub size: u64,
    pub eight_bit: bool,
    pub smtp_utf8: bool,
    pub extra: RSlice<'a, PairView<'a>>,
}

/// [`sdk::Input`](crate::sdk::Input); `bytes` are those of `ContentKind::BYTES`.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub descriptor: u32,
    pub kind: ContentKind,
    pub bytes: RVec<u8>,
    pub extra: RVec<Pair>,
}

/// [`sdk::ExitMeaning`](crate::sdk::ExitMeaning).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct ExitMeaning {
    pub first: u8,
    pub last: u8,
    pub outcome: Outcome,
    pub text: RString,
    pub extra: RVec<Pair>,
}

/// [`sdk::Injection`](crate::sdk::Injection).
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    pub argv: RVec<RString>,
    pub environment: RVec<Pair>,
    pub inputs: RVec<Input>,
    pub exits: RVec<ExitMeaning>,
    pub otherwise: Outcome,
    pub extra: RVec<Pair>,
}
