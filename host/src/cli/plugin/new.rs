//! `postrider plugin new`

use super::skeleton::{self, File, Language};
use crate::cli::{Exit, output};
use anyhow::{Context as _, bail};
use postrider_plugin_api::export::is_plugin_name;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest name of a plugin: it becomes part of names of files and functions.
const LONGEST_NAME: usize = 40;
/// Names that mean something else in `[mta]`.
const TAKEN: [&str; 2] = ["null", "deliver"];

/// Begin a plugin: a directory that builds, is tested, and is there to be changed
#[derive(Debug, clap::Args)]
pub struct New {
    /// The plugin, usually named as its mail server; only a-z, 0-9 and _
    name: String,
    /// The language that it is written in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
    /// The directory to be made, instead of postrider-plugin-NAME here
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Rust: where the crate postrider-plugin-api lies, while it comes from no registry
    #[arg(long, value_name = "DIR")]
    api: Option<PathBuf>,
}

impl New {
    /// Runs it.
    pub fn run(self) -> anyhow::Result<Exit> {
        check_name(&self.name)?;
        let api = match (&self.api, self.lang) {
            (Some(_), Language::C) => bail!("--api is for Rust; a plugin in C needs no crate"),
            (Some(api), Language::Rust) => Some(crate_of_the_interface(api)?),
            (None, _) => None,
        };
        let directory = self.dir.unwrap_or_else(|| format!("postrider-plugin-{}", self.name).into());
        write(&directory, &skeleton::files(self.lang, &self.name, api.as_deref()))?;
        output::line(&format!("{} is ready. Next:", directory.display()));
        output::line(&format!("    cd {}", directory.display()));
        for step in skeleton::next_steps(self.lang, &self.name) {
            output::line(&format!("    {step}"));
        }
        output::line("README.md has the rest.");
        Ok(Exit::Done)
    }
}

fn check_name(name: &str) -> anyhow::Result<()> {
    if !is_plugin_name(name) {
        let lower = name.to_lowercase().replace(['-', ' ', '.'], "_");
        let meant = if is_plugin_name(&lower) { format!("; {lower} would do") } else { String::new() };
        bail!("{name:?} cannot be the name of a plugin; names have only a-z, 0-9 and _{meant}");
    }
    if name.len() > LONGEST_NAME {
        bail!("the name {name} is longer than {LONGEST_NAME} characters; take a shorter one");
    }
    if name.starts_with(|c: char| !c.is_ascii_lowercase()) {
        bail!(
            "the name {name} does not begin with a letter, and becomes part of names of functions; put a letter first"
        );
    }
    if TAKEN.contains(&name) {
        bail!("{name} means something else in [mta] of postrider.cfg; take another name");
    }
    Ok(())
}

/// The absolute path, if the crate is there.
fn crate_of_the_interface(api: &Path) -> anyhow::Result<String> {
    let manifest = api.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).with_context(|| {
        format!("{} cannot be read; --api names the directory of postrider-plugin-api", manifest.display())
    })?;
    if !text.lines().any(|line| line.split_whitespace().collect::<String>() == "name=\"postrider-plugin-api\"") {
        bail!("{} is not that of postrider-plugin-api; --api names the directory of that crate", manifest.display());
    }
    let real = api.canonicalize().with_context(|| format!("{} cannot be found", api.display()))?;
    match real.to_str() {
        Some(path) if !path.contains(['"', '\\']) && !path.contains(char::is_control) => Ok(path.to_owned()),
        _ => bail!("{} cannot be written in Cargo.toml; use a path without quotes and odd characters", real.display()),
    }
}

/// Makes the directory with all files, or nothing: it is made beside, and gets its name when it is complete.
fn write(directory: &Path, files: &[File]) -> anyhow::Result<()> {
    let exists = || format!("{} exists already; name another directory with --dir, or remove it", directory.display());
    if fs::symlink_metadata(directory).is_ok() {
        bail!(exists());
    }
    let parent = match directory.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // Vanishes with all that is in it unless it is renamed away.
    let beside = tempfile::Builder::new()
        .prefix(".postrider-plugin-")
        .tempdir_in(parent)
        .with_context(|| format!("nothing can be written in {}", parent.display()))?;
    let made = beside.path().join("made"); // with the usual permissions, which a temporary directory has not
    let writing = |path: &Path| format!("{} cannot be written", path.display());
    fs::create_dir(&made).with_context(|| writing(&made))?;
    for file in files {
        let path = made.join(&file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| writing(folder))?;
        }
        fs::write(&path, &file.text).with_context(|| writing(&path))?;
    }
    match rustix::fs::renameat_with(CWD, &made, CWD, directory, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST | Errno::NOTEMPTY) => bail!(exists()),
        // Not every file system can refuse to replace; plain rename replaces at most an empty directory.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(&made, directory).with_context(|| writing(directory)),
        Err(error) => Err(error).with_context(|| writing(directory)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(name: &str) -> String {
        check_name(name).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn names_that_cannot_be_are_refused_with_one_that_can() {
        assert_eq!(problem("opensmtpd"), "");
        assert!(problem("Open-SMTPD").ends_with("; open_smtpd would do"));
        assert!(problem("../x").ends_with("only a-z, 0-9 and _"));
        assert!(problem("").contains("cannot be the name"));
        assert!(problem("9x").contains("put a letter first") && problem("_x").contains("put a letter first"));
        assert!(problem("null").contains("something else") && problem("deliver").contains("something else"));
        assert!(problem(&"x".repeat(41)).contains("shorter"));
    }

    #[test]
    fn nothing_is_left_when_a_file_cannot_be_written() {
        let here = tempfile::tempdir().unwrap();
        let file = |path: &str| File { path: path.into(), text: String::new() };
        let error = write(&here.path().join("new"), &[file("a"), file("a/b")]).unwrap_err();
        assert!(error.to_string().contains("cannot be written"), "{error}");
        assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0);

        write(&here.path().join("new"), &[file("a"), file("b/c")]).unwrap();
        let error = write(&here.path().join("new"), &[file("d")]).unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
        assert_eq!(fs::read_dir(here.path()).unwrap().count(), 1);
        assert!(here.path().join("new/b/c").exists() && !here.path().join("new/d").exists());
    }
}
