//! Plugins are loaded anew: all of it, or nothing.

use super::load::{self, Loaded};
use super::registry::nearest;
use super::vet::vet;
use super::worker::Launch;
use super::{PluginError, PluginRegistry};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};

/// Plugins that were loaded anew. The registry has them already, so that adapters can be made of them; but until
/// [`Reload::commit`] the old ones are only set aside, and they come back if this is dropped before.
#[must_use = "what is not committed is taken back"]
pub struct Reload<'r> {
    registry: &'r PluginRegistry,
    plugins: Vec<Reloaded>,
    /// The plugins that gave way.
    old: Vec<(PathBuf, Arc<Loaded>)>,
}

/// What became of a plugin that was to be loaded anew.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// Its name.
    pub name: String,
    /// Its file, as it was asked for.
    pub file: PathBuf,
    /// The version that runs now.
    ///
    /// # Errors
    /// Why the one that was there goes on.
    pub version: Result<String, PluginError>,
}

impl PluginRegistry {
    /// Loads plugins anew: those with this name, or all whose file is another one than before, also because a symbolic
    /// link leads elsewhere now. Adapters that exist keep what they have; those that are made from now on are the new
    /// plugin's.
    ///
    /// # Errors
    /// No plugin of this name is loaded.
    pub fn reload(&self, name: Option<&str>) -> Result<Reload<'_>, PluginError> {
        let mut known: Vec<(PathBuf, Arc<Loaded>)> = {
            let loaded = self.loaded();
            loaded.iter().map(|(file, plugin)| (file.clone(), Arc::clone(plugin))).collect()
        };
        known.sort_by(|a, b| a.0.cmp(&b.0));
        let mut present: Vec<String> = known.iter().map(|(_, plugin)| plugin.library.info().name.clone()).collect();
        known.retain(|(file, plugin)| match name {
            Some(name) => plugin.library.info().name == name,
            None => load::stamp(file) != plugin.stamp,
        });
        if let (Some(name), []) = (name, &*known) {
            present.sort();
            return Err(PluginError::NotInUse { name: name.to_owned(), nearest: nearest(name, &present), present });
        }
        let mut reload = Reload { registry: self, plugins: Vec::new(), old: Vec::new() };
        for (file, old) in known {
            let new = self.load_anew(&file, &old);
            let version = new.as_ref().map(|new| new.library.info().version.clone()).map_err(Clone::clone);
            reload.plugins.push(Reloaded { name: old.library.info().name.clone(), file: file.clone(), version });
            if let Ok(new) = new {
                self.loaded().insert(file.clone(), Arc::new(new));
                reload.old.push((file, old));
            }
        }
        Ok(reload)
    }

    fn load_anew(&self, file: &Path, old: &Loaded) -> Result<Loaded, PluginError> {
        let pool = old.pool.as_ref().ok_or_else(|| PluginError::NeedsRestart { file: file.to_owned() })?;
        let new = load::load_in_worker(Launch { file: vet(file, self.trust)?, ..pool.launch().clone() })?;
        let (found, expected) = (&new.library.info().name, &old.library.info().name);
        if found != expected {
            let (found, expected) = (found.clone(), expected.clone());
            return Err(PluginError::WrongName { file: file.to_owned(), found, expected });
        }
        Ok(new)
    }

    fn loaded(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<Loaded>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reload<'_> {
    /// What became of each plugin.
    pub fn plugins(&self) -> &[Reloaded] {
        &self.plugins
    }

    /// Ends the old ones, each worker when its call is over.
    pub fn commit(mut self) -> Vec<Reloaded> {
        retire(self.old.drain(..).map(|(_, old)| old));
        std::mem::take(&mut self.plugins)
    }
}

impl Drop for Reload<'_> {
    fn drop(&mut self) {
        let mut loaded = self.registry.loaded();
        let new: Vec<Arc<Loaded>> = self.old.drain(..).filter_map(|(file, old)| loaded.insert(file, old)).collect();
        drop(loaded);
        retire(new);
    }
}

fn retire(plugins: impl IntoIterator<Item = Arc<Loaded>>) {
    plugins.into_iter().filter_map(|plugin| plugin.pool.clone()).for_each(|pool| pool.retire());
}
