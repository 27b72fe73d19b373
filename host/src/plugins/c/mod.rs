//! Plugins in C, through `postrider_plugin.h` (defined in `plugin-api/src/c`).
//!
//! What it promises: a plugin in C can do all that one in Rust can, and is held to the same rules. Whatever it gives
//! is read with distrust: NULL, texts that are not UTF-8 or have no end, structs that are too small, numbers that
//! nobody knows, a call that is over or belongs to another thread. Each is an error that names adapter and function,
//! and such an error stays, also when the plugin returns success. What nobody can check is what C itself cannot:
//! that a pointer leads to what its type says. No panic of ours crosses into the plugin.
//!
//! | file | its one job |
//! |---|---|
//! | `describe.rs` | reads and judges what the plugin says about itself |
//! | `adapter.rs` | its adapters, as the SDK describes them |
//! | `call.rs` | one call: what it lends, what the plugin answers, how it ends |
//! | `host.rs` | the table of our functions, and those for every call |
//! | `roster.rs`, `sink.rs`, `tools.rs`, `answers.rs` | our other functions |
//! | `read.rs` | reads what the plugin gives |
//! | `lend.rs` | makes of ours what C can read |
//! | `log.rs` | the logs of its adapters |

mod adapter;
mod answers;
mod call;
mod describe;
mod host;
mod lend;
mod log;
mod read;
mod roster;
mod sink;
mod tools;

use super::library::{Library, PluginInfo};
use super::{AdapterKind, PluginError};
use adapter::{Incoming, Outgoing};
use describe::Described;
use libloading::os::unix::Library as SharedObject;
use postrider_plugin_api::c::{postrider_host, postrider_incoming, postrider_outgoing, postrider_plugin};
use postrider_plugin_api::sdk::{self, HostLog, IncomingAdapter, OutgoingAdapter, SettingSpec, Settings};
use std::path::Path;
use std::sync::Arc;

/// The one symbol of a plugin: that of this major version, and those that later ones may have.
pub(super) const SYMBOLS: [&str; 9] = [
    "postrider_plugin_v1",
    "postrider_plugin_v2",
    "postrider_plugin_v3",
    "postrider_plugin_v4",
    "postrider_plugin_v5",
    "postrider_plugin_v6",
    "postrider_plugin_v7",
    "postrider_plugin_v8",
    "postrider_plugin_v9",
];

type Entry = unsafe extern "C" fn(*const postrider_host) -> *const postrider_plugin;

/// A plugin in C whose code runs in this process.
struct CPlugin {
    info: PluginInfo,
    incoming: Vec<Described<postrider_incoming>>,
    outgoing: Vec<Described<postrider_outgoing>>,
}

/// Asks a library that is open, and stays so for ever, for a plugin in C. `None`: it has none.
pub(super) fn load(file: &Path, library: &SharedObject) -> Option<Result<Box<dyn Library>, PluginError>> {
    // SAFETY: a library that exports this name says by it that it is a function of this type; what it points to lives
    // as long as the library, which is for ever.
    let Ok(entry) = (unsafe { library.get::<Entry>(SYMBOLS[0].as_bytes()) }) else {
        return newer(file, library).map(Err);
    };
    // SAFETY: as the header says: called once, with our table, which lives for ever.
    let plugin = unsafe { entry(host::table()) };
    Some(describe::read(file, plugin).map(|plugin| Box::new(plugin) as Box<dyn Library>))
}

/// The refusal of a plugin that speaks a later major version only.
fn newer(file: &Path, library: &SharedObject) -> Option<PluginError> {
    // SAFETY: only looked at, never called.
    let speaks = |symbol: &&str| unsafe { library.get::<Entry>(symbol.as_bytes()) }.is_ok();
    let at = SYMBOLS.iter().position(speaks)?;
    Some(describe::other_version(file, u32::try_from(at).ok()? + 1, 0))
}

impl CPlugin {
    fn no(&self, adapter: &str, kind: AdapterKind) -> sdk::Error {
        sdk::Error::failed(format!("{} has no {kind} adapter {adapter:?}", self.info.name))
    }

    fn found_incoming(&self, name: &str) -> sdk::Result<&Described<postrider_incoming>> {
        let found = self.incoming.iter().find(|adapter| adapter.name == name);
        found.ok_or_else(|| self.no(name, AdapterKind::Incoming))
    }

    fn found_outgoing(&self, name: &str) -> sdk::Result<&Described<postrider_outgoing>> {
        let found = self.outgoing.iter().find(|adapter| adapter.name == name);
        found.ok_or_else(|| self.no(name, AdapterKind::Outgoing))
    }
}

impl Library for CPlugin {
    fn info(&self) -> &PluginInfo {
        &self.info
    }

    fn settings(&self, adapter: &str, kind: AdapterKind) -> sdk::Result<Vec<SettingSpec>> {
        let full_name = format!("{}.{adapter}", self.info.name);
        let settings = match kind {
            AdapterKind::Incoming => self.found_incoming(adapter)?.raw.settings,
            AdapterKind::Outgoing => self.found_outgoing(adapter)?.raw.settings,
            AdapterKind::Unknown(_) => return Err(self.no(adapter, kind)),
        };
        adapter::settings(&full_name, settings)
    }

    fn incoming(
        &self,
        adapter: &str,
        log: Arc<dyn HostLog>,
        settings: &Settings,
    ) -> sdk::Result<Box<dyn IncomingAdapter>> {
        let full_name = format!("{}.{adapter}", self.info.name);
        Ok(Box::new(Incoming::make(full_name, self.found_incoming(adapter)?.raw, log, settings)?))
    }

    fn outgoing(
        &self,
        adapter: &str,
        log: Arc<dyn HostLog>,
        settings: &Settings,
    ) -> sdk::Result<Box<dyn OutgoingAdapter>> {
        let full_name = format!("{}.{adapter}", self.info.name);
        Ok(Box::new(Outgoing::make(full_name, self.found_outgoing(adapter)?.raw, log, settings)?))
    }
}
