//! The file: several processes, strangers, trouble, backups.

use super::*;

#[tokio::test]
async fn two_processes_may_write_at_the_same_time() {
    let store = Fixture::new().await;
    let list = store.made("ants@example.com").await;
    let mut tasks = Vec::new();
    for process in 0..2 {
        let other = open(&store.file()).await;
        for n in 0..25 {
            let other = other.clone();
            tasks.push(tokio::spawn(async move {
                other.add_members(list, &[member(&format!("m{process}-{n}@example.com"))]).await.expect("add");
                other.create_list(&new_list(&format!("l{process}-{n}@example.com")), true).await.expect("create");
                other.count_post(list).await.expect("count");
            }));
        }
    }
    for task in tasks {
        task.await.expect("task");
    }
    assert_eq!(store.members(list, None).await.expect("members").len(), 50);
    assert_eq!(store.lists(None).await.expect("lists").len(), 51);
    assert_eq!(store.list_by_id(list).await.expect("list").expect("list").post_count, 50);
    assert_eq!(store.generation().await.expect("generation").wanted, 51);
}

#[tokio::test]
async fn several_processes_may_make_the_database_at_once() {
    let directory = tempfile::tempdir().expect("tempdir");
    let file = directory.path().join("postrider.db");
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let file = file.clone();
            tokio::spawn(async move {
                let store = open(&file).await;
                store.create_list(&new_list(&format!("l{n}@example.com")), true).await.expect("create");
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("task");
    }
    assert_eq!(open(&file).await.lists(None).await.expect("lists").len(), 4);
}

#[tokio::test]
async fn a_dropped_call_leaves_nothing_behind() {
    let store = Fixture::new().await;
    let new = new_list("ants@example.com");
    for _ in 0..20 {
        tokio::select! {
            biased;
            made = store.create_list(&new, true) => {
                if let Ok(list) = made {
                    store.remove_list(list.id).await.expect("remove");
                }
            }
            () = tokio::task::yield_now() => {}
        }
    }
    // The connection is free again, and no transaction is open in it.
    if let Ok(list) = store.find_list("ants@example.com").await {
        store.remove_list(list.id).await.expect("remove");
    }
    store.create_list(&new, true).await.expect("create");
}

async fn refused(file: &Path) -> String {
    Store::open(&DatabaseUrl::Sqlite(file.to_owned())).await.expect_err("refused").to_string()
}

#[tokio::test]
async fn files_of_others_and_of_newer_versions_stay_untouched() {
    for (sql, expected) in [
        ("CREATE TABLE mailinglist (id INTEGER)", "is not a Postrider database (application id 0x0)"),
        ("PRAGMA application_id = 0x50727370", "is not a Postrider database (application id 0x50727370)"),
        ("PRAGMA application_id = 0x50727374; PRAGMA user_version = 99", "newer Postrider (schema 99"),
    ] {
        let directory = tempfile::tempdir().expect("tempdir");
        let file = directory.path().join("postrider.db");
        rusqlite::Connection::open(&file).expect("open").execute_batch(sql).expect("sql");
        let before = std::fs::read(&file).expect("read");
        let error = refused(&file).await;
        assert!(error.contains(expected) && error.contains("postrider.db"), "{error}");
        assert_eq!(std::fs::read(&file).expect("read"), before, "{sql}");
    }
}

#[tokio::test]
async fn trouble_with_the_file_is_named() {
    let directory = tempfile::tempdir().expect("tempdir");
    let file = directory.path().join("postrider.db");
    std::fs::write(&file, "This is text. ".repeat(100)).expect("write");
    let error = refused(&file).await;
    assert!(error.contains("no SQLite file") && error.contains("postrider.db"), "{error}");

    let error = refused(&directory.path().join("missing/postrider.db")).await;
    assert!(error.contains("missing does not exist"), "{error}");
    let error = refused(directory.path()).await;
    assert!(error.contains("unable to open database file"), "{error}");

    // Truncated: the first page is whole, the tables are not.
    let store = Fixture::new().await;
    store.made("ants@example.com").await;
    store.close().await;
    std::fs::OpenOptions::new().write(true).open(store.file()).and_then(|f| f.set_len(4096)).expect("truncate");
    let error = match Store::open(&DatabaseUrl::Sqlite(store.file())).await {
        Ok(store) => store.lists(None).await.expect_err("damaged").to_string(),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("restore a backup"), "{error}");
}

/// Makes the writing connection meet the trouble that SQLite reports on a real system.
async fn pragma(store: &Store, pragma: &'static str) {
    sqlx::raw_sql(pragma).execute(&store.inner.writer).await.expect("pragma");
}

#[tokio::test]
async fn a_locked_full_or_read_only_database_says_what_to_do_and_stays_whole() {
    let store = Fixture::new().await;
    let list = store.made("ants@example.com").await;
    let file = store.file().display().to_string();

    pragma(&store, "PRAGMA busy_timeout = 0").await;
    let other = rusqlite::Connection::open(store.file()).expect("open");
    other.execute_batch("BEGIN IMMEDIATE").expect("lock");
    let error = store.create_list(&new_list("bees@example.com"), true).await.expect_err("locked").to_string();
    assert!(error.contains(&file) && error.contains("another process"), "{error}");
    assert_eq!(store.lists(None).await.expect("reading goes on").len(), 1);
    other.execute_batch("ROLLBACK").expect("unlock");

    pragma(&store, "PRAGMA max_page_count = 1").await;
    let error = store.hold(&held(list, 1), &vec![b'x'; 1 << 20]).await.expect_err("full").to_string();
    assert!(error.contains(&file) && error.contains("make room"), "{error}");
    assert!(store.held(None).await.expect("held").is_empty());
    pragma(&store, "PRAGMA max_page_count = 1000000").await;
    store.hold(&held(list, 1), &vec![b'x'; 1 << 20]).await.expect("room again");

    pragma(&store, "PRAGMA query_only = 1").await;
    let error = store.remove_list(list).await.expect_err("read-only").to_string();
    assert!(error.contains(&file) && error.contains("owner and mode"), "{error}");
    pragma(&store, "PRAGMA query_only = 0").await;
    store.remove_list(list).await.expect("writable again");
}

#[tokio::test]
async fn a_new_database_is_private_and_syncs_every_commit() {
    use std::os::unix::fs::PermissionsExt;
    let store = Fixture::new().await;
    store.made("ants@example.com").await;
    for name in ["postrider.db", "postrider.db-wal", "postrider.db-shm"] {
        let mode = store.directory.path().join(name).metadata().expect(name).permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    for (pragma, expected) in [("PRAGMA synchronous", 2), ("PRAGMA foreign_keys", 1)] {
        let value: i64 = sqlx::query_scalar(pragma).fetch_one(&store.inner.writer).await.expect("pragma");
        assert_eq!(value, expected, "{pragma}");
    }
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&store.inner.readers).await.expect("pragma");
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn a_backup_taken_in_use_is_a_working_database() {
    use std::os::unix::fs::PermissionsExt;
    let store = Fixture::new().await;
    let list = store.made("ants@example.com").await;
    store.add_members(list, &[member("anne@example.com")]).await.expect("add");
    store.hold(&held(list, 1), b"message").await.expect("hold");
    let copy = store.directory.path().join("copy.db");
    let open_transaction = store.begin().await.expect("begin");
    store.backup(&copy).await.expect("backup while somebody writes");
    drop(open_transaction);
    assert_eq!(copy.metadata().expect("copy").permissions().mode() & 0o777, 0o600);
    let error = store.backup(&copy).await.expect_err("exists").to_string();
    assert!(error.contains("copy.db") && error.contains("exists"), "{error}");
    store.remove_list(list).await.expect("remove");

    let restored = open(&copy).await;
    assert_eq!(texts(&restored.members(list, None).await.expect("members")), ["anne@example.com"]);
    assert_eq!(restored.held(None).await.expect("held").len(), 1);
    assert_eq!(restored.generation().await.expect("generation").wanted, 1);
    restored.remove_list(list).await.expect("remove");
    let next = restored.create_list(&new_list("bees@example.com"), true).await.expect("create");
    assert!(next.id > list, "numbers go on where they were");
}

/// Figures, no judgement: `cargo test --release -p postrider --lib store::tests::figures -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures only"]
async fn figures() {
    let store = Fixture::new().await;
    let start = Instant::now();
    for n in 0..1000 {
        store.made(&format!("list{n}@example.com")).await;
    }
    println!("create_list: {:?} each", start.elapsed() / 1000);
    for tasks in [1, 10] {
        let start = Instant::now();
        let running: Vec<_> = (0..tasks)
            .map(|_| {
                let store = store.store.clone();
                tokio::spawn(async move {
                    for n in 0..2000 {
                        let recipient = address(&format!("list{}-bounces+a=b.c@example.com", n % 1000));
                        assert!(store.resolve(&recipient, "+").await.expect("resolve").is_some());
                    }
                })
            })
            .collect();
        for one in running {
            one.await.expect("task");
        }
        println!("resolve, {tasks:2} at a time: {:?} each", start.elapsed() / (2000 * tasks));
    }
}
