//! Any message becomes a post: nothing is lost, nothing is slipped in.

use mail_parser::MessageParser;

use super::decorate::decorate;
use super::facts::Facts;
use super::frame::{Audience, frame};
use super::headers::Headers;
use crate::deliver::body::{Content, WireBody};
use crate::fuzzing::has_only_crlf;
use crate::lists::{EmailAddress, List, ListAddress, ListSettings, Personalize};
use crate::lmtp::fuzzing::plain_content;
use crate::notice;
use crate::personal::{Own, own_name};
use crate::store::HeldPost;

/// What [`decorate`] removes, makes, or changes.
const OURS: [&str; 18] = [
    "Return-Path",
    "List-Id",
    "List-Help",
    "List-Subscribe",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Message-ID-Hash",
    "X-Message-ID-Hash",
    "X-MailFrom",
    "Precedence",
    "X-BeenThere",
    "Message-ID",
    "Date",
    "Subject",
    "From ",
];
/// Those that each post has exactly once.
const ONCE: [&str; 8] = [
    "List-Id",
    "List-Help",
    "List-Owner",
    "List-Post",
    "List-Subscribe",
    "List-Unsubscribe",
    "Message-ID-Hash",
    "X-MailFrom",
];
/// What stands in a notice.
const OF_NOTICES: [&str; 13] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "Precedence",
    "X-BeenThere",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// Input: a message as it is kept: only its line ends are put in order first, as LMTP does.
pub(crate) fn headers(input: &[u8]) {
    let message = with_crlf(input);
    let (list, sender) = (list(input.len().is_multiple_of(2)), sender());
    let parsed = Headers::parse(&message);
    assert_eq!(parsed.write().len(), parsed.octets());
    let again = parsed.write();
    assert_eq!(Headers::parse(&again).write(), again, "reading what was written changes it");
    let post = decorate(&list, Some(&sender), &message, 1_700_000_000).message;
    if parsed.is_cut() {
        assert!(post.len() >= message.len().saturating_sub(1000));
    } else {
        compare(&message, &post);
    }
    on_the_wire(&post);
    copies(list.clone(), post);
    let facts = Facts::of(&parsed);
    for text in [&facts.subject, &facts.from_text, &facts.message_id, &facts.precedence, &facts.auto_submitted] {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    notices(&list, &sender, &facts, &message);
}

fn list(plain: bool) -> List {
    let address = ListAddress::parse("ants@lists.example.com").expect("address");
    let settings = if plain {
        ListSettings { subject_prefix: "[Ants] ".into(), ..ListSettings::default() }
    } else {
        ListSettings {
            display_name: "Ameisen, \"große\"\r\nBcc: x@y".into(),
            description: "Über\r\nX-Injected: yes\r\n\r\nbody <x@y>".into(),
            subject_prefix: "[Ämse\r\nX-Injected: yes] ".into(),
            ..ListSettings::default()
        }
    };
    List { id: 1, list_id: address.list_id(), address, settings, post_count: 0, created: 0 }
}

fn sender() -> EmailAddress {
    EmailAddress::parse("\"Anne <x@y>, z\"@example.org").expect("address")
}

fn with_crlf(input: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(input.len() + 64);
    for (at, octet) in input.iter().enumerate() {
        match octet {
            b'\r' if input.get(at + 1) != Some(&b'\n') => message.extend_from_slice(b"\r\n"),
            b'\n' if at == 0 || input[at - 1] != b'\r' => message.extend_from_slice(b"\r\n"),
            other => message.push(*other),
        }
    }
    message
}

/// Fields and body, found plainly: lines up to the first that can be no part of a header.
fn plain_fields(message: &[u8]) -> (Vec<Vec<u8>>, &[u8]) {
    let mut fields: Vec<Vec<u8>> = Vec::new();
    let mut rest = message;
    loop {
        let length = rest.windows(2).position(|two| two == b"\r\n").map_or(rest.len(), |at| at + 2);
        let line = &rest[..length];
        let name = line.split(|octet| *octet == b':').next().unwrap_or_default();
        let name = name.trim_ascii_end();
        let is_field = line.contains(&b':')
            && !name.is_empty()
            && name.iter().all(|octet| (33..=126).contains(octet))
            && line[name.len()..].iter().find(|octet| !b" \t".contains(octet)) == Some(&b':');
        if let (Some(last), Some(b' ' | b'\t')) = (fields.last_mut(), line.first()) {
            last.extend_from_slice(line);
        } else if is_field {
            fields.push(line.to_vec());
        } else {
            break;
        }
        rest = &rest[length..];
    }
    (fields, rest.strip_prefix(b"\r\n").unwrap_or(rest))
}

fn name(field: &[u8]) -> String {
    let name = field.split(|octet| *octet == b':').next().unwrap_or_default();
    String::from_utf8_lossy(name.trim_ascii_end()).into_owned()
}

fn is_one_of(names: &[&str], field: &[u8]) -> bool {
    let name = name(field);
    names.iter().any(|one| one.eq_ignore_ascii_case(&name))
}

/// The post is the message with the list's fields, and nothing else.
fn compare(message: &[u8], post: &[u8]) {
    let message = match message {
        // An mbox line at the top goes.
        [b'F', b'r', b'o', b'm', b' ', ..] | [b'>', b'F', b'r', b'o', b'm', b' ', ..] => {
            let length = message.windows(2).position(|two| two == b"\r\n").map_or(message.len(), |at| at + 2);
            if plain_fields(&message[..length]).0.is_empty() { &message[length..] } else { message }
        }
        _ => message,
    };
    let (before, body) = plain_fields(message);
    let (after, new_body) = plain_fields(post);
    assert_eq!(body.escape_ascii().to_string(), new_body.escape_ascii().to_string(), "the body was changed");
    let kept = |fields: &[Vec<u8>]| -> Vec<String> {
        let foreign = fields.iter().filter(|field| !is_one_of(&OURS, field));
        foreign.map(|field| field.trim_ascii_end().escape_ascii().to_string()).collect()
    };
    assert_eq!(kept(&before), kept(&after), "a field of others was lost, changed, or slipped in");
    let count = |fields: &[Vec<u8>], name: &str| fields.iter().filter(|field| is_one_of(&[name], field)).count();
    for name in ONCE {
        assert_eq!(count(&after, name), 1, "{name} in {}", post.escape_ascii());
    }
    for name in ["Subject", "Date"] {
        assert_eq!(count(&after, name), count(&before, name).max(1), "{name}");
    }
    assert_eq!(count(&after, "X-BeenThere"), count(&before, "X-BeenThere") + 1);
    assert!(count(&after, "Message-ID") >= 1 && count(&after, "Precedence") >= 1);
    for name in ["Return-Path", "List-Archive", "List-Unsubscribe-Post"] {
        assert_eq!(count(&after, name), 0, "{name}");
    }
    // Somebody else's reader finds the same list in it.
    if let Some(parsed) = MessageParser::new().parse_headers(post) {
        let ours = parsed.headers_raw().filter(|(name, _)| name.trim_end().eq_ignore_ascii_case("List-Post")).count();
        assert_eq!(ours, 1, "mail-parser sees {ours} List-Post in {}", post.escape_ascii());
    }
}

/// What SMTP writes ends once, at its end, for every receiver however careless.
fn on_the_wire(post: &[u8]) {
    let wire = WireBody::new(post);
    let octets = wire.octets();
    assert!(has_only_crlf(octets));
    let (content, used) = plain_content(octets).expect("an end");
    assert_eq!(used, octets.len(), "it ends early");
    let mut wanted = with_crlf(post);
    if !wanted.is_empty() && !wanted.ends_with(b"\r\n") {
        wanted.extend_from_slice(b"\r\n");
    }
    assert_eq!(content, wanted, "what arrives is not what was sent");
    assert_eq!(wire.size(), content.len() as u64);
    // A receiver that takes bare line ends for line ends.
    let careless: Vec<&[u8]> =
        octets.split(|octet| matches!(octet, b'\r' | b'\n')).filter(|line| *line == b".").collect();
    assert_eq!(careless.len(), 1, "a careless receiver sees another end");
}

/// Copies of members' own: what is shared and what is not come together as one message, which ends once.
fn copies(mut list: List, post: Vec<u8>) {
    list.settings.header = "-- $list_name\n.\n--b--".into();
    list.settings.footer = "For $user_name\n.\n$user_email".into();
    list.settings.personalize = Personalize::Full;
    let member = EmailAddress::parse("\"a, b\"@example.net").expect("address");
    let name = own_name("x\r\n.\r\n--b\u{fc}\0");
    let framed = frame(&list, post, Audience::of([(&member, name.as_str())].into_iter()));
    let Some(splices) = framed.splices else { panic!("each has his own") };
    let own = Own::of(&splices, &member, &name);
    let copy = own.put_into(&framed.message, &splices);
    on_the_wire(&copy);
    let body = WireBody::spliced(&framed.message, &splices);
    let content = Content::with_own(&body, &own);
    let whole = WireBody::new(&copy);
    assert_eq!(content.data().collect::<Vec<_>>().concat(), whole.octets());
    let chunk = |content: Content<'_>| content.chunk().collect::<Vec<_>>().concat();
    assert_eq!(chunk(content), chunk(Content::from(&whole)));
    assert_eq!((content.size(), content.is_eight_bit()), (whole.size(), whole.is_eight_bit()));
}

/// Notices have their fields and no others, whatever the post said.
fn notices(list: &List, sender: &EmailAddress, facts: &Facts, message: &[u8]) {
    let rejection = notice::rejection(list, Some(sender), facts, &facts.subject, 1_700_000_000);
    let post = HeldPost {
        id: 1,
        list: 1,
        arrival: 1,
        sender: Some(sender.clone()),
        subject: facts.subject.clone(),
        from: facts.from_text.clone(),
        reason: facts.from_text.clone(),
        held: 1_700_000_000,
        size: message.len() as u64,
    };
    let held = notice::held(list, &post, message, vec![sender.clone()]);
    for notice in rejection.into_iter().chain([held]) {
        let (fields, _) = plain_fields(&notice.message);
        let mut names: Vec<String> = fields.iter().map(|field| name(field).to_ascii_lowercase()).collect();
        assert!(fields.iter().all(|field| is_one_of(&OF_NOTICES, field)), "{names:?}");
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "a field came twice: {names:?}");
        assert!(names.len() >= 8, "fields are missing: {names:?}");
        assert!(fields.iter().all(|field| has_only_crlf(field)));
        on_the_wire(&notice.message);
    }
}
