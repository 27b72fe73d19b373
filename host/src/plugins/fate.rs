//! What became of a call of a plugin, beside what it returned.
//!
//! An adapter answers with the plugin's own words (`sdk::Error`). Whether an error is one of those, or ours because the
//! plugin was not reached or died, decides whom it may judge, and is no word of the plugin's. So it is told here, for the
//! thread that calls, as `errno` is: what makes the call notes it, and [`Watch`](super::Watch), which gives every call a
//! thread of its own, takes it.

use std::cell::Cell;

/// What became of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// The plugin answered; an error is its own.
    #[default]
    Answered,
    /// The method was not called: nobody is judged by that.
    NotCalled,
    /// The plugin's process died in the method. Nobody knows how far it had got.
    Died,
}

thread_local! {
    static FATE: Cell<Fate> = const { Cell::new(Fate::Answered) };
}

/// Notes it for the call that this thread makes.
pub(super) fn note(fate: Fate) {
    FATE.set(fate);
}

/// That of the last call of this thread.
pub(super) fn take() -> Fate {
    FATE.take()
}
