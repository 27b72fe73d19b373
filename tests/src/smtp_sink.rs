//! Postfix's own test server, smtp-sink(1), out of Debian's package; it can be told to be at fault.

use crate::installation::wait_for;
use crate::mta_box::{Layer, cache_dir};
use std::fs::{self, File, Permissions};
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// It ends when this is dropped, and its connections with it.
pub struct SmtpSink {
    child: Child,
}

impl SmtpSink {
    /// Starts it at this port with these options, and waits until it listens.
    ///
    /// # Panics
    /// When it cannot be had or does not listen. It needs what [`crate::require::MTA_BOX`] says.
    pub fn start(port: u16, options: &[&str]) -> Self {
        let root = unpacked().expect("smtp-sink of Debian's package postfix");
        let mut command = Command::new(root.join("usr/sbin/smtp-sink"));
        command.env("LD_LIBRARY_PATH", root.join("usr/lib/postfix")).args(options);
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        command.arg(format!("127.0.0.1:{port}")).arg("256").stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("smtp-sink");
        wait_for("smtp-sink", Duration::from_secs(10), || TcpStream::connect(("127.0.0.1", port)).ok());
        SmtpSink { child }
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One message of a dump that the options `-d DIRECTORY/%M.` have made: its envelope and its octets.
pub struct Dumped {
    /// Recipients without brackets.
    pub recipients: Vec<String>,
    /// The message, behind lines about the envelope.
    pub text: String,
}

/// Reads such a directory.
///
/// # Errors
/// A file cannot be read.
pub fn dumped(directory: &Path) -> io::Result<Vec<Dumped>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory)? {
        let text = String::from_utf8_lossy(&fs::read(entry?.path())?).into_owned();
        let rcpt = |line: &str| Some(line.strip_prefix("X-Rcpt-Args: <")?.split_once('>')?.0.to_owned());
        all.push(Dumped { recipients: text.lines().filter_map(rcpt).collect(), text });
    }
    Ok(all)
}

/// A directory into which smtp-sink can write.
///
/// # Errors
/// It cannot be made.
pub fn dump_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o777))
}

/// The package, unpacked beside the layers that are made of it.
fn unpacked() -> io::Result<PathBuf> {
    fs::create_dir_all(cache_dir())?;
    let cache = cache_dir().canonicalize()?;
    let root = cache.join("postfix-unpacked");
    let lock = File::create(cache.join("postfix-unpacked.lock"))?;
    lock.lock()?;
    if root.join("usr/sbin/smtp-sink").exists() {
        return Ok(root);
    }
    Layer::postfix()?;
    let packages = fs::read_dir(cache.join("postfix-packages"))?.flatten().map(|entry| entry.path());
    let package = packages
        .filter(|path| path.extension().is_some_and(|end| end == "deb"))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("postfix_")))
        .ok_or_else(|| io::Error::other("there is no package postfix among those that were fetched"))?;
    let status = Command::new("dpkg-deb").arg("-x").args([&package, &root]).status()?;
    if status.success() { Ok(root) } else { Err(io::Error::other(format!("dpkg-deb -x: {status}"))) }
}
