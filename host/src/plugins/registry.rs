//! Names to files, files to adapters.

use super::adapter::Renewed;
use super::load::{self, Loaded};
use super::{AdapterKind, NullMta, PluginError, vet};
use crate::config::AdapterName;
use postrider_plugin_api::abi::{self, Adapter_Ref};
use postrider_plugin_api::export::is_plugin_name;
use postrider_plugin_api::host;
use postrider_plugin_api::sdk::{HostLog, IncomingAdapter, OutgoingAdapter, SettingSpec, Settings};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The plugins of a plugin path. Each file is loaded when it is first needed, once, and for ever.
pub struct PluginRegistry {
    path: Vec<PathBuf>,
    /// By real path.
    loaded: Mutex<HashMap<PathBuf, Arc<Loaded>>>,
}

/// One file of the plugin path.
#[derive(Clone, Debug)]
pub struct PluginReport {
    /// The file.
    pub file: PathBuf,
    /// The name by which the configuration calls it.
    pub name: String,
    /// What it is, or why it cannot be used.
    pub usable: Result<PluginInfo, PluginError>,
}

/// What a plugin says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginInfo {
    /// Its own version.
    pub version: String,
    /// The version of the interface that it was built against.
    pub api_version: String,
    /// The compiler that built it.
    pub built_with: String,
    /// What it offers.
    pub adapters: Vec<AdapterReport>,
}

/// One adapter of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterReport {
    /// `LMTP`.
    pub name: String,
    /// What it is for.
    pub kind: AdapterKind,
    /// One line for people.
    pub description: String,
}

impl PluginRegistry {
    /// A registry over these directories, in order; nothing is loaded yet. A directory that does not
    /// exist holds no plugins.
    pub fn new(path: Vec<PathBuf>) -> Self {
        PluginRegistry { path, loaded: Mutex::new(HashMap::new()) }
    }

    /// Every plugin in the path, by directory and name, the unusable ones with the reason. Loads them.
    pub fn list(&self) -> Vec<PluginReport> {
        let mut reports: Vec<PluginReport> = Vec::new();
        for (name, file) in self.files() {
            let first = reports.iter().find(|report| report.name == name);
            let usable = match first {
                Some(first) => Err(PluginError::Hidden { file: file.clone(), by: first.file.clone() }),
                None => self.load_named(&name, &file).map(|loaded| info(&loaded)),
            };
            reports.push(PluginReport { file, name, usable });
        }
        reports
    }

    /// Makes an incoming adapter. The log is also told when it panics.
    pub fn incoming(
        &self,
        name: &AdapterName,
        log: Box<dyn HostLog>,
        settings: &Settings,
    ) -> Result<Box<dyn IncomingAdapter>, PluginError> {
        if *name == AdapterName::Null {
            return Ok(Box::new(NullMta));
        }
        let (full_name, adapter) = self.adapter(name, AdapterKind::Incoming)?;
        let log: Arc<dyn HostLog> = log.into();
        let (for_adapter, settings) = (Arc::clone(&log), settings.clone());
        let make = move || host::Incoming::new(adapter, Arc::clone(&for_adapter), &settings);
        Ok(Box::new(Renewed::new(full_name, log, Box::new(make))?))
    }

    /// Makes an outgoing adapter. The log is also told when it panics.
    pub fn outgoing(
        &self,
        name: &AdapterName,
        log: Box<dyn HostLog>,
        settings: &Settings,
    ) -> Result<Box<dyn OutgoingAdapter>, PluginError> {
        let (full_name, adapter) = self.adapter(name, AdapterKind::Outgoing)?;
        let log: Arc<dyn HostLog> = log.into();
        let (for_adapter, settings) = (Arc::clone(&log), settings.clone());
        let make = move || host::Outgoing::new(adapter, Arc::clone(&for_adapter), &settings);
        Ok(Box::new(Renewed::new(full_name, log, Box::new(make))?))
    }

    /// The settings that an incoming adapter reads.
    pub fn incoming_settings(&self, name: &AdapterName) -> Result<Vec<SettingSpec>, PluginError> {
        if *name == AdapterName::Null { Ok(Vec::new()) } else { self.settings(name, AdapterKind::Incoming) }
    }

    /// The settings that an outgoing adapter reads.
    pub fn outgoing_settings(&self, name: &AdapterName) -> Result<Vec<SettingSpec>, PluginError> {
        self.settings(name, AdapterKind::Outgoing)
    }

    /// The settings that any adapter of this one's plugin reads, each once: they share a section of the
    /// configuration.
    pub fn all_settings(&self, name: &AdapterName) -> Result<Vec<SettingSpec>, PluginError> {
        let loaded = match name {
            AdapterName::Null => return Ok(Vec::new()),
            AdapterName::Named { plugin, .. } => self.load_named(plugin, &self.find(plugin)?)?,
            AdapterName::File { file, .. } => self.load(file)?,
        };
        let mut all: Vec<SettingSpec> = Vec::new();
        for adapter in loaded.plugin.adapters() {
            // An adapter that fails to tell its settings is no reason to refuse another one.
            for spec in host::settings(*adapter).unwrap_or_default() {
                if all.iter().all(|known| known.name != spec.name) {
                    all.push(spec);
                }
            }
        }
        Ok(all)
    }

    /// The plugin's own name, which is also the section of its settings: `postfix`.
    pub fn plugin_name(&self, name: &AdapterName) -> Result<String, PluginError> {
        Ok(match name {
            AdapterName::Null => "null".to_owned(),
            AdapterName::Named { plugin, .. } => plugin.clone(),
            AdapterName::File { file, .. } => self.load(file)?.plugin.name().as_str().to_owned(),
        })
    }

    /// What tells this plugin from any other and from any other version of it.
    pub fn plugin_identity(&self, name: &AdapterName) -> Result<String, PluginError> {
        let loaded = match name {
            AdapterName::Null => return Ok(String::new()),
            AdapterName::Named { plugin, .. } => self.load_named(plugin, &self.find(plugin)?)?,
            AdapterName::File { file, .. } => self.load(file)?,
        };
        Ok(format!("{} {} {:?}", loaded.plugin.name(), loaded.plugin.version(), loaded.stamp))
    }

    /// Loaded plugins whose file was replaced or removed since; the process goes on with the old ones
    /// until it starts again.
    pub fn changed_on_disk(&self) -> Vec<PathBuf> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = loaded.values().filter(|loaded| load::stamp(&loaded.file) != loaded.stamp);
        let mut files: Vec<PathBuf> = changed.map(|loaded| loaded.file.clone()).collect();
        files.sort();
        files
    }

    fn settings(&self, name: &AdapterName, kind: AdapterKind) -> Result<Vec<SettingSpec>, PluginError> {
        let (adapter, found) = self.adapter(name, kind)?;
        host::settings(found).map_err(|error| PluginError::Adapter { adapter, error })
    }

    /// The adapter, and its full name `plugin.Adapter`.
    fn adapter(&self, name: &AdapterName, kind: AdapterKind) -> Result<(String, Adapter_Ref), PluginError> {
        let (loaded, adapter) = match name {
            AdapterName::Null => return Err(PluginError::NullIsIncoming),
            AdapterName::Named { plugin, adapter } => (self.load_named(plugin, &self.find(plugin)?)?, adapter),
            AdapterName::File { file, adapter } => (self.load(file)?, adapter),
        };
        let of_this_kind = || loaded.plugin.adapters().into_iter().copied().filter(|found| kind_of(*found) == kind);
        if let Some(found) = of_this_kind().find(|found| found.name().as_str() == adapter) {
            return Ok((format!("{}.{adapter}", loaded.plugin.name()), found));
        }
        let present: Vec<String> = of_this_kind().map(|found| found.name().as_str().to_owned()).collect();
        Err(PluginError::NoAdapter {
            file: loaded.file.clone(),
            adapter: adapter.clone(),
            kind,
            nearest: nearest(adapter, &present),
            present,
        })
    }

    /// The file of a plugin: the first one in the path.
    fn find(&self, name: &str) -> Result<PathBuf, PluginError> {
        if !is_plugin_name(name) {
            return Err(PluginError::BadName { name: name.to_owned() });
        }
        // A dangling link counts as found, so that the error says what is wrong with it.
        let candidates = self.path.iter().map(|directory| directory.join(file_name(name)));
        if let Some(file) = candidates.into_iter().find(|file| file.symlink_metadata().is_ok()) {
            return Ok(file);
        }
        let mut present: Vec<String> = self.files().into_iter().map(|(name, _)| name).collect();
        present.sort();
        present.dedup();
        Err(PluginError::NotFound {
            name: name.to_owned(),
            looked_in: self.path.clone(),
            nearest: nearest(name, &present),
            present,
        })
    }

    /// Names and files of all that looks like a plugin, by directory and name.
    fn files(&self) -> Vec<(String, PathBuf)> {
        let mut files = Vec::new();
        for directory in &self.path {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let mut here: Vec<(String, PathBuf)> =
                entries.filter_map(|entry| Some((plugin_name_of(&entry.file_name())?, entry.path()))).collect();
            here.sort();
            files.append(&mut here);
        }
        files
    }

    /// Loads a file of the plugin path, which must hold the plugin of its name.
    fn load_named(&self, name: &str, file: &Path) -> Result<Arc<Loaded>, PluginError> {
        let loaded = self.load(file)?;
        let found = loaded.plugin.name().as_str();
        if found != name {
            let (file, found, expected) = (file.to_owned(), found.to_owned(), name.to_owned());
            return Err(PluginError::WrongName { file, found, expected });
        }
        Ok(loaded)
    }

    fn load(&self, file: &Path) -> Result<Arc<Loaded>, PluginError> {
        let real = vet::vet(file)?;
        // Held while loading: two threads must not start one library at a time.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = loaded.get(&real) {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(load::load(&real)?);
        tracing::debug!(
            file = %real.display(),
            plugin = %new.plugin.name(),
            version = %new.plugin.version(),
            interface = %new.api_version,
            built_with = %new.plugin.built_with(),
            "plugin loaded"
        );
        loaded.insert(real, Arc::clone(&new));
        Ok(new)
    }
}

fn info(loaded: &Loaded) -> PluginInfo {
    let report = |adapter: &Adapter_Ref| AdapterReport {
        name: adapter.name().into(),
        kind: kind_of(*adapter),
        description: adapter.description().into(),
    };
    PluginInfo {
        version: loaded.plugin.version().into(),
        api_version: loaded.api_version.clone(),
        built_with: loaded.plugin.built_with().into(),
        adapters: loaded.plugin.adapters().iter().map(report).collect(),
    }
}

fn kind_of(adapter: Adapter_Ref) -> AdapterKind {
    match adapter.kind() {
        abi::AdapterKind::INCOMING => AdapterKind::Incoming,
        abi::AdapterKind::OUTGOING => AdapterKind::Outgoing,
        abi::AdapterKind(number) => AdapterKind::Unknown(number),
    }
}

fn file_name(plugin: &str) -> String {
    format!("libpostrider_{plugin}.so")
}

fn plugin_name_of(file_name: &OsStr) -> Option<String> {
    let name = file_name.to_str()?.strip_prefix("libpostrider_")?.strip_suffix(".so")?;
    is_plugin_name(name).then(|| name.to_owned())
}

/// What was probably meant.
fn nearest(name: &str, present: &[String]) -> Option<String> {
    let name = name.to_lowercase();
    let distance = |other: &String| strsim::damerau_levenshtein(&name, &other.to_lowercase());
    present.iter().filter(|other| distance(other) <= 2).min_by_key(|other| distance(other)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(plugin: &str) -> AdapterName {
        AdapterName::Named { plugin: plugin.to_owned(), adapter: "LMTP".to_owned() }
    }

    #[test]
    fn a_plugin_that_is_not_there_is_told_with_what_is() {
        let dir = tempfile::tempdir().unwrap();
        let shown = dir.path().display();
        let registry = PluginRegistry::new(vec![dir.path().to_owned(), "/nonexistent".into()]);
        let error = |name: &str| registry.incoming_settings(&named(name)).unwrap_err().to_string();

        let missing = format!("plugin \"postfx\" not found: no libpostrider_postfx.so in {shown}, /nonexistent");
        assert_eq!(error("postfx"), format!("{missing}; there is no plugin at all"));

        for file in ["libpostrider_postfix.so", "libpostrider_qmail.so", "libother.so", "libpostrider_.so"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        assert_eq!(error("postfx"), format!("{missing}; did you mean \"postfix\"?"));
        assert!(error("exim4").ends_with("; there is: postfix, qmail"));
        assert_eq!(
            error("../postfix"),
            "\"../postfix\" cannot be the name of a plugin; names have only a-z, 0-9 and _"
        );
    }

    #[test]
    fn the_list_shows_what_is_hidden_and_what_is_broken() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&first, &second] {
            fs::write(dir.path().join("libpostrider_text.so"), "text").unwrap();
        }
        let list = PluginRegistry::new(vec![first.path().to_owned(), second.path().to_owned()]).list();
        let file = |dir: &tempfile::TempDir| dir.path().join("libpostrider_text.so");
        assert_eq!(list.len(), 2);
        assert!(matches!(&list[0].usable, Err(PluginError::NotALibrary { .. })));
        let hidden = PluginError::Hidden { file: file(&second), by: file(&first) };
        assert_eq!(list[1].usable.clone().unwrap_err(), hidden);
    }

    #[test]
    fn null_needs_no_plugin() {
        let registry = PluginRegistry::new(Vec::new());
        let log = || Box::new(super::super::AdapterLog::new("null.NullMTA"));
        assert!(registry.incoming(&AdapterName::Null, log(), &Settings::default()).is_ok());
        assert_eq!(registry.incoming_settings(&AdapterName::Null), Ok(Vec::new()));
        assert_eq!(registry.plugin_name(&AdapterName::Null), Ok("null".to_owned()));
        let error = registry.outgoing(&AdapterName::Null, log(), &Settings::default()).err().unwrap();
        assert_eq!(error, PluginError::NullIsIncoming);
    }
}
