//! Members, and posts that wait for a moderator.

use super::*;

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
