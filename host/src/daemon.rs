//! `postrider serve`: all parts together, from start to stop.
//!
//! Order of start: spool (a second daemon is refused there), forgotten guards, our own socket, store, then everything is
//! prepared and bound before anything runs: nothing is taken in or sent before all of it can be. A part
//! that panics ends the daemon, in order, for systemd to start it again. A stop goes the other way: LMTP
//! finishes what it answered or is about to answer, then the workers finish the step they are at; what is
//! left is in the spool and goes on at the next start.

mod systemd;

use crate::cli::{Exit, LAST_PATIENCE, Session, refuse_lost_store};
use crate::config::{self, Config, Loaded};
use crate::control::{Call, Control, Request};
use crate::deliver::{Deliverer, DeliverySettings};
use crate::hookup::{self, Outcome, Wish};
use crate::lmtp;
use crate::logging::{self, Log};
use crate::open_files;
use crate::plugins::{PluginRegistry, Reload, Reloaded};
use crate::post::{PostSettings, Processor, Worker};
use crate::pulse::{Hearts, Pulse};
use crate::spool::{Progress, Spool};
use crate::store::Store;
use anyhow::Context;
use serde_json::{Value, json};
use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet, block_in_place};
use tracing::{error, info, warn};

/// First pause before an unfinished publication is tried again; doubles up to [`PUBLISH_PAUSE_MAX`].
const PUBLISH_PAUSE: Duration = Duration::from_mins(1);
const PUBLISH_PAUSE_MAX: Duration = Duration::from_hours(1);
/// So long a reload may take, in which plugins are loaded and workers finish their step.
const RELOAD: Duration = Duration::from_mins(10);

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
    let signals = Signals::listen()?;
    open_files::raise_limit();
    let config = session.config();
    for notice in &session.loaded.notices {
        warn!("{notice}");
    }
    refuse_lost_store(config)?;
    // The spool's lock first: whoever has it is the daemon, and may take over a dead one's sockets.
    let spool = Spool::open(&config.paths.data_dir, &session.spool_options(true))?;
    // Mail waits for a guard that a killed run has left, so nothing that can fail comes before this.
    clear_forgotten_guards(config).await;
    let control = Control::bind(&config.paths.socket).await?;
    let store = Store::open(&config.database).await?;
    let plugins = Arc::new(session.plugins());
    let workers = Workers::prepare(config, &plugins, &store, &spool)?;
    let directory = lmtp::StoreDirectory::new(store.clone(), &config.mta.verp.delimiter);
    let server = lmtp::Server::new(lmtp::Settings::from_config(config)?, directory, spool.clone());
    let server = server.bind(&config::listen_addresses(&config.mta)?).await?;
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();

    // From here on nothing fails: what is begun is also ended in order.
    let (stop, stopped) = watch::channel(false);
    let (died, mut dead) = mpsc::channel(8);
    let hearts = Hearts::default();
    let workers = workers.start(&died, &hearts);
    let lists_changed = Arc::new(Notify::new());
    let tables_doubted = Arc::new(AtomicBool::new(true));
    let publisher = publish_what_is_left(
        config.clone(),
        store.clone(),
        plugins.clone(),
        lists_changed.clone(),
        tables_doubted.clone(),
    );
    let publisher = tokio::spawn(publisher);
    let (calls, called) = mpsc::channel(16);
    let lmtp = part_on_its_own_thread("LMTP", c"lmtp", &died, server.watched(&hearts).run(stopped.clone()));
    let control =
        part("the control socket", &died, control.watched(hearts.watch("the control socket")).run(calls, stopped));

    info!("ready: LMTP at {}", addresses.join(" "));
    let reports = systemd::Reports::ready(&hearts, &spool);
    let mut daemon = Running {
        started: session.loaded.clone(),
        current: session.loaded.clone(),
        store: store.clone(),
        spool: spool.clone(),
        plugins,
        addresses,
        lists_changed,
        tables_doubted,
        log,
        died,
        pulse: hearts.watch("the daemon's own loop"),
        hearts,
        workers: Some(workers),
        leaving: Vec::new(),
    };
    let broken = tokio::select! {
        () = daemon.until_stopped(signals, called) => None,
        () = spool.broken() => Some("the spool's writer"),
        Some(part) = dead.recv() => Some(part),
    };

    info!("stopping");
    reports.end();
    publisher.abort();
    stop.send_replace(true);
    ended(lmtp).await;
    ended(control).await;
    let workers = daemon.leaving.into_iter().chain(daemon.workers);
    let mut stops: JoinSet<()> = workers.map(RunningWorkers::stop).collect();
    while stops.join_next().await.is_some() {}
    spool.close().await;
    store.close().await;
    info!("stopped");
    match broken {
        // systemd starts us again; a daemon without one of its parts would only look alive.
        Some(part) => {
            anyhow::bail!("{part} ended unexpectedly, see the lines above; nothing that was accepted is lost")
        }
        None => Ok(()),
    }
}

/// Runs a part of the daemon; tells `died` when it panics.
fn part(
    name: &'static str,
    died: &mpsc::Sender<&'static str>,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    watched(name, died, tokio::spawn(work))
}

/// The same for a part that waits for much and computes little. One thread that finds several things ready at a time
/// does more than several threads that wake each other for each.
fn part_on_its_own_thread(
    name: &'static str,
    thread: &'static CStr,
    died: &mpsc::Sender<&'static str>,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let work = tokio::task::spawn_blocking(move || {
        // For `top -H`, and for nothing else.
        let _ = rustix::thread::set_name(thread);
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                runtime.block_on(work);
                // A name that is still being looked up must not keep a stopped daemon.
                runtime.shutdown_timeout(LAST_PATIENCE);
            }
            Err(error) => panic!("its event loop cannot be made: {error}"),
        }
    });
    watched(name, died, work)
}

fn watched(name: &'static str, died: &mpsc::Sender<&'static str>, work: JoinHandle<()>) -> JoinHandle<()> {
    let died = died.clone();
    tokio::spawn(async move {
        if let Err(failure) = work.await {
            error!("{name}: {failure}");
            let _ = died.send(name).await;
        }
    })
}

/// Waits for a part to end.
async fn ended(part: JoinHandle<()>) {
    let _ = part.await;
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

    fn start(self, died: &mpsc::Sender<&'static str>, hearts: &Hearts) -> RunningWorkers {
        let (phase, phases) = watch::channel(Phase::Working);
        let until = |wanted: Phase| {
            let mut phases = phases.clone();
            async move {
                let _ = phases.wait_for(|phase| *phase >= wanted).await;
            }
        };
        let post = part_on_its_own_thread(
            "the post pipeline",
            c"post",
            died,
            self.post.watched(hearts.watch("the post pipeline")).run(until(Phase::Replaced)),
        );
        let deliver = self
            .deliver
            .watched(hearts.watch("delivery"))
            .run_until_replaced(until(Phase::Replaced), until(Phase::Ending));
        RunningWorkers { phase, post, deliver: part_on_its_own_thread("delivery", c"deliver", died, deliver) }
    }
}

/// How far workers are.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Phase {
    Working,
    /// Others have taken over: what was begun takes its time, for no next start would do it again.
    Replaced,
    /// The daemon ends.
    Ending,
}

struct RunningWorkers {
    phase: watch::Sender<Phase>,
    post: JoinHandle<()>,
    deliver: JoinHandle<()>,
}

impl RunningWorkers {
    /// Returns when others may take over; deliveries may still be under way.
    async fn make_way(&mut self) {
        self.phase.send_replace(Phase::Replaced);
        let _ = (&mut self.post).await;
    }

    async fn stop(self) {
        self.phase.send_replace(Phase::Ending);
        // Where way was made it was awaited then.
        if !self.post.is_finished() {
            ended(self.post).await;
        }
        ended(self.deliver).await;
    }
}

/// What the outside tells us.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate()).context("SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT")?,
            hangup: signal(SignalKind::hangup()).context("SIGHUP")?,
        })
    }
}

/// The daemon between start and stop.
struct Running {
    /// The configuration that was read at the start; what needs a restart is compared with it.
    started: Loaded,
    /// The configuration that was read last.
    current: Loaded,
    store: Store,
    spool: Spool,
    plugins: Arc<PluginRegistry>,
    addresses: Vec<String>,
    lists_changed: Arc<Notify>,
    /// The tables are to be compared with the lists, whatever generation they are of.
    tables_doubted: Arc<AtomicBool>,
    log: Log,
    died: mpsc::Sender<&'static str>,
    hearts: Hearts,
    pulse: Pulse,
    workers: Option<RunningWorkers>,
    /// Those that were replaced and still deliver something.
    leaving: Vec<RunningWorkers>,
}

impl Running {
    /// Serves signals and calls; returns when it is time to stop.
    async fn until_stopped(&mut self, mut signals: Signals, mut calls: mpsc::Receiver<Call>) {
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return,
                _ = signals.interrupt.recv() => return,
                () = self.pulse.asked() => {}
                _ = signals.hangup.recv() => {
                    if let Err(error) = self.reload().await {
                        error!("{error}");
                    }
                }
                Some(Call { request, reply }) = calls.recv() => {
                    let stop = request == Request::Stop;
                    match self.answer(request).await {
                        Ok(value) => reply.ok(value),
                        Err(why) => reply.error(why),
                    }
                    if stop {
                        return;
                    }
                }
            }
        }
    }

    async fn answer(&mut self, request: Request) -> Result<Value, String> {
        match request {
            Request::Ping | Request::Stop => {}
            Request::Spool => self.spool.wake(),
            Request::Lists => self.lists_changed.notify_one(),
            Request::Reload => return self.reload().await,
            Request::Plugins(name) => return self.reload_plugins(name.as_deref()).await,
            Request::Progress(outgoing) => return Ok(progress(&self.spool, outgoing)),
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

    /// Reads the configuration again. A wrong one changes nothing.
    async fn reload(&mut self) -> Result<Value, String> {
        let _excuse = self.pulse.excuse(RELOAD);
        let kept = |error: String| format!("the configuration was not read again, the old one stays: {error}");
        let new = Config::load(self.current.config.file.as_deref()).map_err(|errors| kept(errors.to_string()))?;
        let plugins = Arc::clone(&self.plugins);
        let anew = block_in_place(|| plugins.reload(None)).map_err(|error| kept(error.to_string()))?;
        // Whatever fails from here on takes the new plugins back.
        let workers = self.prepare(&new.config);
        let workers = workers.map_err(|error| kept(format!("{error:#}")))?;
        self.log
            .apply(&new.config.logging)
            .and_then(|()| self.log.reopen())
            .map_err(|error| kept(error.to_string()))?;
        let reloaded = self.use_plugins(anew);
        let plugins = reloaded.iter().filter(|one| one.version.is_ok()).map(|one| format!("the plugin {}", one.name));

        let named = |changes: Vec<config::Change>, restart: bool| -> Vec<String> {
            changes.iter().filter(|one| one.needs_restart() == restart).map(ToString::to_string).collect()
        };
        let mut applied = named(config::changes(&self.current, &new), false);
        applied.extend(plugins);
        let restart = named(config::changes(&self.started, &new), true);
        if !applied.is_empty() {
            self.replace(workers).await;
        }
        for key in &restart {
            warn!("{key} has changed in the file; restart the daemon for it to take effect");
        }
        info!(
            "configuration read again; changed: {}",
            if applied.is_empty() { "nothing".into() } else { applied.join(", ") }
        );
        self.current = new;
        Ok(json!({ "applied": applied, "needs_restart": restart }))
    }

    /// Loads plugins anew, and makes those use them who have adapters of the old ones.
    async fn reload_plugins(&mut self, name: Option<&str>) -> Result<Value, String> {
        let _excuse = self.pulse.excuse(RELOAD);
        let plugins = Arc::clone(&self.plugins);
        let anew = block_in_place(|| plugins.reload(name)).map_err(|error| error.to_string())?;
        let workers = if anew.plugins().iter().any(|one| one.version.is_ok()) {
            let workers = self.prepare(&self.current.config);
            Some(workers.map_err(|error| format!("what was running goes on as it was: {error:#}"))?)
        } else {
            None
        };
        let reloaded = self.use_plugins(anew);
        if let Some(workers) = workers {
            self.replace(workers).await;
        }
        let told = |one: &Reloaded| {
            let file = one.file.display().to_string();
            match &one.version {
                Ok(version) => json!({ "name": one.name, "file": file, "version": version }),
                Err(error) => json!({ "name": one.name, "file": file, "reason": error.to_string() }),
            }
        };
        Ok(json!({ "plugins": reloaded.iter().map(told).collect::<Vec<_>>() }))
    }

    /// From now on the old ones are no more.
    fn use_plugins(&self, anew: Reload<'_>) -> Vec<Reloaded> {
        let reloaded = anew.commit();
        for one in &reloaded {
            match &one.version {
                Ok(version) => {
                    info!("the plugin {} {version} was loaded anew from {}", one.name, one.file.display());
                    // Another version may make other tables of the same lists.
                    self.tables_doubted.store(true, Ordering::Relaxed);
                    self.lists_changed.notify_one();
                }
                Err(error) => warn!("the plugin {} goes on as it was loaded: {error}", one.name),
            }
        }
        reloaded
    }

    fn prepare(&self, config: &Config) -> anyhow::Result<Workers> {
        // It calls plugins.
        block_in_place(|| Workers::prepare(config, &self.plugins, &self.store, &self.spool))
    }

    async fn replace(&mut self, workers: Workers) {
        self.leaving.retain(|old| !old.deliver.is_finished());
        if let Some(mut old) = self.workers.take() {
            old.make_way().await;
            self.leaving.push(old);
        }
        self.workers = Some(workers.start(&self.died, &self.hearts));
    }
}

/// What the spool alone does not know: who is being delivered to just now, and how fast it goes.
fn progress(spool: &Spool, outgoing: Option<i64>) -> Value {
    let running = spool.progress();
    let chosen = running.iter().filter(|one| outgoing.is_none_or(|wanted| wanted == one.outgoing));
    let told = |one: &Progress| {
        let mut value = json!({ "id": one.outgoing, "in_flight": one.leased.len(), "per_second": one.per_second });
        if outgoing.is_some() {
            value["leased"] = json!(one.leased);
        }
        value
    };
    json!({ "out": chosen.map(told).collect::<Vec<_>>() })
}

/// Compares the tables with the lists at the start (the configuration may have changed, a publication
/// may have been interrupted), finishes what a command could not, and tries again, later and later,
/// while it fails.
async fn publish_what_is_left(
    config: Config,
    store: Store,
    plugins: Arc<PluginRegistry>,
    lists_changed: Arc<Notify>,
    tables_doubted: Arc<AtomicBool>,
) {
    let mut pause = PUBLISH_PAUSE;
    loop {
        // Another adapter than ours may have left them, and ours may be out of order.
        clear_forgotten_guards(&config).await;
        let wish = Wish { always: tables_doubted.swap(false, Ordering::Relaxed), ..Wish::default() };
        match publish(&config, &store, &plugins, wish).await {
            Ok(()) => {
                pause = PUBLISH_PAUSE;
                lists_changed.notified().await;
            }
            Err(failure) => {
                tables_doubted.fetch_or(wish.always, Ordering::Relaxed);
                error!("the MTA's tables are behind: {failure:#}; tried again in {} s", pause.as_secs());
                let _ = tokio::time::timeout(pause, lists_changed.notified()).await;
                pause = (pause * 2).min(PUBLISH_PAUSE_MAX);
            }
        }
    }
}

/// A directory that a killed run has left guarded would defer all mail. Nothing is done while another run publishes.
async fn clear_forgotten_guards(config: &Config) {
    let (tables, locks) = (config.paths.table_dir.clone(), config.paths.lock_dir.clone());
    match tokio::task::spawn_blocking(move || hookup::clear_forgotten_guards(&tables, &locks)).await {
        Ok(Ok(cleared)) => cleared.iter().for_each(|directory| {
            info!("{} was left guarded by a run that was killed; the guard is cleared", directory.display());
        }),
        Ok(Err(failure)) => error!("{failure}"),
        Err(failure) => error!("clearing forgotten guards: {failure}"),
    }
}

async fn publish(config: &Config, store: &Store, plugins: &PluginRegistry, wish: Wish) -> anyhow::Result<()> {
    let generation = store.generation().await?;
    // The note may be that of a run at work; under the lock it is looked at again.
    let interrupted = hookup::was_interrupted(&config.paths.table_dir);
    if generation.applied >= generation.wanted && !wish.always && !interrupted {
        return Ok(());
    }
    let hookup = Arc::new(block_in_place(|| hookup::from_config(config, plugins))?);
    let done = hookup::bring_up_to_date(store, hookup, wish).await?;
    if let Outcome::Done(report) = done
        && (report.changed() || report.waiting.is_some() || !report.by_hand.is_empty())
    {
        report.to_string().lines().for_each(|line| info!("{line}"));
    }
    Ok(())
}
