//! mbox (the variant mboxrd, RFC 4155 and its relatives): messages that other programs read too.
//!
//! In front of each message's own header stand `X-Postrider-Queue` with the version, `X-Postrider-Entry` with the
//! record that JSON files have, without the message, `X-Postrider-Recipients` as often as needed, and
//! `X-Postrider-End` with the number of recipients. All of it is written by us: a message's own fields of such names
//! stand behind that and are not read. Lines end in LF; a `From ` at the beginning of a line, and one that was quoted
//! so before, gets a `>`.
//!
//! The last message is none of the queue: its `X-Postrider-Total` says how much stands before it, so a file that was cut
//! off between two messages is seen. Who puts such messages together by hand need not have it.

use super::line::{read_line, write_line};
use super::record::{InRecord, OutRecord, RecipientRecord, Record, add_recipients};
use super::{Counts, FileError, Imported, Item, VERSION, WriteError};
use crate::spool::{Arrival, EnvelopeSender, QueuedOutgoing};
use std::io::{self, BufRead, Write};

const QUEUE: &str = "X-Postrider-Queue";
const ENTRY: &str = "X-Postrider-Entry";
pub(super) const RECIPIENTS: &str = "X-Postrider-Recipients";
const END: &str = "X-Postrider-End";
pub(super) const TOTAL: &str = "X-Postrider-Total";
/// Longest line of a header field of ours, in octets.
pub(super) const MAX_FIELD: usize = 1 << 20;
/// Longest message, in octets.
pub(super) const MAX_MESSAGE: usize = 256 << 20;
/// The blank line behind a message, as it is read.
pub(super) const BETWEEN: usize = 2;

pub(super) fn write_arrival(
    out: &mut impl Write,
    limit: usize,
    entry: &str,
    arrival: &Arrival,
    record: InRecord,
    message: &[u8],
) -> Result<(), WriteError> {
    check(entry, message)?;
    let sender = arrival.sender.as_ref().map_or("MAILER-DAEMON", |sender| sender.as_str());
    begin(out, limit, entry, (sender, arrival.received), &Record::In(record))?;
    Ok(end(out, 0, message)?)
}

/// Its recipients follow, then [`end_outgoing`].
pub(super) fn begin_outgoing(
    out: &mut impl Write,
    limit: usize,
    entry: &str,
    one: &QueuedOutgoing,
    record: OutRecord,
    message: &[u8],
) -> Result<(), WriteError> {
    check(entry, message)?;
    let sender = match &one.sender {
        EnvelopeSender::Null => "MAILER-DAEMON",
        EnvelopeSender::Fixed(sender) | EnvelopeSender::Verp(sender) => sender,
    };
    begin(out, limit, entry, (sender, one.queued), &Record::Out(record))
}

pub(super) fn end_outgoing(out: &mut impl Write, recipients: u64, message: &[u8]) -> Result<(), WriteError> {
    Ok(end(out, recipients, message)?)
}

/// Whether it comes back as it was.
fn check(entry: &str, message: &[u8]) -> Result<(), WriteError> {
    let bare = memchr::memchr_iter(b'\n', message).any(|at| at == 0 || message[at - 1] != b'\r');
    if bare || !message.ends_with(b"\r\n") {
        return Err(WriteError::NotForMbox { entry: entry.to_owned() });
    }
    Ok(())
}

fn begin(
    out: &mut impl Write,
    limit: usize,
    entry: &str,
    (sender, time): (&str, i64),
    record: &Record,
) -> Result<(), WriteError> {
    begin_message(out, sender, time)?;
    write_line(out, limit, ENTRY, record).map_err(|error| WriteError::of(entry, error))
}

fn begin_message(out: &mut impl Write, sender: &str, time: i64) -> io::Result<()> {
    // A blank would end the address in the eyes of every reader; nothing of ours is read from this line.
    let sender: String = sender.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect();
    let date = jiff::Timestamp::from_second(time).map_or_else(
        |_| "Thu Jan  1 00:00:00 1970".to_owned(),
        |time| time.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a %b %e %H:%M:%S %Y").to_string(),
    );
    write!(out, "From {sender} {date}\n{QUEUE}: {VERSION}\n")
}

/// The last message. `now` is Unix time, in seconds.
pub(super) fn write_end(out: &mut impl Write, now: i64, counts: Counts) -> Result<(), WriteError> {
    begin_message(out, "MAILER-DAEMON", now)?;
    write_line(out, MAX_FIELD, TOTAL, &counts).map_err(|error| WriteError::of("the export", error))?;
    out.write_all(
        b"Subject: End of an export of Postrider's queue\n\nBy this message `postrider queue import` knows that the \
          file is whole.\n\n",
    )?;
    Ok(())
}

fn end(out: &mut impl Write, recipients: u64, message: &[u8]) -> io::Result<()> {
    writeln!(out, "{END}: {recipients}")?;
    for line in message.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        if is_quoted(line) {
            out.write_all(b">")?;
        }
        out.write_all(line)?;
        out.write_all(b"\n")?;
    }
    out.write_all(b"\n")
}

/// `From `, with any number of `>` before it.
fn is_quoted(line: &[u8]) -> bool {
    let start = line.iter().position(|b| *b != b'>').unwrap_or(line.len());
    line[start..].starts_with(b"From ")
}

/// Reads such a file.
pub(in super::super) struct Reader<R> {
    input: R,
    /// Number of the line that was read last.
    line: u64,
    /// That line, not yet looked at.
    ahead: Option<Vec<u8>>,
    counts: Counts,
    /// The last message was there.
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Reader { input, line: 0, ahead: None, counts: Counts::default(), ended: false }
    }

    /// Whether the file has said how much is in it; asked at its end.
    pub(super) fn has_total(&self) -> bool {
        self.ended
    }

    pub(super) fn next(&mut self) -> Result<Option<Item>, FileError> {
        let from = self.take(MAX_FIELD)?;
        if from.is_empty() {
            return Ok(None);
        }
        if self.ended {
            return Err(FileError::at(
                self.line,
                format!("something follows behind the message with {TOTAL}; import one file at a time"),
            ));
        }
        let first = self.line;
        if !from.starts_with(b"From ") {
            return Err(FileError::at(first, "a message of an mbox begins with a line `From `"));
        }
        let version = self.field(QUEUE)?.ok_or_else(|| {
            FileError::at(
                first,
                format!(
                    "the message has no {QUEUE}: nobody knows who is to get it. This takes what `postrider queue export` \
                     wrote; `postrider inject LIST FILE` takes a message for a list"
                ),
            )
        })?;
        if version != VERSION.to_string() {
            return Err(FileError::at(
                self.line,
                format!("the file is of version {version} and this program reads version {VERSION}"),
            ));
        }
        if let Some(counts) = self.field(TOTAL)? {
            return self.end(&counts);
        }
        let missing = |line, name: &str| FileError::at(line, format!("the header field {name} is missing"));
        let record = self.field(ENTRY)?.ok_or_else(|| missing(self.line, ENTRY))?;
        let record: Record = self.parsed(&record)?;
        let entry_line = self.line;
        let mut groups = Vec::new();
        while let Some(group) = self.field(RECIPIENTS)? {
            let group: Vec<RecipientRecord> = self.parsed(&group)?;
            groups.push((self.line, group));
        }
        let told = self.field(END)?.ok_or_else(|| missing(self.line, END))?;
        let found: usize = groups.iter().map(|(_, group)| group.len()).sum();
        if told != found.to_string() {
            return Err(FileError::at(
                self.line,
                format!("{found} recipients are named and {told} announced: the file was changed"),
            ));
        }
        let message = self.message()?;
        let wrong = |what: String| FileError::at(entry_line, what);
        match record {
            Record::In(record) if groups.is_empty() => {
                let (origin, arrival) = record.checked(message).map_err(wrong)?;
                self.counts.arrivals += 1;
                Ok(Some(Item { line: first, origin, entry: Imported::Arrival(arrival) }))
            }
            Record::Out(record) => {
                let wanted = record.recipients;
                let (origin, mut outgoing) = record.checked(message).map_err(wrong)?;
                for (line, group) in groups {
                    add_recipients(&mut outgoing, group, wanted).map_err(|what| FileError::at(line, what))?;
                }
                if outgoing.recipients.len() as u64 != wanted {
                    return Err(wrong(format!(
                        "the entry is said to have {wanted} recipients and has {}",
                        outgoing.recipients.len()
                    )));
                }
                self.counts.outgoing += 1;
                self.counts.recipients += wanted;
                Ok(Some(Item { line: first, origin, entry: Imported::Outgoing(outgoing) }))
            }
            Record::In(_) | Record::Recipients(_) | Record::End(_) => Err(wrong("this is no entry".to_owned())),
        }
    }

    fn end(&mut self, counts: &str) -> Result<Option<Item>, FileError> {
        let counts: Counts = self.parsed(counts)?;
        if counts != self.counts {
            let what = counts.changed_to(self.counts);
            return Err(FileError::at(
                self.line,
                format!("{what}; to import what is there, take away the last message, which says this ({TOTAL})"),
            ));
        }
        self.message()?;
        self.ended = true;
        self.next()
    }

    /// The value of our field, if it stands here.
    fn field(&mut self, name: &str) -> Result<Option<String>, FileError> {
        let line = self.take(MAX_FIELD)?;
        let value = line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b": "));
        let Some(value) = value else {
            self.give_back(line);
            return Ok(None);
        };
        match std::str::from_utf8(value) {
            Ok(value) => Ok(Some(value.trim_end().to_owned())),
            Err(_) => Err(FileError::at(self.line, format!("{name} is not UTF-8"))),
        }
    }

    fn parsed<T: serde::de::DeserializeOwned>(&self, text: &str) -> Result<T, FileError> {
        serde_json::from_str(text).map_err(|error| {
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            FileError::at(self.line, format!("this is no record of a queue: {what}"))
        })
    }

    /// The message as it was: up to the blank line before the next `From `, or the end.
    fn message(&mut self) -> Result<Vec<u8>, FileError> {
        let mut message = Vec::new();
        loop {
            let line = self.take(MAX_MESSAGE)?;
            if line.is_empty() {
                break;
            }
            if line.starts_with(b"From ") {
                self.give_back(line);
                break;
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = if is_quoted(line) { line.strip_prefix(b">").unwrap_or(line) } else { line };
            message.extend_from_slice(line);
            message.extend_from_slice(b"\r\n");
            if message.len() > MAX_MESSAGE {
                return Err(FileError::at(self.line, format!("the message is longer than {MAX_MESSAGE} octets")));
            }
        }
        // The blank line belongs to the file; without it the message's own size will tell.
        if message.ends_with(b"\r\n\r\n") || message == b"\r\n" {
            message.truncate(message.len() - 2);
        }
        Ok(message)
    }

    fn take(&mut self, limit: usize) -> Result<Vec<u8>, FileError> {
        if let Some(line) = self.ahead.take() {
            return Ok(line);
        }
        let mut line = Vec::new();
        read_line(&mut self.input, limit, self.line + 1, &mut line)?;
        self.line += 1;
        Ok(line)
    }

    fn give_back(&mut self, line: Vec<u8>) {
        self.ahead = Some(line);
    }
}
