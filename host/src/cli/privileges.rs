//! Whose rights a command has, and the directories that it needs.
//!
//! Started by root, every command becomes another user before it makes or opens anything in our
//! directories: the first owner other than root on the way to `data_dir`, symbolic links counted
//! as things on the way. Whoever that is could have put anything there, so root must not trust
//! what comes behind it. Where everything belongs to root, new directories are given to the account
//! `postrider` if there is one; a `data_dir` that root made for itself leaves us root.
//!
//! A directory that others than that user could have prepared is refused, not repaired. The same holds for directories
//! that settings of adapters name: they are known only when plugins are loaded, so root looks at them right before it
//! would write there ([`check_output`]).

use crate::config::Paths;
use crate::walk::Walk;
use anyhow::{Context, bail};
use nix::unistd::{Gid, Uid, User, setgid, setgroups, setuid};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The account that packages make for us.
const SERVICE_USER: &str = "postrider";
/// Mode of directories that we make.
const MODE: u32 = 0o755;

/// Gives up root and makes the directories that are ours and missing. Must be called before any
/// thread is started.
///
/// # Errors
/// A directory cannot be made, root cannot be given up, or our directories have several owners, so
/// that one of them could mislead the other.
pub fn settle(paths: &Paths) -> anyhow::Result<()> {
    let directories = [&paths.data_dir, &paths.var_dir, &paths.table_dir, &paths.lock_dir];
    if Uid::effective().is_root() {
        let owner = match Way::to(&paths.data_dir)? {
            Way { owner: Some(owner), .. } => Some(owner),
            Way { missing: Some(_), .. } => hand_over(&directories)?,
            Way { .. } => None,
        };
        match owner {
            Some(owner) => owner.becomes_ours()?,
            None => only_root_on_the_way_to(&directories)?,
        }
    }
    directories.into_iter().try_for_each(|directory| make(directory))
}

/// Gives up root as [`settle`] does and makes nothing: for commands that only look, and that must work
/// before anything is there. Must be called before any thread is started.
///
/// # Errors
/// As [`settle`].
pub fn settle_to_look(paths: &Paths) -> anyhow::Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let owner = match Way::to(&paths.data_dir)? {
        Way { owner: Some(owner), .. } => Some(owner),
        Way { missing: Some(missing), .. } => User::from_name(SERVICE_USER).ok().flatten().map(|user| Owner {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            of: missing,
        }),
        Way { .. } => None,
    };
    match owner {
        Some(owner) => owner.becomes_ours(),
        None => only_root_on_the_way_to(&[&paths.data_dir, &paths.var_dir, &paths.table_dir, &paths.lock_dir]),
    }
}

/// Whether we may write in a directory that is not one of ours. Root may only where root alone can make files and
/// links: another could turn what root writes there to any file. For others the system decides.
///
/// # Errors
/// Why root does not write there, and what to do.
pub fn check_output(directory: &Path) -> anyhow::Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let remedy = "give data_dir to the user that shall write there (chown), so that Postrider takes that user's rights";
    match Way::to(directory)? {
        Way { owner: Some(owner), .. } => {
            bail!("root does not write in {}, which is in the hands of {owner}; {remedy}", directory.display())
        }
        Way { missing: Some(_), .. } => return Ok(()),
        Way { .. } => {}
    }
    let metadata = fs::metadata(directory).with_context(|| format!("{} cannot be looked at", directory.display()))?;
    if metadata.mode() & 0o002 != 0 || (metadata.mode() & 0o020 != 0 && metadata.gid() != 0) {
        bail!(
            "root does not write in {}, where others may write too (mode {:04o}); {remedy}, or run `chmod go-w {0}`",
            directory.display(),
            metadata.mode() & 0o7777
        );
    }
    Ok(())
}

/// Who had a hand in a path.
#[derive(Debug)]
struct Way {
    /// The first owner other than root; what lies behind was not looked at.
    owner: Option<Owner>,
    /// The first part that does not exist, in a directory that only root can change.
    missing: Option<PathBuf>,
}

/// A user other than root, and what belongs to it.
#[derive(Debug)]
struct Owner {
    uid: u32,
    gid: u32,
    of: PathBuf,
}

impl Way {
    /// Goes from `/` to a path and trusts no step before it has been looked at: what root owns in a
    /// directory of root's cannot be exchanged meanwhile.
    fn to(path: &Path) -> anyhow::Result<Way> {
        let path = std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
        let mut walk = Walk::to(&path);
        while let Some((place, found)) = walk.step() {
            let metadata = match found {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Way { owner: None, missing: Some(place) });
                }
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => bail!(
                    "{} cannot be made: {} is no directory; move it away, or set var_dir in [paths.*]",
                    path.display(),
                    walk.here().display()
                ),
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                    bail!("{} is a symbolic link that leads back to itself; correct it", place.display())
                }
                Err(error) => return Err(error).with_context(|| format!("{} cannot be looked at", place.display())),
            };
            if metadata.uid() != 0 {
                let owner = Owner { uid: metadata.uid(), gid: metadata.gid(), of: place };
                return Ok(Way { owner: Some(owner), missing: None });
            }
            // Everybody could exchange what is in it. In a sticky directory only its owner can.
            if metadata.is_dir() && metadata.mode() & 0o1002 == 0o002 {
                bail!(
                    "everybody may write in {}, so root does not trust what is in it; run `chmod o-w {0}`",
                    place.display()
                );
            }
        }
        Ok(Way { owner: None, missing: None })
    }
}

impl Owner {
    /// Gives up root for this user, for good.
    fn becomes_ours(&self) -> anyhow::Result<()> {
        let user = User::from_uid(Uid::from_raw(self.uid)).ok().flatten();
        let gid = user.as_ref().map_or(Gid::from_raw(self.gid), |user| user.gid);
        let change = || -> anyhow::Result<()> {
            match &user {
                Some(user) => nix::unistd::initgroups(&std::ffi::CString::new(user.name.as_str())?, gid)?,
                None => setgroups(&[gid])?,
            }
            setgid(gid)?;
            Ok(setuid(Uid::from_raw(self.uid))?)
        };
        let failed = || format!("root cannot be given up for {self}");
        change().with_context(failed)?;
        if setuid(Uid::from_raw(0)).is_ok() {
            bail!("{}: it could be taken back", failed());
        }
        Ok(())
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match User::from_uid(Uid::from_raw(self.uid)) {
            Ok(Some(user)) => write!(f, "{}, who owns {}", user.name, self.of.display()),
            _ => write!(f, "user {}, who owns {}", self.uid, self.of.display()),
        }
    }
}

/// Makes the first missing part of each directory, as root, and gives it to the service user, who
/// makes the rest. `None`: there is no such account.
fn hand_over(directories: &[&PathBuf]) -> anyhow::Result<Option<Owner>> {
    let Some(user) = User::from_name(SERVICE_USER).ok().flatten() else { return Ok(None) };
    let mut owner = None;
    for directory in directories {
        if let Some(missing) = Way::to(directory)?.missing {
            make_one(&missing)?;
            give(&missing, &user).with_context(|| format!("{} cannot be given to {}", missing.display(), user.name))?;
            owner.get_or_insert(Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw(), of: missing });
        }
    }
    Ok(owner)
}

/// Through a descriptor, so that it is the directory that was made and no other.
fn give(directory: &Path, user: &User) -> io::Result<()> {
    const FLAGS: rustix::fs::OFlags = rustix::fs::OFlags::DIRECTORY.union(rustix::fs::OFlags::NOFOLLOW);
    let opened: File = fs::OpenOptions::new().read(true).custom_flags(FLAGS.bits() as i32).open(directory)?;
    std::os::unix::fs::fchown(&opened, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
}

/// Root stays root only where nobody else has a hand in any of our directories.
fn only_root_on_the_way_to(directories: &[&PathBuf]) -> anyhow::Result<()> {
    for directory in directories {
        if let Some(owner) = Way::to(directory)?.owner {
            bail!(
                "data_dir belongs to root, but {} is in the hands of {owner}; give both to the user of Postrider with \
                 chown",
                directory.display()
            );
        }
    }
    Ok(())
}

fn make(directory: &Path) -> anyhow::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent().filter(|parent| !parent.exists()) {
        make(parent)?;
    }
    make_one(directory)
}

/// What is in a directory is only as safe as the name of the directory itself: that of a new one is synced.
fn make_one(directory: &Path) -> anyhow::Result<()> {
    let make = || {
        DirBuilder::new().mode(MODE).create(directory)?;
        std::path::absolute(directory)?.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    };
    match make() {
        // Another command made it just now.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        result => result.with_context(|| {
            format!("the directory {} cannot be made; make it, or set var_dir in [paths.*]", directory.display())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    const NOBODY: u32 = 65534;

    /// A directory of root's; `None` when the test cannot give files to others.
    fn of_root() -> Option<tempfile::TempDir> {
        if !Uid::effective().is_root() {
            eprintln!("SKIPPED: needs the superuser");
            return None;
        }
        Some(tempfile::tempdir().expect("directory"))
    }

    fn owner(path: &Path) -> Option<(u32, PathBuf)> {
        Way::to(path).expect("a way").owner.map(|owner| (owner.uid, owner.of))
    }

    #[test]
    fn the_first_owner_other_than_root_decides_and_links_are_not_looked_through() {
        let Some(dir) = of_root() else { return };
        let (var, private) = (dir.path().join("var"), dir.path().join("private"));
        fs::create_dir(&var).expect("made");
        fs::create_dir(&private).expect("made");
        chown(&var, Some(NOBODY), Some(NOBODY)).expect("given");
        symlink(&private, var.join("data")).expect("link");
        lchown(var.join("data"), Some(0), Some(0)).expect("root's own link");
        assert_eq!(owner(&var.join("data")), Some((NOBODY, var.clone())), "a directory of nobody's on the way");

        let link = dir.path().join("link");
        symlink(&private, &link).expect("link");
        assert_eq!(owner(&link), None, "root's link to root's directory");
        lchown(&link, Some(NOBODY), Some(NOBODY)).expect("given");
        assert_eq!(owner(&link), Some((NOBODY, link)), "nobody's link to root's directory");
    }

    #[test]
    fn what_is_missing_belongs_to_who_owns_what_is_there() {
        let Some(dir) = of_root() else { return };
        let var = dir.path().join("var");
        fs::create_dir(&var).expect("made");
        let way = Way::to(&var.join("a/b")).expect("a way");
        assert_eq!((way.owner.is_some(), way.missing), (false, Some(var.join("a"))));
        chown(&var, Some(NOBODY), Some(NOBODY)).expect("given");
        assert_eq!(owner(&var.join("a/b")), Some((NOBODY, var)));
    }

    #[test]
    fn a_directory_that_everybody_may_write_is_refused_unless_it_is_sticky() {
        let Some(dir) = of_root() else { return };
        let open = dir.path().join("open");
        fs::create_dir(&open).expect("made");
        let mode = |mode| fs::set_permissions(&open, fs::Permissions::from_mode(mode)).expect("mode");
        mode(0o777);
        let error = Way::to(&open.join("data")).expect_err("untrusted").to_string();
        assert!(error.contains("chmod o-w"), "{error}");
        mode(0o1777);
        assert!(Way::to(&open.join("data")).is_ok());
    }

    #[test]
    fn root_does_not_work_in_directories_of_several_owners() {
        let Some(dir) = of_root() else { return };
        let (data, locks) = (dir.path().join("data"), dir.path().join("locks"));
        fs::create_dir(&data).expect("made");
        fs::create_dir(&locks).expect("made");
        assert!(only_root_on_the_way_to(&[&data, &locks]).is_ok());
        chown(&locks, Some(NOBODY), Some(NOBODY)).expect("given");
        let error = only_root_on_the_way_to(&[&data, &locks]).expect_err("refused").to_string();
        assert!(error.contains("give both to the user of Postrider"), "{error}");
    }

    #[test]
    fn a_directory_is_given_away_by_its_descriptor_and_never_through_a_link() {
        let Some(dir) = of_root() else { return };
        let Ok(Some(nobody)) = User::from_uid(Uid::from_raw(NOBODY)) else { return };
        let (ours, link) = (dir.path().join("ours"), dir.path().join("link"));
        make(&ours).expect("made");
        symlink(&ours, &link).expect("link");
        assert!(give(&link, &nobody).is_err());
        assert_eq!(fs::metadata(&ours).expect("there").uid(), 0);
        give(&ours, &nobody).expect("given");
        assert_eq!(fs::metadata(&ours).expect("there").uid(), NOBODY);
    }

    #[test]
    fn root_writes_only_where_root_alone_can_put_links() {
        let Some(dir) = of_root() else { return };
        let home = dir.path().join("home");
        assert!(check_output(&home).is_ok(), "a missing one is another's error");
        fs::create_dir(&home).expect("made");
        assert!(check_output(&home).is_ok());
        let mode = |mode| fs::set_permissions(&home, fs::Permissions::from_mode(mode)).expect("mode");
        mode(0o1777);
        let error = check_output(&home).expect_err("everybody's").to_string();
        assert!(error.contains("mode 1777") && error.contains("chmod go-w"), "{error}");
        mode(0o775);
        assert!(check_output(&home).is_ok(), "root's own group");
        chown(&home, Some(0), Some(NOBODY)).expect("given");
        mode(0o775);
        assert!(check_output(&home).is_err());
        mode(0o755);
        chown(&home, Some(NOBODY), Some(NOBODY)).expect("given");
        let error = check_output(&home).expect_err("nobody's").to_string();
        assert!(error.contains("who owns") && error.contains("give data_dir to the user"), "{error}");
    }

    #[test]
    fn links_in_a_circle_are_told() {
        let Some(dir) = of_root() else { return };
        let link = dir.path().join("link");
        symlink(&link, &link).expect("link");
        assert!(Way::to(&link).expect_err("circle").to_string().contains("leads back to itself"));
    }
}
