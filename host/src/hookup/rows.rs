//! The rows of one table, kept compactly: 900,000 of them are an ordinary large site.
//!
//! Rows keep the order in which they came (it matters to a reader and to tables of patterns);
//! [`Rows::index`] adds an order by key, by which tables are compared. A table whose MTA looks
//! keys up without regard to case *folds*: keys that differ only in ASCII case are the same key.

use postrider_plugin_api::sdk::Row;
use std::cmp::Ordering;

/// Most octets that the rows of one table may have together.
pub(crate) const MAX_TABLE_BYTES: usize = 512 << 20;

/// The rows of one table. Keys and values lie one behind the other in one text.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    text: String,
    spans: Vec<Span>,
    /// Indices of `spans`, sorted by key; empty until [`Rows::index`].
    by_key: Vec<u32>,
    folds: bool,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    key: u32,
    value: u32,
    key_len: u16,
    value_len: u16,
    column: u16,
}

/// A row does not fit: key or value above 64 KiB, or the table above [`MAX_TABLE_BYTES`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Rows {
    /// No rows yet. `folds`: keys are compared without regard to ASCII case.
    pub(crate) fn new(folds: bool) -> Self {
        Rows { folds, ..Rows::default() }
    }

    /// Adds a row at the end.
    pub(crate) fn push(&mut self, row: Row<'_>) -> Result<(), TooLarge> {
        let (Ok(key_len), Ok(value_len)) = (u16::try_from(row.key.len()), u16::try_from(row.value.len())) else {
            return Err(TooLarge);
        };
        if self.text.len() + row.key.len() + row.value.len() > MAX_TABLE_BYTES {
            return Err(TooLarge);
        }
        let key = self.text.len() as u32; // below 2^29, see above
        self.text.push_str(row.key);
        // Most tables have few different values, next to each other: store each run once.
        let value = match self.spans.last() {
            Some(last) if self.slice(last.value, last.value_len) == row.value => last.value,
            _ => {
                let at = self.text.len() as u32;
                self.text.push_str(row.value);
                at
            }
        };
        self.spans.push(Span { key, value, key_len, value_len, column: row.column });
        Ok(())
    }

    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The row with this number, in the order in which they came.
    pub(crate) fn row(&self, number: u32) -> Row<'_> {
        let span = self.spans[number as usize];
        Row::new(self.slice(span.key, span.key_len), self.slice(span.value, span.value_len)).with_column(span.column)
    }

    /// All rows, in the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.spans.len() as u32).map(|number| self.row(number))
    }

    /// Sorts for [`Rows::by_key`]; of rows with the same key the first one comes first.
    pub(crate) fn index(&mut self) {
        let mut order: Vec<u32> = (0..self.spans.len() as u32).collect();
        let compare = |a: &u32, b: &u32| self.compare(self.row(*a).key, self.row(*b).key).then(a.cmp(b));
        if !order.is_sorted_by(|a, b| compare(a, b) != Ordering::Greater) {
            order.sort_unstable_by(compare);
        }
        self.by_key = order;
    }

    /// Row numbers, sorted by key.
    pub(crate) fn by_key(&self) -> &[u32] {
        debug_assert_eq!(self.by_key.len(), self.spans.len(), "index() first");
        &self.by_key
    }

    /// Two rows with the same key, if there are any.
    pub(crate) fn duplicate(&self) -> Option<(Row<'_>, Row<'_>)> {
        self.by_key().windows(2).map(|pair| (self.row(pair[0]), self.row(pair[1]))).find(|(a, b)| self.same_key(a, b))
    }

    /// A key that another indexed table has too, if there is one.
    pub(crate) fn common_key(&self, other: &Rows) -> Option<&str> {
        other.iter().find_map(|row| self.find(row.key))
    }

    /// The key as it is written here, if it is in this indexed table.
    pub(crate) fn find(&self, key: &str) -> Option<&str> {
        let found = self.by_key().binary_search_by(|number| self.compare(self.row(*number).key, key)).ok()?;
        Some(self.row(self.by_key()[found]).key)
    }

    /// Keeps only the first row of each key; for files that somebody edited by hand.
    pub(crate) fn drop_later_duplicates(&mut self) {
        if self.duplicate().is_none() {
            return;
        }
        let mut unique = self.by_key.clone();
        unique.dedup_by(|later, first| self.same_key(&self.row(*later), &self.row(*first)));
        unique.sort_unstable();
        self.spans = unique.iter().map(|number| self.spans[*number as usize]).collect();
        self.index();
    }

    /// How the keys of this table are ordered.
    pub(crate) fn compare(&self, a: &str, b: &str) -> Ordering {
        if self.folds {
            a.bytes().map(|b| b.to_ascii_lowercase()).cmp(b.bytes().map(|b| b.to_ascii_lowercase()))
        } else {
            a.cmp(b)
        }
    }

    fn same_key(&self, a: &Row<'_>, b: &Row<'_>) -> bool {
        self.compare(a.key, b.key) == Ordering::Equal
    }

    /// Whether keys are compared without regard to case.
    pub(crate) fn folds(&self) -> bool {
        self.folds
    }

    fn slice(&self, at: u32, len: u16) -> &str {
        &self.text[at as usize..at as usize + usize::from(len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(key: &'a str, value: &'a str) -> Row<'a> {
        Row::new(key, value)
    }

    #[test]
    fn rows_keep_their_order_and_are_found_sorted() {
        let mut rows = Rows::new(false);
        for (key, value) in [("b", "1"), ("a", "1"), ("c", "2")] {
            rows.push(row(key, value)).expect("small");
        }
        rows.index();
        assert_eq!(rows.iter().map(|r| (r.key, r.value)).collect::<Vec<_>>(), [("b", "1"), ("a", "1"), ("c", "2")]);
        assert_eq!(rows.by_key().iter().map(|n| rows.row(*n).key).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(rows.duplicate().is_none());
    }

    #[test]
    fn folding_tables_take_keys_that_differ_in_case_for_one() {
        for (folds, same) in [(true, true), (false, false)] {
            let mut rows = Rows::new(folds);
            rows.push(row("Ants", "1")).expect("small");
            rows.push(row("ants", "2")).expect("small");
            rows.index();
            assert_eq!(rows.duplicate().is_some(), same);
        }
    }

    #[test]
    fn a_key_of_more_than_64_kib_does_not_fit() {
        assert_eq!(Rows::new(false).push(row(&"x".repeat(70_000), "1")), Err(TooLarge));
    }

    #[test]
    fn the_first_of_equal_keys_survives() {
        let mut rows = Rows::new(false);
        for (key, value) in [("b", "first"), ("a", "x"), ("b", "second")] {
            rows.push(row(key, value)).expect("small");
        }
        rows.index();
        rows.drop_later_duplicates();
        assert_eq!(rows.iter().map(|r| (r.key, r.value)).collect::<Vec<_>>(), [("b", "first"), ("a", "x")]);
    }
}
