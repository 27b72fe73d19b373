//! Takes an adapter's plan and checks it: what comes out can be published without a second look.
//!
//! A rule that is broken is a mistake of the plugin, not of the administrator: the error names
//! the table, file, key or command, and no part of the plan is carried out. The first error
//! sticks, so an adapter that ignores it gains nothing. The rules themselves are in `rules`.

mod rules;

use self::rules::{
    check_command, check_extent, check_format, check_key, check_path, check_row, check_tables_of, too_large, wrong,
};
use super::directory;
use super::outputs::Outputs;
use super::programs::Programs;
use super::rows::{Rows, TooLarge};
use postrider_plugin_api::sdk::{
    Command, Error, ErrorKind, Extent, Guard, Phase, PlanSink, Result, Row, Table, TableFormat,
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
/// Most guarded directories.
const MAX_GUARDS: usize = 100;

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
    /// Most rows of whole tables, files and removals together, if not all would be planned anyway.
    most_whole_rows: Option<usize>,
    whole_rows: usize,
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

    /// Takes no more rows of whole tables than these (a file that is written or removed is one, too): the adapter is
    /// stopped by an error, see [`Collector::has_too_many_whole_rows`].
    pub(crate) fn with_whole_rows_up_to(self, most_whole_rows: Option<usize>) -> Self {
        Collector { most_whole_rows, ..self }
    }

    /// Whether it was stopped for that.
    pub(crate) fn has_too_many_whole_rows(&self) -> bool {
        self.most_whole_rows.is_some_and(|most| self.whole_rows > most)
    }

    /// The first rule that was broken so far.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
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

    fn count_whole_rows(&mut self, more: usize) -> Result<()> {
        self.whole_rows += more;
        if self.has_too_many_whole_rows() {
            return Err(Error::new(ErrorKind::Temporary, "all will be planned instead"));
        }
        Ok(())
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
            if this.plan.tables.last().is_some_and(|planned| !planned.has_changes()) {
                this.count_whole_rows(rows.len())?;
            }
            let Some(planned) = this.plan.tables.last_mut() else {
                return Err(wrong("rows came before any table was begun"));
            };
            for row in rows {
                check_row(&planned.table, *row)?;
                let contents;
                let row = if planned.mark().is_some() {
                    contents = directory::with_line_end(row.value);
                    Row::new(row.key, &contents).with_column(row.column)
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
                let row = Row::new(key, "");
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
            this.count_whole_rows(1)?;
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
            this.count_whole_rows(1)?;
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

#[cfg(test)]
mod tests;
