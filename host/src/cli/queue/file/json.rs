//! JSON: one record a line, in UTF-8.
//!
//! The first line is `{"postrider_queue":1,"exported":TIME}`, the last `{"end":{"in":N,"out":N,"recipients":N}}`, so a
//! file that was cut off is seen. Between them stand `{"in":{…}}` and `{"out":{…}}`; the recipients of an outgoing
//! message follow it in lines `{"recipients":[[ADDRESS,TRIES,NEXT_TRY,REPLY],…]}`, with a fifth NAME where `personal` in the
//! message says where each recipient's own text goes. A message is text (`message`) when
//! it is UTF-8 without odd control characters, else `message_base64`.

use super::line::{LineError, read_line, write_line};
use super::record::{InRecord, OutRecord, Record, add_recipients, octets, text_or_base64};
use super::{Counts, FileError, Imported, Item, VERSION, WriteError};
use crate::spool::ImportedOutgoing;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};

/// Longest first line, in octets.
const MAX_HEAD: usize = 4096;
/// Longest other line: far more than a message makes that LMTP takes, unless `max_message_size` was raised a lot.
pub(super) const MAX_LINE: usize = 256 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    postrider_queue: u32,
    exported: i64,
}

/// Only what every version has.
#[derive(Debug, Deserialize)]
struct AnyHead {
    postrider_queue: u32,
}

pub(super) fn write_head(out: &mut impl Write, now: i64) -> Result<(), WriteError> {
    line(out, &Head { postrider_queue: VERSION, exported: now })
}

pub(super) fn write_arrival(
    out: &mut impl Write,
    limit: usize,
    mut record: InRecord,
    message: &[u8],
) -> Result<(), LineError> {
    (record.message, record.message_base64) = text_or_base64(message);
    write_line(out, limit, "", &Record::In(record))
}

/// Its recipients follow.
pub(super) fn write_outgoing(
    out: &mut impl Write,
    limit: usize,
    mut record: OutRecord,
    message: &[u8],
) -> Result<(), LineError> {
    (record.message, record.message_base64) = text_or_base64(message);
    write_line(out, limit, "", &Record::Out(record))
}

pub(super) fn write_end(out: &mut impl Write, counts: Counts) -> Result<(), WriteError> {
    line(out, &Record::End(counts))
}

/// A short one.
fn line(out: &mut impl Write, value: &impl Serialize) -> Result<(), WriteError> {
    write_line(out, MAX_HEAD, "", value).map_err(|error| WriteError::of("the export", error))
}

/// Reads such a file.
pub(in super::super) struct Reader<R> {
    input: R,
    line: u64,
    /// A record that was read and belongs to what comes next.
    ahead: Option<(u64, Record)>,
    counts: Counts,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn begin(mut input: R) -> Result<Self, FileError> {
        let mut line = Vec::new();
        read_line(&mut input, MAX_HEAD, 1, &mut line)?;
        let any: AnyHead = parsed(1, &line)?;
        if any.postrider_queue != VERSION {
            return Err(FileError::at(
                1,
                format!(
                    "the file is of version {} and this program reads version {VERSION}; import it with the version of \
                     Postrider that wrote it, or upgrade this one",
                    any.postrider_queue
                ),
            ));
        }
        parsed::<Head>(1, &line)?;
        Ok(Reader { input, line: 1, ahead: None, counts: Counts::default(), ended: false })
    }

    pub(super) fn next(&mut self) -> Result<Option<Item>, FileError> {
        if self.ended {
            return Ok(None);
        }
        let (line, record) = self.record()?;
        let wrong = |what: String| FileError::at(line, what);
        match record {
            Record::In(mut record) => {
                let message = octets(record.message.take(), record.message_base64.take()).map_err(wrong)?;
                let (origin, arrival) = record.checked(message).map_err(wrong)?;
                self.counts.arrivals += 1;
                Ok(Some(Item { line, origin, entry: Imported::Arrival(arrival) }))
            }
            Record::Out(mut record) => {
                let message = octets(record.message.take(), record.message_base64.take()).map_err(wrong)?;
                let recipients = record.recipients;
                let (origin, mut outgoing) = record.checked(message).map_err(wrong)?;
                self.recipients(line, &mut outgoing, recipients)?;
                self.counts.outgoing += 1;
                Ok(Some(Item { line, origin, entry: Imported::Outgoing(outgoing) }))
            }
            Record::Recipients(_) => Err(wrong("these recipients belong to no message".to_owned())),
            Record::End(counts) => self.end(line, counts),
        }
    }

    fn recipients(&mut self, line: u64, outgoing: &mut ImportedOutgoing, wanted: u64) -> Result<(), FileError> {
        loop {
            match self.record()? {
                (line, Record::Recipients(some)) => {
                    add_recipients(outgoing, some, wanted).map_err(|what| FileError::at(line, what))?;
                }
                other => {
                    self.ahead = Some(other);
                    break;
                }
            }
        }
        let found = outgoing.recipients.len() as u64;
        self.counts.recipients += found;
        if found != wanted {
            return Err(FileError::at(
                line,
                format!("the entry is said to have {wanted} recipients, but {found} follow: the file was changed"),
            ));
        }
        Ok(())
    }

    fn record(&mut self) -> Result<(u64, Record), FileError> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(ahead);
        }
        self.line += 1;
        let mut line = Vec::new();
        read_line(&mut self.input, MAX_LINE, self.line, &mut line)?;
        if !line.ends_with(b"\n") {
            return Err(FileError::at(
                self.line,
                "the file ends in the middle: it was cut off, there is no line `{\"end\":…}`",
            ));
        }
        Ok((self.line, parsed(self.line, &line)?))
    }

    fn end(&mut self, line: u64, counts: Counts) -> Result<Option<Item>, FileError> {
        if counts != self.counts {
            return Err(FileError::at(line, counts.changed_to(self.counts)));
        }
        if !self.input.fill_buf()?.is_empty() {
            return Err(FileError::at(line + 1, "something follows behind the end; import one file at a time"));
        }
        self.ended = true;
        Ok(None)
    }
}

fn parsed<'a, T: Deserialize<'a>>(number: u64, line: &'a [u8]) -> Result<T, FileError> {
    let text = std::str::from_utf8(line).map_err(|error| {
        FileError::at(number, format!("it is not UTF-8, from octet {} on", error.valid_up_to() + 1))
    })?;
    serde_json::from_str(text).map_err(|error| {
        // The line is ours to tell; serde_json has seen only one.
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or_default();
        FileError::at(number, format!("this is no record of a queue: {what} (column {})", error.column()))
    })
}
