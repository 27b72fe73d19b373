//! Each rule, broken.

use super::*;
use postrider_plugin_api::sdk::{CommandInput, Extent, TableRole};

fn table(path: &str, format: TableFormat) -> Table {
    Table::new(path, format, TableRole::Routing)
}

fn text(path: &str) -> Table {
    table(path, TableFormat::Text)
}

fn command(phase: Phase, argv: &[&str], tables: &[&str]) -> Command {
    Command::new(phase, argv.iter().copied(), "").for_tables(tables.iter().copied())
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
        sink.rows(&[Row::new("ants@e.org", "1"), Row::new("Ants@E.org", "2")])
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
            sink.rows(&[Row::new(key, value)])
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
    table(path, format).with_extent(Extent::Changes)
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
                sink.rows(&[Row::new(key, "v")])?;
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
            sink.rows(&[Row::new(key, "v")])
        });
        assert!(error.contains("table lists: the key"), "{key:?}: {error}");
    }
    for value in ["a\rb", "a\0b", "a\tb", "\x1b"] {
        let error = rejected(|sink| {
            sink.table(&table("lists", directory("")))?;
            sink.rows(&[Row::new("k", value)])
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
        sink.rows(&[Row::new(key, value)]).expect(key);
    }
    let plan = sink.finish().expect("plan");
    let values: Vec<_> = plan.tables[0].rows.iter().map(|row| row.value).collect();
    assert_eq!(values, ["a\nb\n", "a\n", "", "#\n"]);
}

#[test]
fn guards_have_the_high_bits_only() {
    let guard = |path: &str, mode| Guard::new(path, mode);
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
    let reads = |one: Command| one.with_stdin(CommandInput::Table);
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
    for path in ["/srv/mta/../x", "/srv/mta2/x", "/srv", "//srv/mta/x", "/srv/mta/postrider.db", "/srv/mta/spool.db"] {
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
            keys.iter().map(|key| Row::new(key, "lmtp:[127.0.0.1]:8024").with_column(40)).collect();
        sink.rows(&rows).expect("rows");
    }
    let plan = sink.finish().expect("plan");
    assert_eq!(plan.tables[0].rows.len(), 900_000);
}

#[test]
fn whole_tables_of_more_rows_than_wanted_end_the_plan_early() {
    let fill = |most, extent, rows: usize| {
        let mut sink = Collector::default().for_a_single_change(true).with_whole_rows_up_to(most);
        let table = Table::new("t", TableFormat::Sqlite, TableRole::Acceptance).with_extent(extent);
        let plan = |sink: &mut Collector| {
            sink.table(&table)?;
            (0..rows).try_for_each(|number| sink.rows(&[Row::new(&number.to_string(), "x")]))
        };
        let planned = plan(&mut sink).is_ok();
        assert_ne!(planned, sink.has_too_many_whole_rows());
        planned
    };
    assert!(fill(Some(10), Extent::Whole, 10) && !fill(Some(10), Extent::Whole, 11));
    assert!(fill(None, Extent::Whole, 11) && fill(Some(10), Extent::Changes, 11));
    let mut sink = Collector::default().for_a_single_change(true).with_whole_rows_up_to(Some(1));
    sink.file("a", 0o644, b"").expect("one file");
    assert!(sink.remove("b").is_err() && sink.has_too_many_whole_rows());
}
