//! From the root directory to a path, step by step, as the kernel goes (`path_resolution(7)`).
//!
//! Links are followed by us, so that each thing on the way can be judged before what lies behind it is looked at: who
//! can exchange one of them decides where the path leads.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};

/// As many links as Linux follows.
const MAX_LINKS: usize = 40;

/// A way that is being gone. Nothing of it is looked at before it is asked for.
pub(crate) struct Walk {
    /// The directory that was reached; no link is in it.
    here: PathBuf,
    left: VecDeque<OsString>,
    /// What was reached last is a link.
    link: Option<PathBuf>,
    links: usize,
}

impl Walk {
    /// Begins at the root directory, which is not among the steps.
    pub(crate) fn to(path: &Path) -> Self {
        let mut walk = Walk { here: PathBuf::from("/"), left: VecDeque::new(), link: None, links: 0 };
        walk.go_next(path);
        walk
    }

    /// The directory, or at the end the thing, that was reached, without links.
    pub(crate) fn here(&self) -> &Path {
        &self.here
    }

    /// Whether nothing lies behind what was reached; a link leads further.
    pub(crate) fn is_at_the_end(&self) -> bool {
        self.left.is_empty() && self.link.is_none()
    }

    /// The next thing on the way: a directory, a link that is followed next, or what the path leads to. An error ends
    /// the way; its kind is `NotFound` if nothing is there.
    pub(crate) fn step(&mut self) -> Option<(PathBuf, io::Result<Metadata>)> {
        if let Some(link) = self.link.take() {
            match self.follow(&link) {
                Ok(()) => {}
                Err(error) => return Some((link, Err(error))),
            }
        }
        loop {
            let name = self.left.pop_front()?;
            if name == ".." {
                self.here.pop();
                continue;
            }
            let place = self.here.join(name);
            let found = fs::symlink_metadata(&place);
            match &found {
                Ok(metadata) if metadata.is_symlink() => self.link = Some(place.clone()),
                Ok(_) => self.here.clone_from(&place),
                Err(_) => self.left.clear(),
            }
            return Some((place, found));
        }
    }

    fn follow(&mut self, link: &Path) -> io::Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS {
            self.left.clear();
            return Err(rustix::io::Errno::LOOP.into());
        }
        self.go_next(&fs::read_link(link)?);
        Ok(())
    }

    fn go_next(&mut self, path: &Path) {
        if path.is_absolute() {
            self.here = PathBuf::from("/");
        }
        for part in path.components().rev() {
            match part {
                Component::Normal(name) => self.left.push_front(name.to_owned()),
                Component::ParentDir => self.left.push_front(OsStr::new("..").to_owned()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Names of all that is met below `root`, and how the way ends.
    fn met(root: &Path, path: &Path) -> (Vec<String>, Result<PathBuf, io::ErrorKind>) {
        let mut walk = Walk::to(path);
        let mut names = Vec::new();
        while let Some((place, found)) = walk.step() {
            if let Err(error) = found {
                return (names, Err(error.kind()));
            }
            if let Ok(name) = place.strip_prefix(root) {
                names.push(name.display().to_string());
            }
        }
        assert!(walk.is_at_the_end());
        (names, Ok(walk.here().to_owned()))
    }

    #[test]
    fn each_directory_and_each_link_is_met_before_what_lies_behind() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "").unwrap();
        symlink("a", root.join("short")).unwrap();
        symlink(root.join("short/../short/./b/file"), root.join("long")).unwrap();
        let file = root.join("a/b/file");
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            met(&root, &root.join("short/b/file")),
            (all(&["", "short", "a", "a/b", "a/b/file"]), Ok(file.clone()))
        );
        let through = all(&["", "long", "", "short", "a", "short", "a", "a/b", "a/b/file"]);
        assert_eq!(met(&root, &root.join("long")), (through, Ok(file)));
    }

    #[test]
    fn a_way_ends_where_nothing_is_and_in_circles() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        symlink("circle", root.join("circle")).unwrap();
        symlink("gone/file", root.join("dangling")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        assert_eq!(met(&root, &root.join("x/y")).1, Err(io::ErrorKind::NotFound));
        assert_eq!(met(&root, &root.join("dangling")).1, Err(io::ErrorKind::NotFound));
        assert_eq!(met(&root, &root.join("file/below")).1, Err(io::ErrorKind::NotADirectory));
        let (names, end) = met(&root, &root.join("circle"));
        assert!(end.is_err() && names.len() == MAX_LINKS + 2, "{names:?}");
    }
}
