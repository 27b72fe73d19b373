//! The text of a header or footer, with `$name` and `${name}` in it.

use super::MAX_NAME;
use crate::lists::List;
use crate::nearest::nearest;
use serde::{Deserialize, Serialize};

/// Longest template, in octets.
pub const MAX_TEXT: usize = 8 * 1024;
/// So many variables may be in one.
pub const MAX_VARIABLES: usize = 100;

/// A variable that is the same in each copy of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListVariable {
    Name,
    Address,
    ListId,
    Domain,
    DisplayName,
    Description,
    Request,
    Owner,
}

/// A variable that is each recipient's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnVariable {
    /// The address, in lower case where case has no meaning to us.
    UserEmail,
    /// The address as it was given.
    UserDeliveredTo,
    /// The display name; may be empty.
    UserName,
}

/// Mailman's names. The first of several for one thing is ours.
const LIST_VARIABLES: [(&str, ListVariable); 10] = [
    ("list_name", ListVariable::Name),
    ("short_listname", ListVariable::Name),
    ("fqdn_listname", ListVariable::Address),
    ("listname", ListVariable::Address),
    ("list_id", ListVariable::ListId),
    ("domain", ListVariable::Domain),
    ("display_name", ListVariable::DisplayName),
    ("description", ListVariable::Description),
    ("request_email", ListVariable::Request),
    ("owner_email", ListVariable::Owner),
];
const OWN_VARIABLES: [(&str, OwnVariable); 3] = [
    ("user_email", OwnVariable::UserEmail),
    ("user_delivered_to", OwnVariable::UserDeliveredTo),
    ("user_name", OwnVariable::UserName),
];

/// A template whose variables are all known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    List(ListVariable),
    Own(OwnVariable, String),
}

/// A piece of a template in which the list's variables were replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Piece {
    /// The same for everybody.
    Text(String),
    /// Each recipient's own.
    Own {
        /// Which.
        own: OwnVariable,
    },
}

/// Why a text is no template. Line numbers begin with 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no such variable.
    #[error("line {line}: there is no variable `{variable}`; {hint}. There are {}. Write `$$` for a dollar",
        Template::variables().map(|name| format!("${name}")).collect::<Vec<_>>().join(", "))]
    Unknown {
        /// Where.
        line: usize,
        /// As it was written.
        variable: String,
        /// The nearest, if any is near.
        hint: String,
    },
    /// A dollar that begins nothing.
    #[error("line {line}: `$` without a name behind it; write `$$` for a dollar")]
    Dollar {
        /// Where.
        line: usize,
    },
    /// `${` without `}`.
    #[error("line {line}: `${{` without `}}` behind its name")]
    Open {
        /// Where.
        line: usize,
    },
    /// A character that no text should have.
    #[error("line {line}: it contains the control character {character:?}")]
    Control {
        /// Where.
        line: usize,
        /// Which.
        character: char,
    },
    /// Too long.
    #[error("it has {0} octets; at most {MAX_TEXT} are allowed")]
    Long(usize),
    /// Too many variables.
    #[error("it has {0} variables; at most {MAX_VARIABLES} are allowed")]
    Variables(usize),
}

impl Template {
    /// Takes a text apart. Lines end in LF; behind the last there may be none.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEXT {
            return Err(TemplateError::Long(text.len()));
        }
        let line_at = |rest: &str| 1 + text[..text.len() - rest.len()].matches('\n').count();
        if let Some(at) = text.find(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
            let character = text[at..].chars().next().unwrap_or_default();
            return Err(TemplateError::Control { line: line_at(&text[at..]), character });
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            plain.push_str(&rest[..dollar]);
            let (here, tail) = (&rest[dollar..], &rest[dollar + 1..]);
            if let Some(after) = tail.strip_prefix('$') {
                plain.push('$');
                rest = after;
                continue;
            }
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let braced = tail.strip_prefix('{');
            let from = braced.unwrap_or(tail);
            let (name, after) = from.split_at(from.find(|c| !is_name(c)).unwrap_or(from.len()));
            let after = match braced {
                None => after,
                Some(_) => after.strip_prefix('}').ok_or_else(|| TemplateError::Open { line: line_at(here) })?,
            };
            if name.is_empty() {
                return Err(TemplateError::Dollar { line: line_at(here) });
            }
            let written = &here[..here.len() - after.len()];
            let part = find(name, written).ok_or_else(|| unknown(name, written, line_at(here)))?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(part);
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        match parts.iter().filter(|part| !matches!(part, Part::Text(_))).count() {
            many if many > MAX_VARIABLES => Err(TemplateError::Variables(many)),
            _ => Ok(Template { parts }),
        }
    }

    /// The names of all variables.
    pub fn variables() -> impl Iterator<Item = &'static str> {
        LIST_VARIABLES.iter().map(|(name, _)| *name).chain(OWN_VARIABLES.iter().map(|(name, _)| *name))
    }

    /// The first variable that is each recipient's own, as it was written.
    pub fn first_own(&self) -> Option<&str> {
        self.parts.iter().find_map(|part| match part {
            Part::Own(_, written) => Some(written.as_str()),
            _ => None,
        })
    }

    /// The text for the members of this list. With `own` variables that are each recipient's own are kept apart;
    /// without, they stay as they were written.
    pub fn filled(&self, list: &List, own: bool) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => plain.push_str(text),
                Part::List(variable) => plain.push_str(&value(*variable, list)),
                Part::Own(_, written) if !own => plain.push_str(written),
                Part::Own(variable, _) => {
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Own { own: *variable });
                }
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        pieces
    }
}

fn find(name: &str, written: &str) -> Option<Part> {
    let of_list = LIST_VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, one)| Part::List(*one));
    let own = || OWN_VARIABLES.iter().find(|(known, _)| *known == name);
    of_list.or_else(|| own().map(|(_, one)| Part::Own(*one, written.to_owned())))
}

fn unknown(name: &str, written: &str, line: usize) -> TemplateError {
    let hint = match nearest(name, Template::variables()) {
        Some(meant) => format!("did you mean `${meant}`?"),
        None => "nothing is like it".to_owned(),
    };
    TemplateError::Unknown { line, variable: written.chars().take(60).collect(), hint }
}

/// On one line.
fn value(variable: ListVariable, list: &List) -> String {
    let address = &list.address;
    match variable {
        ListVariable::Name => address.name.to_string(),
        ListVariable::Address => address.to_string(),
        ListVariable::ListId => list.list_id.to_string(),
        ListVariable::Domain => address.domain.to_string(),
        ListVariable::DisplayName => one_line(&list.settings.display_name),
        ListVariable::Description => one_line(&list.settings.description),
        ListVariable::Request => address.with("request"),
        ListVariable::Owner => address.with("owner"),
    }
}

/// Without what could begin a line, or make other text look as if it stood elsewhere; of bounded length.
pub(super) fn one_line(text: &str) -> String {
    let odd = |c: char| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let clean: String = text.chars().map(|c| if odd(c) { ' ' } else { c }).take(MAX_NAME).collect();
    clean.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::post::testing::ants;

    fn text(template: &str) -> String {
        let pieces = Template::parse(template).expect(template).filled(&ants(), true);
        let shown = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Own { own } => format!("<{own:?}>"),
        };
        pieces.iter().map(shown).collect()
    }

    #[test]
    fn variables_have_mailmans_names_and_meaning() {
        assert_eq!(text("$list_name ${short_listname}@$domain"), "ants ants@example.com");
        assert_eq!(text("$fqdn_listname=$listname"), "ants@example.com=ants@example.com");
        assert_eq!(text("${display_name}, $description."), "Ants, .");
        assert_eq!(
            text("$list_id $request_email $owner_email"),
            "ants.example.com ants-request@example.com ants-owner@example.com"
        );
        assert_eq!(text("$user_email/$user_delivered_to/${user_name}s"), "<UserEmail>/<UserDeliveredTo>/<UserName>s");
        assert_eq!(text("100 $$ and $$list_name"), "100 $ and $list_name");
        assert_eq!(text(""), "");
    }

    #[test]
    fn every_variable_that_is_listed_is_known() {
        for name in Template::variables() {
            assert!(Template::parse(&format!("${name} ${{{name}}}")).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (template, told) in [
            ("a\n$user_mail", "line 2: there is no variable `$user_mail`; did you mean `$user_email`?"),
            ("${xyzzy}", "`${xyzzy}`; nothing is like it. There are $list_name,"),
            ("it costs $5", "there is no variable `$5`"),
            ("a\n\n$ 5", "line 3: `$` without a name"),
            ("$", "line 1: `$` without a name"),
            ("${user_email", "line 1: `${` without `}`"),
            ("${user email}", "line 1: `${` without `}`"),
            ("${}", "`$` without a name"),
            ("a\n\u{7}", "line 2: it contains the control character '\\u{7}'"),
            ("a\r\nb", "line 1: it contains the control character '\\r'"),
            ("a\0b", "control character '\\0'"),
            (&"x".repeat(8193), "8193 octets; at most 8192"),
            (&"$domain".repeat(101), "101 variables; at most 100"),
        ] {
            let error = Template::parse(template).expect_err(template).to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_text_for_everybody_keeps_variables_of_recipients_as_written() {
        let template = Template::parse("For ${user_email} of $list_name").expect("template");
        assert_eq!(template.first_own(), Some("${user_email}"));
        assert_eq!(template.filled(&ants(), false), [Piece::Text("For ${user_email} of ants".into())]);
    }

    #[test]
    fn a_lists_own_texts_cannot_begin_lines() {
        let mut list = ants();
        list.settings.description = "a\r\nb\u{2028}c\u{202e}d\0".into();
        let filled = Template::parse("$description").expect("template").filled(&list, true);
        assert_eq!(filled, [Piece::Text("a  b c d".into())]);
    }
}
