//! What a plugin exports: itself and its adapters. Both may get further fields at the end; an older plugin lacks them, so
//! each is optional.
//!
//! All that is here lives as long as the process: a library that was loaded is never unloaded.

use super::{AdapterKind, HostBox, IncomingBox, OutgoingBox, PairView, Res, SettingSpec};
use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{ROption, RSlice, RStr, RVec};
use abi_stable::StableAbi;

/// A plugin.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = Plugin_Ref, prefix_fields = Plugin_Prefix)))]
pub struct Plugin {
    /// `postfix`; the file is then `libpostrider_postfix.so`.
    pub name: RStr<'static>,
    /// The plugin's own version, for people.
    pub version: RStr<'static>,
    /// The compiler that built it, for instance `rustc 1.63.0`.
    pub built_with: RStr<'static>,
    /// Whether panics of the plugin can be caught; the host refuses it when not.
    pub panic_unwinds: bool,
    /// What it offers, each name once for each kind.
    #[sabi(last_prefix_field)]
    pub adapters: RSlice<'static, Adapter_Ref>,
}

impl RootModule for Plugin_Ref {
    abi_stable::declare_root_module_statics! {Plugin_Ref}
    const BASE_NAME: &'static str = "postrider_plugin";
    const NAME: &'static str = "postrider_plugin";
    /// The version of this crate, not of the plugin: it says which host can load it.
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}

/// One adapter of a plugin.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = Adapter_Ref, prefix_fields = Adapter_Prefix)))]
pub struct Adapter {
    /// `LMTP`.
    pub name: RStr<'static>,
    /// What it is for; decides which of the two constructors is there.
    pub kind: AdapterKind,
    /// What it does, one line for people.
    pub description: RStr<'static>,
    /// The settings that it reads. May be called at any time and by any thread, before and without a constructor.
    pub settings: extern "C" fn() -> Res<RVec<SettingSpec>>,
    /// Makes an incoming adapter from its settings, of which each declared one has a value. The object that comes back is
    /// the host's, the one that was passed in is the adapter's. The settings are lent for this call. Fails with
    /// `INVALID_SETTING` for a value that the adapter cannot use.
    pub new_incoming: ROption<extern "C" fn(HostBox, RSlice<'_, PairView<'_>>) -> Res<IncomingBox>>,
    /// Makes an outgoing adapter from its settings, as `new_incoming` does.
    #[sabi(last_prefix_field)]
    pub new_outgoing: ROption<extern "C" fn(HostBox, RSlice<'_, PairView<'_>>) -> Res<OutgoingBox>>,
}
