//! The section `[opensmtpd]`: read once, into [`Config`].

use crate::names;
use postrider_plugin_api::sdk::{Error, Result, SettingKind, SettingSpec, Settings};

/// What the administrator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) table_type: TableType,
    pub(crate) smtpd_conf: String,
    pub(crate) smtpd: String,
    pub(crate) smtpctl: String,
    pub(crate) makemap: String,
    pub(crate) smtp: String,
    pub(crate) mail_lmtp: String,
    /// Commands of the shell; empty: as [`crate::snippets`] does it.
    pub(crate) restart: String,
    /// Empty: as [`crate::configuration`] chooses.
    pub(crate) delivery_user: String,
    /// Empty: what is found in `smtpd.conf`.
    pub(crate) relay_action: String,
}

/// How OpenSMTPD reads a table (table(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableType {
    /// `db:`, built by `makemap`. `smtpd` looks at the file's time at each look-up.
    Db,
    /// `file:`. `smtpd` reads it at its start and when `smtpctl` tells it to.
    File,
}

const SMTPD_CONF: &str = "/etc/smtpd.conf";

impl Config {
    pub(crate) fn specs() -> Vec<SettingSpec> {
        let spec = SettingSpec::new;
        vec![
            spec(
                "table_type",
                SettingKind::Choice(vec!["db".into(), "file".into()]),
                "db",
                "How OpenSMTPD reads the tables: `db` files, which makemap builds and OpenSMTPD notices by itself, or plain \
                 text (`file`), which is slow with thousands of lists, and of which root must tell it (smtpctl update table) \
                 after each change.",
            ),
            spec(
                "smtpd_conf",
                SettingKind::Path,
                SMTPD_CONF,
                "OpenSMTPD's configuration. The hookup adds a line to it and puts two files beside it.",
            ),
            spec("smtpd_command", SettingKind::Program, "/usr/sbin/smtpd", "The server; asked for its version and in checks."),
            spec("smtpctl_command", SettingKind::Program, "/usr/sbin/smtpctl", "The program that controls it."),
            spec("makemap_command", SettingKind::Program, "/usr/sbin/makemap", "OpenSMTPD's own makemap(8), which builds db files."),
            spec(
                "smtp_command",
                SettingKind::Program,
                "/usr/bin/smtp",
                "OpenSMTPD's SMTP client smtp(1), by which `postrider hookup --check` asks the running server.",
            ),
            spec(
                "lmtp_program",
                SettingKind::Program,
                "/usr/libexec/opensmtpd/mail.lmtp",
                "OpenSMTPD's program that hands one message to an LMTP server.",
            ),
            spec(
                "restart_command",
                SettingKind::Text,
                "",
                "Commands of the shell that restart OpenSMTPD: a new configuration is read at its start only. Used by the scripts \
                 that the hookup writes, and there only if OpenSMTPD runs. Empty: the service `opensmtpd`.",
            ),
            spec(
                "delivery_user",
                SettingKind::Text,
                "",
                "The user as whom OpenSMTPD hands messages over. Empty: with a Unix socket the user that Postrider runs as, else \
                 nobody.",
            ),
            spec(
                "relay_action",
                SettingKind::Text,
                "",
                "If the list server is another machine: the action of smtpd.conf by which its mail leaves. Empty: the action of \
                 the last rule `match ... for any`.",
            ),
        ]
    }

    pub(crate) fn parse(settings: &Settings) -> Result<Self> {
        let path = |name: &str| -> Result<String> {
            let value = settings.value(name);
            let specs = Config::specs();
            let default = specs.iter().find(|spec| spec.name == name).map_or("", |spec| spec.default.as_str());
            let value = if value.is_empty() { default } else { value };
            names::check_path(name, value)?;
            Ok(value.to_owned())
        };
        let word = |name: &str| -> Result<String> {
            let value = settings.value(name);
            if !value.is_empty() {
                names::check_word(name, value)?;
            }
            Ok(value.to_owned())
        };
        let table_type = match settings.value("table_type") {
            "" | "db" => TableType::Db,
            "file" => TableType::File,
            other => {
                let message = format!("table_type: {}: no such type", other);
                return Err(Error::setting(message).with_hint("use db or file"));
            }
        };
        let delivery_user = word("delivery_user")?;
        if delivery_user == "root" {
            let hint = "use a user without rights, for instance nobody";
            return Err(Error::setting("delivery_user: OpenSMTPD runs no deliveries as root").with_hint(hint));
        }
        let restart = settings.value("restart_command");
        if restart.contains('\n') {
            return Err(
                Error::setting("restart_command: it has several lines").with_hint("write them in one, with `;`")
            );
        }
        Ok(Config {
            table_type,
            smtpd_conf: path("smtpd_conf")?,
            smtpd: path("smtpd_command")?,
            smtpctl: path("smtpctl_command")?,
            makemap: path("makemap_command")?,
            smtp: path("smtp_command")?,
            mail_lmtp: path("lmtp_program")?,
            restart: restart.to_owned(),
            delivery_user,
            relay_action: word("relay_action")?,
        })
    }

    /// The file that `smtpd.conf` includes.
    pub(crate) fn included_file(&self) -> String {
        format!("{}/smtpd.postrider.conf", self.directory())
    }

    /// The script that hands messages over.
    pub(crate) fn script_file(&self) -> String {
        format!("{}/smtpd.postrider-lmtp.sh", self.directory())
    }

    fn directory(&self) -> &str {
        self.smtpd_conf.rsplit_once('/').map_or("", |(directory, _)| directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config> {
        Config::parse(&pairs.iter().copied().collect())
    }

    #[test]
    fn without_settings_everything_is_where_debian_has_it() {
        let config = config(&[]).unwrap();
        assert_eq!(config.table_type, TableType::Db);
        assert_eq!(config.mail_lmtp, "/usr/libexec/opensmtpd/mail.lmtp");
        assert_eq!(config.included_file(), "/etc/smtpd.postrider.conf");
    }

    #[test]
    fn the_files_are_beside_smtpd_conf() {
        let config = config(&[("smtpd_conf", "/usr/local/etc/mail/smtpd.conf")]).unwrap();
        assert_eq!(config.included_file(), "/usr/local/etc/mail/smtpd.postrider.conf");
        assert_eq!(config.script_file(), "/usr/local/etc/mail/smtpd.postrider-lmtp.sh");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_name() {
        for (name, value) in [
            ("table_type", "hash"),
            ("smtpd_conf", "/etc/my mail/smtpd.conf"),
            ("makemap_command", "makemap"),
            ("delivery_user", "root"),
            ("delivery_user", "a b"),
            ("relay_action", "out\" reject"),
            ("restart_command", "a\nb"),
        ] {
            let error = config(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{}", error);
        }
    }
}
