//! Compares a plan with what is published.

use super::collect::{Plan, PlannedFile, PlannedTable};
use super::diff::RowDiff;
use super::directory::Directory;
use super::error::HookupError;
use super::place::{Place, is_compiled_from, refuse_database, with_suffix};
use super::render::{self, Comparison};
use super::rows::Rows;
use super::sqlite;
use postrider_plugin_api::sdk::TableFormat;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A planned table beside the published one.
#[derive(Debug)]
pub(crate) struct Assessed<'p> {
    pub(crate) planned: &'p PlannedTable,
    pub(crate) place: Place,
    /// The compiled file, if the format has one.
    pub(crate) compiled: Option<PathBuf>,
    /// The published rows; of a text read only if something differs, of a plan of changes only those that
    /// it names.
    pub(crate) old: Rows,
    pub(crate) diff: RowDiff,
    /// Whether the files differ from what is wanted, be it in a comment, or the compiled file is not
    /// the one that was made of the text.
    pub(crate) differs: bool,
}

impl Assessed<'_> {
    pub(crate) fn name(&self) -> &str {
        &self.planned.table.path
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.planned.table.format == TableFormat::Sqlite
    }

    /// The directory whose files are the rows, if the format is that.
    pub(crate) fn directory(&self) -> Option<Directory<'_>> {
        self.planned.mark().map(|mark| Directory { path: &self.place.path, mark })
    }
}

/// Whether all tables are there of which the plan has changes only.
pub(crate) fn changes_have_a_base(table_dir: &Path, plan: &Plan) -> bool {
    plan.tables.iter().filter(|planned| planned.has_changes()).all(|planned| {
        let path = table_dir.join(&planned.table.path);
        match planned.mark() {
            // What is wrong with one is told when all is compared.
            Some(mark) => Directory { path: &path, mark }.is_ready().unwrap_or(false),
            None => sqlite::is_table(&path),
        }
    })
}

/// Compares one table.
pub(crate) fn table<'p>(table_dir: &Path, planned: &'p PlannedTable) -> Result<Assessed<'p>, HookupError> {
    let place = Place::new(table_dir, &planned.table.path);
    let compiled = planned.suffix().map(|suffix| with_suffix(&place.path, suffix));
    let is_text = planned.mark().is_none() && planned.table.format != TableFormat::Sqlite;
    let (old, differs) = if let Some(mark) = planned.mark() {
        let directory = Directory { path: &place.path, mark };
        if mark.is_empty() && table_dir.starts_with(&place.path) {
            return Err(directory.not_our_directory());
        }
        let ready = directory.is_ready()?;
        let old = if planned.has_changes() {
            directory.read_some(&planned.rows, &planned.absent)?
        } else {
            directory.read(&planned.rows)?
        };
        (old, !ready)
    } else if is_text {
        text(planned, &place.path)?
    } else if planned.has_changes() {
        (sqlite::read_some(&place.path, &[&planned.rows, &planned.absent])?, false)
    } else {
        (sqlite::read(&place.path)?, !place.path.exists())
    };
    let compiled_is_another = compiled.as_ref().is_some_and(|path| !is_compiled_from(path, &place.path));
    let look = differs || !is_text;
    let diff = if look { RowDiff::between(&old, &planned.rows) } else { RowDiff::default() };
    let differs = differs || compiled_is_another || !diff.is_empty();
    Ok(Assessed { planned, place, compiled, old, diff, differs })
}

/// The rows of a published text file, if its bytes are not those that are wanted.
fn text(planned: &PlannedTable, path: &Path) -> Result<(Rows, bool), HookupError> {
    let reading = |source| HookupError::File { doing: "read", path: path.to_owned(), source };
    let none = || {
        let mut none = Rows::new(planned.rows.folds());
        none.index();
        none
    };
    refuse_database(path)?;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((none(), true)),
        Err(error) => return Err(reading(error)),
    };
    let mut out = BufWriter::with_capacity(64 << 10, Comparison::with(BufReader::with_capacity(64 << 10, file)));
    render::render(&planned.table, planned.rows.iter(), &mut out).map_err(reading)?;
    out.flush().map_err(reading)?;
    let comparison = out.into_inner().map_err(|error| reading(error.into_error()))?;
    if comparison.finish().map_err(reading)? {
        return Ok((none(), false));
    }
    let bytes = fs::read(path).map_err(reading)?;
    Ok((render::parse(&String::from_utf8_lossy(&bytes), planned.rows.folds()), true))
}

/// Whether a file must be written: its contents or its mode differ.
pub(crate) fn file_differs(table_dir: &Path, file: &PlannedFile) -> Result<bool, HookupError> {
    let path = table_dir.join(&file.path);
    refuse_database(&path)?;
    let same = |path: &Path| -> io::Result<bool> {
        let metadata = fs::metadata(path)?;
        Ok(metadata.len() == file.contents.len() as u64
            && metadata.permissions().mode() & 0o7777 == file.mode
            && fs::read(path)? == file.contents)
    };
    match same(&path) {
        Ok(same) => Ok(!same),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(HookupError::file("read", &path)(error)),
    }
}

/// Whether a file that shall be gone is there.
pub(crate) fn is_there(table_dir: &Path, relative: &str) -> Result<bool, HookupError> {
    let path = table_dir.join(relative);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => {
            Err(HookupError::file("remove", &path)(io::ErrorKind::IsADirectory.into()))
        }
        Ok(_) => refuse_database(&path).map(|()| true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(HookupError::file("read", &path)(error)),
    }
}
