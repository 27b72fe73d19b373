//! Leaves out the description of its types, so that nothing can be compared.

use postrider_plugin_api::{abi, export};

fn root() -> abi::Plugin_Ref {
    export::plugin("no_layout", "0", true, Vec::new())
}

extern "C" fn load() -> export::RootModuleResult {
    export::__call_root_module_loader(root)
}

#[no_mangle]
#[allow(non_upper_case_globals)]
pub static _1as_0lib_1header_0root_bmodule_bloader: export::LibHeader =
    unsafe { export::LibHeader::from_constructor::<abi::Plugin_Ref>(load, export::CheckTypeLayout::No) };
