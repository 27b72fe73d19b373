//! A published file and the temporary names around it.
//!
//! For `DIR/NAME` these are `DIR/.NAME.PID.TAG`, in the same directory so that a rename is one
//! step. A run that was killed leaves them behind; the next one, which holds the lock, removes
//! them.

use super::error::HookupError;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Mode of every table: the MTA's daemons read it as other users.
pub(crate) const TABLE_MODE: u32 = 0o644;

/// What a temporary file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// The state that is wanted.
    New,
    /// Old and new rows together.
    Both,
    /// The previous file, to bring it back, of the first and of the second pass.
    Old,
    Middle,
}

impl Tag {
    pub(crate) fn word(self) -> &'static str {
        TAGS.iter().find(|(one, _)| *one == self).map_or("new", |(_, word)| word)
    }
}

const TAGS: [(Tag, &str); 4] = [(Tag::New, "new"), (Tag::Both, "both"), (Tag::Old, "old"), (Tag::Middle, "middle")];

/// A file that is to be published.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    directory: PathBuf,
    name: String,
    /// Outside the table directory, in one that the administrator named.
    outside: bool,
}

impl Place {
    /// `relative` has passed the rules of paths in plans.
    pub(crate) fn new(table_dir: &Path, relative: &str) -> Self {
        let path = table_dir.join(relative);
        let directory = path.parent().unwrap_or(table_dir).to_owned();
        let name = relative.rsplit('/').next().unwrap_or(relative).to_owned();
        Place { path, directory, name, outside: relative.starts_with('/') }
    }

    /// The temporary file for this purpose.
    pub(crate) fn temporary(&self, tag: Tag) -> PathBuf {
        self.directory.join(format!(".{}.{}.{}", self.name, std::process::id(), tag.word()))
    }

    /// Makes the directory, as the plan may want one that is not there yet. One of the administrator's
    /// must be there: we do not know whose it shall be.
    pub(crate) fn make_directory(&self) -> Result<(), HookupError> {
        if self.outside { must_exist(&self.directory) } else { make_directory(&self.directory) }
    }

    /// Makes the directory that this place itself is; `ours`: even outside the table directory.
    pub(crate) fn become_directory(&self, ours: bool) -> Result<(), HookupError> {
        if self.path.is_dir() {
            return Ok(());
        }
        if self.outside && !ours {
            return must_exist(&self.path);
        }
        self.make_directory()?;
        make_directory(&self.path)?;
        self.sync_directory()
    }

    /// Makes a rename in the directory durable.
    pub(crate) fn sync_directory(&self) -> Result<(), HookupError> {
        sync_directory(&self.directory)
    }

    /// Whether a file with this name is a temporary file for this place, of whatever run.
    fn is_temporary(&self, name: &OsStr) -> bool {
        let Some(rest) = name
            .to_str()
            .and_then(|name| name.strip_prefix('.'))
            .and_then(|name| name.strip_prefix(self.name.as_str()))
            .and_then(|name| name.strip_prefix('.'))
        else {
            return false;
        };
        let (process, tag) = rest.split_once('.').unwrap_or((rest, ""));
        // Compilers and SQLite append `.db`, `-journal` and the like.
        let word = tag.split(['.', '-']).next().unwrap_or(tag);
        !process.is_empty() && process.bytes().all(|b| b.is_ascii_digit()) && TAGS.iter().any(|(_, one)| *one == word)
    }
}

/// Removes every temporary file around these places. The caller holds the lock.
pub(crate) fn remove_temporaries<'p>(places: impl Iterator<Item = &'p Place>) -> Result<(), HookupError> {
    let mut by_directory = std::collections::BTreeMap::<&Path, Vec<&Place>>::new();
    for place in places {
        by_directory.entry(&place.directory).or_default().push(place);
    }
    for (directory, places) in by_directory {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(HookupError::file("read", directory)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(HookupError::file("read", directory))?;
            let name = entry.file_name();
            // Most names fail at their first letter, however many places there are.
            if name.as_encoded_bytes().starts_with(b".") && places.iter().any(|place| place.is_temporary(&name)) {
                remove_if_there(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// Makes a directory that the MTA can enter, whatever the umask says; leaves an existing one alone.
pub(crate) fn make_directory(directory: &Path) -> Result<(), HookupError> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(directory)
        .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o755)))
        .map_err(HookupError::file("make", directory))
}

fn must_exist(directory: &Path) -> Result<(), HookupError> {
    if directory.is_dir() { Ok(()) } else { Err(HookupError::NoDirectory(directory.to_owned())) }
}

/// Writes a new file durably.
pub(crate) fn write_new(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), HookupError> {
    write_unsynced(path, mode, write)?.sync_all().map_err(HookupError::file("write", path))
}

/// Writes a new file; the caller makes it durable.
pub(crate) fn write_unsynced(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<File, HookupError> {
    let work = || {
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.set_permissions(Permissions::from_mode(mode))?; // whatever the umask says
        let mut out = BufWriter::with_capacity(32 << 10, file);
        write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)
    };
    work().map_err(HookupError::file("write", path))
}

/// Makes a file durable that was not written by us, and readable for the MTA.
pub(crate) fn settle(path: &Path) -> Result<(), HookupError> {
    let work = || {
        let file = File::open(path)?;
        file.set_permissions(Permissions::from_mode(TABLE_MODE))?;
        file.sync_all()
    };
    work().map_err(HookupError::file("sync", path))
}

/// The same for what a compiler made of `text`, whose owner and time it gets, the latter so that
/// [`is_compiled_from`] can tell later whether it is still what we published.
pub(crate) fn settle_compiled(path: &Path, text: &Path) -> Result<(), HookupError> {
    let work = || {
        let (text, file) = (fs::metadata(text)?, File::open(path)?);
        let compiled = file.metadata()?;
        // Compilers that root starts give their files to users of their own choice (makemap: TrustedUser).
        if (compiled.uid(), compiled.gid()) != (text.uid(), text.gid()) && rustix::process::geteuid().is_root() {
            fchown(&file, Some(text.uid()), Some(text.gid()))?;
        }
        file.set_times(FileTimes::new().set_modified(text.modified()?))
    };
    work().map_err(HookupError::file("set owner and time of", path))?;
    settle(path)
}

/// Whether this compiled file is the one that was made of this text: whoever truncates, restores
/// or compiles it otherwise changes its time.
pub(crate) fn is_compiled_from(compiled: &Path, text: &Path) -> bool {
    let time = |path| fs::metadata(path).ok().filter(|it| it.is_file() && it.len() > 0)?.modified().ok();
    time(compiled).is_some_and(|compiled| time(text) == Some(compiled))
}

/// Keeps the present file under a second name. `false`: there is none.
pub(crate) fn keep(path: &Path, kept: &Path) -> Result<bool, HookupError> {
    match fs::hard_link(path, kept) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // File systems without hard links, and files of another owner.
        Err(error) if is_no_link(&error) => copy(path, kept).map(|()| true).map_err(keeping(path)),
        // Also one that is there already: whoever made it wants us to write where it leads.
        Err(error) => Err(keeping(path)(error)),
    }
}

fn keeping(path: &Path) -> impl FnOnce(io::Error) -> HookupError {
    HookupError::file("keep a copy of", path)
}

/// Whether a file cannot have a second name there, though it could have a copy.
fn is_no_link(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::PERM, Errno::XDEV, Errno::MLINK, Errno::OPNOTSUPP].contains(&errno))
}

/// Makes a new file, never through a link.
fn copy(path: &Path, kept: &Path) -> io::Result<()> {
    let mut from = File::open(path)?;
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(kept)?;
    io::copy(&mut from, &mut to)?;
    to.set_permissions(from.metadata()?.permissions())
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), HookupError> {
    fs::rename(from, to).map_err(HookupError::file("publish", to))
}

/// Gives these files, which are about to replace others, a time that differs from that of `published` in whole
/// seconds: OpenSMTPD looks at the time of the path at each look-up, and would miss the second of two changes within a
/// second for ever.
pub(crate) fn come_later(files: [&Path; 2], published: &Path) -> Result<(), HookupError> {
    let Ok(before) = fs::metadata(published).and_then(|it| it.modified()) else { return Ok(()) };
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    for path in files {
        let work = || {
            let file = File::open(path)?;
            if seconds(file.metadata()?.modified()?) <= seconds(before) {
                file.set_times(FileTimes::new().set_modified(before + Duration::from_secs(1)))?;
                file.sync_all()?;
            }
            Ok(())
        };
        work().map_err(HookupError::file("set the time of", path))?;
    }
    Ok(())
}

/// Publishes a compiled file. What it replaces gets a later time: Sendmail's processes look at the time of the
/// file that they have open, in whole seconds, and never whether its name is another file's by now. A long
/// SMTP session would go on with the old one and refuse lists that are there.
pub(crate) fn rename_compiled(from: &Path, to: &Path) -> Result<(), HookupError> {
    let replaced = File::open(to).ok();
    rename(from, to)?;
    if let Some(replaced) = replaced {
        // Who cannot do this (the file is another's) has published all the same.
        let _ = replaced.metadata().and_then(|it| it.modified()).and_then(|time| {
            let later = SystemTime::now().max(time + Duration::from_secs(1));
            replaced.set_times(FileTimes::new().set_modified(later))
        });
    }
    Ok(())
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), HookupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(HookupError::file("remove", path)(error)),
        _ => Ok(()),
    }
}

pub(crate) fn sync_directory(directory: &Path) -> Result<(), HookupError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(HookupError::file("sync", directory))
}

/// `PATH` + suffix.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// What every SQLite database begins with.
pub(crate) const DATABASE_HEAD: &[u8; 16] = b"SQLite format 3\0";

/// Refuses to replace an SQLite database by a file that is none.
pub(crate) fn refuse_database(path: &Path) -> Result<(), HookupError> {
    let mut head = [0; 16];
    let is_database = File::open(path)
        .and_then(|mut file| io::Read::read_exact(&mut file, &mut head))
        .is_ok_and(|()| head == *DATABASE_HEAD);
    if is_database { Err(HookupError::NotATable(path.to_owned())) } else { Ok(()) }
}

/// Writes a small file durably under its final name.
pub(crate) fn write_small(path: &Path, contents: &str) -> Result<(), HookupError> {
    let temporary = with_suffix(path, ".tmp");
    remove_if_there(&temporary)?;
    if let Err(error) = write_new(&temporary, TABLE_MODE, |out| out.write_all(contents.as_bytes())) {
        let _ = remove_if_there(&temporary); // the first error says more
        return Err(error);
    }
    rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_temporary_names_are_removed() {
        let dir = tempfile::tempdir().expect("directory");
        let place = Place::new(dir.path(), "lists");
        let ours = [".lists.12.new", ".lists.12.new.db", ".lists.9.both.lmdb", ".lists.1.old", ".lists.1.new-journal"];
        let others =
            ["lists", "lists.db", ".lists.new", ".lists.x1.new", ".lists.1.news", ".other.1.new", ".lists.1.backup"];
        for name in ours.iter().chain(&others) {
            fs::write(dir.path().join(name), "x").expect("written");
        }
        remove_temporaries([&place].into_iter()).expect("removed");
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .expect("read")
            .map(|e| e.expect("entry").file_name().into_string().expect("UTF-8"))
            .collect();
        left.sort();
        let mut others = others.map(str::to_owned).to_vec();
        others.sort();
        assert_eq!(left, others);
    }

    #[test]
    fn who_has_a_replaced_compiled_file_open_can_tell_by_its_time() {
        let dir = tempfile::tempdir().expect("directory");
        let (new, published) = (dir.path().join("new"), dir.path().join("published"));
        fs::write(&published, "old").expect("written");
        let open = File::open(&published).expect("open");
        let seconds = |file: &File| {
            let time = file.metadata().and_then(|it| it.modified()).expect("time");
            time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
        };
        let before = seconds(&open);
        for contents in ["new", "newer"] {
            fs::write(&new, contents).expect("written");
            let time = fs::metadata(&new).and_then(|it| it.modified()).expect("time");
            rename_compiled(&new, &published).expect("published");
            assert_eq!(fs::read_to_string(&published).expect("read"), contents);
            assert_eq!(fs::metadata(&published).and_then(|it| it.modified()).expect("time"), time);
        }
        assert!(seconds(&open) > before);
    }

    #[test]
    fn who_looks_at_the_time_of_a_path_sees_each_of_many_changes() {
        let dir = tempfile::tempdir().expect("directory");
        let path = |name: &str| dir.path().join(name);
        let time = |path: &Path| fs::metadata(path).and_then(|it| it.modified()).expect("time");
        let seconds = |path: &Path| time(path).duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        let (text, compiled, published) = (path("text"), path("compiled"), path("published"));
        let mut seen = Vec::new();
        for number in 0..4 {
            fs::write(&text, number.to_string()).expect("written");
            fs::write(&compiled, number.to_string()).expect("written");
            settle_compiled(&compiled, &text).expect("settled");
            come_later([&compiled, &text], &published).expect("set");
            assert!(is_compiled_from(&compiled, &text), "they still belong together");
            rename_compiled(&compiled, &published).expect("published");
            seen.push(seconds(&published));
        }
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
    }

    #[test]
    fn a_link_that_somebody_has_put_in_place_of_a_copy_is_not_followed() {
        let dir = tempfile::tempdir().expect("directory");
        let (table, kept, victim) =
            (dir.path().join("lists"), dir.path().join(".lists.1.old"), dir.path().join("shadow"));
        fs::write(&table, "rows").expect("written");
        fs::write(&victim, "precious").expect("written");
        std::os::unix::fs::symlink(&victim, &kept).expect("planted");
        let error = keep(&table, &kept).expect_err("refused").to_string();
        assert!(error.contains("cannot keep a copy of"), "{error}");
        assert_eq!(copy(&table, &kept).expect_err("refused").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&victim).expect("there"), b"precious");
        fs::remove_file(&kept).expect("removed");
        copy(&table, &kept).expect("copied");
        assert_eq!(fs::read(&kept).expect("there"), b"rows");
        assert!(!keep(&dir.path().join("none"), &dir.path().join("x")).expect("none"), "there is nothing to keep");
        let is = |errno: rustix::io::Errno| is_no_link(&errno.into());
        assert!(is(rustix::io::Errno::PERM) && is(rustix::io::Errno::XDEV) && !is(rustix::io::Errno::EXIST));
    }

    #[test]
    fn a_full_disk_is_told_with_the_file_and_what_to_do() {
        let full = Path::new("/dev/full");
        let work = || OpenOptions::new().write(true).open(full)?.write_all(b"x");
        let error = work().map_err(HookupError::file("write", full)).expect_err("full").to_string();
        assert!(error.starts_with("cannot write /dev/full: No space left on device"), "{error}");
        assert!(error.contains("free some space"), "{error}");
    }
}
