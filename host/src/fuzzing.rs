//! What `tests/fuzz` feeds with arbitrary octets: each target runs the real code and compares it with
//! something plain, written without a look at it.
//!
//! A target panics when a promise is broken; anything else is fine. Every file of
//! `tests/fuzz/corpus/NAME` and `tests/fuzz/regressions/NAME` is an input of the target NAME and is run by
//! an ordinary test, so that the targets work, and old findings stay mended, without libFuzzer too.

mod addresses;
mod configuration;
mod pieces;

pub(crate) use pieces::Pieces;

use std::cell::OnceCell;

/// One target.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name of its program and its folders.
    pub name: &'static str,
    /// Takes any input.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 6] = [
    Target { name: "lmtp_session", run: crate::lmtp::fuzzing::session },
    Target { name: "replies", run: crate::deliver::fuzzing::replies },
    Target { name: "dialogue", run: crate::deliver::fuzzing::dialogue },
    Target { name: "addresses", run: addresses::run },
    Target { name: "headers", run: crate::post::fuzzing::headers },
    Target { name: "configuration", run: configuration::run },
];

/// Runs the target of this name; the fuzz programs call it.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("a target of this name").run)(input);
}

/// Runs a future on a runtime that each thread makes once.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: OnceCell<tokio::runtime::Runtime> = const { OnceCell::new() };
    }
    RUNTIME.with(|runtime| {
        let new = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.get_or_init(new).block_on(future)
    })
}

/// `true` when every CR stands before an LF and every LF behind a CR.
pub(crate) fn has_only_crlf(octets: &[u8]) -> bool {
    octets.iter().enumerate().all(|(at, octet)| match octet {
        b'\r' => octets.get(at + 1) == Some(&b'\n'),
        b'\n' => at > 0 && octets[at - 1] == b'\r',
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::panic::catch_unwind;
    use std::path::{Path, PathBuf};

    fn folder(kind: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz").join(kind)
    }

    fn inputs(kind: &str, target: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(folder(kind).join(target)) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
        files.sort();
        files
    }

    #[test]
    fn every_input_that_was_kept_still_keeps_the_promises() {
        let mut failed = Vec::new();
        for target in TARGETS {
            let corpus = inputs("corpus", target.name);
            assert!(corpus.len() >= 5, "tests/fuzz/corpus/{} has only {} files", target.name, corpus.len());
            for file in corpus.into_iter().chain(inputs("regressions", target.name)) {
                let octets = fs::read(&file).expect("input");
                if catch_unwind(|| (target.run)(&octets)).is_err() {
                    failed.push(file);
                }
            }
        }
        assert!(failed.is_empty(), "the promises are broken by {failed:#?}");
    }

    #[test]
    fn every_folder_and_program_of_the_fuzzers_belongs_to_a_target() {
        let is_target = |name: &str| TARGETS.iter().any(|target| target.name == name);
        for kind in ["corpus", "regressions", "targets"] {
            for entry in fs::read_dir(folder(kind)).expect("folder") {
                let path = entry.expect("entry").path();
                let name = path.file_stem().expect("name").to_string_lossy().into_owned();
                assert!(is_target(&name), "{} belongs to no target", path.display());
            }
        }
        let manifest = fs::read_to_string(folder("Cargo.toml")).expect("manifest");
        for target in TARGETS {
            assert!(
                folder("targets").join(target.name).with_extension("rs").exists(),
                "{} has no program",
                target.name
            );
            assert!(manifest.contains(&format!("name = \"fuzz-{}\"", target.name)), "{} is not built", target.name);
        }
    }

    /// Random changes of the corpus, always the same ones: what libFuzzer does, only blindly.
    #[test]
    fn small_changes_of_the_inputs_break_no_promise() {
        use rand::{Rng, SeedableRng, seq::IndexedRandom};
        let mut random = rand::rngs::StdRng::seed_from_u64(5);
        for target in TARGETS {
            let all: Vec<Vec<u8>> =
                inputs("corpus", target.name).iter().map(|file| fs::read(file).expect("input")).collect();
            for _ in 0..200 {
                let mut octets = all.choose(&mut random).expect("inputs").clone();
                for _ in 0..random.random_range(1..4) {
                    let at = random.random_range(0..=octets.len());
                    match random.random_range(0..4) {
                        0 => octets.insert(at, *b"\r\n.\0 <>\"@-:".choose(&mut random).expect("octet")),
                        1 => octets.truncate(at),
                        2 if at < octets.len() => octets[at] = random.random(),
                        _ => {
                            let other = all.choose(&mut random).expect("inputs");
                            let from = random.random_range(0..=other.len());
                            let to = random.random_range(from..=other.len());
                            octets.splice(at..at, other[from..to].iter().copied());
                        }
                    }
                }
                octets.truncate(8192);
                let shown = octets.escape_ascii().to_string();
                let broken = catch_unwind(|| (target.run)(&octets)).is_err();
                assert!(!broken, "the target {} breaks with b\"{shown}\"", target.name);
            }
        }
    }
}
