//! A plugin as a third party builds it: outside the workspace, from the published crate alone.

use crate::fixtures::{repository, target_dir};
use rustix::fs::FlockOperation;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Builds `plugins/examples/NAME` with the crate `postrider-plugin-api` that `cargo package` makes, which stands in for
/// the one of the registry; returns `libpostrider_NAME.so`.
///
/// # Panics
/// When it does not build; with what cargo said.
pub fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    // Only one example is in Rust.
    BUILT.get_or_init(|| build(name)).clone()
}

fn build(name: &str) -> PathBuf {
    let work = target_dir().join("third-party");
    fs::create_dir_all(&work).expect("a directory");
    // Test programs run beside each other.
    let lock = File::create(work.join("lock")).expect("a lock");
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).expect("locked");

    let published = published(&work);
    let source = work.join(name);
    let _ = fs::remove_dir_all(&source);
    copy(&repository().join("plugins/examples").join(name), &source);
    // The versions that the workspace has been tested with, and that are here already.
    fs::copy(repository().join("Cargo.lock"), source.join("Cargo.lock")).expect("Cargo.lock");
    let patch = format!("patch.crates-io.postrider-plugin-api.path={:?}", published.to_str().expect("UTF-8"));
    // What it has in common with the workspace is built already, if features are the same.
    run(Command::new(env!("CARGO")).args(["build", "--quiet", "--config", &patch]).current_dir(&source));
    let library = target_dir().join("debug").join(format!("libpostrider_{name}.so"));
    assert!(library.exists(), "{} was not built", library.display());
    library
}

/// The crate as it would be published, unpacked.
fn published(work: &Path) -> PathBuf {
    let packages = work.join("packages");
    let version = postrider_plugin_api::VERSION;
    run(Command::new(env!("CARGO"))
        .args(["package", "--quiet", "-p", "postrider-plugin-api", "--no-verify", "--allow-dirty", "--target-dir"])
        .arg(&packages)
        .current_dir(repository()));
    let name = format!("postrider-plugin-api-{version}");
    let package = fs::read(packages.join(format!("package/{name}.crate"))).expect("the package");
    let (unpacked, known) = (work.join(&name), work.join("unpacked.crate"));
    if unpacked.exists() && fs::read(&known).is_ok_and(|known| known == package) {
        return unpacked;
    }
    let _ = fs::remove_dir_all(&unpacked);
    fs::write(&known, package).expect("written");
    // With times of now: in the package all have one and the same, by which cargo could not tell that they differ.
    run(Command::new("tar").arg("--touch").arg("-xf").arg(&known).arg("-C").arg(work));
    unpacked
}

fn run(command: &mut Command) {
    let output = command.env("CARGO_TARGET_DIR", target_dir()).output().expect("it starts");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            if entry.file_name() != "target" {
                copy(&entry.path(), &target);
            }
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}
