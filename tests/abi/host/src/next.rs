//! What only a host of the next version asks.

use crate::site::Lines;
use crate::transcript::result;
use abi_stable::library::{AbiHeaderRef, ROOT_MODULE_LOADER_NAME_WITH_NUL};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use postrider_plugin_api::abi::Plugin_Ref;
use postrider_plugin_api::sdk::*;
use std::path::Path;

/// The fields that a plugin and its adapters have gained.
pub fn fields(lines: &Lines, file: &Path) {
    // SAFETY: the real loader has opened this file and found that its types are ours.
    let plugin = unsafe {
        let library = Library::open(Some(file), RTLD_NOW | RTLD_LOCAL).expect("it was opened before");
        let header = *library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()).expect("it is a plugin");
        std::mem::forget(library);
        let header = header.upgrade().expect("it was read before");
        header.init_root_module_with_unchecked_layout::<Plugin_Ref>().expect("it was started before")
    };
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
