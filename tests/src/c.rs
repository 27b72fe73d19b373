//! Plugins in C, built for a test.

use crate::fixtures::repository;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `postrider_plugin.h` lies.
pub fn include_dir() -> PathBuf {
    repository().join("packaging/include")
}

/// Builds a source of `tests/c` (or any other below the repository) as a shared library with every warning an error;
/// `flags` come last.
///
/// # Panics
/// When it does not build.
pub fn build(source: &str, include: &Path, flags: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    let library = dir.path().join("library.so");
    let cpp = Path::new(source).extension().is_some_and(|extension| extension == "cc");
    let (compiler, standard) = if cpp { ("c++", "-std=c++17") } else { ("cc", "-std=c11") };
    let output = Command::new(compiler)
        .args([standard, "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", "-fvisibility=hidden", "-shared"])
        .arg("-pthread")
        .arg("-I")
        .arg(include)
        .args(flags)
        .arg("-o")
        .arg(&library)
        .arg(repository().join(source))
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}; run tests/setup"));
    assert!(output.status.success(), "{source} {flags:?}: {}", String::from_utf8_lossy(&output.stderr));
    fs::read(library).expect("the library")
}
