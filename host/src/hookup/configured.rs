//! From names in the configuration to adapters that can be called.

use super::programs::Programs;
use super::{Hookup, site_from};
use crate::config::{AdapterName, Beside, Config, ConfigErrors, OutgoingName, adapter_settings};
use crate::deliver::Outgoing;
use crate::deliver::set_id::{self, ProgramProblem};
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
    let name = &config.mta.incoming;
    let plugin = |source| AdapterError::Plugin { key: "incoming", source };
    let specs = plugins.incoming_settings(name).map_err(plugin)?;
    let settings = incoming_settings(config, plugins)?;
    let adapter = plugins.incoming(name, Box::new(log_for(name)), &settings).map_err(plugin)?;
    let programs = Programs::declared(&specs, &settings);
    Ok(Hookup::new(adapter, &name.to_string(), programs, site_from(config), config.paths.lock_dir.clone()))
}

/// The settings of `[mta] incoming`.
pub fn incoming_settings(config: &Config, plugins: &PluginRegistry) -> Result<Settings, AdapterError> {
    let name = &config.mta.incoming;
    let plugin = |source| AdapterError::Plugin { key: "incoming", source };
    let specs = plugins.incoming_settings(name).map_err(plugin)?;
    let own = plugins.plugin_name(name).map_err(plugin)?;
    let beside = match &config.mta.outgoing {
        // What is wrong with that one is told where it is made.
        OutgoingName::Adapter(other) if plugins.plugin_name(other).is_ok_and(|other| other == own) => {
            plugins.outgoing_settings(other).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    adapter_settings(config, &own, &specs, Beside::SamePlugin(&beside)).map_err(AdapterError::Settings)
}

/// `[mta] outgoing`, after a look at the programs that it needs.
pub fn outgoing_from_config(config: &Config, plugins: &PluginRegistry) -> Result<Outgoing, AdapterError> {
    let OutgoingName::Adapter(name) = &config.mta.outgoing else {
        return Ok(Outgoing::Smtp);
    };
    let plugin = |source| AdapterError::Plugin { key: "outgoing", source };
    let specs = plugins.outgoing_settings(name).map_err(plugin)?;
    let own = plugins.plugin_name(name).map_err(plugin)?;
    let incoming = &config.mta.incoming;
    let theirs;
    let beside = if plugins.plugin_name(incoming).is_ok_and(|other| other == own) {
        theirs = plugins.incoming_settings(incoming).unwrap_or_default();
        Beside::SamePlugin(&theirs)
    } else {
        Beside::Incoming
    };
    let settings = adapter_settings(config, &own, &specs, beside).map_err(AdapterError::Settings)?;
    let adapter = plugins.outgoing(name, Box::new(log_for(name)), &settings).map_err(plugin)?;
    let outgoing = Outgoing::adapter(Arc::from(adapter), &name.to_string());
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
