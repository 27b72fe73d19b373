use super::*;
use crate::lists::{ListAddress, ListSettings, PostAction};
use crate::post::headers::{Field, Headers};
use mail_parser::{MessageParser, MimeHeaders};

fn list() -> List {
    let address = ListAddress::parse("ants@example.com").expect("address");
    let settings = ListSettings {
        display_name: "Ants".into(),
        description: String::new(),
        subject_prefix: String::new(),
        max_message_size: 0,
        skip_addressed: false,
        nonmember_action: PostAction::Hold,
        member_action: PostAction::Accept,
        ..ListSettings::default()
    };
    List { id: 7, list_id: address.list_id(), address, settings, post_count: 0, created: 0 }
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("address")
}

fn facts(header: &str) -> Facts {
    Facts::of(&Headers::parse(format!("{header}\r\n\r\n").as_bytes()))
}

fn answered(sender: &str, header: &str) -> bool {
    rejection(&list(), Some(&address(sender)), &facts(header), "no", 0).is_some()
}

fn held_post(subject: &str) -> HeldPost {
    HeldPost {
        id: 17,
        list: 7,
        arrival: 3,
        sender: Some(address("anne@example.net")),
        subject: subject.into(),
        from: "Anne <anne@example.net>".into(),
        reason: "the author is not a member of the list".into(),
        held: 1_700_000_000,
        size: 1234,
    }
}

#[test]
fn a_rejection_says_what_and_why_to_the_envelope_sender() {
    let facts = facts("From: x@y.example\r\nSubject: Gr\u{fc}\u{df}e\r\nMessage-ID: <1@example.net>");
    let notice = rejection(&list(), Some(&address("anne@example.net")), &facts, "no\r\nBcc: x@y", 0).expect("notice");
    assert_eq!(notice.recipients, [address("anne@example.net")]);
    assert_eq!(notice.sender, EnvelopeSender::Null);
    assert_eq!(notice.list, Some(7));
    let headers = Headers::parse(&notice.message);
    let field = |name: &str| headers.first(name).map(Field::text).unwrap_or_default();
    assert_eq!(field("Auto-Submitted"), "auto-replied");
    assert_eq!(field("In-Reply-To"), "<1@example.net>");
    assert_eq!(field("Message-ID"), notice.message_id);
    assert!(!headers.contains("Bcc"));
    let message = MessageParser::default().parse(&notice.message[..]).expect("message");
    assert_eq!(
        message.from().and_then(|from| from.first()).and_then(|one| one.address()),
        Some("ants-owner@example.com")
    );
    assert_eq!(message.to().and_then(|to| to.first()).and_then(|one| one.address()), Some("anne@example.net"));
    let text = message.body_text(0).expect("text");
    for part in
        ["ants@example.com", "Subject:    Grüße", "Reason:     no\n", "<1@example.net>", "ants-owner@example.com"]
    {
        assert!(text.replace("\r\n", "\n").contains(part), "{part} in {text}");
    }
}

#[test]
fn programs_lists_and_ourselves_are_never_answered() {
    assert!(answered("anne@example.net", "From: anne@example.net"));
    assert!(answered("anne@example.net", "Auto-Submitted: no"));
    for header in [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated",
        "Precedence: bulk",
        "Precedence: Junk",
        "List-Id: <x.y>",
    ] {
        assert!(!answered("anne@example.net", header), "{header}");
    }
    for sender in [
        "MAILER-DAEMON@example.net",
        "owner-bees@example.net",
        "bees-request@example.net",
        "bees-bounces@example.net",
        "Ants@Example.com",
        "ants-leave@example.com",
    ] {
        assert!(!answered(sender, "A: 1"), "{sender}");
    }
    assert!(rejection(&list(), None, &facts("A: 1"), "no", 0).is_none());
}

#[test]
fn the_people_behind_a_list_learn_what_waits_and_see_it() {
    let original = b"From: anne@example.net\r\nSubject: x\r\n\r\n8-bit \xfc\r\n";
    let notice = held(&list(), &held_post("Hello"), original, vec![address("owner@example.org")]);
    assert_eq!(notice.recipients, [address("owner@example.org")]);
    assert_eq!(notice.sender, EnvelopeSender::Null);
    let message = MessageParser::default().parse(&notice.message[..]).expect("message");
    assert_eq!(message.subject(), Some("ants@example.com post 17 waits: Hello"));
    let text = message.body_text(0).expect("text").into_owned();
    for part in ["postrider held accept 17", "Anne <anne@example.net>", "not a member", "1234 octets", "is attached"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let attached = message.parts.iter().find(|part| part.is_content_type("message", "rfc822")).expect("attachment");
    assert!(attached.message().is_some());
    assert!(memchr::memmem::find(&notice.message, original).is_some(), "attached as it came");
    assert!(memchr::memmem::find(&notice.message, b"Content-Transfer-Encoding: 8bit").is_some());
}

#[test]
fn a_large_message_is_not_attached() {
    let notice = held(&list(), &held_post("Big"), &vec![b'x'; MAX_ATTACHED + 1], vec![address("o@x")]);
    assert!(notice.message.len() < 4096);
    let message = MessageParser::default().parse(&notice.message[..]).expect("message");
    assert!(message.body_text(0).expect("text").contains("too large to be attached"));
}

#[test]
fn what_strangers_write_cannot_begin_a_field() {
    let mut post = held_post("x\r\nBcc: victim@example.org\r\n\r\nbody");
    post.from = "a\r\nBcc: b@c".into();
    let mut list = list();
    list.settings.display_name = "A\r\nBcc: x@y".into();
    let notice = held(&list, &post, b"x: y\r\n\r\n", vec![address("o@x")]);
    assert!(!Headers::parse(&notice.message).contains("Bcc"));
    assert!(!notice.message.split(|b| *b == b'\n').any(|line| line.starts_with(b"Bcc")));
}
