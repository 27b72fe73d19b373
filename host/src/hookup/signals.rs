//! Signals that end or stop a program wait while it publishes.
//!
//! Whoever presses Ctrl-C in the middle of a publication would leave the MTA with a guarded directory, and with
//! mail that it defers, until another run finds the note. So what would end us is kept until the publication is
//! through, and ends us then, with the same status. Signals that somebody handles (the daemon) or ignores (`nohup`)
//! are left to them. Nothing can be done about SIGKILL: that is what the note is for.

#![allow(unsafe_code, reason = "sigaction(2); the handler does nothing but set a bit")]

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is kept. A stop comes last: who is to end does so first.
const KEPT: [Signal; 5] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGTSTP];

/// One bit for each signal that came.
static CAME: AtomicU64 = AtomicU64::new(0);
static HELD: Mutex<Held> = Mutex::new(Held { holders: 0, replaced: Vec::new() });

struct Held {
    holders: usize,
    replaced: Vec<(Signal, SigAction)>,
}

/// As long as one of these lives, the signals wait.
#[derive(Debug)]
pub(crate) struct Uninterrupted(());

extern "C" fn note(signal: c_int) {
    CAME.fetch_or(1 << signal, Ordering::Relaxed);
}

impl Uninterrupted {
    pub(crate) fn begin() -> Self {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.holders += 1;
        if held.holders == 1 {
            let noting = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
            for signal in KEPT {
                // SAFETY: the handler only sets a bit of a static atomic, which is async-signal-safe.
                let Ok(before) = (unsafe { sigaction(signal, &noting) }) else { continue };
                if matches!(before.handler(), SigHandler::SigDfl) {
                    held.replaced.push((signal, before));
                } else {
                    // SAFETY: puts back what was there a moment ago.
                    let _ = unsafe { sigaction(signal, &before) };
                }
            }
        }
        Uninterrupted(())
    }
}

impl Drop for Uninterrupted {
    fn drop(&mut self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.holders -= 1;
        if held.holders > 0 {
            return;
        }
        for (signal, before) in held.replaced.drain(..) {
            // SAFETY: puts back the default action.
            let _ = unsafe { sigaction(signal, &before) };
        }
        drop(held);
        let came = CAME.swap(0, Ordering::Relaxed);
        for signal in KEPT.into_iter().filter(|signal| came & (1 << *signal as c_int) != 0) {
            let _ = raise(signal);
        }
    }
}
