//! Panics in every method.

use postrider_plugin_api::sdk::*;
use std::panic::panic_any;
use std::sync::atomic::{AtomicU32, Ordering};

struct Bomb;

impl IncomingAdapter for Bomb {
    fn settings() -> Vec<SettingSpec> {
        panic!("boom in settings")
    }

    fn new(_: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        match settings.value("new") {
            "panic" => panic!("boom in new"),
            _ => Ok(Bomb),
        }
    }

    fn probe(&self, _: &Site, _: &dyn Tools) -> Result<Facts> {
        panic_any(PanicsWhenDropped)
    }

    fn plan(&self, context: Context<'_>, _: Change<'_>, _: &mut dyn PlanSink) -> Result<()> {
        context.roster.for_each_list(&mut |list| panic!("boom at {}\nand more", list.local))
    }

    fn snippets(&self, _: Context<'_>) -> Result<Vec<Snippet>> {
        panic_any(String::from("boom in snippets"))
    }

    fn check(&self, _: Context<'_>, _: &dyn Tools) -> Result<Vec<Finding>> {
        let thread = std::thread::spawn(|| panic!("boom in a thread"));
        thread.join().map_err(|_| Error::failed("the thread panicked"))?;
        Ok(Vec::new())
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("boom in drop");
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("boom in the payload");
    }
}

/// Counts its calls, and panics for one recipient.
struct Touchy(AtomicU32);

impl OutgoingAdapter for Touchy {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Ok(Touchy(AtomicU32::new(0)))
    }

    fn deliver(&self, batch: Batch<'_>) -> Result<Vec<RecipientResult>> {
        let call = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(!batch.recipients.contains(&"boom@example.org"), "boom in deliver");
        let reply = format!("250 call {call}");
        Ok(batch.recipients.iter().map(|_| RecipientResult::new(Outcome::Delivered, reply.clone())).collect())
    }
}

postrider_plugin_api::export_plugin! {
    name: "panics",
    version: "0",
    incoming: ["Bomb" = Bomb, "Panics"],
    outgoing: ["Touchy" = Touchy, "Panics now and then"],
}
