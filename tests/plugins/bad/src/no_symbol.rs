//! A shared library that is no plugin.

#[no_mangle]
pub extern "C" fn postrider_something_else() {}
