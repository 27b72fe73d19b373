//! Why a plugin or an adapter cannot be used. Each text is one line.

use super::AdapterKind;
use postrider_plugin_api::{VERSION, sdk};
use std::path::PathBuf;

/// Why a plugin or an adapter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
pub enum PluginError {
    /// No file of that name in the plugin path.
    #[error("plugin {name:?} not found: no libpostrider_{name}.so in {}; {}", paths(looked_in), there(nearest.as_ref(), present, "plugin"))]
    NotFound {
        /// The plugin that was asked for.
        name: String,
        /// The plugin path.
        looked_in: Vec<PathBuf>,
        /// Something there has a similar name.
        nearest: Option<String>,
        /// The plugins that are there.
        present: Vec<String>,
    },

    /// No plugin of that name has been loaded.
    #[error("the plugin {name:?} is not in use; {}", there(nearest.as_ref(), present, "plugin in use"))]
    NotInUse {
        /// The plugin that was asked for.
        name: String,
        /// One with a similar name is.
        nearest: Option<String>,
        /// The plugins that are.
        present: Vec<String>,
    },

    /// It runs in the daemon's process, which cannot let it go.
    #[error("{}: runs in the daemon's own process ([plugins] isolation); restart the daemon to use the new file", file.display())]
    NeedsRestart {
        /// The plugin.
        file: PathBuf,
    },

    /// The plugin has no such adapter.
    #[error("{}: has no {kind} adapter {adapter:?}; {}", file.display(), there(nearest.as_ref(), present, "adapter of that kind"))]
    NoAdapter {
        /// The plugin.
        file: PathBuf,
        /// The adapter that was asked for.
        adapter: String,
        /// What it was wanted for.
        kind: AdapterKind,
        /// It has one with a similar name.
        nearest: Option<String>,
        /// Its adapters of that kind.
        present: Vec<String>,
    },

    /// `null` was asked for something that it is not.
    #[error("null.NullMTA is no outgoing adapter; use `outgoing: deliver` or an adapter of a plugin")]
    NullIsIncoming,

    /// Not a possible name of a plugin.
    #[error("{name:?} cannot be the name of a plugin; names have only a-z, 0-9 and _")]
    BadName {
        /// The name.
        name: String,
    },

    /// A relative path could mean any file.
    #[error("{}: the path of a plugin must be absolute; write it from /", file.display())]
    NotAbsolute {
        /// The file as given.
        file: PathBuf,
    },

    /// The file, or what is on the way to it, cannot be read.
    #[error("{}: cannot be read: {reason}; check that it exists and that this user may read it", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's words.
        reason: String,
    },

    /// A directory, a device or the like.
    #[error("{}: is not a regular file; install the plugin itself there", file.display())]
    NotAFile {
        /// The file.
        file: PathBuf,
    },

    /// Somebody else could have put the file there.
    #[error("{}: {} is owned by user id {uid}, expected {}; run `chown root {}`", file.display(), what(file, place), owners(*trusted), place.display())]
    Owner {
        /// The plugin.
        file: PathBuf,
        /// The file itself or the directory on the way to it.
        place: PathBuf,
        /// Its owner.
        uid: u32,
        /// Who else than root might own it.
        trusted: Option<u32>,
    },

    /// Others could change the file.
    #[error("{}: {} can be written by group or others (mode {mode:04o}); run `chmod go-w {}`", file.display(), what(file, place), place.display())]
    Writable {
        /// The plugin.
        file: PathBuf,
        /// The file itself or the directory on the way to it.
        place: PathBuf,
        /// Its permissions.
        mode: u32,
    },

    /// No shared library, or one of another kind of machine.
    #[error("{}: {found}, expected a shared library for {expected}; install the plugin's build for this machine", file.display())]
    NotALibrary {
        /// The plugin.
        file: PathBuf,
        /// What it is instead.
        found: String,
        /// What this host can load.
        expected: String,
    },

    /// Shorter than it says; opening it would kill the process.
    #[error("{}: is cut short: has {found} octets, expected at least {expected}; install it again", file.display())]
    Truncated {
        /// The plugin.
        file: PathBuf,
        /// Its size.
        found: u64,
        /// Where its last segment ends.
        expected: u64,
    },

    /// The dynamic linker would take code from where others can put it.
    #[error("{}: has libraries searched in {}, {reason}; build it without that search path (-rpath), or remove it with `patchelf --remove-rpath`", file.display(), place.display())]
    SearchPath {
        /// The plugin.
        file: PathBuf,
        /// Where.
        place: PathBuf,
        /// What is wrong there.
        reason: String,
    },

    /// The dynamic linker refused it.
    #[error("{}: cannot be opened: {reason}; install what it needs, or a build for this system", file.display())]
    Open {
        /// The plugin.
        file: PathBuf,
        /// The dynamic linker's words.
        reason: String,
    },

    /// A shared library, but no plugin.
    #[error("{}: is a shared library but exports no plugin; build it with export_plugin! of postrider-plugin-api {VERSION}, or in C with postrider_plugin_v1() of postrider_plugin.h", file.display())]
    NotAPlugin {
        /// The file.
        file: PathBuf,
    },

    /// The header of the plugin is of another time.
    #[error("{}: {found}, expected {expected}; build it again with postrider-plugin-api {VERSION}", file.display())]
    Header {
        /// The plugin.
        file: PathBuf,
        /// What its header says.
        found: String,
        /// What ours says.
        expected: String,
    },

    /// Built against another major version of the interface.
    #[error("{}: is built against plugin interface {found}, this host speaks {expected}; get the plugin's version for this postrider", file.display())]
    ApiVersion {
        /// The plugin.
        file: PathBuf,
        /// Its version of the interface.
        found: String,
        /// Ours.
        expected: String,
    },

    /// Carries nothing by which the types could be compared.
    #[error("{}: carries no description of its types, so nothing shows that it fits; build it with export_plugin! of postrider-plugin-api {VERSION}", file.display())]
    NoLayout {
        /// The plugin.
        file: PathBuf,
    },

    /// A type that crosses is laid out in another way.
    #[error("{}: does not fit (plugin interface {found}, this host speaks {VERSION}): {difference}; build it again with an unchanged postrider-plugin-api", file.display())]
    Layout {
        /// The plugin.
        file: PathBuf,
        /// Its version of the interface.
        found: String,
        /// The first difference.
        difference: String,
    },

    /// The plugin's own start failed.
    #[error("{}: failed to start: {reason}; ask its author", file.display())]
    Start {
        /// The plugin.
        file: PathBuf,
        /// What it said.
        reason: String,
    },

    /// A plugin in C describes itself wrongly.
    #[error("{}: {reason}; correct the plugin as postrider_plugin.h says", file.display())]
    Description {
        /// The plugin.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// Another file has its name since it was opened, and from where it is now it cannot be opened again.
    #[error("{}: was replaced since it was loaded, and the old one cannot be opened again: {reason}; run `postrider plugins reload`", file.display())]
    Replaced {
        /// The plugin.
        file: PathBuf,
        /// The dynamic linker's words.
        reason: String,
    },

    /// Its octets were exchanged after it was opened.
    #[error("{}: was written over since it was loaded; install plugins by renaming them into place, and run `postrider plugins reload`", file.display())]
    Overwritten {
        /// The plugin.
        file: PathBuf,
    },

    /// The process that was to load it is no more.
    #[error("{}: crashed while it was loaded: {reason}; ask its author", file.display())]
    LoadCrashed {
        /// The plugin.
        file: PathBuf,
        /// What the process died of.
        reason: String,
    },

    /// Its panics could not be caught.
    #[error("{}: is built with panic = \"abort\", expected \"unwind\" because a panic would end this host; build it again without that", file.display())]
    PanicAborts {
        /// The plugin.
        file: PathBuf,
    },

    /// The file has the name of another plugin.
    #[error("{}: is the plugin {found:?}, expected {expected:?}; rename the file to libpostrider_{found}.so", file.display())]
    WrongName {
        /// The plugin.
        file: PathBuf,
        /// What it calls itself.
        found: String,
        /// What its file says.
        expected: String,
    },

    /// An earlier directory of the plugin path has a file of the same name.
    #[error("{}: is hidden by {}, which comes first in the plugin path; remove one of the two", file.display(), by.display())]
    Hidden {
        /// The plugin.
        file: PathBuf,
        /// The one that is used instead.
        by: PathBuf,
    },

    /// The adapter itself refused.
    #[error("adapter {adapter}: {error}")]
    Adapter {
        /// `plugin.Adapter`.
        adapter: String,
        /// What it said.
        error: sdk::Error,
    },
}

/// `it`, or which directory on the way.
fn what(file: &std::path::Path, place: &std::path::Path) -> String {
    if file == place { "it".to_owned() } else { format!("{} on the way to it", place.display()) }
}

fn owners(trusted: Option<u32>) -> String {
    trusted.map_or_else(|| "root".to_owned(), |uid| format!("root or user id {uid}"))
}

fn paths(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "the plugin path, which is empty".to_owned();
    }
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn there(nearest: Option<&String>, present: &[String], what: &str) -> String {
    match (nearest, present) {
        (Some(nearest), _) => format!("did you mean {nearest:?}?"),
        (None, []) => format!("there is no {what} at all"),
        (None, present) => format!("there is: {}", present.join(", ")),
    }
}
