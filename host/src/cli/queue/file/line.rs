//! Lines of both containers, none longer than is read back.

use super::FileError;
use serde::Serialize;
use std::io::{self, BufRead, Write};

/// Why a line was not written.
#[derive(Debug)]
pub(super) enum LineError {
    /// It would not be read back.
    TooLong { limit: usize },
    /// The file cannot be written.
    Io(io::Error),
}

/// Writes a line of JSON, behind `NAME: ` if there is a name. With its end it has at most `limit` octets; when it would
/// have more, part of it is written.
pub(super) fn write_line(
    out: &mut impl Write,
    limit: usize,
    name: &str,
    value: &impl Serialize,
) -> Result<(), LineError> {
    let mut bounded = Bounded { out, left: limit, full: false };
    let written = (|| {
        if !name.is_empty() {
            write!(bounded, "{name}: ")?;
        }
        serde_json::to_writer(&mut bounded, value)?;
        bounded.write_all(b"\n")
    })();
    match written {
        Err(_) if bounded.full => Err(LineError::TooLong { limit }),
        written => written.map_err(LineError::Io),
    }
}

/// Takes so many octets, then none.
struct Bounded<W> {
    out: W,
    left: usize,
    full: bool,
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if octets.len() > self.left {
            self.full = true;
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let written = self.out.write(octets)?;
        self.left -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads a line with its end, of at most `limit` octets. Empty at the end of the file.
pub(super) fn read_line(
    input: &mut impl BufRead,
    limit: usize,
    number: u64,
    line: &mut Vec<u8>,
) -> Result<(), FileError> {
    line.clear();
    let mut bounded = io::Read::take(input, limit as u64 + 1);
    bounded.read_until(b'\n', line)?;
    if line.len() > limit {
        return Err(FileError::at(number, format!("the line is longer than {limit} octets")));
    }
    Ok(())
}
