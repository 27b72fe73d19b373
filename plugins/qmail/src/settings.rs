//! The section `[qmail]`: read once, into [`Config`]. Both adapters read the same section, so each knows all keys.

use postrider_plugin_api::sdk::{Error, Result, SettingKind, SettingSpec, Settings, Site};

/// Which `.qmail` files there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipients {
    /// One `.qmail-default` for all addresses.
    Default,
    /// Two files a list.
    PerList,
}

/// What the administrator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Empty: a directory of our own in the table directory.
    home: String,
    user: String,
    pub(crate) prefix: String,
    pub(crate) recipients: Recipients,
    pub(crate) qmail_home: String,
    pub(crate) lmtp_command: String,
    pub(crate) control_command: String,
    pub(crate) local_command: String,
    pub(crate) reload_command: String,
    pub(crate) tcp_rules: String,
    pub(crate) verp: bool,
}

/// The home in the table directory.
const OWN_HOME: &str = "qmail";

const QMAIL_HOME: &str = "/var/qmail";
const LMTP_COMMAND: &str = "/usr/bin/qmail-lmtp";
const CONTROL_COMMAND: &str = "/usr/local/sbin/postrider-qmail";
const RELOAD_COMMAND: &str = "pkill -HUP -x qmail-send || test $? = 1";

pub(crate) fn specs() -> Vec<SettingSpec> {
    let spec = SettingSpec::new;
    vec![
        spec(
            "home",
            SettingKind::OutputDirectory,
            "",
            "The directory in which the .qmail files for the lists are written. Postrider must own it, because it \
             makes it sticky while it changes them, and nobody else should keep .qmail files for list addresses \
             there. Empty: the directory `qmail` in the table directory.",
        ),
        spec(
            "user",
            SettingKind::Text,
            "",
            "The controlling user: qmail runs qmail-lmtp with this user's rights. Empty: the user that Postrider \
             runs as.",
        ),
        spec(
            "prefix",
            SettingKind::Text,
            "postrider",
            "What qmail puts before the addresses of list domains, with a dash after it: the part after the colon in \
             virtualdomains. Lower-case letters, digits and underscores.",
        ),
        spec(
            "recipients",
            SettingKind::Choice(vec!["default".into(), "per-list".into()]),
            "default",
            "`default`: one .qmail-default hands all mail in the list domains to Postrider, whose refusal qmail turns \
             into a bounce; nothing has to be written when lists come and go. `per-list`: a .qmail-LIST and a \
             .qmail-LIST-default for each list, so that qmail bounces other addresses without asking Postrider.",
        ),
        spec("qmail_home", SettingKind::Path, QMAIL_HOME, "The directory of qmail, with bin, control and users."),
        spec(
            "lmtp_command",
            SettingKind::Program,
            LMTP_COMMAND,
            "The program that the .qmail files name: it hands a message from qmail-local to Postrider's LMTP server.",
        ),
        spec(
            "control_command",
            SettingKind::Program,
            CONTROL_COMMAND,
            "The program (made by `postrider hookup`, run by root) that brings qmail's virtualdomains and rcpthosts \
             into step with the domains of the lists.",
        ),
        spec(
            "local_command",
            SettingKind::Program,
            "/var/qmail/bin/qmail-local",
            "The delivery program of qmail; `postrider hookup --check` asks it with -n what it would do.",
        ),
        spec(
            "reload_command",
            SettingKind::Text,
            RELOAD_COMMAND,
            "What makes qmail-send read virtualdomains again (a HUP signal), for sh: `svc -h /service/qmail-send` \
             where qmail runs under daemontools.",
        ),
        spec(
            "tcp_rules",
            SettingKind::Path,
            "/etc/tcp.smtp",
            "The rules of tcpserver for qmail-smtpd (tcprules(1)), which say who may relay.",
        ),
        spec(
            "queue_verp",
            SettingKind::Boolean,
            "yes",
            "For `outgoing: qmail.Queue`. `yes`: qmail makes the sender address of each recipient by itself, so one \
             run of qmail-queue serves all. `no`: one run for each recipient; for sites whose list members have \
             addresses in virtualdomains of this same qmail, which would put its own form of them into the sender.",
        ),
    ]
}

impl Config {
    pub(crate) fn parse(settings: &Settings) -> Result<Self> {
        let or = |name: &str, default: &str| match settings.value(name) {
            "" => default.to_string(),
            value => value.to_string(),
        };
        let directory = |name: &str, default: &str| or(name, default).trim_end_matches('/').to_string();
        let config = Config {
            home: settings.value("home").trim_end_matches('/').to_string(),
            user: settings.value("user").to_string(),
            prefix: or("prefix", "postrider"),
            recipients: match settings.value("recipients") {
                "" | "default" => Recipients::Default,
                "per-list" => Recipients::PerList,
                other => {
                    return Err(Error::setting(format!("recipients: {}: no such way", other))
                        .with_hint("use default or per-list"))
                }
            },
            qmail_home: directory("qmail_home", QMAIL_HOME),
            lmtp_command: or("lmtp_command", LMTP_COMMAND),
            control_command: or("control_command", CONTROL_COMMAND),
            local_command: or("local_command", "/var/qmail/bin/qmail-local"),
            reload_command: or("reload_command", RELOAD_COMMAND),
            tcp_rules: or("tcp_rules", "/etc/tcp.smtp"),
            verp: settings.value("queue_verp") != "no",
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let plain = |text: &str| text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if !plain(&self.prefix) {
            return Err(Error::setting(format!(
                "prefix: {}: only lower-case letters, digits and underscores are allowed, and no dash",
                self.prefix
            )));
        }
        // It becomes a field of users/assign and a word of shell commands.
        let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if !self.user.bytes().all(name) || self.user.starts_with('-') {
            return Err(Error::setting(format!("user: {}: not the name of a user", self.user)));
        }
        let paths = [
            ("home", &self.home),
            ("qmail_home", &self.qmail_home),
            ("lmtp_command", &self.lmtp_command),
            ("control_command", &self.control_command),
            ("local_command", &self.local_command),
            ("tcp_rules", &self.tcp_rules),
        ];
        for (key, path) in paths {
            if !path.is_empty() && !path.starts_with('/') {
                return Err(Error::setting(format!("{}: {}: not an absolute path", key, path)));
            }
            // A colon ends a field of users/assign.
            let bad = |c: char| c.is_control() || (key == "home" && c == ':');
            if path.contains(bad) {
                return Err(Error::setting(format!("{}: {:?}: a character in it cannot be used", key, path)));
            }
        }
        if self.reload_command.contains('\0') || self.reload_command.contains('\n') {
            return Err(Error::setting("reload_command: it must be one line"));
        }
        Ok(())
    }

    /// The home as plans name it: relative to the table directory if it is there.
    pub(crate) fn planned_home(&self) -> &str {
        if self.home.is_empty() {
            OWN_HOME
        } else {
            &self.home
        }
    }

    /// Whether the home lies in the table directory, where the host makes it.
    pub(crate) fn has_own_home(&self) -> bool {
        self.home.is_empty()
    }

    /// The home, as qmail is told.
    pub(crate) fn home(&self, site: &Site) -> String {
        if self.home.is_empty() {
            format!("{}/{}", site.table_dir.trim_end_matches('/'), OWN_HOME)
        } else {
            self.home.clone()
        }
    }

    /// The controlling user.
    pub(crate) fn user<'a>(&'a self, site: &'a Site) -> &'a str {
        if self.user.is_empty() {
            &site.user
        } else {
            &self.user
        }
    }

    /// A program of qmail's own.
    pub(crate) fn program(&self, name: &str) -> String {
        format!("{}/bin/{}", self.qmail_home, name)
    }

    /// One of qmail's control files.
    pub(crate) fn control(&self, name: &str) -> String {
        format!("{}/control/{}", self.qmail_home, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::site;

    fn config(pairs: &[(&str, &str)]) -> Result<Config> {
        Config::parse(&pairs.iter().copied().collect())
    }

    fn error(key: &str, value: &str) -> String {
        config(&[(key, value)]).unwrap_err().to_string()
    }

    #[test]
    fn without_settings_the_home_is_in_the_table_directory_and_the_user_is_postriders() {
        let config = config(&[]).unwrap();
        assert_eq!(config.home(&site()), "/var/lib/postrider/data/qmail");
        assert_eq!(config.planned_home(), "qmail");
        assert_eq!(config.user(&site()), "postrider");
        assert_eq!(config.recipients, Recipients::Default);
        assert_eq!(config.program("qmail-queue"), "/var/qmail/bin/qmail-queue");
    }

    #[test]
    fn the_defaults_of_the_keys_are_those_of_an_empty_section() {
        let defaults: Settings = specs().into_iter().map(|spec| (spec.name, spec.default)).collect();
        assert_eq!(Config::parse(&defaults), config(&[]));
    }

    #[test]
    fn the_sample_has_every_key_with_its_default_and_help() {
        let sample = include_str!("../qmail.cfg.sample");
        let (head, _) = sample.split_once("[qmail]\n").unwrap();
        let mut expected = format!("{}[qmail]\n", head);
        for spec in specs() {
            let mut line = String::from("\n#");
            for word in spec.help.split(' ') {
                if line.len() + word.len() > 100 {
                    expected.push_str(&line);
                    line = String::from("\n#");
                }
                line.push(' ');
                line.push_str(word);
            }
            expected.push_str(&format!("{}\n{}\n", line, format!("#{}: {}", spec.name, spec.default).trim_end()));
        }
        crate::testing::assert_file("qmail.cfg.sample", &expected);
    }

    #[test]
    fn a_home_of_the_sites_own_is_named_by_its_path() {
        let config = config(&[("home", "/home/lists/"), ("user", "lists")]).unwrap();
        assert_eq!(config.home(&site()), "/home/lists");
        assert_eq!(config.planned_home(), "/home/lists");
        assert_eq!(config.user(&site()), "lists");
    }

    #[test]
    fn what_would_mean_something_else_in_qmails_files_is_refused() {
        assert!(error("prefix", "list-s").contains("no dash"));
        assert!(error("prefix", "Lists").contains("lower-case"));
        assert!(error("prefix", "a:b").contains("a:b"));
        assert!(error("user", "lists:0:0").contains("lists:0:0"));
        assert!(error("user", "$(id)").contains("not the name of a user"));
        assert!(error("home", "/home/a:b").contains("cannot be used"));
        assert!(error("home", "lists").contains("absolute"));
        assert!(error("lmtp_command", "/usr/bin/qmail-lmtp\n|evil").contains("cannot be used"));
        assert!(error("reload_command", "true\nfalse").contains("one line"));
        assert!(error("recipients", "all").contains("per-list"));
    }
}
