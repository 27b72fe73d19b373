//! Takes an adapter's plan and checks it: what comes out can be published without a second look.
//!
//! A rule that is broken is a mistake of the plugin, not of the administrator: the error names
//! the table, file, key or command, and no part of the plan is carried out. The first error
//! sticks, so an adapter that ignores it gains nothing.

use super::directory;
use super::outputs::Outputs;
use super::programs::Programs;
use super::rows::{Rows, TooLarge};
use postrider_plugin_api::sdk::{
    Command, CommandInput, Error, Extent, Guard, Phase, PlanSink, Privilege, Result, Row, Table, TableFormat,
};
use std::collections::HashSet;

/// Most tables of a plan.
const MAX_TABLES: usize = 100;
/// Most files and removals of a plan (an MTA with one file a list needs many).
const MAX_FILES: usize = 2_000_000;
/// Most octets of one file.
const MAX_FILE: usize = 16 << 20;
/// Most octets of all files.
const MAX_FILES_BYTES: usize = 1 << 30;
/// Most octets of one part of a path; temporary names need the rest of the usual 255.
const MAX_NAME: usize = 200;
/// Most octets of a key.
const MAX_KEY: usize = 4096;
/// Most octets of a file name.
const MAX_FILE_NAME: usize = 255;
/// Most guarded directories.
const MAX_GUARDS: usize = 100;
/// Most octets of a value.
const MAX_VALUE: usize = 32 * 1024;

/// A plan that keeps every rule.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) tables: Vec<PlannedTable>,
    pub(crate) files: Vec<PlannedFile>,
    /// Paths of files that shall not exist.
    pub(crate) removals: Vec<String>,
    pub(crate) commands: Vec<Command>,
    pub(crate) guards: Vec<Guard>,
}

impl Plan {
    /// Puts what is outside the table directory below it, under its whole path.
    pub(crate) fn move_inside(&mut self) {
        let inside = |path: &mut String| {
            if path.starts_with('/') {
                path.remove(0);
            }
        };
        self.tables.iter_mut().for_each(|planned| inside(&mut planned.table.path));
        self.files.iter_mut().for_each(|file| inside(&mut file.path));
        self.removals.iter_mut().for_each(inside);
        self.commands.iter_mut().flat_map(|command| &mut command.tables).for_each(inside);
    }

    /// All that it may write, remove or guard.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        let tables = self.tables.iter().map(|planned| planned.table.path.as_str());
        let files = self.files.iter().map(|file| file.path.as_str()).chain(self.removals.iter().map(String::as_str));
        tables.chain(files).chain(self.guards.iter().map(|guard| guard.path.as_str()))
    }

    /// Whether a table has only the rows that a change touched.
    pub(crate) fn has_changes(&self) -> bool {
        self.tables.iter().any(|planned| planned.table.extent == Extent::Changes)
    }
}

/// A table and its rows, indexed.
#[derive(Debug)]
pub(crate) struct PlannedTable {
    pub(crate) table: Table,
    pub(crate) rows: Rows,
    /// Keys (without values) that must not be there; only for [`Extent::Changes`].
    pub(crate) absent: Rows,
}

/// A file that is no table.
#[derive(Debug)]
pub(crate) struct PlannedFile {
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) contents: Vec<u8>,
}

impl PlannedTable {
    /// What the compiler appends to the name, if the table is compiled.
    pub(crate) fn suffix(&self) -> Option<&str> {
        match &self.table.format {
            TableFormat::CompiledRename { suffix } | TableFormat::CompiledInPlace { suffix } => Some(suffix),
            _ => None,
        }
    }

    /// The first line of our files, if this is a directory.
    pub(crate) fn mark(&self) -> Option<&str> {
        match &self.table.format {
            TableFormat::Directory { mark } => Some(mark),
            _ => None,
        }
    }

    pub(crate) fn has_changes(&self) -> bool {
        self.table.extent == Extent::Changes
    }

    /// The commands of this phase that belong to this table.
    pub(crate) fn commands<'p>(&'p self, plan: &'p Plan, phase: Phase) -> impl Iterator<Item = &'p Command> {
        plan.commands.iter().filter(move |command| command.phase == phase && command.tables.contains(&self.table.path))
    }
}

/// Receives a plan.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    plan: Plan,
    /// Every path that the plan speaks of, compiled files included.
    paths: HashSet<String>,
    files_bytes: usize,
    failure: Option<Error>,
    programs: Programs,
    outputs: Outputs,
    /// It is the plan of a single change.
    single: bool,
}

impl Collector {
    /// Takes commands of these programs only, and absolute paths in these directories.
    pub(crate) fn allowing(programs: Programs, outputs: Outputs) -> Self {
        Collector { programs, outputs, ..Collector::default() }
    }

    /// Takes tables of which only the rows come that a change touched.
    pub(crate) fn for_a_single_change(self, single: bool) -> Self {
        Collector { single, ..self }
    }

    /// The whole plan.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub(crate) fn finish(mut self) -> Result<Plan> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.end_table()?;
        for command in &self.plan.commands {
            check_tables_of(command, &self.plan)?;
        }
        for planned in &self.plan.tables {
            self.check_directory(planned)?;
            if planned.suffix().is_some() && planned.commands(&self.plan, Phase::Compile).count() != 1 {
                return Err(wrong(format!(
                    "table {} has a compiled form, so exactly one compile command must name it",
                    planned.table.path
                )));
            }
        }
        Ok(self.plan)
    }

    /// Runs one step of the plan unless one failed before; keeps the first failure.
    fn step(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let result = work(self);
        if let Err(error) = &result {
            self.failure = Some(error.clone());
        }
        result
    }

    /// Nothing else of the plan may be in a directory whose files are its rows.
    fn check_directory(&self, planned: &PlannedTable) -> Result<()> {
        if planned.mark() != Some("") {
            return Ok(());
        }
        let directory = &planned.table.path;
        if directory.starts_with('/') && self.outputs.below(directory) == Some("") {
            return Err(wrong(format!(
                "all files in {directory} would be rows, but that directory is the administrator's; one below it can be"
            )));
        }
        let inside = |path: &&String| path.strip_prefix(directory.as_str()).is_some_and(|rest| rest.starts_with('/'));
        match self.paths.iter().find(inside) {
            Some(path) => Err(wrong(format!("the plan has {path} in {directory}, all files of which are rows"))),
            None => Ok(()),
        }
    }

    fn claim(&mut self, path: &str) -> Result<()> {
        check_path(path, &self.outputs)?;
        if self.paths.insert(path.to_owned()) { Ok(()) } else { Err(wrong(format!("the plan names {path} twice"))) }
    }

    fn end_table(&mut self) -> Result<()> {
        let Some(planned) = self.plan.tables.last_mut() else { return Ok(()) };
        planned.rows.index();
        if let Some((first, second)) = planned.rows.duplicate() {
            return Err(wrong(format!(
                "table {} has the key {:?} twice, with the values {:?} and {:?}",
                planned.table.path, second.key, first.value, second.value
            )));
        }
        planned.absent.index();
        planned.absent.drop_later_duplicates();
        if let Some(key) = planned.rows.common_key(&planned.absent) {
            return Err(wrong(format!("table {}: the key {key:?} shall be there and be absent", planned.table.path)));
        }
        Ok(())
    }
}

impl PlanSink for Collector {
    fn table(&mut self, table: &Table) -> Result<()> {
        self.step(|this| {
            this.end_table()?;
            this.claim(&table.path)?;
            if this.plan.tables.len() >= MAX_TABLES {
                return Err(wrong(format!("the plan has more than {MAX_TABLES} tables")));
            }
            if let Some(bad) = table.comment.chars().find(|c| c.is_control() && *c != '\n') {
                return Err(wrong(format!("the comment of table {} contains the character {bad:?}", table.path)));
            }
            check_format(table)?;
            check_extent(table, this.single)?;
            // Compiled tables and SQLite are looked up without regard to case; files are not.
            let folds = !matches!(table.format, TableFormat::Text | TableFormat::Directory { .. });
            let planned = PlannedTable { table: table.clone(), rows: Rows::new(folds), absent: Rows::new(folds) };
            if let Some(suffix) = planned.suffix() {
                if suffix.len() < 2 || suffix.len() > 32 || !suffix.starts_with('.') || suffix.contains('/') {
                    return Err(wrong(format!("table {} has the suffix {suffix:?}; .db is a good one", table.path)));
                }
                this.claim(&format!("{}{suffix}", table.path))?;
            }
            this.plan.tables.push(planned);
            Ok(())
        })
    }

    fn rows(&mut self, rows: &[Row<'_>]) -> Result<()> {
        self.step(|this| {
            let Some(planned) = this.plan.tables.last_mut() else {
                return Err(wrong("rows came before any table was begun"));
            };
            for row in rows {
                check_row(&planned.table, *row)?;
                let contents;
                let row = if planned.mark().is_some() {
                    contents = directory::with_line_end(row.value);
                    Row { value: &contents, ..*row }
                } else {
                    *row
                };
                planned.rows.push(row).map_err(|TooLarge| too_large(&planned.table, row.key))?;
            }
            Ok(())
        })
    }

    fn absent(&mut self, keys: &[&str]) -> Result<()> {
        self.step(|this| {
            let Some(planned) = this.plan.tables.last_mut() else {
                return Err(wrong("absent keys came before any table was begun"));
            };
            if !planned.has_changes() {
                return Err(wrong(format!(
                    "table {} has all its rows, so a key need not be said to be absent",
                    planned.table.path
                )));
            }
            for key in keys {
                check_key(&planned.table, key)?;
                let row = Row { key, value: "", column: 0 };
                planned.absent.push(row).map_err(|TooLarge| too_large(&planned.table, key))?;
            }
            Ok(())
        })
    }

    fn guard(&mut self, guard: &Guard) -> Result<()> {
        self.step(|this| {
            check_path(&guard.path, &this.outputs)?;
            if guard.mode == 0 || guard.mode & !0o7000 != 0 {
                return Err(wrong(format!(
                    "the guard of {} has the mode {:04o}; allowed are the bits of 7000, at least one",
                    guard.path, guard.mode
                )));
            }
            if this.plan.guards.iter().any(|other| other.path == guard.path) {
                return Err(wrong(format!("the plan guards {} twice", guard.path)));
            }
            if this.plan.guards.len() >= MAX_GUARDS {
                return Err(wrong(format!("the plan has more than {MAX_GUARDS} guards")));
            }
            this.plan.guards.push(guard.clone());
            Ok(())
        })
    }

    fn file(&mut self, path: &str, mode: u32, contents: &[u8]) -> Result<()> {
        self.step(|this| {
            this.claim(path)?;
            if mode & !0o775 != 0 || mode & 0o400 == 0 {
                return Err(wrong(format!(
                    "file {path} has the mode {mode:04o}; allowed is 0400 to 0775, without 0002"
                )));
            }
            this.files_bytes += contents.len();
            if contents.len() > MAX_FILE || this.files_bytes > MAX_FILES_BYTES || this.plan.files.len() >= MAX_FILES {
                return Err(wrong(format!(
                    "file {path} ({} octets) is too much: allowed are 16 MiB a file, {MAX_FILES} files, 1 GiB together",
                    contents.len()
                )));
            }
            this.plan.files.push(PlannedFile { path: path.to_owned(), mode, contents: contents.to_vec() });
            Ok(())
        })
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        self.step(|this| {
            this.claim(path)?;
            if this.plan.removals.len() >= MAX_FILES {
                return Err(wrong(format!("the plan removes more than {MAX_FILES} files")));
            }
            this.plan.removals.push(path.to_owned());
            Ok(())
        })
    }

    fn command(&mut self, command: &Command) -> Result<()> {
        self.step(|this| {
            check_command(command)?;
            this.programs.check(&command.argv[0]).map_err(|error| {
                wrong(format!("the command {:?} cannot be used: {}", command.argv.join(" "), error.message))
            })?;
            this.plan.commands.push(command.clone());
            Ok(())
        })
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::failed(message).with_hint("this is a mistake of the plugin; tell its author")
}

fn too_large(table: &Table, key: &str) -> Error {
    wrong(format!("table {} becomes larger than 1 GiB at the key {key:?}", table.path))
}

fn check_format(table: &Table) -> Result<()> {
    let bad = |reason: &str| Err(wrong(format!("table {} {reason}", table.path)));
    match &table.format {
        TableFormat::Directory { mark } if mark.chars().any(char::is_control) || mark.len() > MAX_NAME => {
            bad("has a mark that is not one line of at most 200 octets")
        }
        TableFormat::Text
        | TableFormat::CompiledRename { .. }
        | TableFormat::CompiledInPlace { .. }
        | TableFormat::Directory { .. }
        | TableFormat::Sqlite => Ok(()),
        _ => bad("has a format that this version of Postrider does not know"),
    }
}

fn check_extent(table: &Table, single: bool) -> Result<()> {
    let bad = |reason: &str| Err(wrong(format!("table {} {reason}", table.path)));
    match table.extent {
        Extent::Changes if !single => bad("has only changed rows, but everything was asked for"),
        Extent::Changes if !matches!(table.format, TableFormat::Sqlite | TableFormat::Directory { .. }) => {
            bad("has only changed rows; that is possible for SQLite databases and directories alone")
        }
        Extent::Whole | Extent::Changes => Ok(()),
        _ => bad("has an extent that this version of Postrider does not know"),
    }
}

/// A path stays inside the table directory, or an output directory, and touches nothing of the host's own.
fn check_path(path: &str, outputs: &Outputs) -> Result<()> {
    let bad = |reason: &str| Err(wrong(format!("the path {path:?} cannot be used: {reason}")));
    let relative = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return bad("it is empty");
    }
    if path.chars().any(char::is_control) {
        return bad("it contains a control character");
    }
    for part in relative.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return bad("it contains an empty part, `.` or `..`");
        }
        if part.len() > MAX_NAME {
            return bad("a part of it is longer than 200 octets");
        }
    }
    let below = if path.starts_with('/') { outputs.below(path) } else { Some(path) };
    let Some(below) = below else {
        return bad(&format!(
            "it must be relative to the table directory, or be in a directory that a setting of the adapter names ({})",
            outputs.shown()
        ));
    };
    // The table directory is the data directory, as in Mailman, and holds our own databases too.
    let first = below.split('/').next().unwrap_or_default();
    if first.starts_with(".postrider")
        || first.starts_with("postrider.")
        || first == "spool"
        || first.starts_with("spool.")
    {
        return bad("Postrider's own files have such names");
    }
    Ok(())
}

fn check_key(table: &Table, key: &str) -> Result<()> {
    let bad = |reason: &str| {
        let key = &key[..key.floor_char_boundary(64)];
        Err(wrong(format!("table {}: the key {key:?} {reason}", table.path)))
    };
    if key.is_empty() {
        return bad("is empty");
    }
    if key.len() > MAX_KEY {
        return bad("is longer than 4096 octets");
    }
    if key.chars().any(char::is_control) {
        return bad("contains a control character (a newline, NUL or tab, for instance)");
    }
    if let TableFormat::Directory { .. } = table.format {
        if key.contains('/') || key == "." || key == ".." || key.starts_with(".postrider") {
            return bad("cannot be the name of a file");
        }
        if key.len() > MAX_FILE_NAME {
            return bad("is longer than 255 octets, as no name of a file can be");
        }
    }
    Ok(())
}

fn check_row(table: &Table, row: Row<'_>) -> Result<()> {
    check_key(table, row.key)?;
    let bad = |what: &str, text: &str, reason: &str| {
        Err(wrong(format!("table {}, key {:?}: the {what} {text:?} {reason}", table.path, row.key)))
    };
    if row.value.len() > MAX_VALUE {
        return bad("value", &row.value[..row.value.floor_char_boundary(64)], "is longer than 32 KiB");
    }
    let is_directory = matches!(table.format, TableFormat::Directory { .. });
    if row.value.chars().any(|c| c.is_control() && !(is_directory && c == '\n')) {
        return bad("value", row.value, "contains a control character (a newline, NUL or tab, for instance)");
    }
    if is_directory || table.format == TableFormat::Sqlite {
        return Ok(());
    }
    // What follows would be read as another row, a comment or a continuation.
    if row.key.contains(char::is_whitespace) {
        return bad("key", row.key, "contains a blank");
    }
    for (what, text) in [("key", row.key), ("value", row.value)] {
        if text.starts_with('#') {
            return bad(what, text, "begins with #");
        }
    }
    if row.value.trim() != row.value {
        return bad("value", row.value, "begins or ends with a blank");
    }
    if row.value.is_empty() && table.format != TableFormat::Text {
        return bad("value", row.value, "is empty");
    }
    Ok(())
}

fn check_command(command: &Command) -> Result<()> {
    let shown = command.argv.join(" ");
    let bad = |reason: &str| Err(wrong(format!("the command {shown:?} cannot be used: {reason}")));
    let Some(program) = command.argv.first() else { return bad("it has no program") };
    if !program.starts_with('/') || program.ends_with('/') || program.contains("/../") {
        return bad("its program is no absolute path");
    }
    if command.argv.iter().any(|argument| argument.contains('\0')) {
        return bad("it contains a NUL");
    }
    if !matches!(command.phase, Phase::Check | Phase::Compile | Phase::Activate) {
        return bad("this version of Postrider does not know its phase");
    }
    if command.phase != Phase::Activate {
        if command.tables.is_empty() {
            return bad("a check or compile command belongs to a table");
        }
        if command.privilege == Privilege::Root {
            return bad("a check or compile command runs with the rights of the owner of the data");
        }
        let names_file = command.argv[1..].iter().any(|argument| argument.contains("{file}"));
        if !names_file && command.stdin != CommandInput::Table {
            return bad("no argument contains {file}, and it does not read the table from its standard input");
        }
    }
    match command.stdin {
        CommandInput::Table if command.phase == Phase::Activate => bad("an activation cannot read a table"),
        CommandInput::Nothing | CommandInput::Table => Ok(()),
        _ => bad("this version of Postrider does not know what it reads"),
    }
}

fn check_tables_of(command: &Command, plan: &Plan) -> Result<()> {
    let shown = command.argv.join(" ");
    for name in &command.tables {
        let Some(planned) = plan.tables.iter().find(|planned| planned.table.path == *name) else {
            return Err(wrong(format!("the command {shown:?} belongs to the table {name}, which the plan has not")));
        };
        if command.phase == Phase::Compile && planned.suffix().is_none() {
            return Err(wrong(format!("the command {shown:?} compiles the table {name}, which has no compiled form")));
        }
        if command.phase == Phase::Check && planned.table.format == TableFormat::Sqlite {
            return Err(wrong(format!("the command {shown:?} checks the SQLite table {name}, which is never staged")));
        }
        if command.phase == Phase::Check && planned.mark().is_some() {
            return Err(wrong(format!("the command {shown:?} checks the directory {name}, which is no single file")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::sdk::{CommandInput, Extent, Need, TableRole};

    fn table(path: &str, format: TableFormat) -> Table {
        Table { path: path.into(), extent: Extent::Whole, format, role: TableRole::Routing, comment: String::new() }
    }

    fn text(path: &str) -> Table {
        table(path, TableFormat::Text)
    }

    fn command(phase: Phase, argv: &[&str], tables: &[&str]) -> Command {
        Command {
            phase,
            argv: argv.iter().map(ToString::to_string).collect(),
            stdin: CommandInput::Nothing,
            tables: tables.iter().map(ToString::to_string).collect(),
            need: Need::Required,
            privilege: Privilege::Owner,
            settle: None,
            reason: String::new(),
        }
    }

    fn rejected(work: impl FnOnce(&mut Collector) -> Result<()>) -> String {
        let mut collector = Collector::default();
        let _ignored_by_a_bad_adapter = work(&mut collector);
        collector.finish().map(|_| ()).expect_err("the plan breaks a rule").to_string()
    }

    #[test]
    fn paths_that_leave_the_directory_are_refused() {
        let long = "x".repeat(201);
        for path in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a\nb", "a\0b", &long] {
            let error = rejected(|sink| sink.table(&text(path)));
            assert!(error.contains(&format!("{path:?}")), "{error}");
            assert!(rejected(|sink| sink.file(path, 0o644, b"")).contains("cannot be used"));
            assert!(rejected(|sink| sink.remove(path)).contains("cannot be used"));
        }
    }

    #[test]
    fn the_hosts_own_databases_are_out_of_reach() {
        for path in ["postrider.db", "spool.db", "spool/bodies/1", ".postrider-unfinished", "postrider.db-wal"] {
            assert!(rejected(|sink| sink.remove(path)).contains("Postrider's own"), "{path}");
        }
    }

    #[test]
    fn duplicates_are_refused_by_name() {
        let error = rejected(|sink| {
            sink.table(&text("lists"))?;
            sink.table(&text("lists"))
        });
        assert!(error.contains("lists twice"), "{error}");
        let error = rejected(|sink| {
            sink.table(&table("lists", TableFormat::CompiledRename { suffix: ".db".into() }))?;
            sink.file("lists.db", 0o644, b"")
        });
        assert!(error.contains("lists.db twice"), "{error}");
        let error = rejected(|sink| {
            sink.table(&table("lists", TableFormat::Sqlite))?;
            sink.rows(&[
                Row { key: "ants@e.org", value: "1", column: 0 },
                Row { key: "Ants@E.org", value: "2", column: 0 },
            ])
        });
        assert!(error.contains("table lists has the key \"Ants@E.org\" twice"), "{error}");
    }

    #[test]
    fn rows_that_would_be_read_as_something_else_are_refused() {
        for (key, value) in [
            ("", "v"),
            ("k\n", "v"),
            ("k", "v\nx y"),
            ("k\0", "v"),
            ("#k", "v"),
            (" k", "v"),
            ("a b", "v"),
            ("k", " v"),
            ("k", "v "),
            ("k", "#v"),
            ("k\t", "v"),
        ] {
            let error = rejected(|sink| {
                sink.table(&text("lists"))?;
                sink.rows(&[Row { key, value, column: 0 }])
            });
            assert!(error.contains("table lists"), "{key:?} {value:?}: {error}");
        }
        assert!(rejected(|sink| sink.rows(&[])).contains("before any table"));
    }

    #[test]
    fn commands_are_checked_before_anything_runs() {
        for (bad, why) in [
            (command(Phase::Activate, &[], &[]), "no program"),
            (command(Phase::Activate, &["postfix", "reload"], &[]), "no absolute path"),
            (command(Phase::Activate, &["/bin/x\0"], &[]), "NUL"),
            (command(Phase::Activate, &["/bin/x"], &["other"]), "which the plan has not"),
            (command(Phase::Check, &["/bin/x", "{file}"], &[]), "belongs to a table"),
            (command(Phase::Compile, &["/bin/x", "{file}"], &["lists"]), "no compiled form"),
            (command(Phase::Check, &["/bin/x"], &["lists"]), "{file}"),
        ] {
            let error = rejected(|sink| {
                sink.table(&text("lists"))?;
                sink.command(&bad)
            });
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn programs_that_the_adapter_did_not_declare_are_refused() {
        let plan = |program| {
            let mut sink = Collector::allowing(Programs::only(["/usr/sbin/postmap".to_owned()]), Outputs::default());
            let _ignored_by_a_bad_adapter = sink.command(&command(Phase::Activate, &[program], &[]));
            sink.finish().map(|_| ())
        };
        assert_eq!(plan("/usr/sbin/postmap"), Ok(()));
        let error = plan("/bin/rm").expect_err("not declared").to_string();
        assert!(error.contains("the command \"/bin/rm\" cannot be used"), "{error}");
        assert!(error.contains("/usr/sbin/postmap"), "{error}");
    }

    #[test]
    fn a_compiled_table_needs_its_compiler() {
        let format = TableFormat::CompiledRename { suffix: ".db".into() };
        assert!(rejected(|sink| sink.table(&table("lists", format))).contains("exactly one compile command"));
    }

    #[test]
    fn files_that_others_may_write_are_refused() {
        for mode in [0o666, 0o4755, 0o200] {
            assert!(rejected(|sink| sink.file("x", mode, b"")).contains("mode"), "{mode:o}");
        }
    }

    fn changes(path: &str, format: TableFormat) -> Table {
        Table { extent: Extent::Changes, ..table(path, format) }
    }

    fn directory(mark: &str) -> TableFormat {
        TableFormat::Directory { mark: mark.into() }
    }

    #[test]
    fn changed_rows_are_for_single_changes_of_databases_and_directories() {
        let plan = |single, table: &Table, rows: &[&str], absent: &[&str]| {
            let mut sink = Collector::default().for_a_single_change(single);
            let mut work = || {
                sink.table(table)?;
                for key in rows {
                    sink.rows(&[Row { key, value: "v", column: 0 }])?;
                }
                if absent.is_empty() { Ok(()) } else { sink.absent(absent) }
            };
            let _ignored_by_a_bad_adapter = work();
            sink.finish().map(drop).map_err(|error| error.to_string())
        };
        for format in [TableFormat::Sqlite, directory(""), directory("# m")] {
            assert_eq!(plan(true, &changes("t", format.clone()), &["a"], &["b", "b"]), Ok(()), "{format:?}");
            let error = plan(false, &changes("t", format.clone()), &["a"], &[]).expect_err("everything was asked for");
            assert!(error.contains("table t has only changed rows, but everything was asked for"), "{error}");
            let error = plan(true, &changes("t", format), &["a", "b"], &["c", "b"]).expect_err("both");
            assert!(error.contains("the key \"b\" shall be there and be absent"), "{error}");
        }
        for format in [TableFormat::Text, TableFormat::CompiledRename { suffix: ".db".into() }] {
            let error = plan(true, &changes("t", format), &["a"], &[]).expect_err("no such format");
            assert!(error.contains("SQLite databases and directories alone"), "{error}");
        }
        let error = plan(true, &changes("t", TableFormat::Sqlite), &["A"], &["a"]).expect_err("case does not count");
        assert!(error.contains("shall be there and be absent"), "{error}");
        let error = plan(true, &table("t", TableFormat::Sqlite), &[], &["a"]).expect_err("it is whole");
        assert!(error.contains("has all its rows"), "{error}");
    }

    #[test]
    fn rows_of_a_directory_are_files_with_harmless_names() {
        let long = "x".repeat(256);
        for key in ["", ".", "..", "a/b", "/", ".postrider", ".postrider-unfinished", "a\nb", "a\0", &long] {
            let error = rejected(|sink| {
                sink.table(&table("lists", directory("")))?;
                sink.rows(&[Row { key, value: "v", column: 0 }])
            });
            assert!(error.contains("table lists: the key"), "{key:?}: {error}");
        }
        for value in ["a\rb", "a\0b", "a\tb", "\x1b"] {
            let error = rejected(|sink| {
                sink.table(&table("lists", directory("")))?;
                sink.rows(&[Row { key: "k", value, column: 0 }])
            });
            assert!(error.contains("control character"), "{value:?}: {error}");
        }
        assert!(rejected(|sink| sink.table(&table("lists", directory("a\nb")))).contains("mark that is not one line"));
        let error = rejected(|sink| {
            sink.file("lists/ants", 0o644, b"")?;
            sink.table(&table("lists", directory("")))
        });
        assert!(error.contains("lists/ants in lists, all files of which are rows"), "{error}");

        let mut sink = Collector::default();
        sink.table(&table("lists", directory(""))).expect("table");
        for (key, value) in [("-default", "a\nb"), ("Two Words", "a\n"), ("empty", ""), ("two words", "#")] {
            sink.rows(&[Row { key, value, column: 0 }]).expect(key);
        }
        let plan = sink.finish().expect("plan");
        let values: Vec<_> = plan.tables[0].rows.iter().map(|row| row.value).collect();
        assert_eq!(values, ["a\nb\n", "a\n", "", "#\n"]);
    }

    #[test]
    fn guards_have_the_high_bits_only() {
        let guard = |path: &str, mode| Guard { path: path.into(), mode };
        for mode in [0, 0o755, 0o1755, 0o10000] {
            assert!(rejected(|sink| sink.guard(&guard("home", mode))).contains("at least one"), "{mode:o}");
        }
        assert!(rejected(|sink| sink.guard(&guard("/home", 0o1000))).contains("cannot be used"));
        let twice = rejected(|sink| {
            sink.guard(&guard("home", 0o1000))?;
            sink.guard(&guard("home", 0o2000))
        });
        assert!(twice.contains("guards home twice"), "{twice}");
    }

    #[test]
    fn a_table_as_standard_input_is_for_checks_and_compilers() {
        let reads = |one: Command| Command { stdin: CommandInput::Table, ..one };
        let plan = |one: Command| {
            let mut sink = Collector::default();
            let work = sink.table(&text("lists")).and_then(|()| sink.command(&one));
            work.and_then(|()| sink.finish().map(drop)).map_err(|error| error.to_string())
        };
        assert_eq!(plan(reads(command(Phase::Check, &["/bin/x"], &["lists"]))), Ok(()));
        let error = plan(reads(command(Phase::Activate, &["/bin/x"], &["lists"]))).expect_err("activation");
        assert!(error.contains("an activation cannot read a table"), "{error}");
    }

    #[test]
    fn absolute_paths_stay_in_the_output_directories_and_away_from_our_own_files() {
        let sink = || Collector::allowing(Programs::default(), Outputs::only(["/srv/mta".to_owned()]));
        for path in ["/srv/mta/lists", "/srv/mta/spool-of-mine", "/srv/mta"] {
            assert_eq!(sink().table(&table(path, directory("# m"))), Ok(()), "{path}");
        }
        for path in
            ["/srv/mta/../x", "/srv/mta2/x", "/srv", "//srv/mta/x", "/srv/mta/postrider.db", "/srv/mta/spool.db"]
        {
            let error = sink().table(&text(path)).expect_err(path).to_string();
            assert!(error.contains("cannot be used"), "{path}: {error}");
        }
    }

    #[test]
    fn nine_hundred_thousand_rows_are_taken() {
        let mut sink = Collector::default();
        sink.table(&text("lists")).expect("table");
        for list in 0..100_000 {
            let keys: Vec<String> = (0..9).map(|sub| format!("list{list}-{sub}@lists.example.com")).collect();
            let rows: Vec<Row<'_>> =
                keys.iter().map(|key| Row { key, value: "lmtp:[127.0.0.1]:8024", column: 40 }).collect();
            sink.rows(&rows).expect("rows");
        }
        let plan = sink.finish().expect("plan");
        assert_eq!(plan.tables[0].rows.len(), 900_000);
    }
}
