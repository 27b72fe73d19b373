//! From names in the configuration to adapters that can be called.

use super::programs::Programs;
use super::{Hookup, site_from};
use crate::config::{AdapterName, Config, ConfigErrors, OutgoingName, Whose, adapter_settings};
use crate::deliver::Outgoing;
use crate::deliver::set_id::{self, ProgramProblem};
use crate::plugins::{AdapterLog, PluginError, PluginRegistry};
use postrider_plugin_api::sdk::{SettingSpec, Settings};
use std::sync::Arc;

/// Why a configured adapter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// The plugin.
    #[error("[mta] {key}: {source}")]
    Plugin {
        /// `incoming` or `outgoing`.
        key: &'static str,
        /// What is wrong with it.
        source: PluginError,
    },
    /// The plugin of an adapter that was named on the command line.
    #[error(transparent)]
    Named(PluginError),
    /// A program that it needs.
    #[error("[mta] outgoing: {adapter}{setting}: {problem}")]
    Program {
        /// The adapter.
        adapter: String,
        /// The setting with the program, in brackets; empty if there is none.
        setting: String,
        /// What is wrong.
        problem: Box<ProgramProblem>,
    },
    /// Its settings.
    #[error("{0}")]
    Settings(ConfigErrors),
}

/// `[mta] incoming`, ready to publish into `table_dir`.
pub fn from_config(config: &Config, plugins: &PluginRegistry) -> Result<Hookup, AdapterError> {
    incoming(config, plugins, &config.mta.incoming, |source| AdapterError::Plugin { key: "incoming", source })
}

/// Another incoming adapter than the configured one, to see what it would do here.
pub fn from_name(config: &Config, plugins: &PluginRegistry, name: &AdapterName) -> Result<Hookup, AdapterError> {
    incoming(config, plugins, name, AdapterError::Named)
}

fn incoming(
    config: &Config,
    plugins: &PluginRegistry,
    name: &AdapterName,
    plugin: fn(PluginError) -> AdapterError,
) -> Result<Hookup, AdapterError> {
    let specs = plugins.incoming_settings(name).map_err(plugin)?;
    let settings = settings(config, plugins, name, &specs, plugin)?;
    let opened = plugins.open_incoming(name, Box::new(log_for(name)), &settings).map_err(plugin)?;
    let programs = Programs::declared(&specs, &settings);
    let hookup =
        Hookup::new(opened.adapter, &name.to_string(), programs, site_from(config), config.paths.lock_dir.clone());
    Ok(hookup.with_settings(&specs, &settings, &opened.identity).with_watch(opened.watch))
}

/// The settings of `[mta] incoming`.
pub fn incoming_settings(config: &Config, plugins: &PluginRegistry) -> Result<Settings, AdapterError> {
    let name = &config.mta.incoming;
    let plugin = |source| AdapterError::Plugin { key: "incoming", source };
    settings(config, plugins, name, &plugins.incoming_settings(name).map_err(plugin)?, plugin)
}

/// `[mta] outgoing`, after a look at the programs that it needs.
pub fn outgoing_from_config(config: &Config, plugins: &PluginRegistry) -> Result<Outgoing, AdapterError> {
    let OutgoingName::Adapter(name) = &config.mta.outgoing else {
        return Ok(Outgoing::Smtp);
    };
    let plugin = |source| AdapterError::Plugin { key: "outgoing", source };
    let specs = plugins.outgoing_settings(name).map_err(plugin)?;
    let settings = settings(config, plugins, name, &specs, plugin)?;
    let opened = plugins.open_outgoing(name, Box::new(log_for(name)), &settings).map_err(plugin)?;
    let outgoing = Outgoing::watched(Arc::from(opened.adapter), opened.watch);
    if let Outgoing::Adapter(handover) = &outgoing {
        set_id::check(handover.programs()).map_err(|problem| AdapterError::Program {
            adapter: name.to_string(),
            setting: setting_of(handover.programs(), &specs, &settings),
            problem: Box::new(problem),
        })?;
    }
    Ok(outgoing)
}

/// The setting that names the first of these programs, in words for the end of a sentence.
fn setting_of(programs: &[String], specs: &[SettingSpec], settings: &Settings) -> String {
    let is_it = |spec: &&SettingSpec| Some(settings.value(&spec.name)) == programs.first().map(String::as_str);
    specs.iter().find(is_it).map_or_else(String::new, |spec| format!(" (its setting `{}`)", spec.name))
}

fn log_for(name: &AdapterName) -> AdapterLog {
    AdapterLog::new(name.to_string())
}

fn settings(
    config: &Config,
    plugins: &PluginRegistry,
    name: &AdapterName,
    specs: &[SettingSpec],
    failed: impl Fn(PluginError) -> AdapterError,
) -> Result<Settings, AdapterError> {
    let plugin = plugins.plugin_name(name).map_err(&failed)?;
    // One section serves all adapters of a plugin.
    let all = plugins.all_settings(name).map_err(&failed)?;
    // Keys before any section are those of the incoming adapter's plugin.
    let is_incoming = plugins.plugin_name(&config.mta.incoming).is_ok_and(|incoming| incoming == plugin);
    let whose = if is_incoming { Whose::Configured } else { Whose::Other };
    adapter_settings(config, &plugin, specs, &all, whose).map_err(AdapterError::Settings)
}
