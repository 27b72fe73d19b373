//! Plugins for tests: built once, installed into private directories.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The top of the source tree.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

/// Where cargo puts what it builds.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), |dir| repository().join(dir))
}

/// The library `libpostrider_NAME.so` of a plugin in `tests/plugins`.
pub fn built(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let dir = BUILT.get_or_init(|| {
        let status = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "-p",
                "postrider-plugin-good",
                "-p",
                "postrider-plugin-bad",
                "--lib",
                "--examples",
            ])
            .current_dir(repository())
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the plugins in tests/plugins do not build");
        target_dir().join("debug")
    });
    let file = format!("libpostrider_{name}.so");
    if name == "good" { dir.join(file) } else { dir.join("examples").join(file) }
}

/// A private directory of plugins.
pub struct PluginDir(tempfile::TempDir);

impl PluginDir {
    /// An empty one.
    pub fn new() -> Self {
        PluginDir(tempfile::tempdir().expect("there is room for a temporary directory"))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Installs a plugin of `tests/plugins` under its own name.
    pub fn install(&self, name: &str) -> PathBuf {
        self.install_bytes(name, &fs::read(built(name)).expect("the plugin was built"))
    }

    /// Installs these octets as the plugin `name`: written beside and renamed, as an upgrade must be.
    pub fn install_bytes(&self, name: &str, contents: &[u8]) -> PathBuf {
        let file = self.path().join(format!("libpostrider_{name}.so"));
        let staged = file.with_extension("new");
        fs::write(&staged, contents).expect("the file can be written");
        fs::set_permissions(&staged, fs::Permissions::from_mode(0o755)).expect("it is ours");
        fs::rename(&staged, &file).expect("it can be renamed");
        file
    }
}

impl Default for PluginDir {
    fn default() -> Self {
        Self::new()
    }
}
