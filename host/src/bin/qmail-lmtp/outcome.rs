//! What qmail is told.

/// Octets of a text; a bounce should stay readable.
const LONGEST: usize = 800;

/// How it ended, with a line that qmail puts into its log or into the bounce.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server has taken it.
    Taken(String),
    /// It will never be taken.
    Bounced(String),
    /// Not now.
    Later(String),
}

impl Outcome {
    /// [`Outcome::Bounced`], with a clean text.
    pub fn bounced(text: &str) -> Self {
        Outcome::Bounced(clean(text))
    }

    /// [`Outcome::Later`], with a clean text.
    pub fn later(text: &str) -> Self {
        Outcome::Later(clean(text))
    }

    /// [`Outcome::Taken`], with a clean text.
    pub fn taken(text: &str) -> Self {
        Outcome::Taken(clean(text))
    }

    /// The exit code, see qmail-command(8).
    pub fn code(&self) -> u8 {
        match self {
            Outcome::Taken(_) => 0,
            Outcome::Bounced(_) => 100,
            Outcome::Later(_) => 111,
        }
    }

    /// The line.
    pub fn text(&self) -> &str {
        let (Outcome::Taken(text) | Outcome::Bounced(text) | Outcome::Later(text)) = self;
        text
    }
}

/// One line without control characters.
fn clean(text: &str) -> String {
    let mut clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.truncate(clean.floor_char_boundary(LONGEST));
    clean.truncate(clean.trim_end().len());
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_clean_bounded_line() {
        assert_eq!(Outcome::bounced("a\r\nb\x1b[1m\u{85}\t ").text(), "a  b [1m");
        assert!(Outcome::later(&"ü".repeat(5000)).text().len() <= LONGEST);
        assert_eq!([Outcome::taken("").code(), Outcome::bounced("").code(), Outcome::later("").code()], [0, 100, 111]);
    }
}
