//! Plans of a single change, directories, guards and paths outside the table directory, with a fake adapter.

use super::error::HookupError;
use super::front::Options;
use super::generation::{Outcome, Wish, follow};
use super::testing::{Activation, Lab, compiled, directory, domain, in_place, marked_directory, roster};
use super::tests::{FakeStore, required};
use crate::config::DatabaseUrl;
use crate::lists::{ListAddress, ListSettings, NewList};
use crate::store::Store;
use postrider_plugin_api::sdk::{self, Guard, Privilege, TableFormat};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;

const BY_CHANGES: fn() -> [TableFormat; 3] = || [TableFormat::Sqlite, directory(), marked_directory()];

fn lab_of_changes(format: TableFormat) -> Lab {
    let lab = Lab::new(format);
    lab.set(|setup| setup.changes = true);
    lab
}

fn plans_of_changes(lab: &Lab) -> u32 {
    lab.setup.lock().expect("setup").plans_of_changes
}

/// Every row that is published, with its value.
fn contents(lab: &Lab) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for table in ["accepted", "routing"] {
        let path = lab.tables().join(table);
        let rows: Vec<(String, String)> = if path.is_dir() {
            let read = |key: String| {
                let text = fs::read_to_string(path.join(&key)).expect("read");
                (key, text)
            };
            lab.keys(table).into_iter().map(read).collect()
        } else {
            let rows = super::sqlite::read(&path).expect("read");
            rows.iter().map(|row| (row.key.to_owned(), row.value.to_owned())).collect()
        };
        all.extend(rows.into_iter().map(|(key, value)| (format!("{table} {key}"), value)));
    }
    all
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o7777
}

fn apply(lab: &Lab, lists: &[&str]) -> Result<super::Report, HookupError> {
    lab.hookup.apply(&roster(lists), Options::default())
}

fn published(outcome: Result<Outcome, HookupError>) -> super::Report {
    match outcome.expect("published") {
        Outcome::Done(report) => report,
        Outcome::AlreadyApplied(_) => panic!("nothing was to be done"),
    }
}

#[tokio::test]
async fn a_single_change_touches_its_rows_only_and_asks_for_no_tour() {
    for format in BY_CHANGES() {
        let lab = lab_of_changes(format.clone());
        let store = FakeStore::default();
        store.create("ants@example.com");
        published(follow(&store, lab.hookup.clone(), Wish::default()).await);
        assert_eq!(plans_of_changes(&lab), 0, "{format:?}: nothing was published before");
        let tours = store.inner().tours;
        store.create("bees@example.com");
        let report = published(follow(&store, lab.hookup.clone(), Wish::default()).await);
        assert_eq!(report.to_string(), "accepted: +9\nrouting: unchanged", "{format:?}");
        store.remove("ants@example.com");
        let report = published(follow(&store, lab.hookup.clone(), Wish::default()).await);
        assert_eq!(report.to_string(), "accepted: -9", "{format:?}");
        assert_eq!(store.inner().tours, tours, "{format:?}: all lists were asked for");
        assert_eq!((plans_of_changes(&lab), store.applied()), (2, 3));
        assert_eq!(lab.keys("accepted").len(), 9);
        assert!(lab.keys("accepted").contains(&"bees-request@example.com".to_owned()));
        assert!(lab.all_files().keys().all(|name| !name.contains(".postrider-")), "{format:?}: something is left");
    }
}

#[tokio::test]
async fn a_change_is_used_only_where_it_begins() {
    let lab = lab_of_changes(TableFormat::Sqlite);
    let store = FakeStore::default();
    let run = || follow(&store, lab.hookup.clone(), Wish::default());
    let note = lab.tables().join(".postrider-published");
    store.create("a@example.com");
    published(run().await);
    store.create("b@example.com");
    published(run().await);
    assert_eq!(plans_of_changes(&lab), 1);

    // What several left, and somebody who died before it published, is planned change by change and published once.
    store.create("c@example.com");
    store.remove("a@example.com");
    store.create("d@example.com");
    let tours = store.inner().tours;
    assert_eq!(published(run().await).to_string(), "accepted: +18 -9\nrouting: unchanged");
    assert_eq!((plans_of_changes(&lab), lab.keys("accepted").len(), store.inner().tours), (4, 27, tours));

    // Of one list there is no telling in which order its rows came and went.
    store.create("e@example.com");
    store.remove("e@example.com");
    published(run().await);
    assert_eq!((plans_of_changes(&lab), lab.keys("accepted").len()), (4, 27));

    // The tables are not those of the applied generation.
    let before = fs::read(&note).expect("there");
    store.create("g@example.com");
    published(run().await);
    assert_eq!(plans_of_changes(&lab), 5);
    fs::write(&note, before).expect("restored from a backup");
    store.create("h@example.com");
    published(run().await);
    assert_eq!(plans_of_changes(&lab), 5);
    fs::remove_file(&note).expect("removed");
    store.create("i@example.com");
    published(run().await);
    assert_eq!(plans_of_changes(&lab), 5);

    // The same lists, by an adapter with other settings.
    let other = lab.with_tables_in(&lab.tables()).with_settings(&[], &[("k", "v")].into_iter().collect(), "1.0");
    store.create("j@example.com");
    published(follow(&store, other.into(), Wish::default()).await);
    assert_eq!((plans_of_changes(&lab), lab.keys("accepted").len()), (5, 63));
}

#[tokio::test]
async fn a_table_that_is_gone_is_made_whole_again() {
    for format in BY_CHANGES() {
        let lab = lab_of_changes(format.clone());
        let store = FakeStore::default();
        let run = || follow(&store, lab.hookup.clone(), Wish::default());
        store.create("ants@example.com");
        published(run().await);
        let table = lab.tables().join("accepted");
        if table.is_dir() { fs::remove_dir_all(&table) } else { fs::remove_file(&table) }.expect("removed");
        store.create("bees@example.com");
        published(run().await);
        assert_eq!(lab.keys("accepted").len(), 18, "{format:?}");
        if format == TableFormat::Sqlite {
            fs::write(&table, "").expect("emptied");
            store.create("cats@example.com");
            published(run().await);
            assert_eq!(lab.keys("accepted").len(), 27, "{format:?}");
        }
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_never_one_without_lists() {
    for changes in [true, false] {
        let lab = Lab::new(TableFormat::Sqlite);
        lab.set(|setup| setup.changes = changes);
        let store = FakeStore::default();
        let run = || follow(&store, lab.hookup.clone(), Wish::default());
        store.create("ants@example.com");
        published(run().await);
        let before = contents(&lab);
        store.create("bees@example.com");
        store.inner().broken = true;
        let error = run().await.expect_err("broken").to_string();
        assert!(error.contains("the lists cannot be read") && error.contains("disk I/O error"), "{error}");
        assert_eq!(contents(&lab), before);
    }
}

#[tokio::test]
async fn a_tour_of_the_domains_loads_no_lists() {
    let store = FakeStore::default();
    store.create("ants@example.com");
    let roster = super::Roster::asking(store.clone());
    let asked = tokio::task::spawn_blocking(move || {
        use postrider_plugin_api::sdk::Roster;
        let mut domains = Vec::new();
        for _ in 0..2 {
            let visit = &mut |domain: &postrider_plugin_api::sdk::DomainView<'_>| {
                domains.push(domain.name.to_owned());
                Ok(())
            };
            roster.for_each_domain(visit).expect("answered");
        }
        let mut lists = 0;
        let before = store.inner().tours;
        roster
            .for_each_list(&mut |_| {
                lists += 1;
                Ok(())
            })
            .expect("answered");
        (domains, before, lists)
    });
    let (domains, tours, lists) = asked.await.expect("no panic");
    assert_eq!((domains, tours, lists), (vec!["example.com".to_owned(); 2], 1, 1), "domains, loaded once and alone");
}

#[test]
fn a_roster_whose_runtime_has_ended_tells_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let roster = runtime.block_on(async { super::Roster::asking(FakeStore::default()) });
    drop(runtime);
    // In memory there is nothing to wait for; the point is that there is an answer, and no panic.
    drop(postrider_plugin_api::sdk::Roster::list_id(&roster, "ants", "example.com"));
    let inside = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    let error = inside.block_on(async {
        let roster = super::Roster::asking(FakeStore::default());
        postrider_plugin_api::sdk::Roster::list_id(&roster, "ants", "example.com").expect_err("would block")
    });
    assert!(error.message.contains("the lists cannot be read"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_creations_in_a_burst_share_at_most_three_rebuilds() {
    let lab = Lab::new(compiled());
    let store = FakeStore::default();
    let creations = (0..20).map(|number| {
        let (store, hookup) = (store.clone(), lab.hookup.clone());
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(number)).await;
            store.create(&format!("list{number}@example.com"));
            follow(&store, hookup, Wish::default()).await
        })
    });
    for creation in creations.collect::<Vec<_>>() {
        creation.await.expect("ended").expect("published");
    }
    assert_eq!((store.applied(), lab.keys("accepted").len()), (20, 180));
    let log = fs::read_to_string(lab.dir.path().join("compiled.log")).expect("log");
    let rebuilds = log.lines().filter(|line| line.contains("accepted")).count();
    assert!((1..=3).contains(&rebuilds), "{rebuilds} rebuilds: {log}");
}

#[tokio::test]
async fn several_changes_of_large_whole_tables_are_planned_with_everything() {
    let lab = Lab::new(TableFormat::Text);
    let store = FakeStore::default();
    for number in 0..200 {
        store.create(&format!("list{number}@example.com")); // nine addresses each
    }
    published(follow(&store, lab.hookup.clone(), Wish::default()).await);
    store.create("ants@example.com");
    store.create("bees@example.com");
    let published = published(follow(&store, lab.hookup.clone(), Wish::default()).await);
    assert_eq!(published.to_string(), "accepted: +18\nrouting: unchanged");
    let whole_plans = lab.setup.lock().expect("setup").whole_plans;
    assert_eq!((whole_plans, lab.keys("accepted").len()), (2, 202 * 9), "no other was planned to its end");
}

#[tokio::test]
async fn a_creation_that_comes_alone_waits_for_nothing_and_one_after_it_does() {
    let lab = Lab::new(compiled());
    let store = FakeStore::default();
    store.create("ants@example.com");
    published(follow(&store, lab.hookup.clone(), Wish::default()).await);
    assert_eq!(super::generation::rest_of_burst(0, 1_000_000), std::time::Duration::ZERO);
    assert_eq!(super::generation::rest_of_burst(1000, 1050), std::time::Duration::from_millis(150));
    assert_eq!(super::generation::rest_of_burst(1050, 1000), std::time::Duration::ZERO, "the clock was set back");
}

#[tokio::test]
async fn an_aliases_run_that_was_killed_is_found_and_finished() {
    let lab = Lab::new(TableFormat::Text);
    let store = FakeStore::default();
    store.create("ants@example.com");
    published(follow(&store, lab.hookup.clone(), Wish::default()).await);
    fs::remove_file(lab.tables().join("accepted")).expect("removed");
    let always = Wish { always: true, ..Wish::default() };
    lab.hookup.stop_at.store(4, Ordering::Relaxed);
    follow(&store, lab.hookup.clone(), always).await.expect_err("killed");
    lab.hookup.stop_at.store(0, Ordering::Relaxed);
    assert!(super::was_interrupted(&lab.tables()));
    assert_eq!(store.applied(), 1, "the generation is applied all the same");
    assert!(published(follow(&store, lab.hookup.clone(), always).await).recovered);
    assert!(!super::was_interrupted(&lab.tables()));
}

#[tokio::test]
async fn another_database_of_the_same_generation_is_no_base() {
    let lab = lab_of_changes(TableFormat::Sqlite);
    let (store, other) = (FakeStore::default(), FakeStore::default());
    store.create("ants@example.com");
    published(follow(&store, lab.hookup.clone(), Wish::default()).await);
    // As many changes, others, in a database that somebody has restored.
    other.create("bees@example.com");
    other.inner().generation.applied = 1;
    other.create("cats@example.com");
    published(follow(&other, lab.hookup.clone(), Wish::default()).await);
    assert_eq!(plans_of_changes(&lab), 0);
    let keys = lab.keys("accepted");
    assert!(
        keys.contains(&"bees@example.com".to_owned()) && !keys.contains(&"ants@example.com".to_owned()),
        "{keys:?}"
    );
    other.create("dogs@example.com");
    published(follow(&other, lab.hookup.clone(), Wish::default()).await);
    assert_eq!(plans_of_changes(&lab), 1, "from here on it is one");
}

/// What happens to a store, by numbers; whether anything did.
async fn change_store(store: &Store, random: &mut StdRng) -> bool {
    const NAMES: [&str; 6] = ["ants", "ants-request", "ants-bounces", "bees", "bees-owner", "request"];
    const DOMAINS: [(&str, Option<&str>); 3] =
        [("a.example", None), ("b.example", Some("x.example")), ("c.example", None)];
    let (name, alias) = DOMAINS[random.random_range(0..DOMAINS.len())];
    let address = ListAddress::parse(&format!("{}@{name}", NAMES[random.random_range(0..NAMES.len())])).expect("list");
    match random.random_range(0..10) {
        0 => store.add_domain(&domain(name, alias)).await.is_ok(),
        1 => store.remove_domain(&address.domain).await.is_ok(),
        2..=5 => match store.list(&address).await.expect("asked") {
            Some(list) => store.remove_list(list.id).await.is_ok(),
            None => false,
        },
        _ => {
            let new = NewList { settings: ListSettings::defaults_for(&address), address };
            store.create_list(&new, true).await.is_ok()
        }
    }
}

#[tokio::test]
async fn changes_one_by_one_give_what_one_whole_publication_gives() {
    for (seed, format) in (0..).zip(BY_CHANGES().into_iter().cycle().take(6)) {
        let mut random = StdRng::seed_from_u64(seed);
        let lab = lab_of_changes(format.clone());
        let store = Store::open(&DatabaseUrl::Sqlite(lab.dir.path().join("lists.db"))).await.expect("store");
        let mut kills = 0;
        for round in 0..60 {
            if !change_store(&store, &mut random).await {
                continue;
            }
            let pending = store.changes(&store.generation().await.expect("read")).await.expect("read");
            let moment = format!("seed {seed}, {format:?}, round {round}, {pending:?}");
            match random.random_range(0..6) {
                0 => continue, // it died before it published
                1 | 2 => {
                    let step = match random.random_range(0..4) {
                        0 => super::front::CARRIED_OUT,
                        1 => super::front::NOTED,
                        _ => random.random_range(1..40),
                    };
                    lab.hookup.stop_at.store(step, Ordering::Relaxed);
                    let killed = follow(&store, lab.hookup.clone(), Wish::default()).await;
                    lab.hookup.stop_at.store(0, Ordering::Relaxed);
                    assert!(matches!(killed, Ok(_) | Err(HookupError::Stopped)), "{moment}: {killed:?}");
                    kills += 1;
                    if random.random() {
                        continue; // straight on with the next change
                    }
                    let always = Wish { always: true, ..Wish::default() };
                    follow(&store, lab.hookup.clone(), always).await.expect(&moment);
                }
                _ => drop(follow(&store, lab.hookup.clone(), Wish::default()).await.expect(&moment)),
            }
            let whole = Lab::new(format.clone());
            let all = super::Roster::new(store.domains().await.expect("read"), store.lists(None).await.expect("read"));
            whole.hookup.apply(&all, Options::default()).expect("whole");
            assert_eq!(contents(&lab), contents(&whole), "{moment}");
            assert_eq!(lab.all_files().keys().collect::<Vec<_>>(), whole.all_files().keys().collect::<Vec<_>>());
        }
        assert!(plans_of_changes(&lab) > 5, "seed {seed}: changes were hardly used");
        assert!(kills > 5, "seed {seed}: hardly anybody was killed");
    }
}

#[test]
fn in_a_marked_directory_other_peoples_files_stay_and_are_not_replaced() {
    let lab = Lab::new(marked_directory());
    let home = lab.tables().join("accepted");
    fs::create_dir_all(&home).expect("made");
    fs::write(home.join("notes"), "mine\n").expect("written");
    fs::write(home.join("bees@example.com"), "# made by a tester\n").expect("written");
    std::os::unix::fs::symlink("notes", home.join("link")).expect("linked");
    apply(&lab, &["ants@example.com"]).expect("applied");
    assert_eq!(
        fs::read_to_string(home.join("ants@example.com")).expect("there"),
        "# made by a test\nof.ants.example.com\n"
    );
    let error = apply(&lab, &["bees@example.com"]).expect_err("somebody else's").to_string();
    assert!(error.contains("accepted/bees@example.com is not Postrider's (its first line"), "{error}");
    assert!(error.contains("move it away") && error.contains("postrider aliases"), "{error}");
    assert!(home.join("ants@example.com").exists(), "nothing was touched");
    fs::remove_file(home.join("bees@example.com")).expect("moved away");
    apply(&lab, &["bees@example.com"]).expect("applied");
    assert!(!home.join("ants@example.com").exists());
    assert_eq!(fs::read_to_string(home.join("notes")).expect("there"), "mine\n");
    assert!(home.join("link").symlink_metadata().is_ok());
}

#[test]
fn a_directory_of_our_own_is_cleaned_and_damage_is_repaired() {
    let lab = Lab::new(directory());
    apply(&lab, &["ants@example.com"]).expect("applied");
    let whole = lab.all_files();
    let own = lab.tables().join("accepted");
    fs::write(own.join("stray"), "x").expect("written");
    fs::write(own.join(".postrider-1-new-0"), "left by a killed run").expect("written");
    fs::write(own.join("ants@example.com"), b"\xff\0").expect("damaged");
    fs::set_permissions(own.join("ants-owner@example.com"), Permissions::from_mode(0o600)).expect("mode");
    let report = apply(&lab, &["ants@example.com"]).expect("applied");
    assert_eq!(report.to_string(), "accepted: ~2 -1\nrouting: unchanged");
    assert_eq!(lab.all_files(), whole);
    assert_eq!(mode(&own.join("ants-owner@example.com")), 0o644);
    assert!(!apply(&lab, &["ants@example.com"]).expect("applied").changed());

    // Whoever named the wrong directory does not lose a database.
    rusqlite::Connection::open(own.join("lists.db")).and_then(|c| c.execute_batch("CREATE TABLE a (b)")).expect("made");
    apply(&lab, &["bees@example.com"]).expect("applied");
    assert!(own.join("lists.db").exists());
}

#[test]
fn what_a_failure_replaced_in_a_directory_is_brought_back_octet_by_octet() {
    for format in [directory(), marked_directory()] {
        let lab = Lab::new(format);
        apply(&lab, &["ants@example.com", "bees@example.com"]).expect("applied");
        let mut damaged = fs::read(lab.tables().join("accepted/bees@example.com")).expect("there");
        damaged.push(b'\xff');
        fs::write(lab.tables().join("accepted/bees@example.com"), damaged).expect("written");
        let before = lab.all_files();
        let argv = lab.script("exit 1");
        lab.set(|setup| setup.activate = Some(required(argv, &["accepted"])));
        apply(&lab, &["bees@example.com", "cats@new.example"]).expect_err("fails");
        let mut after = lab.all_files();
        after.remove(".postrider-unfinished");
        after.retain(|name, _| !name.contains("/.postrider-"));
        assert_eq!(after, before);
    }
}

#[test]
fn guards_are_set_while_files_change_and_only_then() {
    for fails in [false, true] {
        let lab = Lab::new(marked_directory());
        let home = lab.tables().join("accepted");
        fs::create_dir_all(&home).expect("made");
        fs::set_permissions(&home, Permissions::from_mode(0o2755)).expect("mode");
        lab.set(|setup| setup.guards = vec![Guard::new("accepted", 0o3000)]);
        if fails {
            let argv =
                lab.script(&format!("[ -e {0}/once ] || {{ touch {0}/once; exit 1; }}", lab.dir.path().display()));
            lab.set(|setup| setup.activate = Some(required(argv, &["accepted"])));
        }
        let seen = RefCell::new(Vec::new());
        let observer = |step: super::Step<'_>| {
            if ["published", "staged", "brought back"].contains(&step.what) {
                seen.borrow_mut().push((step.what, mode(&home)));
            }
            ControlFlow::Continue(())
        };
        let options = Options { observer: Some(&observer), ..Options::default() };
        let result = lab.hookup.apply(&roster(&["ants@example.com"]), options);
        assert_eq!(result.is_err(), fails);
        for (what, mode) in seen.borrow().iter() {
            assert_eq!(*mode, if *what == "staged" { 0o2755 } else { 0o3755 }, "{what}");
        }
        assert!(seen.borrow().iter().any(|(what, _)| *what == if fails { "brought back" } else { "published" }));
        assert_eq!(mode(&home), 0o2755);
    }
}

#[test]
fn a_guard_of_a_killed_run_is_cleared_by_the_next_whatever_its_plan() {
    for at in 1..200 {
        let lab = Lab::new(marked_directory());
        let home = lab.tables().join("accepted");
        fs::create_dir_all(&home).expect("made");
        lab.set(|setup| setup.guards = vec![Guard::new("accepted", 0o1000)]);
        lab.hookup.stop_at.store(at, Ordering::Relaxed);
        let killed = apply(&lab, &["ants@example.com"]).is_err();
        lab.hookup.stop_at.store(0, Ordering::Relaxed);
        if at % 2 == 0 {
            lab.set(|setup| setup.guards.clear());
        }
        apply(&lab, if at % 3 == 0 { &[] } else { &["ants@example.com"] }).expect("applied");
        assert_eq!(mode(&home) & 0o7000, 0, "step {at}");
        if !killed {
            assert!(at > 20, "the steps were not seen");
            return;
        }
    }
    panic!("a publication has fewer steps");
}

#[test]
fn a_guard_that_cannot_be_set_stops_everything_before_it_begins() {
    let lab = Lab::new(directory());
    let outside = lab.outside();
    fs::create_dir(&outside).expect("made");
    let path = format!("{}/accepted", outside.display());
    lab.set(|setup| {
        setup.prefix = format!("{}/", outside.display());
        setup.guards = vec![Guard::new(path.clone(), 0o1000)];
    });
    let error = apply(&lab, &["ants@example.com"]).expect_err("no such directory").to_string();
    assert!(error.contains(&path) && error.contains("not touched"), "{error}");
    assert!(lab.all_files().is_empty());
}

#[test]
fn a_guard_concerns_only_the_directory_in_which_something_changes() {
    let lab = Lab::new(directory());
    let (accepted, other) = (lab.tables().join("accepted"), lab.tables().join("other"));
    fs::create_dir_all(&other).expect("made");
    let guard = |path: &str| Guard::new(path, 0o1000);
    lab.set(|setup| setup.guards = vec![guard("accepted"), guard("other")]);
    apply(&lab, &["ants@example.com"]).expect("a directory that is yet to be made needs no guard");
    let seen = RefCell::new(Vec::new());
    let observer = |step: super::Step<'_>| {
        if step.what == "published" {
            seen.borrow_mut().push((mode(&accepted) & 0o1000, mode(&other) & 0o1000));
        }
        ControlFlow::Continue(())
    };
    let options = Options { observer: Some(&observer), ..Options::default() };
    lab.hookup.apply(&roster(&["bees@example.com"]), options).expect("applied");
    assert!(!seen.borrow().is_empty() && seen.borrow().iter().all(|seen| *seen == (0o1000, 0)), "{seen:?}");
}

#[test]
fn absolute_paths_lead_into_the_administrators_directories_that_must_be_there() {
    for format in [TableFormat::Text, TableFormat::Sqlite, compiled(), directory(), marked_directory()] {
        let lab = Lab::new(format.clone());
        let outside = lab.outside();
        lab.set(|setup| setup.prefix = format!("{}/", outside.display()));
        let error = apply(&lab, &["ants@example.com"]).expect_err("no such directory").to_string();
        assert!(error.contains("outside") && error.contains("does not exist; make it"), "{error}");
        fs::create_dir(&outside).expect("made");
        if format == marked_directory() {
            let error = apply(&lab, &["ants@example.com"]).expect_err("no such directory").to_string();
            assert!(error.contains("does not exist; make it"), "{error}");
            fs::create_dir(outside.join("accepted"))
                .and_then(|()| fs::create_dir(outside.join("routing")))
                .expect("made");
        }
        apply(&lab, &["ants@example.com"]).expect("applied");
        assert!(outside.join("accepted").exists() && outside.join("routing").exists());
        assert!(lab.all_files().is_empty(), "{:?}", lab.all_files().keys());
        let report = apply(&lab, &["bees@example.com"]).expect("applied");
        assert!(report.changed());
        let left: Vec<_> = fs::read_dir(&outside).expect("there").map(|one| one.expect("entry").file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");

        let elsewhere = lab.dir.path().join("elsewhere");
        lab.hookup.write_to(&elsewhere, &roster(&["cats@example.com"])).expect("written");
        let below = elsewhere.join(outside.strip_prefix("/").expect("absolute"));
        assert!(below.join("accepted").exists(), "{format:?}");
        assert!(lab.hookup.preview(&roster(&["bees@example.com"])).expect("preview").is_empty());
    }
}

#[test]
fn a_path_outside_what_the_settings_name_is_refused() {
    let lab = Lab::new(TableFormat::Text);
    for prefix in
        ["/etc/".to_owned(), format!("{}x/", lab.outside().display()), format!("{}/../", lab.outside().display())]
    {
        lab.set(|setup| setup.prefix.clone_from(&prefix));
        let error = apply(&lab, &["ants@example.com"]).expect_err("refused").to_string();
        assert!(error.contains("cannot be used") && error.contains("mistake of the plugin"), "{error}");
    }
}

#[test]
fn a_compiler_may_read_the_table_from_its_input() {
    for format in [compiled(), in_place()] {
        let lab = Lab::new(format);
        lab.set(|setup| setup.stdin = true);
        apply(&lab, &["ants@example.com"]).expect("applied");
        assert_eq!(lab.keys("accepted").len(), 9);
    }
}

#[test]
fn a_compiled_file_can_be_read_whatever_the_compiler_thinks() {
    for format in [compiled(), in_place()] {
        let lab = Lab::new(format);
        lab.fail("private");
        apply(&lab, &["ants@example.com"]).expect("applied");
        assert_eq!(mode(&lab.tables().join("accepted.cmp")), 0o644);
        apply(&lab, &["bees@example.com"]).expect("applied");
        assert_eq!(mode(&lab.tables().join("accepted.cmp")), 0o644);
    }
}

#[test]
fn a_preview_says_for_what_an_earlier_run_waits() {
    let lab = Lab::new(TableFormat::Text);
    let argv = lab.script("");
    lab.set(|setup| {
        setup.activate = Some(Activation { privilege: Privilege::Root, ..required(argv, &["routing"]) });
    });
    assert!(apply(&lab, &["ants@example.com"]).expect("waits").waiting.is_some());
    let preview = lab.hookup.preview(&roster(&["ants@example.com"])).expect("preview");
    assert!(!preview.unfinished);
    let waiting = preview.waiting.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(waiting.contains("/activate") && waiting.contains("postrider aliases --activated"), "{waiting}");
}

#[test]
fn a_preview_of_a_directory_names_its_files() {
    let lab = Lab::new(directory());
    apply(&lab, &["ants@example.com"]).expect("applied");
    let many: Vec<String> = (0..50).map(|number| format!("list{number}@example.com")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let preview = lab.hookup.preview(&roster(&many)).expect("preview");
    let diff = &preview.tables[0].diff;
    assert!(
        diff.starts_with("--- accepted/ (published)\n+++ accepted/ (wanted)\n+list0-bounces@example.com\n"),
        "{diff}"
    );
    assert!(diff.contains("+(350 more)\n-ants-bounces@example.com\n"), "{diff}");
}

#[test]
fn a_guard_ends_with_the_last_change_in_its_directory_and_is_set_again_on_the_way_back() {
    for fails in [false, true] {
        let lab = Lab::new(marked_directory());
        let home = lab.tables().join("routing");
        fs::create_dir_all(&home).expect("made");
        lab.set(|setup| setup.guards = vec![Guard::new("routing", 0o1000)]);
        let argv = lab.script(if fails { "exit 1" } else { "" });
        lab.set(|setup| setup.activate = Some(required(argv, &["accepted"])));
        let seen = RefCell::new(Vec::new());
        let observer = |step: super::Step<'_>| {
            let in_home = step.path.starts_with(&home);
            if step.what == "published" || step.what == "brought back" && in_home {
                seen.borrow_mut().push((step.what, in_home, mode(&home) & 0o1000 != 0));
            }
            ControlFlow::Continue(())
        };
        let options = Options { observer: Some(&observer), ..Options::default() };
        let result = lab.hookup.apply(&roster(&["ants@example.com"]), options);
        assert_eq!(result.is_err(), fails);
        for (what, in_home, guarded) in seen.borrow().iter() {
            assert_eq!(in_home, guarded, "{what}");
        }
        assert!(seen.borrow().iter().any(|(_, in_home, _)| !in_home));
        assert_eq!(mode(&home) & 0o7000, 0);
    }
}

#[test]
fn a_signal_waits_for_the_end_of_a_publication_and_then_ends_the_program() {
    use nix::sys::signal::{Signal, kill};
    use std::os::unix::process::ExitStatusExt;
    const CHILD: &str = "POSTRIDER_TEST_SIGNAL";
    const GUARDED: &str = "guarded";
    let guard = |lab: &Lab| {
        fs::create_dir_all(lab.tables().join("accepted")).expect("made");
        lab.set(|setup| setup.guards = vec![Guard::new("accepted", 0o1000)]);
    };
    if let Ok(number) = std::env::var(CHILD) {
        let signal = Signal::try_from(number.parse::<i32>().expect("number")).expect("signal");
        let lab = Lab::new(marked_directory());
        guard(&lab);
        let observer = |step: super::Step<'_>| {
            if step.what == "set the guards" {
                assert_eq!(mode(&lab.tables().join("accepted")) & 0o1000, 0o1000);
                fs::write(lab.dir.path().join(GUARDED), "").expect("written");
                kill(nix::unistd::Pid::this(), signal).expect("sent");
            }
            ControlFlow::Continue(())
        };
        let options = Options { observer: Some(&observer), ..Options::default() };
        drop(lab.hookup.apply(&roster(&["ants@example.com"]), options));
        panic!("the signal did not end us");
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let dir = tempfile::tempdir().expect("directory");
        let test = "hookup::changes_tests::a_signal_waits_for_the_end_of_a_publication_and_then_ends_the_program";
        // What runs us may have ignored them, as a shell does for what runs in the background.
        let output = std::process::Command::new("env")
            .arg("--default-signal=INT,TERM,HUP")
            .arg(std::env::current_exe().expect("ourselves"))
            .args(["--exact", test])
            .env("TMPDIR", dir.path())
            .env(CHILD, (signal as i32).to_string())
            .output()
            .expect("started");
        assert_eq!(output.status.signal(), Some(signal as i32), "{output:?}");
        let lab = fs::read_dir(dir.path()).expect("there").next().expect("one").expect("entry").path();
        assert!(lab.join(GUARDED).exists(), "{signal}: it was never guarded");
        assert_eq!(mode(&lab.join("tables/accepted")) & 0o1000, 0, "{signal}");
        assert!(lab.join("tables/accepted/ants@example.com").exists(), "{signal}: the publication went to its end");
        assert!(!super::was_interrupted(&lab.join("tables")), "{signal}");
    }
}

#[tokio::test]
async fn a_run_at_work_is_not_taken_for_one_that_was_killed() {
    let lab = Lab::new(TableFormat::Text);
    let store = FakeStore::default();
    store.create("ants@example.com");
    published(follow(&store, lab.hookup.clone(), Wish::default()).await);
    // Its note, while it holds the lock.
    let marker = super::marker::Marker::in_directory(&lab.tables());
    let at_work = lab.hookup.lock().expect("free");
    marker.write(&super::marker::Unfinished::Publishing(Vec::new())).expect("written");
    let other = tokio::spawn({
        let (store, hookup) = (store.clone(), lab.hookup.clone());
        async move { follow(&store, hookup, Wish::default()).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    marker.remove().expect("it ends");
    drop(at_work);
    assert_eq!(other.await.expect("no panic").expect("looked"), Outcome::AlreadyApplied(Vec::new()));

    // And one that was killed is found, though its generation is applied.
    marker.write(&super::marker::Unfinished::Publishing(Vec::new())).expect("written");
    let run = follow(&store, lab.hookup.clone(), Wish::default());
    assert!(published(run.await).recovered);
}

#[test]
fn a_directory_that_others_have_filled_is_not_taken_over() {
    let lab = Lab::new(directory());
    let own = lab.tables().join("accepted");
    fs::create_dir_all(&own).expect("made");
    fs::write(own.join("thesis.txt"), "three years").expect("written");
    let error = apply(&lab, &["ants@example.com"]).expect_err("refused").to_string();
    assert!(error.contains("accepted would be Postrider's alone"), "{error}");
    assert!(error.contains("move it away") && error.contains("touch "), "{error}");
    lab.hookup.preview(&roster(&["ants@example.com"])).expect_err("told before it happens");
    assert_eq!(fs::read_to_string(own.join("thesis.txt")).expect("there"), "three years");

    fs::remove_file(own.join("thesis.txt")).expect("removed");
    apply(&lab, &["ants@example.com"]).expect("an empty one is taken");
    assert!(own.join(".postrider").is_file() && lab.tables().join("routing/.postrider").is_file());
    assert_eq!(mode(&own.join(".postrider")), 0o644);
    assert!(!apply(&lab, &["ants@example.com"]).expect("applied").changed());
    assert!(own.join(".postrider").is_file());

    // Without the note it counts as another's again, also for single changes.
    fs::remove_file(own.join(".postrider")).expect("removed");
    apply(&lab, &["bees@example.com"]).expect_err("refused");
    fs::write(own.join(".postrider"), "").expect("touched");
    apply(&lab, &["bees@example.com"]).expect("applied");
    assert!(!own.join("ants@example.com").exists());
}

#[test]
fn an_empty_directory_of_our_own_is_taken_before_it_has_rows() {
    let lab = Lab::new(directory());
    let own = lab.tables().join("accepted");
    fs::create_dir_all(&own).expect("made");
    apply(&lab, &[]).expect("applied");
    assert!(own.join(".postrider").is_file());
}

#[test]
fn the_table_directory_and_the_administrators_are_never_wholly_ours() {
    let lab = Lab::new(directory());
    let outside = lab.outside();
    fs::create_dir(&outside).expect("made");
    lab.set(|setup| setup.prefix = format!("{}/", outside.display()));
    apply(&lab, &["ants@example.com"]).expect("ones below an output directory");

    let (inner, other) = (outside.join("accepted"), outside.join("routing"));
    let named = [("output", &inner), ("other", &other)];
    let settings = named.map(|(name, path)| (name, path.display().to_string())).into_iter().collect();
    let specs = named.map(|(name, _)| sdk::SettingSpec::new(name, sdk::SettingKind::OutputDirectory, "", ""));
    let hookup = lab.with_tables_in(&lab.tables()).with_settings(&specs, &settings, "1.0");
    let error = hookup.apply(&roster(&["ants@example.com"]), Options::default());
    let error = error.expect_err("the administrator's").to_string();
    assert!(error.contains("is the administrator's; one below it can be"), "{error}");

    // A table directory inside what would be a table.
    let hookup = lab.with_tables_in(&inner.join("tables"));
    let error = hookup.apply(&roster(&["ants@example.com"]), Options::default());
    let error = error.expect_err("it holds the table directory").to_string();
    assert!(error.contains("would be Postrider's alone"), "{error}");
}
