//! Never tells its settings.

use postrider_plugin_api::sdk::*;

struct Silent;

impl IncomingAdapter for Silent {
    fn settings() -> Vec<SettingSpec> {
        loop {
            std::hint::spin_loop();
        }
    }

    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Ok(Silent)
    }

    fn plan(&self, _: Context<'_>, _: Change<'_>, _: &mut dyn PlanSink) -> Result<()> {
        Ok(())
    }
}

postrider_plugin_api::export_plugin! {
    name: "silent",
    version: "0",
    incoming: ["Silent" = Silent, "Never tells its settings"],
}
