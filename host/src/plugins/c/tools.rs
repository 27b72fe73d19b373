//! The tools, for plugins in C. Safety as in `host.rs`.

use super::call::{Failure, argument, needed, status, within};
use super::read;
use postrider_plugin_api::c::{postrider_call, postrider_output, postrider_status};
use std::ffi::c_char;
use std::ptr;

/// Stores a result where the plugin wants it, if it does.
///
/// # Safety
/// `place` is NULL or has room for a `T`.
unsafe fn give<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: the caller says so.
        unsafe { place.write(value) };
    }
}

pub(super) unsafe extern "C" fn run(
    call: *mut postrider_call,
    argv: *const *const c_char,
    input: *const c_char,
    output: *mut *const postrider_output,
) -> postrider_status {
    // SAFETY: room for a pointer or NULL, says the header.
    unsafe { give(output, ptr::null()) };
    status(within(call, "run", |call| {
        let tools = needed(call.tools)?;
        // SAFETY: the plugin gives an array of texts and a text, says the header.
        let (argv, input) = unsafe {
            (read::texts(argv).map_err(argument("argv"))?, read::text_or_empty(input).map_err(argument("input"))?)
        };
        if argv.is_empty() {
            return Err(Failure::Wrong("argv is empty".to_owned()));
        }
        let did = tools.run(&argv, input).map_err(Failure::Tools)?;
        let lent = postrider_output {
            size: size_of::<postrider_output>(),
            output: call.keep_octets(did.stdout.as_bytes()),
            output_size: did.stdout.len(),
            errors: call.keep_octets(did.stderr.as_bytes()),
            errors_size: did.stderr.len(),
            status: did.status,
            reserved: 0,
        };
        // SAFETY: as above.
        unsafe { give(output, call.keep_output(lent)) };
        Ok(())
    }))
}

pub(super) unsafe extern "C" fn read_file(
    call: *mut postrider_call,
    path: *const c_char,
    contents: *mut *const c_char,
    length: *mut usize,
) -> postrider_status {
    // SAFETY: room for a pointer and for a number, or NULL, says the header.
    unsafe {
        give(contents, ptr::null());
        give(length, 0);
    }
    status(within(call, "read_file", |call| {
        let tools = needed(call.tools)?;
        // SAFETY: the plugin gives a text, says the header.
        let path = unsafe { read::text(path) }.map_err(argument("path"))?;
        let text = tools.read_file(path).map_err(Failure::Tools)?;
        // SAFETY: as above.
        unsafe {
            give(contents, call.keep_octets(text.as_bytes()));
            give(length, text.len());
        }
        Ok(())
    }))
}

pub(super) unsafe extern "C" fn exists(call: *mut postrider_call, path: *const c_char) -> u32 {
    let there = within(call, "exists", |call| {
        let tools = needed(call.tools)?;
        // SAFETY: the plugin gives a text, says the header.
        let path = unsafe { read::text(path) }.map_err(argument("path"))?;
        Ok(tools.exists(path).into())
    });
    there.unwrap_or(0)
}
