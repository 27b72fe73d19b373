//! A list server of paper: its lists, and what the Postfix plugin makes of them, brought into a box
//! in the order that the plugin asks for.

use postrider_plugin_api::sdk::{
    Change, Command, Context, DomainView, Error, Facts, Finding, Guard, HostLog, IncomingAdapter as _, ListView,
    LmtpAddress, LogLevel, Phase, PlanSink, ProgramOutput, Result, Roster, Row, Settings, Site, Snippet, SnippetKind,
    Subaddress, Table, TableFormat, Tools,
};
use postrider_tests::mta_box::MtaBox;
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The plugin with one site's settings, next to a box.
pub struct ListServer<'b> {
    machine: &'b MtaBox,
    adapter: postrider_postfix::Lmtp,
    pub site: Site,
    pub roster: Lists,
}

impl<'b> ListServer<'b> {
    pub fn new(machine: &'b MtaBox, table_type: &str, lmtp: LmtpAddress) -> Self {
        Self::with_settings(machine, table_type, lmtp, &[])
    }

    pub fn with_settings(machine: &'b MtaBox, table_type: &str, lmtp: LmtpAddress, settings: &[(&str, &str)]) -> Self {
        let tables = machine.shared().join("tables");
        fs::create_dir(&tables).unwrap();
        let subaddress = |name: &&str| Subaddress::new(*name, matches!(*name, "bounces" | "confirm"));
        let names = ["bounces", "confirm", "join", "leave", "owner", "request", "subscribe", "unsubscribe"];
        let settings: Settings = [("transport_file_type", table_type)].iter().chain(settings).copied().collect();
        ListServer {
            machine,
            adapter: postrider_postfix::Lmtp::new(Box::new(Silent), &settings).unwrap(),
            site: Site::new(lmtp, tables.to_str().unwrap())
                .with_subaddresses(names.iter().map(subaddress))
                .with_smtp("127.0.0.1", 25),
            roster: Lists::default(),
        }
    }

    /// Writes all tables; runs compilers, but none of the commands that tell Postfix.
    pub fn write_tables(&self) {
        self.publish(false);
    }

    /// Writes all tables and runs what the plan wants, in its order.
    pub fn publish(&self, activate: bool) {
        let facts = self.adapter.probe(&self.site, &BoxTools(self.machine)).unwrap();
        let mut plan = Plan::default();
        self.adapter.plan(self.context(&facts), Change::Everything, &mut plan).unwrap();
        plan.publish(self.machine, Path::new(&self.site.table_dir), activate);
    }

    /// Does what the plugin tells the administrator to do; returns how to take it back.
    pub fn hook_up(&self) -> WayBack<'b> {
        let snippets = self.steps();
        for snippet in &snippets {
            assert_eq!(snippet.kind, SnippetKind::Commands);
            self.machine.run(&["sh", "-ec", &snippet.text]);
        }
        let warnings = self.machine.output(&["postconf", "-n"]).unwrap().stderr;
        assert!(warnings.is_empty(), "{}", String::from_utf8_lossy(&warnings));
        WayBack { machine: self.machine, steps: snippets.into_iter().rev().map(|snippet| snippet.undo).collect() }
    }

    fn steps(&self) -> Vec<Snippet> {
        let facts = self.adapter.probe(&self.site, &BoxTools(self.machine)).unwrap();
        self.adapter.snippets(self.context(&facts)).unwrap()
    }

    /// Does what the plugin says, which must stop before anything is changed; returns what is said.
    pub fn hook_up_stops(&self) -> String {
        let before = self.machine.read("/etc/postfix/main.cf").unwrap();
        let all: String = self.steps().into_iter().map(|step| step.text).collect();
        let output = self.machine.output(&["sh", "-ec", &all]).unwrap();
        assert_eq!(output.status.code(), Some(1), "{all}");
        assert_eq!(self.machine.read("/etc/postfix/main.cf").unwrap(), before);
        String::from_utf8(output.stderr).unwrap()
    }

    pub fn check(&self) -> Vec<Finding> {
        self.adapter.check(self.context(&Facts::new()), &BoxTools(self.machine)).unwrap()
    }

    fn context<'a>(&'a self, facts: &'a Facts) -> Context<'a> {
        Context::new(&self.site, facts, &self.roster)
    }
}

/// Commands that take a hookup back.
pub struct WayBack<'b> {
    machine: &'b MtaBox,
    steps: Vec<String>,
}

impl WayBack<'_> {
    pub fn go(&self) {
        for step in self.steps.iter().filter(|step| !step.is_empty()) {
            self.machine.run(&["sh", "-ec", step]);
        }
    }
}

/// Domains with their aliases, and lists.
#[derive(Clone, Default)]
pub struct Lists {
    domains: BTreeSet<(String, String)>,
    /// Domain and local part.
    lists: BTreeSet<(String, String)>,
}

impl Lists {
    pub fn add_domain(&mut self, name: &str, alias: &str) {
        self.domains.insert((name.into(), alias.into()));
    }

    pub fn add(&mut self, address: &str) {
        let (local, domain) = address.split_once('@').unwrap();
        if !self.domains.iter().any(|(name, _)| name == domain) {
            self.add_domain(domain, "");
        }
        self.lists.insert((domain.into(), local.into()));
    }

    pub fn remove(&mut self, address: &str) {
        let (local, domain) = address.split_once('@').unwrap();
        assert!(self.lists.remove(&(domain.into(), local.into())));
    }
}

impl Roster for Lists {
    fn for_each_domain(&self, visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
        self.domains.iter().try_for_each(|(name, alias)| visit(&DomainView::new(name, alias)))
    }

    fn for_each_list(&self, visit: &mut dyn FnMut(&ListView<'_>) -> Result<()>) -> Result<()> {
        self.lists.iter().try_for_each(|(domain, local)| {
            let (name, alias) = self.domains.iter().find(|(name, _)| name == domain).unwrap();
            let list_id = format!("{local}.{domain}");
            visit(&ListView::new(local, DomainView::new(name, alias), &list_id))
        })
    }

    fn list_count(&self) -> u64 {
        self.lists.len() as u64
    }

    fn list_id(&self, local: &str, domain: &str) -> Result<Option<String>> {
        let is_list = self.lists.contains(&(domain.into(), local.into()));
        Ok(is_list.then(|| format!("{local}.{domain}")))
    }

    fn for_each_domain_routed_to(
        &self,
        routed: &str,
        visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>,
    ) -> Result<()> {
        self.for_each_domain(&mut |domain| if domain.routed() == routed { visit(domain) } else { Ok(()) })
    }
}

#[derive(Default)]
struct Plan {
    tables: Vec<(Table, Vec<(String, String)>)>,
    files: Vec<(PathBuf, Vec<u8>)>,
    removals: Vec<String>,
    commands: Vec<Command>,
}

impl Plan {
    fn publish(self, machine: &MtaBox, directory: &Path, activate: bool) {
        for (path, contents) in self.files {
            fs::write(directory.join(path), contents).unwrap();
        }
        let mut waiting: Vec<_> = self.commands.iter().filter(|command| command.phase == Phase::Activate).collect();
        let mut published = Vec::new();
        for (table, rows) in self.tables {
            let path = directory.join(&table.path);
            match &table.format {
                TableFormat::Sqlite => write_sqlite(&path, &rows),
                format => write_text(&path, &rows, matches!(format, TableFormat::CompiledRename { .. })),
            }
            let compilers = self.commands.iter().filter(|command| command.phase == Phase::Compile);
            for command in compilers.filter(|command| command.tables.contains(&table.path)) {
                let file = path.to_str().unwrap();
                let argv: Vec<String> = command.argv.iter().map(|argument| argument.replace("{file}", file)).collect();
                let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
                let output = machine.output(&argv).unwrap();
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(output.status.success() && said.is_empty(), "{argv:?}: {said}");
            }
            published.push(table.path);
            waiting.retain(|command| {
                let ready = command.tables.iter().all(|name| published.contains(name));
                if ready && activate {
                    machine.run(&command.argv.iter().map(String::as_str).collect::<Vec<_>>());
                }
                !ready
            });
        }
        assert!(waiting.is_empty());
        for path in self.removals {
            let _ = fs::remove_file(directory.join(path));
        }
    }
}

fn write_text(path: &Path, rows: &[(String, String)], _renamed: bool) {
    let mut text = String::from("# a comment\n");
    for (key, value) in rows {
        writeln!(text, "{key} {value}").unwrap();
    }
    let staged = path.with_extension("new");
    fs::write(&staged, text).unwrap();
    fs::rename(staged, path).unwrap();
}

fn write_sqlite(path: &Path, rows: &[(String, String)]) {
    let mut database = rusqlite::Connection::open(path).unwrap();
    let work = database.transaction().unwrap();
    let create =
        "CREATE TABLE IF NOT EXISTS map(key TEXT PRIMARY KEY COLLATE NOCASE, value TEXT NOT NULL); DELETE FROM map";
    work.execute_batch(create).unwrap();
    for (key, value) in rows {
        work.execute("INSERT INTO map VALUES (?, ?)", (key, value)).unwrap();
    }
    work.commit().unwrap();
}

impl PlanSink for Plan {
    fn table(&mut self, table: &Table) -> Result<()> {
        self.tables.push((table.clone(), Vec::new()));
        Ok(())
    }

    fn rows(&mut self, rows: &[Row<'_>]) -> Result<()> {
        let (_, all) = self.tables.last_mut().unwrap();
        all.extend(rows.iter().map(|row| (row.key.to_owned(), row.value.to_owned())));
        Ok(())
    }

    fn absent(&mut self, keys: &[&str]) -> Result<()> {
        unreachable!("{keys:?} in a plan of everything")
    }

    fn guard(&mut self, guard: &Guard) -> Result<()> {
        unreachable!("{guard:?} for Postfix")
    }

    fn file(&mut self, path: &str, _mode: u32, contents: &[u8]) -> Result<()> {
        self.files.push((path.into(), contents.to_vec()));
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        self.removals.push(path.into());
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<()> {
        self.commands.push(command.clone());
        Ok(())
    }
}

/// Runs programs in the box.
struct BoxTools<'b>(&'b MtaBox);

impl Tools for BoxTools<'_> {
    fn run(&self, argv: &[&str], _stdin: &str) -> Result<ProgramOutput> {
        let output = self.0.output(argv).map_err(|error| Error::failed(error.to_string()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let status = output.status.code().unwrap_or(-1);
        Ok(ProgramOutput::new(status, text(&output.stdout), text(&output.stderr)))
    }

    fn read_file(&self, path: &str) -> Result<String> {
        self.0.read(path).map_err(|error| Error::failed(error.to_string()))
    }

    fn exists(&self, path: &str) -> bool {
        self.0.output(&["test", "-e", path]).is_ok_and(|output| output.status.success())
    }
}

struct Silent;

impl HostLog for Silent {
    fn log(&self, _: LogLevel, _: &str) {}
}
