//! What crosses between the host and a worker, and how: frames of a length (four octets, little-endian) and a value in
//! postcard's format, over a socket pair.
//!
//! One call is one [`Request`]. Until its [`Said::Done`] the worker may ask [`Question`]s, each of which gets an
//! [`Answer`]. Texts are checked to be UTF-8 by whoever reads them. Rows and lists cross in [`Chunk`]s.

use crate::plugins::load::Stamp;
use crate::plugins::{AdapterKind, Trust};
use postrider_plugin_api::sdk::{Change, Command, DomainView, Error, Guard, ListView, LogLevel, Settings, Site, Table};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};

/// The largest frame that a worker may send, in octets: the largest file of a plan and much room.
pub(super) const MAX_FROM_WORKER: u32 = 64 << 20;
/// A chunk is sent when it has so many entries,
const CHUNK_ENTRIES: u32 = 4_096;
/// or so many octets.
const CHUNK_OCTETS: usize = 256 << 10;

/// What the host wants.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request<'a> {
    /// The first one: load the plugin. Answered by `Result<PluginInfo, PluginError>`.
    Start {
        /// The host's process.
        parent: u32,
        /// Most octets of memory that it may write to.
        memory: u64,
        /// The plugin's real path, not always UTF-8.
        #[serde(with = "serde_bytes")]
        file: &'a [u8],
        /// What the file was when the host opened it.
        stamp: Stamp,
        /// Whose plugins are taken.
        trust: Trust,
    },
    /// The settings of an adapter. Answered, as all that follow, by a `sdk::Result`, here of `Vec<SettingSpec>`.
    Settings { adapter: &'a str, kind: AdapterKind },
    /// Makes an adapter. `Made`
    Make { id: u64, adapter: &'a str, kind: AdapterKind, settings: Cow<'a, Settings> },
    /// Drops an adapter. `()`
    Forget { id: u64 },
    /// `Facts`
    Probe { id: u64, site: Cow<'a, Site> },
    /// `()`
    Plan { id: u64, site: Cow<'a, Site>, facts: Cow<'a, BTreeMap<String, String>>, change: WireChange<'a> },
    /// `Vec<Snippet>`
    Snippets { id: u64, site: Cow<'a, Site>, facts: Cow<'a, BTreeMap<String, String>> },
    /// `Vec<Finding>`
    Check { id: u64, site: Cow<'a, Site>, facts: Cow<'a, BTreeMap<String, String>> },
    /// `Injection`
    Inject {
        id: u64,
        sender: &'a str,
        verp_delimiter: &'a str,
        recipients: Vec<&'a str>,
        size: u64,
        eight_bit: bool,
        smtp_utf8: bool,
    },
    /// `Vec<RecipientResult>`
    Deliver {
        id: u64,
        sender: &'a str,
        recipients: Vec<&'a str>,
        #[serde(with = "serde_bytes")]
        message: &'a [u8],
        smtp_utf8: bool,
    },
}

/// What is known of an adapter from the beginning.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) abilities: postrider_plugin_api::sdk::Abilities,
    pub(super) programs: Vec<String>,
}

/// What the worker says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Said<'a> {
    /// A line for the log of this adapter.
    Log { id: u64, level: LogLevel, message: &'a str },
    /// It needs something to go on.
    Ask(#[serde(borrow)] Question<'a>),
    /// The call is over; the result of the request's type.
    Done(#[serde(with = "serde_bytes")] &'a [u8]),
}

/// What a plugin asks of the host during a call.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Question<'a> {
    /// All domains, in chunks of [`WireDomain`].
    Domains,
    /// The domains with this routed domain.
    DomainsRoutedTo {
        routed: &'a str,
    },
    /// All lists, in chunks of [`WireList`].
    Lists,
    /// The next chunk.
    More,
    /// No further chunk; the end is answered as ever.
    Enough,
    ListCount,
    ListId {
        local: &'a str,
        domain: &'a str,
    },
    Table(Cow<'a, Table>),
    /// Entries are [`WireRow`].
    Rows(#[serde(borrow)] Chunk<'a>),
    Absent(Vec<&'a str>),
    Guard(Cow<'a, Guard>),
    File {
        path: &'a str,
        mode: u32,
        #[serde(with = "serde_bytes")]
        contents: &'a [u8],
    },
    Remove {
        path: &'a str,
    },
    Command(Cow<'a, Command>),
    Run {
        argv: Vec<&'a str>,
        stdin: &'a str,
    },
    ReadFile {
        path: &'a str,
    },
    Exists {
        path: &'a str,
    },
}

/// What the host answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer<'a> {
    /// A part of it.
    Part(#[serde(borrow)] Chunk<'a>),
    /// All of it; a `sdk::Result` of the question's type.
    Whole(#[serde(with = "serde_bytes")] &'a [u8]),
}

/// Many entries, one behind the other.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Chunk<'a> {
    count: u32,
    #[serde(with = "serde_bytes")]
    entries: &'a [u8],
}

/// Key, value, column.
pub(super) type WireRow<'a> = (&'a str, &'a str, u16);
/// Name, alias.
pub(super) type WireDomain<'a> = (&'a str, &'a str);
/// Local part, domain, list-id.
pub(super) type WireList<'a> = (&'a str, WireDomain<'a>, &'a str);

pub(super) fn wire_domain<'a>(domain: &DomainView<'a>) -> WireDomain<'a> {
    (domain.name, domain.alias)
}

pub(super) fn domain_of((name, alias): WireDomain<'_>) -> DomainView<'_> {
    DomainView::new(name, alias)
}

pub(super) fn wire_list<'a>(list: &ListView<'a>) -> WireList<'a> {
    (list.local, wire_domain(&list.domain), list.list_id)
}

pub(super) fn list_of((local, domain, list_id): WireList<'_>) -> ListView<'_> {
    ListView::new(local, domain_of(domain), list_id)
}

impl<'a> Chunk<'a> {
    /// Visits every entry.
    ///
    /// # Errors
    /// Entries that cannot be read, wrapped, or the visitor's error.
    pub(super) fn each<T: Deserialize<'a>, E: From<Garbled>>(
        &self,
        mut visit: impl FnMut(T) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = self.entries;
        for _ in 0..self.count {
            let (entry, behind) = postcard::take_from_bytes(rest).map_err(|error| Garbled(error.to_string()))?;
            rest = behind;
            visit(entry)?;
        }
        if rest.is_empty() { Ok(()) } else { Err(Garbled("a chunk has more octets than entries".to_owned()).into()) }
    }
}

/// A chunk that is being filled.
#[derive(Debug, Default)]
pub(super) struct Filling {
    count: u32,
    entries: Vec<u8>,
}

impl Filling {
    /// Adds an entry; whether it is time to send the chunk.
    pub(super) fn push(&mut self, entry: &impl Serialize) -> Result<bool, Garbled> {
        self.entries =
            postcard::to_extend(entry, std::mem::take(&mut self.entries)).map_err(|e| Garbled(e.to_string()))?;
        self.count += 1;
        Ok(self.count >= CHUNK_ENTRIES || self.entries.len() >= CHUNK_OCTETS)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn chunk(&self) -> Chunk<'_> {
        Chunk { count: self.count, entries: &self.entries }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.entries.clear();
    }
}

/// A [`Change`] that crosses.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum WireChange<'a> {
    Everything,
    ListAdded(#[serde(borrow)] WireList<'a>),
    ListRemoved(#[serde(borrow)] WireList<'a>),
    DomainAdded(#[serde(borrow)] WireDomain<'a>),
    DomainRemoved(#[serde(borrow)] WireDomain<'a>),
}

impl<'a> From<Change<'a>> for WireChange<'a> {
    fn from(change: Change<'a>) -> Self {
        match change {
            Change::ListAdded(list) => WireChange::ListAdded(wire_list(&list)),
            Change::ListRemoved(list) => WireChange::ListRemoved(wire_list(&list)),
            Change::DomainAdded(domain) => WireChange::DomainAdded(wire_domain(&domain)),
            Change::DomainRemoved(domain) => WireChange::DomainRemoved(wire_domain(&domain)),
            // To plan everything is always right.
            _ => WireChange::Everything,
        }
    }
}

impl<'a> From<WireChange<'a>> for Change<'a> {
    fn from(change: WireChange<'a>) -> Self {
        match change {
            WireChange::Everything => Change::Everything,
            WireChange::ListAdded(list) => Change::ListAdded(list_of(list)),
            WireChange::ListRemoved(list) => Change::ListRemoved(list_of(list)),
            WireChange::DomainAdded(domain) => Change::DomainAdded(domain_of(domain)),
            WireChange::DomainRemoved(domain) => Change::DomainRemoved(domain_of(domain)),
        }
    }
}

/// Octets that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Garbled(pub(super) String);

impl From<Garbled> for Error {
    fn from(garbled: Garbled) -> Self {
        Error::failed(format!("what came from the other process cannot be read: {garbled}"))
    }
}

/// A value as a frame.
pub(super) fn frame(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = postcard::to_extend(value, vec![0; 4]).map_err(io::Error::other)?;
    let size = u32::try_from(frame.len() - 4).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    frame[..4].copy_from_slice(&size.to_le_bytes());
    Ok(frame)
}

/// A value without a frame, for inside of one.
pub(super) fn octets(value: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_allocvec(value).map_err(io::Error::other)
}

/// The value of some octets.
pub(super) fn value<'a, T: Deserialize<'a>>(octets: &'a [u8]) -> Result<T, Garbled> {
    match postcard::take_from_bytes(octets) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(Garbled(format!("{} octets too many", rest.len()))),
        Err(error) => Err(Garbled(error.to_string())),
    }
}

/// Sends a value.
pub(super) fn write(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    to.write_all(&frame(value)?)
}

/// Receives a frame. Memory grows only with what really arrives.
///
/// # Errors
/// `InvalidData` for one that is larger than `most`, `UnexpectedEof` when the other side is gone.
pub(super) fn read(from: &mut impl Read, most: u32) -> io::Result<Vec<u8>> {
    let mut size = [0; 4];
    from.read_exact(&mut size)?;
    let size = u32::from_le_bytes(size);
    if size > most {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a frame of {size} octets, allowed are {most}"),
        ));
    }
    let mut frame = Vec::with_capacity((size as usize).min(64 << 10));
    if from.take(u64::from(size)).read_to_end(&mut frame)? < size as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_arrives() {
        let row: WireRow<'_> = ("ants@example.org", "lmtp:[::1]:8024", 7);
        let mut filling = Filling::default();
        for _ in 0..3 {
            assert_eq!(filling.push(&row), Ok(false));
        }
        let mut sent = Vec::new();
        write(&mut sent, &Said::Ask(Question::Rows(filling.chunk()))).unwrap();
        let frame = read(&mut sent.as_slice(), MAX_FROM_WORKER).unwrap();
        let Ok(Said::Ask(Question::Rows(chunk))) = value(&frame) else { panic!("{frame:?}") };
        let mut seen = Vec::new();
        chunk
            .each(|row: WireRow<'_>| {
                seen.push((row.0.to_owned(), row.2));
                Ok::<_, Garbled>(())
            })
            .unwrap();
        assert_eq!(seen, vec![("ants@example.org".to_owned(), 7); 3]);
    }

    #[test]
    fn chunks_are_bounded_in_entries_and_octets() {
        let mut filling = Filling::default();
        let small = (1..CHUNK_ENTRIES * 2).find(|_| filling.push(&("k", "v", 0u16)) == Ok(true));
        assert_eq!(small, Some(CHUNK_ENTRIES));
        filling.clear();
        let long = "x".repeat(CHUNK_OCTETS / 2);
        assert_eq!(filling.push(&("k", &*long, 0u16)), Ok(false));
        assert_eq!(filling.push(&("k", &*long, 0u16)), Ok(true));
    }

    #[test]
    fn nonsense_is_an_error_whatever_it_says_of_itself() {
        // Larger than allowed, cut short, a text that is not UTF-8, a count without entries, octets behind the end.
        assert!(read(&mut [0xff; 9].as_slice(), MAX_FROM_WORKER).is_err());
        assert!(read(&mut [9, 0, 0, 0, 1].as_slice(), MAX_FROM_WORKER).is_err());
        assert!(value::<Said<'_>>(&[0, 1, 1, 2, 0xc3, 0x28]).is_err());
        assert!(value::<Said<'_>>(&[200, 1]).is_err());
        assert!(value::<u8>(&[1, 2]).is_err());
        let liar = Chunk { count: u32::MAX, entries: &[0] };
        assert!(liar.each(|_: WireRow<'_>| Ok::<_, Garbled>(())).is_err());
        let long = Chunk { count: 0, entries: &[0] };
        assert!(long.each(|_: WireRow<'_>| Ok::<_, Garbled>(())).is_err());
        // A list of recipients that claims to be endless allocates nothing.
        assert!(value::<Vec<String>>(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_err());
    }
}
