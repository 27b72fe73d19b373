use super::*;
use crate::config::DatabaseUrl;
use crate::lists::{DeliveryStatus, ListAddress, Member, NewList, Personalize, PostAction};
use crate::personal::Own;
use crate::post::moderation::ModerationError;
use crate::post::testing::{address, settings};
use crate::post::worker::Worker;
use crate::spool::{Body, EnvelopeSender, Incoming, IncomingRecipient, SpoolOptions};
use std::sync::Arc;
use tempfile::TempDir;

/// A list with members, and the pipeline over real stores.
struct House {
    processor: Processor,
    list: List,
    directory: TempDir,
}

impl House {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let url = DatabaseUrl::Sqlite(directory.path().join("store.db"));
        let store = Store::open(&url).await.expect("store");
        let options = SpoolOptions { min_free_space: 0, exclusive: true };
        let spool = Spool::open(directory.path(), &options).expect("spool");
        let new = NewList { address: ListAddress::parse("ants@example.com").expect("address"), settings: settings() };
        let list = store.create_list(&new, true).await.expect("list");
        let settings = PostSettings {
            site_owner: Some(address("root@example.org")),
            verp_delivery_interval: 0,
            verp_personalized_deliveries: true,
            delimiter: "+".into(),
        };
        let house = House { processor: Processor::new(store, spool, settings), list, directory };
        house.add(Role::Member, &["anne@example.net", "bob@example.net"]).await;
        house
    }

    async fn add(&self, role: Role, addresses: &[&str]) {
        let members: Vec<Member> = addresses
            .iter()
            .map(|one| Member {
                address: address(one),
                display_name: String::new(),
                role,
                delivery: DeliveryStatus::Enabled,
            })
            .collect();
        self.store().add_members(self.list.id, &members).await.expect("members");
    }

    async fn set(&mut self, change: impl FnOnce(&mut crate::lists::ListSettings)) {
        change(&mut self.list.settings);
        self.store().set_list_settings(self.list.id, &self.list.settings).await.expect("settings");
    }

    fn store(&self) -> &Store {
        &self.processor.store
    }

    fn spool(&self) -> &Spool {
        &self.processor.spool
    }

    /// An arrival for a function of the list.
    async fn arrives(&self, function: Subaddress, sender: &str, message: &[u8]) -> Arrival {
        let recipient = IncomingRecipient {
            list: self.list.id,
            list_address: self.list.address.to_string(),
            function,
            recipient: self.list.address.to_string(),
            detail: None,
        };
        self.arrives_at(recipient, sender, message).await
    }

    async fn arrives_at(&self, recipient: IncomingRecipient, sender: &str, message: &[u8]) -> Arrival {
        let sender = (!sender.is_empty()).then(|| address(sender));
        let message = Body::Memory(Arc::from(message));
        self.spool().accept(Incoming { sender, recipients: vec![recipient], message }).await.expect("accepted");
        self.spool().new_arrivals(0, 100).expect("arrivals").pop().expect("an arrival")
    }

    /// A message for a function of the list, processed.
    async fn process(&self, function: Subaddress, sender: &str, message: &[u8]) {
        let arrival = self.arrives(function, sender, message).await;
        self.settle(&arrival).await;
    }

    /// Processes it; removes it if it is discarded, as the worker does.
    async fn settle(&self, arrival: &Arrival) {
        if self.processor.process(arrival).await.expect("processed") == Done::Discarded {
            self.spool().finish(vec![arrival.id]).await.expect("removed");
        }
    }

    /// Everything that goes out: envelope sender, recipients, message.
    async fn out(&self) -> Vec<(EnvelopeSender, Vec<String>, String)> {
        let mut out = Vec::new();
        while let Some(batch) = self.spool().due(1000).await.expect("due") {
            let recipients = batch.recipients.iter().map(|one| one.address.to_string()).collect();
            out.push((batch.sender, recipients, String::from_utf8_lossy(&batch.message).into_owned()));
        }
        out
    }

    async fn arrivals(&self) -> Vec<Arrival> {
        self.spool().arrivals().await.expect("arrivals")
    }
}

const POST: &[u8] = b"From: Anne <anne@example.net>\r\nTo: ants@example.com, bob@example.net\r\n\
    Subject: News\r\nMessage-ID: <1@example.net>\r\n\r\nHello\r\n";

fn from(sender: &str) -> Vec<u8> {
    format!("From: {sender}\r\nSubject: News\r\nMessage-ID: <1@example.net>\r\n\r\nHello\r\n").into_bytes()
}

#[tokio::test]
async fn a_members_post_goes_to_every_member_with_the_lists_header() {
    let house = House::new().await;
    house.process(Subaddress::Post, "anne@example.net", POST).await;
    let out = house.out().await;
    assert_eq!(out.len(), 1);
    let (sender, recipients, message) = &out[0];
    assert_eq!(*sender, EnvelopeSender::Fixed("ants-bounces@example.com".into()));
    assert_eq!(*recipients, ["anne@example.net", "bob@example.net"]);
    assert!(message.contains("\r\nSubject: [Ants] News\r\n"), "{message}");
    assert!(message.contains("\r\nList-Id: <ants.example.com>\r\n"), "{message}");
    assert!(house.arrivals().await.is_empty());
    assert_eq!(house.store().list_by_id(house.list.id).await.expect("store").expect("list").post_count, 1);
}

#[tokio::test]
async fn the_already_addressed_get_no_second_copy_where_the_list_wants_it() {
    let mut house = House::new().await;
    house.set(|settings| settings.skip_addressed = true).await;
    house.process(Subaddress::Post, "anne@example.net", POST).await;
    assert_eq!(house.out().await[0].1, ["anne@example.net"]);
}

#[tokio::test]
async fn every_second_post_is_sent_with_verp() {
    let mut house = House::new().await;
    house.processor.settings.verp_delivery_interval = 2;
    for _ in 0..2 {
        house.process(Subaddress::Post, "anne@example.net", POST).await;
    }
    let mut senders: Vec<bool> =
        house.out().await.into_iter().map(|(sender, ..)| matches!(sender, EnvelopeSender::Verp(_))).collect();
    senders.sort_unstable();
    assert_eq!(senders, [false, true]);
}

#[tokio::test]
async fn each_member_gets_a_copy_of_his_own_where_the_list_wants_it() {
    let mut house = House::new().await;
    let carla =
        Member { display_name: "Carla\r\nBcc: x@y".into(), ..Member::new(address("Carla@example.net"), Role::Member) };
    house.store().add_members(house.list.id, &[carla]).await.expect("members");
    for verp in [false, true] {
        house.processor.settings.verp_personalized_deliveries = verp;
        for personalize in Personalize::ALL {
            house
                .set(|settings| {
                    settings.personalize = personalize;
                    settings.footer = "$list_name $user_name".into();
                })
                .await;
            house.process(Subaddress::Post, "anne@example.net", POST).await;
            let batch = house.spool().due(1000).await.expect("due").expect("a batch");
            let message = String::from_utf8_lossy(&batch.message).into_owned();
            let own = personalize != Personalize::None;
            assert_eq!(batch.splices.is_some(), own);
            assert_eq!(matches!(batch.sender, EnvelopeSender::Verp(_)), own && verp);
            let names: Vec<&str> = batch.recipients.iter().map(|one| one.name.as_str()).collect();
            let Some(splices) = batch.splices else {
                assert!(message.ends_with("\r\n\r\nHello\r\nants $user_name\r\n"), "{message}");
                assert_eq!(names, ["", "", ""]);
                continue;
            };
            assert_eq!(names, ["", "", "Carla  Bcc: x@y"]);
            let full = personalize == Personalize::Full;
            assert_eq!(message.contains("\r\nTo: ants@example.com"), !full);
            let carla = &batch.recipients[2];
            let copy = Own::of(&splices, &carla.address, &carla.name).put_into(&batch.message, &splices);
            let copy = String::from_utf8(copy).expect("text");
            assert!(copy.ends_with("\r\n\r\nHello\r\nants Carla  Bcc: x@y\r\n"), "{copy}");
            assert_eq!(copy.contains("\r\nTo: \"Carla  Bcc: x@y\" <Carla@example.net>\r\n"), full, "{copy}");
        }
    }
}

#[tokio::test]
async fn a_strangers_post_is_held_and_the_people_behind_the_list_are_told_once() {
    let house = House::new().await;
    house.add(Role::Owner, &["olga@example.org", "both@example.org"]).await;
    house.add(Role::Moderator, &["both@example.org"]).await;
    let arrival = house.arrives(Subaddress::Post, "eve@example.org", &from("eve@example.org")).await;
    // As after a crash between the two commits: held already, arrival still there.
    let again = arrival.clone();
    let held = HeldPost {
        id: 0,
        list: house.list.id,
        arrival: arrival.id,
        sender: None,
        subject: String::new(),
        from: String::new(),
        reason: String::new(),
        held: 0,
        size: 0,
    };
    let id = house.store().hold(&held, &from("eve@example.org")).await.expect("held");
    house.settle(&arrival).await;
    house.settle(&again).await;
    let posts = house.store().held(None).await.expect("held");
    assert_eq!(posts.iter().map(|post| post.id).collect::<Vec<_>>(), [id]);
    let out = house.out().await;
    assert_eq!(out.len(), 1, "{out:?}");
    assert_eq!(
        (&out[0].0, &out[0].1[..]),
        (&EnvelopeSender::Null, &["both@example.org".to_owned(), "olga@example.org".to_owned()][..])
    );
    assert!(out[0].2.contains(&format!("postrider held accept {id}")), "{}", out[0].2);
    assert!(house.arrivals().await.is_empty());
}

#[tokio::test]
async fn a_held_post_shows_who_what_and_why() {
    let house = House::new().await;
    house.process(Subaddress::Post, "eve@example.org", &from("Eve <eve@example.org>")).await;
    let post = house.store().held(Some(house.list.id)).await.expect("held").remove(0);
    assert_eq!((post.from.as_str(), post.subject.as_str()), ("Eve <eve@example.org>", "News"));
    assert_eq!(post.reason, "the author is not a member of the list");
    assert_eq!(post.sender, Some(address("eve@example.org")));
    assert_eq!(house.out().await[0].1, ["root@example.org"], "without owners the site owner is told");
}

#[tokio::test]
async fn a_list_that_owns_itself_is_not_told_of_its_own_held_posts() {
    let house = House::new().await;
    house.add(Role::Owner, &["ants@example.com", "Ants-Owner+x@example.com"]).await;
    house.process(Subaddress::Post, "eve@example.org", &from("eve@example.org")).await;
    let out = house.out().await;
    assert_eq!(out[0].1, ["root@example.org"], "the site owner is told instead");
    house.add(Role::Owner, &["olga@example.org"]).await;
    house.process(Subaddress::Post, "eve@example.org", &from("eve@example.org")).await;
    assert_eq!(house.out().await[0].1, ["olga@example.org"]);
    // By whatever detour the notice comes back, it ends here.
    house.process(Subaddress::Post, "", out[0].2.as_bytes()).await;
    house.process(Subaddress::Post, "olga@example.org", out[0].2.as_bytes()).await;
    assert!(house.out().await.is_empty() && house.arrivals().await.is_empty());
    assert_eq!(house.store().held(None).await.expect("held").len(), 2);
}

#[tokio::test]
async fn two_lists_that_own_each_other_do_not_tell_each_other_for_ever() {
    let house = House::new().await;
    house.add(Role::Owner, &["bees@example.com"]).await;
    let new = NewList { address: ListAddress::parse("bees@example.com").expect("address"), settings: settings() };
    let bees = house.store().create_list(&new, true).await.expect("list");
    let owner = Member {
        address: address("ants@example.com"),
        display_name: String::new(),
        role: Role::Owner,
        delivery: DeliveryStatus::Enabled,
    };
    house.store().add_members(bees.id, &[owner]).await.expect("owner");
    house.process(Subaddress::Post, "eve@example.org", &from("eve@example.org")).await;
    let notice = house.out().await.remove(0);
    assert_eq!(notice.1, ["bees@example.com"]);
    let recipient = IncomingRecipient {
        list: bees.id,
        list_address: bees.address.to_string(),
        function: Subaddress::Post,
        recipient: bees.address.to_string(),
        detail: None,
    };
    for sender in ["", "rewritten@example.org"] {
        let arrival = house.arrives_at(recipient.clone(), sender, notice.2.as_bytes()).await;
        house.settle(&arrival).await;
    }
    assert!(house.out().await.is_empty(), "held at the other list, and nobody is told");
    assert_eq!(house.store().held(Some(bees.id)).await.expect("held").len(), 2);
}

#[tokio::test]
async fn nobody_is_told_of_a_held_delivery_report() {
    let house = House::new().await;
    house.process(Subaddress::Post, "", &from("MAILER-DAEMON@example.org")).await;
    assert_eq!(house.store().held(None).await.expect("held").len(), 1, "held all the same");
    assert!(house.out().await.is_empty());
}

#[tokio::test]
async fn an_accepted_post_goes_out_as_if_it_had_never_been_held() {
    let house = House::new().await;
    house.process(Subaddress::Post, "eve@example.org", &from("eve@example.org")).await;
    let _notice = house.out().await;
    let id = house.store().held(None).await.expect("held")[0].id;
    let decided = house.processor.accept_held(id).await.expect("accepted");
    assert_eq!(decided.recipients, 2);
    let out = house.out().await;
    assert_eq!(out[0].1, ["anne@example.net", "bob@example.net"]);
    assert!(out[0].2.contains("\r\nSubject: [Ants] News\r\n") && out[0].2.contains("X-MailFrom: eve@example.org"));
    assert!(house.store().held(None).await.expect("held").is_empty());
    assert!(matches!(house.processor.accept_held(id).await, Err(ModerationError::Unknown(_))));
}

#[tokio::test]
async fn a_moderator_rejects_with_words_or_discards_without() {
    let house = House::new().await;
    for _ in 0..2 {
        house.process(Subaddress::Post, "eve@example.org", &from("eve@example.org")).await;
    }
    let _notices = house.out().await;
    let held = house.store().held(None).await.expect("held");
    house.processor.reject_held(held[0].id, "This list is about ants.").await.expect("rejected");
    let out = house.out().await;
    assert_eq!((&out[0].0, &out[0].1[..]), (&EnvelopeSender::Null, &["eve@example.org".to_owned()][..]));
    assert!(out[0].2.contains("This list is about ants."), "{}", out[0].2);
    house.processor.discard_held(held[1].id).await.expect("discarded");
    assert!(house.out().await.is_empty());
    assert!(house.store().held(None).await.expect("held").is_empty());
}

#[tokio::test]
async fn of_several_decisions_about_one_post_one_takes_effect() {
    let house = House::new().await;
    house.process(Subaddress::Post, "eve@example.org", &from("eve@example.org")).await;
    let _notice = house.out().await;
    let (post, message) = {
        let id = house.store().held(None).await.expect("held")[0].id;
        house.store().held_post(id).await.expect("held").expect("post")
    };
    let processor = &house.processor;
    let (one, two, three) =
        tokio::join!(processor.accept_held(post.id), processor.accept_held(post.id), processor.accept_held(post.id));
    assert_eq!([one, two, three].iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(house.out().await.len(), 1);
    // As after a crash between the two commits: decided, and still in the store.
    let store = rusqlite::Connection::open(house.directory.path().join("store.db")).expect("database");
    let restore = || {
        store
            .execute(
                "INSERT INTO held (id, list, arrival, digest, subject, from_, reason, held, size, message)
                 VALUES (?1, ?2, ?3, '', '', '', '', ?4, ?5, ?6)",
                rusqlite::params![post.id, post.list, post.arrival, post.held, post.size as i64, message],
            )
            .expect("restored");
    };
    restore();
    assert!(matches!(processor.accept_held(post.id).await, Err(ModerationError::Decided(_))));
    restore();
    assert!(matches!(processor.reject_held(post.id, "").await, Err(ModerationError::Decided(_))));
    restore();
    assert!(matches!(processor.discard_held(post.id).await, Err(ModerationError::Decided(_))));
    assert!(house.out().await.is_empty());
    assert!(house.store().held(None).await.expect("held").is_empty(), "it is not offered for ever");
}

#[tokio::test]
async fn a_rejected_post_is_answered_unless_a_program_sent_it() {
    let mut house = House::new().await;
    house.set(|settings| settings.nonmember_action = PostAction::Reject).await;
    house.process(Subaddress::Post, "eve@example.org", &from("eve@example.org")).await;
    assert_eq!(house.out().await[0].1, ["eve@example.org"]);
    house.process(Subaddress::Post, "eve@example.org", b"Precedence: bulk\r\n\r\n").await;
    assert!(house.out().await.is_empty());
    assert!(house.arrivals().await.is_empty());
}

#[tokio::test]
async fn a_post_that_comes_back_is_discarded() {
    let house = House::new().await;
    house.process(Subaddress::Post, "anne@example.net", POST).await;
    let sent = house.out().await.remove(0).2;
    house.process(Subaddress::Post, "anne@example.net", sent.as_bytes()).await;
    assert!(house.out().await.is_empty());
    assert!(house.arrivals().await.is_empty() && house.store().held(None).await.expect("held").is_empty());
}

#[tokio::test]
async fn mail_for_the_owners_reaches_owners_and_moderators_untouched_but_for_the_loop_mark() {
    let house = House::new().await;
    house.add(Role::Owner, &["olga@example.org"]).await;
    house.add(Role::Moderator, &["mo@example.org"]).await;
    house.process(Subaddress::Owner, "eve@example.org", &from("eve@example.org")).await;
    let out = house.out().await;
    assert_eq!(out[0].0, EnvelopeSender::Fixed("ants-bounces@example.com".into()));
    assert_eq!(out[0].1, ["mo@example.org", "olga@example.org"]);
    let expected = String::from_utf8_lossy(&from("eve@example.org"))
        .replace("\r\n\r\n", "\r\nX-BeenThere: ants-owner@example.com\r\n\r\n");
    assert_eq!(out[0].2, expected);
    house.process(Subaddress::Owner, "", b"Subject: Undelivered\r\n\r\n").await;
    assert_eq!(house.out().await[0].0, EnvelopeSender::Null, "what came from <> goes on from <>");
    house.process(Subaddress::Owner, "eve@example.org", expected.as_bytes()).await;
    let arrivals = house.arrivals().await;
    assert_eq!(arrivals[0].state, ArrivalState::Shunted);
    assert!(arrivals[0].reason.contains("came back"), "{}", arrivals[0].reason);
    // The loop mark would be where it is not looked for.
    let large = "a:\r\n".repeat(5000) + "\r\n";
    house.process(Subaddress::Owner, "eve@example.org", large.as_bytes()).await;
    let arrivals = house.arrivals().await;
    assert!(arrivals[1].reason.contains("header is too large"), "{}", arrivals[1].reason);
    assert!(house.out().await.is_empty());
}

#[tokio::test]
async fn the_postmasters_mail_goes_to_the_site_owner_or_is_kept_visible() {
    let mut house = House::new().await;
    let postmaster = || IncomingRecipient {
        list: 0,
        list_address: String::new(),
        function: Subaddress::Owner,
        recipient: "postmaster@example.com".into(),
        detail: None,
    };
    let arrival = house.arrives_at(postmaster(), "eve@example.org", POST).await;
    house.settle(&arrival).await;
    let out = house.out().await;
    assert_eq!((&out[0].0, &out[0].1[..]), (&EnvelopeSender::Null, &["root@example.org".to_owned()][..]));
    house.processor.settings.site_owner = None;
    let arrival = house.arrives_at(postmaster(), "eve@example.org", POST).await;
    house.settle(&arrival).await;
    let arrivals = house.arrivals().await;
    assert_eq!(arrivals[0].state, ArrivalState::Shunted);
    assert!(arrivals[0].reason.contains("site_owner"), "{}", arrivals[0].reason);
}

#[tokio::test]
async fn the_default_site_owner_is_nobody_and_gets_nothing() {
    let mut house = House::new().await;
    house.processor.settings = PostSettings::from_config(&Config::built_in().config);
    assert_eq!(house.processor.settings.site_owner, None);
    house.process(Subaddress::Owner, "eve@example.org", POST).await;
    house.process(Subaddress::Post, "eve@example.org", &from("eve@example.org")).await;
    assert!(house.out().await.is_empty());
    let arrivals = house.arrivals().await;
    assert_eq!((arrivals.len(), arrivals[0].state), (1, ArrivalState::Shunted));
    assert!(arrivals[0].reason.contains("[mailman] site_owner is not set"), "{}", arrivals[0].reason);
}

#[tokio::test]
async fn an_endless_message_id_does_not_go_into_queue_and_log() {
    let house = House::new().await;
    house.add(Role::Owner, &["olga@example.org"]).await;
    let message = format!("From: anne@example.net\r\nMessage-ID: <{}@x>\r\n\r\n", "a".repeat(20_000));
    for function in [Subaddress::Post, Subaddress::Owner] {
        house.process(function, "anne@example.net", message.as_bytes()).await;
    }
    let queue = house.spool().outgoing().await.expect("queue");
    assert_eq!(queue.iter().map(|one| one.message_id.len()).collect::<Vec<_>>(), [998, 998]);
    assert!(house.out().await.iter().all(|(.., sent)| sent.contains(&"a".repeat(20_000))), "sent as it came");
}

#[tokio::test]
async fn functions_to_come_keep_their_mail() {
    let house = House::new().await;
    for function in [Subaddress::Bounces, Subaddress::Join, Subaddress::Leave, Subaddress::Confirm, Subaddress::Request]
    {
        house.process(function, "eve@example.org", POST).await;
    }
    let arrivals = house.arrivals().await;
    assert_eq!(arrivals.len(), 5);
    assert!(arrivals.iter().all(|arrival| arrival.state == ArrivalState::Kept));
    assert!(house.out().await.is_empty());
}

#[tokio::test]
async fn mail_for_a_list_that_is_gone_is_put_aside_with_the_reason() {
    let house = House::new().await;
    let arrival = house.arrives(Subaddress::Post, "anne@example.net", POST).await;
    house.store().remove_list(house.list.id).await.expect("removed");
    house.settle(&arrival).await;
    let arrivals = house.arrivals().await;
    assert_eq!(arrivals[0].state, ArrivalState::Shunted);
    assert_eq!(arrivals[0].reason, "the list ants@example.com was removed after this mail came");
}

#[tokio::test]
async fn trouble_with_the_store_leaves_the_arrival_as_it_was() {
    let house = House::new().await;
    let arrival = house.arrives(Subaddress::Post, "anne@example.net", POST).await;
    let store = rusqlite::Connection::open(house.directory.path().join("store.db")).expect("database");
    store.execute_batch("PRAGMA foreign_keys = OFF; ALTER TABLE member RENAME TO gone").expect("broken");
    assert!(matches!(house.processor.process(&arrival).await, Err(Temporary::Store(_))));
    assert_eq!(house.arrivals().await[0].state, ArrivalState::New);
    store.execute_batch("ALTER TABLE gone RENAME TO member").expect("repaired");
    house.settle(&arrival).await;
    assert_eq!(house.out().await.len(), 1);
}

#[tokio::test]
async fn a_post_that_cannot_be_queued_is_not_counted() {
    let house = House::new().await;
    let arrival = house.arrives(Subaddress::Post, "anne@example.net", POST).await;
    let count = async || house.store().list_by_id(house.list.id).await.expect("store").expect("list").post_count;
    let spool = rusqlite::Connection::open(house.directory.path().join("spool.db")).expect("database");
    spool.execute_batch("ALTER TABLE recipient RENAME TO gone").expect("broken");
    assert!(matches!(house.processor.process(&arrival).await, Err(Temporary::Spool(_))));
    assert_eq!(count().await, 0);
    spool.execute_batch("ALTER TABLE gone RENAME TO recipient").expect("repaired");
    house.settle(&arrival).await;
    assert_eq!(count().await, 1);
}

#[tokio::test]
async fn mail_that_went_through_too_many_servers_is_put_aside() {
    let house = House::new().await;
    house.add(Role::Owner, &["olga@example.org"]).await;
    let went = |hops: usize| ["Received: from x by y\r\n".repeat(hops).as_bytes(), POST].concat();
    for function in [Subaddress::Post, Subaddress::Owner] {
        house.process(function, "anne@example.net", &went(100)).await;
        assert_eq!(house.out().await.len(), 1);
        house.process(function, "anne@example.net", &went(101)).await;
        assert!(house.out().await.is_empty());
    }
    let arrivals = house.arrivals().await;
    assert_eq!(arrivals.len(), 2);
    for arrival in arrivals {
        assert_eq!(arrival.state, ArrivalState::Shunted);
        assert!(arrival.reason.contains("through 101 mail servers"), "{}", arrival.reason);
    }
}

#[tokio::test]
async fn a_post_to_a_list_without_members_is_done() {
    let house = House::new().await;
    let members = [address("anne@example.net"), address("bob@example.net")];
    house.store().remove_members(house.list.id, Role::Member, &members).await.expect("removed");
    let mut list = house.list.settings.clone();
    list.nonmember_action = PostAction::Accept;
    house.store().set_list_settings(house.list.id, &list).await.expect("settings");
    house.process(Subaddress::Post, "anne@example.net", POST).await;
    assert!(house.out().await.is_empty() && house.arrivals().await.is_empty());
}

#[tokio::test]
async fn defects_are_no_reason_to_lose_a_post() {
    let house = House::new().await;
    let defects: [&[u8]; 5] = [
        b"",
        b"no header at all",
        b"From: anne@example.net\r\nContent-Type: multipart/mixed; boundary=\"\r\n\r\n--\r\n",
        b"From: \xff\xfe <anne@example.net>\r\nSubject: =?bad?x?=\r\nMessage-ID: <\xe4>\r\n\r\n\0\r\n",
        b" leading blank\r\nFrom: anne@example.net\r\n\r\n",
    ];
    for message in defects {
        house.process(Subaddress::Post, "anne@example.net", message).await;
    }
    assert_eq!(house.out().await.len(), defects.len());
    assert!(house.arrivals().await.is_empty());
}

#[test]
fn a_panic_becomes_a_reason() {
    let failure = guarded(|| panic!("boom {}", 1)).err();
    assert!(matches!(failure, Some(Failure::Permanent(reason)) if reason.contains("boom 1")));
}

#[tokio::test]
async fn an_injected_message_takes_the_same_way() {
    let house = House::new().await;
    let file = b"From: anne@example.net\nSubject: By hand\n\nHello\n";
    let injection = crate::post::inject::Injection::read(file).expect("message");
    injection.into_spool(house.spool(), &house.list).await.expect("injected");
    let arrival = house.arrivals().await.remove(0);
    house.settle(&arrival).await;
    let out = house.out().await;
    assert_eq!(out[0].1.len(), 2);
    assert!(out[0].2.contains("\r\nSubject: [Ants] By hand\r\n") && out[0].2.ends_with("\r\n\r\nHello\r\n"));
}

#[tokio::test]
async fn the_worker_processes_what_is_there_what_comes_and_what_is_made_new_again() {
    let house = House::new().await;
    house.arrives(Subaddress::Post, "anne@example.net", POST).await;
    let shunted = house.arrives(Subaddress::Post, "anne@example.net", POST).await;
    house.spool().set_state(shunted.id, ArrivalState::Shunted, "test").await.expect("shunted");
    let worker = AtWork::on(&house);
    wait_for(&house, 1).await;
    for _ in 0..20 {
        let recipient = shunted.recipient.clone();
        let message = Body::Memory(Arc::from(POST));
        let incoming = Incoming { sender: shunted.sender.clone(), recipients: vec![recipient], message };
        house.spool().accept(incoming).await.expect("accepted");
    }
    wait_for(&house, 1).await;
    house.spool().set_state(shunted.id, ArrivalState::New, "").await.expect("new");
    wait_for(&house, 0).await;
    worker.end().await;
    assert_eq!(house.out().await.len(), 22);
}

#[tokio::test]
async fn a_list_with_much_mail_gets_all_of_it_in_order_and_others_need_not_wait() {
    let house = House::new().await;
    let new = NewList { address: ListAddress::parse("bees@example.com").expect("address"), settings: settings() };
    let bees = house.store().create_list(&new, true).await.expect("list");
    let owner = |list: &List| IncomingRecipient {
        list: list.id,
        list_address: list.address.to_string(),
        function: Subaddress::Owner,
        recipient: list.address.to_string(),
        detail: None,
    };
    for number in 0..300 {
        let message = format!("From: x@example.net\r\nSubject: {number}\r\n\r\n").into_bytes();
        house
            .spool()
            .accept(Incoming {
                sender: None,
                recipients: vec![owner(&house.list)],
                message: Body::Memory(message.into()),
            })
            .await
            .expect("accepted");
    }
    house.arrives_at(owner(&bees), "", b"From: x@example.net\r\nSubject: bees\r\n\r\n").await;
    let worker = AtWork::on(&house);
    wait_for(&house, 0).await;
    worker.end().await;
    let out = house.out().await;
    let subjects: Vec<&str> = out
        .iter()
        .filter_map(|(_, _, message)| message.split_once("Subject: ").and_then(|(_, rest)| rest.lines().next()))
        .collect();
    let place = subjects.iter().position(|subject| *subject == "bees").expect("it went out");
    assert!(place < 299, "it waited for all of the other list's");
    let numbers: Vec<usize> = subjects.iter().filter_map(|subject| subject.parse().ok()).collect();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_a_list_discards_is_removed_however_much_it_is() {
    let mut house = House::new().await;
    house.set(|settings| settings.nonmember_action = crate::lists::PostAction::Discard).await;
    for _ in 0..600 {
        house.arrives(Subaddress::Post, "eve@example.org", &from("eve@example.org")).await;
    }
    let worker = AtWork::on(&house);
    wait_for(&house, 0).await;
    worker.end().await;
    assert_eq!(house.out().await, []);
}

#[tokio::test]
async fn mail_whose_file_is_gone_is_put_aside_and_goes_on_when_it_is_back() {
    let house = House::new().await;
    let mut message = POST.to_vec();
    message.resize(crate::spool::MAX_INLINE + 1, b'x');
    let arrival = house.arrives(Subaddress::Post, "anne@example.net", &message).await;
    let bodies = house.directory.path().join("spool/bodies");
    let file = std::fs::read_dir(&bodies).expect("bodies").next().expect("one").expect("readable").path();
    let elsewhere = house.directory.path().join("elsewhere");
    std::fs::rename(&file, &elsewhere).expect("moved");
    house.settle(&arrival).await;
    let shunted = house.arrivals().await.remove(0);
    assert_eq!(shunted.state, ArrivalState::Shunted);
    assert!(shunted.reason.contains("is gone; put it back"), "{}", shunted.reason);
    std::fs::rename(&elsewhere, &file).expect("moved back");
    house.settle(&arrival).await;
    // Larger than the list takes.
    assert_eq!(house.store().held(None).await.expect("held").len(), 1);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_put_aside_and_hides_none_beside_it() {
    let house = House::new().await;
    let damages =
        ["sender = 'no address'", "function = 'fly'", "recipient = x'ff'", "list_address = x'ff'", "detail = x'ff'"];
    let mut damaged = Vec::new();
    for damage in damages {
        let arrival = house.arrives(Subaddress::Post, "anne@example.net", POST).await;
        let spool = rusqlite::Connection::open(house.directory.path().join("spool.db")).expect("the spool");
        let update = format!("UPDATE arrival SET {damage} WHERE id = ?1");
        assert_eq!(spool.execute(&update, [arrival.id]).expect(damage), 1);
        damaged.push(arrival.id);
    }
    house.arrives(Subaddress::Post, "anne@example.net", POST).await;
    let worker = AtWork::on(&house);
    wait_for(&house, damaged.len()).await;
    let all_shunted = |all: &[Arrival]| all.iter().all(|one| one.state == ArrivalState::Shunted);
    while !all_shunted(&house.arrivals().await) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    worker.end().await;
    assert_eq!(house.out().await.len(), 1, "the one that is whole went out");
    for (arrival, damage) in house.arrivals().await.iter().zip(damages) {
        assert!(arrival.damaged && arrival.reason.starts_with("its row in the spool cannot be read: "), "{arrival:?}");
        let column = damage.split(' ').next().expect("column");
        let says = [column, "means nothing to this program", "no address"];
        assert!(says.iter().any(|text| arrival.reason.contains(text)), "{damage}: {}", arrival.reason);
    }
    assert_eq!(house.arrivals().await.iter().map(|one| one.id).collect::<Vec<_>>(), damaged);
}

/// A worker that runs until it is told to end.
struct AtWork {
    stop: tokio::sync::oneshot::Sender<()>,
    running: tokio::task::JoinHandle<()>,
}

impl AtWork {
    fn on(house: &House) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let running = tokio::spawn(Worker::new(house.processor.clone()).run(async move {
            let _ = stopped.await;
        }));
        AtWork { stop, running }
    }

    async fn end(self) {
        self.stop.send(()).expect("running");
        self.running.await.expect("ended");
    }
}

/// Until only so many arrivals are left; the test runner's patience is the limit.
async fn wait_for(house: &House, left: usize) {
    while house.arrivals().await.len() > left {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
