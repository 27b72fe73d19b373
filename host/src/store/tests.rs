use super::*;
use crate::lists::{DeliveryStatus, Domain, DomainName, ListSettings, Member, NewList, PostAction, Role};
use std::collections::BTreeSet;
use std::time::Instant;

async fn open(file: &Path) -> Store {
    Store::open(&DatabaseUrl::Sqlite(file.to_owned())).await.expect("open")
}

/// A store of its own; the directory goes with it.
struct Fixture {
    directory: tempfile::TempDir,
    store: Store,
}

impl std::ops::Deref for Fixture {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let store = open(&directory.path().join("postrider.db")).await;
        Fixture { directory, store }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("postrider.db")
    }

    async fn made(&self, address: &str) -> i64 {
        self.create_list(&new_list(address), true).await.expect(address).id
    }
}

fn settings() -> ListSettings {
    ListSettings {
        display_name: "Ants".into(),
        description: "All about \"ants\"".into(),
        subject_prefix: "[Ants] ".into(),
        max_message_size: 40,
        skip_addressed: true,
        nonmember_action: PostAction::Hold,
        member_action: PostAction::Accept,
        ..ListSettings::default()
    }
}

fn new_list(address: &str) -> NewList {
    NewList { address: list_address(address), settings: settings() }
}

fn list_address(text: &str) -> ListAddress {
    ListAddress::parse(text).expect("address of a list")
}

fn domain_name(text: &str) -> DomainName {
    DomainName::parse(text).expect("domain")
}

fn domain(name: &str, alias: Option<&str>) -> Domain {
    Domain { name: domain_name(name), alias: alias.map(domain_name), description: "for people".into() }
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("address")
}

fn member(text: &str) -> Member {
    Member {
        address: address(text),
        display_name: String::new(),
        role: Role::Member,
        delivery: DeliveryStatus::Enabled,
    }
}

fn texts(members: &[Member]) -> Vec<&str> {
    members.iter().map(|one| one.address.as_str()).collect()
}

fn held(list: i64, arrival: i64) -> HeldPost {
    HeldPost {
        id: 0,
        list,
        arrival,
        sender: Some(address("stranger@example.net")),
        subject: "Grüße".into(),
        from: "A Stranger".into(),
        reason: "not a member".into(),
        held: 1_700_000_000,
        size: 0,
    }
}

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
async fn members_are_added_once_and_kept_as_they_were_given() {
    let store = Fixture::new().await;
    let list = store.made("ants@example.com").await;
    let anne = Member { display_name: "Anne \"A\" Person".into(), ..member("Anne@Example.com") };
    let owner = Member { role: Role::Owner, ..member("anne@example.com") };
    let bart = Member { delivery: DeliveryStatus::ByUser, ..member("bart@example.com") };
    let quoted = member("\"a b\"@example.com");
    let all = [bart.clone(), anne.clone(), owner, member("ANNE@example.com"), quoted.clone()];
    let added = store.add_members(list, &all).await.expect("add");
    assert_eq!(
        added,
        [
            Added::New(bart.address.clone()),
            Added::New(anne.address.clone()),
            Added::New(anne.address.clone()),
            Added::Already(anne.address.clone()),
            Added::New(quoted.address.clone()),
        ]
    );
    let again = store.add_members(list, &[member("Bart@example.com"), member("c@example.com")]).await.expect("add");
    assert_eq!(again, [Added::Already(bart.address.clone()), Added::New(address("c@example.com"))]);
    assert_eq!(store.add_members(list, &[]).await.expect("nobody"), []);

    let members = store.members(list, Some(Role::Member)).await.expect("members");
    assert_eq!(texts(&members), ["\"a b\"@example.com", "Anne@Example.com", "bart@example.com", "c@example.com"]);
    assert_eq!(members[1], anne);
    assert_eq!(members[2].delivery, DeliveryStatus::ByUser, "adding again changes nothing");
    assert_eq!(store.members(list, None).await.expect("members").len(), 5);
    let recipients = store.post_recipients(list, true).await.expect("recipients");
    assert_eq!(
        recipients.iter().map(|(address, _)| address.as_str()).collect::<Vec<_>>(),
        ["\"a b\"@example.com", "Anne@Example.com", "c@example.com"]
    );
    assert_eq!(recipients[1].1, anne.display_name);
    assert!(store.has_role(list, Role::Member, &address("ANNE@EXAMPLE.COM")).await.expect("member"));
    assert!(!store.has_role(list, Role::Moderator, &address("anne@example.com")).await.expect("member"));
    assert!(matches!(store.add_members(list + 1, &all).await, Err(StoreError::ListUnknown { .. })));
}

#[tokio::test]
async fn members_are_removed_by_role_and_then_forgotten() {
    let store = Fixture::new().await;
    let list = store.made("ants@example.com").await;
    let other = store.made("bees@example.com").await;
    let anne = member("anne@example.com");
    let owner = Member { role: Role::Owner, ..anne.clone() };
    store.add_members(list, &[anne.clone(), owner, member("bart@example.com")]).await.expect("add");
    store.add_members(other, std::slice::from_ref(&anne)).await.expect("add");

    let addresses = [address("Bart@example.com"), address("nobody@example.com"), anne.address.clone()];
    let missing = store.remove_members(list, Role::Member, &addresses).await.expect("remove");
    assert_eq!(missing, [address("nobody@example.com")]);
    assert_eq!(texts(&store.members(list, None).await.expect("members")), ["anne@example.com"]);
    for (named, name) in [(true, anne.display_name.clone()), (false, String::new())] {
        assert_eq!(store.post_recipients(other, named).await.expect("recipients"), [(anne.address.clone(), name)]);
    }
    assert_eq!(known_addresses(&store).await, 1, "bart is on no list any more");
    store.remove_list(list).await.expect("remove");
    store.remove_list(other).await.expect("remove");
    assert_eq!(known_addresses(&store).await, 0);
}

async fn known_addresses(store: &Store) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM address").fetch_one(&store.inner.readers).await.expect("count")
}

#[tokio::test]
async fn a_name_that_was_missing_is_taken_from_a_later_list() {
    let store = Fixture::new().await;
    let (list, other) = (store.made("ants@example.com").await, store.made("bees@example.com").await);
    store.add_members(list, &[member("anne@example.com")]).await.expect("add");
    for name in ["Anne", "Someone else"] {
        let named = Member { display_name: name.into(), ..member("anne@example.com") };
        store.add_members(other, &[named]).await.expect("add");
        store.remove_members(other, Role::Member, &[address("anne@example.com")]).await.expect("remove");
    }
    assert_eq!(store.members(list, None).await.expect("members")[0].display_name, "Anne");
}

#[tokio::test]
async fn a_hundred_thousand_members_are_one_transaction() {
    let store = Fixture::new().await;
    let list = store.made("ants@example.com").await;
    let many: Vec<Member> = (0..100_000).map(|n| member(&format!("member{n:06}@example.com"))).collect();
    let start = Instant::now();
    let added = store.add_members(list, &many).await.expect("add");
    println!("add_members of 100,000: {:?}", start.elapsed());
    assert!(added.iter().all(|one| matches!(one, Added::New(_))));
    let start = Instant::now();
    let recipients = store.post_recipients(list, false).await.expect("recipients");
    let recipients: Vec<EmailAddress> = recipients.into_iter().map(|(address, _)| address).collect();
    println!("post_recipients of 100,000: {:?}", start.elapsed());
    assert_eq!(recipients.len(), 100_000);
    assert!(recipients.is_sorted());
    let start = Instant::now();
    assert!(store.remove_members(list, Role::Member, &recipients).await.expect("remove").is_empty());
    println!("remove_members of 100,000: {:?}", start.elapsed());
    assert!(store.post_recipients(list, false).await.expect("recipients").is_empty());
}

#[tokio::test]
async fn a_post_is_held_once_however_often_it_is_tried() {
    let store = Fixture::new().await;
    let list = store.made("ants@example.com").await;
    let id = store.hold(&held(list, 7), b"Subject: x\r\n\r\n").await.expect("hold");
    assert_eq!(store.hold(&held(list, 7), b"Subject: x\r\n\r\n").await.expect("again"), id);
    let other = store.hold(&held(list, 8), b"Subject: x\r\n\r\n").await.expect("another arrival");
    assert_ne!(other, id);
    let same_number = store.hold(&held(list, 7), b"another message").await.expect("a new spool begins at 1 again");
    assert!(same_number > other);

    let (post, message) = store.held_post(id).await.expect("held").expect("it is there");
    assert_eq!(post, HeldPost { id, size: 14, ..held(list, 7) });
    assert_eq!(message, b"Subject: x\r\n\r\n");
    let all: Vec<i64> = store.held(None).await.expect("held").iter().map(|one| one.id).collect();
    assert_eq!(all, [id, other, same_number]);
    assert!(store.held(Some(list + 1)).await.expect("held").is_empty());
    store.drop_held(id).await.expect("drop");
    store.drop_held(id).await.expect("again is no error");
    assert_eq!(store.held_post(id).await.expect("held"), None);
    assert!(matches!(store.hold(&held(list + 1, 9), b"x").await, Err(StoreError::ListUnknown { .. })));

    let bounce = HeldPost { sender: None, ..held(list, 10) };
    let id = store.hold(&bounce, b"x").await.expect("hold");
    assert_eq!(store.held_post(id).await.expect("held").expect("held").0.sender, None);
    store.remove_list(list).await.expect("remove");
    assert!(store.held(None).await.expect("held").is_empty(), "held posts go with their list");
}

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
