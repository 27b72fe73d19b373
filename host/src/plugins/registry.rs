//! Names to files, files to adapters.

use super::adapter::Renewed;
use super::load::{self, Loaded};
use super::vet::{Trust, vet};
use super::worker::{Launch, Limits};
use super::{AdapterKind, NullMta, PluginError, PluginInfo, Watch};
use crate::config::{AdapterName, Config, Isolation, IsolationRule};
use postrider_plugin_api::export::is_plugin_name;
use postrider_plugin_api::sdk::{HostLog, IncomingAdapter, OutgoingAdapter, SettingSpec, Settings};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Beyond the limit of a worker: what the host itself may take for the last question of a plugin.
const MARGIN: Duration = Duration::from_mins(1);

/// The plugins of a plugin path. Each file is loaded when it is first needed, once, and anew only if that is asked for.
pub struct PluginRegistry {
    path: Vec<PathBuf>,
    pub(super) trust: Trust,
    /// Which plugins run in processes of their own, and which program those have.
    isolation: IsolationRule,
    workers: PathBuf,
    limits: Limits,
    /// By the path by which each was asked for.
    pub(super) loaded: Mutex<HashMap<PathBuf, Arc<Loaded>>>,
}

/// An adapter with what goes with it, all of one and the same load of its plugin.
pub struct Opened<A: ?Sized> {
    /// The adapter.
    pub adapter: Box<A>,
    /// What tells its plugin from any other, and from any other version of it.
    pub identity: String,
    /// Watches over its calls.
    pub watch: Watch,
}

/// An adapter of a plugin that is loaded.
struct Found {
    loaded: Arc<Loaded>,
    /// Its own name, `LMTP`.
    name: String,
}

impl Found {
    /// `postfix.LMTP`.
    fn full_name(&self) -> String {
        format!("{}.{}", self.loaded.library.info().name, self.name)
    }
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

impl PluginRegistry {
    /// A registry over these directories, in order; nothing is loaded yet. A directory that does not
    /// exist holds no plugins. Plugins of root and of the user that we run as are taken.
    ///
    /// Plugins run in this process: for tests, and for programs that are not `postrider` itself.
    pub fn new(path: Vec<PathBuf>) -> Self {
        PluginRegistry {
            path,
            trust: Trust::RootAndUs,
            isolation: IsolationRule { usual: Isolation::InProcess, exceptions: Vec::new() },
            workers: PathBuf::from("/proc/self/exe"),
            limits: Limits::default(),
            loaded: Mutex::new(HashMap::new()),
        }
    }

    /// As the configuration says; whose plugins are taken is said by who owns that ([`Trust::by_configuration`]).
    pub fn configured(config: &Config) -> Self {
        let settings = &config.plugins;
        let limits = Limits {
            memory: settings.worker_memory,
            start: Limits::default().start.min(settings.timeout),
            answer: settings.timeout,
            batch: settings.timeout * 4,
            ..Limits::default()
        };
        let isolation = settings.isolation.clone();
        let trust = Trust::by_configuration(config.file.as_deref());
        PluginRegistry { isolation, limits, ..PluginRegistry::new(settings.path.clone()).trusting(trust) }
    }

    /// Takes only the plugins of those who are trusted.
    #[must_use]
    pub fn trusting(self, trust: Trust) -> Self {
        PluginRegistry { trust, ..self }
    }

    /// All plugins run in workers, which are processes of this program: for programs that are not `postrider` itself.
    #[must_use]
    pub fn with_workers(self, program: PathBuf, limits: Limits) -> Self {
        PluginRegistry { isolation: IsolationRule::default(), workers: program, limits, ..self }
    }

    /// Every plugin in the path, by directory and name, the unusable ones with the reason. Loads them.
    pub fn list(&self) -> Vec<PluginReport> {
        let mut reports: Vec<PluginReport> = Vec::new();
        for (name, file) in self.files() {
            let first = reports.iter().find(|report| report.name == name);
            let usable = match first {
                Some(first) => Err(PluginError::Hidden { file: file.clone(), by: first.file.clone() }),
                None => self.load_named(&name, &file).map(|loaded| loaded.library.info().clone()),
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
        Ok(self.open_incoming(name, log, settings)?.adapter)
    }

    /// The same with what goes with it.
    pub fn open_incoming(
        &self,
        name: &AdapterName,
        log: Box<dyn HostLog>,
        settings: &Settings,
    ) -> Result<Opened<dyn IncomingAdapter>, PluginError> {
        if *name == AdapterName::Null {
            return Ok(self.opened(name, AdapterKind::Incoming, None, Box::new(NullMta)));
        }
        let found = self.adapter(name, AdapterKind::Incoming)?;
        let loaded = Arc::clone(&found.loaded);
        let log: Arc<dyn HostLog> = log.into();
        let (for_adapter, settings, full_name) = (Arc::clone(&log), settings.clone(), found.full_name());
        let make = move || found.loaded.library.incoming(&found.name, Arc::clone(&for_adapter), &settings);
        let adapter: Box<dyn IncomingAdapter> = Box::new(Renewed::new(full_name, log, Box::new(make))?);
        Ok(self.opened(name, AdapterKind::Incoming, Some(&loaded), adapter))
    }

    /// Makes an outgoing adapter. The log is also told when it panics.
    pub fn outgoing(
        &self,
        name: &AdapterName,
        log: Box<dyn HostLog>,
        settings: &Settings,
    ) -> Result<Box<dyn OutgoingAdapter>, PluginError> {
        Ok(self.open_outgoing(name, log, settings)?.adapter)
    }

    /// The same with what goes with it.
    pub fn open_outgoing(
        &self,
        name: &AdapterName,
        log: Box<dyn HostLog>,
        settings: &Settings,
    ) -> Result<Opened<dyn OutgoingAdapter>, PluginError> {
        let found = self.adapter(name, AdapterKind::Outgoing)?;
        let loaded = Arc::clone(&found.loaded);
        let log: Arc<dyn HostLog> = log.into();
        let (for_adapter, settings, full_name) = (Arc::clone(&log), settings.clone(), found.full_name());
        let make = move || found.loaded.library.outgoing(&found.name, Arc::clone(&for_adapter), &settings);
        let adapter: Box<dyn OutgoingAdapter> = Box::new(Renewed::new(full_name, log, Box::new(make))?);
        Ok(self.opened(name, AdapterKind::Outgoing, Some(&loaded), adapter))
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
        let Some((loaded, _)) = self.plugin_of(name)? else { return Ok(Vec::new()) };
        let mut all: Vec<SettingSpec> = Vec::new();
        for adapter in &loaded.library.info().adapters {
            // An adapter that fails to tell its settings is no reason to refuse another one.
            for spec in loaded.library.settings(&adapter.name, adapter.kind).unwrap_or_default() {
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
            AdapterName::File { file, .. } => self.load(file)?.library.info().name.clone(),
        })
    }

    /// What goes with an adapter of this plugin. A worker is killed when its time is up, so its adapter is not lost for
    /// that.
    fn opened<A: ?Sized>(
        &self,
        name: &AdapterName,
        kind: AdapterKind,
        loaded: Option<&Loaded>,
        adapter: Box<A>,
    ) -> Opened<A> {
        let limit = if kind == AdapterKind::Outgoing { self.limits.batch } else { self.limits.answer };
        let called = format!("the {kind} adapter {name}");
        let watch = match loaded.and_then(|loaded| loaded.pool.clone()) {
            Some(pool) => Watch::over_worker(&called, limit + MARGIN, move || pool.rests()),
            None => Watch::over(&called, limit),
        };
        let identity = loaded.map_or_else(String::new, |loaded| {
            let info = loaded.library.info();
            format!("{} {} {:?}", info.name, info.version, loaded.stamp)
        });
        Opened { adapter, identity, watch }
    }

    fn settings(&self, name: &AdapterName, kind: AdapterKind) -> Result<Vec<SettingSpec>, PluginError> {
        let found = self.adapter(name, kind)?;
        let settings = found.loaded.library.settings(&found.name, kind);
        settings.map_err(|error| PluginError::Adapter { adapter: found.full_name(), error })
    }

    fn adapter(&self, name: &AdapterName, kind: AdapterKind) -> Result<Found, PluginError> {
        let (loaded, adapter) = self.plugin_of(name)?.ok_or(PluginError::NullIsIncoming)?;
        let of_this_kind = loaded.library.info().adapters.iter().filter(|found| found.kind == kind);
        let present: Vec<String> = of_this_kind.map(|found| found.name.clone()).collect();
        if present.iter().any(|found| found == adapter) {
            return Ok(Found { loaded, name: adapter.to_owned() });
        }
        Err(PluginError::NoAdapter {
            file: loaded.file.clone(),
            adapter: adapter.to_owned(),
            kind,
            nearest: nearest(adapter, &present),
            present,
        })
    }

    /// The plugin and the adapter's own name; nothing for the built-in `null`.
    fn plugin_of<'n>(&self, name: &'n AdapterName) -> Result<Option<(Arc<Loaded>, &'n str)>, PluginError> {
        Ok(match name {
            AdapterName::Null => None,
            AdapterName::Named { plugin, adapter } => Some((self.load_named(plugin, &self.find(plugin)?)?, adapter)),
            AdapterName::File { file, adapter } => Some((self.load(file)?, adapter)),
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
        let found = loaded.library.info().name.as_str();
        if found != name {
            let (file, found, expected) = (file.to_owned(), found.to_owned(), name.to_owned());
            return Err(PluginError::WrongName { file, found, expected });
        }
        Ok(loaded)
    }

    fn load(&self, file: &Path) -> Result<Arc<Loaded>, PluginError> {
        let real = vet(file, self.trust)?;
        // Held while loading: two threads must not start one library at a time.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // Also if a link leads elsewhere now: what is loaded changes when that is asked for (`reload.rs`).
        if let Some(known) = loaded.get(file) {
            return Ok(Arc::clone(known));
        }
        let name = called(file);
        let new = Arc::new(match self.isolation.of(&name) {
            Isolation::InProcess => load::load(&real, self.trust)?,
            Isolation::Process => load::load_in_worker(Launch {
                program: self.workers.clone(),
                file: real,
                trust: self.trust,
                name,
                limits: self.limits.clone(),
            })?,
        });
        let info = new.library.info();
        tracing::debug!(
            file = %new.file.display(),
            plugin = info.name,
            version = info.version,
            interface = info.api_version,
            built_with = info.built_with,
            "plugin loaded"
        );
        loaded.insert(file.to_owned(), Arc::clone(&new));
        Ok(new)
    }
}

/// The name by which people call the plugin of a file, before it says so itself.
fn called(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = stem.strip_prefix("lib").unwrap_or(&stem);
    name.strip_prefix("postrider_").unwrap_or(name).to_owned()
}

fn file_name(plugin: &str) -> String {
    format!("libpostrider_{plugin}.so")
}

fn plugin_name_of(file_name: &OsStr) -> Option<String> {
    let name = file_name.to_str()?.strip_prefix("libpostrider_")?.strip_suffix(".so")?;
    is_plugin_name(name).then(|| name.to_owned())
}

/// What was probably meant.
pub(super) fn nearest(name: &str, present: &[String]) -> Option<String> {
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
