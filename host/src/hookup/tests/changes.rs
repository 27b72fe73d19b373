//! Plans of what a change touches.

use super::fake_store::FakeStore;
use super::{Lab, Options, published};
use crate::config::DatabaseUrl;
use crate::hookup::error::HookupError;
use crate::hookup::generation::{Wish, follow};
use crate::hookup::testing::{directory, domain, marked_directory};
use crate::hookup::{Roster, front, sqlite};
use crate::lists::{ListAddress, ListSettings, NewList};
use crate::store::Store;
use postrider_plugin_api::sdk::TableFormat;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::fs;
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
            let rows = sqlite::read(&path).expect("read");
            rows.iter().map(|row| (row.key.to_owned(), row.value.to_owned())).collect()
        };
        all.extend(rows.into_iter().map(|(key, value)| (format!("{table} {key}"), value)));
    }
    all
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
async fn lists_that_come_between_two_questions_of_one_plan_are_not_half_in_it() {
    for format in [TableFormat::Text, TableFormat::Sqlite] {
        let lab = Lab::new(format);
        lab.set(|setup| setup.asks_first = Some("cats"));
        let store = FakeStore::default();
        let run = || follow(&store, lab.hookup.clone(), Wish::default());
        store.create("ants@example.com");
        run().await.expect("published");
        // Else it would wait for the end of a burst, and ask all anew.
        store.inner().changed = 0;
        store.create("bees@example.com");
        store.inner().comes_between = Some("cats@example.com");
        run().await.expect("published");
        assert_eq!(lab.keys("accepted").len(), 27);
        assert_eq!(fs::read_to_string(lab.tables().join("asked")).expect("written"), "true");
    }
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
                    let in_a_run = random.random_range(0..4) > 0;
                    let step = if in_a_run { random.random_range(1..40) } else { front::CARRIED_OUT };
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
            let all = Roster::new(store.domains().await.expect("read"), store.lists(None).await.expect("read"));
            whole.hookup.apply(&all, Options::default()).expect("whole");
            assert_eq!(contents(&lab), contents(&whole), "{moment}");
            assert_eq!(lab.all_files().keys().collect::<Vec<_>>(), whole.all_files().keys().collect::<Vec<_>>());
        }
        assert!(plans_of_changes(&lab) > 5, "seed {seed}: changes were hardly used");
        assert!(kills > 5, "seed {seed}: hardly anybody was killed");
    }
}
