//! Stages a plan and publishes it, step by step, with a way back.
//!
//! Before the first file is replaced everything is written, synced, checked and compiled under
//! temporary names; a failure until then changes nothing. Then, item by item of the
//! [`schedule`](super::schedule), each replaced file is kept under a second name first, and an
//! activation runs right behind the last table that it belongs to. A failure unwinds what was done, last
//! thing first, so that the way back passes through the same mixtures as the way there.
//! A kill is found by the [`Marker`], and the next run does everything again.
//!
//! How a format is replaced (measured on Postfix 3.7, `docs/`):
//! - **text**: rename.
//! - **compiled, by rename**: the compiled file first, then the text. Daemons read only the
//!   compiled file, so that one rename is the moment of the change. The text comes second because
//!   we (and `postmap`-minded administrators) take it for the record of what is published: until
//!   the compiled file is in place it must not claim more. On the way back the text goes first,
//!   for the same reason.
//! - **compiled, in place**: the text by rename, then the compiler on the final name; the trial on the
//!   staged copy has shown that it can succeed.
//! - **SQLite**: one transaction in place.

use super::assess::Assessed;
use super::collect::Plan;
use super::command;
use super::diff;
use super::error::HookupError;
use super::marker::{Marker, Unfinished};
use super::place::{self, Place, TABLE_MODE, Tag, with_suffix};
use super::render;
use super::report::{ByHand, Report, TableOutcome, TableReport, Waiting};
use super::schedule::{Item, Passes, Version};
use super::sqlite::{self, Unwanted};
use super::steps::Steps;
use postrider_plugin_api::sdk::{Command, Need, Phase, Privilege, TableFormat};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Instant;

/// One run, from staging to the end or back.
pub(crate) struct Publication<'a> {
    pub(crate) table_dir: &'a Path,
    pub(crate) plan: &'a Plan,
    pub(crate) tables: &'a [Assessed<'a>],
    pub(crate) passes: Passes,
    pub(crate) marker: Marker,
    /// What an earlier run left undone.
    pub(crate) before: Option<Unfinished>,
    pub(crate) superuser: bool,
    pub(crate) steps: Steps<'a>,
    undo: Vec<Undo>,
    /// Activations that did not run.
    owed: Vec<Owed>,
    published: Vec<Item>,
    report: Report,
}

/// How to take one step back.
enum Undo {
    Table { number: usize, kept: Tag, had_text: bool, had_compiled: bool },
    Sqlite { number: usize, kept: Tag, existed: bool },
    File { place: Place, kept: Tag, existed: bool },
    Activation(usize),
}

/// An activation that did not run here.
struct Owed {
    command: usize,
    /// When the MTA has noticed by itself; `None`: never.
    settled: Option<Instant>,
}

impl<'a> Publication<'a> {
    pub(crate) fn new(
        table_dir: &'a Path,
        plan: &'a Plan,
        tables: &'a [Assessed<'a>],
        passes: Passes,
        before: Option<Unfinished>,
        superuser: bool,
        steps: Steps<'a>,
    ) -> Self {
        let marker = Marker::in_directory(table_dir);
        let report = Report { recovered: before == Some(Unfinished::Publishing), ..Report::default() };
        let (undo, owed, published) = (Vec::new(), Vec::new(), Vec::new());
        Publication { table_dir, plan, tables, passes, marker, before, superuser, steps, undo, owed, published, report }
    }

    /// Does it all.
    pub(crate) fn run(mut self) -> Result<Report, HookupError> {
        if self.passes.is_empty() {
            // A run that was killed while it staged leaves no note, only temporary files.
            self.tidy();
            if self.before.is_some() {
                self.marker.remove()?;
            }
            return Ok(self.finished());
        }
        if let Err(error) = self.stage() {
            if !matches!(error, HookupError::Stopped) {
                self.tidy();
                return Err(HookupError::NotPublished(Box::new(error)));
            }
            return Err(error);
        }
        match self.publish() {
            Ok(()) => {}
            Err(HookupError::Stopped) => return Err(HookupError::Stopped),
            Err(cause) => return Err(self.roll_back(cause)),
        }
        // All is published; what fails from here on must not undo it.
        self.tidy();
        self.steps.done("removed temporary files", self.table_dir)?;
        if self.report.waiting.is_some() {
            self.marker.write(&Unfinished::Waiting(self.awaiting_administrator()))?;
        } else {
            self.marker.remove()?;
        }
        self.steps.done("closed the note", self.marker.path())?;
        Ok(self.finished())
    }

    fn stage(&mut self) -> Result<(), HookupError> {
        std::fs::create_dir_all(self.table_dir).map_err(HookupError::file("make", self.table_dir))?;
        self.remove_temporaries()?;
        for item in self.passes.iter().flatten() {
            match *item {
                Item::Table(number, version) => self.stage_table(&self.tables[number], version)?,
                Item::File(number) => {
                    let file = &self.plan.files[number];
                    let place = Place::new(self.table_dir, &file.path);
                    place.make_directory()?;
                    let staged = place.temporary(Tag::New);
                    place::write_new(&staged, file.mode, |out| out.write_all(&file.contents))?;
                    self.steps.done("staged", &staged)?;
                }
                Item::Removal(_) => {}
            }
        }
        self.marker.write(&Unfinished::Publishing)?;
        self.steps.done("opened the note", self.marker.path())
    }

    fn stage_table(&self, table: &Assessed<'_>, version: Version) -> Result<(), HookupError> {
        let Some(tag) = staged_tag(version) else { return Ok(()) };
        let staged = table.place.temporary(tag);
        table.place.make_directory()?;
        if table.is_sqlite() {
            if !table.place.path.exists() && version == Version::New {
                sqlite::create(&staged, &table.planned.rows)?;
                place::settle_compiled(&staged)?;
                self.steps.done("staged", &staged)?;
            }
            return Ok(());
        }
        place::write_new(&staged, TABLE_MODE, |out| match version {
            Version::Both => {
                let rows = diff::union(&table.old, &table.planned.rows, &table.diff);
                render::render(&table.planned.table, rows, out)
            }
            _ => render::render(&table.planned.table, table.planned.rows.iter(), out),
        })?;
        self.steps.done("staged", &staged)?;
        let published = table.place.path.to_string_lossy();
        for check in table.planned.commands(self.plan, Phase::Check) {
            command::run(check, Some(&staged), &published).map_err(HookupError::Command)?;
            self.steps.done("checked", &staged)?;
        }
        if let (Some(suffix), Some(compiled)) = (table.planned.suffix(), &table.compiled) {
            let result = with_suffix(&staged, suffix);
            for compiler in table.planned.commands(self.plan, Phase::Compile) {
                command::compile(compiler, &staged, &result, &published)?;
            }
            if is_in_place(table) && compiled.exists() {
                place::remove_if_there(&result)?; // it was a trial
            } else {
                place::settle_compiled(&result)?;
            }
            self.steps.done("compiled", &staged)?;
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), HookupError> {
        let passes = self.passes.clone();
        for items in &passes {
            for (at, item) in items.iter().enumerate() {
                if let Some(waiting) = self.await_activations(*item) {
                    self.report.waiting = Some(waiting);
                    return Ok(());
                }
                self.publish_item(*item, self.tag_for_previous(*item))?;
                self.published.push(*item);
                for command in self.due_after(items, at) {
                    self.activate(command)?;
                }
            }
        }
        for number in 0..self.plan.commands.len() {
            let command = &self.plan.commands[number];
            if command.phase == Phase::Activate && command.tables.is_empty() {
                self.activate(number)?;
            }
        }
        Ok(())
    }

    /// What a second pass replaces is not the old state but that with both.
    fn tag_for_previous(&self, item: Item) -> Tag {
        let Item::Table(number, _) = item else { return Tag::Old };
        let before = |done: &Item| matches!(done, Item::Table(n, Version::Both | Version::New) if *n == number);
        if self.published.iter().any(before) { Tag::Middle } else { Tag::Old }
    }

    fn publish_item(&mut self, item: Item, kept: Tag) -> Result<(), HookupError> {
        match item {
            Item::Table(_, Version::AsIs) => Ok(()),
            Item::Table(number, version) if self.tables[number].is_sqlite() => {
                self.publish_sqlite(number, version, kept)
            }
            Item::Table(number, version) => self.publish_table(number, version, kept),
            Item::File(number) => self.publish_file(&self.plan.files[number].path, kept, true),
            Item::Removal(number) => self.publish_file(&self.plan.removals[number], kept, false),
        }
    }

    fn publish_table(&mut self, number: usize, version: Version, kept: Tag) -> Result<(), HookupError> {
        let table = &self.tables[number];
        let Some(staged) = staged_tag(version).map(|tag| table.place.temporary(tag)) else { return Ok(()) };
        let old_text = table.place.temporary(kept);
        let had_text = place::keep(&table.place.path, &old_text)?;
        let by_rename = match (&table.compiled, table.planned.suffix()) {
            (Some(compiled), Some(suffix)) if !is_in_place(table) || !compiled.exists() => {
                Some((with_suffix(&staged, suffix), compiled, with_suffix(&old_text, suffix)))
            }
            _ => None,
        };
        let had_compiled = match &by_rename {
            Some((_, compiled, old_compiled)) => place::keep(compiled, old_compiled)?,
            None => table.compiled.as_ref().is_some_and(|compiled| compiled.exists()),
        };
        self.undo.push(Undo::Table { number, kept, had_text, had_compiled });
        self.steps.done("kept the previous", &table.place.path)?;
        if let Some((staged_compiled, compiled, _)) = &by_rename {
            place::rename(staged_compiled, compiled)?;
            self.steps.done("published", compiled)?;
        }
        place::rename(&staged, &table.place.path)?;
        self.steps.done("published", &table.place.path)?;
        if by_rename.is_none() {
            self.compile_in_place(table)?;
        }
        table.place.sync_directory()
    }

    /// Compiles what is published, for formats whose compiled file must stay the same file.
    fn compile_in_place(&self, table: &Assessed<'_>) -> Result<(), HookupError> {
        let Some(compiled) = &table.compiled else { return Ok(()) };
        table.place.sync_directory()?;
        for compiler in table.planned.commands(self.plan, Phase::Compile) {
            command::compile(compiler, &table.place.path, compiled, &table.place.path.to_string_lossy())?;
        }
        place::settle_compiled(compiled)?;
        self.steps.done("compiled in place", compiled)
    }

    fn publish_sqlite(&mut self, number: usize, version: Version, kept: Tag) -> Result<(), HookupError> {
        let table = &self.tables[number];
        let path = &table.place.path;
        let existed = path.exists();
        self.undo.push(Undo::Sqlite { number, kept, existed });
        if existed {
            let unwanted = if version == Version::Both { Unwanted::Keep } else { Unwanted::Delete };
            sqlite::update(path, &table.planned.rows, unwanted)?;
        } else {
            place::rename(&table.place.temporary(Tag::New), path)?;
            table.place.sync_directory()?;
        }
        self.steps.done("published", path)
    }

    /// Writes or removes a file that is no table.
    fn publish_file(&mut self, relative: &str, kept: Tag, wanted: bool) -> Result<(), HookupError> {
        let place = Place::new(self.table_dir, relative);
        let existed = place::keep(&place.path, &place.temporary(kept))?;
        self.undo.push(Undo::File { place: place.clone(), kept, existed });
        if wanted {
            place::rename(&place.temporary(Tag::New), &place.path)?;
        } else {
            place::remove_if_there(&place.path)?;
        }
        place.sync_directory()?;
        self.steps.done(if wanted { "published" } else { "removed" }, &place.path)
    }

    /// The activations that are due when item `at` of a pass is published.
    fn due_after(&self, items: &[Item], at: usize) -> Vec<usize> {
        let belongs = |command: &Command, item: &Item| match item {
            Item::Table(number, _) => command.tables.iter().any(|name| name == self.tables[*number].name()),
            _ => false,
        };
        let due = |command: &Command| {
            command.phase == Phase::Activate
                && belongs(command, &items[at])
                && !items[at + 1..].iter().any(|item| belongs(command, item))
        };
        (0..self.plan.commands.len()).filter(|number| due(&self.plan.commands[*number])).collect()
    }

    fn activate(&mut self, number: usize) -> Result<(), HookupError> {
        let command = &self.plan.commands[number];
        self.owed.retain(|owed| owed.command != number);
        let obstacle = if command.privilege == Privilege::Root && !self.superuser {
            "it needs the superuser".to_owned()
        } else {
            match command::run(command, None, "") {
                Ok(()) => {
                    self.report.ran.push(command::shown(command, None));
                    self.undo.push(Undo::Activation(number));
                    return self.steps.done("activated", Path::new(&command.argv[0]));
                }
                Err(failure) if failure.program_is_missing() => format!("there is no {} here", command.argv[0]),
                Err(failure) if command.need == Need::Advised => failure.to_string(),
                Err(failure) => {
                    self.undo.push(Undo::Activation(number));
                    return Err(HookupError::Command(failure));
                }
            }
        };
        let settled = command.settle.map(|settle| Instant::now() + settle);
        if settled.is_some() || command.need == Need::Required {
            self.owed.push(Owed { command: number, settled });
        }
        let by_hand = ByHand {
            command: command::shown(command, None),
            reason: command.reason.clone(),
            need: command.need,
            settle: command.settle,
            obstacle,
        };
        if !self.report.by_hand.contains(&by_hand) {
            self.report.by_hand.push(by_hand);
        }
        Ok(())
    }

    /// Before an item is published: earlier tables must have been noticed by the MTA, be it by waiting.
    /// An item whose own activation is outstanding need not wait: the same command serves both.
    fn await_activations(&mut self, next: Item) -> Option<Waiting> {
        if matches!(next, Item::Table(_, Version::AsIs)) {
            return None;
        }
        let mut until: Option<Instant> = None;
        for owed in &self.owed {
            let command = &self.plan.commands[owed.command];
            if let Item::Table(number, _) = next
                && command.tables.iter().any(|name| name == self.tables[number].name())
            {
                continue;
            }
            let Some(settled) = owed.settled else {
                return Some(Waiting {
                    command: command::shown(command, None),
                    reason: command.reason.clone(),
                    how_to_go_on: "`postrider aliases --activated`".to_owned(),
                });
            };
            until = until.max(Some(settled));
        }
        if let Some(left) = until.map(|until| until.saturating_duration_since(Instant::now()))
            && !left.is_zero()
        {
            tracing::info!(seconds = left.as_secs_f64(), "waiting until the MTA has noticed the published tables");
            thread::sleep(left);
            self.report.settled += left;
        }
        None
    }

    fn awaiting_administrator(&self) -> Vec<String> {
        let outstanding = self.owed.iter().filter(|owed| owed.settled.is_none());
        let mut tables: Vec<String> =
            outstanding.flat_map(|owed| self.plan.commands[owed.command].tables.iter().cloned()).collect();
        tables.sort();
        tables.dedup();
        tables
    }

    /// Takes every step back, last one first, and tells both failures if there are two.
    fn roll_back(mut self, cause: HookupError) -> HookupError {
        let mut second: Option<HookupError> = None;
        let mut files_are_back = true;
        let mut activations: Vec<usize> = Vec::new();
        while let Some(undo) = self.undo.pop() {
            let result = match undo {
                Undo::Activation(number) => {
                    if !activations.contains(&number) {
                        activations.push(number);
                    }
                    Ok(())
                }
                undo => self.restore(&undo),
            };
            let (due, later): (Vec<usize>, Vec<usize>) =
                activations.into_iter().partition(|number| !self.is_still_to_be_undone(*number));
            activations = later;
            files_are_back &= result.is_ok();
            let result = result.and_then(|()| {
                due.into_iter().try_for_each(|number| {
                    command::run(&self.plan.commands[number], None, "").map_err(HookupError::Command)
                })
            });
            match result {
                Err(HookupError::Stopped) => return HookupError::Stopped,
                Err(error) => second = second.or(Some(error)),
                Ok(()) => {}
            }
        }
        let closed = match (&second, &self.before) {
            (Some(_), _) => Ok(()), // the note stays: the next run trusts nothing
            (None, Some(before)) => self.marker.write(before),
            (None, None) => self.marker.remove(),
        };
        let Some(second) = second.or(closed.err()) else {
            self.tidy();
            return HookupError::RolledBack(Box::new(cause));
        };
        let state = if files_are_back {
            "the previous tables are back in place, but this failed too"
        } else {
            "bringing the previous tables back failed too"
        };
        HookupError::RollbackFailed { cause: Box::new(cause), state, second: Box::new(second) }
    }

    /// Whether a table of this activation is not back yet.
    fn is_still_to_be_undone(&self, command: usize) -> bool {
        let names = &self.plan.commands[command].tables;
        self.undo.iter().any(|undo| match undo {
            Undo::Table { number, .. } | Undo::Sqlite { number, .. } => {
                names.is_empty() || names.iter().any(|name| name == self.tables[*number].name())
            }
            Undo::File { .. } => names.is_empty(),
            Undo::Activation(_) => false,
        })
    }

    fn restore(&self, undo: &Undo) -> Result<(), HookupError> {
        match undo {
            Undo::Activation(_) => Ok(()),
            Undo::File { place, kept, existed } => {
                put_back(&place.path, &place.temporary(*kept), *existed)?;
                self.steps.done("brought back", &place.path)?;
                place.sync_directory()
            }
            Undo::Sqlite { number, kept, existed } => {
                let table = &self.tables[*number];
                if *existed {
                    let unwanted = if *kept == Tag::Middle { Unwanted::Keep } else { Unwanted::Delete };
                    sqlite::update(&table.place.path, &table.old, unwanted)?;
                } else {
                    place::remove_if_there(&table.place.path)?;
                }
                self.steps.done("brought back", &table.place.path)
            }
            Undo::Table { number, kept, had_text, had_compiled } => {
                let table = &self.tables[*number];
                let old_text = table.place.temporary(*kept);
                put_back(&table.place.path, &old_text, *had_text)?;
                self.steps.done("brought back", &table.place.path)?;
                if let (Some(compiled), Some(suffix)) = (&table.compiled, table.planned.suffix()) {
                    if is_in_place(table) && *had_compiled {
                        self.compile_in_place(table)?;
                    } else {
                        put_back(compiled, &with_suffix(&old_text, suffix), *had_compiled)?;
                    }
                    self.steps.done("brought back", compiled)?;
                }
                table.place.sync_directory()
            }
        }
    }

    /// Removes temporary files where that is the smaller trouble; the next run tries again.
    fn tidy(&self) {
        if let Err(error) = self.remove_temporaries() {
            tracing::warn!("temporary files are left: {error}");
        }
    }

    fn remove_temporaries(&self) -> Result<(), HookupError> {
        let tables = self.tables.iter().map(|table| table.place.clone());
        let files = self.plan.files.iter().map(|file| file.path.as_str());
        let files =
            files.chain(self.plan.removals.iter().map(String::as_str)).map(|path| Place::new(self.table_dir, path));
        let places: Vec<Place> = tables.chain(files).collect();
        place::remove_temporaries(places.iter())
    }

    fn finished(mut self) -> Report {
        self.report.tables =
            self.tables.iter().enumerate().map(|(number, table)| self.table_report(number, table)).collect();
        let files = self.published.iter().filter_map(|item| match item {
            Item::File(number) => Some(self.plan.files[*number].path.clone()),
            Item::Removal(number) => Some(self.plan.removals[*number].clone()),
            Item::Table(..) => None,
        });
        self.report.files = files.collect();
        self.report
    }

    fn table_report(&self, number: usize, table: &Assessed<'_>) -> TableReport {
        let concerns = |item: &Item| matches!(item, Item::Table(n, Version::New | Version::Both) if *n == number);
        let (done, planned) = (
            self.published.iter().filter(|item| concerns(item)).count(),
            self.passes.iter().flatten().filter(|item| concerns(item)).count(),
        );
        let outcome = match (done, planned) {
            (_, 0) => TableOutcome::Unchanged,
            (done, planned) if done < planned => TableOutcome::Held,
            _ => TableOutcome::Published {
                added: table.diff.added.len(),
                changed: table.diff.changed.len(),
                removed: table.diff.removed.len(),
            },
        };
        TableReport { path: table.name().to_owned(), rows: table.planned.rows.len(), outcome }
    }
}

fn staged_tag(version: Version) -> Option<Tag> {
    match version {
        Version::AsIs => None,
        Version::Both => Some(Tag::Both),
        Version::New => Some(Tag::New),
    }
}

fn is_in_place(table: &Assessed<'_>) -> bool {
    matches!(table.planned.table.format, TableFormat::CompiledInPlace { .. })
}

fn put_back(path: &Path, kept: &Path, existed: bool) -> Result<(), HookupError> {
    if existed { place::rename(kept, path) } else { place::remove_if_there(path) }
}
