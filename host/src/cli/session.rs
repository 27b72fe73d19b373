//! What a command works with, opened when it is first needed.

use super::lost::refuse_lost_store;
use super::{output, privileges};
use crate::config::{Config, Loaded};
use crate::control::{self, Request};
use crate::hookup::{self, Hookup};
use crate::lists::List;
use crate::plugins::PluginRegistry;
use crate::spool::{Spool, SpoolOptions};
use crate::store::Store;
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The configuration and what was opened by it.
pub struct Session {
    /// The configuration with the origin of each value.
    pub loaded: Loaded,
    store: OnceCell<Store>,
    spool: OnceCell<Spool>,
}

impl Session {
    /// Reads the configuration; changes to the owner of `data_dir` when started by root; makes our
    /// directories when they do not exist. Call before any thread is started.
    pub fn begin(config: Option<&Path>) -> anyhow::Result<Self> {
        let loaded = Config::load(config)?;
        privileges::settle(&loaded.config.paths)?;
        Ok(Session { loaded, store: OnceCell::new(), spool: OnceCell::new() })
    }

    /// The same for a command that changes nothing: it makes no directories, and works where they cannot be
    /// made.
    pub fn look(config: Option<&Path>) -> anyhow::Result<Self> {
        let loaded = Config::load(config)?;
        privileges::settle_to_look(&loaded.config.paths)?;
        Ok(Session { loaded, store: OnceCell::new(), spool: OnceCell::new() })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// The store. One that was there before is not made anew.
    pub async fn store(&self) -> anyhow::Result<&Store> {
        let open = async || {
            refuse_lost_store(self.config())?;
            anyhow::Ok(Store::open(&self.config().database).await?)
        };
        self.store.get_or_try_init(open).await
    }

    /// The spool, beside a daemon that may have it open too.
    pub async fn spool(&self) -> anyhow::Result<&Spool> {
        let open = async || Spool::open(&self.config().paths.data_dir, &self.spool_options(false));
        Ok(self.spool.get_or_try_init(open).await?)
    }

    /// How the spool is opened; the daemon alone opens it exclusively.
    pub fn spool_options(&self, exclusive: bool) -> SpoolOptions {
        SpoolOptions { min_free_space: self.config().lmtp.min_free_space, exclusive }
    }

    /// The list that a person named.
    pub async fn list(&self, name: &str) -> anyhow::Result<List> {
        Ok(self.store().await?.find_list(name).await?)
    }

    /// The plugins of the configured path.
    pub fn plugins(&self) -> PluginRegistry {
        PluginRegistry::configured(self.config())
    }

    /// The configured incoming adapter, ready to publish.
    pub fn hookup(&self) -> anyhow::Result<Arc<Hookup>> {
        let name = &self.config().mta.incoming;
        let hookup = hookup::from_config(self.config(), &self.plugins())
            .with_context(|| format!("the incoming adapter {name} cannot be used"))?;
        Ok(Arc::new(hookup))
    }

    /// Tells a running daemon that something changed. That none is running is no error.
    pub async fn wake(&self, request: Request) {
        if let Err(error) = control::send(&self.config().paths.socket, request).await {
            output::note(&format!("the daemon did not hear of it ({error}); it will at its next start"));
        }
    }

    /// Closes what was opened.
    pub async fn end(&self) {
        if let Some(spool) = self.spool.get() {
            spool.close().await;
        }
        if let Some(store) = self.store.get() {
            store.close().await;
        }
    }
}
