//! Settings of adapters: the file that `[mta] configuration` names, read against what the adapter
//! declares.
//!
//! The file is ini; the section that counts has the plugin's name. Keys before any section count
//! too, because Mailman's documentation prints its file that way. A file in which several plugins
//! have sections is fine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use postrider_plugin_api::sdk::{SettingKind, SettingSpec, Settings};

use super::consistency::unreadable;
use super::error::{ConfigError, ConfigErrors};
use super::ini::{self, BareKeys, Entry};
use super::parse::boolean;
use super::types::{AdapterConfiguration, AdapterName, Config, OutgoingName};
use crate::nearest::nearest;

/// Whether `[mta]` names the plugin whose settings are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Yes, as the incoming one: keys before any section are its too.
    Configured,
    /// No, or only as the outgoing one: a section of its name counts, and nothing else.
    Other,
}

/// The settings of an adapter of this plugin: every key that it declares (`specs`) with its value or
/// default. Adapters of one plugin share a section; `all` are the keys of any of them.
///
/// # Errors
/// The file cannot be read, has a key that no adapter of the plugin declares, or a wrong value:
/// everything that is wrong, at once.
pub fn adapter_settings(
    config: &Config,
    plugin: &str,
    specs: &[SettingSpec],
    all: &[SettingSpec],
    whose: Whose,
) -> Result<Settings, ConfigErrors> {
    let AdapterConfiguration::File(path) = &config.mta.configuration else {
        return Ok(defaults(specs));
    };
    let bytes = read(path)?;
    from_bytes(&path.display().to_string(), &bytes, plugin, specs, all, whose, &known_plugins(config))
}

/// Plugins that may have a section: those that `[mta]` names, and all that are installed.
fn known_plugins(config: &Config) -> BTreeSet<String> {
    let mut known = configured_plugins(config);
    for entry in
        config.plugins.path.iter().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten().flatten()
    {
        let file = entry.file_name();
        let name = file.to_str().and_then(|name| name.strip_prefix("libpostrider_")?.strip_suffix(".so"));
        known.extend(name.map(str::to_owned));
    }
    known
}

/// The plugins that `[mta]` names by their names.
pub(super) fn configured_plugins(config: &Config) -> BTreeSet<String> {
    let outgoing = match &config.mta.outgoing {
        OutgoingName::Adapter(name) => Some(name),
        OutgoingName::Deliver => None,
    };
    let names = [Some(&config.mta.incoming), outgoing].into_iter().flatten();
    let plugin = |name: &AdapterName| match name {
        AdapterName::Named { plugin, .. } => Some(plugin.clone()),
        AdapterName::File { .. } | AdapterName::Null => None,
    };
    names.filter_map(plugin).collect()
}

/// Sections of the file of `[mta] configuration` that belong to no plugin; nothing when it cannot be read, which
/// others tell.
pub(super) fn unknown_sections(config: &Config) -> Vec<ConfigError> {
    let AdapterConfiguration::File(path) = &config.mta.configuration else { return Vec::new() };
    let Ok(bytes) = read(path) else { return Vec::new() };
    let known = known_plugins(config);
    let (file, _) = ini::parse(&path.display().to_string(), &bytes, BareKeys::Allowed);
    let unknown = file.sections.iter().filter(|section| !section.name.is_empty() && !known.contains(&section.name));
    unknown
        .map(|section| {
            let meant = nearest(&section.name, known.iter().map(String::as_str));
            let meant = meant.map(|name| format!("; did you mean [{name}]?")).unwrap_or_default();
            let message = format!("[{}] is the section of no plugin that is installed{meant}", section.name);
            ConfigError::at(&section.place, message)
        })
        .collect()
}

fn defaults(specs: &[SettingSpec]) -> Settings {
    specs.iter().map(|spec| (spec.name.clone(), spec.default.clone())).collect()
}

/// Reads the file of `[mta] configuration`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ConfigErrors> {
    if let Some(problem) = unreadable(path) {
        return Err(ConfigError::in_file("", problem).with_key("mta", "configuration").into());
    }
    std::fs::read(path).map_err(|error| {
        let message = format!("`{}` cannot be read: {error}", path.display());
        ConfigError::in_file("", message).with_key("mta", "configuration").into()
    })
}

fn from_bytes<'s>(
    name: &str,
    bytes: &[u8],
    plugin: &str,
    specs: &'s [SettingSpec],
    all: &'s [SettingSpec],
    whose: Whose,
    known: &BTreeSet<String>,
) -> Result<Settings, ConfigErrors> {
    let (file, mut errors) = ini::parse(name, bytes, BareKeys::Allowed);
    if whose == Whose::Other && !file.sections.iter().any(|section| section.name == plugin) {
        let is_meant = |name: &str| !known.contains(name) && nearest(name, [plugin]).is_some();
        for section in file.sections.iter().filter(|section| is_meant(&section.name)) {
            let message = format!("no plugin has the section [{}]; did you mean [{plugin}]?", section.name);
            errors.push(ConfigError::at(&section.place, message));
        }
        return if errors.is_empty() { Ok(defaults(specs)) } else { Err(ConfigErrors(errors)) };
    }
    let mut values: BTreeMap<String, String> =
        specs.iter().map(|spec| (spec.name.clone(), spec.default.clone())).collect();
    let mut seen: BTreeMap<&str, &Entry> = BTreeMap::new();
    let counts = |section: &str| section == plugin || (section.is_empty() && whose == Whose::Configured);
    for entry in file.sections.iter().filter(|section| counts(&section.name)).flat_map(|section| &section.entries) {
        let here = |message: String| ConfigError::at(&entry.place, message).with_key(plugin, &entry.key);
        if let Some(first) = seen.insert(&entry.key, entry) {
            let line = first.place.line;
            errors.push(here(format!(
                "the key stands in line {line} already; keep one of the two (lines {line} and {})",
                entry.place.line
            )));
            continue;
        }
        let declared = |specs: &'s [SettingSpec]| specs.iter().find(|spec| spec.name == entry.key);
        let (own, other) = (declared(specs), declared(all));
        let Some(spec) = own.or(other) else {
            errors.push(here(unknown_key(&entry.key, plugin, if all.is_empty() { specs } else { all })));
            continue;
        };
        if let Some(line) = entry.continued.filter(|_| spec.kind != SettingKind::Text && entry.value.contains('\n')) {
            errors.push(here(format!(
                "the value goes on in line {line}, because that line is indented deeper than the key; allowed is one line"
            )));
            continue;
        }
        match check(spec, &entry.value) {
            Ok(value) if own.is_some() => drop(values.insert(spec.name.clone(), value)),
            Ok(_) => {} // another adapter's
            Err(message) => errors.push(here(message)),
        }
    }
    if !file.sections.is_empty() && !file.sections.iter().any(|section| counts(&section.name)) {
        let names: Vec<String> = file.sections.iter().map(|section| format!("[{}]", section.name)).collect();
        errors.push(ConfigError::at(
            &file.sections[0].place,
            format!("the file has no section [{plugin}], only {}; rename the one that is meant", names.join(", ")),
        ));
    }
    if errors.is_empty() { Ok(values.into_iter().collect()) } else { Err(ConfigErrors(errors)) }
}

fn unknown_key(key: &str, plugin: &str, specs: &[SettingSpec]) -> String {
    let known = || specs.iter().map(|spec| spec.name.as_str());
    match nearest(key, known()) {
        Some(meant) => format!("no such key; did you mean `{meant}`?"),
        None if specs.is_empty() => format!("no such key; the plugin `{plugin}` has no settings"),
        None => format!("no such key; known are {}", known().collect::<Vec<_>>().join(", ")),
    }
}

/// The value as the adapter gets it.
pub(crate) fn check(spec: &SettingSpec, value: &str) -> Result<String, String> {
    match &spec.kind {
        // A default may be something else: empty, or a word for what the adapter finds out itself.
        SettingKind::Program | SettingKind::Path | SettingKind::OutputDirectory
            if value != spec.default && (!value.starts_with('/') || value.contains(char::is_control)) =>
        {
            let default = match spec.default.as_str() {
                "" => ", or nothing".to_owned(),
                path if path.starts_with('/') => String::new(),
                word => format!(", or `{word}`"),
            };
            Err(format!("`{value}` is not allowed; allowed is an absolute path{default}"))
        }
        SettingKind::Integer => match value.parse::<i64>() {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err(format!("`{value}` is not allowed; allowed is a whole number")),
        },
        SettingKind::Boolean => match boolean(value) {
            Some(truth) => Ok(if truth { "yes" } else { "no" }.to_owned()),
            None => Err(format!("`{value}` is not allowed; allowed is yes or no")),
        },
        // An empty one, say, for what the adapter finds out itself.
        SettingKind::Choice(words) if value != spec.default => choice(words, value),
        _ => Ok(value.to_owned()),
    }
}

/// `regex=regexp` makes `regex` an older name of `regexp`.
fn choice(words: &[String], value: &str) -> Result<String, String> {
    let lower = value.to_lowercase();
    for word in words {
        let (name, meaning) = word.split_once('=').unwrap_or((word, word));
        if name == lower {
            return Ok(meaning.to_owned());
        }
    }
    let allowed: Vec<&str> = words.iter().filter(|word| !word.contains('=')).map(String::as_str).collect();
    let meant = nearest(value, allowed.iter().copied()).map(|word| format!(" (did you mean `{word}`?)"));
    Err(format!("`{value}` is not allowed{}; allowed is {}", meant.unwrap_or_default(), allowed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, kind: SettingKind, default: &str) -> SettingSpec {
        SettingSpec::new(name, kind, default, "")
    }

    fn specs() -> Vec<SettingSpec> {
        let types = ["hash", "regexp", "regex=regexp", "lmdb"].map(str::to_owned).to_vec();
        vec![
            spec("transport_file_type", SettingKind::Choice(types), "hash"),
            spec("postmap_command", SettingKind::Program, "/usr/sbin/postmap"),
            spec("reload", SettingKind::Boolean, "yes"),
            spec("limit", SettingKind::Integer, "5"),
        ]
    }

    fn settings(text: &str) -> Result<Settings, String> {
        from_bytes("p.cfg", text.as_bytes(), "postfix", &specs(), &specs(), Whose::Configured, &BTreeSet::new())
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn mailmans_file_is_read_with_and_without_its_section() {
        let printed = include_str!("../../tests/mailman/postfix-mailman.cfg");
        for text in [printed, "transport_file_type: regex\n", "[postfix]\ntransport_file_type = regexp\n"] {
            let settings = settings(text).expect(text);
            assert_eq!(settings.value("transport_file_type"), "regexp");
            assert_eq!(settings.value("postmap_command"), "/usr/sbin/postmap");
        }
    }

    #[test]
    fn an_empty_file_and_none_give_the_defaults() {
        assert_eq!(settings("").expect("empty").value("transport_file_type"), "hash");
        let config = Config::built_in().config;
        assert_eq!(
            adapter_settings(&config, "postfix", &specs(), &[], Whose::Configured).expect("defaults").value("limit"),
            "5"
        );
    }

    #[test]
    fn values_reach_the_adapter_in_one_spelling() {
        let settings = settings("[postfix]\nreload: Off\nlimit: 007\ntransport_file_type: LMDB\n").expect("settings");
        assert_eq!(settings.value("reload"), "no");
        assert_eq!(settings.value("limit"), "7");
        assert_eq!(settings.value("transport_file_type"), "lmdb");
    }

    #[test]
    fn mistakes_are_told_together_with_what_is_allowed() {
        let errors = settings(
            "[postfix]\ntransport_file_type: btree\npostmap_command: postmap\nreload: maybe\nlimit: x\npostmap_comand: /x\n[exim4]\nother: 1\n",
        )
        .expect_err("mistakes");
        let lines: Vec<&str> = errors.lines().collect();
        assert_eq!(lines.len(), 5, "{errors}");
        assert_eq!(
            lines[0],
            "p.cfg:2: [postfix] transport_file_type: `btree` is not allowed; allowed is hash, regexp, lmdb"
        );
        assert!(lines[1].contains("absolute path"), "{errors}");
        assert!(lines[4].contains("did you mean `postmap_command`?"), "{errors}");
    }

    #[test]
    fn an_indented_key_does_not_become_part_of_a_program() {
        let error = settings("postmap_command: /usr/sbin/postmap\n  limit: 3\n").expect_err("indent");
        assert!(error.contains("p.cfg:1: [postfix] postmap_command: the value goes on in line 2"), "{error}");
    }

    #[test]
    fn a_file_for_another_plugin_is_an_error() {
        let errors = settings("[postfx]\nlimit: 1\n").expect_err("section");
        assert!(errors.contains("no section [postfix], only [postfx]"), "{errors}");
        let errors = settings("limit: 1\n[postfix]\nlimit: 2\n").expect_err("twice");
        assert!(errors.contains("lines 1 and 3"), "{errors}");
    }

    #[test]
    fn adapters_of_one_plugin_share_a_section() {
        let (own, all) = (&specs()[..2], specs());
        let read = |text: &str| {
            from_bytes("p.cfg", text.as_bytes(), "postfix", own, &all, Whose::Configured, &BTreeSet::new())
        };
        let settings = read("[postfix]\ntransport_file_type: lmdb\nlimit: 7\n").expect("both adapters' keys");
        assert_eq!(settings.value("transport_file_type"), "lmdb");
        assert!(settings.iter().all(|(name, _)| name != "limit"), "what it did not declare it does not get");
        let error = read("limit: x\n").expect_err("still checked").to_string();
        assert!(error.contains("whole number"), "{error}");
        let error = read("limits: 1\n").expect_err("unknown").to_string();
        assert!(error.contains("did you mean `limit`?"), "{error}");
    }

    #[test]
    fn a_plugin_that_is_not_configured_gets_its_section_and_nothing_else() {
        let known = BTreeSet::from(["exim4".to_owned(), "postfit".to_owned()]);
        let read =
            |text: &str| from_bytes("p.cfg", text.as_bytes(), "postfix", &specs(), &specs(), Whose::Other, &known);
        for text in ["", "limit: 7\n", "unknown: 7\n", "[exim4]\nlimit: 7\n"] {
            assert_eq!(read(text).expect(text).value("limit"), "5", "{text}");
        }
        assert_eq!(read("unknown: 7\n[postfix]\nlimit: 7\n").expect("its section").value("limit"), "7");
        assert!(read("[postfix]\nlimit: x\n").is_err());
        assert!(read("[postfit]\nlimit: 1\n").is_ok(), "another plugin's, however like");
        let error = |text: &str| read(text).expect_err(text).to_string();
        assert_eq!(
            error("[exim4]\n[postfxi]\nlimit: 1\n"),
            "p.cfg:2: no plugin has the section [postfxi]; did you mean [postfix]?"
        );
        assert!(error("[exim4\nlimit: 1\n").starts_with("p.cfg:1: "), "a file that cannot be read has no sections");
    }

    #[test]
    fn a_path_is_absolute_or_the_default() {
        for kind in [SettingKind::Program, SettingKind::Path, SettingKind::OutputDirectory] {
            for (default, value, good) in [
                ("", "", true),
                ("", "/x", true),
                ("", "x", false),
                ("/x", "", false),
                ("auto", "auto", true),
                ("auto", "other", false),
                ("/x", "/y\tz", false),
            ] {
                let spec = spec("path", kind.clone(), default);
                assert_eq!(check(&spec, value).is_ok(), good, "{kind:?} {default:?} {value:?}");
            }
        }
        let error = check(&spec("path", SettingKind::Path, "auto"), "x").expect_err("relative");
        assert_eq!(error, "`x` is not allowed; allowed is an absolute path, or `auto`");
    }

    #[test]
    fn a_missing_file_is_an_error_that_says_what_is_allowed() {
        let text = "[mta]\nconfiguration: /nonexistent/postfix.cfg\n";
        let config = Config::from_text("t.cfg", text).expect("parses").config;
        let error =
            adapter_settings(&config, "postfix", &specs(), &[], Whose::Configured).expect_err("missing").to_string();
        assert!(error.contains("[mta] configuration: `/nonexistent/postfix.cfg` cannot be read"), "{error}");
        assert!(error.contains("plugin:NAME"), "{error}");
    }
}
