//! The logs of adapters in C. A handle is a number, so that one that is used too late leads nowhere.

use super::read;
use postrider_plugin_api::abi;
use postrider_plugin_api::c::postrider_log;
use postrider_plugin_api::sdk::{HostLog, LogLevel};
use std::collections::HashMap;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

static LOGS: LazyLock<RwLock<HashMap<usize, Arc<dyn HostLog>>>> = LazyLock::new(RwLock::default);

/// A log that a plugin may write to until this is dropped.
pub(super) struct LogHandle(usize);

impl LogHandle {
    pub(super) fn new(log: Arc<dyn HostLog>) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        LOGS.write().unwrap_or_else(PoisonError::into_inner).insert(id, log);
        LogHandle(id)
    }

    pub(super) fn pointer(&self) -> *mut postrider_log {
        ptr::without_provenance_mut(self.0)
    }
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        LOGS.write().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// `postrider_host.log`
pub(super) unsafe extern "C" fn log(log: *mut postrider_log, level: u32, message: *const c_char) {
    // A log that panics is a mistake of ours; there is nobody left to tell.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let found = LOGS.read().unwrap_or_else(PoisonError::into_inner).get(&log.addr()).map(Arc::clone);
        let Some(log) = found else {
            tracing::error!(target: "plugin", "a plugin in C wrote to the log of an adapter that is gone");
            return;
        };
        let level = abi::LogLevel(level).known().unwrap_or(LogLevel::Info);
        // SAFETY: the plugin gives a text, says the header.
        match unsafe { read::text(message) } {
            Ok(text) => log.log(level, text),
            // SAFETY: not NULL, and its end was found.
            Err(wrong) if wrong.starts_with("is not UTF-8") => {
                log.log(level, &unsafe { CStr::from_ptr(message) }.to_string_lossy());
            }
            Err(wrong) => log.log(LogLevel::Error, &format!("a line for the log {wrong}")),
        }
    }));
}
