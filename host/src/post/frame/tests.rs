use super::*;
use crate::personal::Own;
use crate::post::testing::{address, ants};
use mail_parser::{MessageParser, MimeHeaders};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const FOOTER: &str = "-- \n$list_name";
const OWN: &str = "For $user_name <$user_email>";

fn list(header: &str, footer: &str, personalize: Personalize) -> List {
    let mut list = ants();
    (list.settings.header, list.settings.footer) = (header.to_owned(), footer.to_owned());
    list.settings.personalize = personalize;
    list
}

fn audience(people: &[(&str, &str)]) -> Audience {
    let people: Vec<(EmailAddress, &str)> = people.iter().map(|(one, name)| (address(one), *name)).collect();
    Audience::of(people.iter().map(|(one, name)| (one, *name)))
}

/// As `who` gets it.
fn copy(framed: &Framed, who: (&str, &str)) -> Vec<u8> {
    let Some(splices) = &framed.splices else { return framed.message.clone() };
    let own = Own::of(splices, &address(who.0), who.1);
    own.put_into(&framed.message, splices)
}

/// With a footer, the same for everybody.
fn footed(footer: &str, message: &str) -> String {
    let framed = frame(&list("", footer, Personalize::None), message.as_bytes().to_vec(), audience(&[]));
    assert_eq!(framed.splices, None);
    String::from_utf8(framed.message).expect("text")
}

const ANNE: (&str, &str) = ("Anne@x.example", "Anne");
const ZOE: (&str, &str) = ("zoe@x.example", "Zoë 蟻");

fn personal(template: &str, people: &[(&str, &str)], message: &[u8], who: (&str, &str)) -> Vec<u8> {
    let list = list("", template, Personalize::Individual);
    let framed = frame(&list, message.to_vec(), audience(people));
    copy(&framed, who)
}

/// The texts of all parts that are text and no attachment, decoded.
fn texts(message: &[u8]) -> Vec<String> {
    let parsed = MessageParser::default().parse(message).expect("a message");
    let inline = |part: &&mail_parser::MessagePart<'_>| part.is_text() && !part.is_multipart();
    parsed.parts.iter().filter(inline).filter_map(|part| part.text_contents()).map(str::to_owned).collect()
}

#[test]
fn without_header_and_footer_nothing_changes() {
    for message in ["", "Subject: x", "Subject: x\n\nbare\n", "X: y\r\nTo: a@x\r\n\r\n.\r\n"] {
        let framed = frame(&list("", "", Personalize::None), message.into(), audience(&[]));
        assert_eq!(framed, Framed { message: message.into(), splices: None });
        let framed = frame(&list("", "", Personalize::Individual), message.into(), audience(&[]));
        assert_eq!(framed, Framed { message: message.into(), splices: Some(Splices::default()) });
    }
}

#[test]
fn a_plain_text_gets_lines() {
    assert_eq!(footed(FOOTER, "A: b\r\n\r\nhello\r\n"), "A: b\r\n\r\nhello\r\n-- \r\nants\r\n");
    assert_eq!(footed(FOOTER, "A: b\r\n\r\nno end"), "A: b\r\n\r\nno end\r\n-- \r\nants\r\n");
    assert_eq!(footed(FOOTER, "A: b\r\n"), "A: b\r\n\r\n-- \r\nants\r\n");
    assert_eq!(footed("\nx\n\ny", "A: b\r\n\r\nhello\r\n"), "A: b\r\n\r\nhello\r\n\r\nx\r\n\r\ny\r\n");
    let both = frame(&list("top\n.", FOOTER, Personalize::None), b"A: b\r\n\r\n.hello\r\n".to_vec(), audience(&[]));
    assert_eq!(both.message, b"A: b\r\n\r\ntop\r\n.\r\n.hello\r\n-- \r\nants\r\n");
    for kind in [
        "text/plain",
        "TEXT/Plain; charset=US-ASCII",
        "text/plain; charset=utf-8; format=fixed",
        "text/plain; charset=iso-8859-1",
    ] {
        let head = format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: 7Bit\r\n\r\nx\r\n");
        assert_eq!(footed(FOOTER, &head), format!("{head}-- \r\nants\r\n"), "{kind}");
    }
}

#[test]
fn a_text_that_is_not_ascii_goes_in_where_the_charset_takes_it() {
    let eight = |charset: &str, body: &[u8]| {
        let head = format!("Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
        let mut message = head.into_bytes();
        message.extend_from_slice(body);
        let framed = frame(&list("", "Grüße", Personalize::None), message.clone(), audience(&[]));
        (framed.message.strip_prefix(message.as_slice()).map(<[u8]>::to_vec), framed.message)
    };
    assert_eq!(eight("utf-8", "ä\r\n".as_bytes()).0.as_deref(), Some("Grüße\r\n".as_bytes()));
    assert_eq!(eight("iso-8859-1", b"\xe4\r\n").0.as_deref(), Some(&b"Gr\xfc\xdfe\r\n"[..]));
    assert_eq!(eight("ISO-8859-15", b"\xe4\r\n").0.as_deref(), Some(&b"Gr\xfc\xdfe\r\n"[..]));
    // In these it cannot be written, or nobody knows what they are: it is a part of its own.
    for charset in ["iso-8859-5", "koi8-r", "us-ascii", "utf-16", "utf-7", "x-unknown", "iso-2022-jp", "\"\""] {
        let (lines, message) = eight(charset, b"\xe4\r\n");
        assert_eq!(lines, None, "{charset}");
        assert_eq!(texts(&message).last().map(|text| text.trim_end()), Some("Grüße"), "{charset}");
    }
    // 7bit promises that there is nothing else.
    let seven = footed("Grüße", "Content-Type: text/plain; charset=utf-8; x=y\r\n\r\nx\r\n");
    assert!(seven.contains("multipart/mixed"), "{seven}");
}

#[test]
fn an_ascii_text_is_called_utf_8_when_that_is_what_it_becomes() {
    for head in [
        "A: b\r\n",
        "Content-Type: text/plain\r\nA: b\r\n",
        "Content-type: text/plain; charset=us-ascii\r\nA: b\r\nContent-Transfer-Encoding: 7bit\r\n",
        "Content-Type: text/plain; charset=ISO-8859-5\r\nA: b\r\n",
        "Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 8bit\r\nA: b\r\n",
    ] {
        let made = footed("Grüße 蟻", &format!("{head}\r\nx\r\n"));
        assert!(made.ends_with("\r\n\r\nx\r\nGrüße 蟻\r\n"), "{made}");
        for field in [
            "MIME-Version: 1.0\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Transfer-Encoding: 8bit\r\n",
            "A: b\r\n",
        ] {
            assert_eq!(made.to_lowercase().matches(&field.to_lowercase()).count(), 1, "{field} in {made}");
        }
    }
    // Both texts, in the charset that the message has in the end.
    let list = list("ä", "蟻", Personalize::None);
    let message = b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n";
    let made = frame(&list, message.to_vec(), audience(&[])).message;
    assert!(made.ends_with("ä\r\nx\r\n蟻\r\n".as_bytes()), "{}", String::from_utf8_lossy(&made));
}

#[test]
fn what_is_no_plain_text_becomes_a_part() {
    let encoded = |encoding: &str| format!("Content-Type: text/plain\r\nContent-Transfer-Encoding: {encoding}\r\n");
    for content in [
        encoded("quoted-printable"),
        encoded("base64"),
        encoded("x-uuencode"),
        encoded("7bit\r\nContent-Transfer-Encoding: base64"),
        "Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes\r\n".to_owned(),
        "Content-Type: text/html\r\nContent-ID: <1@x>\r\n".to_owned(),
        "Content-Type: multipart/alternative;\r\n boundary=b\r\n".to_owned(),
        "Content-Type: multipart/signed; boundary=b; micalg=pgp-sha256;\r\n protocol=\"application/pgp-signature\"\r\n"
            .to_owned(),
        "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=x\r\n".to_owned(),
        "Content-Type: text\r\n".to_owned(),
        "Content-Type:\r\n".to_owned(),
        "Content-Type: text/plain\r\nContent-Type: text/html\r\n".to_owned(),
        "content-type: application/pdf\r\nCONTENT-description: x\r\n".to_owned(),
        "Content-Type: multipart/mixed\r\n".to_owned(),
        "Content-Type: multipart/mixed; boundary=\"\"\r\n".to_owned(),
        "Content-Type: multipart/mixed; boundary=other\r\n".to_owned(),
        format!("Content-Type: multipart/mixed; boundary={}\r\n", "b".repeat(71)),
        "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n".to_owned(),
    ] {
        let body = "--b\r\n\r\nx =\r\n--b--\r\n=20\u{fc}";
        let made = footed("foot", &format!("From: a@x\r\n{content}Subject: s\r\n\r\n{body}"));
        let boundary = made.split("boundary=\"=_").nth(1).and_then(|rest| rest.split('"').next()).expect(&made);
        let head = made.split("\r\n\r\n").next().expect("header");
        assert!(
            head.starts_with("From: a@x\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;"),
            "{head}"
        );
        assert!(head.ends_with("Content-Transfer-Encoding: 8bit"), "{head}");
        let whole = format!("--=_{boundary}\r\n{content}\r\n{body}\r\n--=_{boundary}\r\n");
        assert!(made.contains(&whole), "the post is one part, octet by octet: {made}");
        let part = "Content-Type: text/plain; charset=\"us-ascii\"\r\nContent-Transfer-Encoding: 7bit\r\n\
                    Content-Disposition: inline\r\n\r\nfoot\r\n";
        assert!(made.ends_with(&format!("{part}--=_{boundary}--\r\n")), "{made}");
        let parsed = MessageParser::default().parse(made.as_bytes()).expect("a message");
        assert_eq!(parsed.parts[0].sub_parts().map(<[_]>::len), Some(2), "{made}");
    }
}

#[test]
fn what_is_encrypted_is_left_alone() {
    for kind in [
        "multipart/encrypted; boundary=b",
        "Application/PKCS7-MIME; smime-type=enveloped-data",
        "application/x-pkcs7-mime",
        "message/partial; id=1; number=1",
    ] {
        let message = format!("To: ants@example.com\r\nContent-Type: {kind}\r\n\r\n--b\r\n\r\n--b--\r\n");
        assert_eq!(footed("foot", &message), message);
        // Whom it is for is still said.
        let list = list("", "foot", Personalize::Full);
        let framed = frame(&list, message.clone().into(), audience(&[ANNE]));
        assert_eq!(copy(&framed, ANNE), message.replace("ants@example.com", "Anne <Anne@x.example>").into_bytes());
    }
}

#[test]
fn mixed_gets_a_first_and_a_last_part() {
    let list = list("top", FOOTER, Personalize::None);
    let framed = |body: &str| {
        let head = "Content-Type: multipart/mixed; boundary=\"a b\"\r\n\r\n";
        let made = frame(&list, format!("{head}{body}").into(), audience(&[])).message;
        String::from_utf8(made).expect("text").strip_prefix(head).expect("header").to_owned()
    };
    let top = "--a b\r\nContent-Type: text/plain; charset=\"us-ascii\"\r\nContent-Transfer-Encoding: 7bit\r\n\
               Content-Disposition: inline\r\n\r\ntop\r\n";
    // `-- ` could be read as the beginning of a delimiter by somebody.
    let foot = "--a b\r\nContent-Type: text/plain; charset=\"utf-8\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\
                Content-Disposition: inline\r\n\r\n=2D-=20\r\nants\r\n";
    let part = "--a b  \r\n\r\none\r\n--a bc\r\n--a b-- c\r\n --a b--\r\n";
    assert_eq!(
        framed(&format!("pre\r\n{part}--a b--\t\r\nepilogue\r\n--a b--\r\n")),
        format!("pre\r\n{top}{part}{foot}--a b--\t\r\nepilogue\r\n--a b--\r\n")
    );
    assert_eq!(framed(&format!("{part}--a b--")), format!("{top}{part}{foot}--a b--"));
    // What has no end gets one.
    assert_eq!(framed(part), format!("{top}{part}{foot}--a b--\r\n"));
    assert_eq!(framed("--a b\r\n\r\nx"), format!("{top}--a b\r\n\r\nx\r\n{foot}--a b--\r\n"));
    assert_eq!(framed("--a b"), format!("{top}--a b\r\n{foot}--a b--\r\n"));
    assert_eq!(framed("--a b\n\none\n--a b--\n"), format!("{top}--a b\n\none\n{foot}--a b--\n"));
}

#[test]
fn a_boundary_of_ours_is_in_nothing_else() {
    let body = "Content-Type: text/html\r\n\r\nx\r\n";
    let made = footed("foot", body);
    let taken = made.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a boundary");
    let hash = parts::boundary(b"x\r\n");
    assert_eq!(taken, hash);
    // Who knows how we make them gets another.
    for evil in [format!("--{hash}--\r\n"), hash] {
        assert!(!evil.contains(&parts::boundary(evil.as_bytes())));
    }
}

#[test]
fn each_member_has_his_own_footer() {
    let message = b"A: b\r\n\r\nhello\r\n";
    let made = |who| String::from_utf8(personal(OWN, &[ANNE, ("bob@x.example", "")], message, who)).expect("text");
    assert_eq!(made(ANNE), "A: b\r\n\r\nhello\r\nFor Anne <anne@x.example>\r\n");
    assert_eq!(made(("bob@x.example", "")), "A: b\r\n\r\nhello\r\nFor  <bob@x.example>\r\n");
    // One name that is not ASCII: all copies are UTF-8, as what is shared cannot differ.
    for who in [ANNE, ZOE] {
        let copy = personal(OWN, &[ANNE, ZOE], message, who);
        assert!(String::from_utf8_lossy(&copy).contains("charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"));
        assert_eq!(texts(&copy), [format!("hello\r\nFor {} <{}>\r\n", who.1, who.0.to_lowercase())]);
    }
    for shape in [
        &b"Content-Type: text/html\r\n\r\nhello"[..],
        b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nhello\xe4",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello",
    ] {
        for who in [ANNE, ZOE] {
            let copy = personal(OWN, &[ANNE, ZOE], shape, who);
            let found = texts(&copy);
            assert_eq!(found.len(), 2, "{}", String::from_utf8_lossy(&copy));
            assert!(found[0].starts_with("hello"), "{found:?}");
            assert_eq!(found[1].trim_end(), format!("For {} <{}>", who.1, who.0.to_lowercase()));
        }
    }
}

#[test]
fn a_text_that_is_different_only_in_lists_is_shared() {
    let list = list("$list_name", OWN, Personalize::Individual);
    let framed = frame(&list, b"A: b\r\n\r\nhello\r\n".to_vec(), audience(&[ANNE]));
    assert_eq!(framed.message, b"A: b\r\n\r\nants\r\nhello\r\n");
    assert_eq!(framed.splices.map(|splices| splices.iter().len()), Some(1));
}

#[test]
fn lines_that_would_be_too_long_are_encoded() {
    let long = format!("x{}", " word".repeat(200));
    let made = footed(&long, "A: b\r\n\r\nhello\r\n");
    assert!(made.lines().all(|line| line.len() < 200), "{made}");
    assert_eq!(texts(made.as_bytes())[1].trim_end(), long);
    // The longest that it can become counts.
    let name = "x".repeat(200);
    let own = "$user_name ".repeat(5);
    let copy = personal(&own, &[ANNE, ("b@x", &name)], b"A: b\r\n\r\nhello\r\n", ANNE);
    assert!(String::from_utf8_lossy(&copy).contains("quoted-printable"));
}

#[test]
fn full_names_the_member_in_the_place_of_to() {
    let list = list("", "", Personalize::Full);
    let to = |message: &str, who: (&str, &str)| {
        let framed = frame(&list, message.into(), audience(&[who]));
        String::from_utf8(copy(&framed, who)).expect("text")
    };
    assert_eq!(
        to("A: b\r\nTo: ants@example.com,\r\n bees@example.com\r\nC: d\r\nTO: x@y\r\n\r\nTo: body\r\n", ANNE),
        "A: b\r\nTo: Anne <Anne@x.example>\r\nC: d\r\n\r\nTo: body\r\n"
    );
    assert_eq!(to("A: b\r\n\r\nx\r\n", ("b@x", "")), "A: b\r\nTo: b@x\r\n\r\nx\r\n");
    assert_eq!(to("To: y@z", ("b@x", "")), "To: b@x\r\n\r\n");
    assert_eq!(to("", ("b@x", "")), "To: b@x\r\n\r\n");
    let zoe = to("To: a@b\r\n\r\nx\r\n", ZOE);
    let parsed = MessageParser::default().parse(zoe.as_bytes()).expect("a message");
    let one = parsed.to().and_then(|to| to.first()).expect("To");
    assert_eq!((one.name(), one.address()), (Some(ZOE.1), Some(ZOE.0)));
    assert!(zoe.is_ascii());
    // Also when the header changes around it.
    let mut list = list;
    list.settings.footer = "Grüße".into();
    let html = "Content-ID: <1>\r\nA: b\r\nContent-Type: text/html\r\nTo: x@y\r\nC: d\r\n\r\nx\r\n";
    let framed = frame(&list, html.into(), audience(&[ANNE]));
    let made = copy(&framed, ANNE);
    assert!(made.starts_with(b"A: b\r\nTo: Anne <Anne@x.example>\r\nC: d\r\nMIME-Version: 1.0\r\n"));
}

#[test]
fn a_header_that_is_too_large_to_be_seen_whole_stays_as_it_is() {
    let message = format!("{}\r\nhello\r\n", "X: y\r\n".repeat(1001));
    for personalize in Personalize::ALL {
        let framed = frame(&list("top", OWN, personalize), message.clone().into(), audience(&[ANNE]));
        assert_eq!(framed.message, message.as_bytes());
        assert_eq!(framed.splices.map(|splices| splices.iter().len()), (personalize != Personalize::None).then_some(0));
    }
}

#[test]
fn a_parser_finds_as_many_fields_and_parts_as_we_made() {
    let message = b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n";
    let hostile = ["a\r\n--b--\r\n", "--b--", "\r\n.\r\n", "\0--b\r\n\r\n", "=\r\n--b", &"-".repeat(300)];
    for name in hostile {
        for template in ["$user_name", "--$user_name", "-$user_name\n--b--\n$user_name", "--b\n\n$user_name"] {
            let who = ("a@x.example", name);
            let list = list(template, template, Personalize::Full);
            let framed = frame(&list, message.to_vec(), audience(&[("a@x.example", &crate::personal::own_name(name))]));
            let copy = copy(&framed, who);
            let parsed = MessageParser::default().parse(&copy).expect("a message");
            assert_eq!(parsed.parts[0].sub_parts().map(<[_]>::len), Some(3), "{}", String::from_utf8_lossy(&copy));
            assert_eq!(parsed.parts[0].headers.len(), 3);
            let last = parsed.part(parsed.parts[0].sub_parts().expect("parts")[2]).expect("a part");
            assert_eq!(last.content_type().and_then(|kind| kind.subtype()), Some("plain"));
        }
    }
}

/// Whatever comes: what is not ours stays, in its order, and each copy is the message with whole lines put in.
#[test]
fn anything_keeps_its_octets() {
    let mut random = StdRng::seed_from_u64(2045);
    let pieces: [&[u8]; 34] = [
        b"Content-Type: text/plain\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: multipart/mixed; boundary=\"b\r\n",
        b"Content-Type: multipart/alternative; boundary=b\r\n",
        b"content-TYPE:\r\n",
        b"Content-Type: multipart/mixed;\r\n boundary*0=\"b\";\r\n boundary*1=\"c\"\r\n",
        b"Content-Type: text/html\n",
        b"Content-Type: multipart/encrypted\r\n",
        b"Content-Transfer-Encoding: 8bit\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: \xff\r\n",
        b"Content-Disposition: attachment\r\n",
        b"MIME-Version: 1.0\r\n",
        b"To: a@x, b@x\r\n",
        b"to : c@x\r\n",
        b"Subject: x\r\n",
        b"X:\n",
        b" folded\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"--b\r\n",
        b"--b--\r\n",
        b"--b",
        b"--bc\r\n",
        b"\r\n--b \t\r\n",
        b"x",
        b".",
        b"..\r\n",
        b"\xe4",
        b"\0",
        b"From me\r\n",
        b"=20\r\n",
    ];
    let templates = ["", "foot", "-- \nfoot ü", "$user_name", "x\n$user_email\n.", "--b\n$user_name"];
    let mut seen = std::collections::BTreeMap::<&str, usize>::new();
    for _ in 0..30_000 {
        let length = random.random_range(0..14);
        let message: Vec<u8> =
            (0..length).flat_map(|_| pieces[random.random_range(0..pieces.len())]).copied().collect();
        let pick = |random: &mut StdRng| templates[random.random_range(0..templates.len())];
        let list = list(pick(&mut random), pick(&mut random), Personalize::ALL[random.random_range(0..3)]);
        let people = if random.random_range(0..2) == 0 { vec![ANNE] } else { vec![ANNE, ZOE] };
        let framed = frame(&list, message.clone(), audience(&people));
        assert_eq!(frame(&list, message.clone(), audience(&people)), framed, "it can be repeated");
        assert_eq!(framed.splices.is_some(), list.settings.personalize != Personalize::None);
        let before = Headers::parse(&message);
        let after = Headers::parse(&framed.message);
        let gone = |name: &[u8]| name.eq_ignore_ascii_case(b"To") || name.to_ascii_lowercase().starts_with(b"content-");
        let kept: Vec<&[u8]> =
            before.fields().filter(|one| !gone(one.name())).map(crate::post::headers::Field::raw).collect();
        let found: Vec<&[u8]> =
            after.fields().filter(|one| !gone(one.name())).map(crate::post::headers::Field::raw).collect();
        let unframed = list.settings.header.is_empty()
            && list.settings.footer.is_empty()
            && list.settings.personalize != Personalize::Full;
        if unframed {
            assert_eq!(framed.message, message);
            continue;
        }
        let added = &found[kept.len().min(found.len())..];
        assert_eq!(found[..kept.len()], kept[..]);
        assert!(added.is_empty() || added == [&b"MIME-Version: 1.0\r\n"[..]]);
        // The body, in as many pieces as parts of ours go between.
        let body = before.body();
        let mut rest = framed.message.as_slice();
        let shape = Shape::of(&before);
        let (kind, cuts) = match shape {
            Shape::Mixed { first, close, .. } => ("mixed", vec![first, close.unwrap_or(body.len())]),
            Shape::Plain(_) => ("plain", vec![]),
            Shape::Other => ("other", vec![]),
            Shape::Sealed => ("sealed", vec![]),
        };
        *seen.entry(kind).or_default() += 1;
        let mut from = 0;
        for to in cuts.into_iter().chain([body.len()]) {
            let at = memchr::memmem::find(rest, &body[from..to]).unwrap_or_else(|| {
                panic!("{:?} became {:?}", String::from_utf8_lossy(&message), String::from_utf8_lossy(&framed.message))
            });
            rest = &rest[at + to - from..];
            from = to;
        }
        if let Some(splices) = &framed.splices {
            assert_eq!(splices.check(&framed.message), Ok(()));
            for who in people {
                let own = Own::of(splices, &address(who.0), who.1);
                let mut copy = own.put_into(&framed.message, splices);
                let texts: Vec<Vec<u8>> = own.texts().map(<[u8]>::to_vec).collect();
                for (splice, text) in splices.iter().zip(&texts) {
                    assert_eq!(copy[splice.at..splice.at + text.len()], text[..]);
                    copy.drain(splice.at..splice.at + text.len());
                }
                assert_eq!(copy, framed.message, "without the splices the shared octets are exactly the message");
            }
        }
    }
    assert!(seen.len() == 4 && seen.values().all(|count| *count > 300), "{seen:?}");
}
