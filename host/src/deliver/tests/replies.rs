//! Each reply that real servers were seen to give, through a whole delivery, whatever way it goes.

use super::*;
use crate::deliver::session::Session;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn is_bounce(result: &DeliveryResult) -> bool {
    matches!(result, DeliveryResult::Failed { .. })
}

/// One connection, VERP: each recipient is a transaction.
async fn one_by_one(script: Script, count: usize) -> (Sink, Vec<(String, DeliveryResult)>) {
    let sink = sink(script).await;
    let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &verp(people(count)));
    let results = running.results(count).await;
    (sink, results)
}

#[tokio::test]
async fn the_transaction_is_good_after_too_many_recipients_in_everybodys_words() {
    for reply in [
        "452 4.5.3 Error: too many recipients", // Postfix
        "452 too many recipients",              // Exim
        "452 4.5.3 Too many recipients",        // Sendmail
        "552 Too many recipients",              // RFC 5321, section 4.5.3.1.10
    ] {
        let full = move |moment: &Moment<'_>| {
            let full = moment.step == Step::Rcpt && moment.recipients.len() >= 20;
            if full { Answer::say(reply) } else { Answer::Usual }
        };
        for script in kinds(|| Script::new(full)) {
            let (sink, results) = deliver(script, &people(90)).await;
            assert_eq!((results.len(), delivered(&results)), (90, 90), "no attempt was counted: {reply}");
            assert_eq!(sink.recipients().len(), 90, "nobody twice: {reply}");
        }
    }
}

/// Postfix: past 1,000 more each counts as an error, then 421, and even the accepted ones are lost.
#[tokio::test]
async fn what_is_lost_by_asking_too_often_is_sent_again_in_smaller_pieces() {
    let full = |moment: &Moment<'_>| match moment.step {
        Step::Rcpt if moment.line.contains("u00060@") && moment.recipients.len() >= 20 => {
            Answer::say_and_close("421 4.7.0 mta.example.com Error: too many errors")
        }
        Step::Rcpt if moment.recipients.len() >= 20 => Answer::say("452 4.5.3 Error: too many recipients"),
        _ => Answer::Usual,
    };
    for script in kinds(|| Script::new(full)) {
        // Command by command nobody asks again after the first 452.
        let (sink, results) = deliver(script, &people(90)).await;
        assert_eq!((results.len(), delivered(&results)), (90, 90), "no attempt was counted");
        assert_eq!(sink.recipients().len(), 90, "nobody twice");
    }
}

#[tokio::test]
async fn a_transaction_in_which_all_are_refused_judges_by_the_replies_to_rcpt() {
    for data in [
        "554 5.5.1 Error: no valid recipients",     // Postfix
        "503 Valid RCPT command must precede DATA", // Exim
        "503 5.0.0 Need RCPT (recipient)",          // Sendmail
    ] {
        let refuse = move |moment: &Moment<'_>| match moment.step {
            Step::Rcpt if moment.line.contains("u00001@") => Answer::say("550 5.1.1 unknown"),
            Step::Rcpt if moment.line.contains("u00002@") => Answer::say("450 4.2.1 later"),
            Step::Data | Step::EndOfData if moment.recipients.is_empty() => Answer::say(data),
            _ => Answer::Usual,
        };
        for script in kinds(|| Script::new(refuse)) {
            let (sink, results) = one_by_one(script, 5).await;
            assert_eq!(results[1].1, failed("550 5.1.1 unknown"), "{data}");
            assert_eq!(retry_reply(&results[2].1), "450 4.2.1 later", "{data}");
            assert_eq!((delivered(&results), sink.recipients().len()), (3, 3), "{data}");
            assert_eq!(sink.dialogues().len(), 1);
        }
    }
}

/// Postfix: 10 errors are free, then each costs a second, after 20 it hangs up; a delivery resets the count.
#[tokio::test]
async fn hanging_up_after_many_errors_keeps_what_was_said_and_loses_nobody() {
    let errors = Arc::new(AtomicUsize::new(0));
    let refuse = |moment: &Moment<'_>| {
        let odd = moment.line.rsplit_once('@').is_some_and(|(local, _)| local.ends_with(['1', '3', '5', '7', '9']));
        moment.step == Step::Rcpt && odd
    };
    for script in kinds(|| {
        let errors = Arc::clone(&errors);
        Script::new(move |moment| match moment.step {
            Step::Connect => {
                errors.store(0, Ordering::SeqCst);
                Answer::Usual
            }
            Step::Rcpt if errors.load(Ordering::SeqCst) >= 20 => {
                Answer::say_and_close("421 4.7.0 mta.example.com Error: too many errors")
            }
            _ if refuse(moment) => {
                errors.fetch_add(1, Ordering::SeqCst);
                Answer::say("550 5.1.1 unknown")
            }
            _ => Answer::Usual,
        })
    }) {
        let sink = sink(script).await;
        let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
        push(&running, &people(100));
        let results = running.results(100).await;
        assert_eq!(results.len(), 100);
        assert_eq!(results.iter().filter(|(_, result)| *result == failed("550 5.1.1 unknown")).count(), 50);
        assert_eq!((delivered(&results), sink.recipients().len()), (50, 50));
    }
}

/// Postfix's anvil: the sender is put off, and what follows is out of order only because of that.
#[tokio::test]
async fn a_rate_limit_is_no_bounce() {
    for script in kinds(|| {
        Script::new(|moment| match moment.step {
            Step::Mail if moment.transaction > 2 => Answer::say("450 4.7.1 Error: too much mail from 127.0.0.1"),
            Step::Rcpt if moment.transaction > 2 => Answer::say("503 5.5.1 Error: need MAIL command"),
            Step::Data | Step::EndOfData if moment.transaction > 2 => Answer::say("503 5.5.1 Error: need RCPT command"),
            _ => Answer::Usual,
        })
    }) {
        let (_, results) = one_by_one(script, 6).await;
        assert_eq!(delivered(&results), 2);
        let put_off = "450 4.7.1 Error: too much mail from 127.0.0.1 (in reply to MAIL FROM)";
        assert!(results.iter().all(|(_, result)| !is_bounce(result)), "{results:?}");
        assert_eq!(retry_reply(&results[5].1), put_off);
    }
}

/// Exim ends a connection with 421 to MAIL, but goes on answering what was in the pipe.
#[tokio::test]
async fn commands_that_are_still_answered_after_421_change_nothing() {
    for script in kinds(|| {
        Script::new(|moment| match moment.step {
            _ if moment.transaction <= 5 => Answer::Usual,
            Step::Mail => Answer::say("421 too many messages in this connection"),
            Step::Rcpt => Answer::say("503 sender not yet given"),
            Step::Data | Step::EndOfData => Answer::say_and_close("503 valid RCPT command must precede DATA"),
            _ => Answer::Usual,
        })
    }) {
        let (sink, results) = one_by_one(script, 20).await;
        assert_eq!((results.len(), delivered(&results)), (20, 20), "no attempt was counted");
        assert_eq!((sink.recipients().len(), sink.dialogues().len()), (20, 4));
    }
}

#[tokio::test]
async fn out_of_step_is_put_off_and_judges_nobody() {
    for reply in ["554 SMTP synchronization error", "554 5.5.0 SMTP protocol error"] {
        // Said to the first word, it is about the connection.
        let (sink, results) = deliver(rude_once(Step::Connect, Answer::say_and_close(reply)), &people(2)).await;
        assert_eq!((results.len(), delivered(&results)), (2, 2), "{reply}");
        assert_eq!(sink.dialogues().len(), 2);
    }
}

/// Closing with our input unread gives ECONNRESET, and replies that were under way are lost.
#[tokio::test]
async fn a_connection_that_is_reset_in_mid_group_judges_nobody() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = listener.local_addr().expect("address");
    let good = sink(Script::default()).await;
    let to = good.address();
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.expect("client");
        let mut buffer = [0; 4096];
        first.write_all(b"220 mx\r\n").await.expect("banner");
        let _ = first.read(&mut buffer).await;
        first.write_all(b"250-mx\r\n250 PIPELINING\r\n").await.expect("offer");
        // A few octets of the group, and the rest stays unread.
        let _ = first.read(&mut buffer[..20]).await;
        drop(first);
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = tokio::net::TcpStream::connect(to).await.expect("sink");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let mut settings = settings(&good);
    settings.target.port = address.port();
    let running = Running::start(settings, Outgoing::Smtp);
    push(&running, &people(100));
    let results = running.results(100).await;
    assert_eq!((results.len(), delivered(&results)), (100, 100), "no attempt was counted");
    assert_eq!(good.recipients().len(), 100, "nobody twice");
}

/// Replies of hostile servers, where each is asked for: the connection is given up and the result is unknown.
#[tokio::test]
async fn what_is_no_reply_anywhere_ends_the_connection_and_bounces_nobody() {
    let garbage = [
        "250-a\r\n550 b",
        "550-a\r\n250 b",
        "250-a\r\n250-b\r\n451 c",
        "hello",
        "99 x",
        "250x y",
        "650 x",
        "",
        "\0\0\0",
        "354 go on",
        "150 wait",
    ];
    let long = ["2".repeat(5000), "250-x\r\n".repeat(20_000)];
    for answer in garbage.iter().map(|text| (*text).to_owned()).chain(long) {
        for step in [Step::Mail, Step::Rcpt, Step::Data, Step::EndOfData] {
            if step == Step::Data && answer.starts_with("354") {
                continue;
            }
            for script in kinds(|| {
                let answer = answer.clone();
                Script::new(move |moment| match moment.step {
                    here if here == step && moment.session == 1 && moment.transaction == 2 => {
                        Answer::Say(answer.clone())
                    }
                    _ => Answer::Usual,
                })
            }) {
                let chunking = script.extensions.contains(&"CHUNKING".to_owned());
                let (sink, results) = one_by_one(script, 3).await;
                let name = format!("{step:?} {:?}", &answer[..answer.len().min(20)]);
                assert!(results.iter().all(|(_, result)| !is_bounce(result)), "{name}: {results:?}");
                assert!(delivered(&results) >= 2, "{name}: {results:?}");
                if !(step == Step::Data && chunking) {
                    assert_eq!(sink.dialogues().len(), 2, "{name}: the connection was used on");
                    assert_ne!(sink.dialogues()[0].last().map(String::as_str), Some("QUIT"), "{name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn replies_in_pieces_and_in_many_lines_are_understood_at_each_step() {
    let wordy = |moment: &Moment<'_>| match moment.step {
        Step::Connect => Answer::say("220-hello\r\n220-there\r\n220 ready"),
        Step::Mail => Answer::say("250-2.1.0 fine\r\n250 2.1.0 sender"),
        Step::Rcpt if moment.line.contains("u00002@") => {
            Answer::say("550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1 user")
        }
        Step::Rcpt => Answer::say("250-2.1.5 fine\r\n250"),
        Step::EndOfData => Answer::say("250-2.0.0 Ok\r\n250-\r\n250 2.0.0 kept"),
        _ => Answer::Usual,
    };
    for script in kinds(|| Script { trickle: true, ..Script::new(wordy) }) {
        let (sink, results) = one_by_one(script, 5).await;
        assert_eq!(results[2].1, failed("550 5.1.1 no such user"));
        assert_eq!((delivered(&results), sink.recipients().len(), sink.dialogues().len()), (4, 4, 1));
    }
}

#[tokio::test]
async fn a_hostile_greeting_is_told_and_never_a_bounce() {
    for (step, answer) in [
        (Step::Connect, "250 hello"),
        (Step::Connect, "220-a\r\n554 b"),
        (Step::Ehlo, "354 what"),
        (Step::Ehlo, "250-a\r\n550 b"),
        (Step::Ehlo, "junk"),
    ] {
        let sink = sink(rude(step, Answer::say(answer))).await;
        let opened = Session::open(&settings(&sink).target).await;
        // Some servers greet with another 2xx; that is no reason to lose mail.
        assert_eq!(opened.is_ok(), answer == "250 hello", "{answer}");
    }
}
