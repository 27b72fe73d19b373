//! In which order tables are published.
//!
//! Several files cannot be replaced in one step, so between two steps the MTA sees a mixture. The
//! order makes sure that no address that is a list before *and* after gets a permanent failure,
//! and that no address is accepted that has no route:
//!
//! - only additions: routing, rewriting, domains, acceptance;
//! - only removals: the reverse;
//! - both: first every table with its old and new rows together, in the order of additions; then
//!   every table as it shall be, in the order of removals.
//!
//! Files that are no tables mean acceptance where MTAs use them (a file per list): new ones come
//! last, removals first.

use super::assess::Assessed;

/// Which rows are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Those that are: only an activation is outstanding.
    AsIs,
    /// Old and new rows together.
    Both,
    /// Those that are wanted.
    New,
}

/// One publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A table, by its number in the plan.
    Table(usize, Version),
    /// A file, by its number in the plan.
    File(usize),
    /// A removal, by its number in the plan.
    Removal(usize),
}

/// Items in their order, pass by pass.
pub(crate) type Passes = Vec<Vec<Item>>;

/// Work that the comparison of rows does not show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// Numbers of files to be written.
    pub(crate) files: Vec<usize>,
    /// Numbers of removals to be done.
    pub(crate) removals: Vec<usize>,
    /// Numbers of tables whose activation an earlier run left to the administrator.
    pub(crate) owed: Vec<usize>,
    /// A run was killed: what is published cannot be trusted.
    pub(crate) everything: bool,
}

/// The order for these tables.
pub(crate) fn schedule(tables: &[Assessed<'_>], extra: &Extra) -> Passes {
    let mut adding: Vec<usize> = (0..tables.len()).collect();
    adding.sort_by_key(|number| tables[*number].planned.table.role); // stable
    let wanted = |number: &usize| tables[*number].differs || extra.everything;
    let shrinks = |number: usize| !tables[number].diff.removed.is_empty();
    let grows = |number: usize| !tables[number].diff.added.is_empty() || !tables[number].diff.changed.is_empty();

    let grow = !extra.files.is_empty() || adding.iter().any(|number| grows(*number));
    let shrink = !extra.removals.is_empty() || adding.iter().any(|number| shrinks(*number));
    let count = adding.iter().filter(|number| wanted(number)).count() + extra.files.len() + extra.removals.len();

    let owed = adding.iter().filter(|number| extra.owed.contains(number));
    let mut passes = vec![owed.map(|number| Item::Table(*number, Version::AsIs)).collect::<Vec<_>>()];
    let new = |number: &usize| Item::Table(*number, Version::New);
    let files = extra.files.iter().map(|number| Item::File(*number));
    let removals = extra.removals.iter().map(|number| Item::Removal(*number));
    if extra.everything || (grow && shrink && count > 1) {
        let first = adding
            .iter()
            .filter(|number| wanted(number) && (extra.everything || grows(**number) || !shrinks(**number)));
        passes.push(
            first
                .map(|number| Item::Table(*number, if shrinks(*number) { Version::Both } else { Version::New }))
                .chain(files)
                .collect(),
        );
        passes.push(removals.chain(adding.iter().rev().filter(|number| shrinks(**number)).map(new)).collect());
    } else if shrink {
        passes
            .push(removals.chain(adding.iter().rev().filter(|number| wanted(number)).map(new)).chain(files).collect());
    } else {
        passes.push(adding.iter().filter(|number| wanted(number)).map(new).chain(files).collect());
    }
    passes.retain(|pass| !pass.is_empty());
    passes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hookup::collect::PlannedTable;
    use crate::hookup::diff::RowDiff;
    use crate::hookup::place::Place;
    use crate::hookup::rows::Rows;
    use postrider_plugin_api::sdk::{Table, TableFormat, TableRole};
    use std::path::Path;

    fn planned(role: TableRole) -> PlannedTable {
        let table = Table::new(format!("{role:?}"), TableFormat::Text, role);
        PlannedTable { table, rows: Rows::new(false), absent: Rows::new(false) }
    }

    /// Acceptance, Routing, Domains (0, 1, 2), each with so many added and removed rows.
    fn passes(counts: [(usize, usize); 3], extra: &Extra) -> Passes {
        let planned = [TableRole::Acceptance, TableRole::Routing, TableRole::Domains].map(planned);
        let tables: Vec<_> = planned
            .iter()
            .zip(counts)
            .map(|(planned, (added, removed))| Assessed {
                planned,
                place: Place::new(Path::new("/"), "x"),
                compiled: None,
                old: Rows::new(false),
                diff: RowDiff { added: vec![0; added], changed: vec![], removed: vec![0; removed] },
                differs: added + removed > 0,
            })
            .collect();
        schedule(&tables, extra)
    }

    use Item::{File, Removal, Table as T};
    use Version::{AsIs, Both, New};

    #[test]
    fn routing_is_first_when_lists_are_added_and_last_when_they_are_removed() {
        let none = Extra::default();
        assert_eq!(passes([(1, 0), (1, 0), (1, 0)], &none), [[T(1, New), T(2, New), T(0, New)]]);
        assert_eq!(passes([(0, 1), (0, 1), (0, 1)], &none), [[T(0, New), T(2, New), T(1, New)]]);
        assert_eq!(passes([(0, 0), (0, 0), (0, 0)], &none), Passes::new());
    }

    #[test]
    fn additions_and_removals_together_take_two_passes() {
        let none = Extra::default();
        assert_eq!(passes([(1, 1), (1, 0), (0, 1)], &none), [vec![T(1, New), T(0, Both)], vec![T(0, New), T(2, New)]]);
        assert_eq!(passes([(1, 1), (0, 0), (0, 0)], &none), [[T(0, New)]], "a single table needs no order");
    }

    #[test]
    fn files_are_written_last_and_removed_first() {
        let extra = Extra { files: vec![7], removals: vec![8], ..Extra::default() };
        assert_eq!(passes([(0, 0), (1, 1), (0, 0)], &extra), [vec![T(1, Both), File(7)], vec![Removal(8), T(1, New)]]);
    }

    #[test]
    fn after_a_kill_everything_is_published_anew() {
        let extra = Extra { everything: true, ..Extra::default() };
        assert_eq!(passes([(0, 0), (0, 1), (0, 0)], &extra), [vec![T(1, Both), T(2, New), T(0, New)], vec![T(1, New)]]);
    }

    #[test]
    fn an_outstanding_activation_comes_first() {
        let extra = Extra { owed: vec![1], ..Extra::default() };
        assert_eq!(passes([(1, 0), (0, 0), (0, 0)], &extra), [[T(1, AsIs)], [T(0, New)]]);
    }
}
