//! Who could have written this file?
//!
//! Code runs as soon as a library is opened, so the owner check is the only real gate. The file and
//! every directory on the way to it must belong to root or to the user that we run as, and nobody else
//! may be able to write them. A sticky directory of root, such as `/tmp`, is fine on the way: others
//! cannot replace in it what is ours.

use super::PluginError;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The real path of the file, if it may be opened.
///
/// A path with symbolic links must be safe on both ways: that of the link and that of its target.
pub(crate) fn vet(file: &Path) -> Result<PathBuf, PluginError> {
    if !file.is_absolute() {
        return Err(PluginError::NotAbsolute { file: file.to_owned() });
    }
    let real = real_path(file, file)?;
    if let Some(directory) = file.parent() {
        vet_directories(file, &real_path(file, directory)?)?;
    }
    let metadata = look_at(file, &real)?;
    if !metadata.is_file() {
        return Err(PluginError::NotAFile { file: real });
    }
    vet_one(&real, &real, &metadata)?;
    if let Some(directory) = real.parent() {
        vet_directories(&real, directory)?;
    }
    Ok(real)
}

fn vet_directories(file: &Path, directory: &Path) -> Result<(), PluginError> {
    directory.ancestors().try_for_each(|place| vet_one(file, place, &look_at(file, place)?))
}

fn vet_one(file: &Path, place: &Path, metadata: &Metadata) -> Result<(), PluginError> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    const STICKY: u32 = 0o1000;

    let (uid, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let ours = rustix::process::geteuid().as_raw();
    if uid != 0 && uid != ours {
        return Err(PluginError::Owner { file: file.to_owned(), place: place.to_owned(), uid, ours });
    }
    let sticky_of_root = metadata.is_dir() && uid == 0 && mode & STICKY != 0;
    if mode & WRITABLE_BY_OTHERS != 0 && !sticky_of_root {
        return Err(PluginError::Writable { file: file.to_owned(), place: place.to_owned(), mode });
    }
    Ok(())
}

fn real_path(file: &Path, path: &Path) -> Result<PathBuf, PluginError> {
    path.canonicalize().map_err(|error| unreadable(file, &error))
}

fn look_at(file: &Path, path: &Path) -> Result<Metadata, PluginError> {
    fs::metadata(path).map_err(|error| unreadable(file, &error))
}

pub(super) fn unreadable(file: &Path, error: &std::io::Error) -> PluginError {
    PluginError::Unreadable { file: file.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A file of ours, 0755, in a directory of ours, in a temporary directory of ours (below /tmp).
    fn plugin() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("plugins");
        fs::create_dir(&inner).unwrap();
        chmod(&inner, 0o755);
        let file = inner.join("libpostrider_x.so");
        fs::write(&file, "x").unwrap();
        chmod(&file, 0o755);
        (dir, file)
    }

    #[test]
    fn a_private_file_below_a_sticky_directory_of_root_is_fine() {
        let (_dir, file) = plugin();
        assert_eq!(vet(&file), Ok(file.canonicalize().unwrap()));
    }

    #[test]
    fn a_relative_path_is_refused() {
        let error = vet(Path::new("libpostrider_x.so")).unwrap_err();
        assert_eq!(error.to_string(), "libpostrider_x.so: the path of a plugin must be absolute; write it from /");
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let (_dir, file) = plugin();
        let name = file.display();
        for (mode, shown) in [(0o775, "0775"), (0o757, "0757")] {
            chmod(&file, mode);
            assert_eq!(
                vet(&file).unwrap_err().to_string(),
                format!("{name}: it can be written by group or others (mode {shown}); run `chmod go-w {name}`")
            );
        }
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let (dir, file) = plugin();
        chmod(file.parent().unwrap(), 0o775);
        assert!(matches!(vet(&file), Err(PluginError::Writable { place, .. }) if place == file.parent().unwrap()));
        chmod(file.parent().unwrap(), 0o755);
        chmod(dir.path(), 0o707);
        assert!(matches!(vet(&file), Err(PluginError::Writable { place, .. }) if place == dir.path()));
    }

    #[test]
    fn a_link_is_judged_by_where_it_lies_and_by_where_it_leads() {
        let (_safe, file) = plugin();
        let (_open, other) = plugin();
        fs::remove_file(&other).unwrap();
        symlink(&file, &other).unwrap();
        assert_eq!(vet(&other), Ok(file.clone()));

        chmod(other.parent().unwrap(), 0o777);
        assert!(matches!(vet(&other), Err(PluginError::Writable { place, .. }) if place == other.parent().unwrap()));
        chmod(other.parent().unwrap(), 0o755);
        chmod(file.parent().unwrap(), 0o777);
        assert!(matches!(vet(&other), Err(PluginError::Writable { place, .. }) if place == file.parent().unwrap()));
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must not skip: only root can give files away");
            println!("SKIPPED: only root can give files away");
            return;
        }
        let (_dir, file) = plugin();
        std::os::unix::fs::chown(&file, Some(65534), None).unwrap();
        let name = file.display();
        assert_eq!(
            vet(&file).unwrap_err().to_string(),
            format!("{name}: it is owned by user id 65534, expected root or user id 0; run `chown root {name}`")
        );
    }

    #[test]
    fn a_missing_file_and_a_directory_are_refused() {
        let (dir, file) = plugin();
        assert!(matches!(vet(&dir.path().join("none.so")), Err(PluginError::Unreadable { .. })));
        assert!(matches!(vet(file.parent().unwrap()), Err(PluginError::NotAFile { .. })));
    }
}
