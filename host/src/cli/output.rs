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
    fn a_message_cannot_play_with_the_terminal() {
        let message = "Subject: \u{1b}[2J\u{9b}x\r\n\tGr\u{fc}\u{df}e\u{202e}\u{7f}\rY\0\r\n".as_bytes();
        let shown = "Subject: \\u{1b}[2J\\u{9b}x\n\tGr\u{fc}\u{df}e\\u{202e}\\u{7f}\\u{d}Y\\u{0}\n";
        assert_eq!(visible(message), shown);
        assert!(!visible(b"\xff\x1b").contains('\u{1b}'));
    }
}
