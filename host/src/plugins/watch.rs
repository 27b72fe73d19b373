//! Calls of a plugin that must come back.
//!
//! Nobody can stop a call that loops in our own process. So each call has a thread of its
//! own, and after its time we go on without it. That thread is lost, hence the adapter is refused from
//! then on until Postrider is restarted, also to those that open it anew: a plugin that loops costs as
//! many threads as calls were under way, and no connection or lock for longer than the time limit.
//!
//! A call that goes to a worker process ends with it, and with an error, when its time is up; there is nothing to lose.

use super::{Fate, fate};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;

/// Watches over the calls of one adapter.
#[derive(Clone)]
pub struct Watch {
    adapter: String,
    limit: Duration,
    /// The method that did not come back.
    lost: Arc<OnceLock<&'static str>>,
    /// Its calls go to a worker process; says why that is not to be asked now.
    worker: Option<Arc<dyn Fn() -> Option<String> + Send + Sync>>,
}

/// Why there is no answer of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It took too long.
    #[error(
        "{adapter} did not return from {method}() within {seconds} s and is not asked again until Postrider is \
         restarted; correct, update or replace the plugin"
    )]
    Overdue {
        /// The adapter.
        adapter: String,
        /// The method that was called.
        method: &'static str,
        /// The time limit.
        seconds: u64,
    },
    /// It took too long earlier.
    #[error(
        "{adapter} is not asked, because it has not returned from {method}(); correct, update or replace the plugin, \
         then restart Postrider"
    )]
    Refused {
        /// The adapter.
        adapter: String,
        /// The method that did not come back.
        method: &'static str,
    },
    /// Its process died again and again.
    #[error("{adapter} is not asked now: {why}")]
    Resting {
        /// The adapter.
        adapter: String,
        /// What happened, and when it is tried again.
        why: String,
    },
    /// Its thread ended without an answer, or could not be started.
    #[error("{adapter} broke off in {method}(): {why}")]
    BrokenOff {
        /// The adapter.
        adapter: String,
        /// The method that was called.
        method: &'static str,
        /// What happened.
        why: String,
    },
}

impl Watch {
    /// For a named adapter. All watches over the same name share what they know of it.
    pub fn over(adapter: &str, limit: Duration) -> Self {
        static LOST: Mutex<BTreeMap<String, Arc<OnceLock<&'static str>>>> = Mutex::new(BTreeMap::new());
        let mut all = LOST.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = Arc::clone(all.entry(adapter.to_owned()).or_default());
        Watch { adapter: adapter.to_owned(), limit, lost, worker: None }
    }

    /// For a named adapter whose calls go to a worker process. `rests` says why that is not to be asked now.
    pub fn over_worker(
        adapter: &str,
        limit: Duration,
        rests: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Watch { adapter: adapter.to_owned(), limit, lost: Arc::default(), worker: Some(Arc::new(rests)) }
    }

    /// Calls, and waits on this thread.
    ///
    /// # Errors
    /// [`NoAnswer`]; the call may still be under way.
    pub fn call<T: Send + 'static>(
        &self,
        method: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (answer, answered) = mpsc::channel();
        // Nobody listens any more when it comes too late, here and below.
        self.start(method, move || drop(answer.send(work())))?;
        answered.recv_timeout(self.limit).map_err(|error| match error {
            mpsc::RecvTimeoutError::Timeout => self.overdue(method),
            mpsc::RecvTimeoutError::Disconnected => self.panicked(method),
        })
    }

    /// Calls, and waits without a thread. Tells whether what is returned is the plugin's own word.
    ///
    /// # Errors
    /// [`NoAnswer`]; the call may still be under way.
    pub async fn call_async<T: Send + 'static>(
        &self,
        method: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, Fate), NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.start(method, move || drop(answer.send((work(), fate::take()))))?;
        match tokio::time::timeout(self.limit, answered).await {
            Ok(answer) => answer.map_err(|_| self.panicked(method)),
            Err(_) => Err(self.overdue(method)),
        }
    }

    fn start(&self, method: &'static str, work: impl FnOnce() + Send + 'static) -> Result<(), NoAnswer> {
        if let Some(method) = self.lost.get() {
            return Err(NoAnswer::Refused { adapter: self.adapter.clone(), method });
        }
        if let Some(why) = self.worker.as_ref().and_then(|rests| rests()) {
            return Err(NoAnswer::Resting { adapter: self.adapter.clone(), why });
        }
        let thread = std::thread::Builder::new().name("plugin".to_owned());
        thread.spawn(work).map(drop).map_err(|error| self.broken_off(method, error.to_string()))
    }

    fn overdue(&self, method: &'static str) -> NoAnswer {
        if self.worker.is_some() {
            // It is our own side that takes so long: a store or a program that does not answer.
            let why = format!("no answer within {} s", self.limit.as_secs());
            return self.broken_off(method, why);
        }
        let error = NoAnswer::Overdue { adapter: self.adapter.clone(), method, seconds: self.limit.as_secs() };
        // Calls that were under way together tell it once.
        if self.lost.set(method).is_ok() {
            tracing::error!("{error}");
        }
        error
    }

    fn panicked(&self, method: &'static str) -> NoAnswer {
        self.broken_off(method, "it panicked".to_owned())
    }

    fn broken_off(&self, method: &'static str, why: String) -> NoAnswer {
        NoAnswer::BrokenOff { adapter: self.adapter.clone(), method, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_that_does_not_come_back_is_refused_whoever_opens_it_anew() {
        let watch = Watch::over("the adapter slow.Test", Duration::from_millis(20));
        assert_eq!(watch.call("plan", || 1), Ok(1));
        let (end, ended) = mpsc::channel::<()>();
        let error = watch.call("plan", move || ended.recv().is_ok()).expect_err("overdue").to_string();
        assert!(error.starts_with("the adapter slow.Test did not return from plan() within 0 s"), "{error}");
        let again = Watch::over("the adapter slow.Test", Duration::from_mins(1));
        let refused = NoAnswer::Refused { adapter: "the adapter slow.Test".to_owned(), method: "plan" };
        assert_eq!(again.call("check", || 1), Err(refused));
        assert_eq!(Watch::over("the adapter other.Test", Duration::from_mins(1)).call("check", || 1), Ok(1));
        drop(end);
    }

    #[tokio::test]
    async fn a_panic_is_told_and_does_not_refuse_the_adapter() {
        let watch = Watch::over("the adapter panics.Test", Duration::from_mins(1));
        let error = watch.call_async("deliver", || -> i32 { panic!("boom") }).await.expect_err("panicked");
        assert_eq!(error.to_string(), "the adapter panics.Test broke off in deliver(): it panicked");
        assert_eq!(watch.call_async("deliver", || 1).await, Ok((1, Fate::Answered)));
        let not_called = || fate::note(Fate::NotCalled);
        assert_eq!(watch.call_async("deliver", not_called).await, Ok(((), Fate::NotCalled)));
        assert_eq!(watch.call_async("deliver", || 2).await, Ok((2, Fate::Answered)), "a call has its own");
    }
}
