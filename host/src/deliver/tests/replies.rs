//! Each reply that real servers were seen to give, through a whole delivery, whatever way it goes.
//!
//! | server | what it was seen to do | test |
//! |---|---|---|
//! | Postfix | `452 4.5.3 Error: too many recipients` past 1,000; the transaction is still good | [`the_transaction_is_good_after_too_many_recipients_in_everybodys_words`] |
//! | Postfix | past 1,000 more `421 4.7.0 … too many errors`, and the accepted ones are lost | [`what_is_lost_by_asking_too_often_is_sent_again_in_smaller_pieces`] |
//! | Postfix | 421 and end after 20 refusals; a delivery resets the count | [`hanging_up_after_many_errors_keeps_what_was_said_and_loses_nobody`] |
//! | Postfix | one second for each refusal past 10 (Sendmail: past BadRcptThrottle) | [`refusals_that_come_slowly_one_by_one_are_no_silence`] |
//! | Postfix | a refused RCPT and `554 5.5.1 no valid recipients` to DATA | [`a_transaction_in_which_all_are_refused_judges_by_the_replies_to_rcpt`] |
//! | Postfix | closes with our input unread: ECONNRESET, replies are lost | [`a_connection_that_is_reset_in_mid_group_judges_nobody`] |
//! | Postfix | MAIL `450 4.7.1 too much mail`, then RCPT `503 5.5.1 need MAIL command` | [`a_rate_limit_is_no_bounce`] |
//! | Postfix | banner `421 4.7.0 too many connections` | `trouble_before_a_message_was_begun_touches_no_recipient`, `fewer_connections_are_used_when_the_server_takes_no_more` |
//! | Postfix | at its process limit a connection without a banner | [`connections_that_get_no_banner_leave_the_mail_to_the_others`], `a_silent_server_is_given_up` |
//! | Postfix | content behind DATA: `554 5.5.0 Error: SMTP protocol synchronization` | [`out_of_step_is_put_off_and_judges_nobody`]; the sink refuses it in every test |
//! | Postfix | XVERP not for us: `555 5.5.4 Unsupported option` | `verp::a_server_that_refuses_xverp_gets_one_message_for_each_and_judges_nobody_by_it` |
//! | Postfix | XVERP with `<>`: `503 5.5.4` | the same, and [`the_null_sender_never_asks_for_xverp`] |
//! | Postfix | which senders XVERP makes | `verp::whose_sender_the_server_would_make_otherwise_has_a_transaction_of_its_own`; a real one in `tests/tests/real_postfix` |
//! | Exim | `452 too many recipients` | as Postfix's |
//! | Exim | MAIL `421 too many messages`, later commands still 503 | [`commands_that_are_still_answered_after_421_change_nothing`] |
//! | Exim | all refused: `503 Valid RCPT command must precede DATA` | as Postfix's 554 |
//! | Exim | piping behind DATA or after HELO: `554 SMTP synchronization error` | [`out_of_step_is_put_off_and_judges_nobody`], [`a_server_without_ehlo_gets_one_command_at_a_time`] |
//! | Sendmail | `452 4.5.3 Too many recipients` | as Postfix's |
//! | Sendmail | all refused: `503 5.0.0 Need RCPT` | as Postfix's 554 |
//! | Sendmail | content behind DATA: `554 5.5.0 SMTP protocol error` | [`out_of_step_is_put_off_and_judges_nobody`] |

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
    for reply in [
        "554 SMTP synchronization error",                 // Exim
        "554 5.5.0 SMTP protocol error",                  // Sendmail
        "554 5.5.0 Error: SMTP protocol synchronization", // Postfix
    ] {
        // Whatever it seems to answer, it is about the connection.
        for step in [Step::Connect, Step::Mail, Step::Rcpt, Step::Data] {
            for script in kinds(|| rude_once(step, Answer::say_and_close(reply))) {
                // There is no DATA.
                if step == Step::Data && script.extensions.contains(&"CHUNKING".to_owned()) {
                    continue;
                }
                let (sink, results) = deliver(script, &people(2)).await;
                assert_eq!(
                    sink.dialogues().len(),
                    if step == Step::Connect || step == Step::Mail { 2 } else { 1 },
                    "{reply} {step:?}"
                );
                assert!(results.iter().all(|(_, result)| !is_bounce(result)), "{reply} {step:?}: {results:?}");
            }
        }
    }
}

/// The sink says `554 SMTP synchronization error` to whatever stands behind a command that it had not answered.
#[tokio::test]
async fn a_server_without_ehlo_gets_one_command_at_a_time() {
    let (sink, results) = deliver(rude(Step::Ehlo, Answer::say("500 what")), &people(5)).await;
    assert_eq!((results.len(), delivered(&results)), (5, 5));
    assert_eq!((sink.messages().len(), sink.dialogues().len()), (1, 1));
}

/// Postfix at `default_process_limit` accepts connections and says nothing.
#[tokio::test]
async fn connections_that_get_no_banner_leave_the_mail_to_the_others() {
    let script = Script::new(|moment| match moment.step {
        Step::Connect if moment.session > 1 => Answer::Silence,
        _ => Answer::Usual,
    });
    let sink = sink(script).await;
    let mut all = DeliverySettings { max_recipients: 1, max_transactions: usize::MAX, ..settings(&sink) };
    all.target.timeouts.banner = Duration::from_millis(100);
    let running = Running::start(all, Outgoing::Smtp);
    push(&running, &people(500));
    let results = running.results(500).await;
    assert_eq!((results.len(), delivered(&results)), (500, 500), "no attempt was counted");
    assert!(sink.dialogues().len() > 1, "nobody met the silence");
    assert!(sink.messages().iter().all(|one| one.session == 1));
}

#[tokio::test]
async fn refusals_that_come_slowly_one_by_one_are_no_silence() {
    let slow = Duration::from_millis(60);
    let refuse = move |moment: &Moment<'_>| match moment.step {
        Step::Rcpt if !moment.line.contains("u00000@") => {
            Answer::After(slow, Box::new(Answer::say("550 5.1.1 unknown")))
        }
        _ => Answer::Usual,
    };
    // With pipelining the sink keeps replies back until it has nothing to read.
    for script in [Script::new(refuse), Script::new(refuse).with("CHUNKING")].map(|one| one.without("PIPELINING")) {
        let sink = sink(script).await;
        let mut patient = settings(&sink);
        (patient.target.timeouts.reply, patient.target.timeouts.end_of_data) = (slow * 6, slow * 6);
        let running = Running::start(patient, Outgoing::Smtp);
        push(&running, &people(12));
        let results = running.results(12).await;
        assert_eq!((results.len(), delivered(&results)), (12, 1));
        assert_eq!(sink.dialogues().len(), 1, "it was given up");
    }
}

#[tokio::test]
async fn the_null_sender_never_asks_for_xverp() {
    let letter = Message { sender: EnvelopeSender::Null, ..people(3) };
    let (sink, results) = deliver(Script::default().with("XVERP"), &letter).await;
    assert_eq!(delivered(&results), 3);
    assert!(sink.dialogues().concat().iter().all(|line| !line.contains("XVERP")));
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

#[tokio::test]
async fn replies_split_at_every_octet_are_understood() {
    let script = Script { trickle: true, ..Script::new(refuse_some) };
    let (sink, results) = deliver(script, &people(6)).await;
    assert_eq!(delivered(&results), 4);
    assert_eq!(sink.recipients().len(), 4);
}

#[tokio::test]
async fn a_multi_line_reply_that_disagrees_ends_the_connection_and_is_tried_again() {
    let (sink, results) = deliver(rude_once(Step::EndOfData, Answer::say("250-kept\r\n550 no")), &people(1)).await;
    assert!(retry_reply(&results[0].1).contains("disagree: 250 and then 550"));
    assert!(sink.dialogues()[0].iter().all(|line| line != "QUIT"));
}

#[tokio::test]
async fn replies_that_nobody_asked_for_end_the_connection() {
    let sink = sink(rude_once(Step::EndOfData, Answer::say("250 kept\r\n250 and more"))).await;
    let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &verp(people(3)));
    let results = running.results(3).await;
    assert_eq!(delivered(&results), 3);
    assert_eq!(sink.recipients().len(), 3, "nobody twice");
    assert_eq!(sink.dialogues().len(), 2);
}

#[tokio::test]
async fn an_endless_reply_ends_the_connection() {
    let (_, results) = deliver(rude_once(Step::EndOfData, Answer::say("2".repeat(100_000))), &people(1)).await;
    assert!(retry_reply(&results[0].1).contains("longer than"));
}
