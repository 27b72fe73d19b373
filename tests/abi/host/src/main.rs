//! A host for tests: the real comparison of interfaces, and a transcript of everything that crosses.
//!
//! ```text
//! postrider-abi-host layout SOURCE-OF-THE-INTERFACE     its layout as text
//! postrider-abi-host load FILE…                         loads them in this order, then uses each
//! ```
//!
//! `load` prints `== FILE` and either the transcript or `refused: TEXT`. A transcript names neither place nor
//! compiler, so those of one pair of versions are equal whatever built the plugin.

mod layout;
#[cfg(feature = "next")]
mod next;
mod plugins;
mod site;
mod transcript;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match arguments.split_first() {
        Some((command, [source])) if command.as_os_str() == "layout" => match layout::of_interface(source) {
            Ok(text) => print!("{text}"),
            Err(error) => {
                eprintln!("{}: {error}", source.display());
                return ExitCode::FAILURE;
            }
        },
        Some((command, files)) if command.as_os_str() == "load" => load(files),
        _ => {
            eprintln!("usage: postrider-abi-host layout SOURCE | load FILE…");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn load(files: &[PathBuf]) {
    // All are loaded before the first is used.
    let loaded: Vec<_> = files.iter().map(|file| (file, plugins::load(file))).collect();
    for (file, plugin) in loaded {
        println!("== {}", file.display());
        match plugin {
            Err(error) => println!("refused: {error}"),
            Ok(plugin) => print!("{}", transcript::of(plugin)),
        }
    }
}
