//! What a program reads: whole files in memory.
//!
//! Not pipes: whoever reads a pipe takes its end for the end of the message, also when it is our own end.
//! `memfd_create(2)` has no name that others could open, needs no disk, and goes when the last descriptor
//! is closed. It is sealed, so that all programs that get the same message can share it.

use super::lines::{self, LineEnd, Lines};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Octets that are written at once.
const BLOCK: usize = 64 * 1024;

/// A message for programs: counted and written once, however many programs get it.
#[derive(Debug)]
pub(in crate::deliver) struct Message {
    octets: Arc<[u8]>,
    size: OnceLock<u64>,
    crlf: Mutex<Option<File>>,
    lf: Mutex<Option<File>>,
}

impl Message {
    pub(in crate::deliver) fn new(octets: Arc<[u8]>) -> Self {
        Message { octets, size: OnceLock::new(), crlf: Mutex::default(), lf: Mutex::default() }
    }

    /// As it is in the queue.
    pub(in crate::deliver) fn octets(&self) -> &Arc<[u8]> {
        &self.octets
    }

    /// Octets with CRLF as line ends.
    pub(in crate::deliver) fn size(&self) -> u64 {
        *self.size.get_or_init(|| lines::size(&self.octets))
    }

    /// A descriptor of its own, at the beginning.
    pub(super) fn open(&self, line_end: LineEnd) -> io::Result<File> {
        let kept = if line_end == LineEnd::CrLf { &self.crlf } else { &self.lf };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match kept.take() {
            Some(file) => file,
            None => sealed(|file| {
                let mut lines = Lines::new(&self.octets, line_end);
                let mut block = Vec::with_capacity(BLOCK + 2);
                while lines.fill(&mut block, BLOCK) {
                    file.write_all(&block)?;
                }
                Ok(())
            })?,
        };
        reopened(kept.insert(file))
    }
}

/// Other input than the message.
pub(super) fn holding(octets: &[u8]) -> io::Result<File> {
    reopened(&sealed(|file| file.write_all(octets))?)
}

fn sealed(write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match memfd_create("postrider", flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3.
        Err(Errno::INVAL) => memfd_create("postrider", flags),
        memory => memory,
    };
    let mut file = File::from(memory?);
    write(&mut file)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}

/// For reading only, with a position that nobody else moves.
fn reopened(file: &File) -> io::Result<File> {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn read(mut file: File) -> Vec<u8> {
        let mut octets = Vec::new();
        file.read_to_end(&mut octets).expect("readable");
        octets
    }

    #[test]
    fn each_reader_has_the_whole_with_the_line_ends_it_wants() {
        let message = Message::new(Arc::from(&b"one\r\ntwo\n"[..]));
        assert_eq!(message.size(), 10);
        for _ in 0..2 {
            assert_eq!(read(message.open(LineEnd::Lf).expect("file")), b"one\ntwo\n");
            assert_eq!(read(message.open(LineEnd::CrLf).expect("file")), b"one\r\ntwo\r\n");
        }
        assert_eq!(read(holding(b"\0").expect("file")), b"\0");
    }

    #[test]
    fn no_reader_can_change_it_for_the_others() {
        let message = Message::new(Arc::from(&b"one\n"[..]));
        let mut file = message.open(LineEnd::Lf).expect("file");
        assert!(file.write_all(b"x").is_err());
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let again = std::fs::OpenOptions::new().write(true).open(path);
        assert!(again.and_then(|mut file| file.write_all(b"x")).is_err());
        assert_eq!(read(message.open(LineEnd::Lf).expect("file")), b"one\n");
    }
}
