//! `postrider plugin new`: what it makes builds outside this tree and passes `postrider plugin check` at once.
#![allow(clippy::unwrap_used)] // tests

use postrider_tests::fixtures::{repository, target_dir};
use postrider_tests::installation::build_dir;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn postrider(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(build_dir().join("postrider"))
        .args(arguments)
        .env_remove("POSTRIDER_CONFIG")
        .current_dir(directory)
        .output()
        .unwrap()
}

fn succeeds(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}

/// Cargo in a new plugin, without the network. What this tree has built already is not built again.
fn cargo(plugin: &Path, arguments: &[&str]) {
    fs::copy(repository().join("Cargo.lock"), plugin.join("Cargo.lock")).unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).arg("--offline").current_dir(plugin).env("CARGO_TARGET_DIR", target_dir());
    for profile in ["DEV", "TEST"] {
        command.env(format!("CARGO_PROFILE_{profile}_DEBUG"), "line-tables-only");
    }
    succeeds(&command.output().unwrap());
}

fn passes_the_check(here: &Path, library: &Path) {
    let output = postrider(here, &["plugin", "check", library.to_str().unwrap(), "--lists", "2000"]);
    let text = succeeds(&output);
    assert!(text.ends_with(" 0 with a warning, 0 failed, 0 skipped\n"), "{text}");
}

#[test]
fn a_new_plugin_in_rust_is_tested_built_and_passes() {
    let here = tempfile::tempdir().unwrap();
    let said = succeeds(&postrider(here.path(), &["plugin", "new", "pigeon"]));
    assert!(said.contains("cargo build --release") && said.contains("postrider plugin check"), "{said}");

    // Until the crate is in a registry, as everybody can build it who has the source somewhere.
    let plugin = here.path().join("postrider-plugin-pigeon");
    let api = repository().join("plugin-api");
    let patch = format!("patch.crates-io.postrider-plugin-api.path={:?}", api.to_str().unwrap());
    cargo(&plugin, &["test", "--config", &patch]);
    cargo(&plugin, &["build", "--config", &patch]);
    passes_the_check(here.path(), &target_dir().join("debug/libpostrider_pigeon.so"));
}

#[test]
fn with_the_place_of_the_interface_it_builds_without_more() {
    let here = tempfile::tempdir().unwrap();
    let api = repository().join("plugin-api");
    let arguments = ["plugin", "new", "raven", "--dir", "my-raven", "--api", api.to_str().unwrap()];
    succeeds(&postrider(here.path(), &arguments));
    cargo(&here.path().join("my-raven"), &["build"]);
    passes_the_check(here.path(), &target_dir().join("debug/libpostrider_raven.so"));

    let text = fs::read_to_string(here.path().join("my-raven/src/lib.rs")).unwrap();
    assert!(text.contains("name: \"raven\"") && !text.to_lowercase().contains("acme"));
}

#[test]
fn a_new_plugin_in_c_is_built_and_passes() {
    let here = tempfile::tempdir().unwrap();
    let said = succeeds(&postrider(here.path(), &["plugin", "new", "dove", "--lang", "c"]));
    assert!(said.contains("make"), "{said}");
    let plugin = here.path().join("postrider-plugin-dove");
    succeeds(&Command::new("make").current_dir(&plugin).output().unwrap());
    passes_the_check(here.path(), &plugin.join("libpostrider_dove.so"));
}

#[test]
fn what_cannot_be_made_leaves_nothing_behind() {
    let here = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], words: &str| {
        let mut all = vec!["plugin", "new"];
        all.extend(arguments);
        let output = postrider(here.path(), &all);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(words), "{arguments:?}: {text}");
    };
    refused(&["Open-SMTPD"], "open_smtpd would do");
    refused(&["../x"], "names have only a-z, 0-9 and _");
    refused(&["null"], "means something else");
    refused(&["x", "--lang", "cobol"], "cobol");
    refused(&["x", "--dir", "missing/x"], "nothing can be written in missing");
    refused(&["x", "--api", "nowhere"], "nowhere/Cargo.toml cannot be read");
    refused(&["x", "--api", repository().join("host").to_str().unwrap()], "is not that of postrider-plugin-api");
    refused(&["x", "--lang", "c", "--api", "nowhere"], "needs no crate");
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0);

    fs::create_dir(here.path().join("postrider-plugin-x")).unwrap();
    fs::write(here.path().join("postrider-plugin-x/mine"), "mine").unwrap();
    refused(&["x"], "postrider-plugin-x exists already");
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(here.path().join("postrider-plugin-x/mine")).unwrap(), "mine");
}

#[test]
fn a_new_plugin_has_the_usual_permissions() {
    let here = tempfile::tempdir().unwrap();
    succeeds(&postrider(here.path(), &["plugin", "new", "wren"]));
    let mode = |path: &str| fs::metadata(here.path().join(path)).unwrap().permissions().mode() & 0o700;
    assert_eq!(mode("postrider-plugin-wren"), 0o700);
    assert_eq!(fs::metadata(here.path().join("postrider-plugin-wren")).unwrap().permissions().mode() & 0o055, 0o055);
    for file in ["Cargo.toml", "src/lib.rs", "README.md", ".gitignore"] {
        assert_eq!(mode(&format!("postrider-plugin-wren/{file}")), 0o600, "{file}");
    }
}
