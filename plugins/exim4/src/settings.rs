//! The section `[exim4]`: read once, into [`Config`].

use postrider_plugin_api::sdk::{Error, Result, SettingKind, SettingSpec, Settings};

/// How Exim's configuration is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Debian's `conf.d`, put together by update-exim4.conf(8).
    Split,
    /// Debian's `exim4.conf.template`, filled in by update-exim4.conf(8).
    Single,
    /// One file that Exim reads as it is.
    Plain,
}

impl Layout {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Layout::Split => "split",
            Layout::Single => "single",
            Layout::Plain => "plain",
        }
    }
}

/// How Exim knows the addresses of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipients {
    /// A directory with a file for each list.
    Directory,
    /// One file with a line for each list.
    File(FileType),
    /// Exim asks the list server.
    Callout,
}

/// Kinds of files that Exim looks keys up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileType {
    /// Plain text, read from its begin at each look-up.
    Lsearch,
    /// A constant database, made by `cdb` of tinycdb.
    Cdb,
    /// What Exim was built with (Berkeley DB, gdbm, …), made by exim_dbmbuild(8).
    Dbm,
}

impl FileType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            FileType::Lsearch => "lsearch",
            FileType::Cdb => "cdb",
            FileType::Dbm => "dbm",
        }
    }
}

/// What the administrator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// `None`: what Exim's configuration looks like.
    pub(crate) layout: Option<Layout>,
    pub(crate) recipients: Recipients,
    /// Debian's directory, without a slash at its end.
    pub(crate) config_directory: String,
    /// Of the plain layout; empty: the one that Exim names.
    pub(crate) config_file: String,
    /// Where in `conf.d/router` our routers stand.
    pub(crate) router_file: String,
    /// The name of the site's list of its own domains, in the plain layout.
    pub(crate) local_domains: String,
    /// The name of the site's list of domains whose people are on other hosts, in the plain layout.
    pub(crate) relay_domains: String,
    /// The name of the site's list of hosts that may relay, in the plain layout.
    pub(crate) relay_hosts: String,
    /// Take mail for lists in domains that have an alias domain, too.
    pub(crate) real_domains: bool,
    pub(crate) exim: String,
    pub(crate) update: String,
    pub(crate) cdb: String,
    pub(crate) dbmbuild: String,
}

const DIRECTORY: &str = "/etc/exim4";
const ROUTER_FILE: &str = "110_postrider";
/// What this list is called in Debian's configuration, and in Exim's own example.
const RELAY_DOMAINS: &str = "relay_to_domains";

pub(crate) fn specs() -> Vec<SettingSpec> {
    let spec = SettingSpec::new;
    let choice = |words: &[&str]| SettingKind::Choice(words.iter().map(|word| word.to_string()).collect());
    vec![
        spec(
            "layout",
            choice(&["auto", "split", "single", "plain"]),
            "auto",
            "How Exim's configuration is kept: split (Debian's conf.d), single (Debian's exim4.conf.template), or \
             plain (one file that Exim reads as it is). auto: what Exim says.",
        ),
        spec(
            "config_directory",
            SettingKind::Path,
            DIRECTORY,
            "The directory with conf.d and exim4.conf.template (layouts split and single).",
        ),
        spec(
            "config_file",
            SettingKind::Path,
            "",
            "Exim's configuration file (layout plain). Empty: the one that Exim names.",
        ),
        spec(
            "router_file",
            SettingKind::Text,
            ROUTER_FILE,
            "The name of the file in conf.d/router (layout split). Files are read in the order of their names; the \
             routers for lists have to come before those for all other addresses of the same domains.",
        ),
        spec(
            "local_domains",
            SettingKind::Text,
            "local_domains",
            "The name of the domainlist with the site's own domains (layout plain).",
        ),
        spec(
            "relay_domains",
            SettingKind::Text,
            RELAY_DOMAINS,
            "The name of the domainlist with the domains for which this Exim relays to other hosts (layout plain). Lists \
             there are taken out of the stream; all other mail for these domains goes on as before.",
        ),
        spec(
            "relay_hosts",
            SettingKind::Text,
            "relay_from_hosts",
            "The name of the hostlist with the hosts that may relay (layout plain). It matters only if the list server \
             is another host.",
        ),
        spec(
            "recipients",
            choice(&["directory", "file", "callout"]),
            "directory",
            "How Exim knows which addresses are lists: it looks for a file in a directory, for a line in a file, or \
             asks the list server by LMTP while the sender waits (callout).",
        ),
        spec(
            "file_type",
            choice(&["lsearch", "cdb", "dbm"]),
            "lsearch",
            "The kind of the file (recipients: file): lsearch is plain text and fit for some thousand lists; cdb and \
             dbm are compiled.",
        ),
        spec(
            "real_domains",
            SettingKind::Boolean,
            "yes",
            "Domains that have an alias domain: whether mail for lists is taken there too. Say no if their mailboxes \
             are on another host, to which this Exim sends their mail.",
        ),
        spec("exim_command", SettingKind::Program, "/usr/sbin/exim4", "Exim itself; where it does not exist nothing is asked."),
        spec(
            "update_exim4_conf_command",
            SettingKind::Program,
            "/usr/sbin/update-exim4.conf",
            "Debian's program that makes Exim's configuration (layouts split and single).",
        ),
        spec("cdb_command", SettingKind::Program, "/usr/bin/cdb", "The program of tinycdb that compiles files of the type cdb."),
        spec(
            "exim_dbmbuild_command",
            SettingKind::Program,
            "/usr/sbin/exim_dbmbuild",
            "Exim's program that compiles files of the type dbm.",
        ),
    ]
}

impl Config {
    /// The name of the list of domains for which Exim relays to other hosts.
    pub(crate) fn relay_domains(&self, layout: Layout) -> &str {
        match layout {
            Layout::Plain => &self.relay_domains,
            Layout::Single | Layout::Split => RELAY_DOMAINS,
        }
    }

    pub(crate) fn parse(settings: &Settings) -> Result<Self> {
        let or = |name: &str, default: &str| match settings.value(name) {
            "" => default.to_string(),
            value => value.to_string(),
        };
        let config = Config {
            layout: match settings.value("layout") {
                "" | "auto" => None,
                "split" => Some(Layout::Split),
                "single" => Some(Layout::Single),
                "plain" => Some(Layout::Plain),
                other => return Err(unknown("layout", other, "auto, split, single or plain")),
            },
            recipients: match (settings.value("recipients"), settings.value("file_type")) {
                ("" | "directory", _) => Recipients::Directory,
                ("file", "" | "lsearch") => Recipients::File(FileType::Lsearch),
                ("file", "cdb") => Recipients::File(FileType::Cdb),
                ("file", "dbm") => Recipients::File(FileType::Dbm),
                ("file", other) => return Err(unknown("file_type", other, "lsearch, cdb or dbm")),
                ("callout", _) => Recipients::Callout,
                (other, _) => return Err(unknown("recipients", other, "directory, file or callout")),
            },
            config_directory: or("config_directory", DIRECTORY).trim_end_matches('/').into(),
            config_file: or("config_file", ""),
            router_file: or("router_file", ROUTER_FILE),
            local_domains: or("local_domains", "local_domains"),
            relay_domains: or("relay_domains", RELAY_DOMAINS),
            relay_hosts: or("relay_hosts", "relay_from_hosts"),
            real_domains: settings.value("real_domains") != "no",
            exim: or("exim_command", "/usr/sbin/exim4"),
            update: or("update_exim4_conf_command", "/usr/sbin/update-exim4.conf"),
            cdb: or("cdb_command", "/usr/bin/cdb"),
            dbmbuild: or("exim_dbmbuild_command", "/usr/sbin/exim_dbmbuild"),
        };
        config.validate()?;
        Ok(config)
    }

    /// All of these become part of shell commands or of Exim's configuration.
    fn validate(&self) -> Result<()> {
        let paths = [
            ("config_directory", &self.config_directory),
            ("config_file", &self.config_file),
            ("exim_command", &self.exim),
            ("update_exim4_conf_command", &self.update),
            ("cdb_command", &self.cdb),
            ("exim_dbmbuild_command", &self.dbmbuild),
        ];
        for (name, path) in paths.iter().filter(|(_, path)| !path.is_empty()) {
            plain_path(path)
                .map_err(|error| Error::setting(format!("{name}: {}", error.message)).with_hint(error.hint))?;
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        // Names that update-exim4.conf reads: letters, digits, underscore and dash.
        if !self.router_file.chars().all(|c| word(c) || c == '-') || self.router_file.starts_with('-') {
            return Err(Error::setting(format!(
                "router_file: `{}`: update-exim4.conf ignores such a file",
                self.router_file
            ))
            .with_hint("use letters, digits, _ and - only, for instance 110_postrider"));
        }
        let lists = [
            ("local_domains", &self.local_domains),
            ("relay_domains", &self.relay_domains),
            ("relay_hosts", &self.relay_hosts),
        ];
        for (name, list) in lists {
            if !list.chars().all(word) {
                return Err(Error::setting(format!("{name}: `{list}` is no name of a list in Exim's configuration"))
                    .with_hint("use the word after `domainlist` or `hostlist`, without a + sign"));
            }
        }
        Ok(())
    }
}

fn unknown(name: &str, value: &str, allowed: &str) -> Error {
    Error::setting(format!("{name}: `{value}` is not allowed")).with_hint(format!("use {allowed}"))
}

/// An absolute path that means nothing else in a shell or in Exim's string expansion.
pub(crate) fn plain_path(path: &str) -> Result<&str> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '@');
    if path.starts_with('/') && path.chars().all(good) {
        return Ok(path);
    }
    Err(Error::setting(format!("the path `{path}` cannot be written in Exim's configuration"))
        .with_hint("use an absolute path of letters, digits and . _ - + @ only"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Config> {
        Config::parse(&pairs.iter().copied().collect())
    }

    #[test]
    fn defaults_are_those_of_the_help() {
        let told: Settings = specs().into_iter().map(|spec| (spec.name, spec.default)).collect();
        assert_eq!(Config::parse(&told), Config::parse(&Settings::default()));
    }

    #[test]
    fn a_file_has_a_type() {
        assert_eq!(parse(&[("recipients", "file")]).unwrap().recipients, Recipients::File(FileType::Lsearch));
        let cdb = [("recipients", "file"), ("file_type", "cdb")];
        assert_eq!(parse(&cdb).unwrap().recipients, Recipients::File(FileType::Cdb));
        assert!(parse(&[("recipients", "file"), ("file_type", "hash")]).unwrap_err().message.contains("`hash`"));
    }

    #[test]
    fn what_would_change_a_command_or_the_configuration_is_refused() {
        for (name, value) in [
            ("exim_command", "/usr/sbin/exim4; reboot"),
            ("config_directory", "/etc/exim 4"),
            ("config_file", "/etc/${run{x}}"),
            ("config_file", "exim.conf"),
            ("router_file", "110.postrider"),
            ("router_file", "../x"),
            ("local_domains", "+local_domains"),
            ("relay_domains", "${run{x}}"),
            ("relay_hosts", "a : b"),
        ] {
            let error = parse(&[(name, value)]).unwrap_err();
            assert!(error.message.contains(name) && !error.hint.is_empty(), "{name}: {error}");
        }
    }
}
