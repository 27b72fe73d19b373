//! What the machine tells: qmail's control files, tcpserver's rules, which programs are there.

use crate::settings::Config;
use postrider_plugin_api::sdk::{Facts, Tools};

/// `yes` if the program for the control files is there: then qmail is hooked up, or nearly.
const CONTROL_COMMAND: &str = "control_command";
/// Domains that qmail delivers itself, one a line.
const LOCALS: &str = "locals";
/// The rules of tcpserver; absent if there is no such file.
const TCP_RULES: &str = "tcp_rules";

pub(crate) fn probe(config: &Config, tools: &dyn Tools) -> Facts {
    let mut facts = Facts::new();
    let is_there = if tools.exists(&config.control_command) { "yes" } else { "no" };
    facts.insert(CONTROL_COMMAND.into(), is_there.into());
    if let Some(locals) = locals(config, tools) {
        facts.insert(LOCALS.into(), locals.join("\n"));
    }
    if let Ok(rules) = tools.read_file(&config.tcp_rules) {
        facts.insert(TCP_RULES.into(), rules);
    }
    facts
}

/// Is the program for the control files there? Yes, if nobody looked.
pub(crate) fn has_control_command(facts: &Facts) -> bool {
    facts.get(CONTROL_COMMAND).map_or(true, |known| known == "yes")
}

/// Whether qmail takes this domain for one of its own users.
pub(crate) fn is_local(facts: &Facts, domain: &str) -> bool {
    facts.get(LOCALS).map_or(false, |locals| locals.lines().any(|local| local.eq_ignore_ascii_case(domain)))
}

/// The rules of tcpserver, if there are any.
pub(crate) fn tcp_rules(facts: &Facts) -> Option<&str> {
    facts.get(TCP_RULES).map(String::as_str)
}

/// Whether these rules let this client relay: `127.`, or an IPv4 address.
pub(crate) fn may_relay(rules: &str, client: &str) -> bool {
    let relaying = rules.lines().filter(|line| !line.starts_with('#') && line.contains("RELAYCLIENT"));
    let mut known = relaying.filter_map(|line| line.split(':').next());
    known.any(|known| known == client || (client == "127." && known == "127.0.0.1"))
}

/// `locals`, or `me` where there is none, as qmail-send does it.
pub(crate) fn locals(config: &Config, tools: &dyn Tools) -> Option<Vec<String>> {
    control_lines(config, tools, "locals").or_else(|| {
        let me = control_lines(config, tools, "me")?;
        Some(me.into_iter().take(1).collect())
    })
}

/// The lines of a control file that mean something; `None` if it cannot be read. qmail passes over empty
/// lines and those that begin with `#`, and over blanks at the end of a line.
pub(crate) fn control_lines(config: &Config, tools: &dyn Tools, name: &str) -> Option<Vec<String>> {
    let text = tools.read_file(&config.control(name)).ok()?;
    let lines = text.lines().map(|line| line.trim_end_matches(&[' ', '\t'][..]));
    Some(lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(String::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestTools;

    fn config() -> Config {
        Config::parse(&postrider_plugin_api::sdk::Settings::default()).unwrap()
    }

    #[test]
    fn comments_and_blanks_of_control_files_do_not_count() {
        let tools = TestTools::default().file("/var/qmail/control/locals", "# ours\n\nmta.example.com \t\nlocalhost");
        assert_eq!(locals(&config(), &tools).unwrap(), ["mta.example.com", "localhost"]);
    }

    #[test]
    fn without_locals_qmail_is_local_to_its_own_name() {
        let tools = TestTools::default().file("/var/qmail/control/me", "mta.example.com\nrest\n");
        let facts = probe(&config(), &tools);
        assert!(is_local(&facts, "MTA.example.com") && !is_local(&facts, "rest"));
    }

    #[test]
    fn a_machine_without_qmail_tells_only_that_the_program_is_missing() {
        let facts = probe(&config(), &TestTools::default());
        assert_eq!(facts.len(), 1);
        assert!(!has_control_command(&facts));
        assert!(has_control_command(&Facts::new()), "nobody looked");
        assert_eq!(tcp_rules(&facts), None);
    }
}
