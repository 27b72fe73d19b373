//! A plugin that Debian 12's own compiler built, outside this tree, works in this host.
//!
//! `tests/out-of-tree/run` builds it. It needs Debian 12's package archive and a registry of crates;
//! where they are out of reach the test is skipped with a loud line, which CI counts as a failure
//! (see `require::skip`).
#![allow(clippy::unwrap_used)] // tests

use postrider::config::AdapterName;
use postrider::plugins::{AdapterLog, PluginRegistry};
use postrider_plugin_api::sdk::{Batch, Outcome, Settings};
use postrider_tests::fixtures::{PluginDir, repository};
use postrider_tests::require::skip;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn plugins_built_by_debians_rustc_1_63_work_in_this_host() {
    let dir = PluginDir::new();
    for plugin in plugins() {
        let Some(library) = build(&plugin) else { return };
        let name = library.file_stem().unwrap().to_str().unwrap().trim_start_matches("libpostrider_").to_owned();
        dir.install_bytes(&name, &fs::read(&library).unwrap());
    }

    let registry = PluginRegistry::new(vec![dir.path().to_owned()]);
    for report in registry.list() {
        let info = report.usable.unwrap();
        assert!(info.built_with.starts_with("rustc 1.63."), "{}: {}", report.name, info.built_with);
        assert!(!info.adapters.is_empty(), "{}", report.name);
    }

    let name = AdapterName::Named { plugin: "good".to_owned(), adapter: "Memory".to_owned() };
    let adapter = registry.outgoing(&name, Box::new(AdapterLog::new("good.Memory")), &Settings::default()).unwrap();
    let batch = Batch::new("", &["a@example.org", "nobody@example.org"], b"1\r\n");
    let results = adapter.deliver(batch).unwrap();
    assert_eq!(results[0].reply, "250 2.0.0  to a@example.org, 3 octets kept");
    assert_eq!(results[1].outcome, Outcome::PermanentFailure);
}

/// The good plugin of the tests, and every plugin that comes with Postrider.
fn plugins() -> Vec<PathBuf> {
    let mut plugins: Vec<PathBuf> = fs::read_dir(repository().join("plugins"))
        .unwrap()
        .map(|entry| Path::new("plugins").join(entry.unwrap().file_name()))
        .filter(|plugin| {
            let source = fs::read_to_string(repository().join(plugin).join("src/lib.rs"));
            source.is_ok_and(|source| source.contains("export_plugin!"))
        })
        .collect();
    plugins.sort();
    plugins.insert(0, "tests/plugins/good".into());
    plugins
}

/// Builds a plugin; `None` if it cannot be done on this machine.
fn build(plugin: &Path) -> Option<PathBuf> {
    let script = repository().join("tests/out-of-tree/run");
    let output = Command::new(script).arg(plugin).env("CARGO", env!("CARGO")).stdin(Stdio::null()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => Some(stdout.lines().last().unwrap().into()),
        Some(77) => {
            skip(stderr.trim());
            None
        }
        _ => panic!("{} does not build with Debian's rustc: {stderr}", plugin.display()),
    }
}
