//! What a new plugin begins with. Each file is a real one in `skeleton/`, for a mail server called acme; tests build it.

/// A language that plugins are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// Rust, with Cargo
    Rust,
    /// C11, with make
    C,
}

/// The interface in C.
const HEADER: &str = "postrider_plugin.h";

/// A file of a new plugin.
#[derive(Debug)]
pub(super) struct File {
    /// Relative.
    pub(super) path: String,
    pub(super) text: String,
}

/// All files. `api` is where the Rust crate of the interface lies, if not in a registry.
pub(super) fn files(language: Language, name: &str, api: Option<&str>) -> Vec<File> {
    let file = |path: &str, text: &str| File { path: named(path, name), text: named(text, name) };
    match language {
        Language::Rust => {
            let manifest = file("Cargo.toml", include_str!("skeleton/rust/Cargo.toml.in"));
            let place = api.map_or_else(String::new, |path| format!(", path = \"{path}\""));
            let dependency = |more: &str| format!("postrider-plugin-api = {{ version = \"1\"{place}{more} }}");
            let manifest = manifest
                .text
                .replace("@API@", &dependency(""))
                .replace("@TESTING@", &dependency(", features = [\"testing\"]"))
                .replace("{ version = \"1\" }", "\"1\"");
            vec![
                File { path: "Cargo.toml".to_owned(), text: manifest },
                file("src/lib.rs", include_str!("skeleton/rust/lib.rs")),
                file("README.md", include_str!("skeleton/rust/README.md")),
                file(".gitignore", include_str!("skeleton/rust/gitignore")),
            ]
        }
        Language::C => vec![
            file("acme.c", include_str!("../../../../plugins/examples/c/acme.c")),
            // Beside it, so that it builds anywhere; it is the same for every plugin.
            File {
                path: HEADER.to_owned(),
                text: include_str!("../../../../packaging/include/postrider_plugin.h").to_owned(),
            },
            file("Makefile", include_str!("../../../../plugins/examples/c/Makefile")),
            file("README.md", include_str!("../../../../plugins/examples/c/README.md")),
            file(".gitignore", include_str!("skeleton/gitignore-c")),
        ],
    }
}

/// What to type in the new directory.
pub(super) fn next_steps(language: Language, name: &str) -> Vec<String> {
    let (build, library) = match language {
        Language::Rust => ("cargo build --release", format!("target/release/libpostrider_{name}.so")),
        Language::C => ("make", format!("libpostrider_{name}.so")),
    };
    vec![build.to_owned(), format!("postrider plugin check {library}")]
}

/// With the plugin's name in place of acme's.
fn named(text: &str, name: &str) -> String {
    let mut capital = name.to_owned();
    if let Some(first) = capital.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text.replace("ACME", &name.to_ascii_uppercase()).replace("Acme", &capital).replace("acme", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_speaks_of_acme_any_more() {
        for language in [Language::Rust, Language::C] {
            for file in files(language, "opensmtpd", None).iter().filter(|file| file.path != HEADER) {
                assert!(!file.path.contains("acme") && !file.text.to_lowercase().contains("acme"), "{}", file.path);
            }
        }
    }

    #[test]
    fn the_interface_comes_from_a_registry_or_from_a_directory() {
        let manifest = |api| files(Language::Rust, "x", api).remove(0).text;
        assert!(manifest(None).contains("\npostrider-plugin-api = \"1\"\n"));
        let local = manifest(Some("/src/plugin-api"));
        assert!(local.contains("postrider-plugin-api = { version = \"1\", path = \"/src/plugin-api\" }"), "{local}");
        assert!(!local.contains('@'));
    }
}
