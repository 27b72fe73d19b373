//! Where in a message something is put for each recipient.

use super::{MAX_TEXT, MAX_VARIABLES, Piece};
use serde::{Deserialize, Serialize};

/// So many splices a message can have: To, header, footer.
pub const MAX_SPLICES: usize = 3;
/// Longest description, in octets, of all splices of a message.
const MAX_STORED: usize = 256 * 1024;

/// All splices of a message, in the order of their places. May be none: then each recipient has a copy of his own
/// that is like all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splices {
    splices: Vec<Splice>,
}

/// One splice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splice {
    /// Before which octet of the message; a line begins there.
    pub at: usize,
    /// How the text is written.
    pub form: Form,
    /// The text, of lines that end in LF; for [`Form::To`] empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text: Vec<Piece>,
}

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// As lines of UTF-8.
    Text,
    /// The same, encoded.
    QuotedPrintable,
    /// A header field To with the recipient's name and address.
    To,
}

/// Why splices do not fit a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    /// Too many of them.
    #[error("the message has {0} places for each recipient's own text; at most {MAX_SPLICES} can be")]
    Many(usize),
    /// A place that is none.
    #[error(
        "octet {0} of the message is no place for a recipient's own text: no line begins there, or it is not behind the last one"
    )]
    Place(usize),
    /// A text that is too long.
    #[error(
        "a recipient's own text has {octets} octets and {variables} variables; at most {MAX_TEXT} and {MAX_VARIABLES} can be"
    )]
    Text {
        /// Octets without variables.
        octets: usize,
        /// Variables.
        variables: usize,
    },
    /// A text with something that no text should have.
    #[error("a recipient's own text contains the control character {0:?}")]
    Control(char),
    /// What is stored is not what this version writes.
    #[error("what is written for each recipient cannot be read (perhaps a newer version has queued it): {0}")]
    Unreadable(String),
}

impl Splices {
    /// For this message.
    ///
    /// # Errors
    /// [`SpliceError`].
    pub fn new(splices: Vec<Splice>, message: &[u8]) -> Result<Self, SpliceError> {
        let all = Splices { splices };
        all.check(message)?;
        Ok(all)
    }

    /// Whether they fit a message.
    ///
    /// # Errors
    /// [`SpliceError`].
    pub fn check(&self, message: &[u8]) -> Result<(), SpliceError> {
        if self.splices.len() > MAX_SPLICES {
            return Err(SpliceError::Many(self.splices.len()));
        }
        let mut least = 0;
        for splice in &self.splices {
            let begins_line = splice.at == 0 || message.get(splice.at - 1) == Some(&b'\n');
            if splice.at < least || splice.at > message.len() || !begins_line {
                return Err(SpliceError::Place(splice.at));
            }
            least = splice.at;
            for piece in &splice.text {
                if let Piece::Text(text) = piece
                    && let Some(odd) = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'))
                {
                    return Err(SpliceError::Control(odd));
                }
            }
            let text = |piece: &Piece| match piece {
                Piece::Text(text) => text.len(),
                Piece::Own { .. } => 0,
            };
            let octets: usize = splice.text.iter().map(text).sum();
            let variables = splice.text.iter().filter(|piece| matches!(piece, Piece::Own { .. })).count();
            // The list's own variables may have made the template longer.
            if octets > MAX_TEXT + MAX_VARIABLES * 4 * super::MAX_NAME || variables > MAX_VARIABLES {
                return Err(SpliceError::Text { octets, variables });
            }
        }
        Ok(())
    }

    /// In their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Splice> {
        self.splices.iter()
    }

    /// The form in the spool.
    pub fn to_stored(&self) -> String {
        // Strings and numbers can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The inverse of [`Splices::to_stored`], for this message.
    ///
    /// # Errors
    /// [`SpliceError`].
    pub fn from_stored(text: &str, message: &[u8]) -> Result<Self, SpliceError> {
        if text.len() > MAX_STORED {
            return Err(SpliceError::Unreadable(format!("it has {} octets", text.len())));
        }
        let all: Splices = serde_json::from_str(text).map_err(|error| SpliceError::Unreadable(error.to_string()))?;
        all.check(message)?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::personal::OwnVariable;

    const MESSAGE: &[u8] = b"A: b\r\n\r\nx\r\n";

    fn splice(at: usize) -> Splice {
        let text = vec![Piece::Text("For ".into()), Piece::Own { own: OwnVariable::UserName }];
        Splice { at, form: Form::Text, text }
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let to = Splice { at: 6, form: Form::To, text: Vec::new() };
        let all = Splices::new(vec![to, splice(8), splice(11)], MESSAGE).expect("splices");
        let stored = all.to_stored();
        assert_eq!(
            stored,
            r#"{"splices":[{"at":6,"form":"to"},{"at":8,"form":"text","text":["For ",{"own":"user_name"}]},"#
                .to_owned()
                + r#"{"at":11,"form":"text","text":["For ",{"own":"user_name"}]}]}"#
        );
        assert_eq!(Splices::from_stored(&stored, MESSAGE), Ok(all));
        let none = Splices::default();
        assert_eq!(Splices::from_stored(&none.to_stored(), b""), Ok(none));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for places in [&[1][..], &[12], &[5], &[8, 6], &[usize::MAX], &[0, 0, 0, 0]] {
            assert!(Splices::new(places.iter().copied().map(splice).collect(), MESSAGE).is_err(), "{places:?}");
        }
        assert!(Splices::new(vec![splice(0), splice(0), splice(11)], MESSAGE).is_ok());
        let mut many = splice(0);
        many.text = vec![Piece::Own { own: OwnVariable::UserName }; 101];
        assert!(Splices::new(vec![many.clone()], MESSAGE).is_err());
        many.text = vec![Piece::Text("x".repeat(100_000))];
        assert!(Splices::new(vec![many], MESSAGE).is_err());
        for odd in ["a\r\nb", "\0", "\u{85}"] {
            let odd = Splice { text: vec![Piece::Text(odd.to_owned())], ..splice(0) };
            assert!(matches!(Splices::new(vec![odd], MESSAGE), Err(SpliceError::Control(_))));
        }
        for stored in [
            "",
            "{}x",
            "[]",
            r#"{"splices":[{"at":-1,"form":"to"}]}"#,
            r#"{"splices":[{"at":0,"form":"new"}]}"#,
            r#"{"splices":[],"more":1}"#,
            r#"{"splices":[{"at":0,"form":"text","text":[{"own":"password"}]}]}"#,
        ] {
            assert!(matches!(Splices::from_stored(stored, MESSAGE), Err(SpliceError::Unreadable(_))), "{stored}");
        }
    }
}
