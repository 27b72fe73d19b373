//! The adapter: what the host calls, each answered by a module of its own.

use crate::{check, commands, facts, settings, snapshot::Snapshot, snippets, tables};
use postrider_plugin_api::sdk::{
    Change, Context, Facts, Finding, HostLog, IncomingAdapter, PlanSink, Result, SettingSpec, Settings, Site, Snippet,
    Tools,
};

/// Postfix hands mail for lists to the list server by LMTP.
pub struct Lmtp {
    config: settings::Config,
}

impl IncomingAdapter for Lmtp {
    fn settings() -> Vec<SettingSpec> {
        settings::specs()
    }

    fn new(_log: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        Ok(Lmtp { config: settings::Config::parse(settings)? })
    }

    fn probe(&self, _site: &Site, tools: &dyn Tools) -> Result<Facts> {
        facts::probe(&self.config, tools)
    }

    /// Plans everything whatever changed: the host sees by itself which table is as it was.
    fn plan(&self, context: Context<'_>, _change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        let table_type = self.config.table_type(context.facts)?;
        let snapshot = Snapshot::take(context.roster)?;
        tables::write(table_type, context.site, &snapshot, sink)?;
        for command in commands::all(&self.config, table_type, context) {
            sink.command(&command)?;
        }
        Ok(())
    }

    fn snippets(&self, context: Context<'_>) -> Result<Vec<Snippet>> {
        snippets::all(&self.config, context)
    }

    fn check(&self, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
        check::all(&self.config, context, tools)
    }
}
