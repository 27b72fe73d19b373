//! BDAT (RFC 3030), and envelope and content in one write.

use super::*;
use std::fmt::Write as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

fn chunking(rule: impl Fn(&Moment<'_>) -> Answer + Send + Sync + 'static) -> Script {
    Script::new(rule).with("CHUNKING")
}

/// VERP mail over one connection: the first message proves it, the others are one write each.
async fn over_one_connection(script: Script, count: usize) -> (Sink, Running) {
    let sink = sink(script).await;
    let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &verp(people(count)));
    (sink, running)
}

fn at(step: Step, who: &'static str, answer: Answer) -> Script {
    chunking(move |moment| {
        let addressed = moment.line.contains(who) || moment.recipients.iter().any(|one| one.contains(who));
        if moment.step == step && addressed { answer.clone() } else { Answer::Usual }
    })
}

#[tokio::test]
async fn messages_arrive_as_they_were_without_data_and_dots() {
    let mut letter = verp(people(3));
    let text = "Subject: x\r\n\r\n.\r\n..\r\n.x\r\nend\r\n";
    // More pieces than are written at once, with the envelope and behind it.
    let (many, more) = (".\r\n".repeat(1000) + "end\r\n", "..x\r\n".repeat(30_000));
    for text in [text, &many, &more] {
        letter.message = Arc::from(text.as_bytes());
        for script in [chunking(|_| Answer::Usual), chunking(|_| Answer::Usual).without("PIPELINING")] {
            let (sink, results) = deliver(script, &letter).await;
            assert_eq!(delivered(&results), 3);
            assert!(sink.messages().iter().all(|one| one.message == text.as_bytes()));
            let lines = sink.dialogues().concat();
            assert_eq!(lines.iter().filter(|line| **line == format!("BDAT {} LAST", text.len())).count(), 3);
            assert!(!lines.contains(&"DATA".to_owned()));
        }
    }
}

#[tokio::test]
async fn it_can_be_switched_off_and_is_not_used_on_the_same_machine() {
    for chosen in [Chunking::No, Chunking::Auto] {
        let sink = sink(chunking(|_| Answer::Usual)).await;
        let mut settings = settings(&sink);
        settings.target.chunking = chosen;
        settings.target.distant = None;
        let running = Running::start(settings, Outgoing::Smtp);
        push(&running, &people(2));
        assert_eq!(delivered(&running.results(2).await), 2);
        assert!(sink.dialogues()[0].contains(&"DATA".to_owned()), "{chosen:?}");
    }
}

#[tokio::test]
async fn refused_recipients_cost_the_others_nothing_and_the_connection_stays_in_step() {
    let (sink, running) = over_one_connection(Script::new(refuse_some).with("CHUNKING"), 9).await;
    let results = running.results(9).await;
    assert_eq!(results[1].1, failed("550 5.1.1 no such user"));
    assert_eq!(retry_reply(&results[3].1), "451 4.2.0 busy");
    assert_eq!(delivered(&results), 7);
    assert_eq!(sink.recipients().len(), 7, "nobody twice");
    assert_eq!(sink.dialogues().len(), 1);
    assert_eq!(sink.dialogues()[0].iter().filter(|line| *line == "RSET").count(), 2);
}

#[tokio::test]
async fn a_refused_sender_in_one_write_judges_with_its_own_reply() {
    let script = at(Step::Mail, "u00003=", Answer::say("450 4.7.1 too much mail"));
    let (sink, running) = over_one_connection(script, 6).await;
    let results = running.results(6).await;
    assert_eq!(retry_reply(&results[3].1), "450 4.7.1 too much mail (in reply to MAIL FROM)");
    assert_eq!((delivered(&results), sink.dialogues().len()), (5, 1));
}

#[tokio::test]
async fn the_reply_to_the_last_chunk_judges_all_accepted() {
    for (reply, permanent) in [("554 5.7.1 spam", true), ("552 5.3.4 too big", true), ("452 4.3.1 disk full", false)] {
        let (sink, running) = over_one_connection(at(Step::EndOfData, "u00002@", Answer::say(reply)), 5).await;
        let results = running.results(5).await;
        let text = format!("{reply} (in reply to end of data)");
        if permanent {
            assert_eq!(results[2].1, failed(&text));
        } else {
            assert_eq!(retry_reply(&results[2].1), text);
        }
        assert_eq!((delivered(&results), sink.dialogues().len()), (4, 1));
        assert!(sink.dialogues()[0].contains(&"RSET".to_owned()), "the state is unclear after a refused chunk");
    }
}

#[tokio::test]
async fn a_server_that_wants_to_close_is_left_and_the_message_sent_again_at_once() {
    for step in [Step::Mail, Step::Rcpt] {
        // Once: the second connection takes it.
        let times = AtomicUsize::new(0);
        let script = chunking(move |moment| {
            let here = moment.step == step && moment.line.contains("u00003");
            let once = here && times.fetch_add(1, Ordering::SeqCst) == 0;
            if once { Answer::say_and_close("421 4.3.2 shutting down") } else { Answer::Usual }
        });
        let (sink, running) = over_one_connection(script, 6).await;
        if step == Step::Mail {
            let results = running.results(6).await;
            assert_eq!((results.len(), delivered(&results)), (6, 6), "no attempt was counted");
            assert_eq!(sink.recipients().len(), 6, "nobody twice");
        } else {
            // The message was begun: it may be this one that the server cannot stand.
            let results = running.results(6).await;
            assert!(retry_reply(&results[3].1).contains("421 4.3.2 shutting down"));
            assert!(!retry_reply(&results[3].1).contains("may have arrived"));
            assert_eq!(delivered(&results), 5);
        }
    }
}

#[tokio::test]
async fn lost_without_a_reply_to_the_content_is_unknown_and_tried_again() {
    for step in [Step::Mail, Step::Rcpt, Step::EndOfData] {
        let who = if step == Step::Mail { "u00003=" } else { "u00003@" };
        let (_sink, running) = over_one_connection(at(step, who, Answer::Close), 6).await;
        let results = running.results(6).await;
        let reply = retry_reply(&results[3].1);
        assert!(reply.starts_with("no reply to the end of the message, so it may have arrived"), "{step:?}: {reply}");
        assert_eq!(delivered(&results), 5);
    }
}

#[tokio::test]
async fn the_first_words_on_a_connection_are_no_blind_ones() {
    // Nothing but the envelope is sent, so a server that hangs up on it cannot have taken anything.
    let (sink, results) = deliver(rude_once(Step::Mail, Answer::Close).with("CHUNKING"), &people(2)).await;
    assert_eq!((results.len(), delivered(&results)), (2, 2), "no attempt was counted");
    assert!(sink.dialogues()[0].iter().all(|line| !line.starts_with("BDAT")));
}

#[tokio::test]
async fn a_large_content_is_not_sent_to_nobody() {
    let mut letter = verp(people(4));
    letter.message = Arc::from("0123456789\r\n".repeat(10_000).as_bytes());
    let script = at(Step::Rcpt, "@", Answer::say("550 5.1.1 no"));
    let sink = sink(script).await;
    let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &letter);
    assert_eq!(delivered(&running.results(4).await), 0);
    assert!(sink.dialogues().concat().iter().all(|line| !line.starts_with("BDAT")));

    let (sink, results) = deliver(chunking(|_| Answer::Usual), &letter).await;
    assert_eq!(delivered(&results), 4);
    assert!(sink.messages().iter().all(|one| one.message == *letter.message));
}

#[tokio::test]
async fn too_many_recipients_is_learned_in_one_write_too() {
    let script = Script { max_recipients: 7, ..chunking(|_| Answer::Usual) };
    let sink = sink(script).await;
    let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &people(1));
    push(&running, &people(50));
    let results = running.results(51).await;
    assert_eq!((results.len(), delivered(&results)), (51, 51), "no attempt was counted");
    assert_eq!(sink.recipients().len(), 51, "nobody twice");
}

/// A server that answers everything with 250 as soon as it sees the first command, and then reads no more for a while.
async fn hasty(answers: usize) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut io = BufReader::new(tcp);
                let mut line = String::new();
                let _ = io.get_mut().write_all(b"220 hasty\r\n").await;
                let _ = io.read_line(&mut line).await;
                let _ = io.get_mut().write_all(b"250-hasty\r\n250-PIPELINING\r\n250 CHUNKING\r\n").await;
                while line.split(' ').next() != Some("BDAT") {
                    line.clear();
                    if io.read_line(&mut line).await.is_ok_and(|read| read > 0) && !line.starts_with("BDAT") {
                        let _ = io.get_mut().write_all(b"250 ok\r\n").await;
                    } else if line.is_empty() {
                        return;
                    }
                }
                let mut replies = String::new();
                for _ in 0..answers {
                    let _ = write!(replies, "250 taken\r\n");
                }
                let _ = io.get_mut().write_all(replies.as_bytes()).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
                let _ = io.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn what_is_answered_before_it_was_sent_is_not_delivered() {
    let address = hasty(1).await;
    let mut target = Target::plain("127.0.0.1", address.port());
    target.chunking = Chunking::Yes;
    target.timeouts = Timeouts { connect: PATIENCE, banner: PATIENCE, reply: PATIENCE, end_of_data: PATIENCE };
    let running = Running::start(DeliverySettings::for_target(target), Outgoing::Smtp);
    let mut letter = people(1);
    letter.message = Arc::from(vec![b'x'; 20_000_000]);
    push(&running, &letter);
    let results = running.results(1).await;
    let reply = retry_reply(&results[0].1);
    assert!(reply.contains("nobody asked for") && !reply.contains("may have arrived"), "{reply}");
}
