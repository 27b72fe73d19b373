//! Names, descriptions and settings.

use super::case::{Case, Failure, Setup, failed, refused};
use super::lists;
use super::tools::Machine;
use crate::config::{check_adapter_name, check_setting};
use crate::plugins::AdapterKind;
use postrider_plugin_api::sdk::{Change, ErrorKind, SettingKind, SettingSpec, Settings};
use std::collections::HashMap;

/// Most characters of a line that stands beside others in `postrider plugins`.
const MAX_DESCRIPTION: usize = 120;

pub(super) fn plugin_name(case: &mut Case) -> Result<(), Failure> {
    let name = case.info()?.name;
    let file = case.file.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
    let expected = format!("libpostrider_{name}.so");
    if file == expected {
        return Ok(());
    }
    if !file.starts_with("libpostrider_") {
        case.skip("because of file-name");
        return Ok(());
    }
    Err(Failure::new(
        format!("the file {file} is the plugin {name:?}"),
        format!("a file called {expected}"),
        "give both the same name: in export_plugin! and in [lib] of Cargo.toml",
    ))
}

pub(super) fn adapters_described(case: &mut Case) -> Result<(), Failure> {
    let info = case.info()?;
    let mut seen: Vec<(&str, AdapterKind)> = Vec::new();
    if info.adapters.is_empty() {
        return Err(Failure::new("it has no adapters", "at least one", "name them in export_plugin!"));
    }
    let say = |what: String, expected: &str, advice: &str| Failure::new(what, expected, advice);
    for adapter in &info.adapters {
        if !case.looks_at(&adapter.name) {
            continue;
        }
        let (name, kind, text) = (adapter.name.as_str(), adapter.kind, adapter.description.as_str());
        let mut failures = Vec::new();
        if let Err(reason) = check_adapter_name(name) {
            failures.push(say(reason, "a name that postrider.cfg can name: letters, digits, underscores", "rename it"));
        }
        if seen.contains(&(name, kind)) {
            failures.push(say(
                format!("there are two {kind} adapters called {name}"),
                "each with a name of its own",
                "rename one: only the first can be used",
            ));
        }
        if let AdapterKind::Unknown(number) = kind {
            failures.push(say(
                format!("adapter {name} is of kind {number}"),
                "an incoming or an outgoing adapter",
                "this host cannot use it; a newer one may",
            ));
        }
        if text.trim().is_empty() || text.contains(char::is_control) || text.chars().count() > MAX_DESCRIPTION {
            failures.push(say(
                format!("adapter {name} is described as {:?}", text.chars().take(MAX_DESCRIPTION).collect::<String>()),
                "one line for people, at most 120 characters",
                "say which mail server it is for, and how mail goes",
            ));
        }
        seen.push((name, kind));
        failures.into_iter().for_each(|failure| case.fail(failure));
    }
    if info.version.trim().is_empty() {
        case.warn("it has no version; people and bug reports need one");
    }
    Ok(())
}

pub(super) fn settings_documented(case: &mut Case) -> Result<(), Failure> {
    let plugin = case.plugin()?;
    let mut first: HashMap<String, (String, SettingSpec)> = HashMap::new();
    let adapters = plugin.library.info().adapters.clone();
    let usable = |kind| matches!(kind, AdapterKind::Incoming | AdapterKind::Outgoing);
    for adapter in adapters.iter().filter(|adapter| usable(adapter.kind)) {
        if !case.looks_at(&adapter.name) {
            continue;
        }
        let specs = match plugin.library.settings(&adapter.name, adapter.kind) {
            Ok(specs) => specs,
            Err(error) => {
                case.fail(failed(&format!("settings of {}", adapter.name), &error, "the settings that it reads"));
                continue;
            }
        };
        let mut own: Vec<&str> = Vec::new();
        for spec in &specs {
            for problem in problems(spec) {
                case.fail(problem.when(&format!("setting {} of {}", spec.name, adapter.name)));
            }
            if own.contains(&spec.name.as_str()) {
                case.fail(Failure::new(
                    format!("adapter {} has the setting {} twice", adapter.name, spec.name),
                    "each setting once",
                    "remove one",
                ));
            }
            own.push(&spec.name);
            match first.get(&spec.name) {
                Some((other, same)) if same != spec => case.fail(Failure::new(
                    format!("adapters {other} and {} explain the setting {} differently", adapter.name, spec.name),
                    "the same kind, default and help, because both read one section of one file",
                    "make both from one function, or give the settings different names",
                )),
                Some(_) => {}
                None => drop(first.insert(spec.name.clone(), (adapter.name.clone(), spec.clone()))),
            }
        }
    }
    Ok(())
}

/// What is wrong with a setting's explanation and default.
fn problems(spec: &SettingSpec) -> Vec<Failure> {
    let mut problems = Vec::new();
    let mut add = |seen: String, expected: &str, advice: &str| problems.push(Failure::new(seen, expected, advice));
    let name = spec.name.as_str();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.bytes().all(plain) {
        add(format!("the name is {name:?}"), "a-z, 0-9 and _, a letter first", "rename it");
    }
    let help = spec.help.trim();
    let ends = help.ends_with(['.', '!', '?']) || help.ends_with(".)");
    if help.is_empty() || !ends || help.starts_with(char::is_lowercase) || spec.help.contains(char::is_control) {
        add(
            format!("the help is {help:?}"),
            "whole sentences on one line: a capital letter first, a full stop at the end",
            "write for the administrator who has never seen the source: what it does, and what an empty value means",
        );
    }
    let default = spec.default.as_str();
    if let Err(reason) = check_setting(spec, default) {
        add(format!("the default: {reason}"), "a default that is allowed", "change the default or the kind");
    }
    match &spec.kind {
        SettingKind::Program | SettingKind::Path | SettingKind::OutputDirectory => {
            if !default.starts_with('/') && default.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control())
            {
                add(
                    format!("the default is {default:?}"),
                    "an absolute path, nothing, or a word for what the adapter finds out",
                    "write it from /",
                );
            }
        }
        SettingKind::Choice(words) => {
            let (mut names, meanings): (Vec<&str>, Vec<Option<&str>>) = words
                .iter()
                .map(|word| word.split_once('=').map_or((word.as_str(), None), |(old, new)| (old, Some(new))))
                .unzip();
            for (name, meaning) in names.iter().zip(&meanings) {
                if name.is_empty() || **name != name.to_lowercase() || name.contains(char::is_whitespace) {
                    add(
                        format!("the choice {name:?} cannot be chosen"),
                        "words in small letters, without blanks",
                        "the host compares in small letters",
                    );
                }
                if meaning.is_some_and(|meaning| !words.iter().any(|word| word == meaning)) {
                    add(
                        format!("{name:?} is an older name of {:?}, which is no choice", meaning.unwrap_or_default()),
                        "an older name of one of the words",
                        "write OLD=NEW",
                    );
                }
            }
            let explained = default.is_empty() && help.contains("Empty:");
            if !explained && !words.iter().any(|word| word == default) {
                add(
                    format!("the default {default:?} is none of the choices"),
                    "one of the words; or nothing, and help with a sentence that begins with `Empty:`",
                    "choose one",
                );
            }
            names.sort_unstable();
            if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                add(format!("the choice {:?} comes twice", pair[0]), "each word once", "remove one");
            }
        }
        _ => {}
    }
    problems
}

/// Values that a file can hold, or (with an older host, another caller) could reach an adapter anyway.
fn odd_values(kind: &SettingKind) -> Vec<String> {
    let mut values: Vec<String> =
        ["", " ", "\u{fc}\u{1f600}", "a\nb", "%s%n", "$(id) `id` 'x\" ;", "-x", "../../x", "\u{1b}[2J"]
            .map(str::to_owned)
            .to_vec();
    values.push("x".repeat(100_000));
    let more: &[&str] = match kind {
        SettingKind::Integer => {
            &["0", "-1", "9223372036854775807", "-9223372036854775808", "99999999999999999999", "1e3"]
        }
        SettingKind::Boolean => &["yes", "no", "maybe"],
        SettingKind::Program | SettingKind::Path | SettingKind::OutputDirectory => {
            &["/", "/nonexistent", "/a b/c", "/\u{fc}/x", "relative/x", "/x/../y", "//", "/dev/null", "~"]
        }
        _ => &["nonsense", "0", "/etc/passwd"],
    };
    values.extend(more.iter().map(|value| (*value).to_owned()));
    values
}

pub(super) fn settings_read(case: &mut Case) -> Result<(), Failure> {
    let specs = case.specs()?;
    let incoming = case.adapter.as_ref().is_some_and(|adapter| adapter.incoming);
    make(case, &Setup::new(&specs, &[]).settings, incoming, "")?.map_err(|error| refused("new", &error))?;
    let mut refusals = 0;
    let mut tried = 1;
    let _ = make(case, &Settings::default(), incoming, "without any setting")?;
    for spec in &specs {
        for value in odd_values(&spec.kind) {
            let setup = Setup::new(&specs, &[(&spec.name, &value)]);
            let shown = format!("{}: {:?}", spec.name, value.chars().take(40).collect::<String>());
            tried += 1;
            if make(case, &setup.settings, incoming, &shown)?.is_err() {
                refusals += 1;
            }
        }
    }
    case.note(format!("{tried} values tried, {refusals} refused"));
    Ok(())
}

/// Makes an adapter, and if there is one, asks it; only a panic is a failure.
fn make(
    case: &mut Case,
    settings: &Settings,
    incoming: bool,
    shown: &str,
) -> Result<Result<(), postrider_plugin_api::sdk::Error>, Failure> {
    let panicked = |doing: &str, error: &postrider_plugin_api::sdk::Error| Failure::panicked(doing, error).when(shown);
    let settled = |doing: &str, error: Option<postrider_plugin_api::sdk::Error>| match error {
        Some(error) if error.kind == ErrorKind::Panic => Err(panicked(doing, &error)),
        _ => Ok(()),
    };
    if !incoming {
        let made = case.outgoing(settings)?;
        settled("new", made.as_ref().err().cloned())?;
        return Ok(made.map(drop));
    }
    let adapter = match case.incoming(settings)? {
        Ok(adapter) => adapter,
        Err(error) => return settled("new", Some(error.clone())).map(|()| Err(error)),
    };
    let setup = Setup { words: shown.to_owned(), specs: case.specs()?, settings: settings.clone() };
    let (site, roster) = (lists::site(), lists::plain().roster());
    let facts = adapter.probe(&site, &Machine::without_mta(setup.programs()));
    settled("probe", facts.as_ref().err().cloned())?;
    let subject = super::case::Subject { adapter, setup, site, facts: facts.unwrap_or_default() };
    let mut sink = subject.collector(&Change::Everything);
    let plan = subject.adapter.plan(subject.context(&roster), Change::Everything, &mut sink);
    settled("plan", plan.err())?;
    settled("snippets", subject.adapter.snippets(subject.context(&roster)).err())?;
    Ok(Ok(()))
}
