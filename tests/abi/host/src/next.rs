//! What only a host of the next version asks.

use crate::site::Lines;
use crate::transcript::result;
use postrider_plugin_api::abi::Plugin_Ref;
use postrider_plugin_api::sdk::*;

/// The fields that a plugin and its adapters have gained.
pub fn fields(lines: &Lines, plugin: Plugin_Ref) {
    lines.say(format!("next: plugin.license {:?}", plugin.license()));
    for adapter in plugin.adapters() {
        lines.say(format!("next: adapter.homepage {:?}", adapter.homepage()));
    }
}

pub fn change(domain: DomainView<'_>) -> Option<Change<'_>> {
    Some(Change::ListRenamed(ListView::new("new", domain, "")))
}

pub fn batch(mut batch: Batch<'_>) -> Batch<'_> {
    batch.priority = "low";
    batch
}

pub fn answer(lines: &Lines, adapter: &dyn IncomingAdapter, site: &Site) {
    let list = ListView::new("ants", DomainView::new("example.org", ""), "ants.id");
    result(lines, "next: answer", adapter.answer(site, "transport", "ants@example.org", &[list]));
    result(lines, "next: answer for nothing", adapter.answer(site, "transport", "none@example.org", &[]));
}
