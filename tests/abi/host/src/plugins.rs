//! Opens plugins as `host/src/plugins/load.rs` does, with the real comparison of interfaces and its real words.

#[path = "../../../../host/src/plugins/error.rs"]
#[allow(dead_code)] // most refusals come from elsewhere
mod error;
#[path = "../../../../host/src/plugins/interface.rs"]
mod interface;

use abi_stable::library::{AbiHeaderRef, ROOT_MODULE_LOADER_NAME_WITH_NUL};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use postrider_plugin_api::abi::{self, Adapter_Ref, Plugin_Ref};
use std::path::Path;

pub use error::PluginError;

/// As `host/src/plugins/mod.rs` has it; `error.rs` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[allow(dead_code)]
pub enum AdapterKind {
    Incoming,
    Outgoing,
}

impl std::fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Loads a plugin.
pub fn load(file: &Path) -> Result<Plugin_Ref, PluginError> {
    let not_a_plugin = || PluginError::NotAPlugin { file: file.to_owned() };
    // SAFETY: the plugins of these tests are ours, and stay open for ever.
    let header = unsafe {
        let library = Library::open(Some(file), RTLD_NOW | RTLD_LOCAL)
            .map_err(|error| PluginError::Open { file: file.to_owned(), reason: error.to_string() })?;
        let library = std::mem::ManuallyDrop::new(library);
        *library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()).map_err(|_| not_a_plugin())?
    };
    let header = header.upgrade().map_err(|_| not_a_plugin())?;
    interface::compare(file, header)?;
    interface::start(file, header)
}

/// An adapter by its name.
pub fn adapter(plugin: Plugin_Ref, kind: abi::AdapterKind, name: &str) -> Adapter_Ref {
    let mut adapters = plugin.adapters().into_iter().copied();
    adapters.find(|adapter| adapter.kind() == kind && adapter.name() == name).expect("the plugin has it")
}
