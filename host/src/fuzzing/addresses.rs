//! Addresses and names: what was parsed can be written into a command or a header without harm.

use crate::deliver::path::ReversePath;
use crate::deliver::verp::VerpFormat;
use crate::lists::{DomainName, EmailAddress, ListAddress, ListName, split_local_part};
use crate::lmtp::fuzzing::path;
use crate::post::headers::FieldValue;

/// Input: a text; with a line feed, a VERP format before it and an address behind.
pub(super) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    address(&text);
    names(&text);
    if let Ok(sender) = ReversePath::parse(&text) {
        assert_eq!(sender.as_str(), text);
        goes_into_a_command("MAIL FROM:", sender.as_str());
    }
    if let Some(found) = path(&format!("<{text}>")) {
        goes_into_a_command("RCPT TO:", found.as_str());
        assert!(text.ends_with(found.as_str()), "{found:?} of {text:?}: only a source route may go");
    }
    if let Ok(value) = FieldValue::new(text.as_ref()) {
        assert_eq!(value.as_str(), text);
        harmless(value.as_str());
    }
    harmless(FieldValue::cleaned(&text).as_str());
    if let Some((format, recipient)) = text.split_once('\n') {
        verp(format, recipient);
    }
}

fn address(text: &str) {
    let Ok(address) = EmailAddress::parse(text) else { return };
    assert_eq!(address.as_str(), text);
    assert_eq!(EmailAddress::parse(address.as_str()).as_ref(), Ok(&address));
    if address.is_ascii() {
        assert_eq!(EmailAddress::parse(&address.key()).map(|again| again.key()), Ok(address.key()), "{text:?}");
    }
    assert_eq!(format!("{}@{}", address.local_part(), address.domain()), text);
    goes_into_a_command("RCPT TO:", text);
    // What we write, we read: as a path of LMTP, and, where an MTA would have to send it back, as a sender.
    if !address.local_part().contains('<') && !address.local_part().contains('>') {
        assert_eq!(path(&format!("<{text}>")).as_ref(), Some(&address), "{text:?}");
        assert!(ReversePath::parse(text).is_ok(), "{text:?} is an address but no sender");
    }
    verp("${bounces}+${local}=${domain}", text);
}

fn verp(format: &str, recipient: &str) {
    let (Ok(format), Ok(recipient)) = (VerpFormat::parse(format), EmailAddress::parse(recipient)) else { return };
    let sender = format.expand("ants-bounces@lists.example.com", &recipient);
    // Or it is refused, and the post goes out without VERP.
    if let Ok(sender) = ReversePath::parse(&sender) {
        goes_into_a_command("MAIL FROM:", sender.as_str());
        assert!(sender.as_str().ends_with("@lists.example.com"), "{sender} leads elsewhere");
    }
}

fn names(text: &str) {
    if let Ok(name) = ListName::parse(text) {
        assert!(name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b)));
    }
    if let Ok(domain) = DomainName::parse(text) {
        let shown = domain.as_str();
        assert!(shown.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)), "{shown:?}");
        assert_eq!(DomainName::parse(shown).as_ref(), Ok(&domain), "{text:?}");
    }
    if let Ok(list) = ListAddress::parse(text) {
        let shown = list.to_string();
        assert_eq!(ListAddress::parse(&shown).map(|again| again.to_string()).as_deref(), Ok(shown.as_str()));
        for suffix in ["", "-bounces", "-owner", "-unsubscribe"] {
            let address = format!("{}{suffix}@{}", list.name.as_str(), list.domain);
            assert!(EmailAddress::parse(&address).is_ok(), "{address}");
        }
    }
    let split = split_local_part(text, "+");
    harmless_if(&split.whole, text);
}

/// A command of one line with one path and no parameter, as a strict and as a careless reader see it.
fn goes_into_a_command(verb: &str, path: &str) {
    harmless(path);
    let line = format!("{verb}<{path}>");
    let (mut quoted, mut escaped) = (false, false);
    let end = line[verb.len() + 1..].bytes().position(|octet| {
        let was_escaped = escaped;
        escaped = quoted && !was_escaped && octet == b'\\';
        match octet {
            b'"' if !was_escaped => quoted = !quoted,
            b'>' if !quoted => return true,
            b' ' | b'\t' | b'<' => assert!(quoted, "{line:?} has a blank or bracket outside quotes"),
            _ => {}
        }
        false
    });
    assert_eq!(end, Some(path.len()), "{line:?} ends early");
}

fn harmless(text: &str) {
    assert!(!text.chars().any(char::is_control), "a control character in {text:?}");
}

fn harmless_if(part: &str, whole: &str) {
    if !whole.chars().any(char::is_control) {
        harmless(part);
    }
}
