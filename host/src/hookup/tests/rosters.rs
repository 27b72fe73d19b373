//! What an adapter learns of the lists.

use super::fake_store::FakeStore;
use crate::hookup::Roster;
use postrider_plugin_api::sdk::{self, DomainView};
use tokio::runtime::Builder;

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_knows_that_it_was_loaded_after_a_change() {
    let store = FakeStore::default();
    store.create("ants@example.com");
    let generation = store.inner().generation.clone();
    for (between, after) in [(None, false), (Some("bees@example.com"), true)] {
        let roster = Roster::asking(store.clone());
        assert!(!roster.was_loaded_after(&generation), "nothing is loaded");
        store.inner().comes_between = between;
        tokio::task::block_in_place(|| roster.load()).expect("loaded");
        assert_eq!(roster.was_loaded_after(&generation), after);
    }
}

#[tokio::test]
async fn a_tour_of_the_domains_loads_no_lists() {
    let store = FakeStore::default();
    store.create("ants@example.com");
    let roster = Roster::asking(store.clone());
    let asked = tokio::task::spawn_blocking(move || {
        let mut domains = Vec::new();
        for _ in 0..2 {
            let visit = &mut |domain: &DomainView<'_>| {
                domains.push(domain.name.to_owned());
                Ok(())
            };
            sdk::Roster::for_each_domain(&roster, visit).expect("answered");
        }
        let mut lists = 0;
        let before = store.inner().tours;
        sdk::Roster::for_each_list(&roster, &mut |_| {
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
    let runtime = Builder::new_current_thread().enable_all().build().expect("runtime");
    let roster = runtime.block_on(async { Roster::asking(FakeStore::default()) });
    drop(runtime);
    // In memory there is nothing to wait for; the point is that there is an answer, and no panic.
    drop(sdk::Roster::list_id(&roster, "ants", "example.com"));
    let inside = Builder::new_current_thread().build().expect("runtime");
    let error = inside.block_on(async {
        let roster = Roster::asking(FakeStore::default());
        sdk::Roster::list_id(&roster, "ants", "example.com").expect_err("would block")
    });
    assert!(error.message.contains("the lists cannot be read"), "{error}");
}
