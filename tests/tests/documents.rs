//! What the documents name exists.

use postrider_tests::fixtures::repository;
use std::fs;
use std::path::Path;

const DOCUMENTS: [&str; 11] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "plugins/postfix/README.md",
    "plugins/examples/opensmtpd/README.md",
    "docs/durability.md",
    "docs/performance.md",
    "docs/writing-a-plugin.md",
    "docs/packaging-a-plugin.md",
];

fn read(document: &str) -> String {
    fs::read_to_string(repository().join(document)).expect(document)
}

/// What stands between backticks, code blocks left out.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

#[test]
fn files_that_are_named_exist() {
    let mut named = 0;
    for document in DOCUMENTS {
        let text = read(document);
        for path in code(&text).filter(|word| names_a_file(word)) {
            let homes = ["", "host/src", "plugins/examples/opensmtpd", "plugins/examples/opensmtpd/src"];
            let places = homes.map(|home| repository().join(home).join(path));
            assert!(places.iter().any(|place| place.exists()), "{document} names {path}, which does not exist");
            named += 1;
        }
    }
    assert!(named > 20, "only {named} files were found; does this test still read the documents right?");
}

/// A source file (`mod.rs` stands for many), or a folder of ours.
fn names_a_file(word: &str) -> bool {
    let source = Path::new(word).extension().is_some_and(|extension| extension == "rs") && word != "mod.rs";
    source || (word.ends_with('/') && !word.starts_with('/'))
}

#[test]
fn links_lead_somewhere() {
    for document in DOCUMENTS {
        let text = read(document);
        let folder = Path::new(document).parent().expect("a file").to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let outside = file.is_empty() || file.contains("://");
            assert!(outside || repository().join(&folder).join(file).exists(), "{document} links to {target}");
        }
    }
}

#[test]
fn the_readme_has_every_command_and_no_other() {
    let text = read("README.md");
    let definition = postrider::cli::definition();
    let commands: Vec<&str> = definition.get_subcommands().map(clap::Command::get_name).collect();
    let table = text.split("## Commands").nth(1).and_then(|rest| rest.split("\n\n").nth(1)).expect("a table");
    let shown: Vec<&str> = code(table).filter_map(|entry| entry.split_whitespace().next()).collect();
    for command in &commands {
        assert!(shown.contains(command), "README.md does not show `{command}`");
    }
    for entry in shown {
        assert!(commands.contains(&entry), "README.md shows `{entry}`, which is no command");
    }
}

/// `postrider COMMAND --option` in any document, and its options.
#[test]
fn commands_that_are_shown_can_be_typed() {
    for document in DOCUMENTS {
        let text = read(document);
        for line in text.split("postrider ").skip(1).filter_map(|rest| rest.split(['`', '\n', '#']).next()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let definition = postrider::cli::definition();
            let Some(command) = words.first().and_then(|name| definition.find_subcommand(name)) else { continue };
            for option in words.iter().filter_map(|word| word.trim_matches(['[', ']']).strip_prefix("--")) {
                let known = |command: &clap::Command| command.get_arguments().any(|arg| arg.get_long() == Some(option));
                assert!(
                    known(command) || command.get_subcommands().any(known),
                    "{document}: `postrider {line}` has an option that does not exist"
                );
            }
        }
    }
}
