//! What is installed in a box: Debian packages, fetched and installed once.
//!
//! A layer is a tar file of everything that the installation wrote. It holds whole copies of
//! files like `/etc/passwd`, so it is good only for the very host that it was made on: its name
//! carries a hash of the host's package and user databases, and another host makes its own.

use super::MtaBox;
use std::{
    collections::hash_map::DefaultHasher,
    fs::{self, File},
    hash::{Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::FlockOperation;

const POSTFIX: &[&str] = &["postfix", "postfix-lmdb", "postfix-pcre", "postfix-sqlite"];

/// Starting no daemon while installing is what makes a layer the same every time.
const INSTALL: &str = r#"
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
export DEBIAN_FRONTEND=noninteractive
archives=$1; shift
apt-get install -y -q --reinstall --no-install-recommends --no-download -o Dpkg::Options::=--force-unsafe-io \
    -o Dir::Cache::archives="$archives" -o APT::Sandbox::User=root "$@"
"#;

/// Raise this when `INSTALL` changes.
const RECIPE: u32 = 1;

/// Where fetched packages and finished layers are kept: `target/mta-cache`.
pub fn cache_dir() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    target.join("mta-cache")
}

/// What is installed in a box beyond what the host has.
#[derive(Clone, Debug)]
pub struct Layer {
    file: Option<PathBuf>,
}

impl Layer {
    /// Nothing more than the host has.
    pub fn host() -> Self {
        Layer { file: None }
    }

    /// Debian's Postfix with lmdb, pcre and sqlite. Takes some seconds and the network the first
    /// time, nothing afterwards. Tests that ask at the same time wait for one another.
    ///
    /// # Errors
    /// When packages cannot be fetched or installed, with what apt said.
    pub fn postfix() -> io::Result<Self> {
        Self::of_packages("postfix", POSTFIX)
    }

    /// Some Debian packages, under a name for the cache.
    pub fn of_packages(name: &str, packages: &[&str]) -> io::Result<Self> {
        fs::create_dir_all(cache_dir())?;
        let cache = cache_dir().canonicalize()?;
        let lock = File::create(cache.join(format!("{name}.lock")))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;

        let file = cache.join(format!("{name}-{:016x}.tar", host_hash(packages)?));
        if !file.exists() {
            remove_older(&cache, name)?;
            let archives = cache.join(format!("{name}-packages"));
            fetch(&cache, &archives, packages)?;
            install(&archives, packages, &file)?;
        }
        Ok(Layer { file: Some(file) })
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

fn host_hash(packages: &[&str]) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    (RECIPE, packages).hash(&mut hasher);
    for file in ["/var/lib/dpkg/status", "/etc/passwd", "/etc/group"] {
        fs::read(file)?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn remove_older(cache: &Path, name: &str) -> io::Result<()> {
    for entry in fs::read_dir(cache)? {
        let path = entry?.path();
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        if file.starts_with(&format!("{name}-")) && path.extension().is_some_and(|extension| extension == "tar") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// apt takes the host's package database for itself even when it only fetches, and gives up at
/// once when somebody else has it. So layers are fetched one after another, whichever process
/// makes them; the timeout is for an apt that is not ours.
fn fetch(cache: &Path, archives: &Path, packages: &[&str]) -> io::Result<()> {
    let lock = File::create(cache.join("fetch.lock"))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;

    fs::create_dir_all(archives.join("partial"))?;
    let fetch = || {
        Command::new("apt-get")
            .args(["install", "-d", "-y", "-q", "--reinstall", "--no-install-recommends"])
            .args(["-o", "DPkg::Lock::Timeout=300"])
            .args(["-o", "APT::Sandbox::User=root", "-o"])
            .arg(format!("Dir::Cache::archives={}", archives.display()))
            .args(packages)
            .output()
    };
    let mut output = fetch()?;
    if !output.status.success() {
        // The package lists may be missing or too old.
        Command::new("apt-get").args(["update", "-q"]).output()?;
        output = fetch()?;
    }
    check("apt-get install -d", &output)
}

fn install(archives: &Path, packages: &[&str], file: &Path) -> io::Result<()> {
    let machine = MtaBox::with_layer_file(None)?;
    // The box sees the workspace, but a target directory may lie elsewhere.
    let inside = machine.shared().join("archives");
    copy_packages(archives, &inside)?;
    let mut command = machine.command("bash");
    command.args(["-euc", INSTALL, "install"]).arg(&inside).args(packages);
    check("installing packages in a box", &command.output()?)?;
    machine.shell("rm -f /usr/sbin/policy-rc.d; rm -rf /var/cache/apt/*.bin");
    let partial = file.with_extension("tar.new");
    machine.save(&partial)?;
    fs::rename(partial, file)
}

fn copy_packages(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.join("partial"))?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if let (Some("deb"), Some(name)) = (path.extension().and_then(|text| text.to_str()), path.file_name()) {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

fn check(what: &str, output: &std::process::Output) -> io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Err(io::Error::other(format!("{what}: {}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))))
}
