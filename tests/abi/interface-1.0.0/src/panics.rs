//! The plugin's panic hook.
//!
//! A shared library has a standard library of its own, and with it a panic hook of its own, which
//! would write to standard error. This one tells the host's log instead, also for panics in threads
//! that the plugin started, and notes the place for the error that the guarded call returns.

use crate::abi::{HostBox, LogLevel};
use crate::guard::{describe, note_panic};
use std::panic;
use std::sync::{Arc, Mutex, Once, PoisonError};

/// The host's object of the adapter that was made last. Any of them leads to the same log.
static HOST: Mutex<Option<Arc<HostBox>>> = Mutex::new(None);

/// From now on panics are told to this host.
pub(crate) fn tell(host: Arc<HostBox>) {
    let before = HOST.lock().unwrap_or_else(PoisonError::into_inner).replace(host);
    drop(before); // not under the lock: it runs code of the host
}

/// Installs the hook. Called by the library as it is loaded, never by the host for itself.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map_or_else(|| "(unknown place)".to_owned(), ToString::to_string);
            let becomes_an_error = note_panic(&place);
            let host = HOST.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match host {
                Some(host) => {
                    let text = describe(info.payload());
                    host.log(LogLevel::ERROR, format!("panicked at {}: {}", place, text).as_str().into());
                }
                None if becomes_an_error => {}
                None => before(info),
            }
        }));
    });
}
