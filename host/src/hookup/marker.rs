//! The note that a publication has begun and not ended: `.postrider-unfinished` beside the tables.
//!
//! It is durable before the first file is replaced and goes away after the last. A run that finds
//! it does not trust that text and compiled file, or file and running MTA, are of one state:
//!
//! - *publishing*: a run was killed; everything is published and activated anew.
//! - *waiting*: a run stopped for a command that only the administrator can run; the tables named
//!   are published wholly, but the MTA may not have read them.

use super::error::HookupError;
use super::place;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const NAME: &str = ".postrider-unfinished";
const HEAD: &str = "# Postrider has not finished publishing the tables here; `postrider aliases` does.\n";

/// What the note says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// A run was killed.
    Publishing,
    /// These tables await activation.
    Waiting(Vec<String>),
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
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Some(Unfinished::Publishing)),
            Err(error) => return Err(HookupError::file("read", &self.path)(error)),
        };
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        Ok(Some(match lines.next() {
            Some("waiting") => {
                Unfinished::Waiting(lines.filter_map(|line| line.strip_prefix("table ")).map(str::to_owned).collect())
            }
            _ => Unfinished::Publishing,
        }))
    }

    pub(crate) fn write(&self, what: &Unfinished) -> Result<(), HookupError> {
        let mut text = HEAD.to_owned();
        match what {
            Unfinished::Publishing => text.push_str("publishing\n"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nonsense_means_the_worst() {
        let dir = tempfile::tempdir().expect("directory");
        let marker = Marker::in_directory(dir.path());
        assert_eq!(marker.read().expect("read"), None);
        for what in [Unfinished::Publishing, Unfinished::Waiting(vec!["a".into(), "b/c".into()])] {
            marker.write(&what).expect("written");
            assert_eq!(marker.read().expect("read"), Some(what));
        }
        for nonsense in [&b""[..], b"wait", b"\xff"] {
            fs::write(marker.path(), nonsense).expect("written");
            assert_eq!(marker.read().expect("read"), Some(Unfinished::Publishing));
        }
        marker.remove().expect("removed");
        assert_eq!(marker.read().expect("read"), None);
    }
}
