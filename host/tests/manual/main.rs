//! The manual pages and shell completions in `packaging/` are made here, from the command line's
//! definition and the tables of settings, and are always those of this source.
//!
//! `WRITE_MAN=1 cargo test -p postrider --test manual` writes them.

mod commands;
mod roff;
mod settings;

use clap_complete::Shell;
use std::path::Path;
use std::process::{Command, Stdio};

/// Each file below `packaging/` with what it has to contain.
fn files() -> Vec<(&'static str, String)> {
    let mut files = vec![("man/postrider.1", commands::page()), ("man/postrider.cfg.5", settings::page())];
    for (file, shell) in [
        ("completions/postrider.bash", Shell::Bash),
        ("completions/_postrider", Shell::Zsh),
        ("completions/postrider.fish", Shell::Fish),
    ] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut postrider::cli::definition(), "postrider", &mut script);
        files.push((file, String::from_utf8(script).expect("scripts are text")));
    }
    files
}

#[test]
fn packaged_manual_pages_and_completions_are_those_of_this_source() {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
    for (file, wanted) in files() {
        let path = packaging.join(file);
        if std::env::var_os("WRITE_MAN").is_some() {
            std::fs::write(&path, &wanted).expect("packaging/ can be written");
        }
        let packaged = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            packaged == wanted,
            "{} is behind; run WRITE_MAN=1 cargo test -p postrider --test manual",
            path.display()
        );
    }
}

#[test]
fn every_command_and_every_setting_has_its_entry() {
    let (commands, settings) = (commands::page(), settings::page());
    for command in postrider::cli::definition().get_subcommands() {
        assert!(commands.contains(&format!("\n.SS \\fB{}\\fR", command.get_name())), "{}", command.get_name());
    }
    for setting in postrider::config::SETTINGS {
        assert!(settings.contains(&format!("\n.TP\n\\fB{}\\fR\n", setting.key)), "{}", setting.key);
    }
}

/// Where groff is installed, it has nothing to complain of.
#[test]
fn the_pages_are_sound_roff() {
    let runs = Command::new("groff").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !runs.is_ok_and(|status| status.success()) {
        return; // a convenience, not a need: what the pages say is held by the other tests
    }
    for page in ["postrider.1", "postrider.cfg.5"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/man").join(page);
        let output =
            Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(&file).output().expect("groff runs");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaints.is_empty(), "{page}: {complaints}");
    }
}
