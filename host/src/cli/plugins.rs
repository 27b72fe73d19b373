//! `postrider plugins`

use super::{Exit, Session, output};
use crate::plugins::PluginReport;
use serde_json::{Value, json};

/// Show the plugins that can be found, or why they cannot be used
#[derive(Debug, clap::Args)]
pub struct Plugins {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Plugins {
    /// Runs it.
    #[allow(clippy::unnecessary_wraps)] // every command has this form
    pub fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let reports = session.plugins().list();
        if self.json {
            output::json(&json!(reports.iter().map(value).collect::<Vec<_>>()));
            return Ok(Exit::Done);
        }
        if reports.is_empty() {
            let path: Vec<_> = session.config().plugins.path.iter().map(|dir| dir.display().to_string()).collect();
            output::line(&format!("No plugins in {}", path.join(", ")));
        }
        for report in &reports {
            show(report);
        }
        Ok(Exit::Done)
    }
}

fn show(report: &PluginReport) {
    match &report.usable {
        Ok(info) => {
            output::line(&format!("{} {}", report.name, info.version));
            for adapter in &info.adapters {
                output::line(&format!(
                    "    {}.{}  {}: {}",
                    report.name, adapter.name, adapter.kind, adapter.description
                ));
            }
            output::line(&format!("    file      {}", report.file.display()));
            output::line(&format!("    built for plugin API {} with {}", info.api_version, info.built_with));
        }
        Err(refusal) => {
            output::line(&format!("{} cannot be used", report.name));
            output::line(&format!("    {refusal}"));
        }
    }
}

fn value(report: &PluginReport) -> Value {
    match &report.usable {
        Ok(info) => json!({
            "name": report.name,
            "file": report.file,
            "usable": true,
            "version": info.version,
            "api_version": info.api_version,
            "built_with": info.built_with,
            "adapters": info.adapters.iter().map(|adapter| json!({
                "name": adapter.name,
                "kind": adapter.kind.to_string(),
                "description": adapter.description,
            })).collect::<Vec<_>>(),
        }),
        Err(refusal) => json!({
            "name": report.name,
            "file": report.file,
            "usable": false,
            "reason": refusal.to_string(),
        }),
    }
}
