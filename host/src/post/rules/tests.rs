use super::*;
use crate::post::testing::{address, ants};

/// What becomes of a message from anne, who is a member or not.
fn verdict(list: &List, member: bool, message: &[u8]) -> (Verdict, &'static str) {
    let anne = address("anne@example.net");
    judged(list, Some(&anne), member.then_some(&anne), message)
}

fn judged(
    list: &List,
    envelope_sender: Option<&EmailAddress>,
    member: Option<&EmailAddress>,
    message: &[u8],
) -> (Verdict, &'static str) {
    let headers = Headers::parse(message);
    let facts = Facts::of(&headers);
    let size = message.len() as u64;
    let judgement = judge(&Examined { list, headers: &headers, facts: &facts, envelope_sender, member, size });
    (judgement.verdict, judgement.rule)
}

#[test]
fn members_pass_and_others_are_held() {
    assert_eq!(verdict(&ants(), true, b"A: 1\r\n\r\n"), (Verdict::Accept, "none"));
    let (verdict, rule) = verdict(&ants(), false, b"A: 1\r\n\r\n");
    assert_eq!((verdict.as_str(), rule), ("hold", "nonmember"));
    assert_eq!(verdict.reason(), "the author is not a member of the list");
}

#[test]
fn the_settings_of_the_list_decide() {
    let mut list = ants();
    let mut outcome = |member_action, nonmember_action| {
        list.settings.member_action = member_action;
        list.settings.nonmember_action = nonmember_action;
        (verdict(&list, true, b"\r\n").0.as_str(), verdict(&list, false, b"\r\n").0.as_str())
    };
    assert_eq!(outcome(PostAction::Hold, PostAction::Accept), ("hold", "accept"));
    assert_eq!(outcome(PostAction::Reject, PostAction::Discard), ("reject", "discard"));
    assert_eq!(outcome(PostAction::Discard, PostAction::Reject), ("discard", "reject"));
}

#[test]
fn a_post_that_comes_back_is_discarded_whoever_sends_it() {
    for header in [
        "X-BeenThere: ants@example.com",
        "x-beenthere: ANTS@Example.com ",
        "List-Id: All about ants\r\n <ants.example.com>",
        "List-Id: <Ants.Example.COM>",
        "X-BeenThere: bees@example.org\r\nX-BeenThere: ants@example.com",
    ] {
        let (verdict, rule) = verdict(&ants(), true, format!("{header}\r\n\r\n").as_bytes());
        assert_eq!((verdict.as_str(), rule), ("discard", "loop"), "{header}");
    }
}

#[test]
fn the_traces_of_other_lists_are_no_loop() {
    for header in [
        "X-BeenThere: bees@example.com",
        "List-Id: <fire.ants.example.com>",
        "List-Id: ants.example.com is our ideal <bees.example.org>",
        "Subject: X-BeenThere: ants@example.com",
        "A: 1\r\n\r\nX-BeenThere: ants@example.com",
    ] {
        assert_eq!(verdict(&ants(), true, format!("{header}\r\n\r\n").as_bytes()).0, Verdict::Accept, "{header}");
    }
}

#[test]
fn automatic_answers_are_held_but_generated_mail_passes() {
    let rule = |header: &str| verdict(&ants(), true, format!("{header}\r\n\r\n").as_bytes()).1;
    assert_eq!(rule("Auto-Submitted: auto-replied (vacation)"), "automatic");
    assert_eq!(rule("Auto-Submitted: auto-replied; owner-email=\"a@b\""), "automatic");
    assert_eq!(rule("Auto-Submitted: auto-generated"), "none");
    assert_eq!(rule("Auto-Submitted: no"), "none");
    let member = address("anne@example.net");
    assert_eq!(judged(&ants(), None, Some(&member), b"From: anne@example.net\r\n\r\n").1, "automatic");
}

#[test]
fn large_posts_are_held_at_one_octet_too_many() {
    let mut list = ants();
    list.settings.max_message_size = 1;
    let message = |size: usize| [&b"A: 1\r\n\r\n"[..], &vec![b'x'; size - 8]].concat();
    assert_eq!(verdict(&list, true, &message(1024)).0, Verdict::Accept);
    let (found, rule) = verdict(&list, true, &message(1025));
    assert_eq!((found.reason(), rule), ("it has 2 KiB, and the list takes posts of up to 1 KiB", "max_size"));
    list.settings.max_message_size = 0;
    assert_eq!(verdict(&list, true, &message(100_000)).0, Verdict::Accept);
}

#[test]
fn who_wrote_it_counts_before_its_size() {
    let mut list = ants();
    list.settings.nonmember_action = PostAction::Discard;
    assert_eq!(verdict(&list, false, &vec![b'x'; 100_000]).1, "nonmember");
}

#[test]
fn a_header_too_large_to_be_looked_at_is_held_after_the_author_was() {
    let mut list = ants();
    let message = "a:\r\n".repeat(5000) + "X-BeenThere: ants@example.com\r\n\r\n";
    let (found, rule) = verdict(&list, true, message.as_bytes());
    assert_eq!((found.reason(), rule), ("its header has more than 1000 fields or 1024 KiB", "header_size"));
    list.settings.nonmember_action = PostAction::Discard;
    assert_eq!(verdict(&list, false, message.as_bytes()).1, "nonmember");
}
