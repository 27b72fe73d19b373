//! Opens a library and compares its interface with ours.
//!
//! The order matters: nothing of the library is read before it is vetted, nothing is called before
//! version and layout fit, and a library stays open for ever, even a refused one, because its
//! constructors may have started threads that run its code.

use super::library::{AdapterReport, Library, PluginInfo};
use super::worker::{Launch, Pool, Remote};
use super::{AdapterKind, PluginError, elf, vet};
use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityErrors, CheckingGlobals, check_layout_compatibility_with_globals,
};
use abi_stable::library::{
    AbiHeaderRef, LibHeader, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL, RootModule, RootModuleError,
};
use abi_stable::sabi_types::VersionNumber;
use abi_stable::type_layout::TypeLayout;
use libloading::os::unix::{Library as SharedObject, RTLD_LOCAL, RTLD_NOW};
use postrider_plugin_api::abi::{self, Adapter_Ref, Plugin_Ref};
use postrider_plugin_api::host;
use postrider_plugin_api::sdk::{self, HostLog, IncomingAdapter, OutgoingAdapter, SettingSpec, Settings};
use std::error::Error as _;
use std::fs;
use std::mem::ManuallyDrop;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A plugin that fits.
pub(super) struct Loaded {
    /// Its real path.
    pub(super) file: PathBuf,
    /// Which file that was: device, inode and time of change in nanoseconds.
    pub(super) stamp: Option<Stamp>,
    /// The plugin itself.
    pub(super) library: Box<dyn Library>,
    /// Its processes, if it has some of its own.
    pub(super) pool: Option<Arc<Pool>>,
}

pub(super) type Stamp = (u64, u64, i64);

/// Tells whether a file was replaced.
pub(super) fn stamp(file: &Path) -> Option<Stamp> {
    fs::metadata(file).ok().map(|metadata| stamp_of(&metadata))
}

/// The same for a file that is open.
pub(super) fn stamp_of(metadata: &fs::Metadata) -> Stamp {
    (metadata.dev(), metadata.ino(), metadata.mtime().saturating_mul(1_000_000_000) + metadata.mtime_nsec())
}

/// Loads a plugin from a file that was vetted (`vet.rs`).
pub(super) fn load(file: &Path) -> Result<Loaded, PluginError> {
    elf::check(file)?;
    let stamp = stamp(file);
    let header = open(file)?;
    let api_version = compare(file, header)?;
    let plugin = start(file, header)?;
    if !plugin.panic_unwinds() {
        return Err(PluginError::PanicAborts { file: file.to_owned() });
    }
    let library = Box::new(InProcess { info: info(plugin, api_version), plugin });
    Ok(Loaded { file: file.to_owned(), stamp, library, pool: None })
}

/// Has a worker process load it. None of its code runs here.
pub(super) fn load_in_worker(launch: Launch) -> Result<Loaded, PluginError> {
    let file = launch.file.clone();
    elf::check(&file)?;
    let unreadable = |error| vet::unreadable(&file, &error);
    let library = fs::File::open(&file).map_err(unreadable)?;
    let stamp = Some(stamp_of(&library.metadata().map_err(unreadable)?));
    let remote = Remote::start(launch, library)?;
    let pool = Some(Arc::clone(remote.pool()));
    Ok(Loaded { file, stamp, library: Box::new(remote), pool })
}

fn open(file: &Path) -> Result<&'static LibHeader, PluginError> {
    // SAFETY: the constructors of the library run here. Nothing can prove them harmless; `vet` has
    // made sure that only root or our own user could have put the file there, `elf::check` that it
    // can be mapped. RTLD_NOW: a missing symbol is an error now and not the end of the process later.
    let library = unsafe { SharedObject::open(Some(file), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| PluginError::Open { file: file.to_owned(), reason: words(&error) })?;
    let library = ManuallyDrop::new(library);
    // SAFETY: the only code that exports this symbol is abi_stable's, and it always is an `AbiHeader`;
    // the value is copied out, and what it points to lives as long as the library, which is for ever.
    let header = unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) }
        .map(|symbol| *symbol)
        .map_err(|_| PluginError::NotAPlugin { file: file.to_owned() })?;
    let mine = abi_stable::library::AbiHeader::VALUE;
    let abi_stable = |major: u32, minor: u32| format!("abi_stable {major}.{minor}");
    header.upgrade().map_err(|error| match error {
        LibraryError::InvalidAbiHeader(theirs) if theirs.magic_string == mine.magic_string => PluginError::Header {
            file: file.to_owned(),
            found: format!("is built with {}", abi_stable(theirs.abi_major, theirs.abi_minor)),
            expected: abi_stable(mine.abi_major, mine.abi_minor),
        },
        LibraryError::InvalidAbiHeader(_) => PluginError::Header {
            file: file.to_owned(),
            found: "has a plugin header that cannot be read".to_owned(),
            expected: format!("that of {}", abi_stable(mine.abi_major, mine.abi_minor)),
        },
        _ => PluginError::Header {
            file: file.to_owned(),
            found: "passes arguments in another way".to_owned(),
            expected: "this system's calling convention".to_owned(),
        },
    })
}

/// `dlerror`'s text, which libloading keeps one level down.
fn words(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Compares version and layout; returns the version of the plugin's interface.
fn compare(file: &Path, header: &LibHeader) -> Result<String, PluginError> {
    let unreadable = |_| PluginError::Header {
        file: file.to_owned(),
        found: "has an interface version that is no version".to_owned(),
        expected: "three numbers".to_owned(),
    };
    let mine = VersionNumber::new(Plugin_Ref::VERSION_STRINGS).map_err(unreadable)?;
    let theirs = VersionNumber::new(header.version_strings()).map_err(unreadable)?;
    let found = theirs.to_string();
    if mine.major != theirs.major {
        return Err(PluginError::ApiVersion { file: file.to_owned(), found, expected: mine.to_string() });
    }
    let layout = header.layout().ok_or_else(|| PluginError::NoLayout { file: file.to_owned() })?;
    let plugin_is_older = (theirs.minor, theirs.patch) < (mine.minor, mine.patch);
    match fits(<Plugin_Ref as StableAbi>::LAYOUT, layout, plugin_is_older) {
        Ok(()) => Ok(found),
        Err(difference) => Err(PluginError::Layout { file: file.to_owned(), found, difference }),
    }
}

/// Whether plugin and host lay their types out alike.
///
/// `abi_stable`'s check is not symmetric: it asks whether the second type can stand where the first is
/// expected, and takes it amiss when the second has fewer fields. Versions of the interface are one
/// line of history, so the older one's types are always beginnings of the newer one's; the older one
/// goes first. Each comparison has globals of its own, since those of the process make the verdict
/// depend on which plugins were compared before.
fn fits(host: &'static TypeLayout, plugin: &'static TypeLayout, plugin_is_older: bool) -> Result<(), String> {
    let (older, newer) = if plugin_is_older { (plugin, host) } else { (host, plugin) };
    check_layout_compatibility_with_globals(older, newer, &CheckingGlobals::new()).map_err(|errors| first_of(&errors))
}

/// The first difference in one line; `abi_stable`'s own text has thousands.
fn first_of(errors: &AbiInstabilityErrors) -> String {
    let Some(error) = errors.errors.iter().find(|error| !error.errs.is_empty()) else {
        return "the layouts differ".to_owned();
    };
    let what = error.errs.first().map_or_else(String::new, one_line);
    let place: Vec<String> = error
        .stack_trace
        .iter()
        .map(|step| match &step.found {
            abi_stable::type_layout::TLFieldOrFunction::Field(field) => field.name().to_owned(),
            abi_stable::type_layout::TLFieldOrFunction::Function(function) => function.name.to_string(),
        })
        .collect();
    if place.is_empty() { what } else { format!("{what} at {}", place.join(".")) }
}

fn one_line(difference: &AbiInstability) -> String {
    use AbiInstability as D;
    fn differ(what: &str, one: impl std::fmt::Display, other: impl std::fmt::Display) -> String {
        format!("{what} {one} and {other}").split_whitespace().collect::<Vec<_>>().join(" ")
    }
    match difference {
        D::Name(v) => differ("types", v.expected, v.found),
        D::Package(v) => differ("types of packages", v.expected, v.found),
        D::Size(v) => differ("sizes", v.expected, v.found),
        D::Alignment(v) => differ("alignments", v.expected, v.found),
        D::FieldCountMismatch(v) => differ("numbers of fields", v.expected, v.found),
        D::MismatchedPrefixSize(v) => differ("numbers of fields of version 1.0", v.expected, v.found),
        D::MismatchedPrimitive(v) => format!("types {:?} and {:?}", v.expected, v.found),
        D::UnexpectedField(v) => differ("fields", v.expected.name(), v.found.name()),
        D::FnLifetimeMismatch(_) | D::FieldLifetimeMismatch(_) => "other lifetimes".to_owned(),
        D::FnQualifierMismatch(_) => "other function qualifiers".to_owned(),
        other => {
            let text = format!("{other:?}");
            text.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
        }
    }
}

fn start(file: &Path, header: &LibHeader) -> Result<Plugin_Ref, PluginError> {
    // SAFETY: `compare` has found that the plugin's root type is laid out as ours.
    unsafe { header.init_root_module_with_unchecked_layout::<Plugin_Ref>() }.map_err(|error| {
        let reason = match error {
            LibraryError::RootModule { err: RootModuleError::Unwound, .. } => "it panicked".to_owned(),
            LibraryError::RootModule { err: RootModuleError::Returned(error), .. } => error.to_string(),
            other => other.to_string(),
        };
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        PluginError::Start { file: file.to_owned(), reason }
    })
}

/// A plugin whose code runs in this process.
struct InProcess {
    info: PluginInfo,
    plugin: Plugin_Ref,
}

impl InProcess {
    fn adapter(&self, name: &str, kind: AdapterKind) -> sdk::Result<Adapter_Ref> {
        let mut adapters = self.plugin.adapters().into_iter().copied();
        let found = adapters.find(|adapter| adapter.name().as_str() == name && kind_of(*adapter) == kind);
        found.ok_or_else(|| sdk::Error::failed(format!("{} has no {kind} adapter {name:?}", self.info.name)))
    }
}

impl Library for InProcess {
    fn info(&self) -> &PluginInfo {
        &self.info
    }

    fn settings(&self, adapter: &str, kind: AdapterKind) -> sdk::Result<Vec<SettingSpec>> {
        host::settings(self.adapter(adapter, kind)?)
    }

    fn incoming(
        &self,
        adapter: &str,
        log: Arc<dyn HostLog>,
        settings: &Settings,
    ) -> sdk::Result<Box<dyn IncomingAdapter>> {
        let adapter = self.adapter(adapter, AdapterKind::Incoming)?;
        Ok(Box::new(host::Incoming::new(adapter, log, settings)?))
    }

    fn outgoing(
        &self,
        adapter: &str,
        log: Arc<dyn HostLog>,
        settings: &Settings,
    ) -> sdk::Result<Box<dyn OutgoingAdapter>> {
        let adapter = self.adapter(adapter, AdapterKind::Outgoing)?;
        Ok(Box::new(host::Outgoing::new(adapter, log, settings)?))
    }
}

fn info(plugin: Plugin_Ref, api_version: String) -> PluginInfo {
    let report = |adapter: &Adapter_Ref| AdapterReport {
        name: adapter.name().into(),
        kind: kind_of(*adapter),
        description: adapter.description().into(),
    };
    PluginInfo {
        name: plugin.name().into(),
        version: plugin.version().into(),
        api_version,
        built_with: plugin.built_with().into(),
        adapters: plugin.adapters().iter().map(report).collect(),
    }
}

fn kind_of(adapter: Adapter_Ref) -> AdapterKind {
    match adapter.kind() {
        abi::AdapterKind::INCOMING => AdapterKind::Incoming,
        abi::AdapterKind::OUTGOING => AdapterKind::Outgoing,
        abi::AdapterKind(number) => AdapterKind::Unknown(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two versions of one interface, and one that broke the rules.
    #[allow(dead_code, non_camel_case_types, clippy::pedantic)] // only the layouts of what abi_stable makes are used
    mod v1_0 {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = Root_Ref, prefix_fields = Root_Prefix)))]
        #[sabi(missing_field(option))]
        pub struct Root {
            pub name: u32,
            #[sabi(last_prefix_field)]
            pub size: u64,
        }
    }
    #[allow(dead_code, non_camel_case_types, clippy::pedantic)] // only the layouts of what abi_stable makes are used
    mod v1_1 {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = Root_Ref, prefix_fields = Root_Prefix)))]
        #[sabi(missing_field(option))]
        pub struct Root {
            pub name: u32,
            #[sabi(last_prefix_field)]
            pub size: u64,
            pub license: u16,
        }
    }
    #[allow(dead_code, non_camel_case_types, clippy::pedantic)] // only the layouts of what abi_stable makes are used
    mod broken {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = Root_Ref, prefix_fields = Root_Prefix)))]
        #[sabi(missing_field(option))]
        pub struct Root {
            pub name: i64,
            #[sabi(last_prefix_field)]
            pub size: u64,
        }
    }

    fn layout<T: StableAbi>() -> &'static TypeLayout {
        T::LAYOUT
    }

    #[test]
    fn older_and_newer_plugins_fit_in_any_order() {
        let (old, new) = (layout::<v1_0::Root_Ref>(), layout::<v1_1::Root_Ref>());
        for _ in 0..2 {
            assert_eq!(fits(old, new, false), Ok(()), "a newer plugin in an older host");
            assert_eq!(fits(new, old, true), Ok(()), "an older plugin in a newer host");
            assert_eq!(fits(new, new, false), Ok(()));
        }
        // The direction is what makes it work.
        assert!(fits(new, old, false).is_err());
    }

    #[test]
    fn a_changed_type_is_told_in_one_line() {
        let error = fits(layout::<v1_0::Root_Ref>(), layout::<broken::Root_Ref>(), false).unwrap_err();
        assert!(error.contains("u32") && error.contains("i64") && error.contains("name"), "{error}");
        assert_eq!(error.lines().count(), 1);
        // A refusal leaves no trace behind.
        assert_eq!(fits(layout::<v1_0::Root_Ref>(), layout::<v1_1::Root_Ref>(), false), Ok(()));
    }
}
