//! The incoming adapter: what the host calls, each answered by a module of its own.

use crate::{check, control, facts, settings, snippets, tables};
use postrider_plugin_api::sdk::{
    Change, Context, Facts, Finding, HostLog, IncomingAdapter, PlanSink, Result, SettingSpec, Settings, Site, Snippet,
    Tools,
};

/// qmail hands mail for lists to the list server by LMTP, through `.qmail` files and `qmail-lmtp`.
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
        Ok(facts::probe(&self.config, tools))
    }

    fn plan(&self, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        tables::plan(&self.config, context, change, sink)?;
        control::plan(&self.config, context, change, sink)
    }

    fn snippets(&self, context: Context<'_>) -> Result<Vec<Snippet>> {
        snippets::all(&self.config, context)
    }

    fn check(&self, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
        check::all(&self.config, context, tools)
    }
}
