//! The layout of the interface does not change without a version.

use super::builds;
use super::layout;
use super::trees::{self, Interface};
use postrider_plugin_api::VERSION;
use postrider_tests::fixtures::repository;
use std::fs;
use std::process::Command;

#[test]
fn the_layout_is_that_of_its_version() {
    let now = layout::of_interface(&repository().join("plugin-api")).unwrap();
    let minor = VERSION.rsplit_once('.').unwrap().0;
    let file = repository().join(format!("tests/abi/layout-{minor}.0.txt"));
    if std::env::var_os("WRITE_LAYOUT").is_some() {
        fs::write(&file, &now).unwrap();
    }
    let Ok(released) = fs::read_to_string(&file) else {
        panic!("version {VERSION} has no frozen copy and layout; when it is complete, run tests/abi/freeze");
    };
    // The first line has the version, of which the last number may differ.
    let different = now.lines().zip(released.lines()).skip(1).find(|(now, then)| now != then);
    assert!(
        now.lines().skip(1).eq(released.lines().skip(1)),
        "the layout of the plugin interface is no longer that of {minor}.0 ({}); the first difference is {different:?}.\n\
         If something was appended as plugin-api/src/abi/mod.rs permits: give plugin-api the next minor version and \
         run tests/abi/freeze.\n\
         Everything else breaks plugins that exist: undo it, or find another way (see CONTRIBUTING.md).",
        file.display()
    );
}

#[test]
fn the_frozen_copy_has_the_frozen_layout() {
    let output = Command::new(builds::host(Interface::Frozen)).arg("layout").arg(trees::frozen()).output().unwrap();
    let released = fs::read_to_string(repository().join("tests/abi/layout-1.0.0.txt")).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), released, "a frozen copy is never changed");
}

/// Rule 3; the loader cannot see it, and a call would panic in the caller.
#[test]
fn what_is_appended_to_an_object_has_a_default_body() {
    let source = fs::read_to_string(repository().join("plugin-api/src/abi/objects.rs")).unwrap();
    let lacking = without_default_body(&source);
    assert!(lacking.is_empty(), "methods since 1.1 without a default body: {lacking:?}");

    let next = trees::work().join("trees").join(builds::name(builds::Compiler::Ours, Interface::Next));
    Interface::Next.write(&next.join("plugin-api"));
    let source = fs::read_to_string(next.join("plugin-api/src/abi/objects.rs")).unwrap();
    assert!(without_default_body(&source).is_empty());
    let broken = source
        .replace("    fn count(&self, _what: RStr<'_>, _by: u64) -> bool {", "    fn gone(&self);\n    fn count() {");
    assert_eq!(without_default_body(&broken), ["    fn gone(&self);"]);
}

/// Methods behind the mark of version 1.0 that end with `;`.
fn without_default_body(source: &str) -> Vec<&str> {
    let (mut lacking, mut since_1_1, mut marked) = (Vec::new(), false, false);
    let mut begun: Option<&str> = None;
    for line in source.lines() {
        if line.starts_with("pub trait ") {
            (since_1_1, marked) = (false, false);
        }
        marked |= line.trim() == "#[sabi(last_prefix_field)]";
        if line.starts_with("    fn ") {
            begun = Some(line);
        }
        // The end of a signature, in one line or over several.
        if let (Some(first), true) = (begun, line.ends_with(';') || line.ends_with('{')) {
            if since_1_1 && line.ends_with(';') {
                lacking.push(first);
            }
            since_1_1 |= marked;
            begun = None;
        }
    }
    lacking
}

#[test]
fn abi_stable_is_pinned_without_its_features() {
    for manifest in [repository().join("plugin-api"), trees::frozen()] {
        let text = fs::read_to_string(manifest.join("Cargo.toml")).unwrap();
        assert!(text.contains("\nabi_stable = { version = \"=0.11.3\", default-features = false }\n"), "{text}");
    }
}
