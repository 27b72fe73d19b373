//! The section `[sendmail]` for `sendmail.LMTP`: read once, into [`Config`].

use crate::programs;
use postrider_plugin_api::sdk::{Error, Result, SettingKind, SettingSpec, Settings};

/// What the administrator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) sendmail: String,
    pub(crate) makemap: String,
    pub(crate) m4: String,
    pub(crate) mc_file: String,
    pub(crate) cf_file: String,
    /// Empty: what `mc_file` includes, or where it is found.
    pub(crate) cf_dir: String,
    pub(crate) map_type: MapType,
}

/// A kind of map that makemap builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapType {
    Hash,
    Btree,
    Cdb,
}

impl MapType {
    const ALL: [MapType; 3] = [MapType::Hash, MapType::Btree, MapType::Cdb];

    /// As makemap and a K line call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            MapType::Hash => "hash",
            MapType::Btree => "btree",
            MapType::Cdb => "cdb",
        }
    }

    /// What makemap appends to the file name.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            MapType::Hash | MapType::Btree => ".db",
            MapType::Cdb => ".cdb",
        }
    }
}

pub(crate) fn specs() -> Vec<SettingSpec> {
    vec![
        programs::sendmail_spec(),
        SettingSpec::new(
            "makemap_command",
            SettingKind::Program,
            "/usr/sbin/makemap",
            "The program that builds the maps (makemap(8)).",
        ),
        SettingSpec::new(
            "m4_command",
            SettingKind::Program,
            "/usr/bin/m4",
            "The program that makes cf_file of mc_file.",
        ),
        SettingSpec::new(
            "mc_file",
            SettingKind::Path,
            "/etc/mail/sendmail.mc",
            "The file that Sendmail's configuration is made of. The hookup adds one line to it, and puts postrider.m4 \
             beside it.",
        ),
        programs::cf_spec(),
        SettingSpec::new(
            "cf_dir",
            SettingKind::Path,
            "",
            "The directory with Sendmail's m4 files (m4/cf.m4), for instance /usr/share/sendmail-cf. Only needed if \
             mc_file does not include cf.m4 itself and the directory is not where it usually is.",
        ),
        SettingSpec::new(
            "map_type",
            SettingKind::Choice(MapType::ALL.iter().map(|kind| kind.name().to_string()).collect()),
            "hash",
            "The kind of map that is built. `makemap -l` says which kinds this Sendmail has.",
        ),
    ]
}

impl Config {
    pub(crate) fn parse(settings: &Settings) -> Result<Self> {
        let path = |name: &str, default: &str| programs::path(settings, name, default);
        let map_type = match settings.value("map_type") {
            "" => MapType::Hash,
            name => MapType::ALL.iter().copied().find(|kind| kind.name() == name).ok_or_else(|| {
                Error::setting(format!("map_type: {name}: no such type")).with_hint("use hash, btree or cdb")
            })?,
        };
        Ok(Config {
            sendmail: path("sendmail_command", programs::SENDMAIL)?,
            makemap: path("makemap_command", "/usr/sbin/makemap")?,
            m4: path("m4_command", "/usr/bin/m4")?,
            mc_file: path("mc_file", "/etc/mail/sendmail.mc")?,
            cf_file: path("cf_file", "/etc/mail/sendmail.cf")?,
            cf_dir: match settings.value("cf_dir") {
                "" => String::new(),
                _ => path("cf_dir", "")?.trim_end_matches('/').into(),
            },
            map_type,
        })
    }

    /// Our file of m4, beside `sendmail.mc`.
    pub(crate) fn fragment_file(&self) -> String {
        let directory = self.mc_file.rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{directory}/postrider.m4")
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
        assert_eq!(config.sendmail, "/usr/sbin/sendmail");
        assert_eq!(config.fragment_file(), "/etc/mail/postrider.m4");
        assert_eq!(config.map_type, MapType::Hash);
    }

    #[test]
    fn the_fragment_is_beside_the_mc_file() {
        assert_eq!(config(&[("mc_file", "/opt/mail/site.mc")]).unwrap().fragment_file(), "/opt/mail/postrider.m4");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_name() {
        let error = config(&[("map_type", "dbm")]).unwrap_err().to_string();
        assert!(error.contains("map_type: dbm") && error.contains("cdb"), "{error}");
        let error = config(&[("mc_file", "/etc/my mail/sendmail.mc")]).unwrap_err().to_string();
        assert!(error.contains("mc_file") && error.contains("my mail"), "{error}");
        assert!(config(&[("cf_dir", "share/cf")]).is_err());
    }
}
