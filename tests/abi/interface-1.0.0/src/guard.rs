//! Panics stay on the side on which they began.
//!
//! A panic that reached `abi_stable`'s generated functions would end the process, and a panic of the
//! other side's standard library cannot be caught here at all. So every function that the other side
//! calls runs inside [`guard`], compiled into the side that runs it, and a panic becomes an
//! [`Error`].

use crate::abi::{Error, ErrorKind, Res};
use crate::sdk;
use abi_stable::std_types::{RResult, RString, RVec};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{catch_unwind, AssertUnwindSafe};

thread_local! {
    /// Where this thread's last panic was, told by the plugin's panic hook.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    /// How many guarded calls this thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `body`, which is one call of the other side; `what` names it in the error of a panic.
pub(crate) fn guard<T>(what: &str, body: impl FnOnce() -> sdk::Result<T>) -> Res<T> {
    catch(what, ErrorKind::PANIC, body)
}

/// The same for functions of the host that a plugin calls: their panics say nothing about the adapter.
pub(crate) fn guard_host<T>(what: &str, body: impl FnOnce() -> sdk::Result<T>) -> Res<T> {
    catch(what, ErrorKind::FAILED, body)
}

fn catch<T>(what: &str, kind: ErrorKind, body: impl FnOnce() -> sdk::Result<T>) -> Res<T> {
    // What a panic may leave half changed is thrown away: the host makes a new adapter after one.
    change_depth(|depth| depth + 1);
    let caught = catch_unwind(AssertUnwindSafe(body));
    change_depth(|depth| depth - 1);
    match caught {
        Ok(Ok(value)) => RResult::ROk(value),
        Ok(Err(error)) => RResult::RErr(error.into()),
        Err(payload) => {
            let text = describe(&*payload as &dyn Any);
            std::mem::forget(payload); // its destructor may panic too
            let place = LAST_PANIC.try_with(|last| last.borrow_mut().take()).ok().flatten();
            let message = match place {
                Some(place) => format!("{} panicked at {}: {}", what, place, text),
                None => format!("{} panicked: {}", what, text),
            };
            RResult::RErr(Error { kind, message: RString::from(message), hint: RString::new(), extra: RVec::new() })
        }
    }
}

/// The words of a panic.
pub(crate) fn describe(payload: &dyn Any) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "(a panic without words)".to_owned())
}

// What follows is called while a thread ends, or in a panic hook, where a second panic would end the
// process: hence `try_with`.

fn change_depth(change: fn(u32) -> u32) {
    let _ = DEPTH.try_with(|depth| depth.set(change(depth.get())));
}

/// Notes where this thread panics. Tells whether a guard will make an error of it.
pub(crate) fn note_panic(place: &str) -> bool {
    let _ = LAST_PANIC.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = Some(place.to_owned());
        }
    });
    DEPTH.try_with(|depth| depth.get() > 0).unwrap_or(false)
}
