//! Is this file a whole shared library for this machine?
//!
//! The dynamic linker maps what the file's header promises. If the file is shorter than that, the
//! process dies of SIGBUS inside `dlopen`, so the promise is checked before.

use super::{PluginError, vet};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};
use std::fs::File;
use std::path::Path;

#[cfg(target_pointer_width = "64")]
pub(super) type NativeHeader = elf::FileHeader64<Endianness>;
#[cfg(target_pointer_width = "32")]
pub(super) type NativeHeader = elf::FileHeader32<Endianness>;

/// Refuses what is no shared library of this machine's kind, or not all of it.
#[allow(clippy::useless_conversion)] // a 32-bit header has 32-bit offsets
pub(crate) fn check(file: &Path) -> Result<(), PluginError> {
    // The program itself, also if the file of its name has been replaced since.
    let own = machine_of(Path::new("/proc/self/exe"));
    let library = ReadCache::new(File::open(file).map_err(|error| vet::unreadable(file, &error))?);
    let size = (&library).len().unwrap_or(0);

    let wrong = |found: String| PluginError::NotALibrary {
        file: file.to_owned(),
        found,
        expected: std::env::consts::ARCH.to_owned(),
    };
    let Ok(header) = NativeHeader::parse(&library) else {
        return Err(wrong(what_else(&library, size)));
    };
    let Some(endian) = header.endian().ok().filter(|endian| *endian == Endianness::default()) else {
        return Err(wrong("is a library for a machine of the other byte order".to_owned()));
    };
    let machine = header.e_machine(endian).0;
    if own.is_some_and(|own| own != machine) {
        return Err(wrong(format!("is for another machine (ELF machine number {machine})")));
    }
    if header.e_type(endian) != elf::ET_DYN {
        return Err(wrong("is an ELF file of another kind".to_owned()));
    }

    let truncated = |expected| PluginError::Truncated { file: file.to_owned(), found: size, expected };
    let table_end = u64::from(header.e_phoff(endian))
        .saturating_add(u64::from(header.e_phnum(endian)) * u64::from(header.e_phentsize(endian)));
    let segments = match header.program_headers(endian, &library) {
        Ok([]) => return Err(wrong("is an ELF file without segments".to_owned())),
        Ok(segments) => segments,
        Err(_) => return Err(truncated(table_end)),
    };
    let end = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
        .map(|segment| u64::from(segment.p_offset(endian)).saturating_add(segment.p_filesz(endian).into()))
        .max()
        .ok_or_else(|| wrong("is an ELF file without anything to load".to_owned()))?;
    if end > size { Err(truncated(end)) } else { Ok(()) }
}

/// The kind of machine that an ELF file is for.
fn machine_of(file: &Path) -> Option<u16> {
    let file = ReadCache::new(File::open(file).ok()?);
    let header = NativeHeader::parse(&file).ok()?;
    Some(header.e_machine(header.endian().ok()?).0)
}

fn what_else<'data>(file: impl ReadRef<'data>, size: u64) -> String {
    match file.read_bytes_at(0, size.min(5)) {
        Ok([]) => "is empty".to_owned(),
        Ok([0x7f, b'E', b'L', b'F', 1 | 2]) => "is an ELF file of another word size or with a bad header".to_owned(),
        _ => "is not an ELF file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_bytes(bytes: &[u8]) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        check(file.path()).map_err(|error| error.to_string().split_once(": ").unwrap().1.to_owned())
    }

    /// A 64-bit little-endian shared library with one loaded segment of `size` octets.
    fn library(size: u64) -> Vec<u8> {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut bytes = own[..64].to_vec();
        bytes[16..18].copy_from_slice(&3u16.to_le_bytes()); // ET_DYN
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes()); // e_phoff
        bytes[54..56].copy_from_slice(&56u16.to_le_bytes()); // e_phentsize
        bytes[56..58].copy_from_slice(&1u16.to_le_bytes()); // e_phnum
        let mut segment = [0u8; 56];
        segment[0..4].copy_from_slice(&1u32.to_le_bytes()); // PT_LOAD
        segment[32..40].copy_from_slice(&size.to_le_bytes()); // p_filesz
        bytes.extend(segment);
        bytes
    }

    #[test]
    fn a_whole_library_of_this_machine_passes() {
        assert_eq!(check_bytes(&library(120)), Ok(()));
    }

    #[test]
    fn a_segment_that_ends_behind_the_file_is_refused() {
        let text = "is cut short: has 120 octets, expected at least 121; install it again";
        assert_eq!(check_bytes(&library(121)), Err(text.to_owned()));
        assert!(check_bytes(&library(u64::MAX)).is_err());
        assert!(check_bytes(&library(120)[..70]).unwrap_err().starts_with("is cut short: has 70 octets"));
    }

    #[test]
    fn everything_else_is_refused_by_its_kind() {
        let refused = |bytes: &[u8], found: &str| {
            let error = check_bytes(bytes).unwrap_err();
            assert!(error.starts_with(found), "{error}");
            assert!(error.contains(&format!("expected a shared library for {}", std::env::consts::ARCH)), "{error}");
        };
        refused(b"", "is empty,");
        refused(b"#!/bin/sh\n", "is not an ELF file,");
        refused(&library(120)[..20], "is an ELF file of another word size or with a bad header,");

        let mut other = library(120);
        other[4] = 1; // 32 bit
        refused(&other, "is an ELF file of another word size or with a bad header,");
        let mut other = library(120);
        other[16] = 1; // ET_REL
        refused(&other, "is an ELF file of another kind,");
        let mut other = library(120);
        other[18..20].copy_from_slice(&0x1234u16.to_le_bytes());
        refused(&other, "is for another machine (ELF machine number 4660),");
        let mut other = library(120);
        other[64] = 2; // no PT_LOAD
        refused(&other, "is an ELF file without anything to load,");
    }
}
