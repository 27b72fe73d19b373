//! The workers of one plugin.

use super::Launch;
use super::process::{Broken, Worker, understand};
use super::wire::{self, Said};
use crate::plugins::load::Stamp;
use crate::plugins::{Fate, PluginError, PluginInfo, fate};
use postrider_plugin_api::sdk::{Error, ErrorKind, HostLog, Result};
use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Most workers of one plugin; further calls wait.
const MOST: usize = 16;
/// How long a call waits for a worker that is busy before another one is started.
const QUEUE: Duration = Duration::from_millis(5);
/// Pause after the second death in a row; doubles with each further one. The first death costs no pause.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// Where a plugin can die besides the methods of its adapters.
const LOAD: &str = "load";
const BETWEEN_CALLS: &str = "between two calls";
pub(super) const DROP: &str = "drop";

/// The workers of one plugin.
pub(in crate::plugins) struct Pool {
    launch: Launch,
    /// Kept open, so that all workers have the same one whatever happens to its name.
    library: File,
    /// What it was when it was opened.
    stamp: Stamp,
    state: Mutex<State>,
    changed: Condvar,
    numbers: AtomicU64,
}

#[derive(Default)]
struct State {
    /// The one that was used last at the end.
    idle: Vec<(Worker, Instant)>,
    /// Idle and busy ones.
    running: usize,
    deaths: Deaths,
    /// The adapters that exist, by number, with their logs.
    adapters: HashMap<u64, Arc<dyn HostLog>>,
    /// A thread waits to end those that stay idle.
    watched: bool,
    /// No worker is kept any more: the plugin was loaded anew, or nobody needs it.
    retired: bool,
}

/// Deaths one after the other.
#[derive(Default)]
struct Deaths {
    in_a_row: u32,
    last: Option<Instant>,
    /// In which method the last one was; only its success ends the row. A death outside any method, which nothing
    /// could prove to be over, does not count here.
    method: Option<&'static str>,
    until: Option<Instant>,
}

impl Deaths {
    /// Notes one in a call that began at this time; how long nothing is tried now.
    fn note(&mut self, method: &'static str, begun: Instant, now: Instant) -> Duration {
        if self.last.is_some_and(|last| now.duration_since(last) > 2 * PAUSE_MAX) {
            *self = Deaths::default();
        }
        // Calls that were under way together may have died of one cause.
        if self.last.is_none_or(|last| begun >= last) {
            self.in_a_row = self.in_a_row.saturating_add(1);
        }
        self.last = Some(now);
        if ![BETWEEN_CALLS, DROP].contains(&method) {
            self.method = Some(method);
        }
        let pause = match self.in_a_row {
            1 => Duration::ZERO,
            row => PAUSE.saturating_mul(1 << (row - 2).min(16)).min(PAUSE_MAX),
        };
        self.until = Some(now + pause).filter(|_| !pause.is_zero());
        pause
    }

    fn note_success(&mut self, method: &'static str) {
        if self.in_a_row > 0 && self.method.is_none_or(|died| died == method) {
            *self = Deaths::default();
        }
    }

    /// Whole seconds, at least 1, for which nothing is tried yet.
    fn pause(&self, now: Instant) -> Option<u64> {
        let left = self.until?.checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some(left.as_secs() + u64::from(left.subsec_nanos() > 0))
    }
}

impl Pool {
    /// Starts the first worker, which loads the plugin.
    pub(super) fn start(
        launch: Launch,
        library: File,
        stamp: Stamp,
    ) -> std::result::Result<(Arc<Pool>, PluginInfo), PluginError> {
        let pool = Arc::new(Pool {
            launch,
            library,
            stamp,
            state: Mutex::default(),
            changed: Condvar::new(),
            numbers: AtomicU64::new(0),
        });
        pool.state().running += 1;
        let result = pool.new_worker(Instant::now() + pool.launch.limits.start);
        match result {
            Ok((worker, info)) => {
                pool.give_back(worker);
                Ok((pool, info))
            }
            Err(Start::Refused(error)) => Err(error),
            Err(Start::Died(reason)) => Err(PluginError::LoadCrashed { file: pool.launch.file.clone(), reason }),
        }
    }

    pub(in crate::plugins) fn launch(&self) -> &Launch {
        &self.launch
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a new adapter, and where what it logs goes.
    pub(super) fn register(&self, log: Arc<dyn HostLog>) -> u64 {
        let id = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.state().adapters.insert(id, log);
        id
    }

    /// Nobody has this adapter any more; each worker drops it before its next call.
    pub(super) fn unregister(&self, id: u64) {
        self.state().adapters.remove(&id);
    }

    pub(super) fn log(&self, id: u64) -> Option<Arc<dyn HostLog>> {
        self.state().adapters.get(&id).cloned()
    }

    /// Adapters that this worker has for nobody.
    pub(super) fn forgotten(&self, made: &[u64]) -> Vec<u64> {
        let state = self.state();
        made.iter().copied().filter(|id| !state.adapters.contains_key(id)).collect()
    }

    /// Why nothing is tried now, if so.
    pub(in crate::plugins) fn rests(&self) -> Option<String> {
        let seconds = self.state().deaths.pause(Instant::now())?;
        Some(format!("the plugin {} crashes again and again; it is tried again in {seconds} s", self.launch.name))
    }

    /// Ends the idle workers, and every other one when its call is over.
    pub(in crate::plugins) fn retire(&self) {
        let idle = {
            let mut state = self.state();
            state.retired = true;
            state.running -= state.idle.len();
            std::mem::take(&mut state.idle)
        };
        self.changed.notify_all();
        end_all(idle);
    }

    /// Has a worker do something, all in all within the limit.
    ///
    /// # Errors
    /// The plugin's own, or that the worker died, was killed, or cannot be had.
    pub(super) fn call<T>(
        self: &Arc<Self>,
        method: &'static str,
        limit: Duration,
        work: impl FnOnce(&mut Worker) -> std::result::Result<Result<T>, (Broken, &'static str)>,
    ) -> Result<T> {
        let begun = Instant::now();
        let until = begun + limit;
        let mut worker = self.take(method, until).inspect_err(|_| fate::note(Fate::NotCalled))?;
        worker.be_done_by(until);
        // Counted down again whatever happens, also if a callback of ours panics.
        let slot = Slot(self);
        match work(&mut worker) {
            Ok(result) => {
                std::mem::forget(slot);
                self.succeeded(method);
                self.give_back(worker);
                result
            }
            Err((broken, died_in)) => {
                let cause = worker.cause_of_death(&broken, &self.launch, limit);
                fate::note(if died_in == method { Fate::Died } else { Fate::NotCalled });
                Err(self.died(died_in, begun, &cause))
            }
        }
    }

    /// Notes that the plugin did well in this method.
    pub(super) fn succeeded(&self, method: &'static str) {
        self.state().deaths.note_success(method);
    }

    fn died(&self, method: &'static str, begun: Instant, cause: &str) -> Error {
        let pause = self.state().deaths.note(method, begun, Instant::now());
        let name = &self.launch.name;
        let again = if pause.is_zero() {
            "it is started again".to_owned()
        } else {
            format!("it is started again in {} s", pause.as_secs())
        };
        let error = format!("the plugin {name} crashed in {method}(): {cause}; {again}");
        tracing::error!(target: "plugin", plugin = name, "{error}");
        Error::new(ErrorKind::Temporary, error)
    }

    fn take(self: &Arc<Self>, method: &'static str, until: Instant) -> Result<Worker> {
        let mut queued = Some(Instant::now() + QUEUE);
        let mut state = self.state();
        loop {
            if let Some(seconds) = state.deaths.pause(Instant::now()) {
                let name = &self.launch.name;
                let message = format!("the plugin {name} crashes again and again; it is tried again in {seconds} s");
                return Err(Error::new(ErrorKind::Temporary, message));
            }
            if let Some((mut worker, _)) = state.idle.pop() {
                if !worker.has_ended() {
                    return Ok(worker);
                }
                state.running -= 1;
                drop(state);
                let cause = worker.cause_of_death(&Broken::Gone, &self.launch, Duration::ZERO);
                let name = &self.launch.name;
                tracing::error!(target: "plugin", plugin = name, "the plugin {name} crashed between two calls: {cause}; it is started again");
                state = self.state();
                let now = Instant::now();
                state.deaths.note(BETWEEN_CALLS, now, now);
                continue;
            }
            let now = Instant::now();
            if state.running == 0 || (state.running < MOST && queued.is_none_or(|queued| now >= queued)) {
                state.running += 1;
                drop(state);
                let slot = Slot(self);
                return match self.new_worker(until.min(now + self.launch.limits.start)) {
                    Ok((worker, _)) => {
                        std::mem::forget(slot);
                        self.succeeded(LOAD);
                        Ok(worker)
                    }
                    Err(Start::Refused(error)) => Err(Error::new(ErrorKind::Temporary, error.to_string())),
                    Err(Start::Died(cause)) => Err(self.died(LOAD, now, &cause)),
                };
            }
            let wake = if state.running < MOST { queued.unwrap_or(until).min(until) } else { until };
            let Some(left) = wake.checked_duration_since(now).filter(|left| !left.is_zero()) else {
                if now >= until {
                    let name = &self.launch.name;
                    let message =
                        format!("all {MOST} workers of the plugin {name} are busy; {method}() was not called");
                    return Err(Error::new(ErrorKind::Temporary, message));
                }
                queued = None;
                continue;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn new_worker(&self, until: Instant) -> std::result::Result<(Worker, PluginInfo), Start> {
        let limit = until.saturating_duration_since(Instant::now());
        let mut worker = Worker::start(&self.launch, &self.library, self.stamp, until)
            .map_err(|error| Start::Died(format!("no process could be started: {error}")))?;
        match loaded(&mut worker) {
            Ok(Ok(info)) => Ok((worker, info)),
            Ok(Err(refusal)) => {
                worker.end();
                Err(Start::Refused(refusal))
            }
            // A second that is rounded down would be told as 0 or 29.
            Err(broken) => {
                Err(Start::Died(worker.cause_of_death(&broken, &self.launch, limit + Duration::from_millis(500))))
            }
        }
    }

    /// Keeps a worker for the next call.
    fn give_back(self: &Arc<Self>, worker: Worker) {
        let mut state = self.state();
        if state.retired {
            state.running -= 1;
            drop(state);
            worker.end();
            return;
        }
        state.idle.push((worker, Instant::now() + self.launch.limits.idle));
        if !state.watched {
            let pool = Arc::downgrade(self);
            let idle = self.launch.limits.idle;
            let watch = move || {
                let mut pause = idle;
                loop {
                    thread::park_timeout(pause);
                    let Some(pool) = std::sync::Weak::upgrade(&pool) else { return };
                    match pool.end_idle() {
                        Some(next) => pause = next,
                        None => return,
                    }
                }
            };
            // Without it they stay, no more.
            state.watched =
                thread::Builder::new().name("plugin-idle".to_owned()).stack_size(256 << 10).spawn(watch).is_ok();
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Ends those that were idle for long; when to look again, if there are others.
    fn end_idle(&self) -> Option<Duration> {
        let now = Instant::now();
        let (ended, next) = {
            let mut state = self.state();
            let (ended, kept): (Vec<_>, Vec<_>) =
                std::mem::take(&mut state.idle).into_iter().partition(|(_, until)| *until <= now);
            state.idle = kept;
            state.running -= ended.len();
            // The first is the one that was idle longest. Busy ones come back later and start a new watch.
            let next = state.idle.iter().map(|(_, until)| until.saturating_duration_since(now)).min();
            state.watched = next.is_some();
            (ended, next)
        };
        end_all(ended);
        next
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        end_all(std::mem::take(&mut state.idle));
    }
}

fn end_all(workers: Vec<(Worker, Instant)>) {
    for (worker, _) in workers {
        worker.end();
    }
}

/// A running worker that is about to be lost.
struct Slot<'p>(&'p Pool);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.state().running -= 1;
        self.0.changed.notify_one();
    }
}

enum Start {
    Refused(PluginError),
    Died(String),
}

/// Waits for the plugin to be loaded.
fn loaded(worker: &mut Worker) -> std::result::Result<std::result::Result<PluginInfo, PluginError>, Broken> {
    loop {
        let frame = worker.receive()?;
        match understand(&frame)? {
            Said::Done(result) => return Ok(wire::value(result)?),
            // No adapter, no log.
            Said::Log { message, .. } => tracing::info!(target: "plugin", "{message}"),
            Said::Ask(_) => return Err(Broken::Garbled("a question before the first call".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_deaths_in_a_row_and_end_with_a_success_of_what_failed() {
        let start = Instant::now();
        let mut deaths = Deaths::default();
        let die = |deaths: &mut Deaths, at: Instant| deaths.note("plan", at, at);
        let pauses: Vec<u64> = (0..12).map(|_| die(&mut deaths, start).as_secs()).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(deaths.pause(start), Some(300));
        assert_eq!(deaths.pause(start + Duration::from_millis(299_500)), Some(1));
        assert_eq!(deaths.pause(start + PAUSE_MAX), None);
        deaths.note_success("probe");
        assert_eq!(die(&mut deaths, start), PAUSE_MAX);
        deaths.note_success("plan");
        assert_eq!((deaths.pause(start), die(&mut deaths, start)), (None, Duration::ZERO));
        // What happened long ago does not count.
        die(&mut deaths, start);
        assert_eq!(die(&mut deaths, start + Duration::from_hours(1)), Duration::ZERO);
    }

    #[test]
    fn calls_that_were_under_way_together_die_once() {
        let start = Instant::now();
        let mut deaths = Deaths::default();
        let later = |seconds| start + Duration::from_secs(seconds);
        let pauses: Vec<u64> = (5..17).map(|died| deaths.note("deliver", start, later(died)).as_secs()).collect();
        assert_eq!(pauses, [0; 12]);
        assert_eq!(deaths.note("deliver", later(17), later(18)), PAUSE);
    }

    #[test]
    fn a_death_outside_all_methods_hides_none_in_one_and_ends_with_any_success() {
        let now = Instant::now();
        let mut deaths = Deaths::default();
        deaths.note(BETWEEN_CALLS, now, now);
        deaths.note_success("check");
        assert_eq!(deaths.note("plan", now, now), Duration::ZERO);
        deaths.note(BETWEEN_CALLS, now, now);
        deaths.note_success("check");
        assert_eq!(deaths.note("plan", now, now), 2 * PAUSE, "plan() has not succeeded");
        deaths.note_success("plan");
        assert_eq!(deaths.note(DROP, now, now), Duration::ZERO);
    }
}
