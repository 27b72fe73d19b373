//! The note that a publication has begun and not ended: `.postrider-unfinished` beside the tables.
//!
//! It is durable before the first file is replaced and goes away after the last. A run that finds
//! it does not trust that text and compiled file, or file and running MTA, are of one state:
//!
//! - *publishing*: a run was killed; everything is published and activated anew. The note names the guards
//!   that it had set, which are cleared.
//! - *waiting*: a run stopped for a command that only the administrator can run; the tables named
//!   are published wholly, but the MTA may not have read them.

use super::error::HookupError;
use super::guard::Guarded;
use super::place;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const NAME: &str = ".postrider-unfinished";
const HEAD: &str = "# Postrider has not finished publishing the tables here; `postrider aliases` does.\n";

/// What the note says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// A run was killed; these guards may be set.
    Publishing(Vec<Guarded>),
    /// These tables await activation.
    Waiting(Vec<String>),
}

/// Whether a run has begun to publish here and not ended: it was killed, or is at work.
pub fn was_interrupted(table_dir: &Path) -> bool {
    matches!(Marker::in_directory(table_dir).read(), Ok(Some(Unfinished::Publishing(_))))
}

pub(crate) struct Marker {
    path: PathBuf,
}

impl Marker {
    pub(crate) fn in_directory(table_dir: &Path) -> Self {
        Marker { path: table_dir.join(NAME) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What an earlier run left; a note that cannot be understood counts as *publishing*.
    pub(crate) fn read(&self) -> Result<Option<Unfinished>, HookupError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Ok(Some(Unfinished::Publishing(Vec::new())));
            }
            Err(error) => return Err(HookupError::file("read", &self.path)(error)),
        };
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        Ok(Some(match lines.next() {
            Some("waiting") => {
                Unfinished::Waiting(lines.filter_map(|line| line.strip_prefix("table ")).map(str::to_owned).collect())
            }
            _ => Unfinished::Publishing(lines.filter_map(guarded).collect()),
        }))
    }

    pub(crate) fn write(&self, what: &Unfinished) -> Result<(), HookupError> {
        let mut text = HEAD.to_owned();
        match what {
            Unfinished::Publishing(guarded) => {
                text.push_str("publishing\n");
                for Guarded { path, bits } in guarded {
                    // Writing to a string does not fail.
                    let _ = writeln!(text, "guard {bits:04o} {}", path.display());
                }
            }
            Unfinished::Waiting(tables) => {
                text.push_str("waiting\n");
                for table in tables {
                    text.push_str("table ");
                    text.push_str(table);
                    text.push('\n');
                }
            }
        }
        place::write_small(&self.path, &text)
    }

    pub(crate) fn remove(&self) -> Result<(), HookupError> {
        place::remove_if_there(&self.path)?;
        self.path.parent().map_or(Ok(()), place::sync_directory)
    }
}

/// Reads `guard 1000 /home/lists`.
fn guarded(line: &str) -> Option<Guarded> {
    let (bits, path) = line.strip_prefix("guard ")?.split_once(' ')?;
    let bits = u32::from_str_radix(bits, 8).ok()? & 0o7000;
    Some(Guarded { path: PathBuf::from(path), bits }).filter(|one| one.path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nonsense_means_the_worst() {
        let dir = tempfile::tempdir().expect("directory");
        let marker = Marker::in_directory(dir.path());
        assert_eq!(marker.read().expect("read"), None);
        for what in [
            Unfinished::Publishing(Vec::new()),
            Unfinished::Publishing(vec![Guarded { path: "/home/a b".into(), bits: 0o1000 }]),
            Unfinished::Waiting(vec!["a".into(), "b/c".into()]),
        ] {
            marker.write(&what).expect("written");
            assert_eq!(marker.read().expect("read"), Some(what));
        }
        for nonsense in [&b""[..], b"wait", b"\xff"] {
            fs::write(marker.path(), nonsense).expect("written");
            assert_eq!(marker.read().expect("read"), Some(Unfinished::Publishing(Vec::new())));
        }
        marker.remove().expect("removed");
        assert_eq!(marker.read().expect("read"), None);
    }
}
