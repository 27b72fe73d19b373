//! An adapter that is made anew after a panic.
//!
//! Nobody knows what a panic leaves half done inside an adapter, so it is dropped, and the next call
//! meets a new one with the same settings and the same log. Calls that were under way at that moment
//! finish with the old one.

use super::{Fate, PluginError, fate};
use postrider_plugin_api::sdk::{
    Abilities, Batch, Change, Context, Envelope, Error, ErrorKind, Facts, Finding, HostLog, IncomingAdapter, Injection,
    LogLevel, OutgoingAdapter, PlanSink, RecipientResult, Result, Settings, Site, Snippet, Tools,
};
use std::sync::{Arc, Mutex, PoisonError};

/// Makes one and the same adapter whenever asked.
type Maker<A> = Box<dyn Fn() -> Result<A> + Send + Sync>;

/// One adapter, made anew after a panic.
pub(super) struct Renewed<A> {
    name: String,
    make: Maker<A>,
    current: Mutex<Option<Arc<A>>>,
    log: Arc<dyn HostLog>,
}

impl<A> Renewed<A> {
    /// Makes the adapter for the first time.
    pub(super) fn new(name: String, log: Arc<dyn HostLog>, make: Maker<A>) -> std::result::Result<Self, PluginError> {
        let renewed = Renewed { name, make, current: Mutex::new(None), log };
        match renewed.current() {
            Ok(_) => Ok(renewed),
            Err(error) => Err(PluginError::Adapter { adapter: renewed.name, error }),
        }
    }

    fn current(&self) -> Result<Arc<A>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(adapter) = &*current {
            return Ok(Arc::clone(adapter));
        }
        let adapter = Arc::new((self.make)().map_err(on_one_line)?);
        *current = Some(Arc::clone(&adapter));
        Ok(adapter)
    }

    fn call<T>(&self, body: impl FnOnce(&A) -> Result<T>) -> Result<T> {
        let adapter = self.current().inspect_err(|_| fate::note(Fate::NotCalled))?;
        fate::note(Fate::Answered);
        let result = body(&adapter).map_err(on_one_line);
        if let Err(Error { kind: ErrorKind::Panic, message, .. }) = &result {
            self.log.log(LogLevel::Error, &format!("adapter {}: {message}; it is made anew", self.name));
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &adapter)) {
                *current = None;
            }
        }
        result
    }
}

/// Whatever a plugin says is one line of a log or of a terminal.
fn on_one_line(mut error: Error) -> Error {
    for text in [&mut error.message, &mut error.hint] {
        if text.contains(char::is_control) {
            *text = text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        }
    }
    error
}

fn not_from_nothing() -> Error {
    Error::new(ErrorKind::Unsupported, "an adapter of a plugin is made by the plugin registry")
}

impl IncomingAdapter for Renewed<Box<dyn IncomingAdapter>> {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Err(not_from_nothing())
    }

    fn probe(&self, site: &Site, tools: &dyn Tools) -> Result<Facts> {
        self.call(|adapter| adapter.probe(site, tools))
    }

    fn plan(&self, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        self.call(|adapter| adapter.plan(context, change, sink))
    }

    fn snippets(&self, context: Context<'_>) -> Result<Vec<Snippet>> {
        self.call(|adapter| adapter.snippets(context))
    }

    fn check(&self, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
        self.call(|adapter| adapter.check(context, tools))
    }
}

impl OutgoingAdapter for Renewed<Box<dyn OutgoingAdapter>> {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Err(not_from_nothing())
    }

    fn abilities(&self) -> Abilities {
        self.call(|adapter| Ok(adapter.abilities())).unwrap_or_default()
    }

    fn programs(&self) -> Vec<String> {
        self.call(|adapter| Ok(adapter.programs())).unwrap_or_default()
    }

    fn inject(&self, envelope: Envelope<'_>) -> Result<Injection> {
        self.call(|adapter| adapter.inject(envelope))
    }

    fn deliver(&self, batch: Batch<'_>) -> Result<Vec<RecipientResult>> {
        self.call(|adapter| adapter.deliver(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Silent;
    impl HostLog for Silent {
        fn log(&self, _: LogLevel, _: &str) {}
    }

    #[test]
    fn only_a_panic_makes_the_adapter_anew() {
        let made = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        let make: Maker<usize> = Box::new(move || Ok(counter.fetch_add(1, Ordering::SeqCst)));
        let adapter = Renewed::new("acme.LMTP".to_owned(), Arc::new(Silent), make).unwrap();

        assert_eq!(adapter.call(|which| Ok(*which)), Ok(0));
        let failed = adapter.call(|_| Err::<(), _>(Error::failed("no\nluck\r\n")));
        assert_eq!(failed, Err(Error::failed("no luck")));
        assert_eq!(adapter.call(|which| Ok(*which)), Ok(0));
        let panicked = adapter.call(|_| Err::<(), _>(Error::new(ErrorKind::Panic, "plan panicked: boom")));
        assert_eq!(panicked.unwrap_err().message, "plan panicked: boom");
        assert_eq!(adapter.call(|which| Ok(*which)), Ok(1));
    }
}
