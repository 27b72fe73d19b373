//! The section `[sendmail]` for `sendmail.Aliases`.

use super::script;
use crate::programs;
use postrider_plugin_api::sdk::{Result, SettingKind, SettingSpec, Settings};

/// What the administrator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) sendmail: String,
    pub(crate) cf_file: String,
    /// Into which the aliases go.
    pub(crate) alias_file: String,
    /// Class w.
    pub(crate) local_host_names: String,
    /// Where programs lie that Sendmail may run.
    pub(crate) program_directory: String,
    pub(crate) lmtp_command: String,
    /// Program and arguments; the import program itself needs root.
    pub(crate) update: Vec<String>,
}

pub(crate) fn specs() -> Vec<SettingSpec> {
    vec![
        programs::sendmail_spec(),
        programs::cf_spec(),
        SettingSpec::new(
            "alias_file",
            SettingKind::Path,
            "/etc/aliases",
            "The file of aliases(5) that the import program puts the aliases into, between two marks.",
        ),
        SettingSpec::new(
            "local_host_names",
            SettingKind::Path,
            "/etc/mail/local-host-names",
            "The file with the domains that Sendmail takes for its own (class w).",
        ),
        SettingSpec::new(
            "program_directory",
            SettingKind::Path,
            "/etc/mail/smrsh",
            "The directory for the program that Sendmail runs for each message. Where Sendmail uses smrsh(8): the \
             directory of smrsh, on Red Hat /etc/smrsh.",
        ),
        SettingSpec::new(
            "lmtp_command",
            SettingKind::Program,
            "/usr/bin/qmail-lmtp",
            "Postrider's program qmail-lmtp, which speaks LMTP for programs that cannot.",
        ),
        SettingSpec::new(
            "update_command",
            SettingKind::Program,
            script::IMPORT,
            "The program that makes Sendmail know changed aliases. The import program itself needs root; where \
             Postrider is not root the command is printed. Any other (/usr/bin/sudo) runs with Postrider's rights.",
        ),
        SettingSpec::new(
            "update_arguments",
            SettingKind::Text,
            "",
            "Arguments for update_command, with blanks between them: -n /etc/mail/import-postrider-aliases.",
        ),
    ]
}

impl Config {
    pub(crate) fn parse(settings: &Settings) -> Result<Self> {
        let path = |name: &str, default: &str| programs::path(settings, name, default);
        let mut update = vec![path("update_command", script::IMPORT)?];
        update.extend(settings.value("update_arguments").split_whitespace().map(str::to_owned));
        Ok(Config {
            sendmail: path("sendmail_command", programs::SENDMAIL)?,
            cf_file: path("cf_file", "/etc/mail/sendmail.cf")?,
            alias_file: path("alias_file", "/etc/aliases")?,
            local_host_names: path("local_host_names", "/etc/mail/local-host-names")?,
            program_directory: path("program_directory", "/etc/mail/smrsh")?.trim_end_matches('/').into(),
            lmtp_command: path("lmtp_command", "/usr/bin/qmail-lmtp")?,
            update,
        })
    }

    /// What Sendmail runs for each message.
    pub(crate) fn program(&self) -> String {
        format!("{}/postrider-lmtp", self.program_directory)
    }
}
