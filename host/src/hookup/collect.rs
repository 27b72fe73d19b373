//! Takes an adapter's plan and checks it: what comes out can be published without a second look.
//!
//! A rule that is broken is a mistake of the plugin, not of the administrator: the error names
//! the table, file, key or command, and no part of the plan is carried out. The first error
//! sticks, so an adapter that ignores it gains nothing.

use super::programs::Programs;
use super::rows::{Rows, TooLarge};
use postrider_plugin_api::sdk::{Command, Error, Guard, Phase, PlanSink, Privilege, Result, Row, Table, TableFormat};
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
}

/// A table and its rows, indexed.
#[derive(Debug)]
pub(crate) struct PlannedTable {
    pub(crate) table: Table,
    pub(crate) rows: Rows,
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
}

impl Collector {
    /// Takes commands of these programs only.
    pub(crate) fn allowing(programs: Programs) -> Self {
        Collector { programs, ..Collector::default() }
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

    fn claim(&mut self, path: &str) -> Result<()> {
        check_path(path)?;
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
            if !matches!(
                table.format,
                TableFormat::Text
                    | TableFormat::CompiledRename { .. }
                    | TableFormat::CompiledInPlace { .. }
                    | TableFormat::Sqlite
            ) {
                return Err(wrong(format!(
                    "table {} has a format that this version of Postrider does not know",
                    table.path
                )));
            }
            // Compiled tables and SQLite are looked up without regard to case.
            let folds = !matches!(table.format, TableFormat::Text);
            let planned = PlannedTable { table: table.clone(), rows: Rows::new(folds) };
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
                planned.rows.push(*row).map_err(|TooLarge| {
                    wrong(format!("table {} becomes larger than 1 GiB at the key {:?}", planned.table.path, row.key))
                })?;
            }
            Ok(())
        })
    }

    fn absent(&mut self, _keys: &[&str]) -> Result<()> {
        self.step(|_| Err(wrong("changes of tables are not known yet")))
    }

    fn guard(&mut self, _guard: &Guard) -> Result<()> {
        self.step(|_| Err(wrong("guards are not known yet")))
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

/// A path stays inside the table directory and touches nothing of the host's own.
fn check_path(path: &str) -> Result<()> {
    let bad = |reason: &str| Err(wrong(format!("the path {path:?} cannot be used: {reason}")));
    if path.is_empty() || path.starts_with('/') {
        return bad("it must be relative to the table directory");
    }
    if path.chars().any(char::is_control) {
        return bad("it contains a control character");
    }
    for part in path.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return bad("it contains an empty part, `.` or `..`");
        }
        if part.len() > MAX_NAME {
            return bad("a part of it is longer than 200 octets");
        }
    }
    // The table directory is the data directory, as in Mailman, and holds our own databases too.
    let first = path.split('/').next().unwrap_or_default();
    if first.starts_with(".postrider")
        || first.starts_with("postrider.")
        || first == "spool"
        || first.starts_with("spool.")
    {
        return bad("Postrider's own files have such names");
    }
    Ok(())
}

fn check_row(table: &Table, row: Row<'_>) -> Result<()> {
    let bad = |what: &str, text: &str, reason: &str| {
        Err(wrong(format!("table {}, key {:?}: the {what} {text:?} {reason}", table.path, row.key)))
    };
    if row.key.is_empty() {
        return bad("key", row.key, "is empty");
    }
    if row.key.len() > MAX_KEY {
        return bad("key", &row.key[..row.key.floor_char_boundary(64)], "is longer than 4096 octets");
    }
    if row.value.len() > MAX_VALUE {
        return bad("value", &row.value[..row.value.floor_char_boundary(64)], "is longer than 32 KiB");
    }
    for (what, text) in [("key", row.key), ("value", row.value)] {
        if text.chars().any(char::is_control) {
            return bad(what, text, "contains a control character (a newline, NUL or tab, for instance)");
        }
    }
    if table.format == TableFormat::Sqlite {
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
        if !command.argv[1..].iter().any(|argument| argument.contains("{file}")) {
            return bad("no argument contains {file}");
        }
    }
    Ok(())
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
            let mut sink = Collector::allowing(Programs::only(["/usr/sbin/postmap".to_owned()]));
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
