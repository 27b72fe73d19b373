//! The envelope of the next message goes with the content of this one (RFC 2920, section 3.1).

use super::*;
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

async fn over_one_connection(script: Script, count: usize) -> (Sink, Running) {
    let sink = sink(script).await;
    let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &verp(people(count)));
    (sink, running)
}

/// Does it once, with the message for this recipient.
fn once_at(step: Step, who: &'static str, answer: Answer) -> Script {
    let times = AtomicUsize::new(0);
    Script::new(move |moment| {
        let sender = who.replace('@', "=");
        let addressed = match step {
            Step::Mail => moment.line.contains(&sender),
            _ => moment.sender.contains(&sender),
        };
        let now = moment.step == step && addressed && times.fetch_add(1, Ordering::SeqCst) == 0;
        if now { answer.clone() } else { Answer::Usual }
    })
}

/// A server that answers only when nothing more comes.
struct Slow {
    stream: TcpStream,
    in_data: bool,
}

impl Slow {
    async fn accept(listener: &TcpListener) -> Self {
        let client = tokio::time::timeout(PATIENCE, listener.accept()).await.expect("nobody comes");
        let (mut stream, _) = client.expect("a client");
        stream.write_all(b"220 x\r\n").await.expect("said");
        Slow { stream, in_data: false }
    }

    /// What comes until then, command by command; a dot is the end of a content. `None`: the client hangs up without a word.
    async fn hear(&mut self) -> Option<String> {
        let (mut octets, mut group, mut heard) = (Vec::new(), String::new(), 0);
        loop {
            let silent = Duration::from_millis(if heard == 0 { 10_000 } else { 150 });
            match tokio::time::timeout(silent, self.stream.read_buf(&mut octets)).await {
                Ok(Ok(0)) if heard == 0 => return None,
                Ok(Ok(0)) | Err(_) => return Some(group),
                Ok(read) => heard += read.expect("read"),
            }
            while let Some(end) = octets.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = octets.drain(..end + 2).collect();
                let word = match (self.in_data, &line[..end]) {
                    (true, b".") => ".",
                    (true, _) => continue,
                    (false, line) => std::str::from_utf8(&line[..4]).expect("a command"),
                };
                self.in_data = word == "DATA";
                group.push_str(word);
            }
        }
    }

    async fn answer(&mut self, group: &str) {
        let replies = group.replace("EHLO", "250-x\r\n250 PIPELINING\r\n").replace('.', "250 kept\r\n");
        let replies = replies.replace("MAIL", "250 ok\r\n").replace("RCPT", "250 ok\r\n").replace("DATA", "354 go\r\n");
        self.stream.write_all(replies.as_bytes()).await.expect("said");
    }
}

/// A server that has taken the first of these people's messages and heard the envelope of the second.
async fn second_envelope_came_early(count: usize) -> (TcpListener, Running, Slow) {
    let (listener, running) = listen(true).await;
    push(&running, &verp(people(count)));
    let mut server = Slow::accept(&listener).await;
    for _ in 0..2 {
        let group = server.hear().await.expect("a group");
        server.answer(&group).await;
    }
    assert_eq!(server.hear().await.as_deref(), Some(".MAILRCPTDATA"));
    (listener, running, server)
}

/// One connection to a server of our own.
async fn listen(distant: bool) -> (TcpListener, Running) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let mut target = Target::plain("127.0.0.1", listener.local_addr().expect("address").port());
    target.distant = Some(distant);
    let settings = DeliverySettings { connections: 1, ..DeliverySettings::for_target(target) };
    (listener, Running::start(settings, Outgoing::Smtp))
}

#[tokio::test]
async fn a_message_of_one_recipient_takes_one_round_trip() {
    for distant in [true, false] {
        let (listener, running) = listen(distant).await;
        push(&running, &verp(people(4)));
        let mut server = Slow::accept(&listener).await;
        let expected: &[&str] = if distant {
            &["EHLO", "MAILRCPTDATA", ".MAILRCPTDATA", ".MAILRCPTDATA", ".MAILRCPTDATA", "."]
        } else {
            &["EHLO", "MAILRCPTDATA", ".", "MAILRCPTDATA", ".", "MAILRCPTDATA", ".", "MAILRCPTDATA", "."]
        };
        for expected in expected {
            let group = server.hear().await.expect("a group");
            assert_eq!(group, *expected);
            server.answer(&group).await;
        }
        running.wait(|queue| queue.results().len() == 4).await;
        drop(server);
        assert_eq!(delivered(&running.stop().await), 4);
    }
}

#[tokio::test]
async fn a_reply_counts_although_the_next_envelope_is_not_answered() {
    let (_listener, running, mut server) = second_envelope_came_early(4).await;
    server.answer(".").await;
    let queue = Arc::clone(&running.queue);
    let served = async {
        tokio::time::timeout(PATIENCE, queue.wait_until(|queue| queue.results().len() == 1)).await.expect("recorded");
        drop(server);
    };
    let (results, ()) = tokio::join!(running.stop(), served);
    assert_eq!((results.len(), delivered(&results)), (1, 1));
}

#[tokio::test]
async fn who_has_begun_with_the_next_message_and_stops_hangs_up_without_a_word() {
    let (_listener, running, mut server) = second_envelope_came_early(4).await;
    let Running { queue, stop, task } = running;
    stop.send(()).expect("it runs");
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.answer(".").await;
    assert_eq!(server.hear().await, None, "in the middle of DATA every word is content");
    tokio::time::timeout(PATIENCE, task).await.expect("it does not stop").expect("it panicked");
    assert_eq!(queue.results().len(), 1);
    assert!(queue.is_idle(), "everything else was given back");
}

#[tokio::test]
async fn whatever_happens_to_one_message_the_others_arrive_once() {
    for step in [Step::Mail, Step::Rcpt, Step::Data, Step::EndOfData] {
        for answer in [
            Answer::say("450 4.2.0 later"),
            Answer::say("550 5.1.1 no"),
            Answer::say("503 5.5.1 odd"),
            Answer::say_and_close("421 4.3.2 shutting down"),
            Answer::Close,
            Answer::say("334 what"),
            Answer::say("junk"),
            Answer::say("554 SMTP synchronization error"),
        ] {
            let moment = format!("{step:?} {answer:?}");
            let (sink, running) = over_one_connection(once_at(step, "u00003@", answer.clone()), 8).await;
            let results = running.results(8).await;
            let mut got = BTreeMap::<String, usize>::new();
            for address in sink.recipients() {
                *got.entry(address).or_default() += 1;
            }
            for (address, result) in &results {
                let copies = got.get(address).copied().unwrap_or_default();
                if *result == DeliveryResult::Delivered {
                    assert_eq!(copies, 1, "{moment}: {address}");
                    continue;
                }
                assert!(address.starts_with("u00003@"), "{moment}: {address}: {result:?}");
                // Perhaps something came early, which nobody is to suffer for.
                let odd = answer == Answer::say("503 5.5.1 odd");
                let later = matches!(result, DeliveryResult::Retry { .. }) && step == Step::EndOfData;
                assert!(!odd || later, "{moment}: {result:?}");
                let unknown =
                    matches!(result, DeliveryResult::Retry { reply, .. } if reply.contains("may have arrived"));
                assert!(copies == 0 || (unknown && step == Step::EndOfData), "{moment}: {result:?}");
            }
            if matches!(&answer, Answer::Say(text) if text.starts_with("450") || text.starts_with("550")) {
                assert_eq!(sink.dialogues().len(), 1, "{moment}: a refusal is no reason to hang up");
            }
        }
    }
}

#[tokio::test]
async fn one_reply_too_many_or_too_few_ends_the_connection_and_costs_nobody_his_mail() {
    for answer in [Answer::Silence, Answer::say("250 kept\r\n250 and more")] {
        let (sink, running) = over_one_connection(once_at(Step::EndOfData, "u00003@", answer.clone()), 8).await;
        assert_eq!(delivered(&running.results(8).await), 8, "{answer:?}");
        assert_eq!((sink.recipients().len(), sink.dialogues().len()), (8, 2), "{answer:?}");
    }
}

#[tokio::test]
async fn refused_recipients_cost_the_others_nothing_and_the_connection_stays_in_step() {
    let (sink, running) = over_one_connection(Script::new(refuse_some), 9).await;
    let results = running.results(9).await;
    assert_eq!(results[1].1, failed("550 5.1.1 no such user"));
    assert_eq!(retry_reply(&results[3].1), "451 4.2.0 busy");
    assert_eq!((delivered(&results), sink.recipients().len(), sink.dialogues().len()), (7, 7, 1));
}

#[tokio::test]
async fn a_server_that_takes_early_envelopes_badly_gets_no_more_of_them() {
    for (reply, reason) in [
        ("554 5.5.0 SMTP synchronization error", "lost step"),
        ("421 4.7.0 improper pipelining", "421 4.7.0 improper pipelining (in reply to end of data)"),
        ("503 5.5.0 one after the other", "lost step with us: 503 5.5.0 one after the other"),
    ] {
        let script = Script { in_step: Some(reply.to_owned()), ..Script::default() };
        let (sink, running) = over_one_connection(script, 6).await;
        let results = running.results(6).await;
        assert!(retry_reply(&results[0].1).contains(reason), "{results:?}");
        assert_eq!((delivered(&results), sink.recipients().len(), sink.dialogues().len()), (5, 5, 2), "{reply}");
    }
}

/// What a server says to the first message and the envelope behind it, and who of three got mail then.
#[tokio::test]
async fn nothing_that_is_said_to_an_early_envelope_counts_once_the_connection_is_out_of_step() {
    for (said, got) in [
        // It has had enough.
        ("250 kept\r\n250 ok\r\n250 ok\r\n354 go\r\n421 4.4.2 timeout\r\n", 3),
        // It refuses in the middle of a content, and once more at its end.
        ("550 5.7.1 no\r\n550 5.7.1 no\r\n250 ok\r\n250 ok\r\n354 go\r\n", 2),
        ("451 4.7.1 later\r\n451 4.7.1 later\r\n250 ok\r\n250 ok\r\n354 go\r\n", 2),
        // It refuses in the middle of a content, and takes the rest for commands.
        ("552 5.3.4 too large\r\n500 5.5.2 what\r\n500 5.5.2 what\r\n500 5.5.2 what\r\n", 2),
        ("552 5.3.4 too large\r\n502 what\r\n502 what\r\n502 what\r\n502 what\r\n", 2),
        // It left one out.
        ("250 kept\r\n250 ok\r\n354 go\r\n354 go\r\n", 3),
        ("250 kept\r\n550 no\r\n354 go\r\n354 go\r\n", 3),
    ] {
        let (listener, running, mut server) = second_envelope_came_early(3).await;
        server.stream.write_all(said.as_bytes()).await.expect("said");
        assert_eq!(server.hear().await, None, "{said}");
        let mut server = Slow::accept(&listener).await;
        // And no envelope is sent early to such a server.
        for expected in ["EHLO", "MAILRCPTDATA", ".", "MAILRCPTDATA", "."] {
            assert_eq!(server.hear().await.as_deref(), Some(expected), "{said}");
            server.answer(expected).await;
        }
        running.wait(|queue| queue.results().len() == 3).await;
        drop(server);
        let results = running.stop().await;
        assert_eq!(delivered(&results), got, "{said}: {results:?}");
        assert!(results[1..].iter().all(|(_, result)| *result == DeliveryResult::Delivered), "{said}: {results:?}");
    }
}

/// That says nothing about envelopes that come early: they go on.
#[tokio::test]
async fn a_server_may_end_a_connection_after_so_many_messages() {
    let full = |moment: &Moment<'_>| match moment.step {
        Step::Mail if moment.transaction == 6 => Answer::say_and_close("421 too many messages in this connection"),
        _ => Answer::Usual,
    };
    let (sink, running) = over_one_connection(Script::new(full), 15).await;
    assert_eq!(delivered(&running.results(15).await), 15);
    assert_eq!((sink.dialogues().len(), sink.recipients().len()), (3, 15));
    assert!(sink.messages().last().is_some_and(|one| !one.followed));
    assert_eq!(sink.messages().iter().filter(|one| one.followed).count(), 14);
}

/// RFC 2920, section 3.1: the lone dot.
#[tokio::test]
async fn content_that_is_asked_for_though_nobody_gets_it_is_no_reason_to_hang_up() {
    let eager = |moment: &Moment<'_>| match moment.step {
        Step::Data if moment.recipients.is_empty() => Answer::say("354 go"),
        _ => refuse_some(moment),
    };
    let (sink, running) = over_one_connection(Script::new(eager), 9).await;
    let results = running.results(9).await;
    assert_eq!(results[1].1, failed("550 5.1.1 no such user"));
    assert_eq!((delivered(&results), sink.recipients().len(), sink.dialogues().len()), (7, 7, 1));
    assert!(sink.messages().iter().filter(|one| one.followed).count() >= 5);
}

/// Many times what the network's buffers hold.
#[tokio::test]
async fn large_messages_arrive_whole_with_the_next_envelope_behind_them() {
    let sink = sink(Script::default()).await;
    let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
    let mut large = verp(people(4));
    large.message = format!("Subject: x\r\n\r\n{}", ".0123456789\r\n".repeat(600_000)).into_bytes().into();
    push(&running, &large);
    assert_eq!(delivered(&running.results(4).await), 4);
    assert_eq!((sink.dialogues().len(), sink.recipients().len()), (1, 4));
    assert!(sink.messages().iter().all(|one| one.message == *large.message));
    assert!(sink.messages().iter().any(|one| one.followed));
}

#[tokio::test]
async fn the_last_message_of_a_connection_is_followed_by_quit() {
    let sink = sink(Script::default()).await;
    let settings = DeliverySettings { connections: 1, max_transactions: 3, ..settings(&sink) };
    let running = Running::start(settings, Outgoing::Smtp);
    push(&running, &verp(people(7)));
    assert_eq!(delivered(&running.results(7).await), 7);
    let dialogues = sink.dialogues();
    assert_eq!((dialogues.len(), sink.recipients().len()), (3, 7));
    assert!(dialogues[..2].iter().all(|lines| lines.last().is_some_and(|line| line == "QUIT")), "{dialogues:?}");
}
