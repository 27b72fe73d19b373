//! The section `[postfix]`: read once, into [`Config`].

use crate::{facts, table_type::TableType};
use postrider_plugin_api::sdk::{Error, Facts, Result, SettingKind, SettingSpec, Settings};

/// What the administrator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    table_type: Option<TableType>,
    pub(crate) postmap: String,
    pub(crate) postfix: String,
    pub(crate) postconf: String,
    /// Empty: Postfix's own default.
    pub(crate) config_directory: String,
}

pub(crate) fn specs() -> Vec<SettingSpec> {
    let spec = |name: &str, kind, default: &str, help: &str| SettingSpec {
        name: name.into(),
        kind,
        default: default.into(),
        help: help.into(),
    };
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
            SettingKind::Path,
            "",
            "The directory with main.cf of the Postfix instance that handles the lists (option -c of Postfix's \
             programs). Empty: the default instance.",
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
        let config = Config {
            table_type,
            postmap: or("postmap_command", "/usr/sbin/postmap"),
            postfix: or("postfix_command", "/usr/sbin/postfix"),
            postconf: or("postconf_command", "/usr/sbin/postconf"),
            config_directory: settings.value("config_directory").to_string(),
        };
        if !config.config_directory.is_empty() && !config.config_directory.starts_with('/') {
            return Err(Error::setting(format!("config_directory: {}: not an absolute path", config.config_directory)));
        }
        Ok(config)
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

    /// One of Postfix's programs with the option that says which instance.
    pub(crate) fn argv<'a>(&'a self, program: &'a str, args: &[&'a str]) -> Vec<&'a str> {
        let mut argv = vec![program];
        if !self.config_directory.is_empty() {
            argv.extend(["-c", &self.config_directory]);
        }
        argv.extend(args);
        argv
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config> {
        Config::parse(&pairs.iter().copied().collect())
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
    fn an_unknown_type_and_a_relative_directory_are_refused() {
        let error = config(&[("transport_file_type", "dbm")]).unwrap_err().to_string();
        assert!(error.contains("dbm") && error.contains("hash, lmdb"), "{error}");
        assert!(config(&[("config_directory", "etc")]).is_err());
    }

    #[test]
    fn the_instance_is_named_on_every_command_line() {
        let config = config(&[("config_directory", "/etc/postfix-lists")]).unwrap();
        assert_eq!(config.argv("/p", &["reload"]), ["/p", "-c", "/etc/postfix-lists", "reload"]);
    }
}
