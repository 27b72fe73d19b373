//! Copies of each recipient's own, spliced from one message.

use super::super::sink::Captured;
use super::*;
use crate::personal::{Form, OwnVariable, Piece, Splice, Splices};
use crate::spool::Personal;
use postrider_plugin_api::sdk::{self, Batch, HostLog, Outcome, OutgoingAdapter, RecipientResult};
use std::sync::Mutex;

const SHARED: &str = "Subject: x\r\n\r\n.\r\nhello\r\n..";
const PEOPLE: [(&str, &str); 3] = [("u1@x.example", "Anne"), ("u2@x.example", ""), ("u3@x.example", "Zoë")];

/// To in the header, and a footer that begins and ends with a line with a dot.
fn letter() -> Message {
    let text = vec![
        Piece::Text(".\nFor ".into()),
        Piece::Own { own: OwnVariable::UserName },
        Piece::Text(" <".into()),
        Piece::Own { own: OwnVariable::UserEmail },
        Piece::Text(">\n.".into()),
    ];
    let shared = format!("{SHARED}\r\n");
    let splices =
        vec![Splice { at: 12, form: Form::To, text: Vec::new() }, Splice { at: shared.len(), form: Form::Text, text }];
    let splices = Splices::new(splices, shared.as_bytes()).expect("splices");
    Message {
        message: Arc::from(shared.as_bytes()),
        personal: Some(Personal { splices, names: PEOPLE.iter().map(|(_, name)| (*name).to_owned()).collect() }),
        ..message(&PEOPLE.map(|(address, _)| address))
    }
}

fn expected(address: &str) -> String {
    let (_, name) = PEOPLE.iter().find(|(one, _)| *one == address).expect("a recipient");
    let to = match *name {
        "" => address.to_owned(),
        "Zoë" => format!("=?utf-8?b?Wm/Dqw==?= <{address}>"),
        name => format!("{name} <{address}>"),
    };
    format!("Subject: x\r\nTo: {to}\r\n\r\n.\r\nhello\r\n..\r\n.\r\nFor {name} <{address}>\r\n.\r\n")
}

#[track_caller]
fn assert_own_copies(sink: &Sink, count: usize) {
    let messages = sink.messages();
    assert_eq!(messages.len(), count);
    messages.iter().for_each(assert_own_copy);
}

#[track_caller]
fn assert_own_copy(one: &Captured) {
    let [recipient] = &one.recipients[..] else { panic!("{:?} together", one.recipients) };
    let text = std::str::from_utf8(&one.message).expect("UTF-8");
    assert_eq!(text, expected(recipient));
    let eight_bit = if text.is_ascii() { "" } else { " BODY=8BITMIME" };
    assert_eq!(one.parameters, format!("SIZE={}{eight_bit}", text.len()), "{recipient}");
}

#[tokio::test]
async fn each_recipient_gets_his_own_copy_by_data_and_by_bdat() {
    for extension in ["PIPELINING", "CHUNKING"] {
        for script in [Script::default().with(extension), Script::default().with(extension).without("PIPELINING")] {
            for letter in [letter(), verp(letter())] {
                let (sink, results) = deliver(script.clone(), &letter).await;
                assert_eq!(delivered(&results), 3, "{results:?}");
                assert_own_copies(&sink, 3);
                let bdat = sink.dialogues().concat().iter().filter(|line| line.starts_with("BDAT")).count();
                assert_eq!(bdat, if extension == "CHUNKING" { 3 } else { 0 });
            }
        }
    }
}

#[tokio::test]
async fn several_copies_over_one_connection_stay_apart() {
    for script in [Script::default(), Script::default().with("CHUNKING")] {
        let sink = sink(script).await;
        let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
        push(&running, &letter());
        push(&running, &letter());
        push(&running, &people(2));
        assert_eq!(delivered(&running.results(8).await), 8);
        assert_eq!(sink.dialogues().len(), 1);
        assert_eq!(sink.messages().iter().filter(|one| one.recipients.len() == 2).count(), 1, "bulk mail as before");
        let own: Vec<_> = sink.messages().into_iter().filter(|one| one.recipients.len() == 1).collect();
        assert_eq!(own.len(), 6);
        own.iter().for_each(assert_own_copy);
    }
}

#[tokio::test]
async fn no_server_is_asked_to_make_senders_for_copies_that_differ() {
    let (sink, results) = deliver(Script::default().with("XVERP"), &verp(letter())).await;
    assert_eq!(delivered(&results), 3);
    assert_own_copies(&sink, 3);
    let senders: Vec<String> = sink.messages().into_iter().map(|one| one.sender).collect();
    assert!(senders.contains(&"ants-bounces+u2=x.example@lists.example.com".to_owned()), "{senders:?}");
}

#[tokio::test]
async fn who_is_tried_again_gets_his_own_copy_then() {
    let answer = |moment: &Moment<'_>| match (moment.step, moment.transaction) {
        (Step::EndOfData, 1) => Answer::say("451 4.3.0 later"),
        _ => Answer::Usual,
    };
    for script in [Script::new(answer), Script::new(answer).with("CHUNKING")] {
        let sink = sink(script).await;
        let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
        push(&running, &letter());
        running.wait(|queue| queue.results().len() >= 3).await;
        running.queue.retry_now();
        running.wait(|queue| queue.open() == 0).await;
        running.stop().await;
        assert_own_copies(&sink, 3);
    }
}

#[tokio::test]
async fn a_copy_that_is_too_large_is_no_matter_of_the_others() {
    // The shared octets would fit, and so would the shortest copy.
    let limit = expected("u2@x.example").len();
    let (sink, results) = deliver(Script::default().with(&format!("SIZE {limit}")), &letter()).await;
    assert_eq!(delivered(&results), 1, "{results:?}");
    assert_eq!(sink.recipients(), ["u2@x.example"]);
    assert!(matches!(&results[0].1, DeliveryResult::Failed { reply } if reply.starts_with("552 5.3.4")));
}

/// Recipients and message.
type Copy = (Vec<String>, Vec<u8>);

/// Takes what it is given.
struct Collector(Arc<Mutex<Vec<Copy>>>);

impl OutgoingAdapter for Collector {
    fn new(_: Box<dyn HostLog>, _: &sdk::Settings) -> sdk::Result<Self> {
        Err(sdk::Error::failed("not needed"))
    }

    fn deliver(&self, batch: Batch<'_>) -> sdk::Result<Vec<RecipientResult>> {
        let recipients: Vec<String> = batch.recipients.iter().map(|&one| one.to_owned()).collect();
        let results = recipients.iter().map(|_| RecipientResult::new(Outcome::Delivered, "")).collect();
        self.0.lock().expect("lock").push((recipients, batch.message.to_vec()));
        Ok(results)
    }
}

#[tokio::test]
async fn an_adapter_gets_each_copy_as_a_batch_of_one() {
    for letter in [letter(), verp(letter())] {
        let taken = Arc::<Mutex<Vec<Copy>>>::default();
        let settings = DeliverySettings::for_target(Target::plain("nowhere.invalid", 25));
        let adapter = Arc::new(Collector(Arc::clone(&taken)));
        let running = Running::start(settings, Outgoing::adapter(adapter, "test.Collector"));
        push(&running, &letter);
        assert_eq!(delivered(&running.results(3).await), 3);
        let taken = taken.lock().expect("lock");
        assert_eq!(taken.len(), 3);
        for (recipients, message) in taken.iter() {
            assert_eq!(recipients.len(), 1);
            assert_eq!(String::from_utf8_lossy(message), expected(&recipients[0]));
        }
    }
}
