//! What is sent, in which order, in how many transactions and connections.

use super::*;

#[tokio::test]
async fn a_message_arrives_as_it_was_in_one_transaction() {
    let (sink, results) = deliver(Script::default(), &message(&["anne@example.com", "bart@example.com"])).await;
    assert_eq!(delivered(&results), 2);
    let messages = sink.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].message, b"Subject: hello\r\n\r\n.dot\r\nend\r\n");
    assert_eq!(messages[0].sender, "ants-bounces@lists.example.com");
    assert_eq!(messages[0].parameters, "SIZE=29");
    assert_eq!(messages[0].recipients, ["anne@example.com", "bart@example.com"]);
    assert_eq!(sink.dialogues()[0].last().map(String::as_str), Some("QUIT"));
}

#[tokio::test]
async fn bulk_mail_is_cut_into_batches_and_all_connections_are_reused() {
    let sink = sink(Script::default()).await;
    let running = Running::start(DeliverySettings { max_recipients: 10, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &people(1005));
    let results = running.results(1005).await;
    assert_eq!(delivered(&results), 1005);
    let all = sink.recipients();
    assert_eq!(all.len(), 1005, "nobody twice");
    assert!(sink.messages().iter().all(|one| one.recipients.len() <= 10));
    assert!(sink.dialogues().len() <= 4, "{} connections", sink.dialogues().len());
}

#[tokio::test]
async fn verp_gives_each_recipient_its_own_sender() {
    let (sink, results) = deliver(Script::default(), &verp(people(300))).await;
    assert_eq!(delivered(&results), 300);
    for one in sink.messages() {
        let recipient = &one.recipients[0];
        assert_eq!(one.recipients.len(), 1);
        assert_eq!(one.sender, format!("ants-bounces+{}@lists.example.com", recipient.replace('@', "=")));
    }
}

#[tokio::test]
async fn several_connections_work_on_one_message() {
    // Each message waits until all four connections have one: it would never end with fewer.
    let barrier = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&barrier);
    let sink = sink(Script::new(move |moment| {
        if moment.step == Step::Connect {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        let lonely = moment.step == Step::Mail && seen.load(Ordering::SeqCst) < 4;
        if lonely { Answer::say("451 4.3.0 alone") } else { Answer::Usual }
    }))
    .await;
    let running = Running::to(&sink);
    push(&running, &verp(people(400)));
    running.results(400).await;
    assert_eq!(barrier.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_server_without_pipelining_is_spoken_to_command_by_command() {
    let script = Script::default().without("PIPELINING");
    let (sink, results) = deliver(script, &people(5)).await;
    assert_eq!(delivered(&results), 5);
    assert_eq!(sink.messages().len(), 1);
    let (_, results) = deliver(rude(Step::Ehlo, Answer::say("502 what?")), &people(3)).await;
    assert_eq!(delivered(&results), 3);
}

#[tokio::test]
async fn the_null_sender_is_written_as_such() {
    let mut letter = people(1);
    letter.sender = EnvelopeSender::Null;
    let (sink, _) = deliver(Script::default(), &letter).await;
    assert!(sink.dialogues()[0].iter().any(|line| line.starts_with("MAIL FROM:<> ")));
}

#[tokio::test]
async fn a_message_larger_than_size_fails_without_being_sent() {
    let mut script = Script::default().without("SIZE");
    script.extensions.push("SIZE 20".into());
    let (sink, results) = deliver(script, &people(2)).await;
    for (_, result) in results {
        assert!(
            matches!(result, DeliveryResult::Failed { reply } if reply.starts_with("552 5.3.4 the message has 29 octets"))
        );
    }
    assert!(sink.dialogues()[0].iter().all(|line| !line.starts_with("MAIL")));
}

#[tokio::test]
async fn eight_bit_messages_say_so_where_it_is_known() {
    let mut letter = people(1);
    letter.message = Arc::from("Subject: x\r\n\r\nü\r\n".as_bytes());
    let (sink, _) = deliver(Script::default(), &letter).await;
    assert_eq!(sink.messages()[0].parameters, "SIZE=18 BODY=8BITMIME");
    let (sink, results) = deliver(Script::default().without("8BITMIME"), &letter).await;
    assert_eq!(delivered(&results), 1);
    assert_eq!(sink.messages()[0].parameters, "SIZE=18");
}

#[tokio::test]
async fn raw_octets_in_a_header_go_as_8bitmime_whatever_the_server_offers() {
    let mut letter = people(1);
    let text = [b"Subject: gr\xfc\xdfe \xff\r\nFrom: ", "Jürgen <j@example.com>\r\n\r\nx\r\n".as_bytes()].concat();
    letter.message = Arc::from(text.as_slice());
    for script in [Script::default(), Script::default().without("SMTPUTF8")] {
        let (sink, results) = deliver(script, &letter).await;
        assert_eq!(delivered(&results), 1);
        assert!(sink.messages()[0].parameters.ends_with(" BODY=8BITMIME"), "{:?}", sink.messages()[0]);
        assert_eq!(sink.messages()[0].message, text, "octet by octet");
    }
}

#[tokio::test]
async fn addresses_beyond_ascii_need_smtputf8() {
    let letter = message(&["anne@example.com", "grüße@example.com"]);
    let (sink, results) = deliver(Script::default(), &letter).await;
    assert_eq!(delivered(&results), 2);
    for one in sink.messages() {
        assert_eq!(one.parameters.contains("SMTPUTF8"), one.recipients == ["grüße@example.com"]);
    }
    let (sink, results) = deliver(Script::default().without("SMTPUTF8"), &letter).await;
    assert_eq!(sink.recipients(), ["anne@example.com"]);
    assert!(matches!(&results[1].1, DeliveryResult::Failed { reply } if reply.starts_with("553 5.6.7")));
}

#[tokio::test]
async fn quoted_recipients_cannot_inject_commands() {
    let letter = verp(message(&["\"a> SIZE=0\"@example.com", "\"a b\"@example.com"]));
    let (sink, results) = deliver(Script::default(), &letter).await;
    assert_eq!(delivered(&results), 2);
    let senders: Vec<String> = sink.messages().into_iter().map(|one| one.sender).collect();
    assert!(senders.contains(&"ants-bounces@lists.example.com".to_owned()));
    assert!(senders.contains(&"\"ants-bounces+a b=example.com\"@lists.example.com".to_owned()));
}

#[tokio::test]
async fn a_sender_with_a_line_end_is_never_written() {
    let mut letter = people(2);
    letter.sender = EnvelopeSender::Fixed("a@b>\r\nRCPT TO:<victim@example.com".into());
    let (sink, results) = deliver(Script::default(), &letter).await;
    assert!(retry_reply(&results[0].1).contains("cannot be written as envelope sender"));
    assert!(sink.dialogues().is_empty());
}
