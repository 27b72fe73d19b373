//! Writes the three tables.
//!
//! Addresses are published before the tables that lead to them, and withdrawn after them: while a domain is
//! known an address that is missing is refused for good.

use crate::{
    configuration, facts, names,
    settings::{Config, TableType},
};
use postrider_plugin_api::sdk::{
    for_each_address, Command, Context, Need, Phase, PlanSink, Privilege, Result, Roster, Row, Table, TableFormat,
    TableRole,
};
use std::collections::BTreeMap;

/// A mapping: every address of a list, and the user as whom its mail is handed over (aliasing table, table(5)).
pub(crate) const ADDRESSES: &str = "opensmtpd_addresses";
/// A list (a mapping, if it is a db file): the domains in which nobody but lists has mail.
pub(crate) const DOMAINS: &str = "opensmtpd_domains";
/// The same: the addresses of lists in all other domains.
pub(crate) const SHARED: &str = "opensmtpd_shared";

/// OpenSMTPD does not start with an empty `file:` table.
const PLACEHOLDER: &str = "postrider.invalid";

/// What a domain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Addresses that are no list's are refused.
    Lists,
    /// Addresses that are no list's are none of our business: it has an alias domain because people have it too.
    Shared,
}

pub(crate) fn plan(config: &Config, context: Context<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    let Context { site, roster, facts, .. } = context;
    configuration::check_delimiter(&site.delimiter)?;
    let domains = domains(roster)?;
    let user = configuration::delivery_user(config, site)?;
    // Where OpenSMTPD is another machine's, makemap is too: it gets the text, and builds the tables there.
    let elsewhere = site.lmtp.other_host().is_some() && facts::has_no_makemap(facts);
    let builds = config.table_type == TableType::Db && !elsewhere;
    let format = if builds { TableFormat::CompiledRename { suffix: ".db".into() } } else { TableFormat::Text };

    // A text with values is a mapping for OpenSMTPD and no list; to a db file that makes no difference, and its rows
    // must have values.
    let listed = match config.table_type {
        TableType::Db => "list",
        TableType::File => "",
    };

    let comment = "The addresses of the lists, and the user as whom their mail is handed to the list server.";
    sink.table(&Table::new(ADDRESSES, format.clone(), TableRole::Routing).with_comment(comment))?;
    let mut rows = Rows::new(sink);
    for_each(context, &domains, &mut |address, _| rows.add(address, &user))?;
    rows.finish(&user)?;

    let comment = "Domains with lists and nobody else: all other addresses there are refused.";
    sink.table(&Table::new(DOMAINS, format.clone(), TableRole::Acceptance).with_comment(comment))?;
    let mut rows = Rows::new(sink);
    for (domain, _) in domains.iter().filter(|(_, kind)| **kind == Kind::Lists) {
        rows.add(domain, listed)?;
    }
    rows.finish(listed)?;

    let comment = "Addresses of lists in domains that people have too.";
    sink.table(&Table::new(SHARED, format, TableRole::Acceptance).with_comment(comment))?;
    let mut rows = Rows::new(sink);
    for_each(context, &domains, &mut |address, kind| match kind {
        Kind::Shared => rows.add(address, listed),
        Kind::Lists => Ok(()),
    })?;
    rows.finish(listed)?;

    if builds {
        let argv = [config.makemap.as_str(), "{file}"];
        let makemap = Command::new(Phase::Compile, argv, "so that OpenSMTPD can read the table");
        sink.command(&makemap.for_table(ADDRESSES).for_table(DOMAINS).for_table(SHARED))?;
    } else if !elsewhere {
        for table in [ADDRESSES, DOMAINS, SHARED] {
            let argv = [config.smtpctl.as_str(), "update", "table", configuration::name_of(table)];
            let update = Command::new(Phase::Activate, argv, "so that OpenSMTPD reads the new table").for_table(table);
            sink.command(&update.with_need(Need::Required).with_privilege(Privilege::Root))?;
        }
    }
    Ok(())
}

/// Every domain in which lists have addresses. One with an alias domain is shared with others: that is what alias
/// domains are for.
pub(crate) fn domains(roster: &dyn Roster) -> Result<BTreeMap<String, Kind>> {
    let mut domains = BTreeMap::new();
    roster.for_each_domain(&mut |domain| {
        names::check_domain(domain.name)?;
        names::check_domain(domain.routed())?;
        domains.insert(domain.routed().to_owned(), Kind::Lists);
        Ok(())
    })?;
    roster.for_each_domain(&mut |domain| {
        domains.entry(domain.name.to_owned()).or_insert(Kind::Shared);
        Ok(())
    })?;
    Ok(domains)
}

/// Shows every address of every list, under each of its domain's names. OpenSMTPD itself looks an address up a
/// second time without what follows the `+`.
fn for_each(
    context: Context<'_>,
    domains: &BTreeMap<String, Kind>,
    visit: &mut dyn FnMut(&str, Kind) -> Result<()>,
) -> Result<()> {
    for_each_address(context.site, context.roster, &mut |address| {
        names::check_local(address.list.local)?;
        let domain = address.list.domain;
        visit(&format!("{}@{}", address.local, domain.routed()), Kind::Lists)?;
        if domains.get(domain.name) == Some(&Kind::Shared) {
            visit(&format!("{}@{}", address.local, domain.name), Kind::Shared)?;
        }
        Ok(())
    })
}

/// Hands the rows of the table that was begun last to the host, many at a time.
struct Rows<'s> {
    sink: &'s mut dyn PlanSink,
    waiting: Vec<(String, String)>,
    any: bool,
}

impl<'s> Rows<'s> {
    const BATCH: usize = 1024;

    fn new(sink: &'s mut dyn PlanSink) -> Self {
        Rows { sink, waiting: Vec::new(), any: false }
    }

    fn add(&mut self, key: &str, value: &str) -> Result<()> {
        self.any = true;
        self.waiting.push((key.to_owned(), value.to_owned()));
        if self.waiting.len() < Self::BATCH {
            Ok(())
        } else {
            self.flush()
        }
    }

    /// To be called when all are added; an empty table gets a row that fits nothing.
    fn finish(mut self, value: &str) -> Result<()> {
        if !self.any {
            self.add(PLACEHOLDER, value)?;
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let rows: Vec<Row<'_>> = self.waiting.iter().map(|(key, value)| Row::new(key, value).with_column(57)).collect();
        if !rows.is_empty() {
            self.sink.rows(&rows)?;
        }
        self.waiting.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::{
        sdk::{Facts, LmtpAddress, Site},
        testing::{site, TestRoster, TestSink},
    };

    fn planned(settings: &[(&str, &str)], site: &Site, facts: &Facts, roster: &TestRoster) -> TestSink {
        let config = Config::parse(&settings.iter().copied().collect()).unwrap();
        let mut sink = TestSink::default();
        plan(&config, Context::new(site, facts, roster), &mut sink).unwrap();
        sink
    }

    fn roster() -> TestRoster {
        TestRoster::new(
            &[("lists.example.com", ""), ("example.org", "lists.example.org")],
            &["ants@lists.example.com", "crew@example.org"],
        )
    }

    #[test]
    fn every_address_is_there_under_each_of_its_names() {
        let sink = planned(&[], &site(), &Facts::new(), &roster());
        let addresses = sink.rows_of(ADDRESSES);
        assert_eq!(addresses.len(), 9 + 2 * 9);
        for address in ["ants@lists.example.com", "ants-bounces@lists.example.com", "crew-owner@example.org"] {
            assert_eq!(addresses[address], "nobody", "{}", address);
        }
        let domains: Vec<&str> = sink.rows_of(DOMAINS).into_keys().collect();
        assert_eq!(domains, ["lists.example.com", "lists.example.org"]);
        let shared = sink.rows_of(SHARED);
        assert_eq!(shared.len(), 9);
        assert!(shared.keys().all(|address| address.ends_with("@example.org")), "{:?}", shared);
    }

    #[test]
    fn addresses_are_published_before_what_leads_to_them() {
        let sink = planned(&[], &site(), &Facts::new(), &roster());
        let role = |path: &str| sink.tables.iter().find(|(table, _)| table.path == path).unwrap().0.role;
        assert!(role(ADDRESSES) < role(DOMAINS) && role(ADDRESSES) < role(SHARED));
    }

    #[test]
    fn makemap_builds_all_tables_and_needs_no_root() {
        let sink = planned(&[], &site(), &Facts::new(), &roster());
        assert_eq!(sink.commands.len(), 1);
        assert_eq!(sink.commands[0].argv, ["/usr/sbin/makemap", "{file}"]);
        assert_eq!(sink.commands[0].tables, [ADDRESSES, DOMAINS, SHARED]);
        assert_eq!((sink.commands[0].phase, sink.commands[0].privilege), (Phase::Compile, Privilege::Owner));
        assert!(sink.tables.iter().flat_map(|(_, rows)| rows).all(|(_, value, _)| !value.is_empty()));
    }

    #[test]
    fn text_tables_need_root_to_tell_opensmtpd_of_each() {
        let sink = planned(&[("table_type", "file")], &site(), &Facts::new(), &roster());
        assert_eq!(sink.commands.len(), 3);
        for command in &sink.commands {
            assert_eq!((command.phase, command.privilege), (Phase::Activate, Privilege::Root));
            assert_eq!(command.argv[..3], ["/usr/sbin/smtpctl", "update", "table"]);
            assert_eq!(command.argv[3], configuration::name_of(&command.tables[0]));
        }
        assert!(sink.tables.iter().all(|(table, _)| table.format == TableFormat::Text));
    }

    #[test]
    fn without_lists_no_table_is_empty() {
        for table_type in ["db", "file"] {
            let sink = planned(&[("table_type", table_type)], &site(), &Facts::new(), &TestRoster::new(&[], &[]));
            assert_eq!(sink.rows_of(ADDRESSES)[PLACEHOLDER], "nobody");
            let value = if table_type == "db" { "list" } else { "" };
            assert_eq!(sink.rows_of(DOMAINS), std::iter::once((PLACEHOLDER, value)).collect());
            assert_eq!(sink.rows_of(SHARED), std::iter::once((PLACEHOLDER, value)).collect());
        }
    }

    #[test]
    fn by_a_unix_socket_mail_is_handed_over_by_postriders_user() {
        let mut site = site();
        site.lmtp = LmtpAddress::Unix("/run/postrider/lmtp".into());
        let sink = planned(&[], &site, &Facts::new(), &roster());
        assert_eq!(sink.rows_of(ADDRESSES)["ants@lists.example.com"], "postrider");
        let sink = planned(&[("delivery_user", "_lists")], &site, &Facts::new(), &roster());
        assert_eq!(sink.rows_of(ADDRESSES)["ants@lists.example.com"], "_lists");
    }

    #[test]
    fn for_opensmtpd_on_another_machine_the_text_is_enough() {
        let mut site = site();
        site.lmtp = LmtpAddress::Tcp { host: "192.0.2.7".into(), port: 8024 };
        let facts: Facts = std::iter::once(("makemap".to_owned(), "no".to_owned())).collect();
        let sink = planned(&[], &site, &facts, &roster());
        assert!(sink.commands.is_empty());
        assert!(sink.tables.iter().all(|(table, _)| table.format == TableFormat::Text));
        // Here makemap is missing, and that must be told.
        assert_eq!(planned(&[], &postrider_plugin_api::testing::site(), &facts, &roster()).commands.len(), 1);
    }

    #[test]
    fn a_domain_whose_alias_is_a_domain_of_lists_is_shared_only_if_it_is_none_itself() {
        let roster =
            TestRoster::new(&[("a.example", "b.example"), ("b.example", "")], &["ants@a.example", "bees@b.example"]);
        let sink = planned(&[], &site(), &Facts::new(), &roster);
        assert_eq!(sink.rows_of(DOMAINS).into_keys().collect::<Vec<_>>(), ["b.example"]);
        assert!(sink.rows_of(SHARED).contains_key("ants@a.example"));
        assert!(!sink.rows_of(SHARED).contains_key("bees@b.example"));
    }
}
