//! From a file to a [`Loaded`] configuration: which file, which sections, which value where from.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::consistency;
use super::error::{ConfigError, ConfigErrors, Notice, Place};
use super::foreign;
use super::ini::{self, BareKeys, Entry, IniFile, Section};
use super::paths::{self, Substitution, Surroundings};
use super::table::{self, SETTINGS, Setting};
use super::types::Config;
use crate::nearest::nearest;

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "/etc/postrider/postrider.cfg";
/// The environment variable that names another.
pub const FILE_VARIABLE: &str = "POSTRIDER_CONFIG";

/// A configuration, with where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// What the administrator should know.
    pub notices: Vec<Notice>,
    /// Every value as text, in the order of the table.
    pub origins: Vec<Origin>,
}

/// A value as text, and where it came from.
#[derive(Clone)]
pub struct Origin {
    /// Which setting.
    pub setting: &'static Setting,
    /// The section as it is shown: `paths.fhs`, not `paths`.
    pub section: String,
    /// The value after substitution.
    pub text: String,
    /// Its line; `None` for the default.
    pub place: Option<Place>,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = if self.setting.kind.secret { "********" } else { &self.text };
        write!(f, "[{}] {}: {text:?} ({:?})", self.section, self.setting.key, self.place)
    }
}

impl Config {
    /// Reads the configuration: `explicit` (`-C FILE`), else the file that the environment
    /// variable `POSTRIDER_CONFIG` names, else `/etc/postrider/postrider.cfg`, else the built-in
    /// defaults.
    ///
    /// # Errors
    /// Everything that is wrong, at once. A file that was named must exist.
    pub fn load(explicit: Option<&Path>) -> Result<Loaded, ConfigErrors> {
        match locate(explicit, std::env::var_os(FILE_VARIABLE), Path::new(DEFAULT_FILE)) {
            Some(file) => Config::load_file(&file),
            None => Ok(Config::built_in()),
        }
    }

    /// Reads just this file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_file(file: &Path) -> Result<Loaded, ConfigErrors> {
        let name = file.display().to_string();
        let bytes = std::fs::read(file).map_err(|error| {
            ConfigError::in_file(
                &name,
                format!("the configuration file cannot be read: {error}; name one with -C FILE or {FILE_VARIABLE}"),
            )
        })?;
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let mut loaded = read(&name, &bytes, Some(absolute))?;
        loaded.notices.extend(consistency::missing_file(&loaded));
        Ok(loaded)
    }

    /// Parses a text; `name` stands for the file in messages. Touches no file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_text(name: &str, text: &str) -> Result<Loaded, ConfigErrors> {
        read(name, text.as_bytes(), None)
    }

    /// The defaults.
    pub fn built_in() -> Loaded {
        // The input is a constant of this program; a test reads it.
        read("", b"", None).expect("the table's defaults are valid")
    }
}

/// The file to read; `None` when none is named and the usual one does not exist.
fn locate(explicit: Option<&Path>, variable: Option<OsString>, usual: &Path) -> Option<PathBuf> {
    explicit
        .map(Path::to_owned)
        .or_else(|| variable.filter(|value| !value.is_empty()).map(PathBuf::from))
        // A file that exists but may not be looked at is no reason to go on without it.
        .or_else(|| usual.try_exists().unwrap_or(true).then(|| usual.to_owned()))
}

fn read(name: &str, bytes: &[u8], file: Option<PathBuf>) -> Result<Loaded, ConfigErrors> {
    let surroundings = Surroundings { cwd: std::env::current_dir().ok(), cfg_file: file.clone() };
    let (ini, errors) = ini::parse(name, bytes, BareKeys::Refused);
    let mut builder = Builder {
        name,
        config: Config::blank(file),
        notices: Vec::new(),
        errors,
        origins: Vec::new(),
        values: HashMap::new(),
        paths: HashMap::new(),
    };
    builder.sort(&ini);
    builder.build(&surroundings);
    if builder.errors.is_empty() {
        builder.errors = consistency::check(&builder.config, &builder.origins, name);
    }
    if !builder.errors.is_empty() {
        builder.errors.sort_by_key(|error| error.line);
        return Err(ConfigErrors(builder.errors));
    }
    builder.notices.extend(consistency::notices(&builder.config, &builder.origins));
    builder.notices.sort_by_key(|notice| notice.place.line);
    Ok(Loaded { config: builder.config, notices: builder.notices, origins: builder.origins })
}

struct Builder<'a> {
    /// The file as it is named in messages.
    name: &'a str,
    config: Config,
    notices: Vec<Notice>,
    errors: Vec<ConfigError>,
    origins: Vec<Origin>,
    /// (section of the table, key of the table) to what the file says; `[paths.*]` is apart.
    values: HashMap<(&'static str, &'static str), &'a Entry>,
    /// The sections `[paths.NAME]` by NAME.
    paths: HashMap<&'a str, &'a Section>,
}

impl<'a> Builder<'a> {
    /// Finds the setting for each key, and tells what is nobody's.
    fn sort(&mut self, ini: &'a IniFile) {
        for section in &ini.sections {
            match table::canonical_section(&section.name) {
                Some(known) => self.sort_section(known, section),
                None if foreign::is_section(&section.name) => self.notices.push(Notice {
                    place: section.place.clone(),
                    message: format!("[{}] is a section of Mailman's that Postrider does not use", section.name),
                }),
                None => self.unknown_section(section),
            }
        }
    }

    fn sort_section(&mut self, known: &'static str, section: &'a Section) {
        if known == "paths" {
            match section.name.strip_prefix("paths.") {
                Some(layout) => drop(self.paths.insert(layout, section)),
                None => {
                    self.errors.push(ConfigError::at(&section.place, "[paths] lacks its name; write [paths.fhs]"));
                }
            }
        }
        for entry in &section.entries {
            let Some(setting) = table::setting(known, &entry.key) else {
                self.unknown_key(known, section, entry);
                continue;
            };
            if known == "paths" {
                continue;
            }
            if let Some(first) = self.values.get(&(known, setting.key)) {
                let message = format!(
                    "the same setting stands in line {} already; keep one of the two (lines {} and {})",
                    first.place.line, first.place.line, entry.place.line
                );
                self.errors.push(ConfigError::at(&entry.place, message).with_key(&section.name, &entry.key));
            } else {
                self.values.insert((known, setting.key), entry);
            }
        }
    }

    fn unknown_section(&mut self, section: &Section) {
        let ours = table::SECTIONS.iter().map(|(name, _)| *name).filter(|name| *name != "paths");
        let known = ours.chain(["mailman", "paths.fhs"]).chain(foreign::sections());
        let meant = nearest(&section.name, known).map(|name| format!("; did you mean [{name}]?")).unwrap_or_default();
        self.errors.push(ConfigError::at(&section.place, format!("[{}] is no known section{meant}", section.name)));
    }

    fn unknown_key(&mut self, known: &'static str, section: &Section, entry: &Entry) {
        if foreign::is_key(known, &entry.key) {
            self.notices.push(Notice {
                place: entry.place.clone(),
                message: format!("[{}] {} is a key of Mailman's that Postrider does not use", section.name, entry.key),
            });
            return;
        }
        let keys = table::in_section(known).map(|setting| setting.key);
        let elsewhere = || SETTINGS.iter().find(|setting| setting.key == entry.key);
        let meant = if let Some(key) = nearest(&entry.key, keys) {
            format!("did you mean `{key}`?")
        } else if let Some(setting) = elsewhere() {
            format!("it belongs into [{}]", setting.section)
        } else {
            let known: Vec<&str> = table::in_section(known).map(|setting| setting.key).collect();
            format!("known are {}", known.join(", "))
        };
        self.errors
            .push(ConfigError::at(&entry.place, format!("no such key; {meant}")).with_key(&section.name, &entry.key));
    }

    /// Parses every value, the file's or the default.
    fn build(&mut self, surroundings: &Surroundings) {
        let layout = self.layout();
        let sections: Vec<&'a Section> =
            [layout.as_str(), "master"].iter().filter_map(|name| self.paths.get(name).copied()).collect();
        let values = path_values(&layout, &sections);
        let substitution = Substitution::new(
            values
                .iter()
                .map(|(key, value)| {
                    (
                        *key,
                        value.map_or_else(
                            || paths::built_in(&layout, key).unwrap_or_default(),
                            |entry| entry.value.as_str(),
                        ),
                    )
                })
                .collect(),
            surroundings,
        );
        for setting in SETTINGS {
            let entry = match setting.section {
                "paths" => values.get(setting.key).copied().flatten(),
                section => self.values.get(&(section, setting.key)).copied(),
            };
            let section = match (setting.section, entry) {
                // The section in which it would be set.
                ("paths", _) => format!("paths.{layout}"),
                (section, _) => section.to_owned(),
            };
            let default = match setting.section {
                "paths" => paths::built_in(&layout, setting.key).unwrap_or_default(),
                _ => setting.default,
            };
            self.value(setting, section, entry, default, &substitution);
        }
        for (name, section) in &self.paths {
            if *name != layout && *name != "master" {
                self.notices.push(Notice {
                    place: section.place.clone(),
                    message: format!(
                        "[{}] is not used, because the layout is {layout}; [postrider] layout: {name} would use it",
                        section.name
                    ),
                });
            }
        }
    }

    /// The layout that counts; an error when there is no such one.
    fn layout(&mut self) -> String {
        let entry = self.values.get(&("postrider", "layout")).copied();
        let default = table::setting("postrider", "layout").map_or("fhs", |setting| setting.default);
        let layout = entry.map_or(default, |entry| entry.value.as_str());
        if paths::layouts().any(|known| known == layout) || self.paths.contains_key(layout) {
            return layout.to_owned();
        }
        if let Some(entry) = entry {
            let mut known: Vec<&str> = paths::layouts().collect();
            known.extend(self.paths.keys());
            let message = format!(
                "there is no layout `{layout}`; allowed is {}, or the NAME of a section [paths.NAME] of yours",
                known.join(", ")
            );
            self.errors.push(ConfigError::at(&entry.place, message).with_key("postrider", "layout"));
        }
        default.to_owned()
    }

    fn value(
        &mut self,
        setting: &'static Setting,
        section: String,
        entry: Option<&Entry>,
        default: &str,
        substitution: &Substitution<'_>,
    ) {
        let raw = entry.map_or(default, |entry| entry.value.as_str());
        let result = match entry.and_then(|entry| entry.continued) {
            Some(line) if !setting.kind.lines && raw.contains('\n') => Err(format!(
                "the value goes on in line {line}, because that line is indented deeper than the key; allowed is one line"
            )),
            _ => self.apply(setting, raw, substitution),
        };
        match result {
            Ok(text) => {
                self.origins.push(Origin { setting, section, text, place: entry.map(|entry| entry.place.clone()) });
            }
            // A default that is wrong because another path is wrong: one mistake is told once.
            Err(_) if entry.is_none() && self.errors.iter().any(in_paths) => {}
            Err(message) => {
                let error = match entry {
                    Some(entry) => ConfigError::at(&entry.place, message),
                    None => ConfigError::in_file(self.name, format!("{message} (the default is {raw:?})")),
                };
                self.errors.push(error.with_key(&section, setting.key));
            }
        }
    }

    /// Puts the value into the configuration and answers it as text.
    fn apply(&mut self, setting: &Setting, raw: &str, substitution: &Substitution<'_>) -> Result<String, String> {
        let allowed = setting.kind.allowed;
        let text = if setting.kind.substituted { substitution.expand(raw)? } else { raw.to_owned() };
        let text = if setting.section == "paths" && text.starts_with('/') { paths::tidy(&text) } else { text };
        match (setting.apply)(&mut self.config, &text) {
            Ok(()) => Ok(text),
            Err(reason) if reason.is_empty() && text.is_empty() => {
                Err(format!("the value is empty; allowed is {allowed}"))
            }
            Err(reason) if reason.is_empty() => Err(format!("`{text}` is not allowed; allowed is {allowed}")),
            Err(reason) => Err(format!("{reason}; allowed is {allowed}")),
        }
    }
}

fn in_paths(error: &ConfigError) -> bool {
    error.section.as_ref().is_some_and(|section| section.starts_with("paths."))
}

/// Every key that a path may contain: what the file says about it, or nothing.
fn path_values<'a>(layout: &str, sections: &[&'a Section]) -> HashMap<&'a str, Option<&'a Entry>> {
    let mut values: HashMap<&str, Option<&Entry>> =
        table::in_section("paths").map(|setting| (setting.key, None)).collect();
    for section in sections {
        for entry in &section.entries {
            let of_layout = section.name.strip_prefix("paths.") == Some(layout);
            // [paths.master] stands behind what the layout has built in.
            if !of_layout && paths::is_special(layout, &entry.key) {
                continue;
            }
            let value = values.entry(entry.key.as_str()).or_insert(None);
            value.get_or_insert(entry);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_the_explicit_one_then_the_variable_then_the_usual_one() {
        let directory = tempfile::tempdir().expect("directory");
        let usual = directory.path().join("postrider.cfg");
        let explicit = Path::new("/c.cfg");
        assert_eq!(locate(Some(explicit), Some("/v.cfg".into()), &usual), Some("/c.cfg".into()));
        assert_eq!(locate(None, Some("/v.cfg".into()), &usual), Some("/v.cfg".into()));
        assert_eq!(locate(None, Some("".into()), &usual), None);
        assert_eq!(locate(None, None, &usual), None);
        std::fs::write(&usual, "").expect("write");
        assert_eq!(locate(None, None, &usual), Some(usual));
    }

    #[test]
    fn a_file_that_was_named_must_exist() {
        let error = Config::load(Some(Path::new("/nonexistent/p.cfg"))).expect_err("no file").to_string();
        assert!(error.contains("/nonexistent/p.cfg: the configuration file cannot be read"), "{error}");
    }
}
