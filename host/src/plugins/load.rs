//! Opens a library, has its interface compared with ours (`interface.rs`), and starts it.
//!
//! The order matters: nothing of the library is read before it is vetted, nothing is called before
//! version and layout fit, and a library stays open for ever, even a refused one, because its
//! constructors may have started threads that run its code.

use super::interface::{compare, start};
use super::library::{AdapterReport, Library, PluginInfo};
use super::vet::{Trust, unreadable};
use super::worker::{Launch, Pool, Remote};
use super::{AdapterKind, PluginError, c, elf, needs};
use abi_stable::library::{
    AbiHeaderRef, LibHeader, LibraryError, ROOT_MODULE_LOADER_NAME, ROOT_MODULE_LOADER_NAME_WITH_NUL,
};
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

/// The symbols by which plugins are found; one of them must be there.
pub(crate) const SYMBOLS: [&str; 1 + c::SYMBOLS.len()] = {
    let mut all = [ROOT_MODULE_LOADER_NAME; 1 + c::SYMBOLS.len()];
    let mut at = 0;
    while at < c::SYMBOLS.len() {
        all[1 + at] = c::SYMBOLS[at];
        at += 1;
    }
    all
};

/// A plugin that fits.
pub(crate) struct Loaded {
    /// Its real path.
    pub(crate) file: PathBuf,
    /// Which file that was: device, inode and time of change in nanoseconds.
    pub(crate) stamp: Option<Stamp>,
    /// The plugin itself.
    pub(crate) library: Box<dyn Library>,
    /// Its processes, if it has some of its own.
    pub(super) pool: Option<Arc<Pool>>,
}

pub(crate) type Stamp = (u64, u64, i64);

/// Tells whether a file was replaced.
pub(super) fn stamp(file: &Path) -> Option<Stamp> {
    fs::metadata(file).ok().map(|metadata| stamp_of(&metadata))
}

/// The same for a file that is open.
pub(super) fn stamp_of(metadata: &fs::Metadata) -> Stamp {
    (metadata.dev(), metadata.ino(), metadata.mtime().saturating_mul(1_000_000_000) + metadata.mtime_nsec())
}

/// Loads a plugin from a file that was vetted (`vet.rs`) for those who are trusted.
pub(super) fn load(file: &Path, trust: Trust) -> Result<Loaded, PluginError> {
    elf::check(file)?;
    needs::check(file, &SYMBOLS, trust)?;
    load_from_anywhere(file)
}

/// Loads a plugin whoever could have written it: for authors who check what they have just built.
pub(crate) fn load_from_anywhere(file: &Path) -> Result<Loaded, PluginError> {
    elf::check(file)?;
    let stamp = stamp(file);
    let shared_object = open(file)?;
    let library = match header(file, &shared_object)? {
        Some(header) => load_rust(file, header)?,
        None => c::load(file, &shared_object).ok_or_else(|| PluginError::NotAPlugin { file: file.to_owned() })??,
    };
    Ok(Loaded { file: file.to_owned(), stamp, library, pool: None })
}

fn load_rust(file: &Path, header: &'static LibHeader) -> Result<Box<dyn Library>, PluginError> {
    let api_version = compare(file, header)?;
    let plugin = start(file, header)?;
    if !plugin.panic_unwinds() {
        return Err(PluginError::PanicAborts { file: file.to_owned() });
    }
    Ok(Box::new(InProcess { info: info(plugin, api_version), plugin }))
}

/// Has a worker process load it. None of its code runs here.
pub(super) fn load_in_worker(launch: Launch) -> Result<Loaded, PluginError> {
    let file = launch.file.clone();
    elf::check(&file)?;
    needs::check(&file, &SYMBOLS, launch.trust)?;
    let unreadable = |error| unreadable(&file, &error);
    let library = fs::File::open(&file).map_err(unreadable)?;
    let stamp = stamp_of(&library.metadata().map_err(unreadable)?);
    let remote = Remote::start(launch, library, stamp)?;
    let pool = Some(Arc::clone(remote.pool()));
    Ok(Loaded { file, stamp: Some(stamp), library: Box::new(remote), pool })
}

fn open(file: &Path) -> Result<ManuallyDrop<SharedObject>, PluginError> {
    // SAFETY: the constructors of the library run here. Nothing can prove them harmless; `vet` has
    // made sure that only root or our own user could have put the file there, `elf::check` that it
    // can be mapped. RTLD_NOW: a missing symbol is an error now and not the end of the process later.
    let library = unsafe { SharedObject::open(Some(file), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| PluginError::Open { file: file.to_owned(), reason: words(&error) })?;
    Ok(ManuallyDrop::new(library))
}

/// What a plugin in Rust begins with. `None`: it is none.
fn header(file: &Path, library: &SharedObject) -> Result<Option<&'static LibHeader>, PluginError> {
    // SAFETY: the only code that exports this symbol is abi_stable's, and it always is an `AbiHeader`;
    // the value is copied out, and what it points to lives as long as the library, which is for ever.
    let symbol = unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) };
    let Ok(header) = symbol.map(|symbol| *symbol) else { return Ok(None) };
    let mine = abi_stable::library::AbiHeader::VALUE;
    let abi_stable = |major: u32, minor: u32| format!("abi_stable {major}.{minor}");
    header.upgrade().map(Some).map_err(|error| match error {
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
