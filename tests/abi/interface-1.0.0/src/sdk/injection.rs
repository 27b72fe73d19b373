//! Handing mail to an MTA through a program: planned by the adapter, run by the host.

use super::Outcome;
use std::ops::RangeInclusive;

/// Whom a message is from and for, lent for one call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Envelope<'a> {
    /// Envelope sender (RFC 5321 reverse-path without brackets); empty for `<>`.
    pub sender: &'a str,
    /// If not empty, each recipient shall get the message from a sender of its own (VERP):
    /// `LOCAL` + this delimiter + `RECIPIENT-LOCAL=RECIPIENT-DOMAIN` + `@DOMAIN`, where `LOCAL@DOMAIN` is
    /// [`Envelope::sender`]. Only adapters whose [`Abilities::verp`] is set ever see it.
    pub verp_delimiter: &'a str,
    /// Envelope recipients (RFC 5321 forward-paths without brackets); at least one.
    pub recipients: &'a [&'a str],
    /// Octets of the message, with CRLF as line ends.
    pub size: u64,
    /// Whether the message has octets above 127 (RFC 6152, `BODY=8BITMIME`).
    pub eight_bit: bool,
    /// Whether this mail is for servers with SMTPUTF8 only (RFC 6531), since its sender or a recipient is not ASCII. What
    /// speaks SMTP says `SMTPUTF8` then.
    pub smtp_utf8: bool,
}

impl<'a> Envelope<'a> {
    /// An envelope for a message of `size` octets, without VERP and in seven bits.
    pub const fn new(sender: &'a str, recipients: &'a [&'a str], size: u64) -> Self {
        Envelope { sender, verp_delimiter: "", recipients, size, eight_bit: false, smtp_utf8: false }
    }

    /// Each recipient shall get a sender of its own, with this delimiter.
    #[must_use]
    pub fn with_verp(mut self, delimiter: &'a str) -> Self {
        self.verp_delimiter = delimiter;
        self
    }

    /// Says whether the message has octets above 127.
    #[must_use]
    pub fn with_eight_bit(mut self, eight_bit: bool) -> Self {
        self.eight_bit = eight_bit;
        self
    }

    /// Says whether SMTPUTF8 is needed.
    #[must_use]
    pub fn with_smtp_utf8(mut self, smtp_utf8: bool) -> Self {
        self.smtp_utf8 = smtp_utf8;
        self
    }
}

/// What an outgoing adapter can do. All false: the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Abilities {
    /// One injection serves all recipients, also when each shall have a sender of its own.
    pub verp: bool,
}

impl Abilities {
    /// Sets [`Abilities::verp`].
    #[must_use]
    pub fn with_verp(mut self, verp: bool) -> Self {
        self.verp = verp;
        self
    }
}

/// What the host runs to hand over one message: no shell, no descriptors but those named, a time limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Injection {
    /// Program (absolute path, one of [`OutgoingAdapter::programs`](super::OutgoingAdapter::programs)) and
    /// arguments.
    pub argv: Vec<String>,
    /// Environment: these variables (name and value), and `PATH`. Names are `[A-Za-z_][A-Za-z0-9_]*`, each at most once.
    pub environment: Vec<(String, String)>,
    /// What the program reads, by descriptor, each at most once: each is a file that is complete before the program starts, open for
    /// reading at its beginning. So the order in which they are read does not matter, and the program never takes a
    /// part for the whole. Standard output is caught unless it is named here; standard error always is.
    pub inputs: Vec<Input>,
    /// What exit codes mean; the first that fits counts. The outcome is that of every recipient, except that a
    /// permanent failure of several recipients judges none: each half of them is handed over by itself, down to
    /// one, so that one bad address fails alone. A program must therefore not fail for good when it has taken the
    /// message for some of its recipients. The reply text is what the program printed, or [`ExitMeaning::text`] when
    /// it printed nothing; program and exit code stand behind it in brackets.
    pub exits: Vec<ExitMeaning>,
    /// What any other exit code means; [`Outcome::Delivered`] is not allowed here. Being killed is always a
    /// temporary failure, and so is not ending within the time limit, whatever it says when it is told to end.
    pub otherwise: Outcome,
}

impl Injection {
    /// Runs this program with these arguments. It reads nothing, and whatever its exit code is, that is a
    /// temporary failure: add [`with_input`](Self::with_input) and [`with_exits`](Self::with_exits).
    pub fn new<I>(argv: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Injection {
            argv: argv.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            inputs: Vec::new(),
            exits: Vec::new(),
            otherwise: Outcome::TemporaryFailure,
        }
    }

    /// Adds a variable of the environment.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Adds what the program reads from this descriptor.
    #[must_use]
    pub fn with_input(mut self, descriptor: u32, content: Content) -> Self {
        self.inputs.push(Input::new(descriptor, content));
        self
    }

    /// Adds what these exit codes mean, behind those that were added before.
    #[must_use]
    pub fn with_exits(mut self, codes: RangeInclusive<u8>, outcome: Outcome, text: impl Into<String>) -> Self {
        self.exits.push(ExitMeaning::new(codes, outcome, text));
        self
    }

    /// Says what all other exit codes mean.
    #[must_use]
    pub fn with_otherwise(mut self, outcome: Outcome) -> Self {
        self.otherwise = outcome;
        self
    }
}

/// What a program reads from one descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Input {
    /// The descriptor, 0 to 9, but not 2.
    pub descriptor: u32,
    /// What it reads there.
    pub content: Content,
}

impl Input {
    /// This content at this descriptor.
    pub fn new(descriptor: u32, content: Content) -> Self {
        Input { descriptor, content }
    }
}

/// Contents of a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Content {
    /// The message, lines end in CRLF, not dot-stuffed.
    MessageCrLf,
    /// The message, lines end in LF, not dot-stuffed.
    MessageLf,
    /// These octets.
    Bytes(Vec<u8>),
}

/// What exit codes mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ExitMeaning {
    /// The first exit code.
    pub first: u8,
    /// The last exit code, itself included; not below the first.
    pub last: u8,
    /// What became of the message.
    pub outcome: Outcome,
    /// In words, with an enhanced status code (RFC 3463) in front, for instance `5.3.4 message too large`.
    pub text: String,
}

impl ExitMeaning {
    /// What these exit codes mean, for instance `75..=75`.
    pub fn new(codes: RangeInclusive<u8>, outcome: Outcome, text: impl Into<String>) -> Self {
        ExitMeaning { first: *codes.start(), last: *codes.end(), outcome, text: text.into() }
    }
}
