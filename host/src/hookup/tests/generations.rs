//! Whoever follows a store: what is published by whom, and who is told what.

use super::fake_store::FakeStore;
use super::{Lab, published, required};
use crate::hookup::front;
use crate::hookup::generation::{Outcome, Wish, follow, rest_of_burst};
use crate::hookup::lock::Lock;
use crate::hookup::marker::{Marker, Unfinished};
use crate::hookup::testing::{Activation, compiled};
use crate::hookup::was_interrupted;
use postrider_plugin_api::sdk::{Privilege, TableFormat};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn a_generation_is_applied_once() {
    let lab = Lab::new(TableFormat::Text);
    let store = FakeStore::default();
    store.create("ants@example.com");
    let update = |wish| follow(&store, lab.hookup.clone(), wish);
    assert!(matches!(update(Wish::default()).await.expect("applied"), Outcome::Done(report) if report.changed()));
    assert_eq!(store.applied(), 1);
    assert_eq!(update(Wish::default()).await.expect("nothing to do"), Outcome::AlreadyApplied(Vec::new()));
    fs::remove_file(lab.tables().join("accepted")).expect("removed");
    let always = Wish { always: true, ..Wish::default() };
    assert!(matches!(update(always).await.expect("repaired"), Outcome::Done(report) if report.changed()));
}

#[tokio::test]
async fn whose_change_somebody_else_published_is_told_what_is_left_all_the_same() {
    let lab = Lab::new(TableFormat::Text);
    let argv = vec!["/nonexistent/postfix".to_owned(), "reload".to_owned()];
    lab.set(|setup| setup.activate = Some(required(argv, &["routing", "accepted"])));
    let store = FakeStore::default();
    store.create("ants@example.com");
    let update = || follow(&store, lab.hookup.clone(), Wish::default());
    let report = published(update().await);
    assert_eq!(report.by_hand.len(), 1);
    assert_eq!(update().await.expect("nothing to do"), Outcome::AlreadyApplied(report.by_hand));
}

#[tokio::test]
async fn whose_list_a_run_that_had_begun_before_published_is_told_what_it_left_by_hand() {
    let lab = Lab::new(TableFormat::Text);
    let argv = vec!["/nonexistent/postfix".to_owned(), "reload".to_owned()];
    lab.set(|setup| setup.activate = Some(required(argv, &["routing", "accepted"])));
    let store = FakeStore::default();
    store.create("ants@example.com");
    let run = |wish| {
        let hookup = lab.hookup.clone();
        let store = store.clone();
        async move { follow(&store, hookup, wish).await.expect("published") }
    };
    let done = |outcome| match outcome {
        Outcome::Done(report) => report,
        Outcome::AlreadyApplied(_) => panic!("nothing was published"),
    };
    store.inner().comes_between = Some("bees@example.com");
    let early = done(run(Wish::default()).await);
    assert_eq!((lab.keys("accepted").len(), store.applied(), store.inner().generation.wanted), (18, 1, 2));
    assert_eq!(early.by_hand.len(), 1);
    // Who made bees finds nothing to be changed, and learns what is left all the same.
    let report = done(run(Wish::default()).await);
    assert_eq!((report.changed(), &report.by_hand, store.applied()), (false, &early.by_hand, 2));
    // Also who finds that another run compared the tables meanwhile.
    let always = Wish { always: true, ..Wish::default() };
    assert_eq!(done(run(always).await).by_hand, []);
    assert_eq!(run(Wish::default()).await, Outcome::AlreadyApplied(early.by_hand));
    // The administrator has done it.
    assert_eq!(done(run(Wish { activated: true, ..always }).await).by_hand, []);
    assert_eq!(run(Wish::default()).await, Outcome::AlreadyApplied(Vec::new()));
    // The next list is not told of it.
    lab.set(|setup| setup.activate = None);
    store.create("cats@example.com");
    assert_eq!(done(run(Wish::default()).await).by_hand, []);
}

#[tokio::test]
async fn what_was_left_by_hand_for_a_change_is_known_though_others_were_published_since() {
    let lab = Lab::new(TableFormat::Text);
    let argv = vec!["/nonexistent/postfix".to_owned(), "reload".to_owned()];
    let store = FakeStore::default();
    let run = || follow(&store, lab.hookup.clone(), Wish::default());
    lab.set(|setup| setup.activate = Some(required(argv, &["routing", "accepted"])));
    store.create("ants@example.com");
    let first = published(run().await);
    assert_eq!(first.by_hand.len(), 1);
    lab.set(|setup| setup.activate = None);
    store.create("bees@example.com");
    let second = published(run().await);
    assert_eq!(second.by_hand, []);
    // Whoever made the first one waited all the time; whoever made the second one is not told of it.
    for (made_after, told) in [(0, first.by_hand.clone()), (1, Vec::new())] {
        let wish = Wish { made_after: Some(made_after), ..Wish::default() };
        let outcome = follow(&store, lab.hookup.clone(), wish).await.expect("nothing to do");
        assert_eq!(outcome, Outcome::AlreadyApplied(told));
    }
    // And if he is the one who publishes what came third.
    store.create("cats@example.com");
    let wish = Wish { made_after: Some(0), ..Wish::default() };
    let third = follow(&store, lab.hookup.clone(), wish).await.expect("published");
    assert!(matches!(third, Outcome::Done(report) if report.changed() && report.by_hand == first.by_hand));
    store.create("dogs@example.com");
    let fourth = run().await.expect("published");
    assert!(matches!(fourth, Outcome::Done(report) if report.changed() && report.by_hand.is_empty()));
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_not_the_adapters_failure() {
    let lab = Lab::new(TableFormat::Text);
    let store = FakeStore::default();
    store.create("ants@example.com");
    store.inner().broken = true;
    let error = follow(&store, lab.hookup.clone(), Wish::default()).await.expect_err("broken").to_string();
    assert!(error.starts_with("the lists cannot be read: "), "{error}");
}

#[tokio::test]
async fn whoever_finishes_what_a_killed_run_had_begun_is_told_what_is_left_by_hand() {
    let mut at = 1;
    loop {
        let lab = Lab::new(TableFormat::Text);
        let argv = vec!["/nonexistent/postfix".to_owned(), "reload".to_owned()];
        lab.set(|setup| setup.activate = Some(required(argv, &["routing", "accepted"])));
        let store = FakeStore::default();
        let run = || follow(&store, lab.hookup.clone(), Wish::default());
        store.create("ants@example.com");
        lab.hookup.stop_at.store(at, Ordering::Relaxed);
        let killed = run().await.is_err();
        lab.hookup.stop_at.store(0, Ordering::Relaxed);
        if !killed {
            assert!(at > 10 && at != front::CARRIED_OUT, "the steps were not seen");
            at = front::CARRIED_OUT;
            continue;
        }
        assert_eq!(store.applied(), 0, "step {at}");
        assert_eq!(published(run().await).by_hand.len(), 1, "step {at}");
        assert_eq!(store.applied(), 1);
        if at == front::CARRIED_OUT {
            return;
        }
        at += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn creations_that_come_together_share_one_publication() {
    let lab = Lab::new(compiled());
    let store = FakeStore::default();
    let lock = Lock::wait(&lab.dir.path().join("locks"), Duration::ZERO).expect("free");
    for name in ["a@example.com", "b@example.com", "c@example.com"] {
        store.create(name);
    }
    let update = || follow(&store, lab.hookup.clone(), Wish::default());
    let free = async {
        tokio::time::sleep(Duration::from_millis(100)).await; // so that all three really wait
        drop(lock);
    };
    let (a, b, c, ()) = tokio::join!(update(), update(), update(), free);
    let outcomes = [a, b, c].map(|outcome| outcome.expect("applied"));
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Done(_))).count(), 1);
    assert_eq!(store.applied(), 3);
    assert_eq!(lab.keys("accepted").len(), 27);
    assert_eq!(lab.compilations(), 2, "one for each table");
}

#[tokio::test]
async fn a_generation_that_waits_or_fails_is_not_applied() {
    let lab = Lab::new(compiled());
    let store = FakeStore::default();
    store.create("ants@example.com");
    let update = |wish| follow(&store, lab.hookup.clone(), wish);
    lab.fail("always");
    update(Wish::default()).await.expect_err("the compiler fails");
    assert_eq!(store.applied(), 0);
    lab.heal();
    let argv = lab.script("");
    lab.set(|setup| setup.activate = Some(Activation { privilege: Privilege::Root, ..required(argv, &["routing"]) }));
    assert!(matches!(update(Wish::default()).await.expect("waits"), Outcome::Done(report) if report.waiting.is_some()));
    assert_eq!(store.applied(), 0);
    let activated = Wish { activated: true, ..Wish::default() };
    assert!(matches!(update(activated).await.expect("goes on"), Outcome::Done(report) if report.waiting.is_none()));
    assert_eq!(store.applied(), 1);
}

#[tokio::test]
async fn whoever_no_longer_waits_for_another_run_does_not_publish_later() {
    let lab = Lab::new(TableFormat::Text);
    let store = FakeStore::default();
    store.create("ants@example.com");
    let lock = Lock::wait(&lab.dir.path().join("locks"), Duration::ZERO).expect("free");
    let waiting = follow(&store, lab.hookup.clone(), Wish::default());
    tokio::time::timeout(Duration::from_millis(100), waiting).await.expect_err("the lock is taken");
    // The thread that waited holds the adapter's hookup until it has given up.
    let has_given_up = async {
        while Arc::strong_count(&lab.hookup) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), has_given_up).await.expect("it still waits");
    drop(lock);
    assert!(lab.all_files().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_creations_in_a_burst_share_at_most_three_rebuilds() {
    let lab = Lab::new(compiled());
    let store = FakeStore::default();
    let creations = (0..20).map(|number| {
        let (store, hookup) = (store.clone(), lab.hookup.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(number)).await;
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
async fn a_creation_that_comes_alone_waits_for_nothing_and_one_after_it_does() {
    let lab = Lab::new(compiled());
    let store = FakeStore::default();
    store.create("ants@example.com");
    published(follow(&store, lab.hookup.clone(), Wish::default()).await);
    assert_eq!(rest_of_burst(0, 1_000_000), Duration::ZERO);
    assert_eq!(rest_of_burst(1000, 1050), Duration::from_millis(150));
    assert_eq!(rest_of_burst(1050, 1000), Duration::ZERO, "the clock was set back");
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
    assert!(was_interrupted(&lab.tables()));
    assert_eq!(store.applied(), 1, "the generation is applied all the same");
    assert!(published(follow(&store, lab.hookup.clone(), always).await).recovered);
    assert!(!was_interrupted(&lab.tables()));
}

#[tokio::test]
async fn a_run_at_work_is_not_taken_for_one_that_was_killed() {
    let lab = Lab::new(TableFormat::Text);
    let store = FakeStore::default();
    store.create("ants@example.com");
    published(follow(&store, lab.hookup.clone(), Wish::default()).await);
    // Its note, while it holds the lock.
    let marker = Marker::in_directory(&lab.tables());
    let at_work = lab.hookup.lock().expect("free");
    marker.write(&Unfinished::Publishing(Vec::new())).expect("written");
    let other = tokio::spawn({
        let (store, hookup) = (store.clone(), lab.hookup.clone());
        async move { follow(&store, hookup, Wish::default()).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    marker.remove().expect("it ends");
    drop(at_work);
    assert_eq!(other.await.expect("no panic").expect("looked"), Outcome::AlreadyApplied(Vec::new()));

    // And one that was killed is found, though its generation is applied.
    marker.write(&Unfinished::Publishing(Vec::new())).expect("written");
    let run = follow(&store, lab.hookup.clone(), Wish::default());
    assert!(published(run.await).recovered);
}

#[test]
fn the_future_can_be_spawned() {
    fn sendable<T: Send>(_: &T) {}
    let lab = Lab::new(TableFormat::Text);
    let store = FakeStore::default();
    sendable(&follow(&store, lab.hookup.clone(), Wish::default()));
}
