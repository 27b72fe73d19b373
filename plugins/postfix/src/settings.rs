//! The section `[postfix]`: read once, into [`Config`].

use crate::{facts, main_cf::List, pattern, table_type::TableType};
use postrider_plugin_api::sdk::{Error, Facts, Result, SettingKind, SettingSpec, Settings};

/// What the administrator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    table_type: Option<TableType>,
    pub(crate) postmap: String,
    pub(crate) postfix: String,
    pub(crate) postconf: String,
    /// The directory of each instance that handles lists, at least one; empty: Postfix's own default.
    pub(crate) instances: Vec<String>,
    /// Domains in which people live too, though `main.cf` does not show it.
    pub(crate) shared_domains: List,
    /// A port on which Postfix takes mail of the list server only; 0: none.
    pub(crate) smtpd_port: u16,
}

pub(crate) fn specs() -> Vec<SettingSpec> {
    let spec = SettingSpec::new;
    let mut types: Vec<String> = TableType::ALL.iter().map(|kind| kind.name().to_string()).collect();
    types.push("regex=regexp".into());
    vec![
        spec(
            "transport_file_type",
            SettingKind::Choice(types),
            "",
            "The kind of lookup tables that are written for Postfix. Empty: Postfix's default_database_type, or hash \
             where Postfix cannot be asked.",
        ),
        spec(
            "postmap_command",
            SettingKind::Program,
            "/usr/sbin/postmap",
            "The program that compiles tables of the types hash and lmdb, and looks addresses up in a check.",
        ),
        spec(
            "postfix_command",
            SettingKind::Program,
            "/usr/sbin/postfix",
            "The program that makes Postfix read changed tables (postfix reload).",
        ),
        spec(
            "postconf_command",
            SettingKind::Program,
            "/usr/sbin/postconf",
            "The program that tells how Postfix is configured. Where it does not exist nothing is asked.",
        ),
        spec(
            "config_directory",
            SettingKind::Text,
            "",
            "The directory with main.cf of the Postfix instance that handles the lists (option -c of Postfix's \
             programs); several with blanks between them if several instances do. Empty: the default instance.",
        ),
        spec(
            "shared_domains",
            SettingKind::Text,
            "",
            "Domains with lists and people, with blanks between them. Only needed where mydestination, \
             virtual_mailbox_domains or relay_domains of Postfix names a table (type:file) that has the domain (what \
             stands in main.cf itself, or in a file that it names, is seen without it), and for a domain with an alias \
             domain whose people have their mailboxes on another host.",
        ),
        spec(
            "smtpd_port",
            SettingKind::Integer,
            "0",
            "A port of 127.0.0.1 at which Postfix takes mail of the list server only, for instance 10027, with limits that \
             suit it; 0: none. There Postfix makes the senders of mail with VERP (XVERP), so that many recipients share \
             one transaction. The steps of `postrider hookup` make it; then set smtp_port in [mta] to it.",
        ),
    ]
}

impl Config {
    pub(crate) fn parse(settings: &Settings) -> Result<Self> {
        let or = |name: &str, default: &str| match settings.value(name) {
            "" => default.to_string(),
            value => value.to_string(),
        };
        let table_type = match settings.value("transport_file_type") {
            "" => None,
            name => Some(TableType::from_name(name).ok_or_else(|| {
                let known: Vec<_> = TableType::ALL.iter().map(|kind| kind.name()).collect();
                Error::setting(format!("transport_file_type: {name}: no such table type"))
                    .with_hint(format!("use one of {}", known.join(", ")))
            })?),
        };
        let mut instances: Vec<String> = Vec::new();
        for directory in settings.value("config_directory").split_whitespace() {
            let directory = if directory.len() > 1 { directory.trim_end_matches('/') } else { directory };
            if !directory.starts_with('/') {
                return Err(Error::setting(format!("config_directory: {directory}: not an absolute path"))
                    .with_hint("name the directories of Postfix's instances, with blanks between them"));
            }
            if instances.iter().any(|known| known == directory) {
                return Err(Error::setting(format!("config_directory: {directory} stands there twice")));
            }
            instances.push(directory.into());
        }
        if instances.is_empty() {
            instances.push(String::new());
        }
        let shared_domains = List::parse(settings.value("shared_domains"));
        for domain in shared_domains.items() {
            pattern::check_domain(domain)
                .map_err(|_| Error::setting(format!("shared_domains: {domain}: not the name of a domain")))?;
        }
        let smtpd_port = match settings.value("smtpd_port") {
            "" => 0,
            text => text.parse().map_err(|_| {
                Error::setting(format!("smtpd_port: {text}: not a port; allowed is a number from 1 to 65535, or 0"))
            })?,
        };
        Ok(Config {
            smtpd_port,
            table_type,
            postmap: or("postmap_command", "/usr/sbin/postmap"),
            postfix: or("postfix_command", "/usr/sbin/postfix"),
            postconf: or("postconf_command", "/usr/sbin/postconf"),
            instances,
            shared_domains,
        })
    }

    /// The type that was set, or else what suits this Postfix.
    ///
    /// # Errors
    /// When Postfix could be asked and says that it cannot read tables of this type.
    pub(crate) fn table_type(&self, facts: &Facts) -> Result<TableType> {
        let offered = facts::table_types(facts);
        let offers = |kind: TableType| offered.is_empty() || offered.contains(&kind.name());
        if let Some(kind) = self.table_type {
            if offers(kind) {
                return Ok(kind);
            }
            return Err(Error::setting(format!(
                "transport_file_type: {}: this Postfix cannot read such tables, only {}",
                kind.name(),
                offered.join(", ")
            ))
            .with_hint(format!(
                "install Postfix's support for it (Debian: postfix-{}) or set another type",
                kind.name()
            )));
        }
        // btree and cdb, say, are defaults that are not among ours.
        let default = facts.get(facts::DEFAULT_TYPE).and_then(|name| TableType::from_name(name));
        let choices = [default.unwrap_or(TableType::Hash), TableType::Hash, TableType::Lmdb];
        Ok(choices.iter().copied().find(|kind| offers(*kind)).unwrap_or(TableType::Texthash))
    }
}

/// One of Postfix's programs with the option that says which instance.
pub(crate) fn argv<'a>(instance: &'a str, program: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    let mut argv = vec![program];
    if !instance.is_empty() {
        argv.extend(["-c", instance]);
    }
    argv.extend(args);
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config> {
        Config::parse(&pairs.iter().copied().collect())
    }

    /// The sample, made from the settings themselves.
    fn sample() -> String {
        let mut text = String::from(
            "# Settings of postfix.LMTP: the file that `configuration` in the section [mta] of postrider.cfg names.\n\
             # Every key is shown with its default and needs to be set only where you want something else: remove\n\
             # the `#` directly before the key. README.md of the plugin says more.\n[postfix]\n",
        );
        for spec in specs() {
            text.push_str("\n#");
            let mut width = 1;
            for word in spec.help.split_whitespace() {
                if width + word.len() > 98 {
                    text.push_str("\n#");
                    width = 1;
                }
                text.push_str(&format!(" {word}"));
                width += word.len() + 1;
            }
            if let SettingKind::Choice(words) = &spec.kind {
                let words: Vec<&str> = words.iter().map(|word| word.split('=').next().unwrap_or(word)).collect();
                text.push_str(&format!("\n# Allowed: {}.", words.join(", ")));
            }
            text.push_str(format!("\n#{}: {}", spec.name, spec.default).trim_end());
            text.push('\n');
        }
        text
    }

    #[test]
    fn the_sample_has_every_setting() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("postfix.cfg.sample");
        if std::env::var_os("WRITE_SAMPLE").is_some() {
            std::fs::write(&file, sample()).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap();
        assert_eq!(kept, sample(), "{}: write it anew with WRITE_SAMPLE=1", file.display());
    }

    #[test]
    fn what_mailman_calls_regex_is_regexp() {
        let config = config(&[("transport_file_type", "regex")]).unwrap();
        assert_eq!(config.table_type(&Facts::new()), Ok(TableType::Regexp));
    }

    #[test]
    fn without_a_setting_postfix_is_asked_and_hash_is_the_last_resort() {
        let config = config(&[]).unwrap();
        let facts = |default: &str, types: &str| {
            Facts::from([(facts::DEFAULT_TYPE.into(), default.into()), (facts::TABLE_TYPES.into(), types.into())])
        };
        assert_eq!(config.table_type(&Facts::new()), Ok(TableType::Hash));
        assert_eq!(config.table_type(&facts("lmdb", "lmdb regexp texthash")), Ok(TableType::Lmdb));
        assert_eq!(config.table_type(&facts("cdb", "cdb hash texthash")), Ok(TableType::Hash));
        assert_eq!(config.table_type(&facts("cdb", "cdb texthash")), Ok(TableType::Texthash));
    }

    #[test]
    fn a_type_that_this_postfix_lacks_is_refused_with_the_package_to_install() {
        let config = config(&[("transport_file_type", "lmdb")]).unwrap();
        let facts = Facts::from([(facts::TABLE_TYPES.into(), "hash texthash".into())]);
        let error = config.table_type(&facts).unwrap_err().to_string();
        assert!(error.contains("only hash, texthash") && error.contains("postfix-lmdb"), "{error}");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let refused = |name: &str, value: &str| config(&[(name, value)]).unwrap_err().to_string();
        let error = refused("transport_file_type", "dbm");
        assert!(error.contains("dbm") && error.contains("hash, lmdb"), "{error}");
        assert!(refused("config_directory", "/etc/postfix etc").contains("etc: not an absolute path"));
        assert!(refused("config_directory", "/etc/postfix /etc/postfix/").contains("twice"));
        assert!(refused("shared_domains", "e.org hash:/x").contains("hash:/x"));
        assert!(refused("smtpd_port", "70000").contains("from 1 to 65535"));
    }

    #[test]
    fn instances_are_named_on_every_command_line() {
        assert_eq!(config(&[]).unwrap().instances, [""]);
        assert_eq!(argv("", "/p", &["reload"]), ["/p", "reload"]);
        let instances = config(&[("config_directory", " /etc/postfix  /etc/postfix-lists/ ")]).unwrap().instances;
        assert_eq!(instances, ["/etc/postfix", "/etc/postfix-lists"]);
        assert_eq!(argv(&instances[1], "/p", &["reload"]), ["/p", "-c", "/etc/postfix-lists", "reload"]);
    }
}
