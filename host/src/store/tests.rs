//! The lists, in a real database.

mod files;
mod generations;
mod lists;
mod members;

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
