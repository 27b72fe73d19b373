//! What is known of the machine: whether Sendmail is there, and how its configuration is made.

use super::config::Config;
use postrider_plugin_api::sdk::{Facts, Result, Tools};

const VERSION: &str = "version";
/// `yes` or `no`: does `sendmail.mc` include `cf.m4` itself? Absent: it cannot be read.
const SELF_CONTAINED: &str = "sendmail.mc includes cf.m4";
/// The directory with Sendmail's m4 files.
const CF_DIR: &str = "cf_dir";
/// `yes` or `no`.
const MAKEMAP: &str = "makemap";

/// Where the systems have Sendmail's m4 files: Debian and FreeBSD, Red Hat, others.
const USUAL_DIRS: [&str; 3] = ["/usr/share/sendmail/cf", "/usr/share/sendmail-cf", "/usr/local/share/sendmail/cf"];

pub(crate) fn probe(config: &Config, tools: &dyn Tools) -> Result<Facts> {
    let mut facts = Facts::new();
    let makemap = if tools.exists(&config.makemap) { "yes" } else { "no" };
    facts.insert(MAKEMAP.into(), makemap.into());
    if tools.exists(&config.sendmail) {
        let output = tools.run(&[&config.sendmail, "-d0.1", "-bt"], "")?;
        if let Some(version) = output.stdout.lines().find_map(|line| line.strip_prefix("Version ")) {
            facts.insert(VERSION.into(), version.trim().into());
        }
    }
    if let Ok(mc) = tools.read_file(&config.mc_file) {
        let includes = mc.lines().any(|line| line.trim_start().starts_with("include(") && line.contains("m4/cf.m4"));
        facts.insert(SELF_CONTAINED.into(), if includes { "yes" } else { "no" }.into());
    }
    let usual = USUAL_DIRS.iter().copied().find(|directory| tools.exists(&format!("{directory}/m4/cf.m4")));
    if let Some(directory) = usual {
        facts.insert(CF_DIR.into(), directory.into());
    }
    Ok(facts)
}

/// Is there nothing on this machine that could build maps?
pub(crate) fn has_no_makemap(facts: &Facts) -> bool {
    facts.get(MAKEMAP).map_or(false, |answer| answer == "no")
}

/// The directory that m4 must be told of, if `sendmail.mc` does not name it.
pub(crate) fn cf_dir<'f>(config: &'f Config, facts: &'f Facts) -> Option<&'f str> {
    if facts.get(SELF_CONTAINED).map_or(config.cf_dir.is_empty(), |answer| answer == "yes") {
        return None;
    }
    if !config.cf_dir.is_empty() {
        return Some(&config.cf_dir);
    }
    facts.get(CF_DIR).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestTools;
    use postrider_plugin_api::sdk::Settings;

    fn config(cf_dir: &str) -> Config {
        Config::parse(&[("cf_dir", cf_dir)].into_iter().collect::<Settings>()).unwrap()
    }

    fn tools(mc: &str) -> TestTools {
        let mut tools = TestTools::default().answer("/usr/sbin/sendmail -d0.1 -bt", 0, "Version 8.17.1.9\n > \n", "");
        tools.files.insert("/etc/mail/sendmail.mc".into(), mc.into());
        tools.files.insert("/usr/share/sendmail-cf/m4/cf.m4".into(), String::new());
        tools
    }

    #[test]
    fn a_file_that_includes_cf_m4_needs_no_directory() {
        let mc = "divert(0)\ninclude(`/usr/share/sendmail/cf/m4/cf.m4')dnl\n";
        let facts = probe(&config(""), &tools(mc)).unwrap();
        assert_eq!(facts[VERSION], "8.17.1.9");
        assert_eq!(cf_dir(&config(""), &facts), None);
        assert_eq!(cf_dir(&config("/opt/cf"), &facts), None);
    }

    #[test]
    fn a_file_that_does_not_gets_the_directory_that_is_set_or_found() {
        let facts = probe(&config(""), &tools("dnl include(`../m4/cf.m4')\nOSTYPE(`linux')\n")).unwrap();
        assert_eq!(cf_dir(&config(""), &facts), Some("/usr/share/sendmail-cf"));
        assert_eq!(cf_dir(&config("/opt/cf"), &facts), Some("/opt/cf"));
    }

    #[test]
    fn on_a_machine_without_sendmail_nothing_is_known_and_nothing_is_wrong() {
        let facts = probe(&config(""), &TestTools::default()).unwrap();
        assert_eq!(facts, std::iter::once((MAKEMAP.into(), "no".into())).collect());
        assert!(has_no_makemap(&facts) && !has_no_makemap(&Facts::new()));
        assert_eq!(cf_dir(&config(""), &Facts::new()), None);
        assert_eq!(cf_dir(&config("/opt/cf"), &Facts::new()), Some("/opt/cf"));
    }
}
