//! What the MTA must be told once, by an administrator or a package.
//!
//! An adapter gives steps ([`Snippet`]); [`Instructions`] are those that make sense, and become a
//! text for people ([`Instructions::text`]), a directory of files and scripts ([`Instructions::write`]),
//! or a comparison with what is installed ([`Instructions::compare`]). Nothing here changes the MTA:
//! the scripts do, when the administrator runs them.

mod compare;
mod kit;
mod script;
mod text;

pub use compare::{Comparison, Difference};
pub use kit::KitError;

use postrider_plugin_api::sdk::{Error, Result, Snippet, SnippetKind};

/// The steps that hook up an MTA, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instructions {
    /// The adapter that gave them.
    adapter: String,
    steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// Counted from 1.
    number: usize,
    action: Action,
    /// Why; one line or none.
    explanation: String,
    /// Commands that take it back; empty for the host's own way.
    undo: String,
}

/// What a step does. Paths are absolute, without control characters and without `.` and `..`; texts
/// end with a line end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// Writes a whole file.
    Write { file: String, text: String },
    /// Adds lines to the end of a file.
    Append { file: String, text: String },
    /// Runs commands as root.
    Run { text: String },
}

impl Instructions {
    /// Checks what an adapter gave.
    ///
    /// # Errors
    /// A mistake of the plugin, with the number of the step.
    pub fn parse(adapter: &str, snippets: &[Snippet]) -> Result<Self> {
        let mut steps: Vec<Step> = Vec::with_capacity(snippets.len());
        for (index, snippet) in snippets.iter().enumerate() {
            let step = Step::parse(index + 1, snippet)
                .map_err(|problem| Error::failed(format!("step {} of {adapter}: {problem}", index + 1)))?;
            if let Some(other) = steps.iter().find(|other| step.collides_with(other)) {
                return Err(Error::failed(format!(
                    "steps {} and {} of {adapter} both write {}",
                    other.number,
                    step.number,
                    step.file().unwrap_or_default()
                )));
            }
            steps.push(step);
        }
        Ok(Instructions { adapter: adapter.to_owned(), steps })
    }

    /// Whether the MTA needs not be told anything.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Step {
    fn parse(number: usize, snippet: &Snippet) -> std::result::Result<Self, String> {
        for (what, text) in [("text", &snippet.text), ("explanation", &snippet.explanation), ("undo", &snippet.undo)] {
            if text.contains('\0') {
                return Err(format!("its {what} has a NUL"));
            }
        }
        let text = whole_lines(&snippet.text);
        if snippet.kind != SnippetKind::File && text.trim().is_empty() {
            return Err("its text is empty".to_owned());
        }
        let file = || checked_path(&snippet.file).map(|()| snippet.file.clone());
        let action = match snippet.kind {
            SnippetKind::File => Action::Write { file: file()?, text },
            SnippetKind::Lines => Action::Append { file: file()?, text },
            SnippetKind::Commands if snippet.file.is_empty() => Action::Run { text },
            SnippetKind::Commands => return Err(format!("it has commands and the file {:?}", snippet.file)),
            _ => return Err("it is of a kind that this postrider does not know".to_owned()),
        };
        let explanation = snippet.explanation.split_whitespace().collect::<Vec<_>>().join(" ");
        let explanation = explanation.chars().filter(|c| !c.is_control()).collect();
        let undo = if snippet.undo.trim().is_empty() { String::new() } else { whole_lines(&snippet.undo) };
        Ok(Step { number, action, explanation, undo })
    }

    fn file(&self) -> Option<&str> {
        match &self.action {
            Action::Write { file, .. } | Action::Append { file, .. } => Some(file),
            Action::Run { .. } => None,
        }
    }

    /// A whole file cannot be written twice, nor can others add to it.
    fn collides_with(&self, other: &Step) -> bool {
        let writes = |step: &Step| matches!(step.action, Action::Write { .. });
        self.file().is_some() && self.file() == other.file() && (writes(self) || writes(other))
    }
}

/// With an end of the last line.
fn whole_lines(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

fn checked_path(path: &str) -> std::result::Result<(), String> {
    let odd = |problem: &str| Err(format!("the file {path:?} {problem}"));
    if path.is_empty() {
        return Err("it names no file".to_owned());
    }
    if path.contains(char::is_control) {
        return odd("has a control character in its name");
    }
    if !path.starts_with('/') {
        return odd("has no absolute path");
    }
    if path.split('/').any(|part| part == "." || part == "..") {
        return odd("has `.` or `..` in its path");
    }
    if path.ends_with('/') {
        return odd("is a directory by its name");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
