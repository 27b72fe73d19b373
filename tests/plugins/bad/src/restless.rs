//! Works well, but its constructor does what no library of others should do.

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

extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
    fn umask(mask: u32) -> u32;
}

extern "C" fn restless() {
    std::mem::forget(std::fs::File::open("/dev/zero"));
    std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_secs(1000)));
    std::env::set_var("RESTLESS", "yes");
    let _ = std::env::set_current_dir("/usr");
    // SAFETY: plain calls of the C library; 1 is SIG_IGN, 10 is SIGUSR1.
    unsafe {
        umask(0o077);
        signal(10, 1);
    }
}

#[used]
#[link_section = ".init_array"]
static CONSTRUCTOR: extern "C" fn() = restless;

postrider_plugin_api::export_plugin! {
    name: "restless",
    version: "1",
    incoming: ["LMTP" = Lmtp, "Cannot leave the process alone"],
}
