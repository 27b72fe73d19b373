//! How results look: aligned columns for people, JSON for programs.

use serde_json::Value;

/// Prints JSON, indented.
pub fn json(value: &Value) {
    // A `Value` made by us always serialises.
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints rows in aligned columns under a heading; nothing when there are no rows.
pub fn table<const N: usize>(heading: [&'static str; N], rows: &[[String; N]]) {
    let mut columns = Columns::new(heading);
    for row in rows {
        columns.row(row.clone());
    }
    columns.end();
}

/// A table of any length: rows are printed in portions, whose columns only ever become wider.
pub struct Columns<const N: usize> {
    heading: [&'static str; N],
    widths: [usize; N],
    rows: Vec<[String; N]>,
    printed: usize,
}

/// Rows of a portion.
const PORTION: usize = 500;

impl<const N: usize> Columns<N> {
    /// With this heading, which is printed with the first rows.
    pub fn new(heading: [&'static str; N]) -> Self {
        Columns { heading, widths: heading.map(|title| title.chars().count()), rows: Vec::new(), printed: 0 }
    }

    /// Adds a row.
    pub fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
        if self.rows.len() == PORTION {
            self.print();
        }
    }

    /// Prints the rest; returns how many rows there were.
    pub fn end(mut self) -> usize {
        self.print();
        self.printed
    }

    fn print(&mut self) {
        for row in &self.rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        let mut show = |cells: &[String; N]| {
            for (cell, width) in cells.iter().zip(self.widths) {
                text.push_str(cell);
                text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        };
        if self.printed == 0 && !self.rows.is_empty() {
            show(&self.heading.map(str::to_owned));
        }
        self.rows.iter().for_each(show);
        part(&text);
        self.printed += self.rows.len();
        self.rows.clear();
    }
}

/// A JSON object that is printed while it is made: one line a value, or an element of an array.
pub struct JsonObject {
    text: String,
    first: bool,
    /// In an array: whether it has an element already.
    array: Option<bool>,
}

/// So much is printed at once, in octets.
const AT_ONCE: usize = 64 * 1024;

impl JsonObject {
    /// Begins it.
    pub fn begin() -> Self {
        JsonObject { text: "{\n".to_owned(), first: true, array: None }
    }

    /// Adds a value.
    pub fn value(&mut self, key: &str, value: &Value) {
        self.key(key);
        self.text.push_str(&value.to_string());
    }

    /// Adds an array; its elements follow.
    pub fn array(&mut self, key: &str) {
        self.key(key);
        self.text.push('[');
        self.array = Some(false);
    }

    /// Adds an element to the array.
    pub fn element(&mut self, value: &Value) {
        let others = self.array.replace(true).unwrap_or_default();
        element(&mut self.text, others, "    ", value);
    }

    /// Ends it.
    pub fn end(mut self) {
        self.end_array();
        self.text.push_str("\n}\n");
        part(&self.text);
    }

    fn key(&mut self, key: &str) {
        self.end_array();
        self.text.push_str(if std::mem::take(&mut self.first) { "  " } else { ",\n  " });
        self.text.push_str(&Value::from(key).to_string());
        self.text.push_str(": ");
    }

    fn end_array(&mut self) {
        if let Some(elements) = self.array.take() {
            self.text.push_str(if elements { "\n  ]" } else { "]" });
        }
    }
}

/// A JSON array that is printed while it is made: an element a line.
pub struct JsonArray {
    text: String,
    any: bool,
}

impl JsonArray {
    /// Begins it.
    pub fn begin() -> Self {
        JsonArray { text: "[".to_owned(), any: false }
    }

    /// Adds an element.
    pub fn element(&mut self, value: &Value) {
        element(&mut self.text, std::mem::replace(&mut self.any, true), "  ", value);
    }

    /// Ends it.
    pub fn end(mut self) {
        self.text.push_str(if self.any { "\n]\n" } else { "]\n" });
        part(&self.text);
    }
}

/// Adds an element behind others of an array; prints what there is when it is much.
fn element(text: &mut String, others: bool, indent: &str, value: &Value) {
    text.push_str(if others { ",\n" } else { "\n" });
    text.push_str(indent);
    text.push_str(&value.to_string());
    if text.len() >= AT_ONCE {
        part(&std::mem::take(text));
    }
}

/// Prints text as it is.
fn part(text: &str) {
    use std::io::Write;
    if write!(std::io::stdout().lock(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Prints a line. A closed pipe (`postrider members x | head`) is no error.
pub fn line(text: &str) {
    use std::io::Write;
    if writeln!(std::io::stdout().lock(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Says something to the person that is no result.
pub fn note(text: &str) {
    eprintln!("postrider: {text}");
}

/// Prints an error with its causes on one line; one that is several errors on a line for each.
pub fn error(error: &anyhow::Error) {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text.lines().for_each(note);
}

/// Unix seconds as local time, to the second.
pub fn time(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(moment) => moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => seconds.to_string(),
    }
}

/// A number with its thousands apart: `1,204`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 message`, `2 messages`.
pub fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A time span in its largest unit: `45s`, `4m`, `2h`, `3d`.
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Control characters out of what others wrote, so that nothing can play with the terminal.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// What others wrote, line by line, with what could play with the terminal made visible.
pub fn printable(text: &str) -> String {
    visible(text.as_bytes())
}

/// Prints a message: to a terminal with what could play with it made visible, else (or with `raw`)
/// octet by octet.
pub fn message(message: &[u8], raw: bool) {
    use std::io::{IsTerminal, Write};
    let mut stdout = std::io::stdout().lock();
    let printed = if raw || !stdout.is_terminal() {
        stdout.write_all(message)
    } else {
        writeln!(stdout, "{}", visible(message).trim_end())
    };
    if printed.and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}

/// With line ends and tabs as they are; other control characters, and those that turn the
/// direction of a text, as `\u{..}`.
fn visible(message: &[u8]) -> String {
    let mut text = String::with_capacity(message.len());
    for c in String::from_utf8_lossy(message).replace("\r\n", "\n").chars() {
        match c {
            '\n' | '\t' => text.push(c),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => text.extend(c.escape_unicode()),
            _ if c.is_control() => text.extend(c.escape_unicode()),
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_for_people() {
        assert_eq!([0, 999, 1000, 1_204_000].map(count), ["0", "999", "1,000", "1,204,000"]);
        assert_eq!([1, 1200].map(|n| counted(n, "message")), ["1 message", "1,200 messages"]);
        let spans = [-5, 59, 60, 3599, 3600, 172_799, 172_800].map(span);
        assert_eq!(spans, ["0s", "59s", "1m", "59m", "1h", "47h", "2d"]);
    }

    #[test]
    fn a_message_cannot_play_with_the_terminal() {
        let message = "Subject: \u{1b}[2J\u{9b}x\r\n\tGr\u{fc}\u{df}e\u{202e}\u{7f}\rY\0\r\n".as_bytes();
        let shown = "Subject: \\u{1b}[2J\\u{9b}x\n\tGr\u{fc}\u{df}e\\u{202e}\\u{7f}\\u{d}Y\\u{0}\n";
        assert_eq!(visible(message), shown);
        assert!(!visible(b"\xff\x1b").contains('\u{1b}'));
    }
}
