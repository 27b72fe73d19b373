//! `postrider plugins`

use super::{Exit, Session, output};
use crate::control::{self, Request};
use crate::plugins::{PluginError, PluginReport};
use postrider_plugin_api::export::is_plugin_name;
use serde_json::{Value, json};

/// Show the plugins that can be found, or why they cannot be used
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Plugins {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<PluginsCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum PluginsCommand {
    /// Make the daemon load a plugin anew from its file
    Reload(Reload),
}

/// Make the daemon load a plugin anew from its file
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without NAME: every plugin whose file has changed, as SIGHUP does. A plugin that cannot be loaded goes on as it was."
)]
struct Reload {
    /// The plugin, as `postrider plugins` shows it
    name: Option<String>,
}

impl Plugins {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        match &self.command {
            Some(PluginsCommand::Reload(reload)) => reload.run(session).await,
            None => Ok(self.list(session)),
        }
    }

    fn list(&self, session: &Session) -> Exit {
        let reports = session.plugins().list();
        if self.json {
            output::json(&json!(reports.iter().map(value).collect::<Vec<_>>()));
            return Exit::Done;
        }
        if reports.is_empty() {
            let path: Vec<_> = session.config().plugins.path.iter().map(|dir| dir.display().to_string()).collect();
            output::line(&format!("No plugins in {}", path.join(", ")));
        }
        for report in &reports {
            show(report);
        }
        Exit::Done
    }
}

impl Reload {
    async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        if let Some(name) = self.name.as_deref().filter(|name| !is_plugin_name(name)) {
            return Err(PluginError::BadName { name: name.to_owned() }.into());
        }
        let socket = &session.config().paths.socket;
        let Some(answer) = control::send(socket, Request::Plugins(self.name.clone())).await? else {
            anyhow::bail!(
                "no daemon is running at {}, so there is nothing to load anew; commands read the file each time",
                socket.display()
            );
        };
        let mut exit = Exit::Done;
        let plugins = answer["plugins"].as_array().map_or(&[][..], Vec::as_slice);
        if plugins.is_empty() {
            output::line("No file of a plugin in use has changed.");
        }
        for plugin in plugins {
            let text = |key: &str| plugin[key].as_str().unwrap_or_default().to_owned();
            if plugin["reason"].is_null() {
                output::line(&format!("{} {} loaded from {}", text("name"), text("version"), text("file")));
            } else {
                output::note(&format!("{} goes on as it was loaded: {}", text("name"), text("reason")));
                exit = Exit::Failed;
            }
        }
        Ok(exit)
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
            "file": report.file.display().to_string(),
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
            "file": report.file.display().to_string(),
            "usable": false,
            "reason": refusal.to_string(),
        }),
    }
}
