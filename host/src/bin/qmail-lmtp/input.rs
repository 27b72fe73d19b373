//! The message on standard input.

use super::content::{LoopGuard, Wire};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;

/// Octets that are read at once.
pub const BLOCK: usize = 32 * 1024;

/// Standard input.
pub struct Input(File);

/// What can be known of a message before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Octets with CRLF as line ends (RFC 1870).
    pub size: u64,
    /// Whether there are octets above 127.
    pub eight_bit: bool,
    /// Whether it has been here before.
    pub looping: bool,
}

impl Input {
    /// # Errors
    /// There is none, or it cannot be a message.
    pub fn stdin() -> io::Result<Self> {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        // A closed one is opened as /dev/null before we see it; that is no empty message.
        if file.metadata()?.file_type().is_char_device() {
            return Err(io::Error::other("standard input is a device"));
        }
        Ok(Input(file))
    }

    /// Reads it once and goes back to where it was. qmail-local gives a file; of a pipe nothing can be
    /// known.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn facts(&mut self, head: &[u8], delivered_to: &[u8]) -> io::Result<Option<Facts>> {
        if !self.0.metadata()?.is_file() {
            return Ok(None);
        }
        let start = self.0.stream_position()?;
        let (mut wire, mut guard, mut out) = (Wire::new(), LoopGuard::new(delivered_to), Vec::new());
        let mut facts = Facts { size: 0, eight_bit: !head.is_ascii(), looping: false };
        wire.push(head, &mut out);
        let mut block = vec![0; BLOCK];
        loop {
            let read = self.read(&mut block)?;
            facts.looping = guard.look(&block[..read]);
            facts.eight_bit |= !block[..read].is_ascii();
            wire.push(&block[..read], &mut out);
            if read == 0 {
                wire.end(&mut out);
            }
            facts.size += out.len() as u64;
            out.clear();
            if read == 0 || facts.looping {
                break;
            }
        }
        facts.size -= wire.stuffed();
        self.0.seek(SeekFrom::Start(start))?;
        Ok(Some(facts))
    }

    /// The next octets; 0 at the end.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}
