//! Stand-ins for the host in unit tests.

use postrider_plugin_api::sdk::{
    Command as Planned, DomainView, Error, Extent, Guard, ListView, LmtpAddress, PlanSink, ProgramOutput, Result,
    Roster, Row, Site, Subaddress, Table, Tools,
};
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

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

/// Key, value and column.
pub(crate) type TestRow = (String, String, u16);

/// Keeps a plan, and holds it to the rules.
#[derive(Default)]
pub(crate) struct TestSink {
    pub(crate) tables: Vec<(Table, Vec<TestRow>)>,
    pub(crate) absent: Vec<String>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) commands: Vec<Planned>,
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
            assert!(!self.absent.iter().any(|key| key == row.key), "{} is wanted and unwanted", row.key);
            seen.push((row.key.into(), row.value.into(), row.column));
        }
        Ok(())
    }

    fn absent(&mut self, keys: &[&str]) -> Result<()> {
        let (table, rows) = self.tables.last().expect("a table was begun");
        assert_eq!(table.extent, Extent::Changes);
        assert!(!rows.iter().any(|(key, _, _)| keys.contains(&key.as_str())), "{:?} are wanted and unwanted", keys);
        self.absent.extend(keys.iter().map(|key| key.to_string()));
        Ok(())
    }

    fn guard(&mut self, guard: &Guard) -> Result<()> {
        self.guards.push(guard.clone());
        Ok(())
    }

    fn file(&mut self, path: &str, _mode: u32, _contents: &[u8]) -> Result<()> {
        unreachable!("{}: files that are no tables are not planned for qmail", path)
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        unreachable!("{}: files that are no tables are not planned for qmail", path)
    }

    fn command(&mut self, command: &Planned) -> Result<()> {
        let known = |path: &String| self.tables.iter().any(|(table, _)| table.path == *path);
        assert!(command.tables.iter().all(known), "{:?} belongs to unknown tables", command);
        self.commands.push(command.clone());
        Ok(())
    }
}

/// Programs that answer what they were told to, by their whole command line.
#[derive(Default)]
pub(crate) struct TestTools {
    pub(crate) answers: Vec<(String, ProgramOutput)>,
    pub(crate) files: BTreeMap<String, String>,
}

impl TestTools {
    /// From now on the command line that starts so is answered like this.
    pub(crate) fn answer(mut self, prefix: &str, status: i32, stdout: &str, stderr: &str) -> Self {
        self.answers.push((prefix.into(), ProgramOutput { status, stdout: stdout.into(), stderr: stderr.into() }));
        self
    }

    /// From now on there is this file.
    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }
}

impl Tools for TestTools {
    fn run(&self, argv: &[&str], _stdin: &str) -> Result<ProgramOutput> {
        let line = argv.join(" ");
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

/// A directory of the test's own.
pub(crate) struct Scratch {
    path: String,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("postrider-qmail-{}-{}", std::process::id(), number));
        // A test that was killed may have left one with this number.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory");
        Scratch { path: path.to_str().expect("UTF-8").into() }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn of(&self, name: &str) -> PathBuf {
        PathBuf::from(&self.path).join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.of(name).parent().expect("a parent")).expect("a directory");
        fs::write(self.of(name), text).expect(name);
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.of(name)).expect(name)
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.of(name).exists()
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.of(name)).expect(name);
    }

    pub(crate) fn make_directory(&self, name: &str) {
        fs::create_dir(self.of(name)).expect(name);
    }

    pub(crate) fn remove_directory(&self, name: &str) {
        fs::remove_dir(self.of(name)).expect(name);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Runs a script by the real `sh -e`; exit status, and all that it said.
pub(crate) fn run_sh(script: &str, arguments: &[&str]) -> (i32, String) {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-ec", script, "sh"]).args(arguments).stdin(Stdio::null());
    let output = shell.output().expect("/bin/sh");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or(-1), said)
}

/// Compares with a file in `tests/golden`.
pub(crate) fn assert_golden(name: &str, text: &str) {
    assert_file(&format!("tests/golden/{}", name), text);
}

/// Compares with a file of this package; `WRITE_GOLDEN=1` writes it anew.
pub(crate) fn assert_file(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        fs::write(&path, text).expect(name);
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} is behind; WRITE_GOLDEN=1 writes it anew", path.display());
}
