//! Directories to build in, each with one version of the interface and what is built against it.
//!
//! A file is only written when its contents change, so cargo sees nothing new where nothing is.

use super::edits;
use postrider_tests::fixtures::{repository, target_dir};
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

/// A version of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interface {
    /// As it was released: `tests/abi/interface-1.0.0`.
    Frozen,
    /// The living source and `tests/abi/interface-next.edits`, under the next minor version.
    Next,
    /// One more, with `tests/abi/interface-later.edits`.
    Later,
}

impl Interface {
    /// Those of the matrix.
    pub const ALL: [Interface; 2] = [Interface::Frozen, Interface::Next];

    /// `1.0` or the like.
    pub fn version(self) -> String {
        let (major, minor) = match self {
            Interface::Frozen => (1, 0),
            Interface::Next | Interface::Later => {
                let mut numbers = postrider_plugin_api::VERSION.split('.').map(|number| number.parse::<u64>().unwrap());
                let ahead = if self == Interface::Next { 1 } else { 2 };
                (numbers.next().unwrap(), numbers.next().unwrap() + ahead)
            }
        };
        format!("{major}.{minor}")
    }

    /// Writes its source to `to`.
    pub fn write(self, to: &Path) {
        match self {
            Interface::Frozen => copy(&frozen(), to),
            Interface::Next | Interface::Later => {
                // A place of its own: several tests write one at the same time.
                let staged = tempfile::tempdir().unwrap();
                copy(&repository().join("plugin-api"), staged.path());
                set_version(staged.path(), postrider_plugin_api::VERSION, &format!("{}.0", self.version()));
                edit(staged.path(), "interface-next.edits");
                if self == Interface::Later {
                    edit(staged.path(), "interface-later.edits");
                }
                copy(staged.path(), to);
            }
        }
    }
}

fn edit(interface: &Path, script: &str) {
    edits::apply(&fs::read_to_string(repository().join("tests/abi").join(script)).unwrap(), interface);
}

/// The frozen copy of version 1.0.0.
pub fn frozen() -> PathBuf {
    repository().join("tests/abi/interface-1.0.0")
}

/// Where everything is built and kept.
pub fn work() -> PathBuf {
    target_dir().join("abi")
}

/// Gives an interface another version.
pub fn set_version(interface: &Path, from: &str, to: &str) {
    let manifest = interface.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let line = |version: &str| format!("\nversion = \"{version}\"\n");
    assert_eq!(text.matches(&line(from)).count(), 1, "{}: version {from}", manifest.display());
    fs::write(manifest, text.replace(&line(from), &line(to))).unwrap();
}

/// Makes `to` a copy of `from`: writes what differs, removes what is too much. What cargo made, and files of
/// unit tests, are left out.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if name == "target" || name == "tests.rs" {
            continue;
        }
        let target = to.join(&name);
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            write(&target, &fs::read(entry.path()).unwrap());
        }
        names.insert(name);
    }
    for entry in fs::read_dir(to).unwrap() {
        let entry = entry.unwrap();
        if !names.contains(&entry.file_name()) {
            let path = entry.path();
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
    }
}

/// Writes a file if that changes it.
pub fn write(file: &Path, contents: &[u8]) {
    if fs::read(file).is_ok_and(|there| there == contents) {
        return;
    }
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, contents).unwrap();
}

/// A number for everything in these directories and texts, and the names of the files.
pub fn fingerprint(directories: &[&Path], texts: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    for directory in directories {
        hash(directory, directory, &mut hasher);
    }
    for text in texts {
        hasher.write(text.as_bytes());
        hasher.write_u8(0);
    }
    format!("{:016x}", hasher.finish())
}

fn hash(root: &Path, directory: &Path, hasher: &mut DefaultHasher) {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            hash(root, &path, hasher);
        } else {
            hasher.write(path.strip_prefix(root).unwrap().as_os_str().as_encoded_bytes());
            let contents = fs::read(&path).unwrap();
            hasher.write_usize(contents.len());
            hasher.write(&contents);
        }
    }
}
