//! `packaging/include/postrider_plugin.h` is what cbindgen makes of `plugin-api/src/c`, and a good header.
//!
//! `WRITE_HEADER=1 cargo test -p postrider-tests --test c_header` writes it anew.
#![allow(clippy::unwrap_used)] // tests

use postrider_tests::fixtures::repository;
use std::fs;
use std::process::Command;

/// What cbindgen makes of the definition now.
fn generated() -> String {
    let plugin_api = repository().join("plugin-api");
    let config = cbindgen::Config::from_file(plugin_api.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in ["constants.rs", "data.rs", "host.rs", "plugin.rs"] {
        builder = builder.with_src(plugin_api.join("src/c").join(file));
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn the_header_is_what_the_definition_says() {
    let file = repository().join("packaging/include/postrider_plugin.h");
    let generated = generated();
    if std::env::var_os("WRITE_HEADER").is_some() {
        fs::write(&file, &generated).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    let difference =
        generated.lines().zip(committed.lines().chain(std::iter::repeat(""))).find(|(new, old)| new != old);
    assert!(
        generated == committed,
        "{} is behind plugin-api/src/c, first at {difference:?}; run WRITE_HEADER=1 cargo test -p postrider-tests \
         --test c_header",
        file.display()
    );
}

/// Compiles a file that includes the header and nothing else.
fn compile(compiler: &str, name: &str, arguments: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join(name);
    fs::write(
        &source,
        "#include \"postrider_plugin.h\"\n#include \"postrider_plugin.h\"\nint main(void) { return 0; }\n",
    )
    .unwrap();
    let output = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wshadow", "-fsyntax-only"])
        .args(arguments)
        .arg("-I")
        .arg(repository().join("packaging/include"))
        .arg(source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}; run tests/setup"));
    assert!(output.status.success(), "{compiler} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn it_can_be_included_from_c11_and_from_cpp() {
    compile("cc", "a.c", &["-std=c11", "-Wstrict-prototypes"]);
    compile("cc", "a.c", &["-std=c99"]);
    compile("c++", "a.cc", &["-std=c++11"]);
    compile("c++", "a.cc", &["-std=c++17", "-Wold-style-cast"]);
}
