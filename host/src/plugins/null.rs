//! `null.NullMTA`: for an MTA that needs not be told which lists there are.

use postrider_plugin_api::sdk::{
    Change, Context, Finding, HostLog, IncomingAdapter, PlanSink, Result, Settings, Severity, Tools,
};

/// Plans nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullMta;

impl IncomingAdapter for NullMta {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Ok(NullMta)
    }

    fn plan(&self, _: Context<'_>, _: Change<'_>, _: &mut dyn PlanSink) -> Result<()> {
        Ok(())
    }

    fn check(&self, _: Context<'_>, _: &dyn Tools) -> Result<Vec<Finding>> {
        Ok(vec![
            Finding::new(Severity::Info, "[mta] incoming", "null.NullMTA")
                .with_advice("the MTA is told nothing; see to it yourself that it hands list mail to us"),
        ])
    }
}
