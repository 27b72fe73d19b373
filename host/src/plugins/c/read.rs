//! Reads what a plugin gives: texts, arrays of texts, octets, structs. The error says what is wrong with it.

use postrider_plugin_api::c::{
    POSTRIDER_ARRAY_MAX, POSTRIDER_TEXT_MAX, postrider_command, postrider_exit, postrider_finding, postrider_incoming,
    postrider_injection, postrider_input, postrider_list, postrider_outgoing, postrider_plugin, postrider_row,
    postrider_setting, postrider_snippet, postrider_table,
};
use std::ffi::c_char;
use std::mem::{MaybeUninit, offset_of};

/// What is wrong with something that a plugin gave: `is NULL`.
pub(super) type Wrong = String;

/// A struct of the C interface that a plugin makes.
///
/// # Safety
/// It begins with its size, and every pattern of octets is a value of it.
pub(super) unsafe trait Struct: Copy {
    /// So many octets have to be there: up to and with the last field that cannot do without a value.
    const REQUIRED: usize;
}

macro_rules! structs {
    ($($type:ident up to $next:ident),* $(,)?) => { $(
        // SAFETY: `repr(C)`, the first field is `size: usize`, all others are integers, pointers and optional functions.
        unsafe impl Struct for $type {
            const REQUIRED: usize = offset_of!($type, $next);
        }
    )* };
}

// The named field is the first that may be missing.
structs! {
    postrider_plugin up to built_with,
    postrider_incoming up to settings,
    postrider_outgoing up to settings,
    postrider_setting up to default_value,
    postrider_snippet up to file,
    postrider_finding up to expected,
    postrider_table up to format_text,
    postrider_row up to column,
    postrider_command up to tables,
    postrider_injection up to environment,
    postrider_input up to bytes,
    postrider_exit up to text,
    postrider_list up to routed,
}

/// A struct: what we know of it and what is there; the rest is zero.
///
/// # Safety
/// `pointer` is NULL or leads to a struct whose `size` says how many octets of it are there.
pub(super) unsafe fn structure<T: Struct>(pointer: *const T) -> Result<T, Wrong> {
    /// No struct will ever be so large: what says so was not initialised.
    const NONSENSE: usize = 1 << 16;
    if pointer.is_null() {
        return Err("is NULL".to_owned());
    }
    if !pointer.is_aligned() {
        return Err("is not aligned".to_owned());
    }
    // SAFETY: the caller says that a struct is there, and that begins with its size.
    let size = unsafe { pointer.cast::<usize>().read() };
    if size < T::REQUIRED || size > NONSENSE || !size.is_multiple_of(align_of::<T>()) {
        return Err(format!("has the size {size}, expected {} as sizeof gives it", size_of::<T>()));
    }
    let mut own = MaybeUninit::<T>::zeroed();
    // SAFETY: so many octets are there, says the plugin, and so many have room; every pattern is a value of `T`.
    unsafe {
        std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), own.as_mut_ptr().cast::<u8>(), size.min(size_of::<T>()));
        Ok(own.assume_init())
    }
}

/// A text.
///
/// # Safety
/// `pointer` is NULL or leads to octets up to a NUL or to [`POSTRIDER_TEXT_MAX`], which stay while `'a` lasts.
pub(super) unsafe fn text<'a>(pointer: *const c_char) -> Result<&'a str, Wrong> {
    if pointer.is_null() {
        return Err("is NULL".to_owned());
    }
    let pointer = pointer.cast::<u8>();
    // SAFETY: octets up to the NUL are there, and no octet behind it is looked at.
    let length = (0..=POSTRIDER_TEXT_MAX).find(|at| unsafe { *pointer.add(*at) } == 0);
    let length = length.ok_or_else(|| format!("has more than {POSTRIDER_TEXT_MAX} octets, or no NUL at its end"))?;
    // SAFETY: so many octets were just read.
    let octets = unsafe { std::slice::from_raw_parts(pointer, length) };
    std::str::from_utf8(octets).map_err(|error| format!("is not UTF-8 (octet {})", error.valid_up_to() + 1))
}

/// A text that may be NULL, which stands for the empty one.
///
/// # Safety
/// As for [`text`].
pub(super) unsafe fn text_or_empty<'a>(pointer: *const c_char) -> Result<&'a str, Wrong> {
    // SAFETY: passed on.
    if pointer.is_null() { Ok("") } else { unsafe { text(pointer) } }
}

/// Pointers up to a NULL. No array at all is an empty one.
///
/// # Safety
/// `array` is NULL or leads to pointers up to a NULL.
pub(super) unsafe fn pointers<T>(array: *const *const T) -> Result<Vec<*const T>, Wrong> {
    let mut all = Vec::new();
    if array.is_null() {
        return Ok(all);
    }
    if !array.is_aligned() {
        return Err("is not aligned".to_owned());
    }
    for at in 0..=POSTRIDER_ARRAY_MAX {
        // SAFETY: pointers up to the NULL are there, and none behind it is looked at.
        let pointer = unsafe { *array.add(at) };
        if pointer.is_null() {
            return Ok(all);
        }
        all.push(pointer);
    }
    Err(format!("has more than {POSTRIDER_ARRAY_MAX} entries, or no NULL at its end"))
}

/// Texts up to a NULL.
///
/// # Safety
/// As for [`pointers`], and each as for [`text`].
pub(super) unsafe fn texts<'a>(array: *const *const c_char) -> Result<Vec<&'a str>, Wrong> {
    // SAFETY: passed on.
    let pointers = unsafe { pointers(array) }?;
    // SAFETY: passed on.
    let entry = |(at, pointer)| unsafe { text(pointer) }.map_err(|wrong| format!("has an entry {at} that {wrong}"));
    pointers.into_iter().enumerate().map(entry).collect()
}

/// Octets. NULL stands for none.
///
/// # Safety
/// `pointer` is NULL or leads to `length` octets that stay while `'a` lasts.
pub(super) unsafe fn octets<'a>(pointer: *const u8, length: usize) -> Result<&'a [u8], Wrong> {
    if length == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(format!("is NULL, with the length {length}"));
    }
    if isize::try_from(length).is_err() {
        return Err(format!("has the length {length}"));
    }
    // SAFETY: so many octets are there, says the plugin.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}
