//! What the administrator puts into the MTA's own configuration, once.

/// What a snippet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnippetKind {
    /// Lines for a configuration file.
    Lines,
    /// Commands to be run, one a line, as the superuser.
    Commands,
}

/// One step of hooking up an MTA. The steps are done in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// What kind of step.
    pub kind: SnippetKind,
    /// The file that gets the lines, for instance `/etc/postfix/main.cf`; empty for commands.
    pub file: String,
    /// The lines or commands themselves, ready to be copied.
    pub text: String,
    /// Why, in one or two sentences.
    pub explanation: String,
}
