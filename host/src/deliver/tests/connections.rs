//! Connections that fail, end or hang, and when they are made and closed.

use super::*;

#[tokio::test]
async fn a_refused_connection_touches_no_recipient() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = listener.local_addr().expect("address");
    drop(listener);
    let dead = sink(Script::default()).await;
    let mut settings = settings(&dead);
    settings.target.port = address.port();
    let running = Running::start(settings, Outgoing::Smtp);
    push(&running, &people(3));
    running.wait(|queue| queue.released() == 3).await;
    let listener = tokio::net::TcpListener::bind(address).await.expect("the port is still free");
    let alive = Sink::serve(listener, Script::default()).expect("sink");
    let results = running.results(3).await;
    assert_eq!(delivered(&results), 3);
    assert_eq!(alive.recipients().len(), 3);
}

#[tokio::test]
async fn a_person_who_asks_for_a_retry_need_not_wait_for_the_end_of_a_pause() {
    let busy = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&busy);
    let script = Script::new(move |moment| match moment.step {
        Step::Connect if still.load(Ordering::SeqCst) => Answer::say_and_close("421 4.3.2 busy"),
        _ => Answer::Usual,
    });
    let sink = sink(script).await;
    let settings = DeliverySettings { first_pause: Duration::from_hours(1), ..settings(&sink) };
    let running = Running::start(settings, Outgoing::Smtp);
    push(&running, &people(3));
    running.wait(|queue| queue.released() == 3).await;
    busy.store(false, Ordering::SeqCst);
    let asked = async {
        while running.queue.results().len() < 3 {
            // Asked before the pause began, it would be of no use.
            running.queue.retry_now();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("it was not tried");
    assert_eq!(delivered(&running.stop().await), 3);
}

#[tokio::test]
async fn trouble_before_a_message_was_begun_touches_no_recipient() {
    for (step, answer) in [
        (Step::Connect, Answer::say_and_close("421 4.7.0 too many connections")),
        (Step::Connect, Answer::say_and_close("554 5.7.1 go away")),
        (Step::Connect, Answer::Close),
        (Step::Connect, Answer::say("hello?")),
        (Step::Connect, Answer::say("220-a\r\n554 b")),
        (Step::Ehlo, Answer::say_and_close("421 4.3.2 shutting down")),
        (Step::Ehlo, Answer::say("451 4.3.0 later")),
        (Step::Ehlo, Answer::Close),
        (Step::Mail, Answer::say_and_close("421 4.3.2 shutting down")),
        (Step::Mail, Answer::say("530 5.7.0 log in first")),
        (Step::Mail, Answer::Close),
    ] {
        let (sink, results) = deliver(rude_once(step, answer.clone()), &people(2)).await;
        assert_eq!(delivered(&results), 2, "{step:?} {answer:?}");
        assert_eq!(results.len(), 2, "an attempt was counted: {step:?} {answer:?}");
        assert_eq!(sink.dialogues().len(), 2, "{step:?} {answer:?}");
    }
}

#[tokio::test]
async fn a_server_that_ends_a_used_connection_gets_a_new_one_at_once() {
    let script = Script::new(|moment| match moment.step {
        Step::Mail if moment.transaction > 10 => Answer::say_and_close("421 too many messages in this connection"),
        _ => Answer::Usual,
    });
    let (sink, results) = deliver(script, &verp(people(100))).await;
    assert_eq!(results.len(), 100);
    assert_eq!(delivered(&results), 100);
    assert_eq!(sink.recipients().len(), 100, "nobody twice");
}

#[tokio::test]
async fn connections_are_renewed_before_the_limit() {
    let sink = sink(Script::default()).await;
    let limited = DeliverySettings { max_transactions: 5, connections: 1, ..settings(&sink) };
    let running = Running::start(limited, Outgoing::Smtp);
    push(&running, &verp(people(20)));
    assert_eq!(delivered(&running.results(20).await), 20);
    assert!(sink.dialogues().len() >= 4);
    for dialogue in sink.dialogues() {
        assert!(dialogue.iter().filter(|line| line.starts_with("MAIL")).count() <= 5);
    }
}

#[tokio::test]
async fn closing_in_the_middle_keeps_verdicts_and_sends_to_the_rest_at_once() {
    let script = Script::new(|moment| match moment.step {
        Step::Rcpt if moment.line.contains("u00001@") => Answer::say("550 5.1.1 no"),
        Step::Rcpt if moment.line.contains("u00002@") && moment.session == 1 => {
            Answer::say_and_close("421 4.7.0 too many errors")
        }
        _ => Answer::Usual,
    });
    let (sink, results) = deliver(script, &people(5)).await;
    assert_eq!(results.len(), 5);
    assert_eq!(results[1].1, failed("550 5.1.1 no"));
    assert_eq!(delivered(&results), 4);
    assert_eq!(sink.recipients().len(), 4);
}

#[tokio::test]
async fn a_message_on_which_the_server_always_hangs_up_is_put_off_and_others_pass() {
    let script = Script::new(|moment| match moment.step {
        Step::EndOfData if moment.recipients[0].starts_with("poison") => Answer::say_and_close("421 4.7.0 crash"),
        _ => Answer::Usual,
    });
    let sink = sink(script).await;
    let running = Running::start(DeliverySettings { connections: 1, ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &message(&["poison@example.com"]));
    push(&running, &people(3));
    let results = running.results(4).await;
    assert!(retry_reply(&results[0].1).contains("421 4.7.0 crash"));
    assert_eq!(delivered(&results), 3);
}

#[tokio::test]
async fn lost_after_the_final_dot_is_unknown_and_tried_again() {
    let sink = sink(rude_once(Step::EndOfData, Answer::Close)).await;
    let running = Running::to(&sink);
    push(&running, &people(2));
    running.wait(|queue| queue.results().len() == 2).await;
    for (_, result) in running.queue.results() {
        assert!(retry_reply(&result).starts_with("no reply to the end of the message, so it may have arrived"));
    }
    running.queue.retry_now();
    let results = running.results(4).await;
    assert_eq!(delivered(&results), 2);
    // The documented window: the sink had taken the first one too.
    assert_eq!(sink.recipients().len(), 4);
}

#[tokio::test]
async fn lost_before_the_final_dot_is_surely_not_delivered() {
    let mut large = people(1);
    large.message = Arc::from(vec![b'x'; 20_000_000]);
    let (sink, results) = deliver(rude_once(Step::Data, Answer::say_and_close("354 go")), &large).await;
    let reply = retry_reply(&results[0].1);
    assert!(!reply.contains("may have arrived"), "{reply}");
    assert!(sink.messages().is_empty());
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let sink = sink(rude_once(Step::Connect, Answer::Silence)).await;
    let mut settings = settings(&sink);
    settings.target.timeouts.banner = Duration::from_millis(100);
    let running = Running::start(settings, Outgoing::Smtp);
    push(&running, &people(1));
    assert_eq!(delivered(&running.results(1).await), 1);
}

#[tokio::test]
async fn fewer_connections_are_used_when_the_server_takes_no_more() {
    let script = Script::new(|moment| match moment.step {
        Step::Connect if moment.session > 2 => Answer::say_and_close("421 4.7.0 too many connections"),
        _ => Answer::Usual,
    });
    let sink = sink(script).await;
    // The sink counts connections and never forgets, so none may be renewed.
    let all = DeliverySettings { max_recipients: 1, max_transactions: usize::MAX, ..settings(&sink) };
    let running = Running::start(all, Outgoing::Smtp);
    push(&running, &people(2000));
    let results = running.results(2000).await;
    assert_eq!(delivered(&results), 2000);
    assert_eq!(sink.recipients().len(), 2000);
}

#[tokio::test]
async fn stopping_gives_back_what_was_not_begun() {
    let sink = sink(Script::default()).await;
    let slow = DeliverySettings { max_recipients: 1, connections: 2, ..settings(&sink) };
    let running = Running::start(slow, Outgoing::Smtp);
    push(&running, &people(5000));
    running.wait(|queue| queue.results().len() > 10).await;
    let queue = Arc::clone(&running.queue);
    let results = running.stop().await;
    assert_eq!(delivered(&results), results.len());
    assert_eq!(sink.recipients().len(), results.len(), "each delivery is recorded");
    assert_eq!(queue.open(), 5000 - results.len());
    assert!(queue.is_idle(), "everything else was given back");
}

#[tokio::test]
async fn stopping_records_what_is_known_though_the_server_hangs() {
    let script = Script::new(|moment| match moment.step {
        Step::EndOfData if moment.transaction == 6 => Answer::Silence,
        _ => Answer::Usual,
    });
    let sink = sink(script).await;
    let mut hasty = DeliverySettings { connections: 1, grace: Duration::from_millis(200), ..settings(&sink) };
    // The sink leaves out a reply, and would answer to what is behind it.
    hasty.target.distant = Some(false);
    let running = Running::start(hasty, Outgoing::Smtp);
    push(&running, &verp(people(10)));
    // The sink stores the sixth too, but its client is never told.
    tokio::time::timeout(PATIENCE, sink.wait_for(6)).await.expect("six");
    assert_eq!(delivered(&running.stop().await), 5);
}

#[tokio::test]
async fn idle_connections_are_closed_politely() {
    let sink = sink(Script::default()).await;
    let running =
        Running::start(DeliverySettings { idle: Duration::from_millis(50), ..settings(&sink) }, Outgoing::Smtp);
    push(&running, &people(1));
    running.wait(|queue| queue.results().len() == 1).await;
    let quit = async {
        while sink.dialogues()[0].last().map(String::as_str) != Some("QUIT") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, quit).await.expect("no QUIT");
    push(&running, &people(1));
    running.results(2).await;
    assert_eq!(sink.dialogues().len(), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_not_used() {
    let script = Script::new(|moment| match moment.step {
        Step::EndOfData if moment.session == 1 => Answer::say_and_close("250 kept, but I leave"),
        _ => Answer::Usual,
    });
    let sink = sink(script).await;
    let running = Running::to(&sink);
    push(&running, &people(1));
    running.wait(|queue| queue.results().len() == 1).await;
    push(&running, &people(1));
    assert_eq!(delivered(&running.results(2).await), 2);
    assert_eq!(sink.recipients().len(), 2);
}
