//! [`export_plugin!`](crate::export_plugin), and what it expands to. Not for other use.

use crate::abi::{Adapter, AdapterKind, Adapter_Ref, Plugin, Plugin_Ref};
use crate::panics;
use crate::sdk::{IncomingAdapter, OutgoingAdapter};
use crate::shim;
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::std_types::{ROption, RSlice};

pub use abi_stable::library::{__call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult};

/// Makes a shared library a plugin.
///
/// ```
/// # use postrider_plugin_api::sdk::*;
/// # struct Lmtp;
/// # impl IncomingAdapter for Lmtp {
/// #     fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> { Ok(Lmtp) }
/// #     fn plan(&self, _: Context<'_>, _: Change<'_>, _: &mut dyn PlanSink) -> Result<()> { Ok(()) }
/// # }
/// # struct Queue;
/// # impl OutgoingAdapter for Queue {
/// #     fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> { Ok(Queue) }
/// #     fn deliver(&self, _: Batch<'_>) -> Result<Vec<RecipientResult>> { Ok(Vec::new()) }
/// # }
/// postrider_plugin_api::export_plugin! {
///     name: "acme",
///     version: env!("CARGO_PKG_VERSION"),
///     incoming: [
///         "LMTP" = Lmtp, "Lists as tables of the Acme mail server, mail by LMTP",
///     ],
///     outgoing: [
///         "Queue" = Queue, "Mail straight into the Acme queue",
///     ],
/// }
/// ```
///
/// - `name` is the plugin's name, `[a-z0-9_]+`. The library must be `libpostrider_NAME.so`, and the
///   plugin's settings are in the section `[NAME]`. Other letters are a compile-time error.
/// - `version` is the plugin's own; the host only shows it.
/// - `incoming` and `outgoing` list the adapters: the name by which `postrider.cfg` calls it
///   (`incoming: acme.LMTP`), the type, and one line for people. One of the two may be missing.
///
/// It is used once in a crate of type `cdylib`, and that crate depends on `postrider-plugin-api` alone.
#[macro_export]
macro_rules! export_plugin {
    (
        name: $name:expr,
        version: $version:expr
        $(, incoming: [ $($in_name:literal = $In:ty, $in_description:expr),* $(,)? ])?
        $(, outgoing: [ $($out_name:literal = $Out:ty, $out_description:expr),* $(,)? ])?
        $(,)?
    ) => {
        const _: () = {
            const NAME: &str = $name;
            const _: () = assert!($crate::export::is_plugin_name(NAME), "a plugin's name has only a-z, 0-9 and _");

            fn plugin() -> $crate::abi::Plugin_Ref {
                let adapters = ::std::vec![
                    $($($crate::export::incoming::<$In>($in_name, $in_description),)*)?
                    $($($crate::export::outgoing::<$Out>($out_name, $out_description),)*)?
                ];
                $crate::export::plugin(NAME, $version, ::std::cfg!(panic = "unwind"), adapters)
            }

            extern "C" fn load() -> $crate::export::RootModuleResult {
                $crate::export::__call_root_module_loader(plugin)
            }

            // SAFETY: `load` returns what `plugin` makes, and that is the type named here.
            #[no_mangle]
            #[allow(non_upper_case_globals)]
            pub static _1as_0lib_1header_0root_bmodule_bloader: $crate::export::LibHeader = unsafe {
                $crate::export::LibHeader::from_constructor::<$crate::abi::Plugin_Ref>(
                    load,
                    $crate::export::CheckTypeLayout::Yes,
                )
            };
        };
    };
}

/// Whether this can be the name of a plugin.
pub const fn is_plugin_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        if !matches!(bytes[i], b'a'..=b'z' | b'0'..=b'9' | b'_') {
            return false;
        }
        i += 1;
    }
    !bytes.is_empty()
}

/// The plugin itself. Called once in the life of a library; what it leaks lives as long.
pub fn plugin(
    name: &'static str,
    version: &'static str,
    panic_unwinds: bool,
    adapters: Vec<Adapter_Ref>,
) -> Plugin_Ref {
    panics::install_hook();
    Plugin {
        name: name.into(),
        version: version.into(),
        built_with: env!("POSTRIDER_BUILT_WITH").into(),
        panic_unwinds,
        adapters: RSlice::from_slice(Box::leak(adapters.into_boxed_slice())),
    }
    .leak_into_prefix()
}

/// An incoming adapter of the plugin.
pub fn incoming<T: IncomingAdapter>(name: &'static str, description: &'static str) -> Adapter_Ref {
    Adapter {
        name: name.into(),
        kind: AdapterKind::INCOMING,
        description: description.into(),
        settings: shim::incoming_settings::<T>,
        new_incoming: ROption::RSome(shim::new_incoming::<T>),
        new_outgoing: ROption::RNone,
    }
    .leak_into_prefix()
}

/// An outgoing adapter of the plugin.
pub fn outgoing<T: OutgoingAdapter>(name: &'static str, description: &'static str) -> Adapter_Ref {
    Adapter {
        name: name.into(),
        kind: AdapterKind::OUTGOING,
        description: description.into(),
        settings: shim::outgoing_settings::<T>,
        new_incoming: ROption::RNone,
        new_outgoing: ROption::RSome(shim::new_outgoing::<T>),
    }
    .leak_into_prefix()
}
