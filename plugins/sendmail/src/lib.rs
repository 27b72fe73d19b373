//! Sendmail support for Postrider.
#![forbid(unsafe_code)]

use postrider_plugin_api::sdk::*;

/// Not there yet.
pub struct Lmtp;

impl IncomingAdapter for Lmtp {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Err(Error::failed("not there yet"))
    }
    fn plan(&self, _: Context<'_>, _: Change<'_>, _: &mut dyn PlanSink) -> Result<()> {
        Ok(())
    }
}

/// Not there yet.
pub struct Aliases;

impl IncomingAdapter for Aliases {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Err(Error::failed("not there yet"))
    }
    fn plan(&self, _: Context<'_>, _: Change<'_>, _: &mut dyn PlanSink) -> Result<()> {
        Ok(())
    }
}

/// Not there yet.
pub struct Pipe;

impl OutgoingAdapter for Pipe {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Err(Error::failed("not there yet"))
    }
}

postrider_plugin_api::export_plugin! {
    name: "sendmail",
    version: env!("CARGO_PKG_VERSION"),
    incoming: ["LMTP" = Lmtp, "not there yet", "Aliases" = Aliases, "not there yet"],
    outgoing: ["Pipe" = Pipe, "not there yet"],
}
