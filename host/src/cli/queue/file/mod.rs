//! Files of `queue export`: everything that is needed to put entries back.
//!
//! Two containers for the same records: JSON, one line a record ([`json`]), and mbox, for people and other tools
//! ([`mbox`]). Readers trust nothing: they stop at the first record that is wrong, with its line, and never hold more
//! than one entry.

pub(super) mod json;
mod line;
pub(super) mod mbox;
mod record;

use crate::personal::Splices;
use crate::spool::{Arrival, ImportedArrival, ImportedOutgoing, QueuedOutgoing, QueuedRecipient};
use std::io::{self, BufRead, Write};

/// What the first line or header field says.
pub(super) const VERSION: u32 = 1;

/// The container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One record a line
    Json,
    /// Messages with their envelope in header fields `X-Postrider-…`
    Mbox,
}

/// An entry that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Imported {
    Arrival(ImportedArrival),
    Outgoing(ImportedOutgoing),
}

/// With where it stands, and what it comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Line of its first record.
    pub line: u64,
    /// The same for each export of the same entry.
    pub origin: String,
    pub entry: Imported,
}

/// Why a file was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// What is in it is wrong.
    #[error("line {line}: {what}")]
    Wrong { line: u64, what: String },
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl FileError {
    fn at(line: u64, what: impl Into<String>) -> Self {
        FileError::Wrong { line, what: what.into() }
    }
}

/// Why an entry was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// This container cannot hold it.
    #[error(
        "{entry} is not in the export: it has lines that do not end in CRLF, which mbox cannot keep; use --format json"
    )]
    NotForMbox { entry: String },
    /// Nobody could read it back.
    #[error(
        "{entry} is not in the export: it needs a line or message of more than {limit} octets, and `queue import` takes \
         none that is longer"
    )]
    TooLarge { entry: String, limit: usize },
    /// The file cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl WriteError {
    /// Why this entry was not written.
    fn of(entry: &str, error: line::LineError) -> Self {
        match error {
            line::LineError::TooLong { limit } => WriteError::TooLarge { entry: entry.to_owned(), limit },
            line::LineError::Io(error) => WriteError::Io(error),
        }
    }
}

/// How many records of each kind a file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counts {
    #[serde(rename = "in")]
    pub arrivals: u64,
    #[serde(rename = "out")]
    pub outgoing: u64,
    pub recipients: u64,
}

impl Counts {
    /// What is wrong when a file has `found` and not these.
    fn changed_to(self, found: Counts) -> String {
        format!(
            "the file had {} in, {} out and {} recipients when it was written, and has {}, {} and {} now",
            self.arrivals, self.outgoing, self.recipients, found.arrivals, found.outgoing, found.recipients
        )
    }
}

/// Writes a file.
pub(super) struct Writer<W> {
    out: W,
    format: Format,
    now: i64,
    /// Longest line and longest message that are read back, in octets.
    limits: (usize, usize),
    counts: Counts,
    /// The entry that is being written: none is in the file by half.
    staged: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins it. `now` is Unix time, in seconds.
    pub(super) fn begin(mut out: W, format: Format, now: i64) -> Result<Self, WriteError> {
        if format == Format::Json {
            json::write_head(&mut out, now)?;
        }
        let limits = match format {
            Format::Json => (json::MAX_LINE, json::MAX_LINE),
            Format::Mbox => (mbox::MAX_FIELD, mbox::MAX_MESSAGE - mbox::BETWEEN),
        };
        Ok(Writer { out, format, now, limits, counts: Counts::default(), staged: Vec::new() })
    }

    /// Adds an arrival. After an error that is not [`WriteError::Io`] others can be added.
    pub(super) fn arrival(&mut self, arrival: &Arrival, message: &[u8]) -> Result<(), WriteError> {
        let entry = format!("in {}", arrival.id);
        self.check_size(&entry, message)?;
        let record = record::InRecord::of(arrival, message);
        self.staged.clear();
        let (out, limit) = (&mut self.staged, self.limits.0);
        match self.format {
            Format::Json => {
                json::write_arrival(out, limit, record, message).map_err(|error| WriteError::of(&entry, error))?;
            }
            Format::Mbox => mbox::write_arrival(out, limit, &entry, arrival, record, message)?,
        }
        self.out.write_all(&self.staged)?;
        self.counts.arrivals += 1;
        Ok(())
    }

    /// Before anything is made of it that is larger still.
    fn check_size(&self, entry: &str, message: &[u8]) -> Result<(), WriteError> {
        let limit = self.limits.1;
        if message.len() > limit {
            return Err(WriteError::TooLarge { entry: entry.to_owned(), limit });
        }
        Ok(())
    }

    /// Adds an outgoing message, with where each recipient's own text goes; `recipients` gives each of them to what it is called with.
    /// After an error that is not [`WriteError::Io`] others can be added.
    pub(super) fn outgoing<E: From<WriteError>>(
        &mut self,
        one: &QueuedOutgoing,
        message: &[u8],
        personal: Option<Splices>,
        recipients: impl FnOnce(&mut dyn FnMut(QueuedRecipient)) -> Result<(), E>,
    ) -> Result<(), E> {
        let entry = format!("out {}", one.id);
        self.check_size(&entry, message)?;
        let record = record::OutRecord::of(one, message, personal);
        self.staged.clear();
        let (out, limit) = (&mut self.staged, self.limits.0);
        match self.format {
            Format::Json => {
                json::write_outgoing(out, limit, record, message).map_err(|error| WriteError::of(&entry, error))
            }
            Format::Mbox => mbox::begin_outgoing(out, limit, &entry, one, record, message),
        }
        .map_err(E::from)?;
        let mut group = record::Group::new(self.format, limit);
        let mut failed = None;
        recipients(&mut |recipient| {
            if failed.is_none() {
                failed = group.add(recipient, out).err();
            }
        })?;
        if failed.is_none() {
            failed = group.flush(out).err();
        }
        if let Some(error) = failed {
            return Err(WriteError::of(&entry, error).into());
        }
        if self.format == Format::Mbox {
            mbox::end_outgoing(out, group.all, message).map_err(E::from)?;
        }
        self.out.write_all(&self.staged).map_err(WriteError::Io).map_err(E::from)?;
        self.counts.outgoing += 1;
        self.counts.recipients += group.all;
        Ok(())
    }

    /// Ends it.
    pub(super) fn end(mut self) -> Result<(W, Counts), WriteError> {
        match self.format {
            Format::Json => json::write_end(&mut self.out, self.counts)?,
            Format::Mbox => mbox::write_end(&mut self.out, self.now, self.counts)?,
        }
        self.out.flush()?;
        Ok((self.out, self.counts))
    }
}

/// Reads a file of either kind.
pub(super) enum Reader<R> {
    Json(Box<json::Reader<R>>),
    Mbox(mbox::Reader<R>),
}

impl<R: BufRead> Reader<R> {
    /// Looks at the beginning.
    pub(super) fn begin(mut input: R) -> Result<Self, FileError> {
        let start = input.fill_buf()?;
        match start.first() {
            None => Err(FileError::at(1, "the file is empty: there was nothing to export, or it was cut off")),
            Some(b'{') => json::Reader::begin(input).map(|reader| Reader::Json(Box::new(reader))),
            Some(b'F') if start.starts_with(b"From ") => Ok(Reader::Mbox(mbox::Reader::new(input))),
            Some(_) => Err(FileError::at(
                1,
                "this is no file of `postrider queue export`, which begins with `{\"postrider_queue\"` or `From `",
            )),
        }
    }

    /// The next entry.
    pub(super) fn next(&mut self) -> Result<Option<Item>, FileError> {
        match self {
            Reader::Json(reader) => reader.next(),
            Reader::Mbox(reader) => reader.next(),
        }
    }

    /// At the end: why it cannot be known that this is all that the file had.
    pub(super) fn doubt(&self) -> Option<String> {
        match self {
            Reader::Mbox(reader) if !reader.has_total() => Some(format!(
                "the last message of the export, which says how much there was ({}), is not there: if the file was cut \
                 off between two messages, nobody can see it",
                mbox::TOTAL
            )),
            Reader::Json(_) | Reader::Mbox(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
