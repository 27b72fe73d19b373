//! `postrider serve`: all parts together, from start to stop.
//!
//! Order of start: our own socket (a second daemon is refused there), store, spool, delivery, post
//! pipeline, then LMTP: nothing is taken in before everything behind it is ready. A stop goes the
//! other way: LMTP finishes what it answered or is about to answer, then the workers finish the step
//! they are at; what is left is in the spool and goes on at the next start.

use crate::cli::Session;
use crate::config::{self, Config};
use crate::control::{Call, Control, Request};
use crate::deliver::{self, Deliverer};
use crate::hookup::{self, Change, Options};
use crate::lmtp;
use crate::logging::{self, LogHandle};
use crate::post::Worker;
use crate::spool::Spool;
use crate::store::Store;
use anyhow::Context;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tracing::{error, info, warn};

/// First pause before an unfinished publication is tried again; doubles up to [`PUBLISH_PAUSE_MAX`].
const PUBLISH_PAUSE: Duration = Duration::from_secs(60);
const PUBLISH_PAUSE_MAX: Duration = Duration::from_hours(1);

/// Runs until SIGTERM or SIGINT.
pub async fn run(session: Session, log: LogHandle) -> anyhow::Result<()> {
    let config = session.config().clone();
    let (stop, stopped) = watch::channel(false);
    let control = Control::bind(&config.paths.socket).await?;
    let store = Store::open(&config.database).await?;
    let spool = Spool::open(&config.paths.data_dir.join("spool"), &session.spool_options(true))?;

    let outgoing = deliver::outgoing_from_config(&config, &session.plugins())?;
    let deliverer = Deliverer::new(&config, spool.clone(), outgoing).await?;
    let worker = Worker::new(&config, store.clone(), spool.clone());

    let directory = lmtp::StoreDirectory::new(store.clone(), &config.mta.verp.delimiter);
    let server = lmtp::Server::new(lmtp::Settings::from_config(&config)?, directory, lmtp::SpoolIntake::new(spool.clone()));
    let server = server.bind(&config::listen_addresses(&config.mta)?).await?;
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();

    let lists_changed = Arc::new(Notify::new());
    let publisher = tokio::spawn(publish_what_is_left(session.config().clone(), store.clone(), lists_changed.clone()));
    let (calls, called) = mpsc::channel(16);
    let lmtp = tokio::spawn(server.run(stopped.clone()));
    let control = tokio::spawn(control.run(calls, stopped.clone()));
    let worker = tokio::spawn(worker.run(stopped.clone()));
    let deliverer = tokio::spawn(deliverer.run(stopped.clone()));

    info!(version = env!("CARGO_PKG_VERSION"), lmtp = addresses.join(" "), "ready");
    sd_notify::notify(&[sd_notify::NotifyState::Ready]).unwrap_or_else(|error| warn!("systemd: {error}"));
    let daemon = Running { config_file: config.file.clone(), config, spool: spool.clone(), addresses, lists_changed, log };
    daemon.until_stopped(called).await?;

    info!("stopping");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    stop.send_replace(true);
    publisher.abort();
    for (part, task) in [("LMTP", lmtp), ("the control socket", control), ("the post pipeline", worker), ("delivery", deliverer)] {
        if let Err(failure) = task.await {
            error!("{part} ended badly: {failure}");
        }
    }
    spool.close().await;
    store.close().await;
    info!("stopped");
    Ok(())
}

/// The daemon between start and stop.
struct Running {
    config_file: Option<PathBuf>,
    config: Config,
    spool: Spool,
    addresses: Vec<String>,
    lists_changed: Arc<Notify>,
    log: LogHandle,
}

impl Running {
    /// Serves signals and calls; returns when it is time to stop.
    async fn until_stopped(mut self, mut calls: mpsc::Receiver<Call>) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
        let mut hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = hangup.recv() => {
                    if let Err(error) = self.reload() {
                        error!("{error}");
                    }
                }
                Some(call) = calls.recv() => {
                    let stop = call.request == Request::Stop;
                    let answer = self.answer(call.request);
                    match answer {
                        Ok(value) => call.reply.ok(value),
                        Err(why) => call.reply.error(why),
                    }
                    if stop {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn answer(&mut self, request: Request) -> Result<Value, String> {
        match request {
            Request::Ping | Request::Stop => {}
            Request::Spool => self.spool.wake(),
            Request::Lists => self.lists_changed.notify_one(),
            Request::Reload => return self.reload(),
            Request::Status => {
                return Ok(json!({
                    "pid": std::process::id(),
                    "version": env!("CARGO_PKG_VERSION"),
                    "lmtp": self.addresses,
                }));
            }
        }
        Ok(json!({}))
    }

    /// Reads the configuration again; a wrong one changes nothing.
    fn reload(&mut self) -> Result<Value, String> {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Reloading]);
        let done = Config::load(self.config_file.as_deref());
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        let new = done.map_err(|errors| format!("the configuration was not read again, the old one stays: {errors}"))?;
        let changed = config::changes(&self.config, &new.config);
        self.log.reload(&new.config.logging).map_err(|error| error.to_string())?;
        for key in &changed.restart {
            warn!("{key} has changed; restart the daemon for it to take effect");
        }
        info!(applied = changed.reload.len(), "configuration read again");
        self.config.logging = new.config.logging;
        Ok(json!({ "applied": changed.reload, "needs_restart": changed.restart }))
    }
}

/// Finishes a publication that was interrupted or failed: at the start, when a command asks, and
/// later and later while it fails.
async fn publish_what_is_left(config: Config, store: Store, lists_changed: Arc<Notify>) {
    let mut pause = PUBLISH_PAUSE;
    loop {
        match publish_once(&config, &store).await {
            Ok(()) => {
                pause = PUBLISH_PAUSE;
                lists_changed.notified().await;
            }
            Err(failure) => {
                error!("the MTA's tables are behind: {failure:#}; tried again in {} s", pause.as_secs());
                let _ = tokio::time::timeout(pause, lists_changed.notified()).await;
                pause = (pause * 2).min(PUBLISH_PAUSE_MAX);
            }
        }
    }
}

async fn publish_once(config: &Config, store: &Store) -> anyhow::Result<()> {
    let generation = store.generation().await?;
    if generation.applied >= generation.wanted {
        return Ok(());
    }
    let registry = crate::plugins::PluginRegistry::new(config.plugins.path.clone());
    let hookup = Arc::new(hookup::from_config(config, &registry)?);
    let report = hookup::bring_up_to_date(store, hookup, Change::Everything, Options::default()).await?;
    for line in report.lines() {
        info!("{line}");
    }
    Ok(())
}

/// Sets logging up and runs the daemon.
pub async fn serve(session: Session) -> anyhow::Result<()> {
    let log = logging::start(&session.config().logging)?;
    let done = run(session, log).await;
    if let Err(failure) = &done {
        error!("{failure:#}");
    }
    done
}
