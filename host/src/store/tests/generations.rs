//! What was changed since the tables of the MTA were made.

use super::*;

#[tokio::test]
async fn the_wanted_generation_only_rises() {
    let store = Fixture::new().await;
    let generation = || async { store.generation().await.map(|one| (one.wanted, one.applied)).expect("generation") };
    assert_eq!(generation().await, (0, 0));
    store.add_domain(&domain("example.com", None)).await.expect("domain");
    let list = store.made("ants@example.com").await;
    assert_eq!(generation().await, (2, 0));
    store.add_members(list, &[member("anne@example.com")]).await.expect("add");
    store.set_list_settings(list, &settings()).await.expect("set");
    assert_eq!(generation().await, (2, 0), "no adapter sees members or settings");
    store.mark_applied(2).await.expect("mark");
    store.mark_applied(1).await.expect("mark");
    assert_eq!(generation().await, (2, 2));
    store.mark_applied(99).await.expect("mark");
    assert_eq!(generation().await, (2, 2), "never wanted");
    store.remove_list(list).await.expect("remove");
    store.remove_domain(&domain_name("example.com")).await.expect("remove");
    assert_eq!(generation().await, (4, 2));
    store.close().await;
    assert_eq!(open(&store.file()).await.generation().await.expect("generation").wanted, 4);
}

#[tokio::test]
async fn generations_of_one_number_in_two_databases_have_different_ids() {
    let (one, other) = (Fixture::new().await, Fixture::new().await);
    let generation = |store: Store| async move { store.generation().await.expect("generation") };
    let (first, second) = (generation(one.store.clone()).await, generation(other.store.clone()).await);
    assert_eq!(first.wanted, second.wanted);
    assert_ne!(first.id, second.id);
    assert_eq!(first.id.len(), 32);
    for store in [&one, &other] {
        store.add_domain(&domain("example.com", None)).await.expect("added");
    }
    let (third, fourth) = (generation(one.store.clone()).await, generation(other.store.clone()).await);
    let from = |changes: Option<Changes>| changes.expect("kept").from;
    assert_eq!(from(one.changes(&third).await.expect("read")), first.id);
    assert_eq!(from(other.changes(&fourth).await.expect("read")), second.id);
    assert_ne!(third.id, fourth.id);
}

#[tokio::test]
async fn what_leads_from_the_applied_generation_to_the_wanted_one_is_kept() {
    let store = Fixture::new().await;
    let generation = || async { store.generation().await.expect("generation") };
    let changes = || async {
        let changes = store.changes(&generation().await).await.expect("read").expect("kept").changes;
        changes.iter().map(|one| format!("{} {:?} {}", one.subject, one.alias, one.added)).collect::<Vec<_>>()
    };
    assert_eq!(changes().await, Vec::<String>::new());
    assert_eq!(generation().await.changed_before, 0);
    store.add_domain(&domain("example.com", Some("x.example"))).await.expect("domain");
    let list = store.made("ants@example.com").await;
    store.made("bees@example.org").await;
    let before = generation().await.changed_before;
    assert!((crate::clock::unix_now_ms() - before).abs() < 600_000, "{before}");
    store.remove_list(list).await.expect("remove");
    store.remove_domain(&domain_name("example.com")).await.expect("remove");
    let all = [
        "example.com Some(\"x.example\") true",
        "ants@example.com Some(\"x.example\") true",
        "bees@example.org None true",
        "ants@example.com Some(\"x.example\") false",
        "example.com Some(\"x.example\") false",
    ];
    assert_eq!(changes().await, all);
    store.mark_applied(3).await.expect("marked");
    assert_eq!(changes().await, all[3..]);
    store.mark_applied(5).await.expect("marked");
    assert_eq!(changes().await, Vec::<String>::new());
}

#[tokio::test]
async fn stores_of_older_versions_know_no_changes_and_keep_their_generation() {
    use sqlx::{AssertSqlSafe, ConnectOptions, Connection, sqlite::SqliteConnectOptions};
    for (version, applied) in [(1, 7), (2, 7), (3, 7), (1, 5), (2, 5), (3, 5)] {
        let directory = tempfile::tempdir().expect("tempdir");
        let file = directory.path().join("postrider.db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let mut old = options.connect().await.expect("made");
        let named = if version == 3 { "UPDATE generation SET name = 'abc';" } else { "" };
        let sql = format!(
            "{} UPDATE generation SET wanted = 7, applied = {applied}; {named} PRAGMA application_id = {};
             PRAGMA user_version = {version}",
            super::schema::MIGRATIONS[..version].join(";"),
            super::schema::APPLICATION_ID,
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut old).await.expect("filled");
        old.close().await.expect("closed");

        let store = open(&file).await;
        let generation = store.generation().await.expect("read");
        assert_eq!((generation.wanted, generation.applied), (7, applied));
        assert!(if version == 3 { generation.id == "abc" } else { generation.id.len() == 32 }, "{}", generation.id);
        store.add_domain(&domain("example.com", None)).await.expect("added");
        let changes = store.changes(&store.generation().await.expect("read")).await.expect("read");
        let known = changes.map(|changes| (changes.from, changes.changes.len()));
        assert_eq!(known, (applied == 7).then_some((generation.id, 1)), "version {version}");
    }
}

#[tokio::test]
async fn everything_is_of_one_generation() {
    let store = Fixture::new().await;
    store.made("bees@example.org").await;
    store.made("ants@example.org").await;
    store.add_domain(&domain("example.com", Some("x.example"))).await.expect("domain");
    let all = store.everything().await.expect("read");
    assert_eq!(all.generation, store.generation().await.expect("read").id);
    assert_eq!(all.domains, store.domains().await.expect("read"));
    let addresses: BTreeSet<_> = all.lists.iter().map(ListAddress::to_string).collect();
    assert_eq!(addresses, ["ants@example.org", "bees@example.org"].map(String::from).into());
    // A connection that reads may be used again.
    for _ in 0..10 {
        store.everything().await.expect("read");
    }
}

#[tokio::test]
async fn changes_that_are_not_all_kept_or_understood_are_none() {
    let store = Fixture::new().await;
    let changes = || async { store.changes(&store.generation().await.expect("read")).await.expect("read") };
    let count = |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(&store.inner.readers);
    for number in 0..=super::generation::CHANGES_KEPT {
        let name = domain_name(&format!("d{number}.example"));
        store.add_domain(&Domain { name, alias: None, description: String::new() }).await.expect("added");
    }
    assert_eq!(changes().await, None, "the first ones are forgotten");
    assert_eq!(count("SELECT count(*) FROM change").await.expect("read"), super::generation::CHANGES_KEPT);
    store.mark_applied(2).await.expect("marked");
    assert_eq!(changes().await.expect("kept").changes.len() as i64, super::generation::CHANGES_KEPT - 1);
    for damage in ["kind = 'robot'", "subject = 'no domain'", "alias = '@'"] {
        let sql = format!("UPDATE change SET {damage} WHERE generation = 90");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&store.inner.writer).await.expect(damage);
        assert_eq!(changes().await, None, "{damage}");
        let mend = "UPDATE change SET kind = 'domain', subject = 'd89.example', alias = NULL WHERE generation = 90";
        sqlx::query(mend).execute(&store.inner.writer).await.expect("mended");
        assert!(changes().await.is_some());
    }
    // As if all were lost.
    sqlx::query("DELETE FROM change").execute(&store.inner.writer).await.expect("deleted");
    assert_eq!((store.generation().await.expect("read").id.as_str(), changes().await), ("", None));
}
