//! Would be a plugin, but needs a function that no library has.

extern "C" {
    fn postrider_nowhere();
}

#[no_mangle]
pub extern "C" fn postrider_unresolved() {
    // SAFETY: never called; the library cannot even be opened.
    unsafe { postrider_nowhere() }
}

postrider_plugin_api::export_plugin! {
    name: "unresolved",
    version: "0",
}
