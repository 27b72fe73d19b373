//! From the SDK's types to those that cross, and back.
//!
//! What to do with a value of an open set that this side does not know is decided here, once: the
//! answer is always the one with which no mail is lost. Where there is no such answer the call fails.

use crate::{abi, sdk};
use abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec, Tuple2};
use std::time::Duration;

// ---- Text and pairs

pub(crate) fn strs<'a, S: AsRef<str>>(texts: &'a [S]) -> Vec<RStr<'a>> {
    texts.iter().map(|text| RStr::from(text.as_ref())).collect()
}

pub(crate) fn strings(texts: RSlice<'_, RStr<'_>>) -> Vec<String> {
    texts.iter().map(|text| text.as_str().to_owned()).collect()
}

pub(crate) fn pairs_of_settings(settings: &sdk::Settings) -> Vec<abi::PairView<'_>> {
    settings.iter().map(|(name, value)| Tuple2(name.into(), value.into())).collect()
}

pub(crate) fn settings(pairs: RSlice<'_, abi::PairView<'_>>) -> sdk::Settings {
    pairs.iter().map(|Tuple2(name, value)| (name.as_str(), value.as_str())).collect()
}

pub(crate) fn pairs_of_facts(facts: &sdk::Facts) -> Vec<abi::PairView<'_>> {
    facts.iter().map(|(name, value)| Tuple2(name.as_str().into(), value.as_str().into())).collect()
}

pub(crate) fn facts(pairs: RSlice<'_, abi::PairView<'_>>) -> sdk::Facts {
    pairs.iter().map(|Tuple2(name, value)| (name.as_str().to_owned(), value.as_str().to_owned())).collect()
}

pub(crate) fn owned_pairs(facts: sdk::Facts) -> RVec<abi::Pair> {
    facts.into_iter().map(|(name, value)| Tuple2(name.into(), value.into())).collect()
}

pub(crate) fn owned_facts(pairs: RVec<abi::Pair>) -> sdk::Facts {
    pairs.into_iter().map(|Tuple2(name, value)| (name.into(), value.into())).collect()
}

/// Converts each element on the way out.
pub(crate) fn all<T, U: From<T>>(items: Vec<T>) -> RVec<U> {
    items.into_iter().map(U::from).collect()
}

// ---- Errors

impl From<sdk::Error> for abi::Error {
    fn from(error: sdk::Error) -> Self {
        abi::Error {
            kind: error.kind.into(),
            message: error.message.into(),
            hint: error.hint.into(),
            extra: RVec::new(),
        }
    }
}

impl From<abi::Error> for sdk::Error {
    fn from(error: abi::Error) -> Self {
        sdk::Error {
            kind: error.kind.known().unwrap_or(sdk::ErrorKind::Failed),
            message: error.message.into(),
            hint: error.hint.into(),
        }
    }
}

/// The result of a call, back in the SDK's form.
pub(crate) fn result<T>(result: abi::Res<T>) -> sdk::Result<T> {
    result.into_result().map_err(sdk::Error::from)
}

fn unknown(what: &str, number: u32) -> sdk::Error {
    sdk::Error::new(
        sdk::ErrorKind::Unsupported,
        format!("the other side uses {} number {}, which version {} does not know", what, number, crate::VERSION),
    )
    .with_hint("use a plugin and a postrider of the same time, or upgrade the older of the two")
}

// ---- Site

impl From<&sdk::LmtpAddress> for abi::LmtpAddress {
    fn from(address: &sdk::LmtpAddress) -> Self {
        let (kind, host, port) = match address {
            sdk::LmtpAddress::Tcp { host, port } => (abi::LmtpKind::TCP, host, *port),
            sdk::LmtpAddress::Unix(path) => (abi::LmtpKind::UNIX, path, 0),
        };
        abi::LmtpAddress { kind, host: host.as_str().into(), port, extra: RVec::new() }
    }
}

pub(crate) fn lmtp_address(address: abi::LmtpAddress) -> sdk::Result<sdk::LmtpAddress> {
    match address.kind {
        abi::LmtpKind::TCP => Ok(sdk::LmtpAddress::Tcp { host: address.host.into(), port: address.port }),
        abi::LmtpKind::UNIX => Ok(sdk::LmtpAddress::Unix(address.host.into())),
        abi::LmtpKind(number) => Err(unknown("LMTP address kind", number)),
    }
}

impl From<&sdk::Subaddress> for abi::Subaddress {
    fn from(subaddress: &sdk::Subaddress) -> Self {
        abi::Subaddress { name: subaddress.name.as_str().into(), detail: subaddress.detail, extra: RVec::new() }
    }
}

impl From<abi::Subaddress> for sdk::Subaddress {
    fn from(subaddress: abi::Subaddress) -> Self {
        sdk::Subaddress { name: subaddress.name.into(), detail: subaddress.detail }
    }
}

// ---- Roster and change

impl<'a> From<sdk::DomainView<'a>> for abi::DomainView<'a> {
    fn from(domain: sdk::DomainView<'a>) -> Self {
        abi::DomainView { name: domain.name.into(), alias: domain.alias.into() }
    }
}

impl<'a> From<abi::DomainView<'a>> for sdk::DomainView<'a> {
    fn from(domain: abi::DomainView<'a>) -> Self {
        sdk::DomainView { name: domain.name.as_str(), alias: domain.alias.as_str() }
    }
}

impl<'a> From<sdk::ListView<'a>> for abi::ListView<'a> {
    fn from(list: sdk::ListView<'a>) -> Self {
        abi::ListView { local: list.local.into(), domain: list.domain.into(), list_id: list.list_id.into() }
    }
}

impl<'a> From<abi::ListView<'a>> for sdk::ListView<'a> {
    fn from(list: abi::ListView<'a>) -> Self {
        sdk::ListView { local: list.local.as_str(), domain: list.domain.into(), list_id: list.list_id.as_str() }
    }
}

impl<'a> From<sdk::Change<'a>> for abi::ListChange<'a> {
    fn from(change: sdk::Change<'a>) -> Self {
        use abi::ChangeKind;
        let no_domain = sdk::DomainView { name: "", alias: "" };
        let only = |domain| sdk::ListView { local: "", domain, list_id: "" };
        let (kind, list) = match change {
            sdk::Change::Everything => (ChangeKind::EVERYTHING, only(no_domain)),
            sdk::Change::ListAdded(list) => (ChangeKind::LIST_ADDED, list),
            sdk::Change::ListRemoved(list) => (ChangeKind::LIST_REMOVED, list),
            sdk::Change::DomainAdded(domain) => (ChangeKind::DOMAIN_ADDED, only(domain)),
            sdk::Change::DomainRemoved(domain) => (ChangeKind::DOMAIN_REMOVED, only(domain)),
        };
        abi::ListChange { kind, list: list.into(), extra: RSlice::EMPTY }
    }
}

impl<'a> From<abi::ListChange<'a>> for sdk::Change<'a> {
    fn from(change: abi::ListChange<'a>) -> Self {
        match change.kind {
            abi::ChangeKind::LIST_ADDED => sdk::Change::ListAdded(change.list.into()),
            abi::ChangeKind::LIST_REMOVED => sdk::Change::ListRemoved(change.list.into()),
            abi::ChangeKind::DOMAIN_ADDED => sdk::Change::DomainAdded(change.list.domain.into()),
            abi::ChangeKind::DOMAIN_REMOVED => sdk::Change::DomainRemoved(change.list.domain.into()),
            _ => sdk::Change::Everything,
        }
    }
}

// ---- Plan

impl<'a> From<&'a sdk::Table> for abi::Table<'a> {
    fn from(table: &'a sdk::Table) -> Self {
        let (format, format_text) = match &table.format {
            sdk::TableFormat::Text => (abi::TableFormat::TEXT, ""),
            sdk::TableFormat::CompiledRename { suffix } => (abi::TableFormat::COMPILED_RENAME, suffix.as_str()),
            sdk::TableFormat::CompiledInPlace { suffix } => (abi::TableFormat::COMPILED_IN_PLACE, suffix.as_str()),
            sdk::TableFormat::Sqlite => (abi::TableFormat::SQLITE, ""),
            sdk::TableFormat::Directory { mark } => (abi::TableFormat::DIRECTORY, mark.as_str()),
        };
        abi::Table {
            path: table.path.as_str().into(),
            extent: table.extent.into(),
            format,
            format_text: format_text.into(),
            role: table.role.into(),
            comment: table.comment.as_str().into(),
            extra: RSlice::EMPTY,
        }
    }
}

pub(crate) fn table(table: abi::Table<'_>) -> sdk::Result<sdk::Table> {
    let suffix = || table.format_text.as_str().to_owned();
    Ok(sdk::Table {
        path: table.path.as_str().to_owned(),
        // Taking some rows for all would remove the others.
        extent: table.extent.known().ok_or_else(|| unknown("table extent", table.extent.0))?,
        format: match table.format {
            abi::TableFormat::TEXT => sdk::TableFormat::Text,
            abi::TableFormat::COMPILED_RENAME => sdk::TableFormat::CompiledRename { suffix: suffix() },
            abi::TableFormat::COMPILED_IN_PLACE => sdk::TableFormat::CompiledInPlace { suffix: suffix() },
            abi::TableFormat::SQLITE => sdk::TableFormat::Sqlite,
            abi::TableFormat::DIRECTORY => sdk::TableFormat::Directory { mark: suffix() },
            abi::TableFormat(number) => return Err(unknown("table format", number)),
        },
        role: table.role.known().ok_or_else(|| unknown("table role", table.role.0))?,
        comment: table.comment.as_str().to_owned(),
    })
}

impl<'a> From<&sdk::Row<'a>> for abi::Row<'a> {
    fn from(row: &sdk::Row<'a>) -> Self {
        abi::Row { key: row.key.into(), value: row.value.into(), column: row.column }
    }
}

impl<'a> From<&abi::Row<'a>> for sdk::Row<'a> {
    fn from(row: &abi::Row<'a>) -> Self {
        sdk::Row { key: row.key.as_str(), value: row.value.as_str(), column: row.column }
    }
}

/// A command, with the text that it lends from `argv` and `tables`.
pub(crate) fn command_view<'a>(
    command: &'a sdk::Command,
    argv: &'a [RStr<'a>],
    tables: &'a [RStr<'a>],
) -> abi::Command<'a> {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    abi::Command {
        phase: command.phase.into(),
        need: command.need.into(),
        privilege: command.privilege.into(),
        argv: argv.into(),
        stdin: command.stdin.into(),
        tables: tables.into(),
        settle_ms: command.settle.map_or(ROption::RNone, |time| ROption::RSome(milliseconds(time))),
        reason: command.reason.as_str().into(),
        extra: RSlice::EMPTY,
    }
}

pub(crate) fn command(command: abi::Command<'_>) -> sdk::Result<sdk::Command> {
    Ok(sdk::Command {
        phase: command.phase.known().ok_or_else(|| unknown("phase", command.phase.0))?,
        need: command.need.known().ok_or_else(|| unknown("need", command.need.0))?,
        privilege: command.privilege.known().ok_or_else(|| unknown("privilege", command.privilege.0))?,
        argv: strings(command.argv),
        stdin: command.stdin.known().ok_or_else(|| unknown("command input", command.stdin.0))?,
        tables: strings(command.tables),
        settle: command.settle_ms.into_option().map(Duration::from_millis),
        reason: command.reason.as_str().to_owned(),
    })
}

pub(crate) fn guard_view(guard: &sdk::Guard) -> abi::Guard<'_> {
    abi::Guard { path: guard.path.as_str().into(), mode: guard.mode, extra: RSlice::EMPTY }
}

pub(crate) fn guard(guard: abi::Guard<'_>) -> sdk::Guard {
    sdk::Guard { path: guard.path.as_str().to_owned(), mode: guard.mode }
}

// ---- Tools

impl From<sdk::ProgramOutput> for abi::ProgramOutput {
    fn from(output: sdk::ProgramOutput) -> Self {
        abi::ProgramOutput {
            status: output.status,
            stdout: output.stdout.into(),
            stderr: output.stderr.into(),
            extra: RVec::new(),
        }
    }
}

impl From<abi::ProgramOutput> for sdk::ProgramOutput {
    fn from(output: abi::ProgramOutput) -> Self {
        sdk::ProgramOutput { status: output.status, stdout: output.stdout.into(), stderr: output.stderr.into() }
    }
}

// ---- Snippets and findings

impl From<sdk::Snippet> for abi::Snippet {
    fn from(snippet: sdk::Snippet) -> Self {
        abi::Snippet {
            kind: snippet.kind.into(),
            file: snippet.file.into(),
            text: snippet.text.into(),
            explanation: snippet.explanation.into(),
            undo: snippet.undo.into(),
            extra: RVec::new(),
        }
    }
}

pub(crate) fn snippet(snippet: abi::Snippet) -> sdk::Result<sdk::Snippet> {
    Ok(sdk::Snippet {
        kind: snippet.kind.known().ok_or_else(|| unknown("snippet kind", snippet.kind.0))?,
        file: snippet.file.into(),
        text: snippet.text.into(),
        explanation: snippet.explanation.into(),
        undo: snippet.undo.into(),
    })
}

impl From<sdk::Finding> for abi::Finding {
    fn from(finding: sdk::Finding) -> Self {
        abi::Finding {
            severity: finding.severity.into(),
            subject: finding.subject.into(),
            seen: finding.seen.into(),
            expected: finding.expected.into(),
            advice: finding.advice.into(),
            extra: RVec::new(),
        }
    }
}

impl From<abi::Finding> for sdk::Finding {
    fn from(finding: abi::Finding) -> Self {
        sdk::Finding {
            severity: finding.severity.known().unwrap_or(sdk::Severity::Warning),
            subject: finding.subject.into(),
            seen: finding.seen.into(),
            expected: finding.expected.into(),
            advice: finding.advice.into(),
        }
    }
}

// ---- Settings

impl From<sdk::SettingSpec> for abi::SettingSpec {
    fn from(spec: sdk::SettingSpec) -> Self {
        let mut choices = Vec::new();
        let kind = match spec.kind {
            sdk::SettingKind::Text => abi::SettingKind::TEXT,
            sdk::SettingKind::Program => abi::SettingKind::PROGRAM,
            sdk::SettingKind::Path => abi::SettingKind::PATH,
            sdk::SettingKind::OutputDirectory => abi::SettingKind::OUTPUT_DIRECTORY,
            sdk::SettingKind::Integer => abi::SettingKind::INTEGER,
            sdk::SettingKind::Boolean => abi::SettingKind::BOOLEAN,
            sdk::SettingKind::Choice(words) => {
                choices = words;
                abi::SettingKind::CHOICE
            }
        };
        abi::SettingSpec {
            name: spec.name.into(),
            kind,
            choices: choices.into_iter().map(RString::from).collect(),
            default: spec.default.into(),
            help: spec.help.into(),
            extra: RVec::new(),
        }
    }
}

impl From<abi::SettingSpec> for sdk::SettingSpec {
    fn from(spec: abi::SettingSpec) -> Self {
        let kind = match spec.kind {
            abi::SettingKind::PROGRAM => sdk::SettingKind::Program,
            abi::SettingKind::PATH => sdk::SettingKind::Path,
            abi::SettingKind::OUTPUT_DIRECTORY => sdk::SettingKind::OutputDirectory,
            abi::SettingKind::INTEGER => sdk::SettingKind::Integer,
            abi::SettingKind::BOOLEAN => sdk::SettingKind::Boolean,
            abi::SettingKind::CHOICE => sdk::SettingKind::Choice(spec.choices.into_iter().map(String::from).collect()),
            // A newer kind: the adapter itself then checks the value.
            _ => sdk::SettingKind::Text,
        };
        sdk::SettingSpec { name: spec.name.into(), kind, default: spec.default.into(), help: spec.help.into() }
    }
}

// ---- Delivery

impl From<sdk::RecipientResult> for abi::RecipientResult {
    fn from(result: sdk::RecipientResult) -> Self {
        abi::RecipientResult { outcome: result.outcome.into(), reply: result.reply.into(), extra: RVec::new() }
    }
}

impl From<abi::RecipientResult> for sdk::RecipientResult {
    fn from(result: abi::RecipientResult) -> Self {
        sdk::RecipientResult {
            // An outcome of a newer plugin: trying again loses nothing.
            outcome: result.outcome.known().unwrap_or(sdk::Outcome::TemporaryFailure),
            reply: result.reply.into(),
        }
    }
}

/// The name of [`sdk::Abilities::verp`] where abilities cross.
const VERP: &str = "verp";

pub(crate) fn abilities_out(abilities: sdk::Abilities) -> RVec<RString> {
    abilities.verp.then(|| RString::from(VERP)).into_iter().collect()
}

pub(crate) fn abilities(names: RVec<RString>) -> sdk::Abilities {
    sdk::Abilities { verp: names.iter().any(|name| name == VERP) }
}

pub(crate) fn envelope_view<'a>(envelope: &sdk::Envelope<'a>, recipients: &'a [RStr<'a>]) -> abi::Envelope<'a> {
    abi::Envelope {
        sender: envelope.sender.into(),
        verp_delimiter: envelope.verp_delimiter.into(),
        recipients: recipients.into(),
        size: envelope.size,
        eight_bit: envelope.eight_bit,
        smtp_utf8: envelope.smtp_utf8,
        extra: RSlice::EMPTY,
    }
}

pub(crate) fn envelope<'a>(envelope: &abi::Envelope<'a>, recipients: &'a [&'a str]) -> sdk::Envelope<'a> {
    sdk::Envelope {
        sender: envelope.sender.as_str(),
        verp_delimiter: envelope.verp_delimiter.as_str(),
        recipients,
        size: envelope.size,
        eight_bit: envelope.eight_bit,
        smtp_utf8: envelope.smtp_utf8,
    }
}

impl From<sdk::Injection> for abi::Injection {
    fn from(injection: sdk::Injection) -> Self {
        abi::Injection {
            argv: injection.argv.into_iter().map(RString::from).collect(),
            environment: injection
                .environment
                .into_iter()
                .map(|(name, value)| Tuple2(name.into(), value.into()))
                .collect(),
            inputs: all(injection.inputs),
            exits: all(injection.exits),
            otherwise: injection.otherwise.into(),
            extra: RVec::new(),
        }
    }
}

pub(crate) fn injection(injection: abi::Injection) -> sdk::Result<sdk::Injection> {
    Ok(sdk::Injection {
        argv: injection.argv.into_iter().map(String::from).collect(),
        environment: injection.environment.into_iter().map(|Tuple2(name, value)| (name.into(), value.into())).collect(),
        inputs: injection.inputs.into_iter().map(input).collect::<sdk::Result<_>>()?,
        exits: injection.exits.into_iter().map(sdk::ExitMeaning::from).collect(),
        otherwise: injection.otherwise.known().unwrap_or(sdk::Outcome::TemporaryFailure),
    })
}

impl From<sdk::Input> for abi::Input {
    fn from(input: sdk::Input) -> Self {
        let (kind, bytes) = match input.content {
            sdk::Content::MessageCrLf => (abi::ContentKind::MESSAGE_CRLF, Vec::new()),
            sdk::Content::MessageLf => (abi::ContentKind::MESSAGE_LF, Vec::new()),
            sdk::Content::Bytes(bytes) => (abi::ContentKind::BYTES, bytes),
        };
        abi::Input { descriptor: input.descriptor, kind, bytes: bytes.into(), extra: RVec::new() }
    }
}

fn input(input: abi::Input) -> sdk::Result<sdk::Input> {
    let content = match input.kind {
        abi::ContentKind::MESSAGE_CRLF => sdk::Content::MessageCrLf,
        abi::ContentKind::MESSAGE_LF => sdk::Content::MessageLf,
        abi::ContentKind::BYTES => sdk::Content::Bytes(input.bytes.into()),
        abi::ContentKind(number) => return Err(unknown("content kind", number)),
    };
    Ok(sdk::Input { descriptor: input.descriptor, content })
}

impl From<sdk::ExitMeaning> for abi::ExitMeaning {
    fn from(exit: sdk::ExitMeaning) -> Self {
        abi::ExitMeaning {
            first: exit.first,
            last: exit.last,
            outcome: exit.outcome.into(),
            text: exit.text.into(),
            extra: RVec::new(),
        }
    }
}

impl From<abi::ExitMeaning> for sdk::ExitMeaning {
    fn from(exit: abi::ExitMeaning) -> Self {
        sdk::ExitMeaning {
            first: exit.first,
            last: exit.last,
            outcome: exit.outcome.known().unwrap_or(sdk::Outcome::TemporaryFailure),
            text: exit.text.into(),
        }
    }
}

#[cfg(test)]
mod tests;
