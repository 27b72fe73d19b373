//! Misbehaves before anybody has asked it for anything, in its constructor. What it does is in the name of its file:
//! `libpostrider_constructor_crash.so`, `_exit`, `_loop`, `_panic`.

use std::sync::atomic::{AtomicBool, Ordering};

#[used]
#[link_section = ".init_array"]
static CONSTRUCTOR: extern "C" fn() = constructor;

/// As if it were a plugin, so that it is opened at all; it gets no further.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static _1as_0lib_1header_0root_bmodule_bloader: extern "C" fn() = constructor;

static CALM: AtomicBool = AtomicBool::new(true);

extern "C" fn constructor() {
    // The program that loads a plugin names it in its arguments.
    let arguments = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let arguments = String::from_utf8_lossy(&arguments).into_owned();
    if arguments.contains("constructor_crash") {
        // SAFETY: it is not; that is what this is for.
        unsafe { std::ptr::write_volatile(8 as *mut u32, 1) }
    }
    if arguments.contains("constructor_exit") {
        std::process::exit(5);
    }
    while arguments.contains("constructor_loop") && CALM.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
    assert!(!arguments.contains("constructor_panic"), "boom in the constructor");
}
