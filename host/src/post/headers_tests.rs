use super::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn value(text: &str) -> FieldValue {
    FieldValue::new(text).expect("a good value")
}

fn written(message: &[u8]) -> Vec<u8> {
    Headers::parse(message).write()
}

#[test]
fn a_message_that_is_not_edited_comes_out_as_it_went_in() {
    for message in [
        &b"A: 1\r\nB: 2\r\n\r\nbody\r\n"[..],
        b"A:1\r\n\tfolded\r\n  twice\r\nb : odd\r\n\r\n",
        b"Subject: gr\xfc\xdfe \xff\r\n\r\n8bit \xe4\0 NUL\r\n",
        b"A: 1\nB: 2\n\nbare LF\n",
        b"A:\r\n \r\n x\r\n\r\n\r\nempty lines\r\n\r\n",
        b"A: b\rc\r\n\r\nbare CR\r",
        b"\r\nno header\r\n",
        b"A: 1\r\n\r\n",
    ] {
        assert_eq!(written(message), message, "{:?}", String::from_utf8_lossy(message));
    }
}

#[test]
fn a_header_that_ends_without_an_empty_line_gets_one() {
    assert_eq!(written(b""), b"\r\n");
    assert_eq!(written(b"A: 1"), b"A: 1\r\n\r\n");
    assert_eq!(written(b"A: 1\r\n"), b"A: 1\r\n\r\n");
    assert_eq!(written(b"A: 1\r\nthis is no field\r\nB: 2\r\n"), b"A: 1\r\n\r\nthis is no field\r\nB: 2\r\n");
    assert_eq!(written(b"no field\r\n\r\nx"), b"\r\nno field\r\n\r\nx");
    assert_eq!(written(b": no name\r\n"), b"\r\n: no name\r\n");
    assert_eq!(written(b"\xc3\xbc: 8-bit name\r\n"), b"\r\n\xc3\xbc: 8-bit name\r\n");
}

#[test]
fn a_first_line_that_begins_with_a_blank_never_joins_what_we_write() {
    let mut headers = Headers::parse(b" x: y\r\nA: 1\r\n\r\nb");
    headers.push("List-Id", &value("<a.b>"));
    assert_eq!(headers.write(), b"List-Id: <a.b>\r\n\r\n x: y\r\nA: 1\r\n\r\nb");
}

#[test]
fn an_mbox_line_is_dropped_but_a_from_field_never() {
    assert_eq!(written(b"From anne@x Mon Nov  2 10:00:00 2026\r\nA: 1\r\n\r\nb"), b"A: 1\r\n\r\nb");
    assert_eq!(written(b">From anne@x Mon\r\nA: 1\r\n\r\nb"), b"A: 1\r\n\r\nb");
    assert_eq!(written(b"From : anne@x\r\n\r\nb"), b"From : anne@x\r\n\r\nb");
    assert_eq!(written(b"A: 1\r\nFrom anne\r\nB: 1\r\n\r\nb"), b"A: 1\r\n\r\nFrom anne\r\nB: 1\r\n\r\nb");
}

#[test]
fn fields_are_found_whatever_their_case_and_blanks() {
    let headers = Headers::parse(b"SUBJECT : a\r\n b\r\nsubject:c\r\n\r\n");
    let texts: Vec<String> = headers.all("Subject").map(Field::text).collect();
    assert_eq!(texts, ["a b", "c"]);
    assert_eq!(headers.first("subject").expect("field").name(), b"SUBJECT");
    assert_eq!(headers.first("subject").expect("field").value(), b" a\r\n b\r\n");
    assert!(!headers.contains("Subj"));
}

#[test]
fn edits_touch_nothing_else() {
    let message = b"R: 1\r\nSubject: x\r\n\ty\r\nKeep: \xff\r\n  z \r\nSubject: again\r\nLast: 1\r\n\r\nB\r\n";
    let mut headers = Headers::parse(message);
    headers.replace("Subject", &value("new"));
    headers.push("End", &value("e"));
    headers.push_top("Top", &value("t"));
    assert_eq!(headers.remove("last"), 1);
    assert_eq!(headers.remove("last"), 0);
    let expected: &[u8] = b"Top: t\r\nR: 1\r\nSubject: new\r\nKeep: \xff\r\n  z \r\nEnd: e\r\n\r\nB\r\n";
    assert_eq!(headers.write(), expected);
    assert_eq!(headers.octets(), expected.len());
}

#[test]
fn a_text_put_before_a_value_keeps_the_value() {
    let put = |message: &[u8], text: &str| {
        let mut headers = Headers::parse(message);
        headers.put_before("Subject", &value(text));
        headers.write()
    };
    assert_eq!(put(b"subject:x  y \r\n\r\n", "[A] "), b"subject: [A] x  y \r\n\r\n");
    assert_eq!(put(b"Subject:\r\n =?utf-8?q?x?=\r\n\r\n", "[A] "), b"Subject: [A] =?utf-8?q?x?=\r\n\r\n");
    assert_eq!(put(b"Subject: \xfc\r\n\t\xff\r\n\r\n", "[A] "), b"Subject: [A] \xfc\r\n\t\xff\r\n\r\n");
    assert_eq!(put(b"A: x\r\n\r\n", "[A] "), b"A: x\r\n\r\n");
    let long = "y".repeat(70);
    assert_eq!(
        put(format!("Subject: {long}\r\n\r\n").as_bytes(), "[A] "),
        format!("Subject: [A]\r\n {long}\r\n\r\n").as_bytes()
    );
}

#[test]
fn nothing_that_could_begin_a_field_can_be_written() {
    for bad in ["a\r\nBcc: x@y", "a\nb", "a\rb", "a\0b", "a\u{85}b", "a\x7fb", "a\tb"] {
        assert!(matches!(FieldValue::new(bad), Err(FieldValueError::Control(_))), "{bad:?}");
        let clean = FieldValue::cleaned(bad);
        assert_eq!(FieldValue::new(clean.as_str()).as_ref(), Ok(&clean), "{bad:?}");
    }
    let mut headers = Headers::parse(b"A: 1\r\n\r\n");
    headers.push("X", &FieldValue::cleaned("v\r\nBcc: x@y\r\n\r\nbody"));
    let message = headers.write();
    let again = Headers::parse(&message);
    assert_eq!(again.fields().count(), 2);
    assert!(!again.contains("Bcc"));
    assert_eq!(again.body(), b"");
}

#[test]
fn long_values_are_folded_and_unfold_to_themselves() {
    let text = ["word"; 60].join(" ").replacen("word word", "word    word", 3);
    let field = folded(b"X-Long:", &text);
    let lines: Vec<&[u8]> = field.split(|b| *b == b'\n').collect();
    assert!(lines.len() > 3 && lines.iter().all(|line| line.len() <= PREFERRED_LINE + 1));
    assert!(lines.iter().all(|line| !line.trim_ascii().is_empty()));
    assert_eq!(String::from_utf8(field).expect("ascii").replace("\r\n", ""), format!("X-Long: {text}"));
    assert!(FieldValue::new("x".repeat(901)).is_err());
    let cut = FieldValue::cleaned(&"ü".repeat(3000));
    assert!(folded(b"X:", cut.as_str()).split(|b| *b == b'\n').all(|line| line.len() <= 998));
}

#[test]
fn random_octets_never_panic_and_the_end_is_kept() {
    let mut random = StdRng::seed_from_u64(5322);
    let alphabet = b"aF:\r\n \t\0\xff<>@=?From ";
    for _ in 0..20_000 {
        let length = random.random_range(0..60);
        let message: Vec<u8> = (0..length)
            .map(|_| {
                if random.random_bool(0.1) { random.random() } else { alphabet[random.random_range(0..alphabet.len())] }
            })
            .collect();
        let mut headers = Headers::parse(&message);
        let body = headers.body();
        assert!(message.ends_with(body));
        let fields = headers.fields().count();
        let again = headers.write();
        assert_eq!(Headers::parse(&again).fields().count(), fields, "{message:?}");
        assert_eq!(Headers::parse(&again).body(), body, "{message:?}");
        headers.put_before("a", &value("[P] "));
        headers.push("Z", &value("z"));
        headers.push_top("Y", &value("y"));
        let edited = headers.write();
        let edited = Headers::parse(&edited);
        assert_eq!(edited.fields().count(), fields + 2, "{message:?}");
        assert_eq!(edited.body(), body, "{message:?}");
    }
}

#[test]
fn a_header_too_large_to_be_looked_at_is_copied_whole() {
    let many = "a:\r\n".repeat(MAX_FIELDS + 1) + "\r\nbody";
    let long = format!("A: 1\r\nB: {}\r\nC: 1\r\n\r\nbody", "x".repeat(MAX_HEADER));
    let folded = format!("A: 1\r\nB: x\r\n{}C: 1\r\n\r\nbody", " x\r\n".repeat(MAX_HEADER / 4));
    for (message, looked_at) in [(many, MAX_FIELDS), (long, 1), (folded, 1)] {
        let mut headers = Headers::parse(message.as_bytes());
        assert!(headers.is_cut());
        assert_eq!(headers.fields().count(), looked_at);
        assert!(headers.write() == message.as_bytes(), "octet by octet");
        headers.push("X-New", &value("1"));
        let written = headers.write();
        assert_eq!(written.len(), message.len() + "X-New: 1\r\n".len());
        let header = memchr::memmem::find(&written, b"\r\n\r\n").expect("a body");
        assert!(memchr::memmem::find(&written[..header], b"X-New: 1").is_some(), "in the header still");
    }
    let large = "a:\r\n".repeat(MAX_FIELDS) + "\r\nbody";
    assert!(!Headers::parse(large.as_bytes()).is_cut());
}
