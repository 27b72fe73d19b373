//! The text form of a table, both ways: rows to file, and a published file back to rows.
//!
//! ```text
//! # Written by Postrider; what is changed here by hand is lost. To write it anew:
//! #     postrider aliases
//! ants@lists.example.com           lmtp:[127.0.0.1]:8024
//! ```
//!
//! The head holds no date and no version: equal rows give equal bytes, and "nothing changed,
//! nothing done" is a comparison of bytes.

use super::rows::Rows;
use postrider_plugin_api::sdk::{Row, Table};
use std::io::{self, Read, Write};
use std::iter;

/// Writes head and rows.
pub(crate) fn render<'a>(table: &Table, rows: impl Iterator<Item = Row<'a>>, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"# Written by Postrider; what is changed here by hand is lost. To write it anew:\n")?;
    out.write_all(b"#     postrider aliases\n")?;
    if !table.comment.is_empty() {
        out.write_all(b"#\n")?;
        for line in table.comment.lines() {
            out.write_all(if line.is_empty() { b"#" } else { b"# " })?;
            out.write_all(line.as_bytes())?;
            out.write_all(b"\n")?;
        }
    }
    for row in rows {
        write_row(row, out)?;
    }
    Ok(())
}

/// Writes one row, its value at the column that the row names.
pub(crate) fn write_row(row: Row<'_>, out: &mut impl Write) -> io::Result<()> {
    const BLANKS: &[u8] = &[b' '; 64];
    out.write_all(row.key.as_bytes())?;
    if !row.value.is_empty() {
        let mut missing = usize::from(row.column).saturating_sub(row.key.chars().count()).max(1);
        while missing > 0 {
            let now = missing.min(BLANKS.len());
            out.write_all(&BLANKS[..now])?;
            missing -= now;
        }
        out.write_all(row.value.as_bytes())?;
    }
    out.write_all(b"\n")
}

/// Reads the rows of a published text table. Tolerant, because somebody may have edited it: lines
/// without sense are passed over, a line that begins with a blank continues the one before (as
/// in Postfix, Exim and Sendmail), of equal keys the first counts.
pub(crate) fn parse(text: &str, folds: bool) -> Rows {
    let mut rows = Rows::new(folds);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).peekable();
    while let Some(line) = lines.next() {
        let mut logical = line.trim_end().to_owned();
        for more in iter::from_fn(|| lines.next_if(|next| next.starts_with([' ', '\t']))) {
            logical.push_str(more.trim_end());
        }
        let (key, rest) = logical.split_once([' ', '\t']).unwrap_or((&logical, ""));
        let value = rest.trim_start();
        let column = key.chars().count() + 1 + (rest.len() - value.len());
        if !key.is_empty() {
            // A row that is too long for us cannot be one of ours.
            let _ = rows.push(Row::new(key, value).with_column(u16::try_from(column).unwrap_or(0)));
        }
    }
    rows.index();
    rows.drop_later_duplicates();
    rows
}

/// A writer that compares what it is given with what it reads.
pub(crate) struct Comparison<R> {
    published: R,
    buffer: Vec<u8>,
    equal: bool,
}

impl<R: Read> Comparison<R> {
    pub(crate) fn with(published: R) -> Self {
        Comparison { published, buffer: Vec::new(), equal: true }
    }

    /// Whether all that was written is all that can be read.
    pub(crate) fn finish(mut self) -> io::Result<bool> {
        Ok(self.equal && self.published.read(&mut [0])? == 0)
    }
}

impl<R: Read> Write for Comparison<R> {
    fn write(&mut self, wanted: &[u8]) -> io::Result<usize> {
        if self.equal {
            self.buffer.resize(wanted.len(), 0);
            self.equal = match self.published.read_exact(&mut self.buffer) {
                Ok(()) => self.buffer == wanted,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
                Err(error) => return Err(error),
            };
        }
        Ok(wanted.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::sdk::{TableFormat, TableRole};

    fn table(comment: &str) -> Table {
        Table::new("t", TableFormat::Text, TableRole::Routing).with_comment(comment)
    }

    fn text(comment: &str, rows: &[(&str, &str, u16)]) -> String {
        let mut out = Vec::new();
        let rows = rows.iter().map(|(key, value, column)| Row::new(key, value).with_column(*column));
        render(&table(comment), rows, &mut out).expect("memory");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn the_head_says_who_wrote_the_file_and_how_to_write_it_anew() {
        let text = text("All lists.\n\nFor transport_maps.", &[]);
        let expected = "# Written by Postrider; what is changed here by hand is lost. To write it anew:\n\
                        #     postrider aliases\n#\n# All lists.\n#\n# For transport_maps.\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn values_start_at_their_column_and_at_least_one_blank_further() {
        let text = text("", &[("ants@e.org", "lmtp:x", 15), ("a-long-name@e.org", "lmtp:x", 15), ("alone", "", 9)]);
        let rows: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(rows, ["ants@e.org     lmtp:x", "a-long-name@e.org lmtp:x", "alone"]);
    }

    #[test]
    fn what_was_written_is_read_back() {
        let original = [("ants@e.org", "lmtp:x y", 15), ("bees@e.org", "z", 0), ("alone", "", 0)];
        let rows = parse(&text("head", &original), false);
        let read: Vec<_> = rows.iter().map(|r| (r.key, r.value)).collect();
        assert_eq!(read, [("ants@e.org", "lmtp:x y"), ("bees@e.org", "z"), ("alone", "")]);
        assert_eq!(rows.row(0).column, 15);
    }

    #[test]
    fn a_file_that_was_edited_by_hand_is_read_as_the_mta_reads_it() {
        let rows = parse("\n# head\n   lost\nants@e.org\tx\n  y\n\nbees@e.org z  \r\nants@e.org again\n", false);
        let read: Vec<_> = rows.iter().map(|r| (r.key, r.value)).collect();
        assert_eq!(read, [("ants@e.org", "x  y"), ("bees@e.org", "z")]);
    }

    #[test]
    fn a_comparison_sees_every_difference() {
        for (published, wanted, equal) in
            [("abc", "abc", true), ("abc", "abd", false), ("abc", "ab", false), ("ab", "abc", false), ("", "", true)]
        {
            let mut comparison = Comparison::with(published.as_bytes());
            comparison.write_all(wanted.as_bytes()).expect("memory");
            assert_eq!(comparison.finish().expect("memory"), equal, "{published:?} {wanted:?}");
        }
    }
}
