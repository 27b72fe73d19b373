//! Refused, for good or for now: what becomes of whom.

use super::*;

#[tokio::test]
async fn recipients_are_refused_one_by_one() {
    for script in kinds(|| Script::new(refuse_some)) {
        let (sink, results) = deliver(script, &people(5)).await;
        assert_eq!(results[1].1, failed("550 5.1.1 no such user"));
        assert_eq!(retry_reply(&results[3].1), "451 4.2.0 busy");
        assert_eq!(delivered(&results), 3);
        assert_eq!(sink.messages().len(), 1);
    }
}

#[tokio::test]
async fn a_transaction_without_recipients_is_ended_before_the_next() {
    for script in kinds(|| Script::new(refuse_some)) {
        let sink = sink(script).await;
        let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
        push(&running, &verp(people(5)));
        let results = running.results(5).await;
        assert_eq!(delivered(&results), 3, "{results:?}");
        assert_eq!(sink.dialogues().len(), 1);
        assert!(sink.dialogues()[0].iter().any(|line| line == "RSET"));
    }
}

#[tokio::test]
async fn temporary_failures_are_tried_again_until_they_pass() {
    let times = AtomicUsize::new(0);
    let script = Script::new(move |moment| {
        let busy =
            moment.step == Step::Rcpt && moment.line.contains("u00001@") && times.fetch_add(1, Ordering::SeqCst) < 2;
        if busy { Answer::say("451 4.2.0 busy") } else { Answer::Usual }
    });
    let sink = sink(script).await;
    let running = Running::to(&sink);
    push(&running, &people(3));
    for results in [3, 4] {
        running.wait(|queue| queue.results().len() == results).await;
        running.queue.retry_now();
    }
    let results = running.results(5).await;
    assert_eq!(delivered(&results), 3);
    assert_eq!(sink.recipients(), ["u00000@example.com", "u00001@example.com", "u00002@example.com"]);
}

#[tokio::test]
async fn after_the_retry_period_it_fails_with_the_last_reply() {
    let sink = sink(rude(Step::Rcpt, Answer::say("451 4.2.0 busy"))).await;
    let running = Running::to(&sink);
    running.queue.push(&people(1), Duration::from_hours(6 * 24));
    let results = running.results(1).await;
    assert_eq!(results[0].1, failed("4.4.7 delivery time expired: retry period of 5d is over; last: 451 4.2.0 busy"));
}

#[tokio::test]
async fn too_many_recipients_is_learned_and_the_rest_follows_at_once() {
    for script in kinds(|| Script { max_recipients: 7, ..Script::default() }) {
        let (sink, results) = deliver(script, &people(50)).await;
        assert_eq!(delivered(&results), 50);
        assert_eq!(results.len(), 50, "no attempt was counted");
        assert_eq!(sink.recipients().len(), 50, "nobody twice");
        let refused = sink.dialogues().concat().iter().filter(|line| line.starts_with("RCPT")).count();
        assert!(refused <= 50 + 43, "the limit was not learned: {refused} RCPT");
    }
}

#[tokio::test]
async fn a_refused_sender_is_about_the_message_and_503_is_no_bounce() {
    let (_, results) = deliver(rude(Step::Mail, Answer::say("450 4.7.1 too much mail")), &people(3)).await;
    for (_, result) in &results {
        assert_eq!(retry_reply(result), "450 4.7.1 too much mail (in reply to MAIL FROM)");
    }
    let (_, results) = deliver(rude(Step::Mail, Answer::say("550 5.7.1 not you")), &people(1)).await;
    assert_eq!(results[0].1, failed("550 5.7.1 not you (in reply to MAIL FROM)"));
}

#[tokio::test]
async fn data_without_recipients_that_gets_354_is_ended_by_a_lone_dot() {
    let script = Script::new(|moment| match moment.step {
        Step::Rcpt if moment.line.contains("u00000@") => Answer::say("550 5.1.1 no"),
        Step::Data if moment.recipients.is_empty() => Answer::say("354 go ahead"),
        _ => Answer::Usual,
    });
    let sink = sink(script).await;
    let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &verp(people(3)));
    let results = running.results(3).await;
    assert_eq!(results[0].1, failed("550 5.1.1 no"));
    assert_eq!(delivered(&results), 2);
    assert_eq!(sink.dialogues().len(), 1, "the connection stays in step");
    assert!(sink.messages().iter().all(|one| one.message.ends_with(b"end\r\n")));
}

#[tokio::test]
async fn an_early_refusal_of_data_concerns_the_accepted_recipients() {
    for (reply, permanent) in [("554 5.7.1 no", true), ("451 4.3.0 later", false), ("503 5.5.1 odd", false)] {
        let (_, results) = deliver(rude(Step::Data, Answer::say(reply)), &people(2)).await;
        for (_, result) in results {
            let text = format!("{reply} (in reply to DATA)");
            if permanent {
                assert_eq!(result, failed(&text));
            } else {
                assert_eq!(retry_reply(&result), text);
            }
        }
    }
}

#[tokio::test]
async fn the_reply_to_the_final_dot_counts_for_all_accepted_recipients() {
    let (sink, results) = deliver(rude(Step::EndOfData, Answer::say("554 5.7.1 spam")), &people(2)).await;
    assert!(sink.messages().is_empty());
    assert_eq!(results[1].1, failed("554 5.7.1 spam (in reply to end of data)"));
    let (_, results) = deliver(rude(Step::EndOfData, Answer::say("452 4.3.1 disk full")), &people(2)).await;
    assert_eq!(retry_reply(&results[0].1), "452 4.3.1 disk full (in reply to end of data)");
}
