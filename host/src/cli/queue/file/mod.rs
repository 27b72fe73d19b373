//! Files of `queue export`: everything that is needed to put entries back.
//!
//! Two containers for the same records: JSON, one line a record ([`json`]), and mbox, for people and other tools
//! ([`mbox`]). Readers trust nothing: they stop at the first record that is wrong, with its line, and never hold more
//! than one entry.

pub(super) mod json;
pub(super) mod mbox;
mod record;

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
    #[error("{entry} has lines that do not end in CRLF, which mbox cannot keep; use --format json")]
    NotForMbox { entry: String },
    /// The file cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
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

/// Writes a file.
pub(super) struct Writer<W> {
    out: W,
    format: Format,
    counts: Counts,
}

impl<W: Write> Writer<W> {
    /// Begins it.
    pub(super) fn begin(mut out: W, format: Format, now: i64) -> Result<Self, WriteError> {
        if format == Format::Json {
            json::write_head(&mut out, now)?;
        }
        Ok(Writer { out, format, counts: Counts::default() })
    }

    /// Adds an arrival.
    pub(super) fn arrival(&mut self, arrival: &Arrival, message: &[u8]) -> Result<(), WriteError> {
        let record = record::InRecord::of(arrival, message);
        match self.format {
            Format::Json => json::write_arrival(&mut self.out, record, message)?,
            Format::Mbox => mbox::write_arrival(&mut self.out, arrival, record, message)?,
        }
        self.counts.arrivals += 1;
        Ok(())
    }

    /// Adds an outgoing message; `recipients` gives each of them to what it is called with.
    pub(super) fn outgoing<E: From<WriteError>>(
        &mut self,
        one: &QueuedOutgoing,
        message: &[u8],
        recipients: impl FnOnce(&mut dyn FnMut(QueuedRecipient)) -> Result<(), E>,
    ) -> Result<(), E> {
        let record = record::OutRecord::of(one, message);
        match self.format {
            Format::Json => json::write_outgoing(&mut self.out, record, message),
            Format::Mbox => mbox::begin_outgoing(&mut self.out, one, record, message),
        }
        .map_err(E::from)?;
        let mut group = record::Group::new(self.format);
        let mut failed = None;
        let (out, counts) = (&mut self.out, &mut self.counts);
        recipients(&mut |recipient| {
            counts.recipients += 1;
            if failed.is_none() {
                failed = group.add(recipient, out).err();
            }
        })?;
        if failed.is_none() {
            failed = group.flush(out).err();
        }
        if let Some(error) = failed {
            return Err(WriteError::from(error).into());
        }
        if self.format == Format::Mbox {
            mbox::end_outgoing(&mut self.out, group.all, message).map_err(E::from)?;
        }
        self.counts.outgoing += 1;
        Ok(())
    }

    /// Ends it.
    pub(super) fn end(mut self) -> Result<(W, Counts), WriteError> {
        if self.format == Format::Json {
            json::write_end(&mut self.out, self.counts)?;
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
}

/// Reads a line with its end, of at most `limit` octets. Empty at the end of the file.
fn read_line(input: &mut impl BufRead, limit: usize, number: u64, line: &mut Vec<u8>) -> Result<(), FileError> {
    line.clear();
    let mut bounded = io::Read::take(input, limit as u64 + 1);
    bounded.read_until(b'\n', line)?;
    if line.len() > limit {
        return Err(FileError::at(number, format!("the line is longer than {limit} octets")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
