use super::*;
use crate::lists::{EmailAddress, Subaddress};
use crate::personal::{Form, OwnVariable, Piece, Splice};
use crate::spool::{ArrivalState, EnvelopeSender, IncomingRecipient};
use std::convert::Infallible;

const MESSAGE: &[u8] = b"Subject: x\r\nX-Postrider-Queue: 1\r\n\r\nFrom me\r\n>From you\r\n.\r\n\r\nlast\r\n\r\n";

fn arrival(message: &[u8]) -> Arrival {
    Arrival {
        id: 12,
        message: 3,
        sender: Some(EmailAddress::parse("\"a b\"@example.com").expect("address")),
        recipient: IncomingRecipient {
            list: 7,
            list_address: "ants@lists.example.com".into(),
            function: Subaddress::Post,
            recipient: "Ants+x@Lists.example.com".into(),
            detail: Some("x".into()),
        },
        state: ArrivalState::Shunted,
        reason: "a mail loop\r\nX: y".into(),
        received: 1_790_000_000,
        size: message.len() as u64,
        damaged: false,
    }
}

fn outgoing(message: &[u8], recipients: u64) -> QueuedOutgoing {
    QueuedOutgoing {
        id: 5,
        list_address: "ants@lists.example.com".into(),
        message_id: "<m@x>".into(),
        sender: EnvelopeSender::Verp("ants-bounces@lists.example.com".into()),
        size: message.len() as u64,
        personal: false,
        waiting: recipients,
        deferred: 0,
        done: 3,
        queued: 1_790_000_000,
        next_try: 1_790_000_300,
        last_reply: "451 4.3.0 greylisted".into(),
    }
}

fn recipient(number: u64) -> QueuedRecipient {
    QueuedRecipient {
        id: number as i64,
        address: format!("member{number}@example.com"),
        name: String::new(),
        attempts: (number % 3) as u32,
        next_try: 1_790_000_300 * (number % 2) as i64,
        reply: if number % 2 == 1 { "451 \u{7}from \"them\"\n".into() } else { String::new() },
    }
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Failed(#[from] WriteError);

impl From<Infallible> for Failed {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

fn written(format: Format, message: &[u8], recipients: u64) -> Result<Vec<u8>, Failed> {
    let mut writer = Writer::begin(Vec::new(), format, 1_790_000_500)?;
    writer.arrival(&arrival(message), message)?;
    writer.outgoing::<Failed>(&outgoing(message, recipients), message, None, |write| {
        (1..=recipients).for_each(|number| write(recipient(number)));
        Ok(())
    })?;
    let (file, counts) = writer.end()?;
    assert_eq!(counts, Counts { arrivals: 1, outgoing: 1, recipients });
    Ok(file)
}

fn read(file: &[u8]) -> Result<Vec<Item>, String> {
    let mut reader = Reader::begin(file).map_err(|error| error.to_string())?;
    let mut items = Vec::new();
    while let Some(item) = reader.next().map_err(|error| error.to_string())? {
        items.push(item);
    }
    Ok(items)
}

fn assert_same(items: &[Item], message: &[u8], recipients: u64) {
    let [Item { entry: Imported::Arrival(one), .. }, Item { entry: Imported::Outgoing(two), .. }] = items else {
        panic!("{items:?}");
    };
    let mut wanted = arrival(message);
    (wanted.message, wanted.recipient.list) = (0, 0);
    assert_eq!((&one.arrival, &one.message[..]), (&wanted, message));
    let from = outgoing(message, recipients);
    assert_eq!((two.id, &two.sender, two.queued, two.done), (5, &from.sender, from.queued, 3));
    assert_eq!(
        (&two.list_address, &two.message_id, &two.last_reply),
        (&from.list_address, &from.message_id, &from.last_reply)
    );
    assert_eq!(&two.message[..], message);
    let recipients: Vec<_> = (1..=recipients).map(|number| QueuedRecipient { id: 0, ..recipient(number) }).collect();
    assert_eq!(two.recipients, recipients);
}

#[test]
fn what_is_written_is_read_back_octet_by_octet() {
    let odd: [&[u8]; 6] = [
        MESSAGE,
        b"",
        b"no end",
        b"\r\n",
        b"X: \xff\xfe\0\r\n\r\nbare \n and \r\r\n",
        "Subject: Gr\u{fc}\u{df}e\r\n\r\n\u{2028}\r\n".as_bytes(),
    ];
    for message in odd {
        let file = written(Format::Json, message, 2_501).expect("JSON");
        assert_same(&read(&file).expect("the file"), message, 2_501);
    }
    for message in [MESSAGE, b"\r\n", b"X: \xff\r\n\r\n\r\nFrom \r\r\n", b"\r\n\r\n"] {
        let file = written(Format::Mbox, message, 21).expect("mbox");
        assert_same(&read(&file).expect("the file"), message, 21);
    }
    for message in [&b"no end"[..], b"bare\nlf\r\n", b""] {
        let error = written(Format::Mbox, message, 1).expect_err("cannot be kept").to_string();
        assert!(error.contains("in 12") && error.contains("--format json"), "{error}");
    }
}

#[test]
fn the_same_entry_has_the_same_origin_in_both_formats_and_others_have_others() {
    let origins = |format, message: &[u8]| -> Vec<String> {
        let file = written(format, message, 1).expect("file");
        read(&file).expect("items").into_iter().map(|item| item.origin).collect()
    };
    let first = origins(Format::Json, MESSAGE);
    assert_eq!(first, origins(Format::Mbox, MESSAGE));
    assert_ne!(first[0], first[1]);
    assert_ne!(first, origins(Format::Json, b"X: another\r\n"));
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_refused() {
    let file = written(Format::Json, MESSAGE, 3).expect("file");
    for length in 0..file.len() {
        let error = read(&file[..length]).expect_err("cut off");
        assert!(error.starts_with("line "), "{length}: {error}");
    }
    let file = written(Format::Mbox, MESSAGE, 3).expect("file");
    let starts: Vec<usize> =
        memchr::memmem::find_iter(&file, b"From ").filter(|at| file[..*at].ends_with(b"\n\n")).collect();
    let [second, last] = starts[..] else { panic!("{starts:?}") };
    let total = memchr::memmem::rfind(&file, b"}\nSubject: End").expect("the total");
    for length in 0..total {
        if [second, last].contains(&length) {
            continue;
        }
        let error = read(&file[..length]).err();
        assert!(error.is_some_and(|error| error.starts_with("line ")), "{length}");
    }
    assert_same(&read(&file[..=total]).expect("whole"), MESSAGE, 3);
}

#[test]
fn an_mbox_says_how_much_it_had_and_without_that_there_is_a_doubt() {
    let doubt = |file: &[u8]| {
        let mut reader = Reader::begin(file).expect("begin");
        while reader.next().expect("an item").is_some() {}
        reader.doubt()
    };
    let file = written(Format::Mbox, MESSAGE, 3).expect("file");
    assert_eq!(doubt(&file), None);
    assert_eq!(doubt(&written(Format::Json, MESSAGE, 3).expect("file")), None);
    let last = memchr::memmem::rfind(&file, b"From MAILER-DAEMON").expect("the last message");
    let second = memchr::memmem::rfind(&file, b"From ants-bounces@").expect("the second message");
    for length in [second, last] {
        assert!(doubt(&file[..length]).is_some_and(|doubt| doubt.contains("X-Postrider-Total")), "{length}");
    }
    // Somebody has taken a message out, and left the end.
    let error = read(&[&file[..second], &file[last..]].concat()).expect_err("one is missing");
    assert!(error.contains("had 1 in, 1 out and 3 recipients when it was written, and has 1, 0 and 0 now"), "{error}");
    let error = read(&[&file[..], &file[..]].concat()).expect_err("two files");
    assert!(error.contains("something follows behind the message with X-Postrider-Total"), "{error}");
    // Nothing was there to be exported.
    let (empty, _) = Writer::begin(Vec::new(), Format::Mbox, 1_790_000_500).and_then(Writer::end).expect("a file");
    assert_eq!((read(&empty).expect("no items").len(), doubt(&empty)), (0, None));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let file = String::from_utf8(written(Format::Json, MESSAGE, 3).expect("file")).expect("UTF-8");
    let changed = |from: &str, to: &str| {
        assert!(file.contains(from), "{from}");
        read(file.replacen(from, to, 1).as_bytes()).expect_err(to)
    };
    for (from, to, complaint) in [
        ("\"postrider_queue\":1", "\"postrider_queue\":2", "line 1: the file is of version 2"),
        ("\"postrider_queue\":1", "\"postrider\":1", "line 1: this is no record of a queue: missing field"),
        ("member2@", "member2\\r\\nRCPT TO:<x>@", "line 4: out 5: recipient: "),
        ("member2@", "m e@", "line 4: out 5: recipient: "),
        ("ants-bounces@lists", "x>\\r\\nDATA\\r\\n@lists", "line 3: out 5: sender: "),
        ("\"<m@x>\"", "\"<m@x>\\n\"", "line 3: out 5: message_id "),
        ("Ants+x@", "Ants\\n+x@", "line 2: in 12: recipient "),
        ("\"ants@lists.example.com\"", "\"ants\"", "line 2: in 12: list: "),
        ("\"shunted\"", "\"lost\"", "line 2: in 12: the state \"lost\""),
        ("\"function\":\"post\"", "\"function\":\"pots\"", "line 2: in 12: \"pots\" is no function"),
        ("\"received\":1790000000", "\"received\":-1", "line 2: in 12: received is -1"),
        (
            "\"received\":1790000000",
            "\"received\":9223372036854775807",
            "line 2: in 12: received is 9223372036854775807",
        ),
        ("\"queued\":1790000000", "\"queued\":253402300800", "line 3: out 5: queued is 253402300800"),
        ("\"done\":3", "\"done\":18446744073709551615", "line 3: out 5: done is 18446744073709551615"),
        ("\"done\":3", "\"done\":9223372036854775807", "line 3: out 5: done is 9223372036854775807"),
        ("\"recipients\":3,", "\"recipients\":1000000001,", "line 3: out 5: recipients is 1000000001"),
        ("com\",2,0", "com\",4294967295,0", "line 4: out 5: recipient member2@example.com: tries is 4294967295"),
        ("com\",2,0", "com\",2,-1", "line 4: out 5: recipient member2@example.com: next try is -1"),
        ("com\",2,0", "com\",2,9223372036854775807", "line 4: out 5: recipient member2@example.com: next try is 92"),
        ("\"recipients\":3,", "\"recipients\":4,", "line 3: the entry is said to have 4 recipients, but 3 follow"),
        ("\"recipients\":3,", "\"recipients\":2,", "line 4: out 5: there are more recipients"),
        ("Subject: x", "Subject: xy", "line 2: in 12: the message has 70 octets"),
        ("\"origin\":\"", "\"origin\":\"zz", "line 2: in 12: the origin "),
        ("\"id\":12", "\"id\":12,\"idd\":1", "line 2: this is no record of a queue: unknown field `idd`"),
        ("{\"end\":{\"in\":1", "{\"end\":{\"in\":2", "line 5: the file had 2 in"),
        ("\"message\":\"Subject: x", "\"message_base64\":\"@", "line 2: message_base64 is no base64"),
    ] {
        let error = changed(from, to);
        assert!(error.starts_with(complaint), "{to}: {error}");
    }
    let twice = format!("{file}{file}");
    assert!(read(twice.as_bytes()).expect_err("twice").starts_with("line 6: something follows"));
    let [head, _, third, ..] = file.lines().collect::<Vec<_>>()[..] else { panic!("lines") };
    let lonely = format!("{head}\n{{\"recipients\":[]}}\n");
    assert!(read(lonely.as_bytes()).expect_err("lonely").contains("belong to no message"));
    let mut latin = format!("{head}\n{third}\n").into_bytes();
    latin[head.len() + 30] = 0xe4;
    assert!(read(&latin).expect_err("Latin-1").starts_with("line 2: it is not UTF-8, from octet 30 on"));
    assert!(read(b"").expect_err("empty").starts_with("line 1: the file is empty"));
    assert!(read(b"\x7fELF").expect_err("a program").starts_with("line 1: this is no file of"));
    let endless = [b"{\"postrider_queue\":".to_vec(), vec![b' '; 1 << 20]].concat();
    assert!(read(&endless).expect_err("endless").starts_with("line 1: the line is longer than 4096"));
}

#[test]
fn an_mbox_that_others_wrote_or_changed_is_refused() {
    let plain = b"From anne@example.com Sat Nov 28 07:47:10 2026\nSubject: x\n\nHi\n\n";
    let error = read(plain).expect_err("no envelope");
    assert!(
        error.starts_with("line 1: the message has no X-Postrider-Queue") && error.contains("postrider inject"),
        "{error}"
    );
    let file = String::from_utf8(written(Format::Mbox, MESSAGE, 12).expect("file")).expect("UTF-8");
    for (from, to, complaint) in [
        ("X-Postrider-Queue: 1", "X-Postrider-Queue: 2", "line 2: the file is of version 2"),
        ("X-Postrider-Entry: ", "X-Entry: ", "line 3: the header field X-Postrider-Entry is missing"),
        ("X-Postrider-End: 0", "X-Postrider-End: 1", "line 4: 0 recipients are named and 1 announced"),
        ("\n>From me", "\nFrom me", "line 3: in 12: the message has "),
        ("last\n", "lost it\n", "line 3: in 12: the message has "),
        ("member11@", "mem ber11@", "line "),
    ] {
        assert!(file.contains(from), "{from}");
        let error = read(file.replacen(from, to, 1).as_bytes()).expect_err(to);
        assert!(error.starts_with(complaint), "{to}: {error}");
    }
    assert!(file.starts_with("From \"a_b\"@example.com Mon Sep 21 "), "{file}");
}

#[test]
fn random_changes_never_panic() {
    use rand::{Rng, SeedableRng};
    let mut random = rand::rngs::StdRng::seed_from_u64(4155);
    for format in [Format::Json, Format::Mbox] {
        let file = written(format, MESSAGE, 3).expect("file");
        for _ in 0..2_000 {
            let mut changed = file.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..changed.len());
                changed[at] = random.random();
            }
            let _ = read(&changed);
        }
    }
}

#[test]
fn the_longest_replies_are_cut_and_read_back() {
    // A server may answer with 64 KiB; of control characters each takes six octets in JSON.
    let long = ["x".repeat(64 << 10), "x".to_owned() + &"\u{fc}".repeat(32 << 10), "\u{7}".repeat(64 << 10)];
    for (text, format) in long.iter().flat_map(|text| [(text, Format::Json), (text, Format::Mbox)]) {
        let mut writer = Writer::begin(Vec::new(), format, 1_790_000_500).expect("begin");
        let shunted = Arrival { reason: text.clone(), ..arrival(MESSAGE) };
        writer.arrival(&shunted, MESSAGE).expect("in");
        let one = QueuedOutgoing { last_reply: text.clone(), ..outgoing(MESSAGE, 1_100) };
        let all = writer.outgoing::<Failed>(&one, MESSAGE, None, |write| {
            for number in 1..=1_100 {
                // As long as an address may be, about.
                let address = format!("{}{number:04}@{}.example.com", "m".repeat(60), "a".repeat(63));
                write(QueuedRecipient { address, reply: text.clone(), ..recipient(number) });
            }
            Ok(())
        });
        all.expect("out");
        let (file, _) = writer.end().expect("end");
        let items = read(&file).expect("what was written");
        let [Item { entry: Imported::Arrival(one), .. }, Item { entry: Imported::Outgoing(two), .. }] = &items[..]
        else {
            panic!("{} items", items.len());
        };
        assert_eq!(two.recipients.len(), 1_100);
        for kept in [&one.arrival.reason, &two.last_reply, &two.recipients[1_099].reply] {
            assert!(text.starts_with(kept.as_str()) && (16_383..=16_384).contains(&kept.len()), "{}", kept.len());
        }
    }
}

#[test]
fn what_would_be_refused_when_it_is_read_is_not_written() {
    let begun = |format, limits| {
        let writer = Writer::begin(Vec::new(), format, 1_790_000_500).expect("begin");
        Writer { limits, ..writer }
    };
    let large = |error: WriteError| {
        let error = error.to_string();
        assert!(error.starts_with("in 12 is not in the export: it needs a line or message of more than"), "{error}");
    };
    // The longest line that is written is the longest that is read.
    let mut writer = begun(Format::Json, (json::MAX_LINE, json::MAX_LINE));
    writer.arrival(&arrival(MESSAGE), MESSAGE).expect("in");
    let line = writer.out.split_inclusive(|b| *b == b'\n').nth(1).expect("a line").to_vec();
    for (limit, good) in [(line.len(), true), (line.len() - 1, false)] {
        let written = begun(Format::Json, (limit, limit)).arrival(&arrival(MESSAGE), MESSAGE);
        assert_eq!((written.is_ok(), line::read_line(&mut &line[..], limit, 2, &mut Vec::new()).is_ok()), (good, good));
        written.err().map(large);
    }
    let too_long = begun(Format::Mbox, (100, 1 << 20)).arrival(&arrival(MESSAGE), MESSAGE);
    large(too_long.expect_err("a long field"));
    let mut writer = begun(Format::Json, (1_000, 1_000));
    writer.out.clear();
    let error = writer.outgoing::<Failed>(&outgoing(MESSAGE, 100), MESSAGE, None, |write| {
        (1..=100).for_each(|number| write(recipient(number)));
        Ok(())
    });
    assert!(error.expect_err("many recipients").to_string().starts_with("out 5 is not in the export"));
    assert!(writer.out.is_empty() && writer.counts == Counts::default(), "nothing of it is in the file");

    // The reader takes the blank line behind a message for part of it at first.
    let message = vec![b'z'; mbox::MAX_MESSAGE - mbox::BETWEEN + 1];
    let mut writer = Writer::begin(Vec::new(), Format::Mbox, 1_790_000_500).expect("begin");
    writer.check_size("in 12", &message[1..]).expect("the largest");
    large(writer.arrival(&arrival(&message), &message).expect_err("too large"));
}

#[test]
fn what_is_each_recipients_own_comes_back_with_him() {
    let message = b"A: b\r\n\r\nx\r\n";
    let text = vec![Piece::Text("For \u{fc} ".into()), Piece::Own { own: OwnVariable::UserName }];
    let splices = Splices::new(vec![Splice { at: message.len(), form: Form::Text, text }], message).expect("splices");
    let named = |number: u64| QueuedRecipient {
        name: if number.is_multiple_of(2) { "Zo\u{eb}, \"x\"".into() } else { String::new() },
        ..recipient(number)
    };
    let file = |format, splices: Option<Splices>| {
        let mut writer = Writer::begin(Vec::new(), format, 1_790_000_500).expect("begin");
        let write = |write: &mut dyn FnMut(QueuedRecipient)| {
            (1..=25).for_each(|number| write(named(number)));
            Ok(())
        };
        writer.outgoing::<Failed>(&outgoing(message, 25), message, splices, write).expect("written");
        writer.end().expect("end").0
    };
    let mut origins = Vec::new();
    for format in [Format::Json, Format::Mbox] {
        for splices in [Some(splices.clone()), Some(Splices::default()), None] {
            let items = read(&file(format, splices.clone())).expect("items");
            let [Item { entry: Imported::Outgoing(one), origin, .. }] = &items[..] else { panic!("{items:?}") };
            assert_eq!(one.splices, splices);
            let wanted: Vec<_> = (1..=25).map(|number| QueuedRecipient { id: 0, ..named(number) }).collect();
            assert_eq!(one.recipients, wanted);
            origins.push(origin.clone());
        }
    }
    assert_eq!(origins[..3], origins[3..], "the same in both formats");
    // What does not fit the message, or could begin a line, is refused.
    let good = String::from_utf8(file(Format::Json, Some(splices))).expect("UTF-8");
    for (from, to, told) in [
        ("\"at\":11", "\"at\":12", "personal: octet 12"),
        ("\"at\":11", "\"at\":10", "personal: octet 10"),
        ("\"form\":\"text\"", "\"form\":\"other\"", "unknown variant"),
        ("For ", "For \\u0000", "control character"),
        ("\"Zo\u{eb}, ", "\"Zo\\r\\nBcc: ", "name \"Zo\\r\\nBcc: "),
    ] {
        assert!(good.contains(from), "{from} in {good}");
        let error = read(good.replacen(from, to, 1).as_bytes()).expect_err(to);
        assert!(error.starts_with("line ") && error.contains(told), "{error}");
    }
}
