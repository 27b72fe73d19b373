//! The real loader, as the host has it.

#![allow(dead_code)] // the registry is not here

#[path = "../../../../host/src/plugins/elf.rs"]
mod elf;
#[path = "../../../../host/src/plugins/error.rs"]
mod error;
#[path = "../../../../host/src/plugins/library.rs"]
mod library;
#[path = "../../../../host/src/plugins/load.rs"]
mod load;
#[path = "../../../../host/src/plugins/vet.rs"]
mod vet;

use std::path::Path;
use std::sync::Arc;

use postrider_plugin_api::sdk::{HostLog, IncomingAdapter, OutgoingAdapter, Result, SettingSpec, Settings};

pub use error::PluginError;
pub use library::PluginInfo;

/// As `host/src/plugins/mod.rs` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    Incoming,
    Outgoing,
    Unknown(u32),
}

impl std::fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AdapterKind::Incoming => f.write_str("incoming"),
            AdapterKind::Outgoing => f.write_str("outgoing"),
            AdapterKind::Unknown(number) => write!(f, "unknown kind {number}"),
        }
    }
}

/// A plugin that was loaded as the registry does it.
pub struct Plugin(load::Loaded);

impl Plugin {
    pub fn load(file: &Path) -> std::result::Result<Plugin, PluginError> {
        load::load(&vet::vet(file)?).map(Plugin)
    }

    pub fn info(&self) -> &PluginInfo {
        self.0.library.info()
    }

    pub fn settings(&self, adapter: &str, kind: AdapterKind) -> Result<Vec<SettingSpec>> {
        self.0.library.settings(adapter, kind)
    }

    pub fn incoming(
        &self,
        adapter: &str,
        log: Arc<dyn HostLog>,
        settings: &Settings,
    ) -> Result<Box<dyn IncomingAdapter>> {
        self.0.library.incoming(adapter, log, settings)
    }

    pub fn outgoing(
        &self,
        adapter: &str,
        log: Arc<dyn HostLog>,
        settings: &Settings,
    ) -> Result<Box<dyn OutgoingAdapter>> {
        self.0.library.outgoing(adapter, log, settings)
    }
}
