//! What plugins in C answer, piece by piece. Safety as in `host.rs`.

use super::call::{Failure, argument, status, within};
use super::read;
use super::sink::unknown;
use postrider_plugin_api::abi;
use postrider_plugin_api::c::{
    postrider_call, postrider_exit, postrider_finding, postrider_injection, postrider_input, postrider_setting,
    postrider_snippet, postrider_status,
};
use postrider_plugin_api::sdk::{
    Content, Finding, Injection, Outcome, RecipientResult, SettingKind, SettingSpec, Severity, Snippet,
};
use std::ffi::c_char;

/// An outcome that nobody here knows: trying again loses nothing.
fn outcome(number: u32) -> Outcome {
    abi::Outcome(number).known().unwrap_or(Outcome::TemporaryFailure)
}

pub(super) unsafe extern "C" fn setting(
    call: *mut postrider_call,
    setting: *const postrider_setting,
) -> postrider_status {
    status(within(call, "answer_setting", |call| {
        // SAFETY: the plugin gives a struct with texts and an array of texts, says the header.
        let (setting, name, help, default, choices) = unsafe {
            let setting = read::structure(setting).map_err(argument("setting"))?;
            (
                setting,
                read::text(setting.name).map_err(argument("setting->name"))?,
                read::text(setting.help).map_err(argument("setting->help"))?,
                read::text_or_empty(setting.default_value).map_err(argument("setting->default_value"))?,
                read::texts(setting.choices).map_err(argument("setting->choices"))?,
            )
        };
        let kind = match abi::SettingKind(setting.kind) {
            abi::SettingKind::PROGRAM => SettingKind::Program,
            abi::SettingKind::PATH => SettingKind::Path,
            abi::SettingKind::OUTPUT_DIRECTORY => SettingKind::OutputDirectory,
            abi::SettingKind::INTEGER => SettingKind::Integer,
            abi::SettingKind::BOOLEAN => SettingKind::Boolean,
            abi::SettingKind::CHOICE => SettingKind::Choice(choices.into_iter().map(str::to_owned).collect()),
            // A newer kind: the adapter itself then checks the value.
            _ => SettingKind::Text,
        };
        call.answers_in("settings")?.settings.push(SettingSpec::new(name, kind, default, help));
        Ok(())
    }))
}

pub(super) unsafe extern "C" fn fact(
    call: *mut postrider_call,
    name: *const c_char,
    value: *const c_char,
) -> postrider_status {
    status(within(call, "answer_fact", |call| {
        // SAFETY: the plugin gives texts, says the header.
        let (name, value) =
            unsafe { (read::text(name).map_err(argument("name"))?, read::text(value).map_err(argument("value"))?) };
        call.answers_in("probe")?.facts.insert(name.to_owned(), value.to_owned());
        Ok(())
    }))
}

pub(super) unsafe extern "C" fn snippet(
    call: *mut postrider_call,
    snippet: *const postrider_snippet,
) -> postrider_status {
    status(within(call, "answer_snippet", |call| {
        // SAFETY: the plugin gives a struct with texts, says the header.
        let (snippet, text, explanation, file, undo) = unsafe {
            let snippet = read::structure(snippet).map_err(argument("snippet"))?;
            (
                snippet,
                read::text(snippet.text).map_err(argument("snippet->text"))?,
                read::text(snippet.explanation).map_err(argument("snippet->explanation"))?,
                read::text_or_empty(snippet.file).map_err(argument("snippet->file"))?,
                read::text_or_empty(snippet.undo).map_err(argument("snippet->undo"))?,
            )
        };
        let kind = abi::SnippetKind(snippet.kind).known().ok_or_else(|| unknown("snippet->kind", snippet.kind))?;
        call.answers_in("snippets")?.snippets.push(Snippet::new(kind, file, text, explanation).with_undo(undo));
        Ok(())
    }))
}

pub(super) unsafe extern "C" fn finding(
    call: *mut postrider_call,
    finding: *const postrider_finding,
) -> postrider_status {
    status(within(call, "answer_finding", |call| {
        // SAFETY: the plugin gives a struct with texts, says the header.
        let (finding, subject, seen, expected, advice) = unsafe {
            let finding = read::structure(finding).map_err(argument("finding"))?;
            (
                finding,
                read::text(finding.subject).map_err(argument("finding->subject"))?,
                read::text(finding.seen).map_err(argument("finding->seen"))?,
                read::text_or_empty(finding.expected).map_err(argument("finding->expected"))?,
                read::text_or_empty(finding.advice).map_err(argument("finding->advice"))?,
            )
        };
        let severity = abi::Severity(finding.severity).known().unwrap_or(Severity::Warning);
        let finding = Finding::new(severity, subject, seen).with_expected(expected).with_advice(advice);
        call.answers_in("check")?.findings.push(finding);
        Ok(())
    }))
}

pub(super) unsafe extern "C" fn ability(call: *mut postrider_call, name: *const c_char) -> postrider_status {
    status(within(call, "answer_ability", |call| {
        // SAFETY: the plugin gives a text, says the header.
        let name = unsafe { read::text(name) }.map_err(argument("name"))?;
        call.answers_in("abilities")?.abilities.push(name.to_owned());
        Ok(())
    }))
}

pub(super) unsafe extern "C" fn program(call: *mut postrider_call, path: *const c_char) -> postrider_status {
    status(within(call, "answer_program", |call| {
        // SAFETY: the plugin gives a text, says the header.
        let path = unsafe { read::text(path) }.map_err(argument("path"))?;
        call.answers_in("programs")?.programs.push(path.to_owned());
        Ok(())
    }))
}

pub(super) unsafe extern "C" fn injection(
    call: *mut postrider_call,
    injection: *const postrider_injection,
) -> postrider_status {
    status(within(call, "answer_injection", |call| {
        // SAFETY: the plugin gives a struct with arrays of texts, says the header.
        let (injection, argv, environment) = unsafe {
            let injection = read::structure(injection).map_err(argument("injection"))?;
            (
                injection,
                read::texts(injection.argv).map_err(argument("injection->argv"))?,
                read::texts(injection.environment).map_err(argument("injection->environment"))?,
            )
        };
        if argv.is_empty() {
            return Err(Failure::Wrong("injection->argv is empty".to_owned()));
        }
        let mut planned = Injection::new(argv).with_otherwise(outcome(injection.otherwise));
        for variable in environment {
            let (name, value) = variable.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
                Failure::Wrong(format!("injection->environment has {variable:?}, expected NAME=VALUE"))
            })?;
            planned = planned.with_variable(name, value);
        }
        let mut answers = call.answers_in("inject")?;
        if answers.injection.is_some() {
            return Err(Failure::Wrong("it was called before".to_owned()));
        }
        answers.injection = Some(planned);
        Ok(())
    }))
}

/// Changes the injection that was answered already.
fn change_injection(
    handle: *mut postrider_call,
    ours: &'static str,
    change: impl FnOnce(Injection) -> Result<Injection, Failure>,
) -> postrider_status {
    status(within(handle, ours, |call| {
        let mut answers = call.answers_in("inject")?;
        let planned = answers.injection.take();
        let planned = planned.ok_or_else(|| Failure::Wrong("answer_injection comes first".to_owned()))?;
        answers.injection = Some(change(planned)?);
        Ok(())
    }))
}

pub(super) unsafe extern "C" fn input(call: *mut postrider_call, input: *const postrider_input) -> postrider_status {
    change_injection(call, "answer_input", |planned| {
        // SAFETY: the plugin gives a struct with so many octets, says the header.
        let (input, bytes) = unsafe {
            let input = read::structure(input).map_err(argument("input"))?;
            (input, read::octets(input.bytes, input.byte_count).map_err(argument("input->bytes"))?)
        };
        let content = match input.content {
            postrider_plugin_api::c::POSTRIDER_CONTENT_MESSAGE_CRLF => Content::MessageCrLf,
            postrider_plugin_api::c::POSTRIDER_CONTENT_MESSAGE_LF => Content::MessageLf,
            postrider_plugin_api::c::POSTRIDER_CONTENT_BYTES => Content::Bytes(bytes.to_vec()),
            number => return Err(unknown("input->content", number)),
        };
        Ok(planned.with_input(input.descriptor, content))
    })
}

pub(super) unsafe extern "C" fn exit(call: *mut postrider_call, exit: *const postrider_exit) -> postrider_status {
    change_injection(call, "answer_exit", |planned| {
        // SAFETY: the plugin gives a struct with a text, says the header.
        let (exit, text) = unsafe {
            let exit = read::structure(exit).map_err(argument("exit"))?;
            (exit, read::text_or_empty(exit.text).map_err(argument("exit->text"))?)
        };
        let (Ok(first), Ok(last)) = (u8::try_from(exit.first), u8::try_from(exit.last)) else {
            let wrong = format!("exit codes {} to {} go beyond 255", exit.first, exit.last);
            return Err(Failure::Wrong(wrong));
        };
        Ok(planned.with_exits(first..=last, outcome(exit.outcome), text))
    })
}

pub(super) unsafe extern "C" fn result(
    call: *mut postrider_call,
    number: u32,
    reply: *const c_char,
) -> postrider_status {
    status(within(call, "answer_result", |call| {
        // SAFETY: the plugin gives a text, says the header.
        let reply = unsafe { read::text(reply) }.map_err(argument("reply"))?;
        call.answers_in("deliver")?.results.push(RecipientResult::new(outcome(number), reply));
        Ok(())
    }))
}
