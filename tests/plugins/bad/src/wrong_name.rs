//! Is called otherwise than its file.

use postrider_plugin_api::sdk::*;

struct Lmtp;

impl IncomingAdapter for Lmtp {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Ok(Lmtp)
    }

    fn plan(&self, _: Context<'_>, _: Change<'_>, _: &mut dyn PlanSink) -> Result<()> {
        Ok(())
    }
}

postrider_plugin_api::export_plugin! {
    name: "right_name",
    version: "0",
    incoming: ["LMTP" = Lmtp, "Nothing needs to be planned"],
}
