//! Which programs have to run for Postfix to see changed tables.
//!
//! What the real Postfix 3.7 was seen to do with a table that changes while it runs:
//!
//! | type | by the SMTP server | by the router (trivial-rewrite) |
//! |---|---|---|
//! | hash | with the next connection | after ten seconds when idle; those who keep talking to the old process (`ipc_ttl`, 1000 s) get old answers meanwhile |
//! | lmdb, sqlite | at once, as long as the file stays the same file | at once |
//! | regexp, texthash | never; bit by bit as processes retire | never |
//!
//! Moreover each SMTP server process remembers for which domains it is a relay, as long as it
//! lives: who asked for a domain before it existed may get the old answer for some minutes.
//! So a new domain always deserves a reload, a new list only with regexp and texthash. And with these two the addresses
//! of a new domain need a reload of their own before the domain is published: of two processes that retire the router
//! may be the first, and would send strangers to an SMTP server that does not know the domain's addresses yet, and
//! refuses them for good.
//!
//! Nobody can say how long a busy router goes on with an old hash table, and mail that it routes by it
//! is deferred or goes astray. So we never wait for it: without the superuser's rights, a new domain
//! is not accepted before the administrator says that Postfix was reloaded.
//!
//! A Postfix that does not run, or does not refer to our tables yet, need not be told of them.

use crate::{
    facts::{self, Instance},
    main_cf,
    settings::{argv, Config},
    table_type::TableType,
    tables,
};
use postrider_plugin_api::sdk::{Command, Facts, Need, Phase, Privilege, Site};

pub(crate) fn all(config: &Config, table_type: TableType, site: &Site, instances: &[Instance<'_>]) -> Vec<Command> {
    let mut commands = Vec::new();
    if table_type.is_compiled() {
        commands.push(compile(config, table_type));
    }
    let told = instances.iter().filter(|one| !facts::is_stopped(&one.facts) && refers_to_us(&one.facts, site));
    let told: Vec<_> = told.collect();
    // Before anything else is published, every instance must have seen the routes; and then the addresses.
    let reloads = || told.iter().map(|one| Reloads { config, table_type, site, instance: one });
    commands.extend(reloads().filter_map(|reloads| reloads.for_routes()));
    commands.extend(reloads().filter_map(|reloads| reloads.for_addresses()));
    commands.extend(reloads().map(|reloads| reloads.for_domains()));
    commands
}

struct Reloads<'a> {
    config: &'a Config,
    table_type: TableType,
    site: &'a Site,
    instance: &'a Instance<'a>,
}

impl Reloads<'_> {
    /// Routes first, and seen before any of the rest is published: an address that is accepted
    /// but cannot be routed yet would be deferred or, worse, bounced.
    fn for_routes(&self) -> Option<Command> {
        let reason = "so that Postfix's router reads the new table";
        match self.table_type {
            TableType::Hash | TableType::Regexp | TableType::Texthash => {
                Some(self.reload(|table| self.is_routing(table), reason))
            }
            TableType::Lmdb | TableType::Sqlite => None,
        }
    }

    /// Addresses before their domain: in a domain that it relays, Postfix refuses those that it does not know.
    fn for_addresses(&self) -> Option<Command> {
        match self.table_type {
            TableType::Regexp | TableType::Texthash => {
                let wanted = |table: &str| table != tables::DOMAINS && !self.is_routing(table);
                Some(self.reload(wanted, "so that Postfix reads the new addresses"))
            }
            TableType::Hash | TableType::Lmdb | TableType::Sqlite => None,
        }
    }

    fn for_domains(&self) -> Command {
        let reload =
            self.reload(|table| table == tables::DOMAINS, "so that all of Postfix accepts the new domain from now on");
        match self.table_type {
            TableType::Hash | TableType::Regexp | TableType::Texthash => reload,
            TableType::Lmdb | TableType::Sqlite => reload.with_need(Need::Advised),
        }
    }

    fn is_routing(&self, table: &str) -> bool {
        table == tables::TRANSPORT || (table == tables::LMTP && routes_by_lmtp(&self.instance.facts, self.site))
    }

    fn reload(&self, wanted: impl Fn(&str) -> bool, reason: &str) -> Command {
        let argv = argv(self.instance.directory, &self.config.postfix, &["reload"]);
        let tables = tables::all(self.table_type);
        let tables = tables.iter().filter(|(name, _)| wanted(name)).map(|(name, _)| self.table_type.file(name));
        Command::new(Phase::Activate, argv, reason).for_tables(tables).with_privilege(Privilege::Root)
    }
}

fn compile(config: &Config, table_type: TableType) -> Command {
    let source = format!("{}:{{file}}", table_type.name());
    let argv = argv(&config.instances[0], &config.postmap, &[&source]);
    Command::new(Phase::Compile, argv, "so that Postfix can read the table")
        .for_tables(tables::all(table_type).iter().map(|(name, _)| table_type.file(name)))
}

/// Does `main.cf` name any table of ours? Yes, if nobody knows.
fn refers_to_us(facts: &Facts, site: &Site) -> bool {
    let ours = [tables::TRANSPORT, tables::LMTP, tables::VMAP, tables::ALIAS, tables::DOMAINS, tables::RECIPIENTS];
    let is_ours = |item: &String| ours.iter().any(|table| main_cf::is_table(item, &site.table_dir, table));
    !facts::is_known(facts) || facts::table_items(facts).iter().any(is_ours)
}

/// Does this site route by address with the table of ours, as Mailman's manual says and as the lists in
/// domains with mailboxes need it?
fn routes_by_lmtp(facts: &Facts, site: &Site) -> bool {
    main_cf::List::parse(facts::raw(facts, "transport_maps")).names_table(&site.table_dir, tables::LMTP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::site;
    use postrider_plugin_api::sdk::Settings;

    fn commands(table_type: TableType, facts: &Facts) -> Vec<Command> {
        let config = Config::parse(&Settings::default()).unwrap();
        all(&config, table_type, &site(), &facts::instances(&config, facts))
    }

    fn activated(commands: &[Command]) -> Vec<Vec<String>> {
        commands
            .iter()
            .filter(|command| command.phase == Phase::Activate)
            .map(|command| command.tables.clone())
            .collect()
    }

    #[test]
    fn hash_is_compiled_and_only_a_new_domain_needs_reloads() {
        let commands = commands(TableType::Hash, &Facts::new());
        assert_eq!(commands[0].argv, ["/usr/sbin/postmap", "hash:{file}"]);
        assert_eq!(commands[0].tables.len(), 5);
        assert_eq!(commands[1].argv, ["/usr/sbin/postfix", "reload"]);
        assert_eq!(commands[1].privilege, Privilege::Root);
        assert_eq!(activated(&commands), [["postfix_transport"], ["postfix_domains"]]);
    }

    #[test]
    fn where_postfix_routes_by_address_a_new_list_needs_a_reload_too() {
        let map = "hash:/etc/postfix/transport, proxy:hash:/var/lib/postrider/data/postfix_lmtp";
        let facts = Facts::from([("transport_maps".into(), map.into())]);
        assert_eq!(activated(&commands(TableType::Hash, &facts))[0], ["postfix_transport", "postfix_lmtp"]);

        let mailmans_own = Facts::from([
            ("transport_maps".into(), "hash:/var/lib/mailman3/data/postfix_lmtp".into()),
            ("relay_domains".into(), "hash:/var/lib/postrider/data/postfix_domains".into()),
        ]);
        assert_eq!(activated(&commands(TableType::Hash, &mailmans_own))[0], ["postfix_transport"]);
    }

    #[test]
    fn a_postfix_that_does_not_refer_to_the_tables_is_not_reloaded() {
        let elsewhere = Facts::from([
            ("transport_maps".into(), "hash:/etc/postfix/transport".into()),
            ("relay_domains".into(), "$mydestination".into()),
        ]);
        for table_type in [TableType::Hash, TableType::Lmdb, TableType::Regexp] {
            assert!(activated(&commands(table_type, &elsewhere)).is_empty(), "{}", table_type.name());
        }
        let indirect = Facts::from([
            ("transport_maps".into(), "".into()),
            ("relay_domains".into(), "$lists".into()),
            ("relay_domains (expanded)".into(), "regexp:/var/lib/postrider/data/postfix_domains".into()),
        ]);
        assert_eq!(activated(&commands(TableType::Regexp, &indirect)).len(), 3);
    }

    #[test]
    fn lmdb_and_sqlite_are_seen_at_once_and_a_reload_is_only_advised() {
        let lmdb = commands(TableType::Lmdb, &Facts::new());
        assert_eq!(lmdb[0].argv, ["/usr/sbin/postmap", "lmdb:{file}"]);
        assert_eq!(activated(&lmdb), [["postfix_domains"]]);
        assert_eq!(lmdb[1].need, Need::Advised);

        let sqlite = commands(TableType::Sqlite, &Facts::new());
        assert_eq!(activated(&sqlite), [["postfix_domains.sqlite"]]);
        assert_eq!(sqlite.len(), 1);
    }

    #[test]
    fn regexp_and_texthash_are_reloaded_after_routes_after_addresses_and_after_domains() {
        for table_type in [TableType::Regexp, TableType::Texthash] {
            let commands = commands(table_type, &Facts::new());
            let activated = activated(&commands);
            assert_eq!(activated[0], ["postfix_transport"]);
            assert_eq!(activated[1].last().map(String::as_str), Some("postfix_recipients"));
            assert_eq!(activated[2..], [["postfix_domains"]]);
            let mut all: Vec<_> = activated.concat();
            all.sort();
            let mut expected: Vec<_> = tables::all(table_type).iter().map(|(name, _)| name.to_string()).collect();
            expected.sort();
            assert_eq!(all, expected);
            assert!(commands.iter().all(|command| command.settle.is_none()));
        }
    }

    #[test]
    fn every_instance_is_told_of_routes_before_any_is_told_of_the_rest() {
        let config = Config::parse(&[("config_directory", "/a /b /c")].into_iter().collect::<Settings>()).unwrap();
        let mut facts =
            Facts::from([("transport_maps".into(), "hash:/var/lib/postrider/data/postfix_transport".into())]);
        facts.insert("/b transport_maps".into(), "hash:/var/lib/postrider/data/postfix_lmtp".into());
        facts.insert("/c transport_maps".into(), "hash:/etc/postfix/transport".into());
        let commands = all(&config, TableType::Hash, &site(), &facts::instances(&config, &facts));
        let lines: Vec<String> =
            commands.iter().map(|one| format!("{} {:?}", one.argv.join(" "), one.tables)).collect();
        assert!(lines[0].starts_with("/usr/sbin/postmap -c /a hash:{file}"), "{}", lines[0]);
        assert_eq!(
            lines[1..],
            [
                "/usr/sbin/postfix -c /a reload [\"postfix_transport\"]",
                "/usr/sbin/postfix -c /b reload [\"postfix_transport\", \"postfix_lmtp\"]",
                "/usr/sbin/postfix -c /a reload [\"postfix_domains\"]",
                "/usr/sbin/postfix -c /b reload [\"postfix_domains\"]",
            ]
        );
    }
}
