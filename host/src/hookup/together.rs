//! Changes that came together are planned one by one, and published as one.

use super::collect::{Plan, PlannedTable};
use super::roster::OwnedChange;
use super::rows::{Rows, TooLarge};
use crate::lists::{RosterChange, Subject};
use postrider_plugin_api::sdk::{Extent, Phase, Row};
use std::collections::HashSet;

/// Whole tables of so many rows together are cheaper planned once, with everything, than for each change.
pub(crate) const MANY_ROWS: usize = 1000;

/// More changes than these are not planned one by one.
const MOST_CHANGES: usize = 50;

/// What adapters are told of several changes, one by one; nothing if one depends on another, or they are too many. All
/// changes are in the lists already when the first of them is planned (and those of others that have come since), and a
/// list that was added must not have gone again with one of them.
pub(crate) fn told(changes: &[RosterChange]) -> Vec<OwnedChange> {
    let mut seen = HashSet::new();
    let independent = changes.iter().all(|change| {
        // A domain that goes may come again with another alias.
        (change.added || matches!(change.subject, Subject::List(_))) && seen.insert(&change.subject)
    });
    if changes.len() > 1 && (!independent || changes.len() > MOST_CHANGES) {
        return Vec::new();
    }
    changes.iter().map(OwnedChange::from).collect()
}

impl Plan {
    /// This plan, and then that of a later change: where both speak of one thing, the later one counts. `None` if they
    /// do not fit together.
    pub(crate) fn and_then(mut self, mut later: Plan) -> Option<Plan> {
        // From behind, so that what comes before a common table in one of them comes before it in both.
        let mut at = self.tables.len();
        while let Some(planned) = later.tables.pop() {
            match self.tables.iter().position(|ours| ours.table.path == planned.table.path) {
                Some(ours) => {
                    let both = replaced(&self.tables[ours], planned)?;
                    self.tables[ours] = both;
                    at = ours;
                }
                None => self.tables.insert(at, planned),
            }
        }
        let spoken_of =
            |path: &String| later.files.iter().map(|file| &file.path).chain(&later.removals).any(|one| one == path);
        self.files.retain(|file| !spoken_of(&file.path));
        self.removals.retain(|path| !spoken_of(path));
        self.files.append(&mut later.files);
        self.removals.append(&mut later.removals);
        for command in later.commands {
            if self.commands.contains(&command) {
                continue;
            }
            // For other tables, or wanted more urgently: after which of them should it run?
            if self.commands.iter().any(|ours| ours.phase == command.phase && ours.argv == command.argv) {
                return None;
            }
            self.commands.push(command);
        }
        for guard in later.guards {
            match self.guards.iter().find(|ours| ours.path == guard.path) {
                Some(ours) if *ours == guard => {}
                Some(_) => return None,
                None => self.guards.push(guard),
            }
        }
        self.speaks_once_of_everything().then_some(self)
    }

    /// What each of the plans kept to, and both together might not.
    fn speaks_once_of_everything(&self) -> bool {
        let mut seen = HashSet::new();
        let tables = self.tables.iter().map(|planned| &planned.table.path);
        let files = self.files.iter().map(|file| &file.path);
        let compiled =
            |planned: &PlannedTable| planned.suffix().is_none() || planned.commands(self, Phase::Compile).count() == 1;
        tables.chain(files).chain(&self.removals).all(|path| seen.insert(path)) && self.tables.iter().all(compiled)
    }
}

fn replaced(ours: &PlannedTable, later: PlannedTable) -> Option<PlannedTable> {
    if ours.table != later.table {
        return None;
    }
    if later.table.extent == Extent::Whole {
        return Some(later);
    }
    let unspoken = |row: &Row<'_>| later.rows.find(row.key).is_none() && later.absent.find(row.key).is_none();
    let both = |ours: &Rows, later: &Rows| {
        let mut both = Rows::new(later.folds());
        ours.iter().filter(unspoken).chain(later.iter()).try_for_each(|row| both.push(row))?;
        both.index();
        Ok(both)
    };
    let rows: Result<_, TooLarge> = both(&ours.rows, &later.rows);
    let absent = both(&ours.absent, &later.absent);
    Some(PlannedTable { rows: rows.ok()?, absent: absent.ok()?, table: later.table })
}

#[cfg(test)]
mod tests {
    use super::super::collect::Collector;
    use super::super::outputs::Outputs;
    use super::super::programs::Programs;
    use super::*;
    use crate::lists::{DomainName, ListAddress};
    use postrider_plugin_api::sdk::{Command, Guard, Need, PlanSink, Result, Table, TableFormat, TableRole};

    fn list(address: &str, added: bool) -> RosterChange {
        RosterChange { subject: Subject::List(ListAddress::parse(address).expect("list")), alias: None, added }
    }

    fn domain(name: &str, added: bool) -> RosterChange {
        RosterChange { subject: Subject::Domain(DomainName::parse(name).expect("domain")), alias: None, added }
    }

    fn plan(write: impl FnOnce(&mut dyn PlanSink) -> Result<()>) -> Plan {
        let programs = Programs::only(["/usr/sbin/postmap", "/usr/sbin/postfix"].map(String::from));
        let mut sink = Collector::allowing(programs, Outputs::default()).for_a_single_change(true);
        write(&mut sink).expect("planned");
        sink.finish().expect("keeps the rules")
    }

    fn table(path: &str, extent: Extent) -> Table {
        Table::new(path, TableFormat::Sqlite, TableRole::Acceptance).with_extent(extent)
    }

    fn changes(path: &'static str, rows: &[(&str, &str)], absent: &[&str]) -> Plan {
        plan(|sink| {
            sink.table(&table(path, Extent::Changes))?;
            rows.iter().try_for_each(|(key, value)| sink.rows(&[Row::new(key, value)]))?;
            sink.absent(absent)
        })
    }

    fn rows(rows: &Rows) -> Vec<String> {
        rows.by_key().iter().map(|number| rows.row(*number)).map(|row| format!("{} {}", row.key, row.value)).collect()
    }

    #[test]
    fn changes_are_told_one_by_one_if_none_depends_on_another() {
        let everything = |changes: &[RosterChange]| told(changes).is_empty();
        let (added, removed) = (list("ants@a.example", true), list("ants@a.example", false));
        assert!(everything(&[]));
        for single in [&added, &removed, &domain("a.example", true), &domain("a.example", false)] {
            assert!(!everything(std::slice::from_ref(single)), "{single:?}");
        }
        let three = [added.clone(), list("bees@a.example", false), domain("b.example", true)];
        assert_eq!(told(&three).len(), 3);
        assert!(everything(&[added, removed.clone()]), "one list twice");
        assert!(everything(&[removed, domain("a.example", false)]), "a domain may come again with another alias");
        let many: Vec<_> = (0..=MOST_CHANGES).map(|number| list(&format!("l{number}@a.example"), true)).collect();
        assert!(everything(&many) && !everything(&many[1..]));
    }

    #[test]
    fn the_later_change_counts() {
        let first = changes("t", &[("a", "1"), ("B", "1"), ("c", "1")], &["x", "y"]);
        let later = changes("t", &[("b", "2"), ("X", "2")], &["C", "z"]);
        let both = first.and_then(later).expect("fit");
        assert_eq!(rows(&both.tables[0].rows), ["a 1", "b 2", "X 2"]);
        assert_eq!(rows(&both.tables[0].absent), ["C ", "y ", "z "]);

        let whole = |value: &'static str| {
            plan(|sink| {
                sink.table(&table("t", Extent::Whole))?;
                sink.rows(&[Row::new(value, value)])?;
                sink.file("f", 0o644, value.as_bytes())?;
                if value == "1" { sink.remove("g") } else { sink.file("g", 0o644, b"") }
            })
        };
        let both = whole("1").and_then(whole("2")).expect("fit");
        assert_eq!(rows(&both.tables[0].rows), ["2 2"]);
        let files: Vec<_> = both.files.iter().map(|file| (file.path.as_str(), &file.contents[..])).collect();
        assert_eq!((files, both.removals.len()), (vec![("f", &b"2"[..]), ("g", b"")], 0));
    }

    #[test]
    fn what_comes_before_something_in_one_plan_does_so_in_both() {
        let names = |names: &'static [&'static str]| {
            plan(|sink| names.iter().try_for_each(|name| sink.table(&table(name, Extent::Changes))))
        };
        for (first, later, both) in [
            (&["domains"][..], &["lists", "domains"][..], &["lists", "domains"][..]),
            (&["lists", "domains"], &["domains"], &["lists", "domains"]),
            (&["b", "d"], &["a", "b", "c", "d", "e"], &["a", "b", "c", "d", "e"]),
            (&["a"], &["b"], &["a", "b"]),
            (&[], &["a", "b"], &["a", "b"]),
        ] {
            let merged = names(first).and_then(names(later)).expect("fit");
            assert_eq!(merged.tables.iter().map(|planned| planned.table.path.as_str()).collect::<Vec<_>>(), both);
        }
    }

    #[test]
    fn commands_and_guards_are_not_repeated() {
        let one = |mode| {
            plan(move |sink| {
                sink.guard(&Guard::new("home", mode))?;
                sink.command(&Command::new(Phase::Activate, ["/usr/sbin/postfix", "reload"], "so that it sees it"))
            })
        };
        let both = one(0o1000).and_then(one(0o1000)).expect("fit");
        assert_eq!((both.commands.len(), both.guards.len()), (1, 1));
        assert!(one(0o1000).and_then(one(0o2000)).is_none());
        let advised = plan(|sink| {
            let reload = Command::new(Phase::Activate, ["/usr/sbin/postfix", "reload"], "so that it sees it");
            sink.command(&reload.with_need(Need::Advised))
        });
        assert!(one(0o1000).and_then(advised).is_none());
    }

    #[test]
    fn a_command_that_runs_after_several_tables_is_one_after_each() {
        let twice = || {
            plan(|sink| {
                for path in ["routes", "domains"] {
                    sink.table(&Table::new(path, TableFormat::Text, TableRole::Routing))?;
                    let argv = ["/usr/sbin/postfix", "reload"];
                    sink.command(&Command::new(Phase::Activate, argv, "so that it sees it").for_table(path))?;
                }
                Ok(())
            })
        };
        assert_eq!(twice().and_then(twice()).expect("fit").commands, twice().commands);
    }

    #[test]
    fn plans_that_do_not_fit_together_are_none() {
        let whole = || plan(|sink| sink.table(&table("t", Extent::Whole)));
        assert!(whole().and_then(changes("t", &[], &["a"])).is_none(), "another extent");
        assert!(whole().and_then(plan(|sink| sink.remove("t"))).is_none(), "a table and a removal");
        let compiled = |compiler: &'static str| {
            plan(move |sink| {
                let format = TableFormat::CompiledRename { suffix: ".db".into() };
                sink.table(&Table::new("t", format, TableRole::Acceptance))?;
                let argv = ["/usr/sbin/postmap", compiler];
                sink.command(&Command::new(Phase::Compile, argv, "so that it is compiled").for_table("t"))
            })
        };
        assert!(compiled("hash:{file}").and_then(compiled("hash:{file}")).is_some());
        assert!(compiled("hash:{file}").and_then(compiled("btree:{file}")).is_none(), "two compilers");
    }
}
