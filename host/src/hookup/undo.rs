//! The way back, when a step of a publication fails.

use super::command;
use super::error::HookupError;
use super::guard;
use super::place::{self, Place, Tag, with_suffix};
use super::publish::{Publication, is_in_place};
use super::sqlite::{self, Unwanted};
use std::path::{Path, PathBuf};

/// How to take one step back.
pub(super) enum Undo {
    Table {
        number: usize,
        kept: Tag,
        had_text: bool,
        had_compiled: bool,
    },
    Sqlite {
        number: usize,
        kept: Tag,
        existed: bool,
    },
    /// A file of a directory; what it was is kept under this name, if it was there.
    Entry {
        number: usize,
        path: PathBuf,
        kept: Option<PathBuf>,
    },
    /// Stands before the first file of a directory: all of them are back.
    Directory {
        number: usize,
    },
    File {
        place: Place,
        kept: Tag,
        existed: bool,
    },
    Activation(usize),
}

impl Publication<'_> {
    /// Takes every step back, last one first, and tells both failures if there are two.
    pub(super) fn roll_back(mut self, cause: HookupError) -> HookupError {
        // Some may be cleared already.
        let mut second: Option<HookupError> = guard::set(&self.guarded).err();
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
        second = self.unguard().err().or(second);
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
            Undo::Table { number, .. }
            | Undo::Sqlite { number, .. }
            | Undo::Entry { number, .. }
            | Undo::Directory { number } => {
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
            Undo::Entry { path, kept, .. } => {
                match kept {
                    // A removal that failed has left the file where it is.
                    Some(kept) if kept.exists() => place::rename(kept, path)?,
                    Some(_) => {}
                    None => place::remove_if_there(path)?,
                }
                self.steps.done("brought back", path)
            }
            Undo::Directory { number } => place::sync_directory(&self.tables[*number].place.path),
            Undo::Sqlite { number, kept, existed } => {
                let table = &self.tables[*number];
                if table.planned.has_changes() {
                    let added = if *kept == Tag::Middle { &[] } else { &table.diff.added[..] };
                    let added = added.iter().map(|number| table.planned.rows.row(*number).key);
                    sqlite::change(&table.place.path, table.old.iter(), added)?;
                } else if *existed {
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
                        let old_compiled = with_suffix(&old_text, suffix);
                        if *had_compiled {
                            place::rename_compiled(&old_compiled, compiled)?;
                            // It was replaced, and so it has a later time by now.
                            if *had_text {
                                place::settle_compiled(compiled, &table.place.path)?;
                            }
                        } else {
                            place::remove_if_there(compiled)?;
                        }
                    }
                    self.steps.done("brought back", compiled)?;
                }
                table.place.sync_directory()
            }
        }
    }
}

fn put_back(path: &Path, kept: &Path, existed: bool) -> Result<(), HookupError> {
    if existed { place::rename(kept, path) } else { place::remove_if_there(path) }
}
