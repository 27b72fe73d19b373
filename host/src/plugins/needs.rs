//! What a library exports, and where the dynamic linker would look for what it needs: read from the file, before
//! anything of it runs.
//!
//! That protects from mistakes, not from malice: whoever may write the file (`vet.rs`) may write another table of
//! sections into it. A file without such a table is left to the dynamic linker.

use super::PluginError;
use super::elf::NativeHeader;
use super::vet::{Trust, unreadable, vet_way, vet_way_to_be};
use object::elf;
use object::read::elf::{FileHeader, SectionTable, Sym};
use object::{Endianness, ReadCache, ReadRef};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Refuses a library that exports none of these symbols, or that has what it needs searched where somebody else
/// could put it.
pub(crate) fn check(file: &Path, symbols: &[&str], trust: Trust) -> Result<(), PluginError> {
    let library = ReadCache::new(File::open(file).map_err(|error| unreadable(file, &error))?);
    let Ok(header) = NativeHeader::parse(&library) else { return Ok(()) };
    let endian = Endianness::default();
    let Ok(sections) = header.sections(endian, &library) else { return Ok(()) };
    if !exports_any(&sections, &library, symbols).unwrap_or(true) {
        return Err(PluginError::NotAPlugin { file: file.to_owned() });
    }
    let Searched { places, names } = searched(&sections, &library, file).unwrap_or_default();
    for place in &places {
        vet_search(file, place, vet_way_to_be(file, place, trust))?;
        // Whoever may write the file itself need not be able to write its directory.
        for library in names.iter().map(|name| place.join(name)).filter(|library| library.exists()) {
            vet_search(file, &library, vet_way(file, &library, trust).map(drop))?;
        }
    }
    Ok(())
}

/// Nothing if that cannot be told.
fn exports_any<'d, R: ReadRef<'d>>(
    sections: &SectionTable<'d, NativeHeader, R>,
    library: R,
    wanted: &[&str],
) -> Option<bool> {
    let endian = Endianness::default();
    let table = sections.symbols(endian, library, elf::SHT_DYNSYM).ok().filter(|table| !table.is_empty())?;
    let exported = table.iter().filter(|symbol| symbol.st_shndx(endian).0 != elf::SHN_UNDEF.0);
    let mut names = exported.filter_map(|symbol| symbol.name(endian, table.strings()).ok());
    Some(names.any(|name| wanted.iter().any(|wanted| wanted.as_bytes() == name)))
}

/// What the dynamic linker would take besides the system's own libraries.
#[derive(Default)]
struct Searched {
    /// The library's own search path (`DT_RUNPATH`, `DT_RPATH`), and what it needs by a path.
    places: Vec<PathBuf>,
    /// What it needs by a name, and would be searched there.
    names: Vec<PathBuf>,
}

/// As ld.so(8) reads it.
fn searched<'d, R: ReadRef<'d>>(
    sections: &SectionTable<'d, NativeHeader, R>,
    library: R,
    file: &Path,
) -> Option<Searched> {
    let endian = Endianness::default();
    let table = sections.dynamic_table(endian, library).ok()?;
    let origin = file.parent()?.as_os_str().as_bytes();
    let path = |text: &[u8]| PathBuf::from(OsStr::from_bytes(&with_origin(text, origin)));
    let mut searched = Searched::default();
    for entry in &table {
        let Ok(text) = table.string(entry) else { continue };
        match entry.tag {
            elf::DT_RUNPATH | elf::DT_RPATH => searched.places.extend(text.split(|octet| *octet == b':').map(path)),
            elf::DT_NEEDED if text.contains(&b'/') => searched.places.push(path(text)),
            elf::DT_NEEDED => searched.names.push(OsStr::from_bytes(text).into()),
            _ => {}
        }
    }
    Some(searched)
}

/// Puts the directory of the library for `$ORIGIN` and `${ORIGIN}`.
fn with_origin(text: &[u8], origin: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(start) = memchr::memchr(b'$', rest) {
        out.extend_from_slice(&rest[..start]);
        rest = &rest[start..];
        let name = [b"${ORIGIN}".as_slice(), b"$ORIGIN"].into_iter().find(|name| rest.starts_with(name));
        let (put, taken) = name.map_or((&rest[..1], 1), |name| (origin, name.len()));
        out.extend_from_slice(put);
        rest = &rest[taken..];
    }
    out.extend_from_slice(rest);
    out
}

fn vet_search(file: &Path, place: &Path, judged: Result<(), PluginError>) -> Result<(), PluginError> {
    let refused =
        |reason: String| Err(PluginError::SearchPath { file: file.to_owned(), place: place.to_owned(), reason });
    if !place.is_absolute() {
        return refused("which is no absolute path".to_owned());
    }
    if place.as_os_str().as_bytes().contains(&b'$') {
        return refused("where the dynamic linker puts something for the dollar sign".to_owned());
    }
    match judged {
        Err(PluginError::Owner { place, uid, .. }) => {
            refused(format!("where {} is owned by user id {uid}", place.display()))
        }
        Err(PluginError::Writable { place, mode, .. }) => {
            refused(format!("where {} can be written by group or others (mode {mode:04o})", place.display()))
        }
        // What cannot be looked at, the dynamic linker cannot look at either.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    /// A library made by the C compiler, in a directory of ours.
    fn library(arguments: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.so");
        fs::write(
            dir.path().join("x.c"),
            "int exported = 1; static int hidden; extern int wanted; int *use(void) { return hidden ? &wanted : 0; }\n",
        )
        .unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"]).arg(&file).arg(dir.path().join("x.c")).args(arguments);
        assert!(cc.status().unwrap().success());
        (dir, file)
    }

    #[test]
    fn only_what_is_exported_counts() {
        let (_dir, file) = library(&[]);
        assert_eq!(check(&file, &["other", "exported"], Trust::RootAndUs), Ok(()));
        for absent in ["hidden", "wanted", "export", ""] {
            let refused = Err(PluginError::NotAPlugin { file: file.clone() });
            assert_eq!(check(&file, &[absent], Trust::RootAndUs), refused, "{absent}");
        }
    }

    #[test]
    fn what_a_library_needs_is_searched_only_where_nobody_else_can_put_it() {
        let open = tempfile::tempdir().unwrap();
        fs::set_permissions(open.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let told = |path: &str| {
            let (_dir, file) = library(&[&format!("-Wl,-rpath,{path}")]);
            check(&file, &["exported"], Trust::RootAndUs).map_err(|error| error.to_string())
        };
        assert_eq!(told("$ORIGIN"), Ok(()));
        assert_eq!(told("/usr/lib:${ORIGIN}/lib:/nonexistent/lib"), Ok(()));
        let error = told("/usr/lib:lib").unwrap_err();
        assert!(error.contains("has libraries searched in lib, which is no absolute path; "), "{error}");
        // An empty entry is the current directory.
        assert!(told("/usr/lib::/lib").unwrap_err().contains("which is no absolute path"));
        let place = open.path().display().to_string();
        let error = told(&format!("{place}/lib")).unwrap_err();
        assert!(error.contains(&format!("where {place} can be written by group or others (mode 0777)")), "{error}");
    }

    #[test]
    fn a_place_that_anybody_could_make_is_refused_although_it_is_not_there() {
        let told = |path: &str| {
            let (_dir, file) = library(&[&format!("-Wl,-rpath,{path}")]);
            check(&file, &["exported"], Trust::RootAndUs).map_err(|error| error.to_string())
        };
        // Sticky protects what is there; this is not.
        let error = told("/tmp/postrider-is-not-there/lib").unwrap_err();
        assert!(error.contains("where /tmp can be written by group or others (mode 1777)"), "{error}");
        let ours = tempfile::tempdir().unwrap();
        assert_eq!(told(&ours.path().join("not-there/lib").display().to_string()), Ok(()));
        let error = told("/usr/$LIB/postrider").unwrap_err();
        assert!(error.contains("for the dollar sign"), "{error}");
    }

    #[test]
    fn a_library_that_would_be_found_there_is_judged_itself() {
        let found = tempfile::tempdir().unwrap();
        let companion = found.path().join("libcompanion.so");
        let (_dir, built) = library(&["-Wl,-soname,libcompanion.so"]);
        fs::copy(built, &companion).unwrap();
        let place = found.path().display().to_string();
        let (_dir, file) =
            library(&[&format!("-L{place}"), "-Wl,--no-as-needed", "-lcompanion", &format!("-Wl,-rpath,{place}")]);
        assert_eq!(check(&file, &["exported"], Trust::RootAndUs), Ok(()));
        fs::set_permissions(&companion, fs::Permissions::from_mode(0o666)).unwrap();
        let error = check(&file, &["exported"], Trust::RootAndUs).unwrap_err().to_string();
        assert!(error.contains(&format!("where {} can be written", companion.display())), "{error}");
    }

    #[test]
    fn origin_is_the_directory_of_the_library() {
        let put = |text: &str| String::from_utf8(with_origin(text.as_bytes(), b"/p")).unwrap();
        assert_eq!(put("$ORIGIN/x:${ORIGIN}:$LIB:a$"), "/p/x:/p:$LIB:a$");
    }
}
