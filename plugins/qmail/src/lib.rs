//! qmail support for Postrider.
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
pub struct Queue;

impl OutgoingAdapter for Queue {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Err(Error::failed("not there yet"))
    }
}

postrider_plugin_api::export_plugin! {
    name: "qmail",
    version: env!("CARGO_PKG_VERSION"),
    incoming: ["LMTP" = Lmtp, "not there yet"],
    outgoing: ["Queue" = Queue, "not there yet"],
}
