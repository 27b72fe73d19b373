//! Stages a plan and publishes it, step by step, with a way back.
//!
//! Before the first file is replaced everything is written, synced, checked and compiled under
//! temporary names; a failure until then changes nothing. Then, item by item of the
//! [`schedule`](super::schedule), each replaced file is kept under a second name first, and an
//! activation runs right behind the last table that it belongs to. A failure unwinds what was done, last
//! thing first, so that the way back passes through the same mixtures as the way there.
//! A kill is found by the [`Marker`], and the next run does everything again.
//!
//! How a format is replaced (measured on Postfix 3.7):
//! - **text**: rename.
//! - **compiled, by rename**: the compiled file first, then the text. Daemons read only the
//!   compiled file, so that one rename is the moment of the change; it has a later time than the one before, for those
//!   who look at the path ([`place::come_later`]), and the file that it replaces is given a later time too, for those
//!   who have it open ([`place::rename_compiled`]). The text comes second because
//!   we (and `postmap`-minded administrators) take it for the record of what is published: until
//!   the compiled file is in place it must not claim more. On the way back the text goes first,
//!   for the same reason.
//! - **compiled, in place**: the text by rename, then the compiler on the final name; the trial on the
//!   staged copy has shown that it can succeed.
//! - **SQLite**: one transaction in place.
//! - **directory**: file by file by rename; new contents are staged in the directory itself.

use super::activate::Owed;
use super::assess::Assessed;
use super::collect::Plan;
use super::command;
use super::diff;
use super::error::HookupError;
use super::front::Noting;
use super::guard::{self, Guarded};
use super::marker::{Marker, Unfinished};
use super::place::{self, Place, TABLE_MODE, Tag, with_suffix};
use super::render;
use super::report::{Report, TableOutcome, TableReport};
use super::schedule::{Item, Passes, Version};
use super::sqlite::{self, Unwanted};
use super::steps::Steps;
use super::undo::Undo;
use postrider_plugin_api::sdk::{Guard, Phase, TableFormat};
use std::io::Write;
use std::path::Path;

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
    noting: Option<Noting<'a>>,
    pub(super) undo: Vec<Undo>,
    /// Activations that did not run.
    pub(super) owed: Vec<Owed>,
    /// Directories that have bits because of us.
    pub(super) guarded: Vec<Guarded>,
    pub(super) published: Vec<Item>,
    pub(super) report: Report,
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
        let report = Report { recovered: matches!(before, Some(Unfinished::Publishing(_))), ..Report::default() };
        Publication {
            table_dir,
            plan,
            tables,
            passes,
            marker,
            guarded: guard::guards_of(before.as_ref()).to_vec(),
            before,
            superuser,
            steps,
            noting: None,
            undo: Vec::new(),
            owed: Vec::new(),
            published: Vec::new(),
            report,
        }
    }

    /// With somebody who keeps what was left to the administrator.
    pub(crate) fn with_noting(mut self, noting: Option<Noting<'a>>) -> Self {
        self.noting = noting;
        self
    }

    /// Does it all.
    pub(crate) fn run(mut self) -> Result<Report, HookupError> {
        if self.passes.is_empty() {
            // A run that was killed while it staged leaves no note, only temporary files.
            self.tidy();
            self.unguard()?;
            self.keep_what_is_known()?;
            if self.before.is_some() {
                self.marker.remove()?;
            }
            return Ok(self.finished());
        }
        if let Err(error) = self.stage() {
            if !matches!(error, HookupError::Stopped) {
                self.tidy();
                if let Err(second) = self.unguard() {
                    tracing::error!("{second}");
                }
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
        self.unguard()?;
        self.steps.done("cleared the guards", self.table_dir)?;
        if self.report.waiting.is_some() {
            self.marker.write(&Unfinished::Waiting(self.awaiting_administrator()))?;
        } else {
            // Before our note goes: whoever is killed in between does everything again, and tells it.
            self.keep_what_is_known()?;
            self.marker.remove()?;
        }
        self.steps.done("closed the note", self.marker.path())?;
        Ok(self.finished())
    }

    fn keep_what_is_known(&self) -> Result<(), HookupError> {
        let Some(noting) = self.noting else { return Ok(()) };
        noting(&self.report.by_hand)?;
        self.steps.done("noted what is published", self.table_dir)
    }

    fn stage(&mut self) -> Result<(), HookupError> {
        place::make_directory(self.table_dir)?;
        let guarded = guard::prepare(self.table_dir, &self.guards(), &self.guarded)?;
        self.remove_temporaries()?;
        for (at, item) in self.passes.iter().flatten().enumerate() {
            match *item {
                Item::Table(number, _) if self.tables[number].directory().is_some() => {
                    let concerns = |item: &Item| matches!(item, Item::Table(n, _) if *n == number);
                    if !self.passes.iter().flatten().take(at).any(concerns) {
                        self.stage_directory(&self.tables[number])?;
                    }
                }
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
        self.guarded = guarded;
        self.marker.write(&Unfinished::Publishing(self.guarded.clone()))?;
        self.steps.done("opened the note", self.marker.path())?;
        guard::set(&self.guarded)?;
        self.steps.done("set the guards", self.table_dir)
    }

    /// The guards of directories in which something changes: an MTA defers mail because of them, so there are no
    /// others. A directory of ours that is yet to be made is not read by any MTA.
    fn guards(&self) -> Vec<Guard> {
        let items = || self.passes.iter().flatten();
        let changed = || items().filter_map(|item| self.changed_by(*item));
        let concerned = |guard: &Guard| changed().any(|path| Path::new(path).starts_with(&guard.path));
        let is_there = |guard: &Guard| guard.path.starts_with('/') || self.table_dir.join(&guard.path).exists();
        self.plan.guards.iter().filter(|guard| concerned(guard) && is_there(guard)).cloned().collect()
    }

    /// Clears the guards; the note, if there is one, names only those from now on that it could not clear.
    pub(super) fn unguard(&mut self) -> Result<(), HookupError> {
        if self.guarded.is_empty() {
            return Ok(());
        }
        let cleared = guard::clear(&mut self.guarded);
        if matches!(self.marker.read()?, Some(Unfinished::Publishing(_))) {
            self.marker.write(&Unfinished::Publishing(self.guarded.clone()))?;
        }
        cleared
    }

    /// Clears the guards of directories in which nothing more is to change, so that mail does not wait for programs
    /// that concern other tables. The note keeps their names: they may be set once more, on the way back.
    fn unguard_what_is_ready(&self, done: usize) {
        let left = || self.passes.iter().flatten().skip(done).filter_map(|item| self.changed_by(*item));
        let ready = |one: &&Guarded| !left().any(|path| self.table_dir.join(path).starts_with(&one.path));
        let mut ready: Vec<Guarded> = self.guarded.iter().filter(ready).cloned().collect();
        // What fails here is told at the end.
        let _ = guard::clear(&mut ready);
    }

    /// What an item of the schedule changes.
    fn changed_by(&self, item: Item) -> Option<&str> {
        match item {
            Item::Table(_, Version::AsIs) => None,
            Item::Table(number, _) => Some(self.tables[number].name()),
            Item::File(number) => Some(self.plan.files[number].path.as_str()),
            Item::Removal(number) => Some(self.plan.removals[number].as_str()),
        }
    }

    /// Writes new contents of files for a directory's rows; there is one set of them for both passes.
    fn stage_directory(&self, table: &Assessed<'_>) -> Result<(), HookupError> {
        let Some(directory) = table.directory() else { return Ok(()) };
        table.place.become_directory(directory.mark.is_empty())?;
        directory.take()?;
        let mut staged = Vec::new();
        for number in table.diff.puts() {
            staged.push(directory.stage(number, table.planned.rows.row(number))?);
            self.steps.done("staged", directory.path)?;
        }
        directory.sync(&staged)
    }

    fn stage_table(&self, table: &Assessed<'_>, version: Version) -> Result<(), HookupError> {
        let Some(tag) = staged_tag(version) else { return Ok(()) };
        let staged = table.place.temporary(tag);
        table.place.make_directory()?;
        if table.is_sqlite() {
            if !table.place.path.exists() && version == Version::New {
                sqlite::create(&staged, &table.planned.rows)?;
                place::settle(&staged)?;
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
                place::settle_compiled(&result, &staged)?;
            }
            self.steps.done("compiled", &staged)?;
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), HookupError> {
        let passes = self.passes.clone();
        let mut done = 0;
        for items in &passes {
            for (at, item) in items.iter().enumerate() {
                if let Some(waiting) = self.await_activations(*item) {
                    self.report.waiting = Some(waiting);
                    return Ok(());
                }
                self.publish_item(*item, self.tag_for_previous(*item))?;
                self.published.push(*item);
                done += 1;
                self.unguard_what_is_ready(done);
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
            Item::Table(number, version) if self.tables[number].directory().is_some() => {
                self.publish_directory(number, version, kept)
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
            place::come_later([staged_compiled, &staged], compiled)?;
            place::rename_compiled(staged_compiled, compiled)?;
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
    pub(super) fn compile_in_place(&self, table: &Assessed<'_>) -> Result<(), HookupError> {
        let Some(compiled) = &table.compiled else { return Ok(()) };
        table.place.sync_directory()?;
        for compiler in table.planned.commands(self.plan, Phase::Compile) {
            command::compile(compiler, &table.place.path, compiled, &table.place.path.to_string_lossy())?;
        }
        place::settle_compiled(compiled, &table.place.path)?;
        self.steps.done("compiled in place", compiled)
    }

    fn publish_sqlite(&mut self, number: usize, version: Version, kept: Tag) -> Result<(), HookupError> {
        let table = &self.tables[number];
        let path = &table.place.path;
        let existed = path.exists();
        self.undo.push(Undo::Sqlite { number, kept, existed });
        if table.planned.has_changes() {
            let removed = if version == Version::Both { &[] } else { &table.diff.removed[..] };
            let puts = table.diff.puts().map(|number| table.planned.rows.row(number));
            sqlite::change(path, puts, removed.iter().map(|number| table.old.row(*number).key))?;
        } else if existed {
            let unwanted = if version == Version::Both { Unwanted::Keep } else { Unwanted::Delete };
            sqlite::update(path, &table.planned.rows, unwanted)?;
        } else {
            place::rename(&table.place.temporary(Tag::New), path)?;
            table.place.sync_directory()?;
        }
        self.steps.done("published", path)
    }

    /// Renames the staged files into place and, unless old rows are to stay, removes those without a row. What
    /// was there is kept under temporary names.
    fn publish_directory(&mut self, number: usize, version: Version, kept: Tag) -> Result<(), HookupError> {
        let table = &self.tables[number];
        let Some(directory) = table.directory() else { return Ok(()) };
        self.undo.push(Undo::Directory { number });
        if kept != Tag::Middle {
            for row in table.diff.puts() {
                let path = directory.path.join(table.planned.rows.row(row).key);
                let previous = directory.temporary(Tag::Middle, row);
                let existed = place::keep(&path, &previous)?;
                self.undo.push(Undo::Entry { number, path: path.clone(), kept: existed.then_some(previous) });
                place::rename(&directory.temporary(Tag::New, row), &path)?;
                self.steps.done("published", &path)?;
            }
        }
        let removed = if version == Version::Both { &[] } else { &table.diff.removed[..] };
        for row in removed {
            let path = directory.path.join(table.old.row(*row).key);
            let previous = directory.temporary(Tag::Old, *row);
            self.undo.push(Undo::Entry { number, path: path.clone(), kept: Some(previous.clone()) });
            place::rename(&path, &previous)?;
            self.steps.done("removed", &path)?;
        }
        place::sync_directory(directory.path)
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

    /// Removes temporary files where that is the smaller trouble; the next run tries again.
    pub(super) fn tidy(&self) {
        if let Err(error) = self.remove_temporaries() {
            tracing::warn!("temporary files are left: {error}");
        }
    }

    fn remove_temporaries(&self) -> Result<(), HookupError> {
        for table in self.tables {
            let Some(directory) = table.directory() else { continue };
            if table.planned.has_changes() {
                // To look through the directory would cost the more the more lists there are.
                for number in table.diff.puts() {
                    place::remove_if_there(&directory.temporary(Tag::New, number))?;
                    place::remove_if_there(&directory.temporary(Tag::Middle, number))?;
                }
                for number in &table.diff.removed {
                    place::remove_if_there(&directory.temporary(Tag::Old, *number))?;
                }
            } else {
                directory.remove_temporaries()?;
            }
        }
        let files = |table: &&Assessed<'_>| table.directory().is_none();
        let tables = self.tables.iter().filter(files).map(|table| table.place.clone());
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

pub(super) fn is_in_place(table: &Assessed<'_>) -> bool {
    matches!(table.planned.table.format, TableFormat::CompiledInPlace { .. })
}
