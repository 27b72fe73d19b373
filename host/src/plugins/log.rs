//! What adapters say goes to our log.

use postrider_plugin_api::sdk::{HostLog, LogLevel};

/// Writes to the log under the name of an adapter.
#[derive(Clone, Debug)]
pub struct AdapterLog {
    adapter: String,
}

impl AdapterLog {
    /// For the adapter of this name, for instance `postfix.LMTP`.
    pub fn new(adapter: impl Into<String>) -> Self {
        AdapterLog { adapter: adapter.into() }
    }
}

impl HostLog for AdapterLog {
    fn log(&self, level: LogLevel, message: &str) {
        let adapter = self.adapter.as_str();
        match level {
            LogLevel::Debug => tracing::debug!(target: "plugin", adapter, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "plugin", adapter, "{message}"),
            LogLevel::Error => tracing::error!(target: "plugin", adapter, "{message}"),
            _ => tracing::info!(target: "plugin", adapter, "{message}"),
        }
    }
}
