//! `packaging/include/postrider_plugin.h` is what cbindgen makes of `plugin-api/src/c`, and a good header.
//!
//! `WRITE_HEADER=1 cargo test -p postrider-tests --test c_header` writes it anew.
#![allow(clippy::unwrap_used)] // tests

use postrider_tests::fixtures::repository;
use regex::Regex;
use std::collections::BTreeMap;
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

// ---- What was published as 1.0 stays as it was

/// What a header declares: constants with their values, structs with their fields, and all else, in one form.
#[derive(Default)]
struct Declared {
    constants: BTreeMap<String, String>,
    structs: BTreeMap<String, Vec<String>>,
    others: Vec<String>,
}

impl Declared {
    fn by(header: &str) -> Self {
        let comment = Regex::new(r"(?s)/\*.*?\*/|//[^\n]*").unwrap();
        let blanks = Regex::new(r"\s+").unwrap();
        let in_one_form = |text: &str| blanks.replace_all(text.trim(), " ").into_owned();
        let mut declared = Declared::default();
        let mut statements = String::new();
        for line in comment.replace_all(header, "").replace("\\\n", " ").lines() {
            match line.strip_prefix("#define ") {
                Some(constant) => {
                    let (name, value) = constant.trim().split_once(' ').unwrap_or((constant.trim(), ""));
                    // Some have one value for each compiler.
                    let values = declared.constants.entry(name.to_owned()).or_default();
                    values.push_str(&in_one_form(value));
                    values.push('\n');
                }
                None if line.trim_start().starts_with('#') => {}
                None => statements.extend([line, "\n"]),
            }
        }
        let definition = Regex::new(r"(?s)typedef struct (\w+) \{(.*?)\} \w+;").unwrap();
        for found in definition.captures_iter(&statements) {
            let fields = found[2].split(';').map(in_one_form).filter(|field| !field.is_empty()).collect();
            declared.structs.insert(found[1].to_owned(), fields);
        }
        let rest = definition.replace_all(&statements, "");
        declared.others = rest.split(';').map(in_one_form).filter(|one| !one.is_empty()).collect();
        declared
    }

    /// What was there and is not as it was. Appending is no difference.
    fn lost_in(&self, later: &Declared) -> Vec<String> {
        let constants = self.constants.iter().filter(|(name, value)| {
            // The version itself grows.
            *name != "POSTRIDER_INTERFACE" && later.constants.get(*name) != Some(value)
        });
        let constants = constants.map(|(name, value)| format!("{name} is no longer {}", value.trim()));
        let structs = self.structs.iter().filter_map(|(name, fields)| {
            let now = later.structs.get(name).map_or(&[][..], Vec::as_slice);
            let at = (0..fields.len()).find(|at| now.get(*at) != fields.get(*at))?;
            Some(format!("field {} of {name} is no longer `{}`", at + 1, fields[at]))
        });
        let others = self.others.iter().filter(|one| !later.others.contains(one));
        constants.chain(structs).chain(others.map(|one| format!("`{one}` is gone"))).collect()
    }
}

#[test]
fn what_was_published_as_1_0_is_only_appended_to() {
    let published = fs::read_to_string(repository().join("tests/abi/postrider_plugin-1.0.h")).unwrap();
    let published = Declared::by(&published);
    assert!(published.constants.len() > 50 && published.structs.len() > 20 && published.others.len() > 3);
    let lost = published.lost_in(&Declared::by(&generated()));
    assert!(
        lost.is_empty(),
        "plugins in C that exist would read wrong what the host means; append instead (plugin-api/src/c): {lost:#?}"
    );
}

#[test]
fn every_change_that_is_no_addition_is_seen() {
    let header = generated();
    let published = Declared::by(&header);
    let lost = |from: &str, to: &str| {
        assert_eq!(header.matches(from).count(), 1, "{from}");
        published.lost_in(&Declared::by(&header.replacen(from, to, 1)))
    };
    assert_eq!(lost("#define POSTRIDER_FAILED 1", "#define POSTRIDER_FAILED 7"), ["POSTRIDER_FAILED is no longer 1"]);
    assert_eq!(lost("    uint32_t smtp_utf8;\n} postrider_envelope;", "} postrider_envelope;").len(), 1);
    assert_eq!(lost("    uint32_t eight_bit;", "    uint16_t eight_bit;").len(), 1);
    assert_eq!(lost("    uint32_t eight_bit;", "    uint32_t more;\n    uint32_t eight_bit;").len(), 1);
    assert_eq!(lost("typedef uint32_t postrider_status;", "typedef uint64_t postrider_status;").len(), 1);
    let none: [String; 0] = [];
    assert_eq!(lost("} postrider_envelope;", "    const char *more;\n} postrider_envelope;"), none);
    assert_eq!(lost("#define POSTRIDER_OK 0", "#define POSTRIDER_OK 0\n#define POSTRIDER_MORE 99"), none);
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
    // A field that is appended must not land where an older side has padding, which has no value.
    #[cfg(target_pointer_width = "64")]
    compile("cc", "a.c", &["-std=c11", "-Wpadded"]);
    compile("c++", "a.cc", &["-std=c++11"]);
    compile("c++", "a.cc", &["-std=c++17", "-Wold-style-cast"]);
}
