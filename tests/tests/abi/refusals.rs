//! What must be refused, in one line: `docs/plugin-refusals.md`.

use super::builds::{self, Compiler};
use super::trees::{self, Interface};
use super::{document, edits, layout, matrix};
use postrider::plugins::PluginRegistry;
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
    let host = builds::host(Interface::Frozen);
    let mut plugins = build(&seen.iter().chain(&unseen).collect::<Vec<_>>()).into_iter();
    let dir = PluginDir::new();
    let answer = |plugin: PathBuf| {
        let file = dir.install_bytes("changed", &fs::read(plugin).unwrap());
        let (text, _) = matrix::loaded(&host, &[&file]);
        let text = text.split_once("\nrefused: ").unwrap_or_else(|| panic!("not refused: {text}")).1.trim_end();
        text.replace(file.to_str().unwrap(), "FILE").replace("plugin interface 1.1.", "plugin interface 1.1.N")
    };

    let mut table = "| change | what the loader says |\n|---|---|\n".to_owned();
    for change in &seen {
        let text = answer(plugins.next().unwrap());
        assert!(text.starts_with("FILE: does not fit (plugin interface 1.1.N"), "{}: {text}", change.title);
        assert_eq!(text.lines().count(), 1, "{}: {text}", change.title);
        // The number of the fixture.
        let (start, end) = text.split_once("1.1.N").unwrap();
        let end = end.trim_start_matches(|c: char| c.is_ascii_digit());
        let _ = writeln!(table, "| {} | {start}1.1.N{end} |", change.title);
    }
    document::section("docs/plugin-refusals.md", "forbidden changes", &table);

    // These pass the comparison; the fixture panics when it is started, and is never used.
    let mut list = String::new();
    for change in &unseen {
        let text = answer(plugins.next().unwrap());
        assert_eq!(text, "FILE: failed to start: it panicked; ask its author", "{}", change.title);
        let _ = writeln!(list, "- {}", change.title);
    }
    document::section("docs/plugin-refusals.md", "unseen changes", &list);
}

#[test]
fn what_no_loader_sees_the_snapshot_shows() {
    let before = layout::of_source(&trees::frozen()).unwrap();
    let (seen, unseen) = changes();
    for change in seen.iter().chain(&unseen).filter(|change| !change.script.contains("@@ Cargo.toml")) {
        let staged = tempfile::tempdir().unwrap();
        trees::copy(&trees::frozen(), staged.path());
        edits::apply(&change.script, staged.path());
        assert_ne!(layout::of_source(staged.path()).unwrap(), before, "{}", change.title);
    }
}

/// A plugin with the real `abi_stable` 0.10, which no other crate of ours uses: it has a lock file of its own.
#[test]
fn a_plugin_with_another_abi_stable_is_refused() {
    let tree = trees::work().join("trees/abi_stable_0_10");
    trees::copy(&repository().join("tests/abi/abi_stable-0.10"), &tree);
    let version = Compiler::Ours.version().unwrap();
    let built = builds::alone(|| {
        builds::kept(&tree, "abi_stable_0_10", &[&version], || {
            let target = builds::cargo_build(Compiler::Ours, &tree, &["--locked"])?;
            Ok(target.join("debug/libpostrider_old.so"))
        })
    });
    let dir = PluginDir::new();
    let file = dir.install_bytes("old", &fs::read(built.unwrap()).unwrap());
    let reports = PluginRegistry::new(vec![dir.path().to_owned()]).list();
    assert_eq!(
        reports[0].usable.as_ref().unwrap_err().to_string().replace(file.to_str().unwrap(), "FILE"),
        "FILE: is built with abi_stable 0.10, expected abi_stable 0.11; \
         build it again with postrider-plugin-api 1.0.0"
    );
}

/// The texts of `host/src/plugins/error.rs`, with what is filled in as capitals.
#[test]
fn every_refusal_is_documented() {
    let source = fs::read_to_string(repository().join("host/src/plugins/error.rs")).unwrap();
    let mut table = "| when | text |\n|---|---|\n".to_owned();
    let mut when = "";
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            when = text;
        } else if let Some(error) = line.strip_prefix("#[error(\"").and_then(|rest| rest.strip_suffix(")]")) {
            let _ = writeln!(table, "| {} | {} |", when, readable(error));
        }
    }
    document::section("docs/plugin-refusals.md", "texts", &table);
}

/// A format string and its arguments as people read it.
fn readable(error: &str) -> String {
    let (text, arguments) = error.rsplit_once("\", ").unwrap_or((error.trim_end_matches('"'), ""));
    // Without what stands in the brackets of calls, and by their commas, the arguments are names.
    let mut depth = 0;
    let flat: String = arguments
        .chars()
        .filter(|c| {
            depth += i32::from(*c == '(') - i32::from(*c == ')');
            depth == 0 && *c != ')'
        })
        .collect();
    let mut names = flat.split(',').map(|name| name.trim().trim_end_matches(".display").to_uppercase());
    let mut readable = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}').unwrap();
        let name = inside.split(':').next().unwrap().to_uppercase();
        readable += before;
        readable += &if name.is_empty() { names.next().unwrap_or_default() } else { name };
        rest = after;
    }
    (readable + rest).replace("\\\"", "\"").replace('|', "\\|")
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
    let target = builds::alone(|| builds::cargo_build(Compiler::Ours, &tree, &[])).unwrap();
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
