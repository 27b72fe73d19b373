//! What the tests of this module share.

use crate::lists::{EmailAddress, List, ListAddress, ListSettings, PostAction};

/// `ants@example.com`, with ordinary settings.
pub fn ants() -> List {
    let address = ListAddress::parse("ants@example.com").expect("address");
    List { id: 1, list_id: address.list_id(), address, settings: settings(), post_count: 0, created: 0 }
}

/// Ordinary settings.
pub fn settings() -> ListSettings {
    ListSettings {
        display_name: "Ants".into(),
        description: String::new(),
        subject_prefix: "[Ants] ".into(),
        max_message_size: 40,
        nonmember_action: PostAction::Hold,
        member_action: PostAction::Accept,
        ..ListSettings::default()
    }
}

/// An address.
pub fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("address")
}
