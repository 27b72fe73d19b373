//! Reads and judges what a plugin in C says about itself.

use super::CPlugin;
use super::read::{self, Struct, Wrong};
use crate::plugins::library::{AdapterReport, PluginInfo};
use crate::plugins::{AdapterKind, PluginError};
use postrider_plugin_api::c::{POSTRIDER_INTERFACE, postrider_incoming, postrider_outgoing, postrider_plugin};
use postrider_plugin_api::export::is_plugin_name;
use std::ffi::c_char;
use std::path::Path;

/// An adapter that a plugin described rightly.
pub(super) struct Described<T> {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) raw: T,
}

/// The refusal of a plugin of another major version.
pub(super) fn other_version(file: &Path, major: u32, minor: u32) -> PluginError {
    PluginError::ApiVersion {
        file: file.to_owned(),
        found: version(major << 16 | minor),
        expected: version(POSTRIDER_INTERFACE),
    }
}

/// `C 1.0`
fn version(interface: u32) -> String {
    format!("C {}.{}", interface >> 16, interface & 0xffff)
}

/// A plugin, or why it is refused.
pub(super) fn read(file: &Path, plugin: *const postrider_plugin) -> Result<CPlugin, PluginError> {
    if plugin.is_null() {
        let reason = "postrider_plugin_v1 returned NULL, so it does not want to work with this host".to_owned();
        return Err(PluginError::Start { file: file.to_owned(), reason });
    }
    let refused = |reason| PluginError::Description { file: file.to_owned(), reason };
    // SAFETY: the plugin returned a struct, says the header.
    let raw = unsafe { read::structure(plugin) }.map_err(|wrong| refused(format!("postrider_plugin {wrong}")))?;
    if raw.interface >> 16 != POSTRIDER_INTERFACE >> 16 {
        return Err(other_version(file, raw.interface >> 16, raw.interface & 0xffff));
    }
    describe(&raw).map_err(refused)
}

fn describe(raw: &postrider_plugin) -> Result<CPlugin, Wrong> {
    let name = line(raw.name, "the plugin's name")?;
    if !is_plugin_name(&name) {
        return Err(format!("the plugin's name is {name:?}; such a name has only a-z, 0-9 and _"));
    }
    let incoming = adapters(raw.incoming, "incoming", |raw: &postrider_incoming| {
        (raw.name, raw.description, raw.create.is_some(), raw.plan.is_some().then_some(()).ok_or("plan"))
    })?;
    let outgoing = adapters(raw.outgoing, "outgoing", |raw: &postrider_outgoing| {
        let hands_over = raw.inject.is_some() || raw.deliver.is_some();
        (raw.name, raw.description, raw.create.is_some(), hands_over.then_some(()).ok_or("inject and deliver"))
    })?;
    let reports = incoming
        .iter()
        .map(|adapter| (AdapterKind::Incoming, &adapter.name, &adapter.description))
        .chain(outgoing.iter().map(|adapter| (AdapterKind::Outgoing, &adapter.name, &adapter.description)))
        .map(|(kind, name, description)| AdapterReport { name: name.clone(), kind, description: description.clone() })
        .collect::<Vec<_>>();
    if reports.is_empty() {
        return Err("the plugin offers no adapter".to_owned());
    }
    let built_with =
        if raw.built_with.is_null() { "an unknown compiler".to_owned() } else { line(raw.built_with, "built_with")? };
    let version_of_plugin = line(raw.version, "the plugin's version")?;
    let info = PluginInfo {
        name,
        version: version_of_plugin,
        api_version: version(raw.interface),
        built_with,
        adapters: reports,
    };
    Ok(CPlugin { info, incoming, outgoing })
}

/// Adapters of one kind. `parts` gives name, description, whether it can be made, and which other required function is
/// not there.
fn adapters<T: Struct>(
    array: *const *const T,
    kind: &str,
    parts: impl Fn(&T) -> (*const c_char, *const c_char, bool, Result<(), &'static str>),
) -> Result<Vec<Described<T>>, Wrong> {
    // SAFETY: the plugin gives an array of structs that ends with NULL, says the header.
    let pointers = unsafe { read::pointers(array) }.map_err(|wrong| format!("the array of {kind} adapters {wrong}"))?;
    let mut all: Vec<Described<T>> = Vec::new();
    for (at, pointer) in pointers.into_iter().enumerate() {
        // SAFETY: as above.
        let raw = unsafe { read::structure(pointer) }.map_err(|wrong| format!("{kind} adapter {at} {wrong}"))?;
        let (name, description, create, required) = parts(&raw);
        let name = line(name, &format!("the name of {kind} adapter {at}"))?;
        if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_') {
            return Err(format!(
                "the name of {kind} adapter {at} is {name:?}; such a name has only letters, digits and _"
            ));
        }
        let description = line(description, &format!("the description of {kind} adapter {name}"))?;
        if !create {
            return Err(format!("{kind} adapter {name} lacks the function create"));
        }
        required.map_err(|missing| format!("{kind} adapter {name} lacks the function {missing}"))?;
        if all.iter().any(|known| known.name == name) {
            return Err(format!("there are two {kind} adapters {name}"));
        }
        all.push(Described { name, description, raw });
    }
    Ok(all)
}

/// One line for people.
fn line(pointer: *const c_char, what: &str) -> Result<String, Wrong> {
    /// Nobody reads more in a list.
    const MOST: usize = 1000;
    // SAFETY: the plugin gives a text, says the header.
    let text = unsafe { read::text(pointer) }.map_err(|wrong| format!("{what} {wrong}"))?;
    if text.len() > MOST || text.contains(char::is_control) {
        return Err(format!("{what} is not one line of at most {MOST} octets"));
    }
    Ok(text.to_owned())
}
