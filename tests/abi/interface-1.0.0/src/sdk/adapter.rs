//! The two traits that a plugin implements.

use super::{
    Abilities, Change, Envelope, Error, ErrorKind, Facts, Finding, Injection, PlanSink, Result, Roster, SettingSpec,
    Settings, Site, Snippet, Tools,
};

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum LogLevel {
    /// For developers.
    Debug,
    /// Normal.
    Info,
    /// Should be looked at.
    Warn,
    /// Something failed.
    Error,
}

/// Writes to the host's log. May be kept, and used from any thread.
pub trait HostLog: Send + Sync {
    /// Writes one line; the adapter's name is added. Cannot fail. Control characters are written as escapes.
    fn log(&self, level: LogLevel, message: &str);
}

/// What an incoming adapter is asked about, lent for one call.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Context<'a> {
    /// The installation.
    pub site: &'a Site,
    /// What [`IncomingAdapter::probe`] found; empty if it was not (or could not be) called.
    pub facts: &'a Facts,
    /// The domains and lists.
    pub roster: &'a dyn Roster,
}

impl<'a> Context<'a> {
    /// Of these three parts.
    pub fn new(site: &'a Site, facts: &'a Facts, roster: &'a dyn Roster) -> Self {
        Context { site, facts, roster }
    }
}

/// Teaches an MTA which addresses are mailing lists.
///
/// The host calls [`probe`](Self::probe) once before anything else, [`plan`](Self::plan) after every change of the lists,
/// [`snippets`](Self::snippets) and [`check`](Self::check) when the administrator asks. It waits some minutes for each, then
/// goes on without the answer.
pub trait IncomingAdapter: Send + Sync + 'static {
    /// The settings that this adapter reads. Adapters of one plugin share a section, and mean the same by the same key.
    fn settings() -> Vec<SettingSpec>
    where
        Self: Sized,
    {
        Vec::new()
    }

    /// Makes the adapter. Must not touch anything outside. Called again after a panic.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSetting`]: a value cannot be used; the message names its key. The adapter is then not used.
    fn new(log: Box<dyn HostLog>, settings: &Settings) -> Result<Self>
    where
        Self: Sized;

    /// Asks the MTA of this machine what must be known to plan: programs, versions, defaults.
    ///
    /// # Errors
    /// The MTA cannot be asked, and without that nothing can be planned. An MTA that is not installed here is no error: say
    /// so in a fact.
    fn probe(&self, _site: &Site, _tools: &dyn Tools) -> Result<Facts> {
        Ok(Facts::new())
    }

    /// Says what must be on disk for these lists, and which commands must run. Calls `sink`.
    ///
    /// Plans of single changes must come to the same tables as a plan of everything. The order in which the parts of a plan
    /// come means nothing: the host publishes them by [`TableRole`](super::TableRole). May be called with a site whose
    /// directory is another than that of the last call.
    ///
    /// # Errors
    /// Nothing of the plan is carried out, and the administrator reads the message.
    fn plan(&self, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()>;

    /// What the administrator puts into the MTA's own configuration, in order.
    ///
    /// # Errors
    /// This installation cannot be hooked up; the administrator reads why.
    fn snippets(&self, _context: Context<'_>) -> Result<Vec<Snippet>> {
        Ok(Vec::new())
    }

    /// Asks the MTA whether it really knows these lists. What is wrong with the MTA is a [`Finding`], not an error.
    ///
    /// # Errors
    /// It cannot be found out. [`ErrorKind::Unsupported`]: this adapter never can.
    fn check(&self, _context: Context<'_>, _tools: &dyn Tools) -> Result<Vec<Finding>> {
        Err(Error::new(ErrorKind::Unsupported, "this adapter has no checks"))
    }
}

/// A message for some recipients, lent for one call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Batch<'a> {
    /// Envelope sender (RFC 5321 reverse-path without brackets); empty for `<>`.
    pub sender: &'a str,
    /// Envelope recipients (RFC 5321 forward-paths without brackets); at least one.
    pub recipients: &'a [&'a str],
    /// The message, lines end in CRLF, not dot-stuffed. May have octets above 127.
    pub message: &'a [u8],
    /// Whether SMTPUTF8 is needed: [`Envelope::smtp_utf8`].
    pub smtp_utf8: bool,
}

impl<'a> Batch<'a> {
    /// This message for these recipients.
    pub const fn new(sender: &'a str, recipients: &'a [&'a str], message: &'a [u8]) -> Self {
        Batch { sender, recipients, message, smtp_utf8: false }
    }

    /// Says whether SMTPUTF8 is needed.
    #[must_use]
    pub fn with_smtp_utf8(mut self, smtp_utf8: bool) -> Self {
        self.smtp_utf8 = smtp_utf8;
        self
    }
}

/// What became of one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Outcome {
    /// The MTA has taken responsibility.
    Delivered,
    /// Try again later. Also what an outcome of a later version is taken for.
    TemporaryFailure,
    /// Never try again.
    PermanentFailure,
    /// The MTA itself cannot take mail now (disk full, not configured, its queue not to be had): nobody is judged, nobody's
    /// number of tries grows, and all mail waits until the MTA is asked again, after growing pauses. Not for what
    /// may be about one message or one recipient: that message would hold up all others.
    ///
    /// In the results of [`OutgoingAdapter::deliver`] it means this only if every recipient has it; beside other
    /// outcomes it is a temporary failure. A host that does not know it reads it as a temporary failure.
    Unavailable,
}

/// What became of one recipient, with the MTA's words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RecipientResult {
    /// What became of it.
    pub outcome: Outcome,
    /// The MTA's reply, for instance `550 5.1.1 user unknown`; one line, may be empty.
    pub reply: String,
}

impl RecipientResult {
    /// This outcome, with the MTA's words.
    pub fn new(outcome: Outcome, reply: impl Into<String>) -> Self {
        RecipientResult { outcome, reply: reply.into() }
    }
}

/// Hands mail to an MTA, either through a program that the host runs ([`OutgoingAdapter::inject`]), or by
/// itself ([`OutgoingAdapter::deliver`]): one of the two must be there.
///
/// [`abilities`](Self::abilities) and [`programs`](Self::programs) are asked once, and must go on being true.
pub trait OutgoingAdapter: Send + Sync + 'static {
    /// The settings that this adapter reads. Adapters of one plugin share a section, and mean the same by the same key.
    fn settings() -> Vec<SettingSpec>
    where
        Self: Sized,
    {
        Vec::new()
    }

    /// Makes the adapter. Must not touch anything outside. Called again after a panic.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSetting`]: a value cannot be used; the message names its key. The adapter is then not used.
    fn new(log: Box<dyn HostLog>, settings: &Settings) -> Result<Self>
    where
        Self: Sized;

    /// What it can do.
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    /// Absolute paths of the programs that injections run, and of those that these run in turn
    /// (`postdrop`). The host runs no others, sees whether they are there, and refuses to start when one of
    /// them is set-user-id or set-group-id and the host runs where that has no effect
    /// (`no_new_privs`, prctl(2)). The first
    /// must be there; the others count only if they are.
    fn programs(&self) -> Vec<String> {
        Vec::new()
    }

    /// Says what to run for a message.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]: it delivers by itself. Every other kind, for instance more recipients than a
    /// program can take: it is asked again for each half of the recipients; a single one is tried again later.
    fn inject(&self, _envelope: Envelope<'_>) -> Result<Injection> {
        Err(Error::new(ErrorKind::Unsupported, "this adapter runs no program"))
    }

    /// Delivers one message; the answer has one result for each recipient, in their order.
    ///
    /// # Errors
    /// The whole batch failed; [`ErrorKind::Temporary`] and every other kind: try all again later.
    fn deliver(&self, _batch: Batch<'_>) -> Result<Vec<RecipientResult>> {
        Err(Error::new(ErrorKind::Unsupported, "this adapter has a program run, see `inject`"))
    }
}
