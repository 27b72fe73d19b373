//! Instructions as text that a person can follow.

use super::{Action, Instructions, Step};
use std::fmt::Write as _;

/// Columns of an explanation, without its indentation.
const EXPLANATION_WIDTH: usize = 92;

impl Instructions {
    /// Numbered steps with their files, lines and commands, then how to take them back.
    pub fn text(&self) -> String {
        let mut text = self.steps_text();
        let mut undo = String::new();
        self.steps.iter().rev().for_each(|step| undo_text(step, &mut undo));
        if !undo.is_empty() {
            text.push_str("\nTo undo it, in this order:\n\n");
            text.push_str(&undo);
        }
        text
    }

    /// The steps alone.
    pub fn steps_text(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let (heading, contents) = match &step.action {
                Action::Write { file, text } => (format!("Write the file {file}:"), text),
                Action::Append { file, text } => (format!("Add to the end of {file}:"), text),
                Action::Run { text } => ("Run as root:".to_owned(), text),
            };
            // Writing to a string does not fail, here and below.
            let _ = writeln!(text, "{}. {heading}", step.number);
            text.push_str(&comment(&step.explanation, "   # "));
            indent(contents, &mut text);
        }
        text
    }
}

fn undo_text(step: &Step, text: &mut String) {
    let number = step.number;
    let _ = match &step.action {
        _ if !step.undo.is_empty() => {
            let _ = writeln!(text, "{number}. Run as root:");
            indent(&step.undo, text);
            Ok(())
        }
        Action::Write { file, .. } => {
            writeln!(text, "{number}. Remove {file}, or bring back the one that was there before.")
        }
        Action::Append { file, .. } => writeln!(text, "{number}. Take the lines of step {number} out of {file}."),
        Action::Run { .. } => Ok(()),
    };
}

/// Each line as it is, so that it can be copied.
fn indent(lines: &str, text: &mut String) {
    for line in lines.lines() {
        let _ = if line.is_empty() { writeln!(text) } else { writeln!(text, "   {line}") };
    }
}

/// Wrapped lines, each behind `before`.
pub(super) fn comment(words: &str, before: &str) -> String {
    let mut text = String::new();
    // A path is not broken at its dashes.
    let options = textwrap::Options::new(EXPLANATION_WIDTH).word_splitter(textwrap::WordSplitter::NoHyphenation);
    for line in textwrap::wrap(words, options) {
        if !line.is_empty() {
            let _ = writeln!(text, "{before}{line}");
        }
    }
    text
}
