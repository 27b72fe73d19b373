//! Who opens the spool, what he finds there, and what a backup has of it.

use super::*;

#[tokio::test]
async fn a_starting_daemon_removes_leftovers_only() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let large = vec![b'x'; MAX_INLINE + 1];
    spool.accept(incoming(&large)).await.expect("accept");
    spool.close().await;
    std::fs::write(dir.path().join("spool/bodies/crashed.tmp"), b"x").expect("leftover");
    std::fs::write(dir.path().join("spool/bodies/crashed"), b"x").expect("leftover");
    // A command beside it that is about to commit.
    let command = Spool::open(dir.path(), &COMMAND).expect("command");
    let mut writing = command.body_writer();
    writing.write(&large).await.expect("write");
    let mut written = command.body_writer();
    written.write(&large).await.expect("write");
    let written = written.finish().await.expect("finish");
    assert_eq!(body_files(dir.path()).len(), 5);

    let spool = open(dir.path());
    assert_eq!(body_files(dir.path()).len(), 3);
    for message in [written, writing.finish().await.expect("finish")] {
        command.accept(Incoming { message, ..incoming(b"") }).await.expect("accept");
    }
    for arrival in spool.arrivals().await.expect("arrivals") {
        assert_eq!(spool.message(arrival.message).await.expect("message").len(), large.len());
    }
}

#[tokio::test]
async fn messages_of_a_database_that_is_gone_are_set_aside_not_removed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let large = vec![b'x'; MAX_INLINE + 1];
    spool.accept(incoming(&large)).await.expect("accept");
    spool.close().await;
    let (name, database) = (body_files(dir.path()).remove(0), dir.path().join(DATABASE));
    std::fs::rename(&database, dir.path().join("old.db")).expect("move it away");
    // Whoever makes it anew, a command or the daemon, and whoever comes later.
    Spool::open(dir.path(), &COMMAND).expect("command").close().await;
    let spool = open(dir.path());
    assert!(body_files(dir.path()).is_empty());
    let orphan = dir.path().join("spool/orphans").join(name.file_name().expect("name"));
    assert!(std::fs::read(&orphan).expect("set aside") == large);
    spool.accept(incoming(&large)).await.expect("accept");
    spool.close().await;

    // The old one turns up.
    std::fs::rename(dir.path().join("old.db"), &database).expect("database");
    std::fs::rename(&orphan, &name).expect("message");
    let spool = open(dir.path());
    let arrival = spool.arrivals().await.expect("arrivals").remove(0);
    assert!(spool.message(arrival.message).await.expect("message")[..] == large);
}

#[tokio::test]
async fn a_second_daemon_is_refused_until_the_first_has_ended() {
    let dir = tempfile::tempdir().expect("tempdir");
    let first = open(dir.path());
    let error = Spool::open(dir.path(), &DAEMON).expect_err("in use");
    assert!(matches!(error, SpoolError::InUse { .. }));
    assert!(error.to_string().contains("spool/lock"), "{error}");
    Spool::open(dir.path(), &COMMAND).expect("a command may work beside it");
    first.close().await;
    open(dir.path());
}

#[tokio::test]
async fn several_processes_may_make_the_spool_at_once() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().to_owned();
    let openers: Vec<_> = (0..6)
        .map(|n| {
            let path = path.clone();
            let options = if n == 0 { DAEMON } else { COMMAND };
            tokio::task::spawn_blocking(move || Spool::open(&path, &options))
        })
        .collect();
    for opener in openers {
        let spool = opener.await.expect("thread").expect("open");
        spool.accept(incoming(b"x")).await.expect("accept");
    }
    let spool = open(dir.path());
    assert_eq!(spool.arrivals().await.expect("arrivals").len(), 6);
}

#[tokio::test]
async fn a_missing_data_directory_is_named() {
    let error = Spool::open(Path::new("/nonexistent/postrider"), &DAEMON).expect_err("missing").to_string();
    assert!(error.contains("/nonexistent/postrider") && error.contains("does not exist"), "{error}");
}

#[tokio::test]
async fn files_of_others_and_of_newer_versions_stay_untouched() {
    for (sql, matches) in [
        ("CREATE TABLE mailinglist (id INTEGER)", "is not a Postrider spool (application id 0x0)"),
        ("PRAGMA application_id = 0x12345678", "is not a Postrider spool (application id 0x12345678)"),
        ("PRAGMA application_id = 0x50727370; PRAGMA user_version = 99", "newer Postrider (schema 99"),
    ] {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("spool.db");
        Connection::open(&file).expect("open").execute_batch(sql).expect("sql");
        let before = std::fs::read(&file).expect("read");
        let error = Spool::open(dir.path(), &DAEMON).expect_err(sql).to_string();
        assert!(error.contains(matches), "{error}");
        assert_eq!(std::fs::read(&file).expect("read"), before, "{sql}");
    }
    let dir = tempfile::tempdir().expect("tempdir");
    std::fs::write(dir.path().join("spool.db"), "This is text. ".repeat(100)).expect("write");
    let error = Spool::open(dir.path(), &DAEMON).expect_err("text").to_string();
    assert!(error.contains("no SQLite file"), "{error}");
}

#[tokio::test]
async fn a_new_spool_is_private_and_can_shrink() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    spool.accept(incoming(&vec![0; MAX_INLINE + 1])).await.expect("accept");
    let mode = |path: &Path| path.metadata().expect("metadata").permissions().mode() & 0o777;
    for name in ["spool.db", "spool.db-wal", "spool.db-shm", "spool/lock"] {
        assert_eq!(mode(&dir.path().join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&body_files(dir.path())[0]), 0o600);
    assert_eq!(mode(&dir.path().join("spool/bodies")), 0o700);
    let pragma = |name: &'static str| {
        spool.change(move |db, _| db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)))
    };
    assert_eq!(pragma("auto_vacuum").await.expect("pragma"), 2);
    assert_eq!(pragma("synchronous").await.expect("pragma"), 2);
}

#[tokio::test]
async fn a_spool_of_the_first_version_is_brought_up_and_what_waits_in_it_goes_out() {
    let dir = tempfile::tempdir().expect("tempdir");
    let old = rusqlite::Connection::open(dir.path().join("spool.db")).expect("a database");
    old.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; {} PRAGMA application_id = {}; PRAGMA user_version = 1;
         INSERT INTO body (id, size, data) VALUES (5, 6, x'413a20620d0a');
         INSERT INTO outgoing (id, body, list, list_address, message_id, sender_kind, sender, queued)
         VALUES (9, 5, 7, 'ants@example.com', '<m@x>', 'verp', 'ants-bounces@example.com', 1);
         INSERT INTO recipient (outgoing, address, attempts) VALUES (9, 'a@x', 2), (9, 'b@x', 0);",
        schema::MIGRATIONS[0],
        schema::APPLICATION_ID
    ))
    .expect("an old spool");
    drop(old);
    let spool = open(dir.path());
    let batch = next(&spool, 10).await;
    assert_eq!((batch.outgoing, &batch.message[..], &batch.splices), (9, &b"A: b\r\n"[..], &None));
    assert_eq!(addresses(&batch), ["a@x", "b@x"]);
    assert_eq!((batch.recipients[0].attempts, batch.recipients[0].name.as_str()), (2, ""));
    spool.record(batch.outgoing, delivered(&batch), false).await.expect("record");
    spool.fan_out(None, vec![personal(b"x\r\n")]).await.expect("fan_out");
    assert!(next(&spool, 10).await.splices.is_some());
}

#[tokio::test]
async fn a_spool_that_was_closed_is_free_whoever_has_inherited_its_lock() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    // As a process that is just being started has it, until it runs its program.
    let inherited = locked(&spool.inner.lock).as_ref().expect("the daemon's").try_clone().expect("a copy");
    assert!(matches!(Spool::open(dir.path(), &DAEMON), Err(SpoolError::InUse { .. })));
    spool.close().await;
    open(dir.path()).close().await;
    drop(inherited);
}

#[tokio::test]
async fn a_backup_taken_in_use_is_a_working_spool() {
    let dir = tempfile::tempdir().expect("tempdir");
    let spool = open(dir.path());
    let large = vec![b'x'; MAX_INLINE + 1];
    spool.accept(incoming(&large)).await.expect("accept");
    spool.fan_out(None, vec![outgoing(b"post", 30)]).await.expect("fan_out");
    let batch = next(&spool, 10).await;
    spool.record(batch.outgoing, delivered(&batch), false).await.expect("record");
    // Large messages come and go meanwhile.
    let busy = tokio::spawn({
        let spool = spool.clone();
        let large = large.clone();
        async move {
            for _ in 0..30 {
                let message = spool.accept(incoming(&large)).await.expect("accept");
                let all = spool.arrivals().await.expect("arrivals");
                let arrival = all.iter().find(|one| one.message == message).expect("arrival").id;
                spool.finish(vec![arrival]).await.expect("finish");
            }
        }
    });
    let copies = tempfile::tempdir().expect("tempdir");
    for n in 0..5 {
        spool.backup(&copies.path().join(n.to_string()), || ()).await.expect("backup");
    }
    busy.await.expect("busy");
    let error = spool.backup(&copies.path().join("0"), || ()).await.expect_err("exists").to_string();
    assert!(error.contains("not empty"), "{error}");
    spool.accept(incoming(b"later")).await.expect("accept");
    assert_eq!(body_files(dir.path()).len(), 1, "what a backup kept is removed after it");

    for n in 0..5 {
        let restored = open(&copies.path().join(n.to_string()));
        for arrival in restored.arrivals().await.expect("arrivals") {
            assert_eq!(restored.message(arrival.message).await.expect("message")[..], large[..]);
        }
        assert_eq!(next(&restored, 100).await.recipients.len(), 20);
        let auto_vacuum = restored.read(|db| db.query_row("PRAGMA auto_vacuum", [], |row| row.get::<_, i64>(0))).await;
        assert_eq!(auto_vacuum.expect("pragma"), 2);
    }
}

#[test]
fn the_recipe_for_a_damaged_file_makes_one_of_this_version() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/durability.md");
    let recipe = std::fs::read_to_string(document).expect("the document");
    let wanted =
        format!("application_id = 0x{:x}; PRAGMA user_version = {};", schema::APPLICATION_ID, schema::MIGRATIONS.len());
    assert!(recipe.contains(&wanted), "{wanted}");
}
