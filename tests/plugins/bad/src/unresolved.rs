//! Would be a plugin, but needs a function that no library has.

extern "C" {
    fn postrider_nowhere();
}

/// As if it were a plugin: the library cannot even be opened.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static _1as_0lib_1header_0root_bmodule_bloader: unsafe extern "C" fn() = postrider_nowhere;
