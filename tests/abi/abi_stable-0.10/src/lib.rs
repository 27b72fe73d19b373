//! A root module of abi_stable 0.10.
#![allow(non_camel_case_types, non_local_definitions)]

use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::StableAbi;

#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = "Plugin_Ref", prefix_fields = "Plugin_Prefix")))]
pub struct Plugin {
    #[sabi(last_prefix_field)]
    pub name: u64,
}

impl RootModule for Plugin_Ref {
    abi_stable::declare_root_module_statics! {Plugin_Ref}
    const BASE_NAME: &'static str = "postrider_plugin";
    const NAME: &'static str = "postrider_plugin";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}

#[abi_stable::export_root_module]
fn root() -> Plugin_Ref {
    panic!("a plugin that does not fit must not be started")
}
