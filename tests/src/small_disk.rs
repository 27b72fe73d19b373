//! A small file system of its own, which a test can fill to the last octet.

use crate::installation::Installation;
use crate::require::Capability;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a test needs for it.
pub const NEEDS: &[Capability] = &[Capability::Root, Capability::Namespaces];

/// A file system in memory; unmounted when dropped.
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts it at this directory, which is made if need be; `size` is as `mount` wants it, such as `8m`.
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub fn mount(path: &Path, size: &str) -> Self {
        fs::create_dir_all(path).expect("directory");
        let options = format!("size={size},mode=0755");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).status();
        assert!(status.expect("mount").success());
        SmallDisk { path: path.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves no octet free.
    pub fn fill(&self) {
        self.fill_but(0);
    }

    /// Leaves so many octets free.
    pub fn fill_but(&self, free: usize) {
        let hole = self.path.join("hole");
        fs::write(&hole, vec![0; free]).expect("room for the hole");
        let mut filler = fs::File::create(self.path.join("filler")).expect("filler");
        for size in [64 * 1024, 4096, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
        fs::remove_file(hole).expect("hole");
    }

    /// Undoes [`SmallDisk::fill`].
    pub fn make_room(&self) {
        fs::remove_file(self.path.join("filler")).expect("filler");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

/// An installation whose data directory is a small disk of its own; the disk is to be dropped first. `lmtp` are
/// lines of `[lmtp]`.
pub fn on_a_small_disk(mta: &str, size: &str, lmtp: &str) -> (Installation, SmallDisk) {
    let directory = tempfile::Builder::new().prefix("postrider-").tempdir().expect("directory");
    let disk = SmallDisk::mount(&directory.path().join("var/data"), size);
    let installation = Installation::in_directory(directory, mta);
    installation.configure(&format!("[lmtp]\n{lmtp}"));
    (installation, disk)
}
