//! What is known of the machine: whether OpenSMTPD is there, and what its configuration says.

use crate::settings::Config;
use postrider_plugin_api::sdk::{Facts, Result, Tools};

const VERSION: &str = "version";
/// `yes` or `no`.
const MAKEMAP: &str = "makemap";
/// The action of the last rule for any destination.
const RELAY_ACTION: &str = "relay action";
/// What separates an address from its detail, if not `+`.
const DELIMITER: &str = "sub-addr-delim";

pub(crate) fn probe(config: &Config, tools: &dyn Tools) -> Result<Facts> {
    let mut facts = Facts::new();
    let makemap = if tools.exists(&config.makemap) { "yes" } else { "no" };
    facts.insert(MAKEMAP.into(), makemap.into());
    if tools.exists(&config.smtpd) {
        // It says its version and usage, and ends with 1.
        let output = tools.run(&[&config.smtpd, "-h"], "")?;
        let said = format!("{}{}", output.stdout, output.stderr);
        if let Some(version) = said.lines().find_map(|line| line.strip_prefix("version: ")) {
            facts.insert(VERSION.into(), version.trim().into());
        }
    }
    if let Ok(conf) = tools.read_file(&config.smtpd_conf) {
        if let Some(action) = relay_action(&conf) {
            facts.insert(RELAY_ACTION.into(), action);
        }
        if let Some(delimiter) = delimiter(&conf) {
            facts.insert(DELIMITER.into(), delimiter);
        }
    }
    Ok(facts)
}

/// Is there nothing on this machine that could build db files?
pub(crate) fn has_no_makemap(facts: &Facts) -> bool {
    facts.get(MAKEMAP).map_or(false, |answer| answer == "no")
}

/// The action by which mail leaves.
pub(crate) fn outgoing<'f>(config: &'f Config, facts: &'f Facts) -> Option<&'f str> {
    match config.relay_action.as_str() {
        "" => facts.get(RELAY_ACTION).map(String::as_str),
        set => Some(set),
    }
}

/// The lines of a configuration that count, with what continues them.
pub(crate) fn statements(conf: &str) -> impl Iterator<Item = String> + '_ {
    let mut lines = conf.lines();
    std::iter::from_fn(move || {
        let mut statement = lines.next()?.to_owned();
        while statement.ends_with('\\') {
            statement.pop();
            match lines.next() {
                Some(more) => statement.push_str(more),
                None => break,
            }
        }
        Some(statement)
    })
    .map(|statement| statement.split('#').next().unwrap_or_default().trim().to_owned())
    .filter(|statement| !statement.is_empty())
}

fn relay_action(conf: &str) -> Option<String> {
    let rules = statements(conf).filter(|statement| {
        let words: Vec<&str> = statement.split_whitespace().collect();
        words.first() == Some(&"match") && words.windows(2).any(|pair| pair == ["for", "any"])
    });
    let actions = rules.filter_map(|rule| rule.split_once(" action ").map(|(_, name)| name.trim().to_owned()));
    actions.last().map(|name| name.trim_matches('"').to_owned())
}

fn delimiter(conf: &str) -> Option<String> {
    let line = statements(conf).find(|statement| statement.starts_with("smtp sub-addr-delim"))?;
    let value = line.trim_start_matches("smtp sub-addr-delim").trim().trim_matches('"');
    Some(value.to_owned()).filter(|value| value != "+")
}

/// The delimiter that OpenSMTPD has, if it is another than Postrider's.
pub(crate) fn other_delimiter(facts: &Facts) -> Option<&str> {
    facts.get(DELIMITER).map(String::as_str)
}

/// OpenSMTPD's name and version.
pub(crate) fn version(facts: &Facts) -> Option<&str> {
    facts.get(VERSION).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::testing::TestTools;

    fn config() -> Config {
        Config::parse(&Default::default()).unwrap()
    }

    #[test]
    fn version_and_the_way_out_are_found() {
        let tools = TestTools::default()
            .answer("/usr/sbin/smtpd -h", 1, "", "version: OpenSMTPD 6.8.0p2\nusage: smtpd [-dFhnv]\n")
            .answer("/usr/sbin/makemap", 0, "", "")
            .file(
                "/etc/smtpd.conf",
                "action \"out\" relay\nmatch for local action \"local\"\n\
                 # match for any action \"old\"\nmatch from local \\\n for any action \"out\"\n",
            );
        let facts = probe(&config(), &tools).unwrap();
        assert_eq!(version(&facts), Some("OpenSMTPD 6.8.0p2"));
        assert_eq!(outgoing(&config(), &facts), Some("out"));
        assert_eq!(other_delimiter(&facts), None);
        assert!(!has_no_makemap(&facts));
    }

    #[test]
    fn another_delimiter_is_noticed() {
        let tools = TestTools::default().file("/etc/smtpd.conf", "smtp sub-addr-delim \"-\"\n");
        assert_eq!(other_delimiter(&probe(&config(), &tools).unwrap()), Some("-"));
        let tools = TestTools::default().file("/etc/smtpd.conf", "smtp sub-addr-delim \"+\"\n");
        assert_eq!(other_delimiter(&probe(&config(), &tools).unwrap()), None);
    }

    #[test]
    fn on_a_machine_without_opensmtpd_nothing_is_known_and_nothing_is_wrong() {
        let facts = probe(&config(), &TestTools::default()).unwrap();
        assert!(has_no_makemap(&facts) && !has_no_makemap(&Facts::new()));
        assert_eq!((version(&facts), outgoing(&config(), &facts)), (None, None));
    }

    #[test]
    fn the_setting_wins_over_what_is_found() {
        let mut config = config();
        config.relay_action = "mine".into();
        let facts = std::iter::once((RELAY_ACTION.to_owned(), "found".to_owned())).collect();
        assert_eq!(outgoing(&config, &facts), Some("mine"));
    }
}
