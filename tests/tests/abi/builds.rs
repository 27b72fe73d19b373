//! Builds the probe plugin and the host, each with its compiler and against its version of the interface.
//!
//! What was built is kept in `target/abi/built` under a name that has a number made from all that went in; a
//! run in which nothing changed builds nothing.

use super::trees::{self, Interface};
use postrider_tests::fixtures::{repository, target_dir};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

/// One build at a time: they use both cores and share directories.
static BUILDING: Mutex<()> = Mutex::new(());

/// Who builds a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compiler {
    /// Debian 12's rustc, the oldest that the interface supports.
    Debian163,
    /// Debian 12's rustc-web, which follows the newest.
    DebianWeb,
    /// The one that builds Postrider.
    Ours,
}

impl Compiler {
    pub const ALL: [Compiler; 3] = [Compiler::Debian163, Compiler::DebianWeb, Compiler::Ours];

    /// For names of plugins.
    pub fn word(self) -> &'static str {
        match self {
            Compiler::Debian163 => "debian_1_63",
            Compiler::DebianWeb => "debian_web",
            Compiler::Ours => "ours",
        }
    }

    /// For people, without a version that changes from day to day.
    pub fn title(self) -> &'static str {
        match self {
            Compiler::Debian163 => "Debian 12's rustc 1.63",
            Compiler::DebianWeb => "Debian 12's rustc-web",
            Compiler::Ours => "the compiler of Postrider",
        }
    }

    /// The name that `tests/out-of-tree` has for it.
    fn release(self) -> Option<&'static str> {
        match self {
            Compiler::Debian163 => Some("1.63"),
            Compiler::DebianWeb => Some("web"),
            Compiler::Ours => None,
        }
    }

    /// `rustc 1.63.0`.
    ///
    /// # Errors
    /// It cannot be had on this machine.
    pub fn version(self) -> Result<String, String> {
        let output = match self.release() {
            Some(release) => run(Command::new(repository().join("tests/out-of-tree/debian-rust")).args([
                release,
                "rustc",
                "--version",
            ])),
            None => run(Command::new("rustc").arg("--version").current_dir(repository())),
        };
        outcome(&output).map(|()| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// The probe plugin; its name in `export_plugin!` is that of [`name`].
///
/// # Errors
/// It cannot be done on this machine.
pub fn plugin(compiler: Compiler, interface: Interface) -> Result<PathBuf, String> {
    let name = name(compiler, interface);
    let tree = trees::work().join("trees").join(&name);
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    interface.write(&tree.join("plugin-api"));
    trees::copy(&repository().join("tests/abi/plugin"), &tree.join("tests/abi/plugin"));
    trees::write(&tree.join("tests/abi/plugin/src/name"), name.as_bytes());
    workspace(&tree, &["plugin-api", "tests/abi/plugin"]);
    lock(&tree, compiler, interface);

    let version = compiler.version()?;
    kept(&tree, &format!("libpostrider_{name}"), &[&version], || {
        let features = if interface == Interface::Frozen { "" } else { "next" };
        let arguments = ["-p", "postrider-probe", "--features", features];
        cargo_build(compiler, &tree, &arguments).map(|target| target.join("debug/libpostrider_probe.so"))
    })
}

/// `debian_1_63_on_1_0`, for instance.
pub fn name(compiler: Compiler, interface: Interface) -> String {
    format!("{}_on_{}", compiler.word(), interface.version().replace('.', "_"))
}

/// The host around the real comparison of interfaces, built with our compiler.
pub fn host(interface: Interface) -> PathBuf {
    let name = format!("host_{}", interface.version().replace('.', "_"));
    let tree = trees::work().join("trees").join(&name);
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    interface.write(&tree.join("plugin-api"));
    trees::copy(&repository().join("tests/abi/host"), &tree.join("tests/abi/host"));
    for file in ["error.rs", "interface.rs"] {
        let path = Path::new("host/src/plugins").join(file);
        trees::write(&tree.join(&path), &fs::read(repository().join(&path)).unwrap());
    }
    workspace(&tree, &["plugin-api", "tests/abi/host"]);
    lock(&tree, Compiler::Ours, interface);
    let version = Compiler::Ours.version().unwrap();
    let built = kept(&tree, &name, &[&version], || {
        let features = if interface == Interface::Frozen { "" } else { "next" };
        let arguments = ["-p", "postrider-abi-host", "--features", features];
        cargo_build(Compiler::Ours, &tree, &arguments).map(|target| target.join("debug/postrider-abi-host"))
    });
    built.unwrap()
}

/// A workspace of these members.
fn workspace(tree: &Path, members: &[&str]) {
    let members = members.iter().map(|member| format!("\"{member}\"")).collect::<Vec<_>>().join(", ");
    // The comparison of layouts is slow without optimization, and there are thousands of them.
    let text = format!(
        "[workspace]\nresolver = \"2\"\nmembers = [{members}]\n\n\
         [profile.dev.package.abi_stable]\nopt-level = 1\n"
    );
    trees::write(&tree.join("Cargo.toml"), text.as_bytes());
}

/// The lock file: Debian's compilers have their own, ours has that of the workspace, without what is not needed.
fn lock(tree: &Path, compiler: Compiler, interface: Interface) {
    let Some(release) = compiler.release() else {
        if !tree.join("Cargo.lock").exists() {
            fs::copy(repository().join("Cargo.lock"), tree.join("Cargo.lock")).unwrap();
        }
        return;
    };
    let file = repository().join(format!("tests/out-of-tree/Cargo-{release}.lock"));
    let api = |version: &str| format!("name = \"postrider-plugin-api\"\nversion = \"{version}\"\n");
    let text = fs::read_to_string(file)
        .unwrap()
        .replace(
            "name = \"postrider-plugin-postfix\"\nversion = \"0.1.0\"",
            "name = \"postrider-probe\"\nversion = \"0.0.0\"",
        )
        .replace(&api(postrider_plugin_api::VERSION), &api(&format!("{}.0", interface.version())));
    trees::write(&tree.join("Cargo.lock"), text.as_bytes());
}

/// Runs `build` while no other build runs.
pub fn alone<T>(build: impl FnOnce() -> T) -> T {
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    build()
}

/// The file of that name with all that is in the tree in its number; made by `build` if it is not there.
pub fn kept(
    tree: &Path,
    name: &str,
    more: &[&str],
    build: impl FnOnce() -> Result<PathBuf, String>,
) -> Result<PathBuf, String> {
    let sources: Vec<PathBuf> = fs::read_dir(tree).unwrap().map(|entry| entry.unwrap().path()).collect();
    let directories: Vec<&Path> = sources
        .iter()
        .map(PathBuf::as_path)
        .filter(|path| path.is_dir() && !path.file_name().unwrap().as_encoded_bytes().starts_with(b"."))
        .collect();
    let manifest = fs::read_to_string(tree.join("Cargo.toml")).unwrap();
    let more: Vec<&str> = more.iter().copied().chain([manifest.as_str()]).collect();
    let file = built().join(format!("{name}-{}", trees::fingerprint(&directories, &more)));
    if !file.exists() {
        let made = build()?;
        fs::create_dir_all(built()).unwrap();
        for old in fs::read_dir(built()).unwrap().map(|entry| entry.unwrap().path()) {
            if old.file_name().unwrap().to_string_lossy().rsplit_once('-').is_some_and(|(old, _)| old == name) {
                fs::remove_file(old).unwrap();
            }
        }
        let staged = file.with_extension("new");
        fs::copy(made, &staged).unwrap();
        fs::rename(staged, &file).unwrap();
    }
    Ok(file)
}

fn built() -> PathBuf {
    trees::work().join("built")
}

/// Builds in a tree; returns the target directory.
///
/// # Errors
/// It cannot be done on this machine.
///
/// # Panics
/// It does not build.
pub fn cargo_build(compiler: Compiler, tree: &Path, arguments: &[&str]) -> Result<PathBuf, String> {
    let (mut command, target) = if let Some(release) = compiler.release() {
        let mut command = Command::new(repository().join("tests/out-of-tree/build"));
        command.arg(release).arg(tree);
        (command, target_dir().join(format!("out-of-tree/target-{release}")))
    } else {
        let target = trees::work().join("target");
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--quiet"]).current_dir(tree).env("CARGO_TARGET_DIR", &target);
        (command, target)
    };
    command
        .args(arguments)
        .env("CARGO", env!("CARGO"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0");
    let output = run(&mut command);
    outcome(&output)?;
    Ok(target)
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Status 77 of the scripts is an error of this machine, everything else one of ours.
fn outcome(output: &Output) -> Result<(), String> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(()),
        Some(77) => Err(stderr.trim().to_owned()),
        _ => panic!("{}: {stderr}", output.status),
    }
}
