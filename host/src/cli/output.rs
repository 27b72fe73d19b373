//! How results look: aligned columns for people, JSON for programs.

use serde_json::Value;

/// Prints JSON, indented.
pub fn json(value: &Value) {
    // A `Value` made by us always serialises.
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints rows in aligned columns under a heading; nothing when there are no rows.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) {
    if rows.is_empty() {
        return;
    }
    let mut widths = heading.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let show = |cells: &[String; N]| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
        }
        line(text.trim_end());
    };
    show(&heading.map(str::to_owned));
    rows.iter().for_each(show);
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

/// Prints a message of somebody else's: octet by octet into a file or pipe, harmless at a terminal.
pub fn message(octets: &[u8]) {
    use std::io::{IsTerminal, Write};
    let mut out = std::io::stdout().lock();
    let done = if out.is_terminal() {
        out.write_all(harmless(&String::from_utf8_lossy(octets)).as_bytes())
    } else {
        out.write_all(octets)
    };
    if done.is_err() {
        std::process::exit(0);
    }
}

/// Like [`clean`], for text of several lines.
fn harmless(text: &str) -> String {
    text.replace("\r\n", "\n").chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c }).collect()
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

/// Control characters out of what others wrote, so that nothing can play with the terminal.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_play_with_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2J\tb\r\nc\rd\u{9b}\n"), "a?[2J\tb\nc?d?\n");
        assert_eq!(clean("a\u{1b}\r\nb"), "a???b");
    }
}
