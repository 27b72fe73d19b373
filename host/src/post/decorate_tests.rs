use super::*;
use crate::post::facts::Facts;
use crate::post::testing::{address, ants};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn decorated(list: &List, message: &[u8]) -> String {
    let post = decorate(list, Some(&address("anne@example.net")), message, 1_700_000_000);
    String::from_utf8_lossy(&post.message).into_owned()
}

/// The Subject field of the post, raw, and decoded.
fn subject_with(prefix: &str, field: &str) -> (String, String) {
    let mut list = ants();
    list.settings.subject_prefix = prefix.to_owned();
    let message = decorated(&list, format!("From: a@b\r\n{field}\r\n\r\nbody\r\n").as_bytes());
    let headers = Headers::parse(message.as_bytes());
    let raw = headers.first("Subject").map(|field| String::from_utf8_lossy(field.raw()).trim_end().to_owned());
    (raw.unwrap_or_default(), Facts::of(&headers).subject)
}

fn subject(field: &str) -> (String, String) {
    subject_with("[Ants] ", field)
}

#[test]
fn golden_post() {
    let before = include_bytes!("../../tests/data/posts/plain.eml");
    let after = include_bytes!("../../tests/data/posts/plain.after.eml");
    let mut list = ants();
    list.settings.description = "Ants, bees & wasps".into();
    let post = decorate(&list, Some(&address("anne@example.net")), before, 1_700_000_000);
    assert_eq!(String::from_utf8_lossy(&post.message), String::from_utf8_lossy(after));
    assert_eq!(post.message, after);
    assert_eq!(post.message_id, "<87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>");
}

#[test]
fn golden_post_through_another_list() {
    let before = include_bytes!("../../tests/data/posts/nested.eml");
    let after = include_bytes!("../../tests/data/posts/nested.after.eml");
    let post = decorate(&ants(), None, before, 1_700_000_000);
    assert_eq!(String::from_utf8_lossy(&post.message), String::from_utf8_lossy(after));
    assert_eq!(post.message, after);
}

#[test]
fn a_plain_subject_gets_the_prefix() {
    assert_eq!(subject("Subject: News").0, "Subject: [Ants] News");
    assert_eq!(subject("SUBJECT:News").0, "SUBJECT: [Ants] News");
    assert_eq!(subject("Subject: Re: News").0, "Subject: [Ants] Re: News");
}

#[test]
fn a_subject_that_has_the_prefix_keeps_its_octets() {
    for field in [
        "Subject: Re: [Ants] x",
        "Subject:  AW:  [ANTS]  x",
        "Subject: [Ants] x",
        "Subject: Re:\r\n [Ants]\r\n\tx",
        "Subject: =?utf-8?q?Re:_[Ants]_Gr=C3=BC=C3=9Fe?=",
        "Subject: =?utf-8?b?W0FudHNdIEdyw7zDn2U=?=",
    ] {
        assert_eq!(subject(field).0, field);
    }
    assert_eq!(
        subject_with("[Ants and Bees] ", "Subject: Re: [Ants\r\n and Bees] x").0,
        "Subject: Re: [Ants\r\n and Bees] x"
    );
}

#[test]
fn an_encoded_subject_stays_encoded_behind_an_ascii_prefix() {
    let (raw, decoded) = subject("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=");
    assert_eq!(raw, "Subject: [Ants] =?utf-8?q?Gr=C3=BC=C3=9Fe?=");
    assert_eq!(decoded, "[Ants] Grüße");
    let (raw, decoded) = subject_with("[Ants]", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=");
    assert_eq!(raw, "Subject: [Ants] =?utf-8?q?Gr=C3=BC=C3=9Fe?=");
    assert_eq!(decoded, "[Ants] Grüße");
}

#[test]
fn a_prefix_that_is_not_ascii_is_encoded() {
    let (raw, decoded) = subject_with("[Ameisenstraße] ", "Subject: News");
    assert!(raw.is_ascii(), "{raw}");
    assert_eq!(decoded, "[Ameisenstraße] News");
    let (raw, decoded) = subject_with("[Ameisenstraße] ", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=");
    assert!(raw.is_ascii(), "{raw}");
    assert_eq!(decoded, "[Ameisenstraße] Grüße");
    assert_eq!(subject_with("[Ameisenstraße] ", &raw).0, raw);
    assert_eq!(subject_with("[Ameisenstraße] ", "X: 1").1, "[Ameisenstraße] (no subject)");
}

#[test]
fn an_eight_bit_subject_keeps_its_octets() {
    let post = decorate(&ants(), None, b"Subject: Gr\xfc\xdfe\r\n\tzwei \xe4\r\n\r\n", 0).message;
    assert!(post.starts_with(b"Subject: [Ants] Gr\xfc\xdfe\r\n\tzwei \xe4\r\n"), "{post:?}");
}

#[test]
fn a_missing_subject_is_named() {
    assert_eq!(subject("X: 1").0, "Subject: [Ants] (no subject)");
    assert_eq!(subject("Subject: ").0, "Subject: [Ants] (no subject)");
    assert_eq!(subject("Subject:\r\n ").0, "Subject: [Ants] (no subject)");
    assert_eq!(subject_with("", "X: 1").0, "");
    assert_eq!(subject_with("", "Subject: x").0, "Subject: x");
}

#[test]
fn the_prefix_folds_a_long_subject() {
    let long = ["word"; 14].join(" ");
    let (raw, decoded) = subject(&format!("Subject: {long}"));
    assert_eq!(raw, format!("Subject: [Ants]\r\n {long}"));
    assert_eq!(decoded, format!("[Ants] {long}"));
}

#[test]
fn a_prefix_can_not_smuggle_fields_in() {
    let message = subject_with("[A]\r\nBcc: x@y\r\n\r\n", "Subject: x").0;
    assert!(!message.contains('\n'), "{message:?}");
    let mut list = ants();
    list.settings.description = "d\r\nBcc: x@y\r\n\r\nbody".into();
    let post = decorated(&list, b"A: 1\r\n\r\n");
    assert!(!Headers::parse(post.as_bytes()).contains("Bcc"), "{post}");
    assert_eq!(Headers::parse(post.as_bytes()).body(), b"");
}

#[test]
fn what_is_missing_is_supplied_and_always_the_same() {
    let message = b"From: a@b\r\n\r\nx\r\n";
    let post = decorate(&ants(), None, message, 1_700_000_000);
    assert_eq!(post, decorate(&ants(), None, message, 1_700_000_000));
    let headers = Headers::parse(&post.message);
    let field = |name: &str| headers.first(name).map(crate::post::headers::Field::text);
    assert_eq!(field("Date").as_deref(), Some("Tue, 14 Nov 2023 22:13:20 +0000"));
    assert_eq!(field("Message-ID"), Some(post.message_id.clone()));
    assert!(post.message_id.starts_with("<1700000000.") && post.message_id.ends_with("@example.com>"));
    assert_ne!(post.message_id, decorate(&ants(), None, b"From: a@b\r\n\r\ny\r\n", 1_700_000_000).message_id);
    assert!(!headers.contains("X-MailFrom"));
    let empty = decorate(&ants(), None, b"Message-ID:\r\nDate: x\r\n\r\n", 7);
    assert_eq!(Headers::parse(&empty.message).all("Message-ID").count(), 1);
    assert!(empty.message_id.starts_with("<7."));
}

#[test]
fn the_hash_is_that_of_the_text_between_the_brackets() {
    let hash = "JJIGKPKB6CVDX6B2CUG4IHAJRIQIOUTP";
    assert_eq!(message_id_hash("<87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>").as_str(), hash);
    assert_eq!(message_id_hash("87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp").as_str(), hash);
}

#[test]
fn an_international_sender_does_not_make_the_header_eight_bit() {
    let post = decorate(&ants(), Some(&address("grüße@bücher.example")), b"A: 1\r\n\r\n", 0).message;
    assert!(post.is_ascii(), "{}", String::from_utf8_lossy(&post));
    assert!(Headers::parse(&post).contains("X-MailFrom"));
}

#[test]
fn a_description_that_is_not_ascii_is_encoded() {
    let mut list = ants();
    list.settings.description = "Ameisenstraße".into();
    let post = decorated(&list, b"A: 1\r\n\r\n");
    assert!(post.contains("\r\nList-Id: =?utf-8?b?QW1laXNlbnN0cmHDn2U=?= <ants.example.com>\r\n"), "{post}");
}

#[test]
fn precedence_bulk_is_left_alone_and_others_become_list() {
    let precedence = |field: &str| {
        let post = decorated(&ants(), format!("{field}\r\n\r\n").as_bytes());
        let headers = Headers::parse(post.as_bytes());
        headers.all("Precedence").map(crate::post::headers::Field::text).collect::<Vec<_>>()
    };
    assert_eq!(precedence("Precedence: Bulk"), ["Bulk"]);
    assert_eq!(precedence("Precedence: urgent"), ["list"]);
    assert_eq!(precedence("A: 1"), ["list"]);
}

/// Every field whose name we do not own, and the body.
fn untouched(message: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let headers = Headers::parse(message);
    let ours = ["Subject", "Precedence", "X-BeenThere", "Message-ID", "Date"];
    let foreign = headers.fields().filter(|field| !REMOVED.iter().chain(&ours).any(|name| field.is(name)));
    (foreign.map(|field| field.raw().to_vec()).collect(), headers.body().to_vec())
}

#[test]
fn fields_that_are_not_ours_and_the_body_are_byte_identical() {
    let mut random = StdRng::seed_from_u64(6376);
    let names = [
        "Received",
        "DKIM-Signature",
        "From",
        "Sender",
        "Subject",
        "subject",
        "To",
        "List-Id",
        "X-Odd",
        "Message-ID",
        "Return-Path",
        "MIME-Version",
        "Precedence",
        "Content-Type",
    ];
    let alphabet = b"abc =?utf-8?q?x?=<>@;,\"\t\xff\xc3\xbc\0[Ants] ";
    for _ in 0..3_000 {
        let mut message = Vec::new();
        for _ in 0..random.random_range(0..12) {
            message.extend_from_slice(names[random.random_range(0..names.len())].as_bytes());
            message.extend_from_slice([&b":"[..], b": ", b" : ", b":\r\n "][random.random_range(0..4)]);
            for _ in 0..random.random_range(0..3) {
                for _ in 0..random.random_range(0..50) {
                    message.push(alphabet[random.random_range(0..alphabet.len())]);
                }
                message.extend_from_slice([&b"\r\n "[..], b"\r\n\t", b" "][random.random_range(0..3)]);
            }
            message.extend_from_slice(b"end\r\n");
        }
        if random.random_bool(0.9) {
            message.extend_from_slice(b"\r\n");
            message.extend((0..random.random_range(0..200)).map(|_| random.random::<u8>()));
        }
        let post = decorate(&ants(), None, &message, 1).message;
        assert_eq!(untouched(&message), untouched(&post), "{:?}", String::from_utf8_lossy(&message));
        let headers = Headers::parse(&post);
        for name in ["List-Id", "List-Post", "Precedence", "Message-ID-Hash"] {
            assert_eq!(headers.all(name).count(), 1, "{name} in {:?}", String::from_utf8_lossy(&post));
        }
        // A second pass finds the prefix where the first one put it.
        let second = decorate(&ants(), None, &post, 1).message;
        let subject = |message: &[u8]| Headers::parse(message).first("Subject").map(|field| field.raw().to_vec());
        assert_eq!(subject(&post), subject(&second), "{:?}", String::from_utf8_lossy(&message));
    }
}
