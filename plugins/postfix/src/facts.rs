//! What Postfix says about itself: `postconf`.
//!
//! A parameter stands under its own name as it is written in `main.cf`, and with all `$names`
//! replaced under `NAME (expanded)`. No `postconf`: no facts, and no error; the host may be
//! another machine than the mail server.

use crate::settings::Config;
use postrider_plugin_api::sdk::{Facts, Result, Tools};

/// Names of the table types that this Postfix can read, with blanks between them.
pub(crate) const TABLE_TYPES: &str = "table types";
pub(crate) const DEFAULT_TYPE: &str = "default_database_type";
/// Why `postconf` could not tell the configuration.
pub(crate) const PROBLEM: &str = "problem";
/// `no` when Postfix surely does not run; absent when it does or nobody can tell.
const RUNNING: &str = "running";

const PARAMETERS: &[&str] = &[
    "config_directory",
    DEFAULT_TYPE,
    "local_recipient_maps",
    "mail_version",
    "mydestination",
    "owner_request_special",
    "propagate_unmatched_extensions",
    "queue_directory",
    "recipient_delimiter",
    "relay_domains",
    "relay_recipient_maps",
    "smtpd_reject_unlisted_recipient",
    "soft_bounce",
    "transport_maps",
    "unknown_relay_recipient_reject_code",
    "virtual_alias_domains",
    "virtual_alias_maps",
    "virtual_mailbox_domains",
];

pub(crate) fn probe(config: &Config, tools: &dyn Tools) -> Result<Facts> {
    let mut facts = Facts::new();
    if !tools.exists(&config.postconf) {
        return Ok(facts);
    }
    let ask = |args: &[&str]| tools.run(&config.argv(&config.postconf, args), "");

    let raw = ask(PARAMETERS)?;
    if raw.status == 0 {
        add(&mut facts, &raw.stdout, "");
        let mut args = vec!["-x"];
        args.extend(PARAMETERS);
        add(&mut facts, &ask(&args)?.stdout, " (expanded)");
        if surely_stopped(self::raw(&facts, "queue_directory"), tools) {
            facts.insert(RUNNING.into(), "no".into());
        }
    } else {
        // Installed, but not configured: the compiled-in values are known all the same.
        facts.insert(PROBLEM.into(), raw.stderr.trim().into());
        add(&mut facts, &ask(&["-d", DEFAULT_TYPE, "mail_version"])?.stdout, "");
    }
    let types = ask(&["-m"])?;
    if types.status == 0 {
        facts.insert(TABLE_TYPES.into(), types.stdout.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    Ok(facts)
}

fn add(facts: &mut Facts, output: &str, suffix: &str) {
    for (name, value) in output.lines().filter_map(|line| line.split_once(" =")) {
        facts.insert(format!("{name}{suffix}"), value.trim().into());
    }
}

/// `postfix status` would tell as well, but it is slow and for the superuser only. The file with the
/// process number is the superuser's too: others cannot tell, and cannot reload either.
fn surely_stopped(queue_directory: &str, tools: &dyn Tools) -> bool {
    let process = match tools.read_file(&format!("{queue_directory}/pid/master.pid")) {
        Ok(process) => process,
        Err(_) => return false,
    };
    // Where /proc is not what it is on Linux nobody can tell.
    let name = |process: &str| tools.read_file(&format!("/proc/{}/comm", process.trim()));
    name("self").is_ok() && !matches!(name(&process), Ok(name) if name.trim() == "master")
}

/// Is it sure that Postfix does not run?
pub(crate) fn is_stopped(facts: &Facts) -> bool {
    raw(facts, RUNNING) == "no"
}

/// As it is written in `main.cf`; empty when it is not known.
pub(crate) fn raw<'f>(facts: &'f Facts, parameter: &str) -> &'f str {
    facts.get(parameter).map_or("", String::as_str)
}

/// With all `$names` replaced; empty when it is not known.
pub(crate) fn expanded<'f>(facts: &'f Facts, parameter: &str) -> &'f str {
    facts.get(&format!("{parameter} (expanded)")).map_or("", String::as_str)
}

/// The types that this Postfix can read; empty when it is not known.
pub(crate) fn table_types(facts: &Facts) -> Vec<&str> {
    raw(facts, TABLE_TYPES).split_whitespace().collect()
}

/// Where `main.cf` is.
pub(crate) fn main_cf(config: &Config, facts: &Facts) -> String {
    let told = raw(facts, "config_directory");
    let directory = [config.config_directory.as_str(), told, "/etc/postfix"].into_iter().find(|name| !name.is_empty());
    format!("{}/main.cf", directory.unwrap_or_default().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestTools;
    use postrider_plugin_api::sdk::Settings;

    fn config(directory: &str) -> Config {
        Config::parse(&[("config_directory", directory)].into_iter().collect::<Settings>()).unwrap()
    }

    #[test]
    fn values_are_kept_as_written_and_expanded() {
        let tools = TestTools::default()
            .answer("/usr/sbin/postconf -c /p -x", 0, "mydestination = m.example, localhost\n", "")
            .answer("/usr/sbin/postconf -c /p -m", 0, "hash\nlmdb\n", "")
            .answer(
                "/usr/sbin/postconf -c /p config_directory",
                0,
                "mydestination = $myhostname, localhost\nrelay_domains =\n",
                "",
            );
        let facts = probe(&config("/p"), &tools).unwrap();
        assert_eq!(raw(&facts, "mydestination"), "$myhostname, localhost");
        assert_eq!(expanded(&facts, "mydestination"), "m.example, localhost");
        assert_eq!(raw(&facts, "relay_domains"), "");
        assert_eq!(table_types(&facts), ["hash", "lmdb"]);
    }

    #[test]
    fn a_stopped_postfix_is_known_by_its_process() {
        let stopped = |files: &[(&str, &str)]| {
            let mut tools = TestTools::default()
                .answer("/usr/sbin/postconf -x", 0, "", "")
                .answer("/usr/sbin/postconf -m", 0, "hash\n", "")
                .answer("/usr/sbin/postconf", 0, "queue_directory = /q\n", "");
            tools.files = files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect();
            is_stopped(&probe(&config(""), &tools).unwrap())
        };
        let (pid, ours) = (("/q/pid/master.pid", "      107\n"), ("/proc/self/comm", "postrider\n"));
        assert!(stopped(&[pid, ours]));
        assert!(stopped(&[pid, ours, ("/proc/107/comm", "bash\n")]));
        assert!(!stopped(&[pid, ours, ("/proc/107/comm", "master\n")]));
        assert!(!stopped(&[pid]), "no /proc");
        assert!(!stopped(&[ours]), "not for us to read");
    }

    #[test]
    fn without_postconf_nothing_is_known_and_nothing_is_wrong() {
        assert_eq!(probe(&config(""), &TestTools::default()), Ok(Facts::new()));
    }

    #[test]
    fn an_unconfigured_postfix_still_tells_its_default_type() {
        let tools = TestTools::default()
            .answer("/usr/sbin/postconf -d", 0, "default_database_type = lmdb\nmail_version = 3.9.0\n", "")
            .answer("/usr/sbin/postconf -m", 0, "lmdb\n", "")
            .answer("/usr/sbin/postconf", 1, "", "postconf: fatal: open /etc/postfix/main.cf: No such file\n");
        let facts = probe(&config(""), &tools).unwrap();
        assert_eq!(raw(&facts, DEFAULT_TYPE), "lmdb");
        assert!(raw(&facts, PROBLEM).contains("main.cf"));
    }

    #[test]
    fn main_cf_is_where_the_setting_says_or_postfix_or_the_custom() {
        let facts = Facts::from([("config_directory".into(), "/usr/local/etc/postfix".into())]);
        assert_eq!(main_cf(&config("/p/"), &facts), "/p/main.cf");
        assert_eq!(main_cf(&config(""), &facts), "/usr/local/etc/postfix/main.cf");
        assert_eq!(main_cf(&config(""), &Facts::new()), "/etc/postfix/main.cf");
    }
}
