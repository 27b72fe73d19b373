//! One call of a function of an adapter: what it lends, what the plugin answers, how it ends.
//!
//! What a plugin has in its hands is a number. Our functions look it up among the calls that this thread is in, so a
//! call that is over or belongs to another thread is an error and not a pointer into nothing.

use super::lend::{LentSite, without_nul};
use super::read::Wrong;
use postrider_plugin_api::abi;
use postrider_plugin_api::c::{
    POSTRIDER_BROKEN, POSTRIDER_FAILED, POSTRIDER_INVALID_SETTING, POSTRIDER_OK, POSTRIDER_TEMPORARY,
    POSTRIDER_UNSUPPORTED, postrider_call, postrider_output, postrider_status,
};
use postrider_plugin_api::sdk::{
    Error, ErrorKind, Facts, Finding, Injection, PlanSink, RecipientResult, Result, Roster, SettingSpec, Settings,
    Site, Snippet, Tools,
};
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// One call.
pub(super) struct Call<'a> {
    id: usize,
    /// `acme.LMTP`
    adapter: &'a str,
    /// The function of the plugin that is called, `plan`.
    function: &'static str,
    pub(super) settings: Option<&'a Settings>,
    pub(super) site: Option<(&'a Site, &'a LentSite)>,
    pub(super) facts: Option<&'a Facts>,
    pub(super) roster: Option<&'a dyn Roster>,
    pub(super) tools: Option<&'a dyn Tools>,
    pub(super) sink: Option<RefCell<&'a mut dyn PlanSink>>,
    pub(super) answers: RefCell<Answers>,
    /// What the plugin said with `fail`.
    said: RefCell<Option<Error>>,
    trouble: RefCell<Option<Trouble>>,
    /// What is lent until the call returns. Never taken out or changed before.
    kept: RefCell<Vec<Vec<u8>>>,
    kept_outputs: RefCell<Vec<Vec<postrider_output>>>,
}

/// What a plugin answered so far.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) settings: Vec<SettingSpec>,
    pub(super) facts: Facts,
    pub(super) snippets: Vec<Snippet>,
    pub(super) findings: Vec<Finding>,
    pub(super) abilities: Vec<String>,
    pub(super) programs: Vec<String>,
    pub(super) injection: Option<Injection>,
    pub(super) results: Vec<RecipientResult>,
}

/// Why one of our functions failed.
pub(super) enum Failure {
    /// The plugin gave something that is wrong.
    Wrong(String),
    /// The host refused, or failed.
    Host(Error),
    /// A program or a file was not to be had, which may be an answer too.
    Tools(Error),
    /// The plugin itself stopped a visit with this.
    Stopped(postrider_status),
}

/// The failure of one of our functions that decides how the call ends, whatever the plugin makes of it.
struct Trouble {
    error: Error,
    weight: Weight,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// The plugin can say that it meant it.
    Forgivable,
    Lasting,
    /// Outranks also what the plugin says.
    Panic,
}

thread_local! {
    /// The calls that this thread is in, the innermost last.
    static ACTIVE: RefCell<Vec<(usize, *const Call<'static>)>> = const { RefCell::new(Vec::new()) };
}

/// Calls that were used when or where they must not be.
static MISUSED: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

impl<'a> Call<'a> {
    /// A call that lends nothing yet.
    pub(super) fn new(adapter: &'a str, function: &'static str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        Call {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            adapter,
            function,
            settings: None,
            site: None,
            facts: None,
            roster: None,
            tools: None,
            sink: None,
            answers: RefCell::default(),
            said: RefCell::default(),
            trouble: RefCell::default(),
            kept: RefCell::default(),
            kept_outputs: RefCell::default(),
        }
    }

    /// Calls the plugin, and says how that ended.
    pub(super) fn run(self, body: impl FnOnce(*mut postrider_call) -> postrider_status) -> Result<Answers> {
        let active = Active::enter(&self);
        let status = body(self.handle());
        drop(active);
        self.end(status)
    }

    pub(super) fn handle(&self) -> *mut postrider_call {
        ptr::without_provenance_mut(self.id)
    }

    fn end(self, status: postrider_status) -> Result<Answers> {
        if MISUSED.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id) {
            let message = format!("{}: {} gave its call to another thread", self.adapter, self.function);
            return Err(Error::failed(message).with_hint("a call belongs to the thread that was called"));
        }
        let (said, trouble) = (self.said.into_inner(), self.trouble.into_inner());
        let (outranks, trouble) = match trouble {
            Some(Trouble { error, weight: Weight::Panic }) => (Some(error), None),
            other => (None, other.map(|trouble| trouble.error)),
        };
        match outranks.or(said).or(trouble) {
            Some(error) => Err(error),
            None if status == POSTRIDER_OK => Ok(self.answers.into_inner()),
            None => {
                let message = format!("{}: {} failed with {status} and did not say why", self.adapter, self.function);
                Err(Error::new(kind_of(status), message))
            }
        }
    }

    /// Notes what the plugin says; its first words count.
    pub(super) fn say(&self, error: Error) {
        self.said.borrow_mut().get_or_insert(error);
    }

    /// Forgets what the plugin may have meant.
    pub(super) fn forgive(&self) {
        let mut trouble = self.trouble.borrow_mut();
        if trouble.as_ref().is_some_and(|trouble| trouble.weight == Weight::Forgivable) {
            *trouble = None;
        }
    }

    /// The first of the gravest counts.
    fn note(&self, error: Error, weight: Weight) -> postrider_status {
        let status = status_of(error.kind);
        let mut trouble = self.trouble.borrow_mut();
        if trouble.as_ref().is_none_or(|known| known.weight < weight) {
            *trouble = Some(Trouble { error, weight });
        }
        status
    }

    fn note_failure(&self, ours: &str, failure: Failure) -> postrider_status {
        match failure {
            Failure::Wrong(wrong) => {
                let message = format!("{}: {} called {ours} wrongly: {wrong}", self.adapter, self.function);
                self.note(Error::failed(message), Weight::Lasting)
            }
            Failure::Host(error) => self.note(error, Weight::Lasting),
            Failure::Tools(error) => self.note(error, Weight::Forgivable),
            Failure::Stopped(status) => status,
        }
    }

    /// Lets one kind of call give one kind of answer.
    pub(super) fn answers_in(&self, function: &str) -> std::result::Result<std::cell::RefMut<'_, Answers>, Failure> {
        if self.function == function {
            return Ok(self.answers.borrow_mut());
        }
        Err(Failure::Wrong(format!("it is for {function} only")))
    }

    /// Lends a text until the call returns.
    pub(super) fn keep(&self, text: &str) -> std::result::Result<*const c_char, Failure> {
        Ok(self.keep_octets(without_nul(text).map_err(Failure::Host)?.as_bytes()))
    }

    /// Lends octets, with a NUL behind them, until the call returns.
    pub(super) fn keep_octets(&self, octets: &[u8]) -> *const c_char {
        let kept: Vec<u8> = octets.iter().copied().chain([0]).collect();
        let pointer = kept.as_ptr().cast();
        self.kept.borrow_mut().push(kept);
        pointer
    }

    /// Lends what a program did until the call returns.
    pub(super) fn keep_output(&self, output: postrider_output) -> *const postrider_output {
        let kept = vec![output];
        let pointer = kept.as_ptr();
        self.kept_outputs.borrow_mut().push(kept);
        pointer
    }
}

/// This thread is in a call until this is dropped.
struct Active(usize);

impl Active {
    fn enter(call: &Call<'_>) -> Self {
        ACTIVE.with_borrow_mut(|active| active.push((call.id, ptr::from_ref(call).cast())));
        Active(call.id)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let _ = ACTIVE.try_with(|active| active.borrow_mut().retain(|(id, _)| *id != self.0));
    }
}

/// What every function of ours begins and ends with: finds the call, keeps panics here, notes failures.
pub(super) fn within<T>(
    handle: *mut postrider_call,
    ours: &'static str,
    body: impl FnOnce(&Call<'_>) -> std::result::Result<T, Failure>,
) -> std::result::Result<T, postrider_status> {
    let id = handle.addr();
    let find = |active: &RefCell<Vec<(usize, *const Call<'static>)>>| {
        active.borrow().iter().rev().find(|(known, _)| *known == id).map(|(_, call)| *call)
    };
    let Some(call) = ACTIVE.try_with(find).ok().flatten() else {
        note_misuse(id, ours);
        return Err(POSTRIDER_FAILED);
    };
    // SAFETY: an entry is there only while `run` holds the call borrowed, on this very thread; the lifetime of what it
    // lends is at least as long, and the reference is not kept.
    let call: &Call<'_> = unsafe { &*call };
    match catch_unwind(AssertUnwindSafe(|| body(call))) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => Err(call.note_failure(ours, failure)),
        Err(payload) => {
            let error = Error::failed(format!("the host's {ours} panicked: {}", words(&*payload)));
            std::mem::forget(payload); // its destructor may panic too
            Err(call.note(error, Weight::Panic))
        }
    }
}

/// For a function of ours that only some calls may use: what such a call lends, or that this one is none.
pub(super) fn needed<T>(what: Option<T>) -> std::result::Result<T, Failure> {
    what.ok_or_else(|| Failure::Wrong("it is not for this call".to_owned()))
}

/// The status of a function of ours that gives nothing else.
pub(super) fn status(result: std::result::Result<(), postrider_status>) -> postrider_status {
    result.err().unwrap_or(POSTRIDER_OK)
}

/// What is wrong with an argument: `key is NULL`.
pub(super) fn argument(name: &str) -> impl Fn(Wrong) -> Failure + '_ {
    move |wrong| Failure::Wrong(format!("{name} {wrong}"))
}

fn note_misuse(id: usize, ours: &str) {
    /// Those that are over would stay in the set for ever.
    const MOST: usize = 1000;
    tracing::error!(target: "plugin", "a plugin in C called {ours} with a call that is over or another thread's");
    let mut misused = MISUSED.lock().unwrap_or_else(PoisonError::into_inner);
    if misused.len() >= MOST {
        misused.pop_first();
    }
    misused.insert(id);
}

fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(a panic without words)")
}

/// The kind of failure that a number stands for.
pub(super) fn kind_of(status: postrider_status) -> ErrorKind {
    abi::ErrorKind(status).known().unwrap_or(ErrorKind::Failed)
}

fn status_of(kind: ErrorKind) -> postrider_status {
    match kind {
        ErrorKind::Temporary => POSTRIDER_TEMPORARY,
        ErrorKind::Unsupported => POSTRIDER_UNSUPPORTED,
        ErrorKind::InvalidSetting => POSTRIDER_INVALID_SETTING,
        ErrorKind::Panic => POSTRIDER_BROKEN,
        _ => POSTRIDER_FAILED,
    }
}
