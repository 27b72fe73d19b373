//! What is published: `.postrider-published` beside the tables.
//!
//! It says which generation of the lists the tables hold, by its random id (two databases may well have generations of
//! one number), and by what they were made (a fingerprint of adapter, plugin, settings and installation). A change alone
//! describes the way to the next generation only from there; from anywhere else (another adapter, other settings, a
//! restored backup, another database) all is compared. It also keeps what that publication left to the administrator, for
//! those whose change it published with its own, even before it knew of their generation.

use super::error::HookupError;
use super::place;
use super::report::ByHand;
use std::fs;
use std::path::{Path, PathBuf};

const NAME: &str = ".postrider-published";
/// Before the commands, in JSON.
const BY_HAND: &str = "left by hand ";
/// The same, where lists of later generations may have been published too.
const BY_HAND_AHEAD: &str = "left by hand ahead ";
const HEAD: &str = "# What Postrider has published here; without this file it compares everything once.\n";

/// The file that says what was published in this table directory, if anything ever was.
pub fn trace_of_publication(table_dir: &Path) -> Option<PathBuf> {
    Some(table_dir.join(NAME)).filter(|path| path.exists())
}

/// What a publication left to the administrator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftByHand {
    /// Whether it may be for lists of a later generation too, which came while it looked at them.
    pub(crate) ahead: bool,
    pub(crate) commands: Vec<ByHand>,
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
        let head = contents(generation, fingerprint);
        self.text().is_some_and(|text| text.strip_prefix(&head).is_some_and(|rest| read_by_hand(rest).is_some()))
    }

    /// What the last publication left to the administrator. A file that cannot be read says nothing.
    pub(crate) fn by_hand(&self) -> LeftByHand {
        let text = self.text().unwrap_or_default();
        text.lines().find(|line| line.starts_with(BY_HAND)).and_then(read_by_hand).unwrap_or_default()
    }

    /// Says durably that they are, and what was left to the administrator.
    pub(crate) fn write(&self, generation: &str, fingerprint: &str, left: &LeftByHand) -> Result<(), HookupError> {
        let mut text = contents(generation, fingerprint);
        if !left.commands.is_empty() {
            let prefix = if left.ahead { BY_HAND_AHEAD } else { BY_HAND };
            text = format!("{text}{prefix}{}\n", serde_json::json!(left.commands));
        }
        place::write_small(&self.path, &text)
    }

    fn text(&self) -> Option<String> {
        fs::read_to_string(&self.path).ok()
    }
}

/// What follows the contents: nothing, or one line.
fn read_by_hand(rest: &str) -> Option<LeftByHand> {
    if rest.is_empty() {
        return Some(LeftByHand::default());
    }
    let ahead = rest.strip_prefix(BY_HAND_AHEAD);
    let commands = serde_json::from_str(ahead.or_else(|| rest.strip_prefix(BY_HAND))?).ok()?;
    Some(LeftByHand { ahead: ahead.is_some(), commands })
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
        published.write("7f", "a", &LeftByHand::default()).expect("written");
        assert!(published.is("7f", "a"));
        assert!(!published.is("7", "a") && !published.is("8f", "a") && !published.is("7f", "b"));
        let text = fs::read_to_string(dir.path().join(NAME)).expect("there");
        fs::write(dir.path().join(NAME), &text[..text.len() - 1]).expect("written");
        assert!(!published.is("7f", "a"), "damaged");
    }

    #[test]
    fn what_is_left_by_hand_is_kept_until_the_next_publication() {
        let dir = tempfile::tempdir().expect("directory");
        let published = Published::in_directory(dir.path());
        assert_eq!(published.by_hand(), LeftByHand::default());
        let command = ByHand {
            command: "postfix reload".to_owned(),
            reason: "so that\nit is read".to_owned(),
            required: true,
            settle: Some(std::time::Duration::from_secs(2)),
            obstacle: "it needs the superuser".to_owned(),
            is_here: true,
        };
        for ahead in [true, false] {
            let left = LeftByHand { ahead, commands: vec![command.clone()] };
            published.write("7f", "a", &left).expect("written");
            assert!(published.is("7f", "a") && !published.is("8f", "a"));
            assert_eq!(published.by_hand(), left);
        }
        fs::write(dir.path().join(NAME), fs::read_to_string(dir.path().join(NAME)).expect("there").replace('}', ""))
            .expect("written");
        assert!(published.by_hand() == LeftByHand::default() && !published.is("7f", "a"), "damaged");
        published.write("8f", "a", &LeftByHand::default()).expect("written");
        assert_eq!(published.by_hand(), LeftByHand::default());
    }
}
