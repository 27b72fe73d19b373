//! What the administrator puts into the MTA's own configuration, once.

/// What a snippet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum SnippetKind {
    /// Lines at the end of a configuration file that has others too. Where they do not belong at the end
    /// use commands that put them where they do.
    Lines,
    /// Commands for `sh -e`, to be run as the superuser.
    Commands,
    /// A whole file that nobody else writes to.
    File,
}

/// One step of hooking up an MTA. The steps are done in the order given, and taken back in the reverse.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Snippet {
    /// What kind of step.
    pub kind: SnippetKind,
    /// The file (absolute path) that gets the lines, for instance `/etc/mail/sendmail.mc`, or that is
    /// written; empty for commands.
    pub file: String,
    /// The lines or commands themselves, ready to be copied; lines end in LF.
    pub text: String,
    /// Why, in one or two sentences.
    pub explanation: String,
    /// Commands for `sh -e` that take this step back, as the superuser. Empty: for lines, to take them out
    /// again; for a file, to remove it; for commands, that there is nothing to take back.
    pub undo: String,
}

impl Snippet {
    /// Lines at the end of this file.
    pub fn lines(file: impl Into<String>, text: impl Into<String>, explanation: impl Into<String>) -> Self {
        Snippet::new(SnippetKind::Lines, file, text, explanation)
    }

    /// Commands for `sh -e`, run by the superuser.
    pub fn commands(text: impl Into<String>, explanation: impl Into<String>) -> Self {
        Snippet::new(SnippetKind::Commands, "", text, explanation)
    }

    /// A whole file.
    pub fn file(file: impl Into<String>, text: impl Into<String>, explanation: impl Into<String>) -> Self {
        Snippet::new(SnippetKind::File, file, text, explanation)
    }

    /// A step of this kind; taken back as the kind says.
    pub fn new(
        kind: SnippetKind,
        file: impl Into<String>,
        text: impl Into<String>,
        explanation: impl Into<String>,
    ) -> Self {
        Snippet { kind, file: file.into(), text: text.into(), explanation: explanation.into(), undo: String::new() }
    }

    /// Adds commands that take the step back.
    #[must_use]
    pub fn with_undo(mut self, undo: impl Into<String>) -> Self {
        self.undo = undo.into();
        self
    }
}
