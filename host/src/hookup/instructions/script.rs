//! Instructions as shell scripts that root runs.
//!
//! Nothing of an adapter's gets into a script unquoted but its commands, which are meant to be
//! run, and explanations, which are comments of single lines.

use super::text::comment;
use super::{Action, Instructions, Step};
use std::fmt::Write as _;

const FUNCTIONS: &str = include_str!("functions.sh");

/// Where the files of the steps lie, relative to the scripts; by index of the step, empty for commands.
pub(super) type Parts = [String];

impl Instructions {
    /// Does all steps.
    pub(super) fn install_script(&self, parts: &Parts) -> String {
        let last = self.steps.len();
        let about = format!("Tells the mail server of the lists: {}. Running it again does no harm.", self.adapter);
        let mut script = head("install.sh", &about);
        let _ = write!(
            script,
            "failed() {{\n    \
                 say \"install.sh: step $step of {last} failed, for the reason above.\" \\\n        \
                 'Correct it and run install.sh again, or take back what was done: run as root' >&2\n    \
                 say \"    sh '$here/undo.sh' $step\" >&2\n\
             }}\n{FAILURES}",
        );
        for (step, part) in self.steps.iter().zip(parts) {
            let number = step.number;
            let _ = write!(script, "\n# Step {number} of {last}.\n{}", comment(&step.explanation, "# "));
            let (title, body) = match &step.action {
                Action::Write { file, .. } => (format!("write {file}"), call("write_file", part, file)),
                Action::Append { file, .. } => {
                    let renewal = if self.is_first_of(step, file) { self.renewal(parts, file) } else { String::new() };
                    (format!("add lines to {file}"), renewal + &call("add_lines", part, file))
                }
                Action::Run { text } => (format!("run {}", first_command(text)), subshell(text)),
            };
            let _ =
                write!(script, "step={number}\nsay {}\n{body}", quoted(&format!("Step {number} of {last}: {title}")));
        }
        script.push_str("\nsay 'All steps are done. `postrider hookup --check` asks the mail server.'\n");
        script
    }

    /// Takes steps back, from the last one or from the one that is its argument.
    pub(super) fn undo_script(&self, parts: &Parts) -> String {
        let last = self.steps.len();
        let about = format!(
            "Takes back what install.sh did for {}: all steps, or with a number as argument that step and those before it.",
            self.adapter
        );
        let mut script = head("undo.sh", &about);
        let _ = write!(
            script,
            "from=${{1:-{last}}}\n\
             case $from in\n    \
                 '' | *[!0-9]*) say \"undo.sh: $from is no number of a step (1 to {last})\" >&2; exit 2 ;;\n\
             esac\n\
             failed() {{\n    \
                 say \"undo.sh: taking back step $step failed, for the reason above.\" \\\n        \
                 \"Correct it and run undo.sh $step, or undo.sh $((step - 1)) to leave that step as it is.\" >&2\n\
             }}\n{FAILURES}",
        );
        for (step, part) in self.steps.iter().zip(parts).rev() {
            let Some((title, body)) = self.undoing(step, part, parts) else { continue };
            let number = step.number;
            let _ = write!(
                script,
                "\n# Step {number} of {last}.\nif [ \"$from\" -ge {number} ]; then\nstep={number}\nsay {}\n{body}fi\n",
                quoted(&format!("Taking back step {number}: {title}"))
            );
        }
        script.push_str("\nsay 'All is taken back.'\n");
        script
    }

    /// What takes this step back; `None` when nothing has to be.
    fn undoing(&self, step: &Step, part: &str, parts: &Parts) -> Option<(String, String)> {
        if !step.undo.is_empty() {
            let commands = subshell(&step.undo);
            // What we did not do must not be taken back.
            let guarded = |condition: &str, after: &str| {
                format!(
                    "if {condition} > /dev/null; then\n{commands}{after}else\n    \
                         say '    install.sh did not change it, so it stays'\nfi\n"
                )
            };
            let body = match &step.action {
                Action::Run { .. } => commands.clone(),
                Action::Write { file, .. } => {
                    guarded(&format!("kept {}", quoted(file)), &format!("undone {}\n", quoted(file)))
                }
                Action::Append { file, .. } => guarded(
                    call("record_of", part, file).trim_end(),
                    &format!("{}undone {}\n", call("forget", part, file), quoted(file)),
                ),
            };
            return Some((format!("run {}", first_command(&step.undo)), body));
        }
        match &step.action {
            Action::Write { file, .. } => Some((format!("remove {file}"), format!("unwrite_file {}\n", quoted(file)))),
            Action::Append { file, .. } => {
                let mut body = call("take_lines", part, file);
                if self.is_first_of(step, file) {
                    body.push_str(&self.renewal(parts, file));
                    let _ = writeln!(body, "all_taken {}", quoted(file));
                }
                Some((format!("take the lines out of {file}"), body))
            }
            Action::Run { .. } => None,
        }
    }

    /// Whether no step before this one has this file.
    pub(super) fn is_first_of(&self, step: &Step, file: &str) -> bool {
        !self.steps[..step.number - 1].iter().any(|other| other.file() == Some(file))
    }

    /// Takes the lines of an earlier kit out of this file.
    fn renewal(&self, parts: &Parts, file: &str) -> String {
        let mut call = format!("renew_lines {}", quoted(file));
        for (_, part) in self.steps.iter().zip(parts).filter(|(step, _)| step.file() == Some(file)) {
            let _ = write!(call, " \"$here\"/{}", quoted(part));
        }
        call.push('\n');
        call
    }
}

/// Tells of a failure, whichever command ends the script.
const FAILURES: &str = "trap 'status=$?; if [ $status -ne 0 ]; then failed; fi; exit $status' EXIT\n\
                        trap 'exit 129' HUP\ntrap 'exit 130' INT\ntrap 'exit 143' TERM\n";

fn head(name: &str, about: &str) -> String {
    format!(
        "#!/bin/sh\n# {about}\n# Written by `postrider hookup --write`; README says the same in words.\n\
         set -e\n\n{FUNCTIONS}\n\
         if [ \"$(id -u)\" -ne 0 ]; then\n    \
             say '{name}: this must be run by root, for instance with sudo; nothing was done' >&2\n    \
             exit 1\n\
         fi\n\
         unset CDPATH\n\
         case $0 in\n    */*) here=${{0%/*}}/ ;;\n    *) here=. ;;\nesac\n\
         here=$(cd -- \"$here\" && pwd -P)\n\
         cd /\n\
         umask 022\n\
         PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\n\
         export PATH\n\n"
    )
}

fn call(function: &str, part: &str, file: &str) -> String {
    format!("{function} \"$here\"/{} {}\n", quoted(part), quoted(file))
}

/// Commands as they are, none of whose variables, functions and directories outlast them.
fn subshell(commands: &str) -> String {
    format!("(\n{commands})\n")
}

/// What a person recognises the commands by.
fn first_command(commands: &str) -> String {
    let is_command = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let mut lines = commands.lines().filter(is_command);
    let first = lines.next().unwrap_or_default().trim();
    let mut shown: String = first.chars().filter(|c| !c.is_control()).take(70).collect();
    if shown.len() < first.len() || lines.next().is_some() {
        shown.push_str(" ...");
    }
    shown
}

/// A word of the shell that means itself.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
