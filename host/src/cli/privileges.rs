//! Whose rights a command has, and the directories that it needs.
//!
//! Started by root, every command becomes the owner of `data_dir` before it opens anything, so
//! that no file in there ever belongs to somebody else.

use crate::config::Paths;
use anyhow::{Context, bail};
use nix::unistd::{Gid, Uid, User, setgid, setgroups, setuid};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// The account that packages make for us.
const SERVICE_USER: &str = "postrider";

/// Makes the directories that are ours and missing. Made by root, they belong to the service user
/// if there is one.
pub fn prepare_directories(paths: &Paths) -> anyhow::Result<()> {
    let owner = if Uid::effective().is_root() { User::from_name(SERVICE_USER).ok().flatten() } else { None };
    for (directory, mode) in
        [(&paths.var_dir, 0o755), (&paths.data_dir, 0o755), (&paths.table_dir, 0o755), (&paths.lock_dir, 0o755)]
    {
        make(directory, mode, owner.as_ref())?;
    }
    Ok(())
}

fn make(directory: &Path, mode: u32, owner: Option<&User>) -> anyhow::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent().filter(|parent| !parent.exists()) {
        make(parent, mode, owner)?;
    }
    fs::DirBuilder::new().mode(mode).create(directory).with_context(|| {
        format!("the directory {} cannot be made; make it, or set var_dir in [paths.*]", directory.display())
    })?;
    if let Some(owner) = owner {
        std::os::unix::fs::chown(directory, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))?;
    }
    Ok(())
}

/// Gives up root for the owner of this directory. Must be called before any thread is started.
pub fn become_owner_of(directory: &Path) -> anyhow::Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let metadata = fs::metadata(directory).with_context(|| format!("{} cannot be looked at", directory.display()))?;
    if metadata.uid() == 0 {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    let user = User::from_uid(uid).ok().flatten();
    let changed = match &user {
        Some(user) => std::ffi::CString::new(user.name.as_str())
            .map_err(anyhow::Error::from)
            .and_then(|name| Ok(nix::unistd::initgroups(&name, user.gid)?)),
        None => Ok(setgroups(&[gid])?),
    };
    changed?;
    setgid(user.as_ref().map_or(gid, |user| user.gid))?;
    setuid(uid)?;
    if setuid(Uid::from_raw(0)).is_ok() {
        bail!("root could not be given up for the owner of {}", directory.display());
    }
    Ok(())
}
