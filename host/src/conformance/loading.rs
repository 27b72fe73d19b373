//! May it be loaded? The order is that of loading, and each test looks for one reason why not.

use super::case::{AdapterId, Case, Described, Failure};
use crate::plugins::{
    AdapterKind, PluginError, SYMBOLS, Trust, check_needs, check_whole, load_from_anywhere as load, vet,
};
use object::elf::FileHeader64;
use object::read::elf::ElfFile;
use object::{Endianness, Object as _, ObjectSymbol as _};
use postrider_plugin_api::export::is_plugin_name;

/// Which test tells of which refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Whole,
    Exports,
    Opens,
    Interface,
    Layout,
    Starts,
    Unwinds,
}

fn stage(error: &PluginError) -> Stage {
    match error {
        PluginError::NotAFile { .. }
        | PluginError::Unreadable { .. }
        | PluginError::NotALibrary { .. }
        | PluginError::Truncated { .. } => Stage::Whole,
        PluginError::NotAPlugin { .. } => Stage::Exports,
        PluginError::Open { .. } => Stage::Opens,
        PluginError::Header { .. } | PluginError::ApiVersion { .. } => Stage::Interface,
        PluginError::NoLayout { .. } | PluginError::Layout { .. } => Stage::Layout,
        PluginError::PanicAborts { .. } => Stage::Unwinds,
        _ => Stage::Starts,
    }
}

/// A refusal, in the host's own words: what was found and expected, and after the last semicolon what to do.
fn refusal(error: &PluginError) -> Failure {
    let text = error.to_string();
    let (seen, advice) = text.rsplit_once("; ").unwrap_or((&text, "see the error"));
    Failure::new(seen, "a plugin that this host loads", advice)
}

fn loaded(case: &Case, tells: Stage) -> Result<(), Failure> {
    match load(&case.file) {
        Err(error) if stage(&error) == tells => Err(refusal(&error)),
        // A later test tells.
        _ => Ok(()),
    }
}

pub(super) fn file_name(case: &mut Case) -> Result<(), Failure> {
    let name = case.file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plugin = name.strip_prefix("libpostrider_").and_then(|name| name.strip_suffix(".so"));
    if plugin.is_some_and(is_plugin_name) {
        return Ok(());
    }
    let advice = if name.starts_with("libpostrider_") && name.ends_with(".so") {
        "the part between libpostrider_ and .so has only a-z, 0-9 and _"
    } else {
        "in Cargo.toml: `name = \"postrider_NAME\"` in [lib], with crate-type = [\"cdylib\"]; in C: \
         `-o libpostrider_NAME.so`"
    };
    Err(Failure::new(format!("the file is called {name}"), "libpostrider_NAME.so", advice))
}

#[allow(clippy::unnecessary_wraps)] // every test has this form
pub(super) fn file_place(case: &mut Case) -> Result<(), Failure> {
    let trust = Trust::RootAndUs;
    // What is no plugin at all is told by a later test.
    let needs = check_needs(&case.file, &SYMBOLS, trust);
    let needs =
        needs.or_else(|error| if matches!(error, PluginError::NotAPlugin { .. }) { Ok(()) } else { Err(error) });
    if let Err(error) = vet(&case.file, trust).and(needs) {
        case.warn(format!("as it lies there it would not be loaded: {error}"));
    }
    Ok(())
}

pub(super) fn file_whole(case: &mut Case) -> Result<(), Failure> {
    let metadata = std::fs::metadata(&case.file);
    if metadata.is_ok_and(|metadata| !metadata.is_file()) {
        return Err(refusal(&PluginError::NotAFile { file: case.file.clone() }));
    }
    check_whole(&case.file).map_err(|error| refusal(&error))
}

pub(super) fn exports(case: &mut Case) -> Result<(), Failure> {
    let unreadable = |reason: String| {
        refusal(&PluginError::NotALibrary {
            file: case.file.clone(),
            found: format!("has symbols that cannot be read ({reason})"),
            expected: std::env::consts::ARCH.to_owned(),
        })
    };
    let bytes = std::fs::read(&case.file).map_err(|error| unreadable(error.to_string()))?;
    // Only 64-bit machines: on others the loader looks for the symbol.
    let library: ElfFile<'_, FileHeader64<Endianness>> = match ElfFile::parse(bytes.as_slice()) {
        Ok(library) => library,
        Err(error) if cfg!(target_pointer_width = "64") => return Err(unreadable(error.to_string())),
        Err(_) => return loaded(case, Stage::Exports),
    };
    let names: Vec<String> = library
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition() && symbol.is_global() && !symbol.is_weak())
        .filter_map(|symbol| symbol.name().ok().map(str::to_owned))
        .collect();
    let (entries, others): (Vec<&String>, Vec<&String>) =
        names.iter().partition(|name| SYMBOLS.contains(&name.as_str()));
    if entries.is_empty() {
        return Err(refusal(&PluginError::NotAPlugin { file: case.file.clone() }));
    }
    let others: Vec<&str> =
        others.iter().map(|name| name.as_str()).filter(|name| !matches!(*name, "_init" | "_fini")).collect();
    if !others.is_empty() {
        let shown = others.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        case.warn(format!(
            "it exports {} other symbols ({shown}), which could be mistaken for those of another library; build C with \
             -fvisibility=hidden",
            others.len()
        ));
    }
    Ok(())
}

pub(super) fn opens(case: &mut Case) -> Result<(), Failure> {
    loaded(case, Stage::Opens)
}

pub(super) fn interface(case: &mut Case) -> Result<(), Failure> {
    loaded(case, Stage::Exports)?;
    loaded(case, Stage::Interface)
}

pub(super) fn layout(case: &mut Case) -> Result<(), Failure> {
    loaded(case, Stage::Layout)
}

pub(super) fn starts(case: &mut Case) -> Result<(), Failure> {
    loaded(case, Stage::Starts)
}

pub(super) fn panics_unwind(case: &mut Case) -> Result<(), Failure> {
    loaded(case, Stage::Unwinds)?;
    let info = case.info()?;
    let usable = |kind| matches!(kind, AdapterKind::Incoming | AdapterKind::Outgoing);
    let adapters = info.adapters.iter().filter(|adapter| usable(adapter.kind));
    let mut described: Vec<AdapterId> = Vec::new();
    for adapter in adapters {
        let id = AdapterId { name: adapter.name.clone(), incoming: adapter.kind == AdapterKind::Incoming };
        if !described.contains(&id) {
            described.push(id);
        }
    }
    case.findings.plugin = Some(Described {
        name: info.name,
        version: info.version,
        interface: info.api_version,
        built_with: info.built_with,
        adapters: described,
    });
    Ok(())
}
