//! The record of what a program did to its files, as `recorder.c` writes it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// One line of the record, in the order in which things happened. Files and directories are inode numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new file or directory.
    Made { directory: u64, name: String, inode: u64, is_directory: bool },
    /// Octets were written.
    Write { inode: u64, offset: u64, octets: Vec<u8> },
    /// The length was set.
    Truncate { inode: u64, length: u64 },
    /// A sync began; of everything when `inode` is `None`.
    SyncBegins { number: u64, inode: Option<u64> },
    /// It succeeded.
    SyncEnds { number: u64 },
    /// Another name for a file.
    Link { directory: u64, name: String, inode: u64 },
    /// A new name, in place of what had it.
    Rename { from: u64, old: String, to: u64, new: String },
    /// A name went.
    Unlink { directory: u64, name: String },
    /// The daemon is about to send this to a client.
    Reply(String),
    /// The test noted this.
    Mark(String),
}

/// Where the record is being written, for those that want to note something in it.
#[derive(Clone, Debug)]
pub struct Record {
    log: PathBuf,
    root: PathBuf,
}

const HEAD: usize = 24;
const MARK: u32 = 11;

impl Record {
    /// A new record about this directory.
    pub fn new(log: &Path, root: &Path) -> Self {
        File::create_new(log).expect("a new record");
        Record { log: log.to_owned(), root: fs::canonicalize(root).expect("the directory") }
    }

    /// What a program needs in its environment to be recorded.
    pub fn environment(&self, recorder: &Path) -> [(&'static str, PathBuf); 3] {
        [
            ("LD_PRELOAD", recorder.to_owned()),
            ("POSTRIDER_RECORD_ROOT", self.root.clone()),
            ("POSTRIDER_RECORD_LOG", self.log.clone()),
        ]
    }

    /// Notes something, in the order of everything else.
    pub fn mark(&self, text: &str) {
        let mut log = File::options().append(true).open(&self.log).expect("the record");
        log.lock().expect("the record's lock");
        let mut entry = Vec::with_capacity(HEAD + text.len());
        entry.extend(MARK.to_ne_bytes());
        entry.extend(u32::try_from(text.len()).expect("short").to_ne_bytes());
        entry.extend([0; 16]);
        entry.extend(text.as_bytes());
        log.write_all(&entry).expect("the record");
    }

    /// Everything so far.
    ///
    /// # Panics
    /// When the program did what cannot be recorded.
    pub fn events(&self) -> Vec<Event> {
        let octets = fs::read(&self.log).expect("the record");
        let mut rest = &octets[..];
        let mut events = Vec::new();
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(HEAD);
            let number = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().expect("8 octets"));
            let small = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().expect("4 octets"));
            let (octets, tail) = tail.split_at(small(4) as usize);
            rest = tail;
            events.push(event(small(0), number(8), number(16), octets));
        }
        events
    }
}

fn event(kind: u32, a: u64, b: u64, octets: &[u8]) -> Event {
    let text = || String::from_utf8_lossy(octets).into_owned();
    match kind {
        1 | 2 => Event::Made { directory: a, name: text(), inode: b, is_directory: kind == 2 },
        3 => Event::Write { inode: a, offset: b, octets: octets.to_vec() },
        4 => Event::Truncate { inode: a, length: b },
        5 => Event::SyncBegins { number: a, inode: (b != 0).then_some(b) },
        6 => Event::SyncEnds { number: a },
        7 => Event::Link { directory: a, name: text(), inode: b },
        8 => {
            let names = text();
            let (old, new) = names.split_once('/').expect("two names");
            Event::Rename { from: a, old: old.into(), to: b, new: new.into() }
        }
        9 => Event::Unlink { directory: a, name: text() },
        10 => Event::Reply(text()),
        MARK => Event::Mark(text()),
        other => panic!("the program did what cannot be recorded ({other}): {}", text()),
    }
}
