//! `postrider conf --check`, second part: a configuration that is right may still name what is not
//! installed. Files and directories are looked at, nothing is loaded, run or changed.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use serde::Serialize;

use super::adapter;
use super::ini::{self, BareKeys};
use super::types::{AdapterConfiguration, AdapterName, Config, DatabaseUrl, ListenAddress, LogTarget, OutgoingName};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProblemSeverity {
    /// Works, but should be looked at.
    Warning,
    /// Something will not work.
    Error,
}

/// What is missing or wrong on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad.
    pub severity: ProblemSeverity,
    /// The setting, `[mta] incoming`.
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do.
    pub advice: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; {}", self.subject, self.message, self.advice)
    }
}

/// Everything that is not installed or cannot be used, errors and warnings.
pub fn check_installed(config: &Config) -> Vec<Problem> {
    let mut problems = Problems(Vec::new());
    problems.plugins(config);
    problems.adapter_file(config);
    problems.directories(config);
    problems.listening(config);
    problems.site(config);
    problems.password_file(config);
    problems.0
}

struct Problems(Vec<Problem>);

impl Problems {
    fn error(&mut self, subject: &str, message: impl Into<String>, advice: impl Into<String>) {
        self.add(ProblemSeverity::Error, subject, message.into(), advice.into());
    }

    fn warning(&mut self, subject: &str, message: impl Into<String>, advice: impl Into<String>) {
        self.add(ProblemSeverity::Warning, subject, message.into(), advice.into());
    }

    fn add(&mut self, severity: ProblemSeverity, subject: &str, message: String, advice: String) {
        self.0.push(Problem { severity, subject: subject.to_owned(), message, advice });
    }

    fn plugins(&mut self, config: &Config) {
        let mut named = vec![("[mta] incoming", &config.mta.incoming)];
        if let OutgoingName::Adapter(name) = &config.mta.outgoing {
            named.push(("[mta] outgoing", name));
        }
        let path = &config.plugins.path;
        for (subject, name) in named {
            match name {
                AdapterName::Null => {}
                AdapterName::File { file, .. } if file.is_file() => {}
                AdapterName::File { file, .. } => self.error(
                    subject,
                    format!("there is no file {}", file.display()),
                    "install the plugin or correct the name",
                ),
                AdapterName::Named { plugin, .. } => {
                    let library = format!("libpostrider_{plugin}.so");
                    if path.iter().any(|directory| directory.join(&library).is_file()) {
                        continue;
                    }
                    let looked = path.iter().map(|one| one.display().to_string()).collect::<Vec<_>>().join(", ");
                    let looked = if looked.is_empty() { "the plugin path is empty".to_owned() } else { looked };
                    self.error(
                        subject,
                        format!("there is no {library} in the plugin path ({looked})"),
                        format!("install the plugin `{plugin}`, or name its directory in [plugins] path"),
                    );
                }
            }
        }
        for (plugin, _) in &config.plugins.isolation.exceptions {
            let library = format!("libpostrider_{plugin}.so");
            let by_path = |name: &AdapterName| matches!(name, AdapterName::File { .. });
            let any_file = by_path(&config.mta.incoming)
                || matches!(&config.mta.outgoing, OutgoingName::Adapter(name) if by_path(name));
            if !any_file && !path.iter().any(|directory| directory.join(&library).is_file()) {
                self.warning(
                    "[plugins] isolation",
                    format!("there is no plugin `{plugin}` in the plugin path"),
                    "install it, or correct or remove the name",
                );
            }
        }
        let missing: Vec<&PathBuf> = path.iter().filter(|directory| !directory.is_dir()).collect();
        // One of several may well be missing: the default names /usr/local too.
        if !path.is_empty() && missing.len() == path.len() {
            let names = missing.iter().map(|one| one.display().to_string()).collect::<Vec<_>>().join(", ");
            self.warning("[plugins] path", format!("no such directory: {names}"), "create it or correct the path");
        }
    }

    fn adapter_file(&mut self, config: &Config) {
        let AdapterConfiguration::File(path) = &config.mta.configuration else { return };
        let errors = match adapter::read(path) {
            Ok(bytes) => ini::parse(&path.display().to_string(), &bytes, BareKeys::Allowed).1,
            Err(errors) => errors.0,
        };
        for mut error in errors {
            (error.section, error.key) = (None, None);
            self.error("[mta] configuration", error.to_string(), "correct the file or its name");
        }
        for unknown in adapter::unknown_sections(config) {
            self.warning("[mta] configuration", unknown.to_string(), "correct or remove the section");
        }
    }

    fn directories(&mut self, config: &Config) {
        let paths = &config.paths;
        self.directory("[paths] data_dir", &paths.data_dir);
        for (subject, directory) in [
            ("[paths] table_dir", &paths.table_dir),
            ("[paths] var_dir", &paths.var_dir),
            ("[paths] lock_dir", &paths.lock_dir),
        ] {
            if *directory != paths.data_dir {
                self.directory(subject, directory);
            }
        }
        let DatabaseUrl::Sqlite(file) = &config.database;
        let mut files = vec![("[database] url", file), ("[paths] socket", &paths.socket)];
        if let LogTarget::File(file) = &config.logging.target {
            files.push(("[logging] target", file));
        }
        for (subject, file) in files {
            if let Some(parent) =
                file.parent().filter(|parent| ![&paths.data_dir, &paths.var_dir].contains(&&parent.to_path_buf()))
            {
                self.directory(subject, parent);
            }
            if file.exists() && !writable(file) {
                self.error(
                    subject,
                    format!("{} cannot be written", file.display()),
                    "give it to the user of Postrider",
                );
            }
        }
        self.free_space(config);
    }

    /// A directory that is missing is no error when it can be made.
    fn directory(&mut self, subject: &str, directory: &Path) {
        if directory.is_dir() {
            if !writable(directory) {
                self.error(
                    subject,
                    format!("{} cannot be written by this user", directory.display()),
                    "give it to the user of Postrider, or run the command as that user",
                );
            }
            return;
        }
        if directory.exists() {
            self.error(subject, format!("{} is no directory", directory.display()), "remove it or correct the path");
            return;
        }
        let parent = directory.ancestors().skip(1).find(|parent| parent.exists()).unwrap_or(Path::new("/"));
        if parent.is_dir() && writable(parent) {
            self.warning(
                subject,
                format!("{} does not exist yet", directory.display()),
                "it is made when it is needed first, or make it with the right owner now",
            );
        } else {
            self.error(
                subject,
                format!("{} does not exist, and this user cannot make it in {}", directory.display(), parent.display()),
                "make it and give it to the user of Postrider",
            );
        }
    }

    fn free_space(&mut self, config: &Config) {
        let least = config.lmtp.min_free_space;
        let directory = &config.paths.data_dir;
        let Ok(space) = rustix::fs::statvfs(directory) else { return };
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < least {
            self.error(
                "[lmtp] min_free_space",
                format!(
                    "the file system of {} has {} MiB free, less than {} MiB, so all mail is put off",
                    directory.display(),
                    free >> 20,
                    least >> 20
                ),
                "make room or lower the limit",
            );
        }
    }

    fn listening(&mut self, config: &Config) {
        let addresses = match super::listen::listen_addresses(&config.mta) {
            Ok(addresses) => addresses,
            Err(error) => return self.error("[mta] lmtp_host", error.to_string(), "the daemon would refuse to start"),
        };
        let subject = if config.mta.lmtp_listen.is_empty() { "[mta] lmtp_host" } else { "[mta] lmtp_listen" };
        for address in &addresses {
            if let ListenAddress::Unix(path, _) = address
                && let Some(parent) = path.parent().filter(|parent| !parent.is_dir())
            {
                self.error(
                    subject,
                    format!("there is no directory {} for the socket", parent.display()),
                    "make it, or let systemd make it (RuntimeDirectory=)",
                );
            }
        }
    }

    fn site(&mut self, config: &Config) {
        if config.site.site_owner == "changeme@example.com" {
            self.warning(
                "[postrider] site_owner",
                "it is still changeme@example.com, so nobody gets mail for the postmaster",
                "set it to your address",
            );
        }
        if let Some(file) = config.file.as_ref().filter(|_| !config.mta.smtp_pass.0.is_empty()) {
            self.secret("[mta] smtp_pass", file);
        }
    }

    fn password_file(&mut self, config: &Config) {
        let Some(file) = &config.mta.smtp_pass_file else { return };
        match crate::deliver::login::read_password(file) {
            Ok(_) => self.secret("[mta] smtp_pass_file", file),
            Err(problem) => self.error(
                "[mta] smtp_pass_file",
                format!("{}: {problem}", file.display()),
                "without it nothing can be sent: let the user of Postrider read the password in the first line of that file",
            ),
        }
    }

    fn secret(&mut self, subject: &str, file: &Path) {
        if std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0) {
            self.warning(
                subject,
                format!("everybody can read the password in {}", file.display()),
                format!("chmod o-r {}", file.display()),
            );
        }
    }
}

/// Whether the effective user may write there.
fn writable(path: &Path) -> bool {
    rustix::fs::accessat(rustix::fs::CWD, path, Access::WRITE_OK, rustix::fs::AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(root: &Path, more: &str) -> Config {
        let root = root.display();
        let text = format!(
            "[postrider]\nsite_owner: owner@example.com\n[paths.fhs]\nvar_dir: {root}\nlog_dir: {root}\n[lmtp]\nmin_free_space: 0\n{more}"
        );
        Config::from_text("t.cfg", &text).expect("config").config
    }

    fn errors(config: &Config) -> Vec<String> {
        let problems = check_installed(config);
        problems.iter().filter(|one| one.severity == ProblemSeverity::Error).map(ToString::to_string).collect()
    }

    #[test]
    fn a_plugin_that_is_not_in_the_path_is_told_and_one_that_is_there_is_not() {
        let root = tempfile::tempdir().expect("directory");
        let config = config(root.path(), &format!("[plugins]\npath: {}\n", root.path().display()));
        let found = errors(&config);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("[mta] incoming: there is no libpostrider_postfix.so"), "{found:?}");
        std::fs::write(root.path().join("libpostrider_postfix.so"), "").expect("write");
        assert_eq!(errors(&config), Vec::<String>::new());
    }

    #[test]
    fn a_password_file_that_cannot_be_used_or_is_open_to_everybody_is_told() {
        let root = tempfile::tempdir().expect("directory");
        let file = root.path().join("password");
        let text = format!("[mta]\nincoming: null.NullMTA\nsmtp_user: u\nsmtp_pass_file: {}\n", file.display());
        let config = config(root.path(), &text);
        let told = |wanted: &str| {
            let problems = check_installed(&config);
            let found: Vec<_> = problems.iter().filter(|one| one.subject == "[mta] smtp_pass_file").collect();
            assert!(found.len() == 1 && found[0].to_string().contains(wanted), "{found:?}");
            found[0].severity
        };
        assert_eq!(told("No such file"), ProblemSeverity::Error);
        std::fs::create_dir(&file).expect("directory");
        assert_eq!(told("no regular file"), ProblemSeverity::Error);
        std::fs::remove_dir(&file).expect("removed");
        std::fs::write(&file, "\n").expect("written");
        assert_eq!(told("first line is empty"), ProblemSeverity::Error);
        std::fs::write(&file, "secret\n").expect("written");
        let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("mode");
        mode(0o604);
        assert_eq!(told("everybody can read the password"), ProblemSeverity::Warning);
        mode(0o600);
        assert!(check_installed(&config).iter().all(|one| one.subject != "[mta] smtp_pass_file"));
    }

    #[test]
    fn a_missing_or_broken_adapter_file_is_told() {
        let root = tempfile::tempdir().expect("directory");
        let file = root.path().join("p.cfg");
        let config =
            config(root.path(), &format!("[mta]\nincoming: null.NullMTA\nconfiguration: {}\n", file.display()));
        let found = errors(&config);
        assert!(found.len() == 1 && found[0].contains("cannot be read"), "{found:?}");
        std::fs::write(&file, "transport_file_type\n").expect("write");
        let found = errors(&config);
        assert!(found.len() == 1 && found[0].contains("p.cfg:1: `transport_file_type` has neither"), "{found:?}");
    }

    #[test]
    fn a_section_that_belongs_to_no_plugin_is_told_with_the_nearest_name() {
        let root = tempfile::tempdir().expect("directory");
        let file = root.path().join("p.cfg");
        std::fs::write(root.path().join("libpostrider_exim4.so"), "").expect("write");
        let here = root.path().display();
        let config = config(
            root.path(),
            &format!("[plugins]\npath: {here}\n[mta]\noutgoing: sendmail.Program\nconfiguration: {here}/p.cfg\n"),
        );
        std::fs::write(&file, "key: 1\n[exim4]\n[sendmail]\n[postfix]\n[sendmial]\n[other]\n").expect("write");
        let found: Vec<String> = check_installed(&config)
            .iter()
            .filter(|one| one.severity == ProblemSeverity::Warning && one.subject == "[mta] configuration")
            .map(ToString::to_string)
            .collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("p.cfg:5: [sendmial]") && found[0].contains("did you mean [sendmail]?"), "{found:?}");
        assert!(found[1].contains("p.cfg:6: [other] is the section of no plugin"), "{found:?}");
    }

    #[test]
    fn a_data_directory_that_cannot_be_made_is_an_error_and_one_that_can_a_warning() {
        let root = tempfile::tempdir().expect("directory");
        let good = config(root.path(), "[mta]\nincoming: null.NullMTA\n");
        assert_eq!(errors(&good), Vec::<String>::new());
        assert!(check_installed(&good).iter().any(|one| one.message.contains("does not exist yet")));
        let file = root.path().join("file");
        std::fs::write(&file, "").expect("write");
        let bad = config(&file, "[mta]\nincoming: null.NullMTA\n");
        assert!(errors(&bad).iter().any(|one| one.contains("data_dir")), "{:?}", errors(&bad));
    }

    #[test]
    fn an_address_that_is_not_ours_and_the_default_owner_are_told() {
        let root = tempfile::tempdir().expect("directory");
        let config = config(root.path(), "[mta]\nincoming: null.NullMTA\nlmtp_host: 192.0.2.1\n");
        assert!(errors(&config).iter().any(|one| one.contains("lmtp_listen")));
        let built_in = Config::built_in().config;
        assert!(check_installed(&built_in).iter().any(|one| one.subject == "[postrider] site_owner"));
    }
}
