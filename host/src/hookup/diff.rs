//! What differs between the rows that are published and the rows that are wanted.

use super::rows::Rows;
use postrider_plugin_api::sdk::Row;
use std::cmp::Ordering;
use std::fmt::Write as _;
use std::time::Duration;

/// Row numbers of what differs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RowDiff {
    /// Rows of the new table whose keys the old one has not.
    pub(crate) added: Vec<u32>,
    /// Rows of the new table whose keys the old one has with another value (or case).
    pub(crate) changed: Vec<u32>,
    /// Rows of the old table whose keys the new one has not.
    pub(crate) removed: Vec<u32>,
}

impl RowDiff {
    /// Rows of the new table that the old one has not, or not so.
    pub(crate) fn puts(&self) -> impl Iterator<Item = u32> {
        self.added.iter().chain(&self.changed).copied()
    }

    /// Compares two indexed tables.
    pub(crate) fn between(old: &Rows, new: &Rows) -> Self {
        let mut diff = RowDiff::default();
        let mut olds = old.by_key().iter().copied().peekable();
        let mut news = new.by_key().iter().copied().peekable();
        loop {
            match (olds.peek().copied(), news.peek().copied()) {
                (None, None) => return diff,
                (Some(gone), None) => {
                    diff.removed.push(gone);
                    olds.next();
                }
                (None, Some(fresh)) => {
                    diff.added.push(fresh);
                    news.next();
                }
                (Some(before), Some(after)) => {
                    let (was, is) = (old.row(before), new.row(after));
                    match new.compare(was.key, is.key) {
                        Ordering::Less => {
                            diff.removed.push(before);
                            olds.next();
                        }
                        Ordering::Greater => {
                            diff.added.push(after);
                            news.next();
                        }
                        Ordering::Equal => {
                            if was.value != is.value || was.key != is.key {
                                diff.changed.push(after);
                            }
                            olds.next();
                            news.next();
                        }
                    }
                }
            }
        }
    }

    /// Whether both tables say the same.
    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// The rows of the new table, then those that only the old one has. A key with two values has
/// the new one. In a table of patterns, where the first match counts, the new table wins too.
pub(crate) fn union<'a>(old: &'a Rows, new: &'a Rows, diff: &'a RowDiff) -> impl Iterator<Item = Row<'a>> {
    let mut removed = diff.removed.clone();
    removed.sort_unstable(); // their old order, not that of their keys
    new.iter().chain(removed.into_iter().map(|number| old.row(number)))
}

/// A unified diff for people; empty when both are equal.
pub(crate) fn unified(name: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    similar::TextDiff::configure()
        // A rougher diff is better than none when two large tables have little in common.
        .timeout(Duration::from_secs(5))
        .diff_lines(old, new)
        .unified_diff()
        .context_radius(3)
        .header(&format!("{name} (published)"), &format!("{name} (wanted)"))
        .to_string()
}

/// Most names that [`of_names`] shows of each kind.
const MAX_NAMES: usize = 100;

/// Which files of a directory come (`+`), change (`~`) and go (`-`), for people.
pub(crate) fn of_names(name: &str, old: &Rows, new: &Rows, diff: &RowDiff) -> String {
    let mut text = format!("--- {name}/ (published)\n+++ {name}/ (wanted)\n");
    for (sign, rows, numbers) in [('+', new, &diff.added), ('~', new, &diff.changed), ('-', old, &diff.removed)] {
        for number in numbers.iter().take(MAX_NAMES) {
            text.extend([sign.to_string().as_str(), rows.row(*number).key, "\n"]);
        }
        if numbers.len() > MAX_NAMES {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{sign}({} more)", numbers.len() - MAX_NAMES);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::testing::rows;
    use super::*;

    fn keys(rows: &Rows, numbers: &[u32]) -> Vec<String> {
        numbers.iter().map(|n| rows.row(*n).key.to_owned()).collect()
    }

    #[test]
    fn added_changed_and_removed_rows_are_told_apart() {
        let old = rows(&[("z", "1"), ("gone", "1"), ("a", "1")]);
        let new = rows(&[("a", "2"), ("fresh", "1"), ("z", "1")]);
        let diff = RowDiff::between(&old, &new);
        assert_eq!(keys(&new, &diff.added), ["fresh"]);
        assert_eq!(keys(&new, &diff.changed), ["a"]);
        assert_eq!(keys(&old, &diff.removed), ["gone"]);
        assert!(RowDiff::between(&old, &old).is_empty());
    }

    #[test]
    fn the_union_takes_new_values_and_keeps_old_rows() {
        let old = rows(&[("z", "1"), ("y", "1"), ("a", "1")]);
        let new = rows(&[("a", "2"), ("b", "1")]);
        let diff = RowDiff::between(&old, &new);
        let both: Vec<_> = union(&old, &new, &diff).map(|r| format!("{}={}", r.key, r.value)).collect();
        assert_eq!(both, ["a=2", "b=1", "z=1", "y=1"]);
    }

    #[test]
    fn the_unified_diff_shows_only_what_changes() {
        let text = unified("postfix_lmtp", "a 1\nb 1\n", "a 1\nb 2\n");
        assert!(text.contains("--- postfix_lmtp (published)"), "{text}");
        assert!(text.contains("-b 1\n+b 2\n"), "{text}");
        assert_eq!(unified("x", "a\n", "a\n"), "");
    }
}
