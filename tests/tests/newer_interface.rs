//! A plugin that was built against a later minor version of the interface works in this host.
//!
//! The later version is made here: a copy of `plugin-api` that has grown in each of the ways that its
//! rules allow, and uses what it has gained. (The other direction, an older plugin in a newer host, is
//! the same comparison turned round; `host/src/plugins/load.rs` tests it.)
#![allow(clippy::unwrap_used)] // tests

use postrider::config::AdapterName;
use postrider::plugins::{AdapterLog, PluginRegistry};
use postrider_plugin_api::sdk::{Batch, Outcome, Settings};
use postrider_tests::fixtures::{PluginDir, repository, target_dir};
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn a_plugin_of_a_newer_minor_version_works() {
    let dir = PluginDir::new();
    let newer = build_with_interface_1_1();
    // In either order, and beside each other: a comparison leaves nothing behind for the next one.
    let as_newer = dir.install_bytes("newer", &newer);
    let as_good = dir.install("good");
    for files in [[&as_newer, &as_good], [&as_good, &as_newer]] {
        let registry = PluginRegistry::new(Vec::new());
        for file in files {
            let name = AdapterName::File { file: file.clone(), adapter: "Memory".to_owned() };
            let log = Box::new(AdapterLog::new("Memory"));
            let adapter = registry.outgoing(&name, log, &Settings::default()).unwrap();
            let results = adapter.deliver(Batch::new("", &["a@x"], b"")).unwrap();
            assert_eq!(results[0].outcome, Outcome::Delivered);
        }
    }

    let dir = PluginDir::new();
    dir.install_bytes("good", &newer);
    let list = PluginRegistry::new(vec![dir.path().to_owned()]).list();
    assert_eq!(list[0].usable.as_ref().unwrap().api_version, "1.1.0");
}

fn build_with_interface_1_1() -> Vec<u8> {
    let work = target_dir().join("newer-interface");
    let tree = work.join("tree");
    let _ = fs::remove_dir_all(&tree);
    copy(&repository().join("plugin-api"), &tree.join("plugin-api"));
    copy(&repository().join("tests/plugins/good"), &tree.join("tests/plugins/good"));
    fs::copy(repository().join("Cargo.lock"), tree.join("Cargo.lock")).unwrap();
    let workspace = "[workspace]\nresolver = \"2\"\nmembers = [\"plugin-api\", \"tests/plugins/good\"]\n";
    fs::write(tree.join("Cargo.toml"), workspace).unwrap();

    let api = tree.join("plugin-api");
    replace(&api.join("Cargo.toml"), "version = \"1.0.0\"", "version = \"1.1.0\"");
    // A field at the end of the plugin,
    let adapters = "pub adapters: RSlice<'static, Adapter_Ref>,";
    replace(&api.join("src/abi/plugin.rs"), adapters, &format!("{adapters} pub license: RStr<'static>,"));
    let adapters = "adapters: RSlice::from_slice(Box::leak(adapters.into_boxed_slice())),";
    replace(&api.join("src/export.rs"), adapters, &format!("{adapters} license: \"MIT\".into(),"));
    // a method at the end of an object of the host, which the plugin calls,
    let log = "fn log(&self, level: LogLevel, message: RStr<'_>);";
    let metric = "fn metric(&self, _name: RStr<'_>) -> bool { let lacking = false; lacking }";
    replace(&api.join("src/abi/objects.rs"), log, &format!("{log} {metric}"));
    let adopt = "let host = Arc::new(host);";
    replace(&api.join("src/shim.rs"), adopt, &format!("{adopt} assert!(!host.metric(\"made\".into()));"));
    // and a method at the end of an object of the plugin.
    let deliver = "fn deliver(&self, batch: Batch<'_>) -> Res<RVec<RecipientResult>>;";
    let flush = "fn flush(&self) -> bool { let lacking = false; lacking }";
    replace(&api.join("src/abi/objects.rs"), deliver, &format!("{deliver} {flush}"));

    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "postrider-plugin-good"])
        .env("CARGO_TARGET_DIR", work.join("target"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .current_dir(&tree)
        .status()
        .unwrap();
    assert!(status.success());
    fs::read(work.join("target/debug/libpostrider_good.so")).unwrap()
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{}: {from}", file.display());
    fs::write(file, text.replace(from, to)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
