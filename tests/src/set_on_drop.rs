//! Ends the threads of a failing test.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets a flag when dropped. A scope waits for its threads, also when its own body has panicked: a
/// thread that goes on until a flag is set would then go on for ever.
#[derive(Debug)]
pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
