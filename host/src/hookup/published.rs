//! What is published: `.postrider-published` beside the tables.
//!
//! It says which generation of the lists the tables hold, by its random id (two databases may well have generations of
//! one number), and by what they were made (a fingerprint of adapter, plugin, settings and installation). A change alone
//! describes the way to the next generation only from there; from anywhere else (another adapter, other settings, a
//! restored backup, another database) all is compared. It also keeps what publications left to the administrator, for
//! those whose changes they published with their own, even before they knew of their generations.

use super::error::HookupError;
use super::place;
use super::report::ByHand;
use std::fs;
use std::path::{Path, PathBuf};

const NAME: &str = ".postrider-published";
/// Before what is left by hand, in JSON; a line for each.
const BY_HAND: &str = "left by hand ";
const HEAD: &str = "# What Postrider has published here; without this file it compares everything once.\n";

/// The file that says what was published in this table directory, if anything ever was.
pub fn trace_of_publication(table_dir: &Path) -> Option<PathBuf> {
    Some(table_dir.join(NAME)).filter(|path| path.exists())
}

/// Longer than anybody waits for a run that publishes his change, in seconds.
const LONG_AGO: i64 = 1200;
/// So many lines are kept.
const MOST: usize = 100;

/// What publications left to the administrator, for whose changes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct LeftByHand {
    /// For the generations after this one, ...
    pub(crate) after: i64,
    /// ... up to this one: those that came while it looked at the lists included.
    pub(crate) until: i64,
    /// When it was noted last, in Unix seconds.
    pub(crate) noted: i64,
    pub(crate) commands: Vec<ByHand>,
}

/// Puts one more behind the others, and leaves out those that nobody will ask for: whoever made the `wanted` generation
/// still may, and for a while those who wait for a run that has published theirs.
pub(crate) fn add(all: &mut Vec<LeftByHand>, new: LeftByHand, wanted: i64) {
    let is_recent = |one: &LeftByHand| (0..LONG_AGO).contains(&(new.noted - one.noted));
    all.retain(|one| {
        // Generations that are still to come are those of another database.
        one.until <= new.until && (is_recent(one) || (one.after < wanted && wanted <= one.until))
    });
    if new.commands.is_empty() || new.until <= new.after {
        return;
    }
    match all.last_mut() {
        Some(last) if last.commands == new.commands && (last.after..=last.until).contains(&new.after) => {
            (last.until, last.noted) = (last.until.max(new.until), new.noted);
        }
        _ => all.push(new),
    }
    all.drain(..all.len().saturating_sub(MOST));
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

    /// What publications of the same maker left to the administrator, oldest first. A file that cannot be read says
    /// nothing.
    pub(crate) fn by_hand(&self, fingerprint: &str) -> Vec<LeftByHand> {
        let text = self.text().unwrap_or_default();
        let lines = text.split_once(&made_by(fingerprint)).map_or("", |(_, lines)| lines);
        read_by_hand(lines).unwrap_or_default()
    }

    /// Says durably that they are, and what was left to the administrator.
    pub(crate) fn write(&self, generation: &str, fingerprint: &str, left: &[LeftByHand]) -> Result<(), HookupError> {
        let mut text = contents(generation, fingerprint);
        for one in left {
            text = format!("{text}{BY_HAND}{}\n", serde_json::json!(one));
        }
        place::write_small(&self.path, &text)
    }

    fn text(&self) -> Option<String> {
        fs::read_to_string(&self.path).ok()
    }
}

/// What follows the contents.
fn read_by_hand(lines: &str) -> Option<Vec<LeftByHand>> {
    let read = |line: &str| serde_json::from_str(line.strip_suffix('\n')?.strip_prefix(BY_HAND)?).ok();
    lines.split_inclusive('\n').map(read).collect()
}

fn contents(generation: &str, fingerprint: &str) -> String {
    format!("{HEAD}generation {generation}\n{}", made_by(fingerprint))
}

fn made_by(fingerprint: &str) -> String {
    format!("made by {fingerprint}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(after: i64, until: i64, noted: i64, command: &str) -> LeftByHand {
        let commands = vec![ByHand {
            command: command.to_owned(),
            reason: "so that\nit is read".to_owned(),
            required: true,
            settle: Some(std::time::Duration::from_secs(2)),
            obstacle: "it needs the superuser".to_owned(),
            is_here: true,
        }];
        LeftByHand { after, until, noted, commands }
    }

    #[test]
    fn only_the_very_same_generation_and_maker_count() {
        let dir = tempfile::tempdir().expect("directory");
        let published = Published::in_directory(dir.path());
        assert!(!published.is("", "a"), "nothing is published");
        published.write("7f", "a", &[]).expect("written");
        assert!(published.is("7f", "a"));
        assert!(!published.is("7", "a") && !published.is("8f", "a") && !published.is("7f", "b"));
        let text = fs::read_to_string(dir.path().join(NAME)).expect("there");
        fs::write(dir.path().join(NAME), &text[..text.len() - 1]).expect("written");
        assert!(!published.is("7f", "a"), "damaged");
    }

    #[test]
    fn what_is_left_by_hand_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().expect("directory");
        let published = Published::in_directory(dir.path());
        assert_eq!(published.by_hand("a"), []);
        let two = [left(0, 2, 1000, "postfix reload"), left(2, 3, 1001, "postmap x")];
        for some in [&two[..], &two[1..], &[]] {
            published.write("7f", "a", some).expect("written");
            assert!(published.is("7f", "a") && !published.is("8f", "a"));
            assert_eq!(published.by_hand("a"), some);
            assert_eq!(published.by_hand("b"), [], "another maker");
        }
        published.write("7f", "a", &two).expect("written");
        let text = fs::read_to_string(dir.path().join(NAME)).expect("there");
        for damaged in [text.replace('}', ""), text.trim_end().to_owned()] {
            fs::write(dir.path().join(NAME), damaged).expect("written");
            assert!(published.by_hand("a").is_empty() && !published.is("7f", "a"), "damaged");
        }
    }

    #[test]
    fn what_is_left_by_hand_is_kept_as_long_as_somebody_may_ask_for_it() {
        let add = |all: &[LeftByHand], new: &LeftByHand, wanted| {
            let mut all = all.to_vec();
            super::add(&mut all, new.clone(), wanted);
            all
        };
        let first = left(0, 2, 1000, "postfix reload");
        let one = std::slice::from_ref(&first);
        assert_eq!(add(&[], &first, 1), one);
        // The next one leaves other commands, or none: who waits for the first one's still learns of them.
        let other = left(2, 3, 1010, "postmap x");
        assert_eq!(add(one, &other, 3), [first.clone(), other.clone()]);
        let nothing = LeftByHand { commands: Vec::new(), ..other.clone() };
        assert_eq!(add(one, &nothing, 3), one);
        // The same commands are one line.
        assert_eq!(add(one, &left(1, 3, 1010, "postfix reload"), 3), [left(0, 3, 1010, "postfix reload")]);
        // A comparison that belongs to no change.
        assert_eq!(add(one, &left(2, 2, 1010, "postmap x"), 2), one);
        // Long ago, but of the last generation; long ago; or noted when the clock was ahead.
        let late = |noted| LeftByHand { noted, ..nothing.clone() };
        assert_eq!(add(one, &late(1000 + LONG_AGO), 2), one);
        assert_eq!(add(one, &late(1000 + LONG_AGO), 3), []);
        assert_eq!(add(one, &late(999), 3), []);
        // A database that was restored, and has come as far again.
        assert_eq!(add(one, &left(0, 1, 1010, "postmap x"), 1), [left(0, 1, 1010, "postmap x")]);
        let many: Vec<_> = (0..MOST as i64).map(|at| left(at, at + 1, 1000, &format!("command {at}"))).collect();
        let more = add(&many, &left(500, 501, 1000, "another"), 501);
        assert_eq!((more.len(), &more[0]), (MOST, &many[1]));
    }
}
