//! A plugin that can be asked, wherever its code runs.

use super::AdapterKind;
use postrider_plugin_api::sdk::{HostLog, IncomingAdapter, OutgoingAdapter, Result, SettingSpec, Settings};
use std::sync::Arc;

/// What a plugin says about itself.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PluginInfo {
    /// `postfix`.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// The version of the interface that it was built against.
    pub api_version: String,
    /// The compiler that built it.
    pub built_with: String,
    /// What it offers.
    pub adapters: Vec<AdapterReport>,
}

/// One adapter of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AdapterReport {
    /// `LMTP`.
    pub name: String,
    /// What it is for.
    pub kind: AdapterKind,
    /// One line for people.
    pub description: String,
}

/// A plugin that fits this host.
///
/// Adapters are named by their own name and kind, as [`PluginInfo::adapters`] has them; to ask for one that is not
/// there is an error.
pub(crate) trait Library: Send + Sync {
    /// What it says about itself.
    fn info(&self) -> &PluginInfo;
    /// The settings that one of its adapters reads.
    fn settings(&self, adapter: &str, kind: AdapterKind) -> Result<Vec<SettingSpec>>;
    /// Makes an incoming adapter.
    fn incoming(&self, adapter: &str, log: Arc<dyn HostLog>, settings: &Settings) -> Result<Box<dyn IncomingAdapter>>;
    /// Makes an outgoing adapter.
    fn outgoing(&self, adapter: &str, log: Arc<dyn HostLog>, settings: &Settings) -> Result<Box<dyn OutgoingAdapter>>;
}
