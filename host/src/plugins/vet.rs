//! Who could have written this file?
//!
//! Code runs as soon as a library is opened, so the owner check is the only real gate. The file, every directory
//! on the way to it and every symbolic link that is followed must belong to somebody who is trusted
//! ([`Trust`]), and nobody else may be able to write the file or a directory. A sticky directory of root, such as
//! `/tmp`, is fine on the way: others cannot replace in it what is ours.

use super::PluginError;
use crate::walk::Walk;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Whose plugins are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Trust {
    /// Root's only.
    Root,
    /// Root's and those of the user that we run as: an installation for one user.
    RootAndUs,
}

impl Trust {
    /// Who may write the configuration may name any file in it, and only they: so a configuration that belongs to the
    /// user that we run as makes an installation for one user. With one that belongs to root, or none at all, a daemon that
    /// was broken into must not be able to make plugins for its next start.
    pub fn by_configuration(file: Option<&Path>) -> Trust {
        let owner = file.and_then(|file| fs::metadata(file).ok()).map(|metadata| metadata.uid());
        if owner == Some(ourselves()) { Trust::RootAndUs } else { Trust::Root }
    }

    fn covers(self, uid: u32) -> bool {
        uid == 0 || self.user() == Some(uid)
    }

    /// Who is trusted besides root.
    fn user(self) -> Option<u32> {
        match self {
            Trust::Root => None,
            Trust::RootAndUs => Some(ourselves()).filter(|uid| *uid != 0),
        }
    }
}

fn ourselves() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The real path of the file, if it may be opened.
pub(crate) fn vet(file: &Path, trust: Trust) -> Result<PathBuf, PluginError> {
    if !file.is_absolute() {
        return Err(PluginError::NotAbsolute { file: file.to_owned() });
    }
    let (real, metadata) = vet_way(file, file, trust)?;
    if metadata.is_file() { Ok(real) } else { Err(PluginError::NotAFile { file: real }) }
}

/// Where an absolute path leads, and what is there, if nobody else can change that. `file` is the plugin that is
/// judged by it.
pub(super) fn vet_way(file: &Path, path: &Path, trust: Trust) -> Result<(PathBuf, Metadata), PluginError> {
    match judge_way(file, path, trust)? {
        End::There(real, metadata) => Ok((real, metadata)),
        End::Missing(_, error) => Err(unreadable(file, &error)),
    }
}

/// The same for what need not be there: nobody else may be able to make it.
pub(super) fn vet_way_to_be(file: &Path, path: &Path, trust: Trust) -> Result<(), PluginError> {
    let End::Missing(directory, _) = judge_way(file, path, trust)? else { return Ok(()) };
    // A sticky directory protects what is there, and this is not.
    match look_at(file, &directory)?.mode() & 0o7777 {
        mode if mode & WRITABLE_BY_OTHERS == 0 => Ok(()),
        mode => Err(PluginError::Writable { file: file.to_owned(), place: directory, mode }),
    }
}

/// Where a way ends.
enum End {
    There(PathBuf, Metadata),
    /// The last directory that is there, and what the system says of the next name.
    Missing(PathBuf, io::Error),
}

fn judge_way(file: &Path, path: &Path, trust: Trust) -> Result<End, PluginError> {
    let mut walk = Walk::to(path);
    let mut last = look_at(file, walk.here())?;
    judge(file, trust, walk.here(), &last, false)?;
    while let Some((place, found)) = walk.step() {
        last = match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(End::Missing(walk.here().to_owned(), error));
            }
            found => found.map_err(|error| unreadable(file, &error))?,
        };
        judge(file, trust, &place, &last, walk.is_at_the_end())?;
    }
    Ok(End::There(walk.here().to_owned(), last))
}

fn judge(file: &Path, trust: Trust, place: &Path, metadata: &Metadata, at_the_end: bool) -> Result<(), PluginError> {
    // The plugin itself is named by its real path, which is what must be mended.
    let file = || if at_the_end && metadata.is_file() { place } else { file }.to_owned();
    let (uid, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if !trust.covers(uid) {
        return Err(PluginError::Owner { file: file(), place: place.to_owned(), uid, trusted: trust.user() });
    }
    let sticky_of_root = metadata.is_dir() && uid == 0 && mode & STICKY != 0;
    // The mode of a link means nothing (symlink(7)).
    if mode & WRITABLE_BY_OTHERS != 0 && !sticky_of_root && !metadata.is_symlink() {
        return Err(PluginError::Writable { file: file(), place: place.to_owned(), mode });
    }
    Ok(())
}

fn look_at(file: &Path, place: &Path) -> Result<Metadata, PluginError> {
    fs::symlink_metadata(place).map_err(|error| unreadable(file, &error))
}

pub(super) fn unreadable(file: &Path, error: &io::Error) -> PluginError {
    PluginError::Unreadable { file: file.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::Trust::{Root, RootAndUs};
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

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
        assert_eq!(vet(&file, RootAndUs), Ok(file.canonicalize().unwrap()));
    }

    #[test]
    fn a_relative_path_is_refused() {
        let error = vet(Path::new("libpostrider_x.so"), RootAndUs).unwrap_err();
        assert_eq!(error.to_string(), "libpostrider_x.so: the path of a plugin must be absolute; write it from /");
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let (_dir, file) = plugin();
        let name = file.display();
        for (mode, shown) in [(0o775, "0775"), (0o757, "0757")] {
            chmod(&file, mode);
            assert_eq!(
                vet(&file, RootAndUs).unwrap_err().to_string(),
                format!("{name}: it can be written by group or others (mode {shown}); run `chmod go-w {name}`")
            );
        }
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let (dir, file) = plugin();
        let refused = |file: &Path| match vet(file, RootAndUs) {
            Err(PluginError::Writable { place, .. }) => place,
            other => panic!("{other:?}"),
        };
        chmod(file.parent().unwrap(), 0o775);
        assert_eq!(refused(&file), file.parent().unwrap());
        chmod(file.parent().unwrap(), 0o755);
        chmod(dir.path(), 0o707);
        assert_eq!(refused(&file), dir.path());
        // Sticky is enough only where root owns the directory, and this says whose word counts.
        chmod(file.parent().unwrap(), 0o755);
        chmod(dir.path(), 0o1777);
        if !rustix::process::geteuid().is_root() {
            assert_eq!(refused(&file), dir.path());
        }
    }

    #[test]
    fn a_link_is_judged_by_where_it_lies_and_by_where_it_leads() {
        let (_safe, file) = plugin();
        let (_open, other) = plugin();
        fs::remove_file(&other).unwrap();
        symlink(&file, &other).unwrap();
        assert_eq!(vet(&other, RootAndUs), Ok(file.clone()));

        let refused = || match vet(&other, RootAndUs) {
            Err(PluginError::Writable { place, .. }) => place,
            other => panic!("{other:?}"),
        };
        chmod(other.parent().unwrap(), 0o777);
        assert_eq!(refused(), other.parent().unwrap());
        chmod(other.parent().unwrap(), 0o755);
        chmod(file.parent().unwrap(), 0o777);
        assert_eq!(refused(), file.parent().unwrap());
    }

    #[test]
    fn no_link_on_the_way_may_lie_where_others_can_turn_it() {
        let (_safe, file) = plugin();
        let (open, _) = plugin();
        let (dir, link) = plugin();
        fs::remove_file(&link).unwrap();
        // link -> middle -> file, and the same with a linked directory.
        let middle = open.path().join("plugins/middle");
        symlink(&file, &middle).unwrap();
        symlink(&middle, &link).unwrap();
        let to_directory = open.path().join("plugins/directory");
        symlink(file.parent().unwrap(), &to_directory).unwrap();
        let through = dir.path().join("through");
        symlink(&to_directory, &through).unwrap();
        let through = through.join("libpostrider_x.so");
        assert_eq!(vet(&link, RootAndUs), Ok(file.clone()));
        assert_eq!(vet(&through, RootAndUs), Ok(file.clone()));

        chmod(middle.parent().unwrap(), 0o777);
        for way in [&link, &through] {
            let place = middle.parent().unwrap();
            assert!(matches!(vet(way, RootAndUs), Err(PluginError::Writable { place: found, .. }) if found == place));
        }
    }

    #[test]
    fn relative_links_and_dots_are_followed_and_circles_end() {
        let (dir, file) = plugin();
        let link = dir.path().join("link.so");
        symlink("./plugins/../plugins/libpostrider_x.so", &link).unwrap();
        assert_eq!(vet(&link, RootAndUs), Ok(file));
        let circle = dir.path().join("circle.so");
        symlink("circle.so", &circle).unwrap();
        let error = vet(&circle, RootAndUs).unwrap_err().to_string();
        assert!(error.contains("Too many levels of symbolic links"), "{error}");
        symlink("/nonexistent/x.so", dir.path().join("dangling.so")).unwrap();
        assert!(matches!(vet(&dir.path().join("dangling.so"), RootAndUs), Err(PluginError::Unreadable { .. })));
    }

    /// Only root can give files away.
    fn is_root() -> bool {
        let root = rustix::process::geteuid().is_root();
        if !root {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must not skip: only root can give files away");
            println!("SKIPPED: only root can give files away");
        }
        root
    }

    #[test]
    fn a_file_a_directory_or_a_link_of_another_user_is_refused() {
        if !is_root() {
            return;
        }
        let (dir, file) = plugin();
        chown(&file, Some(65534), None).unwrap();
        let name = file.display();
        assert_eq!(
            vet(&file, RootAndUs).unwrap_err().to_string(),
            format!("{name}: it is owned by user id 65534, expected root; run `chown root {name}`")
        );
        chown(&file, Some(0), None).unwrap();
        chown(dir.path(), Some(65534), None).unwrap();
        let place = dir.path().display();
        assert_eq!(
            vet(&file, RootAndUs).unwrap_err().to_string(),
            format!(
                "{name}: {place} on the way to it is owned by user id 65534, expected root; run `chown root {place}`"
            )
        );
        chown(dir.path(), Some(0), None).unwrap();
        let link = dir.path().join("link.so");
        symlink(&file, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(65534), None).unwrap();
        assert!(matches!(vet(&link, RootAndUs), Err(PluginError::Owner { place, .. }) if place == link));
    }

    #[test]
    fn a_user_is_trusted_only_in_an_installation_of_their_own() {
        let us = ourselves();
        assert_eq!(RootAndUs.user(), Some(us).filter(|uid| *uid != 0));
        assert!(RootAndUs.covers(us) && RootAndUs.covers(0) && !RootAndUs.covers(us + 1));
        assert!(Root.covers(0) && (us == 0 || !Root.covers(us)));

        let (_dir, configuration) = plugin();
        assert_eq!(Trust::by_configuration(Some(&configuration)), RootAndUs);
        assert_eq!(Trust::by_configuration(None), Root);
        assert_eq!(Trust::by_configuration(Some(Path::new("/nonexistent"))), Root);
        if is_root() {
            chown(&configuration, Some(65534), None).unwrap();
            assert_eq!(Trust::by_configuration(Some(&configuration)), Root);
        }
        let refusal = PluginError::Owner { file: "/x".into(), place: "/x".into(), uid: 5, trusted: Some(1000) };
        assert!(refusal.to_string().contains("expected root or user id 1000;"), "{refusal}");
    }

    #[test]
    fn a_missing_file_and_a_directory_are_refused() {
        let (dir, file) = plugin();
        assert!(matches!(vet(&dir.path().join("none.so"), RootAndUs), Err(PluginError::Unreadable { .. })));
        assert!(matches!(vet(file.parent().unwrap(), RootAndUs), Err(PluginError::NotAFile { .. })));
        assert!(matches!(vet(&file.join("below"), RootAndUs), Err(PluginError::Unreadable { .. })));
    }
}
