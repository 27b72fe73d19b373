//! How a person names an entry: `in 12`, `out 12`, `in12`.

use std::fmt;
use std::str::FromStr;

/// Which queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub direction: Direction,
    pub number: i64,
}

/// One word of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Direction(Direction),
    Number(i64),
    Entry(Entry),
}

impl FromStr for Word {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        let (direction, rest) = match word {
            _ if word.starts_with("in") => (Direction::In, &word[2..]),
            _ if word.starts_with("out") => (Direction::Out, &word[3..]),
            _ => return number(word).map(Word::Number).ok_or_else(|| NOT_AN_ENTRY.to_owned()),
        };
        match rest.trim_start_matches([' ', ':', '/']) {
            "" if rest.is_empty() => Ok(Word::Direction(direction)),
            digits => number(digits)
                .map(|number| Word::Entry(Entry { direction, number }))
                .ok_or_else(|| NOT_AN_ENTRY.to_owned()),
        }
    }
}

const NOT_AN_ENTRY: &str = "an entry is `in NUMBER` or `out NUMBER`, as `postrider queue` prints them";

/// The entries that words name; `in 7 8` are two.
pub(super) fn entries(words: &[Word]) -> Result<Vec<Entry>, &'static str> {
    let mut entries = Vec::new();
    // The queue that was named last, and whether it has got its number.
    let mut queue = None;
    for word in words {
        match (*word, &mut queue) {
            (Word::Direction(_) | Word::Entry(_), Some((_, false))) => return Err("a number is missing"),
            (Word::Direction(direction), _) => queue = Some((direction, false)),
            (Word::Entry(entry), _) => {
                queue = Some((entry.direction, true));
                entries.push(entry);
            }
            (Word::Number(_), None) => return Err("`in` or `out` is missing before the number"),
            (Word::Number(number), Some((direction, done))) => {
                *done = true;
                entries.push(Entry { direction: *direction, number });
            }
        }
    }
    if matches!(queue, Some((_, false))) {
        return Err("a number is missing");
    }
    let mut seen = Vec::new();
    entries.retain(|entry| {
        !seen.contains(entry) && {
            seen.push(*entry);
            true
        }
    });
    Ok(entries)
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::In => "in",
            Direction::Out => "out",
        };
        write!(f, "{direction} {}", self.number)
    }
}

impl Entry {
    /// That there is none like this.
    pub(super) fn unknown(self) -> anyhow::Error {
        anyhow::anyhow!("there is no entry `{self}`; `postrider queue` shows them")
    }
}

/// Ends the program as clap does for a wrong command line.
pub(super) fn usage(action: &str, what: &str) -> ! {
    let mut definition = super::super::definition();
    definition.build();
    let command = definition.find_subcommand_mut("queue").and_then(|queue| queue.find_subcommand_mut(action));
    match command {
        Some(command) => command.error(clap::error::ErrorKind::ValueValidation, what).exit(),
        None => definition.error(clap::error::ErrorKind::ValueValidation, what).exit(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Vec<String>, String> {
        let words: Result<Vec<Word>, String> = line.split_whitespace().map(str::parse).collect();
        let entries = entries(&words?).map_err(str::to_owned)?;
        Ok(entries.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn entries_are_read_as_people_write_them() {
        assert_eq!(read("in 12"), Ok(vec!["in 12".into()]));
        assert_eq!(read("in12 out3"), Ok(vec!["in 12".into(), "out 3".into()]));
        assert_eq!(read("in 1 2 out 3 out:4 in 1"), Ok(["in 1", "in 2", "out 3", "out 4"].map(Into::into).to_vec()));
        assert_eq!(read(""), Ok(vec![]));
        for wrong in ["12", "in", "in out 3", "in 1 out", "in x", "inx", "in -1", "in 99999999999999999999", "up 1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
