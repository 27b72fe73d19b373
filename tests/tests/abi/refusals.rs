//! What must be refused, in one line: `docs/plugin-refusals.md`.

use super::builds::{self, Compiler};
use super::trees::{self, Interface};
use super::{edits, layout, matrix};
use postrider_tests::fixtures::{PluginDir, repository};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// A change of `tests/abi/forbidden.edits`.
struct Change {
    title: String,
    script: String,
}

/// Those that a loader must see, and those that it cannot.
fn changes() -> (Vec<Change>, Vec<Change>) {
    let text = fs::read_to_string(repository().join("tests/abi/forbidden.edits")).unwrap();
    let (seen, unseen) = text.split_once("\nWHAT NO LOADER SEES\n").unwrap();
    let changes = |text: &str| -> Vec<Change> {
        text.split("\n=== ")
            .skip(1)
            .map(|section| {
                let (title, script) = section.split_once('\n').unwrap();
                Change { title: title.to_owned(), script: script.to_owned() }
            })
            .collect()
    };
    (changes(seen), changes(unseen))
}

#[test]
fn every_forbidden_change_is_refused_in_one_line() {
    let (seen, unseen) = changes();
    let changes: Vec<&Change> = seen.iter().chain(&unseen).collect();
    let host = builds::host(Interface::Frozen);
    let plugins = build(&changes);
    let dir = PluginDir::new();
    let mut table = "| change | refusal |\n|---|---|\n".to_owned();
    for (number, (change, plugin)) in changes.iter().zip(plugins).enumerate() {
        let file = dir.install_bytes("changed", &fs::read(plugin).unwrap());
        let answer = matrix::load(&host, &[&file]);
        println!("{number} {}: {answer}", change.title);
        let _ = writeln!(table, "| {} | {} |", change.title, answer.replace('\n', "\\n"));
    }
    println!("{table}");
}

/// Plugins against interfaces with these changes, all built in one workspace.
fn build(changes: &[&Change]) -> Vec<PathBuf> {
    let tree = trees::work().join("trees/forbidden");
    let mut members = Vec::new();
    for (number, change) in changes.iter().enumerate() {
        // What the comparison looks at, and nothing else: the plugin is refused before it starts.
        let staged = trees::work().join("staged-forbidden");
        let _ = fs::remove_dir_all(&staged);
        trees::copy(&trees::frozen().join("src/abi"), &staged.join("src/abi"));
        trees::copy(&trees::frozen().join("src/sdk"), &staged.join("src/sdk"));
        fs::copy(trees::frozen().join("Cargo.toml"), staged.join("Cargo.toml")).unwrap();
        fs::write(staged.join("src/lib.rs"), LIB).unwrap();
        trees::set_version(&staged, "1.0.0", &format!("1.1.{number}"));
        edits::apply(&change.script, &staged);
        let manifest = fs::read_to_string(staged.join("Cargo.toml")).unwrap();
        let package = manifest.lines().find_map(|line| line.strip_prefix("name = ")).unwrap().to_owned();
        trees::copy(&staged, &tree.join(format!("interfaces/{number}")));

        let plugin = tree.join(format!("plugins/{number}"));
        let manifest = format!(
            "[package]\nname = \"changed-{number}\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n\
             [lib]\ncrate-type = [\"cdylib\"]\n\n\
             [dependencies]\ninterface = {{ path = \"../../interfaces/{number}\", package = {package} }}\n"
        );
        trees::write(&plugin.join("Cargo.toml"), manifest.as_bytes());
        trees::write(&plugin.join("src/lib.rs"), PLUGIN.as_bytes());
        members.push(format!("\"plugins/{number}\""));
    }
    let workspace =
        format!("[workspace]\nresolver = \"2\"\nmembers = [{}]\nexclude = [\"interfaces\"]\n", members.join(", "));
    trees::write(&tree.join("Cargo.toml"), workspace.as_bytes());
    if !tree.join("Cargo.lock").exists() {
        fs::copy(repository().join("Cargo.lock"), tree.join("Cargo.lock")).unwrap();
    }
    let target = builds::cargo_build(Compiler::Ours, &tree, &[]).unwrap();
    (0..changes.len()).map(|number| target.join(format!("debug/libchanged_{number}.so"))).collect()
}

const LIB: &str = "#![allow(unknown_lints, non_local_definitions, non_camel_case_types)]
pub mod abi;
pub mod sdk;
pub use abi_stable;
";

const PLUGIN: &str = "use interface::{abi::Plugin_Ref, abi_stable::library::*};

fn root() -> Plugin_Ref {
    panic!(\"a plugin that does not fit must not be started\")
}

extern \"C\" fn load() -> RootModuleResult {
    __call_root_module_loader(root)
}

#[no_mangle]
#[allow(non_upper_case_globals)]
pub static _1as_0lib_1header_0root_bmodule_bloader: LibHeader =
    unsafe { LibHeader::from_constructor::<Plugin_Ref>(load, CheckTypeLayout::Yes) };
";
