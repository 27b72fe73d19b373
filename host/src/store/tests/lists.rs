//! Domains and lists, and who is meant by an address.

use super::*;

#[tokio::test]
async fn a_list_survives_a_restart_whole() {
    let store = Fixture::new().await;
    let made = store.create_list(&new_list("ants@example.com"), true).await.expect("create");
    assert_eq!(made.list_id.as_str(), "ants.example.com");
    assert_eq!(store.count_post(made.id).await.expect("count"), 1);
    assert_eq!(store.count_post(made.id).await.expect("count"), 2);
    store.close().await;
    assert!(!store.directory.path().join("postrider.db-wal").exists(), "a closed store is one file");

    let again = open(&store.file()).await;
    let found = again.list(&made.address).await.expect("list").expect("it is there");
    assert_eq!(found, crate::lists::List { post_count: 2, ..made });
    assert_eq!(again.list_by_id(found.id).await.expect("list"), Some(found.clone()));
    let other = ListSettings { description: String::new(), member_action: PostAction::Discard, ..settings() };
    again.set_list_settings(found.id, &other).await.expect("set");
    assert_eq!(again.list_by_id(found.id).await.expect("list").expect("list").settings, other);
}

#[tokio::test]
async fn lists_that_cannot_be_made_are_refused_with_the_reason() {
    let store = Fixture::new().await;
    let error = store.create_list(&new_list("ants@example.com"), false).await.expect_err("no domain");
    assert!(matches!(&error, StoreError::DomainUnknown(name) if name == "example.com"), "{error}");
    assert_eq!(store.generation().await.expect("generation").wanted, 0, "what failed changed nothing");
    store.made("ants@example.com").await;
    let error = store.create_list(&new_list("Ants@Example.com"), true).await.expect_err("exists");
    assert!(matches!(error, StoreError::ListExists(_)), "{error}");

    store.made("a.b@c.example").await;
    let error = store.create_list(&new_list("a@b.c.example"), true).await.expect_err("same list-id").to_string();
    assert_eq!(error, "the list-id a.b.c.example of a@b.c.example would be the same as that of a.b@c.example");
    assert!(store.domain(&domain_name("b.c.example")).await.expect("domain").is_none(), "nothing half made");
}

#[tokio::test]
async fn numbers_of_lists_are_never_used_again() {
    let store = Fixture::new().await;
    let first = store.made("ants@example.com").await;
    store.remove_list(first).await.expect("remove");
    assert!(store.made("ants@example.com").await > first);
    assert!(matches!(store.remove_list(first).await, Err(StoreError::ListUnknown { .. })));
    assert!(matches!(store.count_post(first).await, Err(StoreError::ListUnknown { .. })));
    assert!(matches!(store.set_list_settings(first, &settings()).await, Err(StoreError::ListUnknown { .. })));
}

#[tokio::test]
async fn lists_are_sorted_by_domain_and_name() {
    let store = Fixture::new().await;
    for address in ["b@y.example", "a@y.example", "c@x.example", "a-b@y.example"] {
        store.made(address).await;
    }
    let names = |lists: Vec<crate::lists::List>| lists.iter().map(|one| one.address.to_string()).collect::<Vec<_>>();
    let all = names(store.lists(None).await.expect("lists"));
    assert_eq!(all, ["c@x.example", "a@y.example", "a-b@y.example", "b@y.example"]);
    let one = names(store.lists(Some(&domain_name("x.example"))).await.expect("lists"));
    assert_eq!(one, ["c@x.example"]);
}

#[tokio::test]
async fn domains_come_and_go() {
    let store = Fixture::new().await;
    store.add_domain(&domain("b.example", None)).await.expect("add");
    let with_alias = domain("a.example", Some("alias.example"));
    store.add_domain(&with_alias).await.expect("add");
    assert!(matches!(store.add_domain(&domain("a.example", None)).await, Err(StoreError::DomainExists(_))));
    for clash in [
        domain("c.example", Some("alias.example")),
        domain("alias.example", None),
        domain("c.example", Some("b.example")),
    ] {
        let error = store.add_domain(&clash).await.expect_err("ambiguous");
        assert!(matches!(error, StoreError::AliasTaken { .. }), "{error}");
    }
    assert_eq!(store.domains().await.expect("domains"), [with_alias.clone(), domain("b.example", None)]);
    assert_eq!(store.domain(&with_alias.name).await.expect("domain"), Some(with_alias));

    let list = store.made("ants@b.example").await;
    let error = store.remove_domain(&domain_name("b.example")).await.expect_err("has a list").to_string();
    assert_eq!(error, "the domain b.example still has 1 list; remove them first with `postrider remove`");
    store.remove_list(list).await.expect("remove");
    store.remove_domain(&domain_name("b.example")).await.expect("remove");
    assert!(matches!(store.remove_domain(&domain_name("b.example")).await, Err(StoreError::DomainUnknown(_))));
}

#[tokio::test]
async fn every_address_of_a_list_fits_into_a_path_in_the_alias_too() {
    let store = Fixture::new().await;
    let long = format!("{0}.{0}.{0}.{1}.example", "a".repeat(60), "b".repeat(40)); // 231 octets
    store.add_domain(&domain("short.example", Some(&long))).await.expect("domain");
    let error = store.create_list(&new_list("elevenchars@short.example"), true).await.expect_err("too long");
    let error = error.to_string();
    assert!(error.starts_with("the list elevenchars@short.example cannot be made: LIST-unsubscribe@aaa"), "{error}");
    store.create_list(&new_list("tenletters@short.example"), false).await.expect("fits");
    store.create_list(&new_list("elevenchars@other.example"), true).await.expect("no alias");
}

#[tokio::test]
async fn recipients_are_resolved_as_in_mailman() {
    let store = Fixture::new().await;
    store.add_domain(&domain("example.com", Some("alias.example"))).await.expect("domain");
    let foo = store.made("foo@example.com").await;
    let request = store.made("foo-request@example.com").await;
    store.made("foo@other.example").await;
    let news = store.made("news-letter@example.com").await;
    for (recipient, expected) in [
        ("foo@example.com", Some((foo, Subaddress::Post, None))),
        ("FOO@EXAMPLE.COM", Some((foo, Subaddress::Post, None))),
        ("foo@alias.example", Some((foo, Subaddress::Post, None))),
        ("\"foo\"@example.com", Some((foo, Subaddress::Post, None))),
        ("foo-bounces+Anne=Example.org@example.com", Some((foo, Subaddress::Bounces, Some("Anne=Example.org")))),
        ("foo-unsubscribe@example.com", Some((foo, Subaddress::Leave, None))),
        ("foo+tag@example.com", Some((foo, Subaddress::Post, Some("tag")))),
        // A list really called so comes first; its own functions are found all the same.
        ("foo-request@example.com", Some((request, Subaddress::Post, None))),
        ("foo-request-owner@example.com", Some((request, Subaddress::Owner, None))),
        ("foo-request@other.example", None),
        ("news-letter@example.com", Some((news, Subaddress::Post, None))),
        ("news@example.com", None),
        ("foo-letter@example.com", None),
        ("foo@sub.example.com", None),
        ("foo@[192.0.2.1]", None),
        ("-request@example.com", None),
        ("grüße@example.com", None),
        ("foo%@example.com", None),
    ] {
        let found = store.resolve(&address(recipient), "+").await.expect("resolve");
        let found = found.map(|route| (route.list, route.function, route.detail));
        let expected = expected.map(|(list, function, detail)| (list, function, detail.map(str::to_owned)));
        if recipient == "foo-request@other.example" {
            assert!(matches!(found, Some((list, Subaddress::Request, None)) if list != foo), "{found:?}");
        } else {
            assert_eq!(found, expected, "{recipient}");
        }
    }
    let route = store.resolve(&address("foo-owner@ALIAS.example"), "+").await.expect("resolve").expect("route");
    assert_eq!(route.address, list_address("foo@example.com"), "the list's own domain");
    assert!(store.list(&list_address("foo@alias.example")).await.expect("list").is_some());
}

#[tokio::test]
async fn people_find_a_list_by_its_address_or_list_id() {
    let store = Fixture::new().await;
    let ants = store.made("ants@example.com").await;
    store.made("bees@example.com").await;
    for name in ["ants@example.com", "Ants@EXAMPLE.com", "ants.example.com", "Ants.Example.com"] {
        assert_eq!(store.find_list(name).await.expect(name).id, ants);
    }
    for name in ["ant@example.com", "ants.exmaple.com", "ants", "ANTS@exampel.com"] {
        let error = store.find_list(name).await.expect_err(name).to_string();
        assert_eq!(error, format!("there is no list {name}; did you mean ants@example.com?"));
    }
    for name in ["wasps@example.com", "", "@", "wholly other"] {
        let error = store.find_list(name).await.expect_err(name).to_string();
        assert_eq!(error, format!("there is no list {name}; `postrider lists` shows all"));
    }
}

#[tokio::test]
async fn what_a_single_change_asks_is_answered_exactly() {
    let store = Fixture::new().await;
    store.add_domain(&domain("b.example", Some("x.example"))).await.expect("domain");
    store.made("ants@a.example").await;
    store.made("bees@b.example").await;
    for (address, there) in [
        ("ants@a.example", true),
        ("bees@b.example", true),
        ("bees@x.example", false),
        ("ants@b.example", false),
        ("ants-request@a.example", false),
    ] {
        assert_eq!(store.has_list(&list_address(address)).await.expect("asked"), there, "{address}");
    }
    for (routed, names) in [("a.example", vec!["a.example"]), ("x.example", vec!["b.example"]), ("b.example", vec![])] {
        let found = store.domains_routed_to(&domain_name(routed)).await.expect("asked");
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), names, "{routed}");
    }
    // Both by index, however many there are.
    for (query, parameters) in [
        ("SELECT EXISTS (SELECT 1 FROM list WHERE domain = $1 AND name = $2)", 2),
        (
            "SELECT name FROM domain WHERE alias = $1
             UNION ALL SELECT name FROM domain WHERE name = $1 AND alias IS NULL ORDER BY name",
            1,
        ),
    ] {
        let mut explain = sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")));
        for _ in 0..parameters {
            explain = explain.bind("x");
        }
        let plan: Vec<(i64, i64, i64, String)> = explain.fetch_all(&store.inner.readers).await.expect("plan");
        assert!(
            plan.iter().all(|(.., step)| !step.starts_with("SCAN domain") && !step.starts_with("SCAN list")),
            "{plan:?}"
        );
        assert!(plan.iter().any(|(.., step)| step.starts_with("SEARCH")), "{plan:?}");
    }
}

#[tokio::test]
async fn a_recipient_is_looked_up_by_indexes_alone() {
    let store = Fixture::new().await;
    let plan: Vec<String> = sqlx::query(
        "EXPLAIN QUERY PLAN SELECT id, name, domain FROM list WHERE name IN ($1, $2)
         AND domain IN (SELECT d.name FROM domain d WHERE d.name = $3 OR d.alias = $3)
         ORDER BY length(name) DESC LIMIT 1",
    )
    .bind("a")
    .bind("b")
    .bind("c")
    .try_map(|row: sqlx::sqlite::SqliteRow| sqlx::Row::try_get(&row, 3))
    .fetch_all(&store.inner.readers)
    .await
    .expect("plan");
    assert!(!plan.iter().any(|line| line.starts_with("SCAN")), "{plan:?}");
}
