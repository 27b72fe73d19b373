//! A database of lists that is gone is not made anew without a word.
//!
//! An empty one has no lists: all their addresses would be refused for good, and the MTA's tables emptied.

use crate::config::{Config, DatabaseUrl};
use crate::hookup::trace_of_publication;
use crate::spool::Spool;
use anyhow::bail;
use std::path::PathBuf;

/// Call before the store is opened, and by the daemon before the spool is.
///
/// # Errors
/// The store's file is missing, or empty, while other files show that there was one.
pub fn refuse_lost_store(config: &Config) -> anyhow::Result<()> {
    let DatabaseUrl::Sqlite(file) = &config.database;
    if std::fs::metadata(file).is_ok_and(|metadata| metadata.len() > 0) {
        return Ok(());
    }
    let paths = &config.paths;
    let traces = [Spool::trace_of_use(&paths.data_dir), trace_of_publication(&paths.table_dir)];
    let traces: Vec<String> = traces.into_iter().flatten().map(|path: PathBuf| path.display().to_string()).collect();
    if traces.is_empty() {
        return Ok(());
    }
    bail!(
        "{} with all lists and members is gone, but {} of before {} there; nothing was changed. Restore it from a backup \
         (docs/durability.md says how), or correct [database] url if it lies elsewhere. To begin anew without lists and \
         queues, move {} and the rest of {} away",
        file.display(),
        traces.join(" and "),
        if traces.len() == 1 { "is" } else { "are" },
        traces.join(", "),
        paths.data_dir.display()
    )
}
