//! What the host calls, each answered by a module of its own.

use crate::{check, facts, settings::Config, snippets, tables};
use postrider_plugin_api::sdk::{
    Change, Context, Facts, Finding, HostLog, IncomingAdapter, PlanSink, Result, SettingSpec, Settings, Site, Snippet,
    Tools,
};

/// OpenSMTPD hands mail for lists to the list server by LMTP.
pub struct Lmtp {
    config: Config,
}

impl IncomingAdapter for Lmtp {
    fn settings() -> Vec<SettingSpec> {
        Config::specs()
    }

    fn new(_log: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        Ok(Lmtp { config: Config::parse(settings)? })
    }

    fn probe(&self, _site: &Site, tools: &dyn Tools) -> Result<Facts> {
        facts::probe(&self.config, tools)
    }

    /// Plans everything whatever changed: `makemap` builds a table as a whole.
    fn plan(&self, context: Context<'_>, _change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        tables::plan(&self.config, context, sink)
    }

    fn snippets(&self, context: Context<'_>) -> Result<Vec<Snippet>> {
        snippets::all(&self.config, context)
    }

    fn check(&self, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
        check::all(&self.config, context, tools)
    }
}
