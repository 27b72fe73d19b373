//! Stand-ins for the host in unit tests.

use postrider_plugin_api::sdk::{
    Command, DomainView, Error, Extent, Guard, ListView, LmtpAddress, PlanSink, ProgramOutput, Result, Roster, Row,
    Site, Subaddress, Table, Tools,
};
use std::{cell::RefCell, collections::BTreeMap};

pub(crate) fn site() -> Site {
    let subaddress = |name: &str| Subaddress { name: name.into(), detail: matches!(name, "bounces" | "confirm") };
    let names = ["bounces", "confirm", "join", "leave", "owner", "request", "subscribe", "unsubscribe"];
    Site {
        lmtp: LmtpAddress::Tcp { host: "127.0.0.1".into(), port: 8024 },
        table_dir: "/var/lib/postrider/data".into(),
        user: "postrider".into(),
        delimiter: "+".into(),
        subaddresses: names.iter().map(|name| subaddress(name)).collect(),
        smtp_host: "localhost".into(),
        smtp_port: 25,
    }
}

/// Domains (name, alias) and lists (local part, domain), sorted as the host sorts them.
pub(crate) struct TestRoster {
    domains: Vec<(String, String)>,
    lists: Vec<(String, String)>,
}

impl TestRoster {
    pub(crate) fn new(domains: &[(&str, &str)], lists: &[&str]) -> Self {
        let mut domains: Vec<_> = domains.iter().map(|(name, alias)| (name.to_string(), alias.to_string())).collect();
        let mut lists: Vec<_> = lists
            .iter()
            .map(|address| address.rsplit_once('@').expect("an address"))
            .map(|(local, domain)| (local.to_string(), domain.to_string()))
            .collect();
        domains.sort();
        lists.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
        TestRoster { domains, lists }
    }
}

impl Roster for TestRoster {
    fn for_each_domain(&self, visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
        self.domains.iter().try_for_each(|(name, alias)| visit(&DomainView { name, alias }))
    }

    fn for_each_list(&self, visit: &mut dyn FnMut(&ListView<'_>) -> Result<()>) -> Result<()> {
        self.lists.iter().try_for_each(|(local, domain)| {
            let (name, alias) = self.domains.iter().find(|(name, _)| name == domain).expect("its domain exists");
            let list_id = format!("{}.{}", local, domain);
            visit(&ListView { local, domain: DomainView { name, alias }, list_id: &list_id })
        })
    }

    fn list_count(&self) -> u64 {
        self.lists.len() as u64
    }

    fn list_id(&self, local: &str, domain: &str) -> Result<Option<String>> {
        let is_list = self.lists.iter().any(|list| list.0 == local && list.1 == domain);
        Ok(is_list.then(|| format!("{}.{}", local, domain)))
    }

    fn for_each_domain_routed_to(
        &self,
        routed: &str,
        visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>,
    ) -> Result<()> {
        self.for_each_domain(&mut |domain| if domain.routed() == routed { visit(domain) } else { Ok(()) })
    }
}

/// Keeps a plan, and holds it to the rules.
#[derive(Default)]
pub(crate) struct TestSink {
    pub(crate) tables: Vec<(Table, BTreeMap<String, String>)>,
    /// Keys that must not be there.
    pub(crate) absent: Vec<String>,
    pub(crate) commands: Vec<Command>,
}

impl TestSink {
    /// The rows of a table.
    pub(crate) fn rows_of(&self, path: &str) -> &BTreeMap<String, String> {
        &self.tables.iter().find(|(table, _)| table.path == path).expect("the table was planned").1
    }

    /// What all tables have after this plan, by table and key, if they had `before`.
    pub(crate) fn applied_to(
        &self,
        mut before: BTreeMap<String, BTreeMap<String, String>>,
    ) -> BTreeMap<String, BTreeMap<String, String>> {
        for (table, rows) in &self.tables {
            let kept = before.entry(table.path.clone()).or_default();
            if table.extent == Extent::Whole {
                kept.clear();
            }
            kept.extend(rows.clone());
        }
        for (path, key) in self.absent.iter().map(|absent| absent.split_once(' ').expect("table and key")) {
            before.get_mut(path).expect("a table that was planned").remove(key);
        }
        before
    }
}

impl PlanSink for TestSink {
    fn table(&mut self, table: &Table) -> Result<()> {
        self.tables.push((table.clone(), BTreeMap::new()));
        Ok(())
    }

    fn rows(&mut self, rows: &[Row<'_>]) -> Result<()> {
        let (table, seen) = self.tables.last_mut().expect("a table was begun");
        for row in rows {
            let before = seen.insert(row.key.into(), row.value.into());
            assert_eq!(before, None, "{}: {} stands there twice", table.path, row.key);
        }
        Ok(())
    }

    fn absent(&mut self, keys: &[&str]) -> Result<()> {
        let (table, rows) = self.tables.last().expect("a table was begun");
        assert_eq!(table.extent, Extent::Changes);
        for key in keys {
            assert!(!rows.contains_key(*key), "{key} is there and is not");
            self.absent.push(format!("{} {key}", table.path));
        }
        Ok(())
    }

    fn guard(&mut self, guard: &Guard) -> Result<()> {
        unreachable!("{:?} for Exim", guard)
    }

    fn file(&mut self, path: &str, _mode: u32, _contents: &[u8]) -> Result<()> {
        unreachable!("{path}: Exim needs tables only")
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        unreachable!("{path}: nothing is removed")
    }

    fn command(&mut self, command: &Command) -> Result<()> {
        let known = |path: &String| self.tables.iter().any(|(table, _)| table.path == *path);
        assert!(command.tables.iter().all(known), "{command:?} belongs to unknown tables");
        self.commands.push(command.clone());
        Ok(())
    }
}

/// Programs that answer what they were told to, by their whole command line.
#[derive(Default)]
pub(crate) struct TestTools {
    pub(crate) answers: Vec<(String, ProgramOutput)>,
    /// What programs read, one after the other.
    pub(crate) asked: RefCell<Vec<String>>,
    pub(crate) files: BTreeMap<String, String>,
}

impl TestTools {
    /// From now on the command line that starts so is answered like this.
    pub(crate) fn answer(mut self, prefix: &str, status: i32, stdout: &str, stderr: &str) -> Self {
        self.answers.push((prefix.into(), ProgramOutput { status, stdout: stdout.into(), stderr: stderr.into() }));
        self
    }
}

impl Tools for TestTools {
    fn run(&self, argv: &[&str], stdin: &str) -> Result<ProgramOutput> {
        let line = argv.join(" ");
        self.asked.borrow_mut().push(stdin.into());
        let answer = self.answers.iter().find(|(prefix, _)| line.starts_with(prefix));
        Ok(answer.unwrap_or_else(|| panic!("nobody expected `{line}`")).1.clone())
    }

    fn read_file(&self, path: &str) -> Result<String> {
        self.files.get(path).cloned().ok_or_else(|| Error::failed(format!("{path}: not there")))
    }

    fn exists(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.answers.iter().any(|(prefix, _)| prefix.split(' ').next() == Some(path))
    }
}
