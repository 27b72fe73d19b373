//! From names in the configuration to adapters that can be called.

use super::programs::Programs;
use super::{Hookup, site_from};
use crate::config::{AdapterName, Config, ConfigErrors, OutgoingName, adapter_settings};
use crate::deliver::Outgoing;
use crate::plugins::{AdapterLog, PluginError, PluginRegistry};
use postrider_plugin_api::sdk::{SettingSpec, Settings, Snippet};
use std::fmt::Write as _;
use std::sync::Arc;

/// Columns of an explanation in [`snippets_text`], without its indentation.
const EXPLANATION_WIDTH: usize = 92;

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
    /// Its settings.
    #[error("{0}")]
    Settings(ConfigErrors),
}

/// `[mta] incoming`, ready to publish into `table_dir`.
pub fn from_config(config: &Config, plugins: &PluginRegistry) -> Result<Hookup, AdapterError> {
    let name = &config.mta.incoming;
    let plugin = |source| AdapterError::Plugin { key: "incoming", source };
    let specs = plugins.incoming_settings(name).map_err(plugin)?;
    let settings = settings(config, &plugins.plugin_name(name).map_err(plugin)?, &specs)?;
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
    let settings = settings(config, &plugins.plugin_name(name).map_err(plugin)?, &specs)?;
    let adapter = plugins.outgoing(name, Box::new(log_for(name)), &settings).map_err(plugin)?;
    Ok(Outgoing::adapter(Arc::from(adapter), &name.to_string()))
}

fn log_for(name: &AdapterName) -> AdapterLog {
    AdapterLog::new(name.to_string())
}

fn settings(config: &Config, plugin: &str, specs: &[SettingSpec]) -> Result<Settings, AdapterError> {
    adapter_settings(config, plugin, specs).map_err(AdapterError::Settings)
}

/// Snippets as text that a person can follow: numbered steps, files and lines.
pub fn snippets_text(snippets: &[Snippet]) -> String {
    use postrider_plugin_api::sdk::SnippetKind;
    let mut text = String::new();
    for (number, snippet) in snippets.iter().enumerate() {
        let place = match snippet.kind {
            SnippetKind::Commands => "Run as root:".to_owned(),
            _ => format!("In {}:", snippet.file),
        };
        // Writing to a string does not fail, here and below.
        let _ = writeln!(text, "{}. {place}", number + 1);
        for line in textwrap::wrap(&snippet.explanation, EXPLANATION_WIDTH) {
            let _ = writeln!(text, "   # {line}");
        }
        for line in snippet.text.lines() {
            let _ = writeln!(text, "   {line}");
        }
    }
    text
}
