//! Stand-ins for the host, for unit tests of plugins (feature `testing`): no MTA, no files, no programs.
//!
//! They hold a plan to the rules that the host holds it to, and panic where it breaks one: that is how a
//! test sees it.

use crate::sdk::{
    Command, DomainView, Error, Extent, Guard, ListView, LmtpAddress, PlanSink, ProgramOutput, Result, Roster, Row,
    Site, Subaddress, Table, Tools,
};
use std::{cell::RefCell, collections::BTreeMap};

/// An installation with every default: LMTP at 127.0.0.1 port 8024, delimiter `+`, Mailman's sub-addresses.
pub fn site() -> Site {
    let names = ["bounces", "confirm", "join", "leave", "owner", "request", "subscribe", "unsubscribe"];
    let subaddress = |name| Subaddress::new(name, matches!(name, "bounces" | "confirm"));
    Site::new(LmtpAddress::tcp("127.0.0.1", 8024), "/var/lib/postrider/data")
        .with_subaddresses(names.iter().copied().map(subaddress))
}

/// Domains (name, alias) and lists (local part, domain), sorted as the host sorts them.
#[derive(Clone)]
pub struct TestRoster {
    domains: Vec<(String, String)>,
    lists: Vec<(String, String)>,
}

impl TestRoster {
    /// `domains`: name and alias (or empty); `lists`: posting addresses, whose domains must be there.
    pub fn new(domains: &[(&str, &str)], lists: &[&str]) -> Self {
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

/// Key, value and column.
pub type TestRow = (String, String, u16);

/// Values by table and key.
pub type Contents = BTreeMap<String, BTreeMap<String, String>>;

/// Keeps a plan, and holds it to the rules.
#[derive(Default)]
#[non_exhaustive]
pub struct TestSink {
    /// Every table with its rows, in the order in which they came.
    pub tables: Vec<(Table, Vec<TestRow>)>,
    /// Files that are no tables, by path.
    pub files: BTreeMap<String, String>,
    /// Commands.
    pub commands: Vec<Command>,
    /// Paths of files that shall go.
    pub removed: Vec<String>,
    /// Keys that must not be there: table and key.
    pub absent: Vec<(String, String)>,
    /// Guards.
    pub guards: Vec<Guard>,
}

impl TestSink {
    /// A table as the host would write it, without its comment.
    pub fn text(&self, path: &str) -> String {
        let (_, rows) = self.tables.iter().find(|(table, _)| table.path == path).expect("the table was planned");
        rows.iter()
            .map(|(key, value, column)| format!("{key:<width$} {value}\n", width = usize::from(*column).max(1) - 1))
            .collect()
    }

    /// The rows of a table by key, without their columns.
    pub fn rows_of(&self, path: &str) -> BTreeMap<&str, &str> {
        let (_, rows) = self.tables.iter().find(|(table, _)| table.path == path).expect("the table was planned");
        rows.iter().map(|(key, value, _)| (key.as_str(), value.as_str())).collect()
    }

    /// What all tables have after this plan if they had `before`.
    pub fn applied_to(&self, mut before: Contents) -> Contents {
        for (table, rows) in &self.tables {
            let kept = before.entry(table.path.clone()).or_default();
            if table.extent == Extent::Whole {
                kept.clear();
            }
            kept.extend(rows.iter().map(|(key, value, _)| (key.clone(), value.clone())));
        }
        for (path, key) in &self.absent {
            before.get_mut(path).expect("a table that was planned").remove(key);
        }
        before
    }
}

impl PlanSink for TestSink {
    fn table(&mut self, table: &Table) -> Result<()> {
        assert!(!self.tables.iter().any(|(known, _)| known.path == table.path), "{} comes twice", table.path);
        self.tables.push((table.clone(), Vec::new()));
        Ok(())
    }

    fn rows(&mut self, rows: &[Row<'_>]) -> Result<()> {
        let (table, seen) = self.tables.last_mut().expect("a table was begun");
        for row in rows {
            assert!(!seen.iter().any(|(key, _, _)| key == row.key), "{}: {} stands there twice", table.path, row.key);
            let unwanted = self.absent.iter().any(|(path, key)| *path == table.path && key == row.key);
            assert!(!unwanted, "{}: {} is wanted and unwanted", table.path, row.key);
            seen.push((row.key.into(), row.value.into(), row.column));
        }
        Ok(())
    }

    fn absent(&mut self, keys: &[&str]) -> Result<()> {
        let (table, rows) = self.tables.last().expect("a table was begun");
        assert_eq!(table.extent, Extent::Changes);
        assert!(!rows.iter().any(|(key, _, _)| keys.contains(&key.as_str())), "{:?}: wanted and unwanted", keys);
        self.absent.extend(keys.iter().map(|key| (table.path.clone(), key.to_string())));
        Ok(())
    }

    fn guard(&mut self, guard: &Guard) -> Result<()> {
        self.guards.push(guard.clone());
        Ok(())
    }

    fn file(&mut self, path: &str, _mode: u32, contents: &[u8]) -> Result<()> {
        self.files.insert(path.into(), String::from_utf8(contents.to_vec()).expect("text"));
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        self.removed.push(path.into());
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<()> {
        let known = |path: &String| self.tables.iter().any(|(table, _)| table.path == *path);
        assert!(command.tables.iter().all(known), "{command:?} belongs to unknown tables");
        self.commands.push(command.clone());
        Ok(())
    }
}

/// Programs that answer what they were told to, by their command line and standard input, and a few files.
#[derive(Default)]
#[non_exhaustive]
pub struct TestTools {
    /// Beginnings of command lines, and the answers.
    pub answers: Vec<(String, ProgramOutput)>,
    /// Command lines, each with what the program read behind it.
    pub ran: RefCell<Vec<String>>,
    /// What the programs read, one after the other.
    pub asked: RefCell<Vec<String>>,
    /// Files by path.
    pub files: BTreeMap<String, String>,
}

impl TestTools {
    /// From now on the command line (with what it reads) that starts so is answered like this.
    pub fn answer(mut self, prefix: &str, status: i32, stdout: &str, stderr: &str) -> Self {
        self.answers.push((prefix.into(), ProgramOutput::new(status, stdout, stderr)));
        self
    }

    /// From now on there is this file.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }
}

impl Tools for TestTools {
    fn run(&self, argv: &[&str], stdin: &str) -> Result<ProgramOutput> {
        let line = format!("{} {}", argv.join(" "), stdin).trim_end().to_string();
        self.asked.borrow_mut().push(stdin.into());
        self.ran.borrow_mut().push(line.clone());
        let answer = self.answers.iter().find(|(prefix, _)| line.starts_with(prefix));
        Ok(answer.unwrap_or_else(|| panic!("nobody expected `{}`", line)).1.clone())
    }

    fn read_file(&self, path: &str) -> Result<String> {
        self.files.get(path).cloned().ok_or_else(|| Error::failed(format!("{}: not there", path)))
    }

    /// The files, and the programs that have an answer.
    fn exists(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.answers.iter().any(|(prefix, _)| prefix.split(' ').next() == Some(path))
    }
}
