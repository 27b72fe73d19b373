//! From names in the configuration to adapters that can be called.

use super::programs::Programs;
use super::{Hookup, site_from};
use crate::config::{AdapterName, Config, ConfigErrors, OutgoingName, Whose, adapter_settings};
use crate::deliver::Outgoing;
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
    let adapter = plugins.incoming(name, Box::new(log_for(name)), &settings).map_err(plugin)?;
    let programs = Programs::declared(&specs, &settings);
    let hookup = Hookup::new(adapter, &name.to_string(), programs, site_from(config), config.paths.lock_dir.clone());
    Ok(hookup.with_settings(&specs, &settings))
}

/// `[mta] outgoing`.
pub fn outgoing_from_config(config: &Config, plugins: &PluginRegistry) -> Result<Outgoing, AdapterError> {
    let OutgoingName::Adapter(name) = &config.mta.outgoing else {
        return Ok(Outgoing::Smtp);
    };
    let plugin = |source| AdapterError::Plugin { key: "outgoing", source };
    let specs = plugins.outgoing_settings(name).map_err(plugin)?;
    let settings = settings(config, plugins, name, &specs, plugin)?;
    let adapter = plugins.outgoing(name, Box::new(log_for(name)), &settings).map_err(plugin)?;
    Ok(Outgoing::adapter(Arc::from(adapter), &name.to_string()))
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
    let configured = |other: &AdapterName| plugins.plugin_name(other).is_ok_and(|other| other == plugin);
    let outgoing = match &config.mta.outgoing {
        OutgoingName::Adapter(name) => configured(name),
        OutgoingName::Deliver => false,
    };
    let whose = if outgoing || configured(&config.mta.incoming) { Whose::Configured } else { Whose::Other };
    adapter_settings(config, &plugin, specs, &all, whose).map_err(AdapterError::Settings)
}
