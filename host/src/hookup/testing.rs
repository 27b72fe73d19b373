//! For tests: lists, an adapter that plans as one for Postfix would, and a stand-in for its compiler.
//!
//! The stand-in is a shell script that copies the rows; nothing here is a real `postmap`, and
//! nothing here proves anything about a real MTA.

use super::front::Hookup;
use super::programs::Programs;
use super::roster::Roster;
use super::rows::Rows;
use crate::lists::{Domain, DomainName, List, ListAddress, ListSettings};
use postrider_plugin_api::sdk::{
    self, Address, Change, Command, CommandInput, Context, Extent, Guard, HostLog, IncomingAdapter, LmtpAddress, Need,
    Phase, PlanSink, Privilege, Result, Row, SettingKind, SettingSpec, Settings, Site, Table, TableFormat, TableRole,
};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) fn domain(name: &str, alias: Option<&str>) -> Domain {
    let parse = |name| DomainName::parse(name).expect("domain");
    Domain { name: parse(name), alias: alias.map(parse), description: String::new() }
}

pub(crate) fn list(address: &str) -> List {
    let address = ListAddress::parse(address).expect("list");
    List { id: 1, list_id: address.list_id(), address, settings: ListSettings::default(), post_count: 0, created: 0 }
}

/// Rows as they are kept, ready to be looked up.
pub(super) fn rows(pairs: &[(&str, &str)]) -> Rows {
    let mut rows = Rows::new(true);
    for (key, value) in pairs {
        rows.push(Row::new(key, value)).expect("small");
    }
    rows.index();
    rows
}

/// A roster of these lists and their domains.
pub(crate) fn roster(lists: &[&str]) -> Roster {
    Roster::new(Vec::new(), lists.iter().map(|address| list(address)).collect())
}

/// What the fake adapter plans, changed by tests.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) format: TableFormat,
    pub(crate) compiler: PathBuf,
    /// A command that makes the MTA see the tables.
    pub(crate) activate: Option<Activation>,
    /// A program that checks every staged table.
    pub(crate) check: Option<Vec<String>>,
    /// It never answers.
    pub(crate) hangs: bool,
    /// Also a file per list, as Exim or qmail would have it.
    pub(crate) files: bool,
    /// Plans only what a change touches.
    pub(crate) changes: bool,
    /// Asks before anything else whether there is this list of example.com, and writes the answer to the file `asked`.
    pub(crate) asks_first: Option<&'static str>,
    pub(crate) guards: Vec<Guard>,
    /// What comes before the names of tables.
    pub(crate) prefix: String,
    /// The compiler reads the table from its standard input.
    pub(crate) stdin: bool,
    /// How many plans had only changes.
    pub(crate) plans_of_changes: u32,
    /// How many whole ones came to their end.
    pub(crate) whole_plans: u32,
}

#[derive(Clone)]
pub(crate) struct Activation {
    pub(crate) argv: Vec<String>,
    pub(crate) need: Need,
    pub(crate) privilege: Privilege,
    pub(crate) settle: Option<Duration>,
    /// `routing`, `accepted`.
    pub(crate) tables: Vec<&'static str>,
}

/// Plans two tables as one for Postfix would: `routing` (domain) and `accepted` (address).
struct FakeAdapter(Arc<Mutex<Setup>>);

impl IncomingAdapter for FakeAdapter {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        unreachable!("tests make it themselves")
    }

    fn plan(&self, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        let setup = self.0.lock().expect("setup").clone();
        if setup.hangs {
            loop {
                std::thread::park();
            }
        }
        for guard in &setup.guards {
            sink.guard(guard)?;
        }
        if let Some(local) = setup.asks_first {
            let answer = context.roster.is_list(local, "example.com")?;
            sink.file("asked", 0o644, answer.to_string().as_bytes())?;
        }
        if setup.changes && !matches!(change, Change::Everything) {
            self.0.lock().expect("setup").plans_of_changes += 1;
            return plan_change(&setup, context, change, sink);
        }
        let table = |path: &str, role| setup.table(path, role, Extent::Whole);
        // Acceptance first: the host finds the right order itself.
        sink.table(&table("accepted", TableRole::Acceptance))?;
        let mut paths = Vec::new();
        sdk::for_each_address(context.site, context.roster, &mut |address| {
            let key = format!("{}@{}", address.local, address.list.domain.routed());
            if address.subaddress.is_none() {
                paths.push(format!("lists/{}.{}", address.local, address.list.domain.name));
            }
            sink.rows(&[Row::new(&key, &value_of(address)).with_column(40)])
        })?;
        sink.table(&table("routing", TableRole::Routing))?;
        let value = route(context.site);
        context
            .roster
            .for_each_domain(&mut |domain| sink.rows(&[Row::new(domain.routed(), &value).with_column(40)]))?;
        if setup.files {
            for path in &paths {
                sink.file(path, 0o644, b"")?;
            }
            if !paths.iter().any(|path| path == "lists/gone.example.com") {
                sink.remove("lists/gone.example.com")?;
            }
        }
        let command = |phase, argv: Vec<String>, tables: &[&str]| {
            Command::new(phase, argv, "so that the test sees it")
                .for_tables(tables.iter().map(|table| format!("{}{table}", setup.prefix)))
        };
        let stdin = if setup.stdin { CommandInput::Table } else { CommandInput::Nothing };
        if matches!(setup.format, TableFormat::CompiledRename { .. } | TableFormat::CompiledInPlace { .. }) {
            let compiler = setup.compiler.to_string_lossy().into_owned();
            let mut argv = vec![compiler, "fake:{file}".into()];
            if setup.stdin {
                argv.push("{file}".into());
            }
            sink.command(&command(Phase::Compile, argv, &["routing", "accepted"]).with_stdin(stdin))?;
        }
        if let Some(mut argv) = setup.check {
            argv.push("{file}".into());
            sink.command(&command(Phase::Check, argv, &["routing", "accepted"]).with_stdin(stdin))?;
        }
        if let Some(activation) = setup.activate {
            let mut command = command(Phase::Activate, activation.argv, &activation.tables)
                .with_need(activation.need)
                .with_privilege(activation.privilege);
            command.settle = activation.settle;
            sink.command(&command)?;
        }
        self.0.lock().expect("setup").whole_plans += 1;
        Ok(())
    }
}

impl Setup {
    fn table(&self, path: &str, role: TableRole, extent: Extent) -> Table {
        let (path, format) = (format!("{}{path}", self.prefix), self.format.clone());
        Table::new(path, format, role).with_extent(extent).with_comment("Of a fake adapter.")
    }
}

fn value_of(address: &Address<'_>) -> String {
    format!("of.{}", address.list.list_id)
}

fn route(site: &Site) -> String {
    let LmtpAddress::Tcp { host, port } = &site.lmtp else { unreachable!("tests use TCP") };
    format!("lmtp:[{host}]:{port}")
}

/// Only the addresses of one list, and the route of one domain.
fn plan_change(setup: &Setup, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    let domain = match change {
        Change::ListAdded(list) | Change::ListRemoved(list) => {
            sink.table(&setup.table("accepted", TableRole::Acceptance, Extent::Changes))?;
            sdk::for_each_address_of(list, context.site, context.roster, &mut |local, address| {
                let key = format!("{local}@{}", list.domain.routed());
                match address {
                    Some(address) => sink.rows(&[Row::new(&key, &value_of(address))]),
                    None => sink.absent(&[&key]),
                }
            })?;
            list.domain
        }
        Change::DomainAdded(domain) | Change::DomainRemoved(domain) => domain,
        _ => unreachable!("everything is planned elsewhere"),
    };
    if matches!(change, Change::ListRemoved(_)) {
        return Ok(()); // its domain stays: the other table is left out
    }
    sink.table(&setup.table("routing", TableRole::Routing, Extent::Changes))?;
    let mut known = false;
    context.roster.for_each_domain_routed_to(domain.routed(), &mut |_| {
        known = true;
        Ok(())
    })?;
    if known { sink.rows(&[Row::new(domain.routed(), &route(context.site))]) } else { sink.absent(&[domain.routed()]) }
}

/// A hookup with a fake adapter and a fake compiler in a directory of its own.
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) setup: Arc<Mutex<Setup>>,
    pub(crate) hookup: Arc<Hookup>,
}

/// Makes `FILE.cmp` by copying the rows. A FILE.fail in the lab lets it fail, as a real one would on a
/// full disk: after half of the work.
const FAKE_COMPILER: &str = r#"#!/bin/sh
# This is not postmap: a stand-in for tests that copies rows.
file="${1#fake:}"
if [ -n "$2" ]; then file="$2"; fi # the name of what it makes; the rows come from standard input
lab="$(dirname "$0")"
echo "$file" >> "$lab/compiled.log"
case "$(cat "$lab/fail" 2>/dev/null)" in
    always) echo half > "$file.cmp"; echo "fatal: write $file.cmp: No space left on device" >&2; exit 1;;
    in-place) case "$file" in */tables/.*) ;; *)
        rm "$lab/fail"; echo half > "$file.cmp"; echo "fatal: in place" >&2; exit 1;; esac;;
    silent) exit 0;;
    private) umask 077;; # makemap writes 0640
    slow) sleep 60;;
esac
# An existing file keeps its inode, as an lmdb file does; one write, as one transaction.
if [ -n "$2" ]; then rows="$(grep -v '^#')"; else rows="$(grep -v '^#' "$file")"; fi
printf 'compiled\n%s\n' "$rows" > "$file.cmp"
"#;

impl Lab {
    pub(crate) fn new(format: TableFormat) -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let compiler = dir.path().join("fake-postmap");
        write_script(&compiler, FAKE_COMPILER);
        let setup = Arc::new(Mutex::new(Setup {
            format,
            compiler,
            activate: None,
            check: None,
            hangs: false,
            files: false,
            changes: false,
            asks_first: None,
            guards: Vec::new(),
            prefix: String::new(),
            stdin: false,
            plans_of_changes: 0,
            whole_plans: 0,
        }));
        let hookup = Arc::new(Lab::hookup(&dir.path().join("tables"), dir.path(), &setup));
        Lab { dir, setup, hookup }
    }

    fn hookup(tables: &Path, dir: &Path, setup: &Arc<Mutex<Setup>>) -> Hookup {
        let site = Site::new(LmtpAddress::tcp("127.0.0.1", 8024), tables.to_string_lossy())
            .with_subaddresses(super::site::subaddresses());
        let adapter = Box::new(FakeAdapter(Arc::clone(setup)));
        let (name, kind) = ("output".to_owned(), SettingKind::OutputDirectory);
        let settings = [(name.clone(), dir.join("outside").to_string_lossy().into_owned())].into_iter().collect();
        let specs = [SettingSpec::new(&name, kind, "", "")];
        Hookup::new(adapter, "fake.Test", Programs::default(), site, dir.join("locks"))
            .with_superuser(false)
            .with_settings(&specs, &settings, "1.0")
    }

    /// The same with the tables elsewhere.
    pub(crate) fn with_tables_in(&self, tables: &Path) -> Hookup {
        Lab::hookup(tables, self.dir.path(), &self.setup)
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup.lock().expect("setup"));
    }

    /// A directory outside the table directory into which plans may write; it is not made here.
    pub(crate) fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    pub(crate) fn tables(&self) -> PathBuf {
        self.dir.path().join("tables")
    }

    /// How the fake compiler fails.
    pub(crate) fn fail(&self, how: &str) {
        fs::write(self.dir.path().join("fail"), how).expect("written");
    }

    pub(crate) fn heal(&self) {
        let _ = fs::remove_file(self.dir.path().join("fail"));
    }

    /// A script that notes that it ran in `activated.log`, then runs `text`.
    pub(crate) fn script(&self, text: &str) -> Vec<String> {
        let path = self.dir.path().join("activate");
        write_script(&path, &format!("#!/bin/sh\necho ran >> {}/activated.log\n{text}\n", self.dir.path().display()));
        vec![path.to_string_lossy().into_owned()]
    }

    pub(crate) fn activations(&self) -> usize {
        fs::read_to_string(self.dir.path().join("activated.log")).unwrap_or_default().lines().count()
    }

    pub(crate) fn compilations(&self) -> usize {
        fs::read_to_string(self.dir.path().join("compiled.log")).unwrap_or_default().lines().count()
    }

    /// Every file of the tables and its bytes; temporary ones too.
    pub(crate) fn all_files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut directories = vec![self.tables()];
        while let Some(directory) = directories.pop() {
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            for entry in entries {
                let path = entry.expect("entry").path();
                // What is published is noted only by those who follow a store; that a directory is ours, in some formats.
                if path.ends_with(".postrider-published") || path.ends_with(".postrider") {
                } else if path.is_dir() {
                    directories.push(path);
                } else {
                    let name = path.strip_prefix(self.tables()).expect("inside").to_string_lossy().into_owned();
                    files.insert(name, fs::read(&path).expect("read"));
                }
            }
        }
        files
    }

    /// The keys that the fake MTA finds in a table at this moment.
    ///
    /// Panics when the file that it reads is not whole.
    pub(crate) fn keys(&self, table: &str) -> Vec<String> {
        let path = self.tables().join(table);
        let format = self.setup.lock().expect("setup").format.clone();
        let path = match format {
            TableFormat::CompiledRename { suffix } | TableFormat::CompiledInPlace { suffix } => {
                super::place::with_suffix(&path, &suffix)
            }
            TableFormat::Sqlite => {
                let rows = super::sqlite::read(&path).expect("readable at every moment");
                return rows.iter().map(|row| row.key.to_owned()).collect();
            }
            TableFormat::Directory { mark } => {
                let names = fs::read_dir(&path).into_iter().flatten().map(|entry| entry.expect("entry").file_name());
                let names = names.map(|name| name.into_string().expect("text"));
                let mut keys: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
                for key in &keys {
                    let text = fs::read_to_string(path.join(key)).expect("read");
                    assert!(text.starts_with(&mark) && text.ends_with('\n'), "{key} is not whole: {text}");
                }
                keys.sort();
                return keys;
            }
            _ => path,
        };
        let Ok(text) = fs::read_to_string(&path) else { return Vec::new() };
        assert!(
            text.starts_with("compiled\n") || text.starts_with("# Written by"),
            "{} is not whole: {text}",
            path.display()
        );
        let mut keys: Vec<String> = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#') && *line != "compiled")
            .map(|line| line.split_whitespace().next().expect("key").to_owned())
            .collect();
        keys.sort();
        keys
    }
}

fn write_script(path: &Path, text: &str) {
    // Written by another process: a descriptor of ours that is open for writing could be inherited by
    // a child of another test just then, and executing the script would fail with ETXTBSY.
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", "printf '%s' \"$1\" > \"$0\""])
        .arg(path)
        .arg(text)
        .status()
        .expect("shell");
    assert!(status.success());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
}

pub(crate) fn compiled() -> TableFormat {
    TableFormat::CompiledRename { suffix: ".cmp".into() }
}

/// All files of the directories are ours.
pub(crate) fn directory() -> TableFormat {
    TableFormat::Directory { mark: String::new() }
}

/// Somebody else's files may be there too.
pub(crate) fn marked_directory() -> TableFormat {
    TableFormat::Directory { mark: "# made by a test".into() }
}

pub(crate) fn in_place() -> TableFormat {
    TableFormat::CompiledInPlace { suffix: ".cmp".into() }
}
