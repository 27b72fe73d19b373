//! What is published: `.postrider-published` beside the tables.
//!
//! It says which generation of the lists the tables hold, by its random id (two databases may well have generations of
//! one number), and by what they were made (a fingerprint of adapter, plugin, settings and installation). A change alone
//! describes the way to the next generation only from there; from anywhere else (another adapter, other settings, a
//! restored backup, another database) all is compared.

use super::error::HookupError;
use super::place;
use std::fs;
use std::path::{Path, PathBuf};

const NAME: &str = ".postrider-published";
const HEAD: &str = "# What Postrider has published here; without this file it compares everything once.\n";

/// The file that says what was published in this table directory, if anything ever was.
pub fn trace_of_publication(table_dir: &Path) -> Option<PathBuf> {
    Some(table_dir.join(NAME)).filter(|path| path.exists())
}

pub(crate) struct Published {
    path: PathBuf,
}

impl Published {
    pub(crate) fn in_directory(table_dir: &Path) -> Self {
        Published { path: table_dir.join(NAME) }
    }

    /// Whether the tables are just those of this generation. A file that cannot be read says nothing.
    pub(crate) fn is(&self, generation: &str, fingerprint: &str) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|text| text == contents(generation, fingerprint))
    }

    /// Says durably that they are.
    pub(crate) fn write(&self, generation: &str, fingerprint: &str) -> Result<(), HookupError> {
        place::write_small(&self.path, &contents(generation, fingerprint))
    }
}

fn contents(generation: &str, fingerprint: &str) -> String {
    format!("{HEAD}generation {generation}\nmade by {fingerprint}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_same_generation_and_maker_count() {
        let dir = tempfile::tempdir().expect("directory");
        let published = Published::in_directory(dir.path());
        assert!(!published.is("", "a"), "nothing is published");
        published.write("7f", "a").expect("written");
        assert!(published.is("7f", "a"));
        assert!(!published.is("7", "a") && !published.is("8f", "a") && !published.is("7f", "b"));
        let text = fs::read_to_string(dir.path().join(NAME)).expect("there");
        fs::write(dir.path().join(NAME), &text[..text.len() - 1]).expect("written");
        assert!(!published.is("7f", "a"), "damaged");
    }
}
