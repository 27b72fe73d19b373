//! The adapter: what the host calls, each answered by a module of its own.

use crate::{
    changes, check, commands,
    domain_class::Classes,
    facts, settings, snippets,
    table_type::TableType,
    tables::{self, Source},
};
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

    fn probe(&self, site: &Site, tools: &dyn Tools) -> Result<Facts> {
        facts::probe(&self.config, site, tools)
    }

    /// Plans everything whatever changed, since the host sees by itself which table is as it was; only in
    /// databases that are changed in place, just the rows that a single change touches.
    fn plan(&self, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        let table_type = self.config.table_type(context.facts)?;
        let instances = facts::instances(&self.config, context.facts);
        let classes = &Classes::seen(&self.config, &instances);
        let source = Source { table_type, site: context.site, roster: context.roster, classes };
        let queue_directory = facts::queue_directory(&instances);
        let is_done = table_type == TableType::Sqlite && changes::write(source, queue_directory, change, sink)?;
        if !is_done {
            tables::write(source, queue_directory, sink)?;
            tables::remove_other_types(table_type, context.site, &instances, sink)?;
        }
        for command in commands::all(&self.config, table_type, context.site, &instances) {
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
