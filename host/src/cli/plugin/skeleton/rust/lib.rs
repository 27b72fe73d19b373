//! Acme support for the mailing-list server Postrider: the incoming adapter `acme.LMTP`.
//!
//! Acme is a mail server that nobody has. This is what you begin with; put in what your mail server needs. What you must
//! find out about it first:
//!
//! - In what tables does it look up where mail for an address goes? Which formats can it read, and does it notice a changed
//!   table by itself?
//! - How is it told, once, to ask these tables? That is what [`Lmtp::snippets`] shows to the administrator.
//! - How can it be asked whether it knows an address? That is what [`Lmtp::check`] does.
//!
//! An adapter *plans*, and Postrider *acts*: nothing here writes a file or runs a program. So Postrider can show what
//! would change, take it back when something fails, and do nothing when nothing changed.
//!
//! | table | what Acme looks up | what it finds |
//! |---|---|---|
//! | `acme_lists` (SQLite) | an address, `ants-bounces@lists.example.com` | where its mail goes |
//! | `acme_domains` (text) | a domain, `lists.example.com` | that mail for it is taken |

use postrider_plugin_api::sdk::*;

/// Names of tables, relative to the directory in which Postrider publishes (`Site::table_dir`).
const LISTS: &str = "acme_lists";
const DOMAINS: &str = "acme_domains";

/// The name of a fact that `probe` finds. The host keeps facts and gives them to the other methods.
const VERSION: &str = "version";

/// Tells Acme which addresses are mailing lists, and that their mail goes to Postrider by LMTP.
///
/// Its methods may be called from several threads at a time, so it holds what the settings say and nothing that changes.
struct Lmtp {
    log: Box<dyn HostLog>,
    command: String,
    config_file: String,
}

impl IncomingAdapter for Lmtp {
    /// The keys of the section `[acme]` in the file that `[mta] configuration` names. The host checks values against their
    /// kind, and shows the help to the administrator.
    ///
    /// Programs must be settings of the kind `Program`: the host runs no others.
    fn settings() -> Vec<SettingSpec> {
        vec![
            SettingSpec::new(
                "acme_command",
                SettingKind::Program,
                "/usr/sbin/acme",
                "The mail server's own program. It is asked for its version, and told to read its tables again.",
            ),
            SettingSpec::new(
                "config_file",
                SettingKind::Path,
                "/etc/acme/acme.conf",
                "The configuration of the mail server. Postrider never changes it; `postrider hookup` shows what belongs there.",
            ),
        ]
    }

    /// Every key that was declared has a value here, the default if the administrator set none. Refuse what cannot work, in
    /// words that help.
    fn new(log: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        let config_file = settings.value("config_file");
        if config_file.contains('\'') {
            return Err(Error::setting(format!("config_file: {config_file:?} contains a quote"))
                .with_hint("use a path without one"));
        }
        Ok(Lmtp { log, command: settings.value("acme_command").to_owned(), config_file: config_file.to_owned() })
    }

    /// Looks at the machine. There may be no Acme here: then there are no facts, and plans are made without.
    fn probe(&self, _site: &Site, tools: &dyn Tools) -> Result<Facts> {
        let mut facts = Facts::new();
        if !tools.exists(&self.command) {
            return Ok(facts);
        }
        let output = tools.run(&[&self.command, "-V"], "")?;
        // Take the part that matters, and expect anything: another version, another program, an error message.
        if let Some(version) = output.stdout.lines().find_map(|line| line.strip_prefix("acme ")) {
            facts.insert(VERSION.to_owned(), version.chars().filter(|c| !c.is_control()).take(40).collect());
        }
        Ok(facts)
    }

    /// What must be on disk for these lists.
    ///
    /// The change only allows to save work: an adapter that plans everything each time is right too. Equal lists must give
    /// equal plans, and changes one by one must add up to the plan of everything; `postrider plugin check` tries both.
    fn plan(&self, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        match change {
            // SQLite tables and directories can be changed row by row; all others are always planned whole.
            Change::ListAdded(list) | Change::ListRemoved(list) => changed_addresses(context, list, sink)?,
            // A domain without lists has no addresses, so that table stays as it is and can be left out.
            Change::DomainAdded(_) | Change::DomainRemoved(_) => {}
            // `Everything`, and whatever later versions of the interface may bring.
            _ => all_addresses(context, sink)?,
        }
        domains(context, sink)?;
        self.log.log(LogLevel::Debug, "planned");
        // A running Acme keeps the text file in memory. The host runs this only if the table changed, and shows the
        // reason to the administrator. Say `Need::Required` (the default) if the change is not seen without it.
        let reload = [self.command.as_str(), "reload"];
        sink.command(&Command::new(Phase::Activate, reload, "so that Acme reads its domains again").for_table(DOMAINS))
    }

    /// What the administrator puts into Acme's configuration, once, in order. `postrider hookup` shows it.
    fn snippets(&self, context: Context<'_>) -> Result<Vec<Snippet>> {
        let directory = context.site.table_dir.trim_end_matches('/');
        let lines = format!("address_map = sqlite:{directory}/{LISTS}\ndomain_map = text:{directory}/{DOMAINS}\n");
        let test = format!("{} check-config '{}'\n", quoted(&self.command), self.config_file);
        Ok(vec![
            Snippet::lines(&self.config_file, lines, "Acme asks these tables which domains and addresses are lists."),
            Snippet::commands(test, "Acme tells whether it understands its configuration."),
        ])
    }

    /// Asks Acme whether it knows the lists. `postrider hookup --check` shows the findings: what was looked at, what was seen,
    /// what was expected, what to do.
    fn check(&self, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
        if !tools.exists(&self.command) {
            return Ok(vec![Finding::new(
                Severity::Warning,
                &self.command,
                "it does not exist, so Acme cannot be asked",
            )
            .with_advice("set acme_command, or check on the machine where Acme runs")]);
        }
        let version = context.facts.get(VERSION).map_or("unknown", String::as_str);
        let mut findings = vec![Finding::new(Severity::Info, "version of Acme", version)];
        // A few lists are enough to see whether the tables are asked at all.
        let mut addresses = Vec::new();
        context.roster.for_each_list(&mut |list| {
            if addresses.len() < 3 {
                addresses.push(format!("{}@{}", list.local, list.domain.routed()));
            }
            Ok(())
        })?;
        for address in addresses {
            let output = tools.run(&[&self.command, "lookup", &address], "")?;
            let expected = target(context.site)?;
            let seen = output.stdout.trim();
            findings.push(if seen == expected {
                Finding::new(Severity::Ok, &address, seen)
            } else {
                let seen = if seen.is_empty() { "nothing" } else { seen };
                Finding::new(Severity::Error, &address, seen)
                    .with_expected(expected)
                    .with_advice("follow `postrider hookup`, then run `postrider aliases`")
            });
        }
        Ok(findings)
    }
}

/// Where mail for lists goes, as Acme writes it.
fn target(site: &Site) -> Result<String> {
    match &site.lmtp {
        // `reachable_host` turns `localhost`, `0.0.0.0` and `::` into addresses that can be reached.
        LmtpAddress::Tcp { host, port, .. } => Ok(format!("lmtp:[{}]:{port}", reachable_host(host))),
        LmtpAddress::Unix(path) => Ok(format!("lmtp:unix:{path}")),
        _ => Err(Error::failed("Acme reaches LMTP servers by TCP or a Unix socket only")),
    }
}

/// The table of addresses. Its role says when it is published: routing first, acceptance last when an address is added,
/// and the reverse when it is removed, so that nobody gets a wrong refusal meanwhile.
fn lists(extent: Extent) -> Table {
    Table::new(LISTS, TableFormat::Sqlite, TableRole::Acceptance).with_extent(extent)
}

fn key(local: &str, domain: &DomainView<'_>) -> String {
    // `routed` is the alias domain if the domain has one: that is where its mail comes.
    format!("{local}@{}", domain.routed())
}

fn all_addresses(context: Context<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    let target = target(context.site)?;
    sink.table(&lists(Extent::Whole))?;
    // Take addresses from here always: it knows whose an address is that two lists could have (`ants-request` may be a
    // list of its own), and that comes out the same in every adapter.
    for_each_address(context.site, context.roster, &mut |address| {
        // Hand over rows as they come; 100,000 lists have 900,000 addresses. Pass errors on with `?`, always.
        sink.rows(&[Row::new(&key(address.local, &address.list.domain), &target)])
    })
}

fn changed_addresses(context: Context<'_>, list: ListView<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    let target = target(context.site)?;
    sink.table(&lists(Extent::Changes))?;
    // Every address that the list has, had or could have, with the list that has it now.
    for_each_address_of(list, context.site, context.roster, &mut |local, owner| match owner {
        Some(owner) => sink.rows(&[Row::new(&key(local, &owner.list.domain), &target)]),
        None => sink.absent(&[&key(local, &list.domain)]),
    })
}

fn domains(context: Context<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    // Keys of a table must differ, and several domains may have the same alias domain.
    let mut routed = std::collections::BTreeSet::new();
    context.roster.for_each_domain(&mut |domain| {
        routed.insert(domain.routed().to_owned());
        Ok(())
    })?;
    let comment = "The domains of mailing lists. Made by Postrider; changes are lost.";
    sink.table(&Table::new(DOMAINS, TableFormat::Text, TableRole::Acceptance).with_comment(comment))?;
    routed.iter().try_for_each(|domain| sink.rows(&[Row::new(domain, "lists").with_column(40)]))
}

/// A word of the shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

// `incoming: acme.LMTP` in `[mta]` of postrider.cfg names the adapter.
postrider_plugin_api::export_plugin! {
    name: "acme",
    version: env!("CARGO_PKG_VERSION"),
    incoming: ["LMTP" = Lmtp, "Acme: tables of lists and domains, and delivery to the list server by LMTP"],
}

// Unit tests need neither Acme nor Postrider: the feature `testing` of the interface has stand-ins for both.
#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::testing::{site, Contents, TestRoster, TestSink, TestTools};

    struct NoLog;

    impl HostLog for NoLog {
        fn log(&self, _: LogLevel, _: &str) {}
    }

    fn adapter() -> Lmtp {
        let settings = Lmtp::settings().into_iter().map(|spec| (spec.name, spec.default)).collect();
        Lmtp::new(Box::new(NoLog), &settings).unwrap()
    }

    fn roster(lists: &[&str]) -> TestRoster {
        TestRoster::new(&[("lists.example.com", ""), ("example.org", "lists.example.org")], lists)
    }

    fn plan(roster: &TestRoster, change: Change<'_>) -> TestSink {
        let (site, facts) = (site(), Facts::new());
        let mut sink = TestSink::default();
        adapter().plan(Context::new(&site, &facts, roster), change, &mut sink).unwrap();
        sink
    }

    #[test]
    fn every_address_leads_to_the_list_server() {
        let sink = plan(&roster(&["ants@lists.example.com", "bees@example.org"]), Change::Everything);
        let rows = sink.rows_of(LISTS);
        assert_eq!(rows["ants@lists.example.com"], "lmtp:[127.0.0.1]:8024");
        assert!(rows.contains_key("ants-bounces@lists.example.com"));
        assert!(rows.contains_key("bees@lists.example.org"), "in the alias domain: {rows:?}");
        assert!(sink.rows_of(DOMAINS).contains_key("lists.example.org"));
        assert_eq!(sink.commands[0].argv, ["/usr/sbin/acme", "reload"]);
    }

    #[test]
    fn a_list_that_comes_and_goes_leaves_what_was_there() {
        let before = roster(&["ants@lists.example.com"]);
        let after = roster(&["ants@lists.example.com", "ants-request@lists.example.com"]);
        let domain = DomainView::new("lists.example.com", "");
        let list = ListView::new("ants-request", domain, "ants-request.lists.example.com");

        let first = plan(&before, Change::Everything).applied_to(Contents::new());
        let with = plan(&after, Change::ListAdded(list)).applied_to(first.clone());
        assert_eq!(with, plan(&after, Change::Everything).applied_to(Contents::new()));
        assert_eq!(plan(&before, Change::ListRemoved(list)).applied_to(with)[LISTS], first[LISTS]);
    }

    #[test]
    fn the_version_is_found_out_and_shown() {
        let tools = TestTools::default().answer("/usr/sbin/acme -V", 0, "acme 4.2\n", "").answer(
            "/usr/sbin/acme lookup",
            0,
            "lmtp:[127.0.0.1]:8024\n",
            "",
        );
        let (adapter, site) = (adapter(), site());
        let facts = adapter.probe(&site, &tools).unwrap();
        let roster = roster(&["ants@lists.example.com"]);
        let findings = adapter.check(Context::new(&site, &facts, &roster), &tools).unwrap();
        assert_eq!(findings[0].seen, "4.2");
        assert_eq!((findings[1].subject.as_str(), findings[1].severity), ("ants@lists.example.com", Severity::Ok));
    }

    #[test]
    fn a_machine_without_acme_is_fine() {
        let (adapter, site) = (adapter(), site());
        let facts = adapter.probe(&site, &TestTools::default()).unwrap();
        let findings = adapter.check(Context::new(&site, &facts, &roster(&[])), &TestTools::default()).unwrap();
        assert_eq!(findings[0].severity, Severity::Warning);
    }

    #[test]
    fn a_path_that_breaks_the_shell_is_refused() {
        let settings = [("acme_command", "/usr/sbin/acme"), ("config_file", "/etc/it's")].into_iter().collect();
        let error = Lmtp::new(Box::new(NoLog), &settings).err().unwrap();
        assert_eq!(error.kind, ErrorKind::InvalidSetting);
    }
}
