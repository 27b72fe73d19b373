//! `postrider conf [SECTION [KEY]]`

use super::{Exit, output, privileges};
use crate::config::{Config, ProblemSeverity, check_installed, show};
use crate::deliver::{Outgoing, set_id};
use crate::hookup::{self, AdapterError};
use crate::plugins::PluginRegistry;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

/// Show or check the configuration
#[derive(Debug, clap::Args)]
pub struct Conf {
    /// Only this section
    section: Option<String>,
    /// Only this key of it
    key: Option<String>,
    /// Show all errors at once, and what is not installed; exit status 1 if there are any
    #[arg(long, conflicts_with_all = ["section", "defaults", "sample"])]
    check: bool,
    /// Show the built-in defaults
    #[arg(long)]
    defaults: bool,
    /// Print an annotated sample file
    #[arg(long, conflicts_with_all = ["section", "defaults"])]
    sample: bool,
    /// Show passwords too
    #[arg(long)]
    secrets: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Conf {
    /// Runs it. Touches nothing but the files that it reads.
    pub fn run(&self, file: Option<&Path>) -> anyhow::Result<Exit> {
        let style = show::Show { json: self.json, secrets: self.secrets };
        if self.sample {
            output::line(show::sample().trim_end());
            return Ok(Exit::Done);
        }
        if self.check {
            return Ok(self.check(file));
        }
        let loaded = if self.defaults { Config::built_in() } else { Config::load(file)? };
        let text = match (&self.section, &self.key) {
            (None, _) if self.defaults => show::defaults(style),
            (None, _) => show::print_all(&loaded, style),
            (Some(section), None) => show::print_section(&loaded, section, style)?,
            (Some(section), Some(key)) => show::print_key(&loaded, Some(section), key, style)?,
        };
        output::line(text.trim_end());
        Ok(Exit::Done)
    }

    /// Errors of the file, then what is not installed, then the adapters' own settings.
    fn check(&self, file: Option<&Path>) -> Exit {
        let loaded = match Config::load(file) {
            Ok(loaded) => loaded,
            Err(errors) => {
                let lines: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
                return self.conclude(&lines, &[]);
            }
        };
        // What can be read and written is asked as the user who runs the daemon.
        let paths = &loaded.config.paths;
        // Nothing is made here, also not where nothing is yet; but plugins are asked, and never with root's rights where
        // somebody else's would do.
        let settled =
            if paths.data_dir.is_dir() { privileges::settle(paths) } else { privileges::settle_to_look(paths) };
        if let Err(error) = settled {
            return self.conclude(&[format!("{error:#}")], &[]);
        }
        let mut errors = Vec::new();
        let mut notices: Vec<String> = loaded.notices.iter().map(ToString::to_string).collect();
        let config = &loaded.config;
        for problem in check_installed(config) {
            let text = problem.to_string();
            if problem.severity == ProblemSeverity::Error { errors.push(text) } else { notices.push(text) }
        }
        let plugins = PluginRegistry::configured(config);
        let outgoing = hookup::outgoing_from_config(config, &plugins);
        // This process may have powers that the service has not.
        if let Ok(Outgoing::Adapter(handover)) = &outgoing {
            notices.extend(set_id::notice(handover.programs()).map(|text| format!("[mta] outgoing: {text}")));
        }
        let failures = [hookup::incoming_settings(config, &plugins).err(), outgoing.err()];
        for failure in failures.into_iter().flatten() {
            match failure {
                AdapterError::Settings(wrong) => errors.extend(wrong.0.iter().map(ToString::to_string)),
                other => errors.push(other.to_string()),
            }
        }
        // One file may be wrong for two adapters.
        let mut told = BTreeSet::new();
        errors.retain(|error| told.insert(error.clone()));
        self.conclude(&errors, &notices)
    }

    fn conclude(&self, errors: &[String], notices: &[String]) -> Exit {
        if self.json {
            output::json(&json!({ "errors": errors, "notices": notices }));
        } else {
            for notice in notices {
                output::line(&format!("notice: {notice}"));
            }
            for error in errors {
                output::line(&format!("error: {error}"));
            }
            if errors.is_empty() {
                output::line("The configuration is good.");
            }
        }
        if errors.is_empty() { Exit::Done } else { Exit::Failed }
    }
}
