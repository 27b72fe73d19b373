//! Stand-ins for the host in unit tests, scratch directories, the real `sh`, and golden files.

pub(crate) use postrider_plugin_api::testing::{site, TestRoster, TestSink, TestTools};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// A directory of the test's own.
pub(crate) struct Scratch {
    path: String,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("postrider-qmail-{}-{}", std::process::id(), number));
        // A test that was killed may have left one with this number.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory");
        Scratch { path: path.to_str().expect("UTF-8").into() }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn of(&self, name: &str) -> PathBuf {
        PathBuf::from(&self.path).join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.of(name).parent().expect("a parent")).expect("a directory");
        fs::write(self.of(name), text).expect(name);
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.of(name)).expect(name)
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.of(name).exists()
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.of(name)).expect(name);
    }

    pub(crate) fn make_directory(&self, name: &str) {
        fs::create_dir(self.of(name)).expect(name);
    }

    pub(crate) fn remove_directory(&self, name: &str) {
        fs::remove_dir(self.of(name)).expect(name);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Runs a script by the real `sh -e`; exit status, and all that it said.
pub(crate) fn run_sh(script: &str, arguments: &[&str]) -> (i32, String) {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-ec", script, "sh"]).args(arguments).stdin(Stdio::null());
    let output = shell.output().expect("/bin/sh");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or(-1), said)
}

/// Compares with a file in `tests/golden`.
pub(crate) fn assert_golden(name: &str, text: &str) {
    assert_file(&format!("tests/golden/{}", name), text);
}

/// Compares with a file of this package; `WRITE_GOLDEN=1` writes it anew.
pub(crate) fn assert_file(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        fs::write(&path, text).expect(name);
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} is behind; WRITE_GOLDEN=1 writes it anew", path.display());
}
