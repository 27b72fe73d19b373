//! A disk that loses power: what it may hold afterwards.
//!
//! The model is that of POSIX, taken at its word, where [`Entries::Strict`]:
//! - What was written to a file, or set as its length, is there for certain once an fsync or fdatasync of this file
//!   has succeeded that began later.
//! - A name in a directory (made, renamed, linked, removed) is there for certain once a sync of *this directory* has
//!   succeeded that began later. A sync of the file itself does not help.
//! - Everything else is there or not, each change independently of all others: a later one without an earlier one,
//!   the name without the octets and the octets without the name. Of a write, each sector of 512 octets is there or
//!   not by itself. A rename is the one thing that happens wholly or not at all; so is every change of one name.
//!
//! [`Entries::Journal`] is what ext4, xfs and btrfs do with names: they go to disk in the order in which they were
//! changed, and a sync of anything takes along all that were changed before.

use super::record::Event;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// What is written wholly or not at all.
const SECTOR: usize = 512;

/// What the disk does with names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// What POSIX promises.
    Strict,
    /// What file systems with a journal do.
    Journal,
}

/// Which of the unsynced changes were done when the power went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Luck {
    /// None.
    Nothing,
    /// All.
    Everything,
    /// All names, none of the octets.
    Names,
    /// All octets, none of the names.
    Octets,
    /// What these dice say.
    Dice(u64),
}

/// The files after a power loss: path below the root, and contents; directories have none.
pub type State = BTreeMap<PathBuf, Option<Vec<u8>>>;

#[derive(Debug)]
enum Change {
    Write { offset: usize, octets: Vec<u8> },
    Truncate { length: usize },
    Put { name: String, object: usize },
    Move { old: String, new: String, object: usize },
    Remove { name: String },
}

#[derive(Clone, Debug)]
enum Content {
    File(Vec<u8>),
    Directory(BTreeMap<String, usize>),
}

#[derive(Debug)]
struct Object {
    /// What is there for certain.
    certain: Content,
    /// What is perhaps, in order; with the number of the event.
    pending: Vec<(usize, Change)>,
    /// Directories: as programs see it.
    seen: BTreeMap<String, usize>,
}

/// A disk on which events happen.
#[derive(Debug)]
pub struct Disk {
    entries: Entries,
    objects: Vec<Object>,
    by_inode: HashMap<u64, usize>,
    /// Syncs that have begun: the event, and what of.
    syncs: HashMap<u64, (usize, Option<usize>)>,
    time: usize,
}

impl Disk {
    /// With an empty directory that has this inode.
    pub fn new(root: u64, entries: Entries) -> Self {
        let mut disk = Disk { entries, objects: Vec::new(), by_inode: HashMap::new(), syncs: HashMap::new(), time: 0 };
        disk.add(root, true);
        disk
    }

    fn add(&mut self, inode: u64, is_directory: bool) -> usize {
        let certain = if is_directory { Content::Directory(BTreeMap::new()) } else { Content::File(Vec::new()) };
        self.objects.push(Object { certain, pending: Vec::new(), seen: BTreeMap::new() });
        let object = self.objects.len() - 1;
        // A number is used again when its file is gone.
        self.by_inode.insert(inode, object);
        object
    }

    fn object(&self, inode: u64) -> usize {
        *self.by_inode.get(&inode).unwrap_or_else(|| panic!("event {}: nobody made the inode {inode}", self.time))
    }

    fn change(&mut self, object: usize, change: Change) {
        let seen = &mut self.objects[object].seen;
        match &change {
            Change::Put { name, object } => drop(seen.insert(name.clone(), *object)),
            Change::Remove { name } => drop(seen.remove(name)),
            Change::Move { old, new, object } => {
                seen.remove(old);
                seen.insert(new.clone(), *object);
            }
            Change::Write { .. } | Change::Truncate { .. } => {}
        }
        self.objects[object].pending.push((self.time, change));
    }

    /// The next event happens.
    pub fn happen(&mut self, event: &Event) {
        self.time += 1;
        match event {
            Event::Made { directory, name, inode, is_directory } => {
                let object = self.add(*inode, *is_directory);
                self.change(self.object(*directory), Change::Put { name: name.clone(), object });
            }
            Event::Write { inode, offset, octets } => {
                let change = Change::Write { offset: *offset as usize, octets: octets.clone() };
                self.change(self.object(*inode), change);
            }
            Event::Truncate { inode, length } => {
                self.change(self.object(*inode), Change::Truncate { length: *length as usize });
            }
            Event::Link { directory, name, inode } => {
                let object = self.object(*inode);
                self.change(self.object(*directory), Change::Put { name: name.clone(), object });
            }
            Event::Rename { from, old, to, new } => {
                assert_eq!(from, to, "a rename from one directory to another is not modelled");
                let directory = self.object(*from);
                let object = self.objects[directory].seen[old];
                self.change(directory, Change::Move { old: old.clone(), new: new.clone(), object });
            }
            Event::Unlink { directory, name } => {
                self.change(self.object(*directory), Change::Remove { name: name.clone() });
            }
            Event::SyncBegins { number, inode } => {
                let object = inode.map(|inode| self.object(inode));
                self.syncs.insert(*number, (self.time, object));
            }
            Event::SyncEnds { number } => {
                let (began, object) = self.syncs.remove(number).expect("a sync that has begun");
                self.settle(began, object);
            }
            Event::Reply(_) | Event::Mark(_) => {}
        }
    }

    /// Everything of an object (or of all) that was changed before becomes certain.
    fn settle(&mut self, before: usize, synced: Option<usize>) {
        for (number, object) in self.objects.iter_mut().enumerate() {
            let by_journal = self.entries == Entries::Journal && matches!(object.certain, Content::Directory(_));
            if synced.is_none_or(|synced| synced == number) || by_journal {
                let done = object.pending.partition_point(|(time, _)| *time < before);
                for (_, change) in object.pending.drain(..done) {
                    object.certain.apply(&change, |_| true);
                }
            }
        }
    }

    /// How many changes may be lost now.
    pub fn pending(&self) -> usize {
        self.objects.iter().map(|object| object.pending.len()).sum()
    }

    /// What the disk holds if the power goes now.
    pub fn power_loss(&self, luck: Luck) -> State {
        let mut dice = Dice::new(luck);
        // With a journal, names are lost from some moment on.
        let names_until = (self.entries == Entries::Journal).then(|| dice.moment(self));
        let mut files: Vec<Option<Content>> = (0..self.objects.len()).map(|_| None).collect();
        let mut state = State::new();
        self.collect(0, Path::new(""), &mut files, &mut dice, names_until, &mut state);
        state
    }

    fn collect(
        &self,
        object: usize,
        path: &Path,
        contents: &mut Vec<Option<Content>>,
        dice: &mut Dice,
        names_until: Option<usize>,
        state: &mut State,
    ) {
        // Once for each file, however many names it has.
        if contents[object].is_none() {
            contents[object] = Some(self.objects[object].after_power_loss(dice, names_until));
        }
        match contents[object].take() {
            Some(Content::File(octets)) => {
                contents[object] = Some(Content::File(octets.clone()));
                state.insert(path.to_owned(), Some(octets));
            }
            Some(Content::Directory(names)) => {
                state.insert(path.to_owned(), None);
                for (name, object) in names {
                    self.collect(object, &path.join(name), contents, dice, names_until, state);
                }
            }
            None => {}
        }
    }
}

impl Object {
    fn after_power_loss(&self, dice: &mut Dice, names_until: Option<usize>) -> Content {
        let mut content = self.certain.clone();
        for (time, change) in &self.pending {
            match (change, names_until) {
                (Change::Write { .. } | Change::Truncate { .. }, _) => {
                    if dice.octets() {
                        let torn = dice.torn();
                        content.apply(change, |_| !torn || dice.even());
                    }
                }
                (_, until) => {
                    if until.map_or_else(|| dice.names(), |until| *time < until) {
                        content.apply(change, |_| true);
                    }
                }
            }
        }
        content
    }
}

impl Content {
    /// Does a change; of a write only the sectors for which `sector` says yes.
    fn apply(&mut self, change: &Change, mut sector: impl FnMut(usize) -> bool) {
        match (self, change) {
            (Content::File(file), Change::Write { offset, octets }) => {
                let mut at = *offset;
                let end = offset + octets.len();
                while at < end {
                    let next = ((at / SECTOR + 1) * SECTOR).min(end);
                    if sector(at / SECTOR) {
                        if file.len() < next {
                            file.resize(next, 0);
                        }
                        file[at..next].copy_from_slice(&octets[at - offset..next - offset]);
                    }
                    at = next;
                }
            }
            (Content::File(file), Change::Truncate { length }) => file.resize(*length, 0),
            (Content::Directory(names), Change::Put { name, object }) => drop(names.insert(name.clone(), *object)),
            (Content::Directory(names), Change::Move { old, new, object }) => {
                names.remove(old);
                names.insert(new.clone(), *object);
            }
            (Content::Directory(names), Change::Remove { name }) => drop(names.remove(name)),
            (content, change) => panic!("{change:?} of {content:?}"),
        }
    }
}

/// Decides; the same for the same number (an xorshift generator, as good as needed here).
struct Dice {
    luck: Luck,
    state: u64,
    /// Of 256: how likely a change is there, and how likely a write is torn.
    done: u64,
    tearing: u64,
}

impl Dice {
    fn new(luck: Luck) -> Self {
        let mut dice = Dice { luck, state: 1, done: 0, tearing: 0 };
        if let Luck::Dice(seed) = luck {
            dice.state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            dice.done = [16, 128, 240][(dice.next() % 3) as usize];
            dice.tearing = [0, 64, 200][(dice.next() % 3) as usize];
        }
        dice
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state >> 16
    }

    fn even(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    fn torn(&mut self) -> bool {
        matches!(self.luck, Luck::Dice(_)) && self.next() % 256 < self.tearing
    }

    fn octets(&mut self) -> bool {
        match self.luck {
            Luck::Nothing | Luck::Names => false,
            Luck::Everything | Luck::Octets => true,
            Luck::Dice(_) => self.next() % 256 < self.done,
        }
    }

    fn names(&mut self) -> bool {
        match self.luck {
            Luck::Nothing | Luck::Octets => false,
            Luck::Everything | Luck::Names => true,
            Luck::Dice(_) => self.next() % 256 < self.done,
        }
    }

    /// Up to which event names are there.
    fn moment(&mut self, disk: &Disk) -> usize {
        let of_names = |object: &&Object| matches!(object.certain, Content::Directory(_));
        let pending = disk.objects.iter().filter(of_names).flat_map(|object| object.pending.iter().map(|one| one.0));
        let first = pending.min().unwrap_or(disk.time);
        match self.luck {
            Luck::Nothing | Luck::Octets => 0,
            Luck::Everything | Luck::Names => usize::MAX,
            Luck::Dice(_) => first + (self.next() as usize) % (disk.time - first + 2),
        }
    }
}
