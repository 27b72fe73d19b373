//! What Postfix says about itself: `postconf`.
//!
//! A parameter stands under its own name as it is written in `main.cf`, and with all `$names`
//! replaced under `NAME (expanded)`; `NAME (set)` is there when `main.cf` sets it; `NAME (before)` and `NAME (set before)` tell the same of the
//! time before the first hookup, which kept it in a file. No `postconf`: no facts, and no error; the host may be
//! another machine than the mail server.

use crate::{
    main_cf::List,
    settings::{argv, Config},
};
use postrider_plugin_api::sdk::{Facts, LmtpAddress, Result, Site, Tools};

/// Names of the table types that this Postfix can read, with blanks between them.
pub(crate) const TABLE_TYPES: &str = "table types";
pub(crate) const DEFAULT_TYPE: &str = "default_database_type";
/// Why `postconf` could not tell the configuration.
pub(crate) const PROBLEM: &str = "problem";
/// `no` when Postfix surely does not run; absent when it does or nobody can tell.
const RUNNING: &str = "running";
/// The column `chroot` of the service `lmtp` in `master.cf`; asked only when it matters.
const LMTP_CHROOT: &str = "lmtp/unix/chroot";
/// The parameters by which Postfix takes a domain for its own, in the order in which it asks.
pub(crate) const DOMAIN_LISTS: [&str; 3] = ["mydestination", "virtual_alias_domains", "virtual_mailbox_domains"];

/// What the steps of a hookup may set: their values are kept beside `main.cf` before the first change.
pub(crate) const CHANGED: &[&str] = &[
    "local_recipient_maps",
    "mynetworks",
    "owner_request_special",
    "parent_domain_matches_subdomains",
    "recipient_delimiter",
    "relay_domains",
    "relay_recipient_maps",
    "transport_maps",
    "unknown_relay_recipient_reject_code",
    "virtual_alias_domains",
    "virtual_alias_maps",
    "virtual_mailbox_maps",
];

const PARAMETERS: &[&str] = &[
    "compatibility_level",
    "config_directory",
    DEFAULT_TYPE,
    "local_recipient_maps",
    "mail_owner",
    "mail_version",
    "mydestination",
    "mynetworks",
    "owner_request_special",
    "parent_domain_matches_subdomains",
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
    "virtual_mailbox_maps",
];

/// Where `main.cf` may name our tables.
const TABLE_PARAMETERS: [&str; 6] = [
    "transport_maps",
    "relay_domains",
    "relay_recipient_maps",
    "local_recipient_maps",
    "virtual_mailbox_maps",
    "virtual_alias_maps",
];

/// One Postfix: a directory with a `main.cf`, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Instance<'c> {
    /// As it was set; empty: the default.
    pub(crate) directory: &'c str,
    pub(crate) facts: Facts,
}

/// Facts of every instance under their own names: the first has the plain ones, the others have theirs
/// with the directory before them.
fn prefix(config: &Config, directory: &str) -> String {
    if config.instances[0] == directory {
        String::new()
    } else {
        format!("{directory} ")
    }
}

/// The facts of each instance.
pub(crate) fn instances<'c>(config: &'c Config, facts: &Facts) -> Vec<Instance<'c>> {
    let known = |directory: &str| -> Facts {
        let prefix = prefix(config, directory);
        let of_it = |name: &str| name.strip_prefix(&prefix).filter(|name| !name.starts_with('/')).map(String::from);
        facts.iter().filter_map(|(name, value)| Some((of_it(name)?, value.clone()))).collect()
    };
    config.instances.iter().map(|directory| Instance { directory, facts: known(directory) }).collect()
}

pub(crate) fn probe(config: &Config, site: &Site, tools: &dyn Tools) -> Result<Facts> {
    let mut facts = Facts::new();
    if !tools.exists(&config.postconf) {
        return Ok(facts);
    }
    for directory in &config.instances {
        let prefix = prefix(config, directory);
        let found = probe_instance(config, directory, site, tools)?;
        facts.extend(found.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)));
    }
    Ok(facts)
}

fn probe_instance(config: &Config, directory: &str, site: &Site, tools: &dyn Tools) -> Result<Facts> {
    let mut facts = Facts::new();
    let ask = |args: &[&str]| tools.run(&argv(directory, &config.postconf, args), "");
    let ask_for = |option: &str| ask(&[&[option], PARAMETERS].concat());

    let raw = ask(PARAMETERS)?;
    if raw.status == 0 {
        add(&mut facts, &raw.stdout, "");
        add(&mut facts, &ask_for("-x")?.stdout, " (expanded)");
        add(&mut facts, &ask_for("-n")?.stdout, " (set)");
        for parameter in DOMAIN_LISTS.iter().chain(&["relay_domains"]) {
            let names = names_in_files(expanded(&facts, parameter), tools);
            facts.insert(format!("{parameter} (files)"), names);
        }
        if let Ok(kept) = tools.read_file(&kept_values(directory, &facts)) {
            // Defaults may have changed since only with Postfix itself.
            add(&mut facts, &ask(&[&["-d"], CHANGED].concat())?.stdout, " (before)");
            add(&mut facts, &kept, " (before)");
            add(&mut facts, &kept, " (set before)");
        }
        if may_be_out_of_reach(&site.lmtp, self::raw(&facts, "queue_directory"), tools) {
            let told = ask(&["-F", "lmtp/unix/chroot"])?.stdout;
            if let Some((_, value)) = told.trim().split_once(" = ") {
                facts.insert(LMTP_CHROOT.into(), value.into());
            }
        }
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

/// Is it a socket that a client in a chroot does not see? The chroot is the queue directory; somebody may
/// have put the socket there, under the same name.
fn may_be_out_of_reach(lmtp: &LmtpAddress, queue_directory: &str, tools: &dyn Tools) -> bool {
    match lmtp {
        LmtpAddress::Unix(path) => !tools.exists(&format!("{}{path}", queue_directory.trim_end_matches('/'))),
        _ => false,
    }
}

/// A list of domains may name files, which hold more of them (a line each, `#` begins a comment).
fn names_in_files(list: &str, tools: &dyn Tools) -> String {
    let list = List::parse(list);
    let files = list.items().iter().filter(|item| item.starts_with('/'));
    let texts: Vec<String> = files.filter_map(|file| tools.read_file(file).ok()).collect();
    let lines = texts.iter().flat_map(|text| text.lines()).filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
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

/// Is it known what `main.cf` says?
pub(crate) fn is_known(facts: &Facts) -> bool {
    facts.contains_key(TABLE_PARAMETERS[0])
}

/// Every item of the parameters that may name tables of ours, as written and expanded.
pub(crate) fn table_items(facts: &Facts) -> Vec<String> {
    let values = TABLE_PARAMETERS.iter().flat_map(|name| [raw(facts, name), expanded(facts, name)]);
    values.flat_map(|value| List::parse(value).items().to_vec()).collect()
}

/// Does `main.cf` name this table of this type?
pub(crate) fn refers_to(facts: &Facts, reference: &str) -> bool {
    table_items(facts).iter().any(|item| item.ends_with(reference))
}

/// Does `main.cf` set it, rather than leave it at its default?
pub(crate) fn is_set(facts: &Facts, parameter: &str) -> bool {
    facts.contains_key(&format!("{parameter} (set)"))
}

/// What the parameter was before the first hookup; `None` if nobody knows.
pub(crate) fn before<'f>(facts: &'f Facts, parameter: &str) -> Option<&'f str> {
    facts.get(&format!("{parameter} (before)")).map(String::as_str)
}

/// What it was set to then; `None` if it was left at its default, or nobody knows.
pub(crate) fn set_before<'f>(facts: &'f Facts, parameter: &str) -> Option<&'f str> {
    facts.get(&format!("{parameter} (set before)")).map(String::as_str)
}

/// The domains that a parameter names, as far as they can be read, and whatever else stands there.
pub(crate) fn domains(facts: &Facts, parameter: &str) -> List {
    let files = raw(facts, &format!("{parameter} (files)"));
    List::parse(&format!("{} {files}", expanded(facts, parameter)))
}

/// Does the LMTP client run in a chroot, so that it sees no socket outside of the queue directory?
pub(crate) fn is_lmtp_in_chroot(facts: &Facts) -> bool {
    match raw(facts, LMTP_CHROOT) {
        "y" => true,
        // The default has changed with level 1.
        "-" => raw(facts, "compatibility_level") == "0",
        _ => false,
    }
}

/// The types that this Postfix can read; empty when it is not known.
pub(crate) fn table_types(facts: &Facts) -> Vec<&str> {
    raw(facts, TABLE_TYPES).split_whitespace().collect()
}

/// The queue directory, if there is only one; empty when it is not known.
pub(crate) fn queue_directory<'f>(instances: &'f [Instance<'_>]) -> &'f str {
    match instances {
        [instance] => raw(&instance.facts, "queue_directory"),
        _ => "",
    }
}

/// Where `main.cf` is.
pub(crate) fn main_cf(instance: &Instance<'_>) -> String {
    main_cf_in(instance.directory, &instance.facts)
}

fn main_cf_in(directory: &str, facts: &Facts) -> String {
    let told = raw(facts, "config_directory");
    let directory = [directory, told, "/etc/postfix"].into_iter().find(|name| !name.is_empty());
    format!("{}/main.cf", directory.unwrap_or_default().trim_end_matches('/'))
}

/// The file that keeps the values from before the first hookup, as `postconf -n` writes them.
pub(crate) fn kept_values(directory: &str, facts: &Facts) -> String {
    format!("{}.before-postrider", main_cf_in(directory, facts))
}

/// Does a name in this list of domains match the domains below it too?
pub(crate) fn matches_subdomains(facts: &Facts, parameter: &str) -> bool {
    List::parse(expanded(facts, "parent_domain_matches_subdomains")).contains(parameter)
}

/// Is this Postfix known to be at least so new?
pub(crate) fn is_at_least(facts: &Facts, wanted: (u32, u32)) -> bool {
    let mut numbers = raw(facts, "mail_version").split(|c: char| !c.is_ascii_digit()).map(str::parse);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{site, TestTools};
    use postrider_plugin_api::sdk::Settings;

    fn config(directory: &str) -> Config {
        Config::parse(&[("config_directory", directory)].into_iter().collect::<Settings>()).unwrap()
    }

    #[test]
    fn values_are_kept_as_written_and_expanded() {
        let tools = TestTools::default()
            .answer("/usr/sbin/postconf -c /p -x", 0, "mydestination = m.example, localhost\n", "")
            .answer("/usr/sbin/postconf -c /p -n", 0, "mydestination = $myhostname, localhost\n", "")
            .answer("/usr/sbin/postconf -c /p -m", 0, "hash\nlmdb\n", "")
            .answer(
                "/usr/sbin/postconf -c /p compatibility_level",
                0,
                "mydestination = $myhostname, localhost\nrelay_domains =\n",
                "",
            );
        let facts = probe(&config("/p"), &site(), &tools).unwrap();
        assert_eq!(before(&facts, "relay_domains"), None);
        assert_eq!(raw(&facts, "mydestination"), "$myhostname, localhost");
        assert_eq!(expanded(&facts, "mydestination"), "m.example, localhost");
        assert_eq!(raw(&facts, "relay_domains"), "");
        assert!(is_set(&facts, "mydestination") && !is_set(&facts, "relay_domains"));
        assert_eq!(table_types(&facts), ["hash", "lmdb"]);
    }

    #[test]
    fn values_from_before_the_first_hookup_are_read_from_where_it_kept_them() {
        let mut tools = TestTools::default()
            .answer("/usr/sbin/postconf -d", 0, "recipient_delimiter =\nrelay_domains =\n", "")
            .answer("/usr/sbin/postconf", 0, "recipient_delimiter = +\n", "");
        tools.files.insert("/etc/postfix/main.cf.before-postrider".into(), "relay_domains = b.example\n".into());
        let facts = probe(&config(""), &site(), &tools).unwrap();
        assert_eq!(
            (before(&facts, "recipient_delimiter"), set_before(&facts, "recipient_delimiter")),
            (Some(""), None)
        );
        assert_eq!(before(&facts, "relay_domains"), Some("b.example"));
        assert_eq!(set_before(&facts, "relay_domains"), Some("b.example"));
    }

    #[test]
    fn versions_are_compared_by_number() {
        let is = |version: &str| is_at_least(&Facts::from([("mail_version".into(), version.into())]), (3, 7));
        assert!(is("3.7.11") && is("3.10.0") && is("4.0-20270101"));
        assert!(!is("3.6.4") && !is("2.11.3") && !is(""));
    }

    #[test]
    fn a_stopped_postfix_is_known_by_its_process() {
        let stopped = |files: &[(&str, &str)]| {
            let mut tools = TestTools::default()
                .answer("/usr/sbin/postconf -x", 0, "", "")
                .answer("/usr/sbin/postconf -n", 0, "", "")
                .answer("/usr/sbin/postconf -m", 0, "hash\n", "")
                .answer("/usr/sbin/postconf", 0, "queue_directory = /q\n", "");
            tools.files = files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect();
            is_stopped(&probe(&config(""), &site(), &tools).unwrap())
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
        assert_eq!(probe(&config(""), &site(), &TestTools::default()), Ok(Facts::new()));
    }

    #[test]
    fn an_unconfigured_postfix_still_tells_its_default_type() {
        let tools = TestTools::default()
            .answer("/usr/sbin/postconf -d", 0, "default_database_type = lmdb\nmail_version = 3.9.0\n", "")
            .answer("/usr/sbin/postconf -m", 0, "lmdb\n", "")
            .answer("/usr/sbin/postconf", 1, "", "postconf: fatal: open /etc/postfix/main.cf: No such file\n");
        let facts = probe(&config(""), &site(), &tools).unwrap();
        assert_eq!(raw(&facts, DEFAULT_TYPE), "lmdb");
        assert!(raw(&facts, PROBLEM).contains("main.cf"));
    }

    #[test]
    fn every_instance_has_facts_of_its_own() {
        let answers = |tools: TestTools, directory: &str, domain: &str| {
            let own = format!("/usr/sbin/postconf -c {directory}");
            let told = format!("mydestination = {domain}\n");
            tools
                .answer(&format!("{own} -x"), 0, &told, "")
                .answer(&format!("{own} -n"), 0, "", "")
                .answer(&format!("{own} -m"), 0, "hash\n", "")
                .answer(&format!("{own} "), 0, &told, "")
        };
        let tools = answers(answers(TestTools::default(), "/a", "a.example"), "/a-b", "b.example");
        let config = config("/a /a-b");
        let facts = probe(&config, &site(), &tools).unwrap();
        let seen = instances(&config, &facts);
        assert_eq!(seen.iter().map(|one| one.directory).collect::<Vec<_>>(), ["/a", "/a-b"]);
        assert_eq!(expanded(&seen[0].facts, "mydestination"), "a.example");
        assert_eq!(expanded(&seen[1].facts, "mydestination"), "b.example");
        assert_eq!(seen[0].facts.len(), seen[1].facts.len());
    }

    #[test]
    fn files_of_domains_are_read() {
        let mut tools = TestTools::default()
            .answer("/usr/sbin/postconf -x", 0, "mydestination = m.example /etc/domains hash:/etc/more\n", "")
            .answer("/usr/sbin/postconf -n", 0, "", "")
            .answer("/usr/sbin/postconf -m", 0, "hash\n", "")
            .answer("/usr/sbin/postconf", 0, "", "");
        tools.files.insert("/etc/domains".into(), "# ours\na.example\nb.example\n".into());
        let facts = probe(&config(""), &site(), &tools).unwrap();
        let domains = domains(&facts, "mydestination");
        assert_eq!(domains.plain_names().collect::<Vec<_>>(), ["m.example", "a.example", "b.example"]);
    }

    #[test]
    fn whether_the_lmtp_client_is_in_a_chroot_is_asked_for_a_socket() {
        let mut site = site();
        site.lmtp = LmtpAddress::unix("/run/lmtp");
        let chroot = |column: &str, level: &str| {
            let tools = TestTools::default()
                .answer("/usr/sbin/postconf -F lmtp/unix/chroot", 0, &format!("lmtp/unix/chroot = {column}\n"), "")
                .answer("/usr/sbin/postconf -m", 0, "hash\n", "")
                .answer("/usr/sbin/postconf", 0, &format!("compatibility_level = {level}\n"), "");
            is_lmtp_in_chroot(&probe(&config(""), &site, &tools).unwrap())
        };
        assert!(chroot("y", "3.6") && !chroot("n", "0") && !chroot("-", "3.6") && chroot("-", "0"));

        // The same path below the queue directory.
        let tools = TestTools::default()
            .answer("/var/spool/postfix/run/lmtp", 0, "", "")
            .answer("/usr/sbin/postconf -m", 0, "hash\n", "")
            .answer("/usr/sbin/postconf", 0, "queue_directory = /var/spool/postfix\n", "");
        assert!(!is_lmtp_in_chroot(&probe(&config(""), &site, &tools).unwrap()));
        assert!(!tools.ran.borrow().iter().any(|line| line.contains("-F")));
    }

    #[test]
    fn main_cf_is_where_the_setting_says_or_postfix_or_the_custom() {
        let facts = Facts::from([("config_directory".into(), "/usr/local/etc/postfix".into())]);
        let of = |directory: &str, facts: &Facts| main_cf(&instances(&config(directory), facts)[0]);
        assert_eq!(of("/p/", &facts), "/p/main.cf");
        assert_eq!(of("", &facts), "/usr/local/etc/postfix/main.cf");
        assert_eq!(of("", &Facts::new()), "/etc/postfix/main.cf");
    }
}
