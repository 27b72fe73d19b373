//! `postrider serve`: all parts together, from start to stop.
//!
//! Order of start: our own socket (a second daemon is refused there), store, spool, delivery, post
//! pipeline, then LMTP: nothing is taken in before everything behind it is ready. A stop goes the
//! other way: LMTP finishes what it answered or is about to answer, then the workers finish the step
//! they are at; what is left is in the spool and goes on at the next start.

use crate::cli::{Exit, Session};
use crate::config::{self, Config, Loaded};
use crate::control::{Call, Control, Request};
use crate::deliver::{Deliverer, DeliverySettings};
use crate::hookup::{self, Outcome, RosterChange, Wish};
use crate::lmtp;
use crate::logging::{self, Log};
use crate::plugins::PluginRegistry;
use crate::post::{PostSettings, Processor, Worker};
use crate::spool::Spool;
use crate::store::Store;
use anyhow::Context;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

/// First pause before an unfinished publication is tried again; doubles up to [`PUBLISH_PAUSE_MAX`].
const PUBLISH_PAUSE: Duration = Duration::from_mins(1);
const PUBLISH_PAUSE_MAX: Duration = Duration::from_hours(1);

/// Sets logging up and runs until SIGTERM or SIGINT. An error is logged, and returned too unless
/// that would tell it twice to the same person.
pub async fn serve(session: Session) -> anyhow::Result<Exit> {
    let log = logging::init(&session.config().logging)?;
    let told = log.shows_errors_on_stderr();
    let Err(failure) = run(session, log).await else { return Ok(Exit::Done) };
    error!("{failure:#}");
    if told { Ok(Exit::Failed) } else { Err(failure) }
}

async fn run(session: Session, log: Log) -> anyhow::Result<()> {
    // Before anything else: until then a signal would end us at once.
    let signals = Signals::catch()?;
    let config = session.config();
    let control = Control::bind(&config.paths.socket).await?;
    let store = Store::open(&config.database).await?;
    let spool = Spool::open(&config.paths.data_dir, &session.spool_options(true))?;
    let plugins = session.plugins();
    let workers = Workers::prepare(config, &plugins, &store, &spool)?.start();

    let directory = lmtp::StoreDirectory::new(store.clone(), &config.mta.verp.delimiter);
    let server = lmtp::Server::new(lmtp::Settings::from_config(config)?, directory, spool.clone());
    let server = server.bind(&config::listen_addresses(&config.mta)?).await?;
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();

    let (stop, stopped) = watch::channel(false);
    let lists_changed = Arc::new(Notify::new());
    let publisher = tokio::spawn(publish_what_is_left(config.clone(), store.clone(), lists_changed.clone()));
    let (calls, called) = mpsc::channel(16);
    let lmtp = tokio::spawn(server.run(stopped.clone()));
    let control = tokio::spawn(control.run(calls, stopped));

    info!("ready: LMTP at {}", addresses.join(" "));
    sd_notify::notify(&[sd_notify::NotifyState::Ready]).unwrap_or_else(|error| warn!("systemd: {error}"));
    let daemon = Running {
        loaded: session.loaded.clone(),
        store: store.clone(),
        spool: spool.clone(),
        plugins,
        addresses,
        lists_changed,
        log,
        workers,
    };
    let workers = daemon.until_stopped(signals, called).await?;

    info!("stopping");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    publisher.abort();
    stop.send_replace(true);
    finished("LMTP", lmtp).await;
    finished("the control socket", control).await;
    workers.stop().await;
    spool.close().await;
    store.close().await;
    info!("stopped");
    Ok(())
}

/// Waits for a part to end.
async fn finished(part: &str, task: JoinHandle<()>) {
    if let Err(failure) = task.await {
        error!("{part} ended badly: {failure}");
    }
}

/// The parts between the two networks, ready to run. They are made anew when the configuration is
/// read again.
struct Workers {
    post: Worker,
    deliver: Deliverer<Spool>,
}

impl Workers {
    fn prepare(config: &Config, plugins: &PluginRegistry, store: &Store, spool: &Spool) -> anyhow::Result<Self> {
        let outgoing = hookup::outgoing_from_config(config, plugins)?;
        let settings = DeliverySettings::new(&config.mta)?;
        let processor = Processor::new(store.clone(), spool.clone(), PostSettings::from_config(config));
        Ok(Workers {
            post: Worker::new(processor),
            deliver: Deliverer::new(settings, Arc::new(spool.clone()), outgoing),
        })
    }

    fn start(self) -> RunningWorkers {
        let (stop, stopped) = watch::channel(false);
        let until = |mut stopped: watch::Receiver<bool>| async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let post = tokio::spawn(self.post.run(until(stopped.clone())));
        let deliver = tokio::spawn(self.deliver.run(until(stopped)));
        RunningWorkers { stop, post, deliver }
    }
}

struct RunningWorkers {
    stop: watch::Sender<bool>,
    post: JoinHandle<()>,
    deliver: JoinHandle<()>,
}

impl RunningWorkers {
    async fn stop(self) {
        self.stop.send_replace(true);
        finished("the post pipeline", self.post).await;
        finished("delivery", self.deliver).await;
    }
}

/// The signals that we heed.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> anyhow::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate()).context("SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT")?,
            hangup: signal(SignalKind::hangup()).context("SIGHUP")?,
        })
    }
}

/// The daemon between start and stop.
struct Running {
    loaded: Loaded,
    store: Store,
    spool: Spool,
    plugins: PluginRegistry,
    addresses: Vec<String>,
    lists_changed: Arc<Notify>,
    log: Log,
    workers: RunningWorkers,
}

impl Running {
    /// Serves signals and calls; returns when it is time to stop.
    async fn until_stopped(
        mut self,
        mut signals: Signals,
        mut calls: mpsc::Receiver<Call>,
    ) -> anyhow::Result<RunningWorkers> {
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return Ok(self.workers),
                _ = signals.interrupt.recv() => return Ok(self.workers),
                _ = signals.hangup.recv() => {
                    let (daemon, done) = self.reload().await;
                    self = daemon;
                    if let Err(error) = done {
                        error!("{error}");
                    }
                }
                Some(Call { request, reply }) = calls.recv() => {
                    let answer = match request {
                        Request::Ping | Request::Stop => Ok(json!({})),
                        Request::Spool => {
                            self.spool.wake();
                            Ok(json!({}))
                        }
                        Request::Lists => {
                            self.lists_changed.notify_one();
                            Ok(json!({}))
                        }
                        Request::Status => Ok(json!({
                            "pid": std::process::id(),
                            "version": env!("CARGO_PKG_VERSION"),
                            "lmtp": self.addresses,
                        })),
                        Request::Reload => {
                            let (daemon, done) = self.reload().await;
                            self = daemon;
                            done
                        }
                    };
                    match answer {
                        Ok(value) => reply.ok(value),
                        Err(why) => reply.error(why),
                    }
                    if request == Request::Stop {
                        return Ok(self.workers);
                    }
                }
            }
        }
    }

    /// Reads the configuration again. A wrong one changes nothing.
    async fn reload(mut self) -> (Self, Result<Value, String>) {
        let kept = |error: String| format!("the configuration was not read again, the old one stays: {error}");
        let new = match Config::load(self.loaded.config.file.as_deref()) {
            Ok(new) => new,
            Err(errors) => return (self, Err(kept(errors.to_string()))),
        };
        let workers = match Workers::prepare(&new.config, &self.plugins, &self.store, &self.spool) {
            Ok(workers) => workers,
            Err(error) => return (self, Err(kept(error.to_string()))),
        };
        if let Err(error) = self.log.apply(&new.config.logging).and_then(|()| self.log.reopen()) {
            return (self, Err(kept(error.to_string())));
        }
        let (restart, applied): (Vec<_>, Vec<_>) =
            config::changes(&self.loaded, &new).into_iter().partition(config::Change::needs_restart);
        let names = |changes: &[config::Change]| changes.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (restart, applied) = (names(&restart), names(&applied));
        if !applied.is_empty() {
            self.workers.stop().await;
            self.workers = workers.start();
        }
        for key in &restart {
            warn!("{key} has changed in the file; restart the daemon for it to take effect");
        }
        for file in self.plugins.changed_on_disk() {
            warn!("the plugin {} has changed on disk; restart the daemon to use it", file.display());
        }
        info!(
            "configuration read again; in effect: {}",
            if applied.is_empty() { "as before".into() } else { applied.join(", ") }
        );
        // What needs a restart stays in the list of differences until the restart.
        if restart.is_empty() {
            self.loaded = new;
        }
        (self, Ok(json!({ "applied": applied, "needs_restart": restart })))
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
    let plugins = PluginRegistry::new(config.plugins.path.clone());
    let hookup = Arc::new(hookup::from_config(config, &plugins)?);
    let done = hookup::bring_up_to_date(store, hookup, RosterChange::Everything, Wish::default()).await?;
    if let Outcome::Done(report) = done {
        report.to_string().lines().for_each(|line| info!("{line}"));
    }
    Ok(())
}
