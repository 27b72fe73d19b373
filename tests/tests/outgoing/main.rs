//! The SMTP client against real servers: VERP made by the server, BDAT, envelopes that come early, limits.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the right answer")]

mod measure;
mod tap;

use postrider::config::{Chunking, SmtpProtocol};
use postrider::deliver::memory::MemoryQueue;
use postrider::deliver::session::Target;
use postrider::deliver::sink::{Script, Sink};
use postrider::deliver::verp::VerpFormat;
use postrider::deliver::{Deliverer, DeliverySettings, Outgoing};
use postrider::lists::EmailAddress;
use postrider::spool::{DeliveryResult, EnvelopeSender, Outgoing as Message};
use postrider_tests::installation::{Installation, wait_for};
use postrider_tests::mta_box::{Catcher, Caught, Exim, EximLayout, Layer, MtaBox, Postfix, Sendmail};
use postrider_tests::require::{self, MTA_BOX};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tap::Tap;

const LIMIT: Duration = Duration::from_secs(90);
const BOUNCES: &str = "ants-bounces@lists.example.com";
const REFUSED: [&str; 2] = ["refuse-1@remote.example", "refuse-2@remote.example"];
const TEXT: &str = "From: anne@example.com\r\nSubject: dots\r\n\r\n.\r\n..\r\n.x\r\nend\r\n";

fn letter(sender: EnvelopeSender, text: &str, recipients: &[String]) -> Message {
    Message {
        list: Some(1),
        list_address: "ants@lists.example.com".into(),
        message_id: "<1@example.com>".into(),
        sender,
        message: Arc::from(text.as_bytes()),
        recipients: recipients.iter().map(|one| EmailAddress::parse(one).unwrap()).collect(),
        personal: None,
    }
}

fn verp() -> EnvelopeSender {
    EnvelopeSender::Verp(BOUNCES.into())
}

fn people(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("u{number}@remote.example")).collect()
}

fn settings(port: u16) -> DeliverySettings {
    DeliverySettings { max_recipients: 100, ..DeliverySettings::for_target(Target::plain("127.0.0.1", port)) }
}

/// Delivers to the mail server of this box, and returns what became of each recipient.
fn deliver(machine: &MtaBox, settings: DeliverySettings, letters: Vec<Message>) -> BTreeMap<String, DeliveryResult> {
    deliver_with(machine, async { settings }, letters)
}

/// The same with settings that are made in the box, perhaps with something that runs meanwhile.
fn deliver_with(
    machine: &MtaBox,
    settings: impl Future<Output = DeliverySettings> + Send,
    letters: Vec<Message>,
) -> BTreeMap<String, DeliveryResult> {
    let count = letters.iter().map(|one| one.recipients.len()).sum::<usize>();
    let run = move || {
        // Threads that this one begins are in the box too.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(async {
            let queue = Arc::new(MemoryQueue::new(true));
            for one in &letters {
                queue.push(one, Duration::ZERO);
            }
            let done = queue.wait_until(|queue| queue.results().len() >= count);
            let deliverer = Deliverer::new(settings.await, Arc::clone(&queue), Outgoing::Smtp);
            tokio::time::timeout(LIMIT, deliverer.run(done)).await.unwrap();
            queue.results()
        }))
    };
    let results = machine.inside(run).unwrap();
    assert_eq!(results.len(), count, "one result each");
    results.into_iter().map(|(address, result)| (address.to_string(), result)).collect()
}

#[track_caller]
fn assert_delivered(results: &BTreeMap<String, DeliveryResult>, postfix: &Postfix<'_>) {
    let others: Vec<_> = results.iter().filter(|(_, result)| **result != DeliveryResult::Delivered).take(5).collect();
    assert!(others.is_empty(), "{others:?}\n{}", postfix.log_tail());
}

/// Everybody has it once, from the sender that we would have made.
#[track_caller]
fn assert_return_paths(caught: &[Caught], recipients: &[String]) {
    let mut missing: BTreeSet<&str> = recipients.iter().map(String::as_str).collect();
    for message in caught {
        for recipient in &message.recipients {
            assert!(missing.remove(recipient.as_str()), "{recipient} twice, or never asked for");
            let expected = VerpFormat::default().expand(BOUNCES, &EmailAddress::parse(recipient).unwrap());
            assert_eq!(message.sender, expected);
        }
    }
    assert!(missing.is_empty(), "{} without mail: {:?}", missing.len(), missing.first());
}

fn machine(test: &str, layer: fn() -> std::io::Result<Layer>) -> Option<MtaBox> {
    require::all(test, MTA_BOX).then(|| MtaBox::start(&layer().unwrap()).unwrap())
}

/// What Postfix says of each transaction that it took: `nrcpt=`.
fn batches(postfix: &Postfix<'_>) -> Vec<usize> {
    let log = postfix.log();
    let count = |line: &str| line.split("nrcpt=").nth(1)?.split(' ').next()?.parse().ok();
    let mut seen = BTreeSet::new();
    log.lines()
        .filter(|line| line.contains("qmgr[") && line.contains("nrcpt="))
        .filter(|line| seen.insert(line.split(": ").nth(1).unwrap_or_default().to_owned()))
        .filter_map(count)
        .collect()
}

#[test]
fn postfix_makes_the_senders_that_we_would_make_and_gets_whole_batches() {
    let Some(machine) = machine("postfix_makes_the_senders", Layer::postfix) else { return };
    let world = Catcher::smtp(&machine, "127.0.0.1:2599").unwrap();
    let postfix = Postfix::start(&machine, "smtpd_authorized_verp_clients = $mynetworks\n").unwrap();
    let mut recipients: Vec<String> = [
        "user+tag@remote.example",
        "UPPER.Case@Remote.Example",
        "a=b@remote.example",
        "a==b=@remote.example",
        "\"quoted local\"@remote.example",
        "o'brien!#$%&*/?^_`{|}~@remote.example",
        "someone@[192.0.2.1]",
        "someone@[IPv6:2001:db8::1]",
        "grüße@remote.example",
        "user@bücher.example",
    ]
    .map(str::to_owned)
    .to_vec();
    recipients.extend(people(3000));
    let results = deliver(&machine, settings(25), vec![letter(verp(), TEXT, &recipients)]);
    assert_delivered(&results, &postfix);
    world.wait_until_recipients(recipients.len(), LIMIT);
    let caught = world.caught();
    assert_return_paths(&caught, &recipients);
    assert!(caught.iter().all(|one| one.text().ends_with("\r\n\r\n.\r\n..\r\n.x\r\nend\r\n")));
    let batches = batches(&postfix);
    assert!(batches.len() < 45 && batches.contains(&100), "{batches:?}");
    // Only whom Postfix would encode otherwise than we comes alone.
    assert!(batches.iter().filter(|count| **count == 1).count() <= 4, "{batches:?}");
}

#[test]
fn without_xverp_or_with_another_filter_postfix_gets_one_message_for_each() {
    let Some(machine) = machine("without_xverp", Layer::postfix) else { return };
    let world = Catcher::smtp(&machine, "127.0.0.1:2599").unwrap();
    let postfix = Postfix::configure(&machine, "").unwrap();
    // It offers XVERP and takes another delimiter only: 501.
    machine.run(&["postconf", "-M", "2526/inet=2526 inet n - n - - smtpd"]);
    for option in
        ["smtpd_authorized_verp_clients=127.0.0.0/8", "verp_delimiter_filter=-=", "default_verp_delimiters=-="]
    {
        machine.run(&["postconf", "-P", &format!("2526/inet/{option}")]);
    }
    postfix.launch().unwrap();
    for port in [25, 2526] {
        let recipients = people(60);
        let results = deliver(&machine, settings(port), vec![letter(verp(), TEXT, &recipients)]);
        assert_delivered(&results, &postfix);
        world.wait_until_recipients(60, LIMIT);
        assert_return_paths(&world.caught(), &recipients);
        world.clear();
    }
    assert!(batches(&postfix).iter().all(|count| *count == 1), "{:?}", batches(&postfix));
}

/// A message with long lines and dots everywhere, larger than what is written blindly.
fn large() -> String {
    let mut text = String::from("From: anne@example.com\r\nSubject: large\r\n\r\n");
    for number in 0..4000 {
        write!(text, ".{}\r\n..\r\n\r\n", ".x".repeat(number % 40)).unwrap();
    }
    text
}

/// What came behind the header, which mail servers change.
fn body(message: &Caught) -> String {
    message.text().split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// How messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// With BDAT.
    Chunking,
    /// With DATA, the envelope of the next with the end of each.
    Early,
}

/// Small and large messages, for one and many recipients, some of them refused by `refuse-N@remote.example`.
fn exercise(machine: &MtaBox, world: &Catcher, manner: Manner) {
    let small = TEXT.split_once("\r\n\r\n").unwrap().1.to_owned();
    let large = large();
    let large_body = large.split_once("\r\n\r\n").unwrap().1.to_owned();
    let mut mixed = people(20);
    mixed.insert(7, REFUSED[0].to_owned());
    mixed.push(REFUSED[1].to_owned());
    for (text, expected) in [(TEXT, &small), (large.as_str(), &large_body)] {
        for (sender, each) in [(verp(), true), (EnvelopeSender::Fixed(BOUNCES.into()), false)] {
            world.clear();
            let tap = Tap::default();
            let single = async {
                let mut single = settings(tap.before(25).await);
                single.xverp = false;
                single.target.chunking = if manner == Manner::Chunking { Chunking::Yes } else { Chunking::No };
                single.target.distant = Some(true);
                single.connections = 1;
                single
            };
            let results = deliver_with(machine, single, vec![letter(sender, text, &mixed)]);
            for (recipient, result) in &results {
                match result {
                    DeliveryResult::Delivered => assert!(recipient.starts_with('u'), "{recipient}"),
                    DeliveryResult::Failed { reply } => {
                        assert!(recipient.starts_with("refuse") && reply.contains("not here"), "{recipient} {reply}");
                    }
                    DeliveryResult::Retry { reply, .. } => panic!("{recipient}: {reply}"),
                }
            }
            world.wait_until_recipients(20, LIMIT);
            for message in world.caught() {
                assert_eq!(&body(&message), expected);
                assert_eq!(message.sender != BOUNCES, each);
            }
            // Not behind the last; and of a large message the tap may get the end in two pieces, which proves nothing.
            let early = match (manner, each) {
                (Manner::Early, true) if text.len() > TEXT.len() => 10..=20,
                (Manner::Early, true) => 18..=20,
                _ => 0..=0,
            };
            assert!(early.contains(&tap.early()), "{} envelopes came early, {early:?} expected", tap.early());
            assert_eq!(tap.connections(), 1);
        }
    }
}

#[test]
fn postfix_takes_bdat_and_early_envelopes_also_where_its_defences_are_up() {
    let Some(machine) = machine("postfix_takes_bdat", Layer::postfix) else { return };
    let world = Catcher::smtp(&machine, "127.0.0.1:2599").unwrap();
    machine
        .write(
            "/etc/postfix/refused",
            "refuse-1@remote.example 550 5.7.1 not here\nrefuse-2@remote.example 550 5.7.1 not here\n",
        )
        .unwrap();
    let defences = "smtpd_recipient_restrictions = check_recipient_access texthash:/etc/postfix/refused, permit\n\
                    smtpd_relay_restrictions = permit_mynetworks, reject\n\
                    smtpd_forbid_unauth_pipelining = yes\nsmtpd_forbid_bare_newline = yes\n\
                    smtpd_data_restrictions = reject_unauth_pipelining\n\
                    smtpd_recipient_limit = 12\nsmtpd_error_sleep_time = 0\n";
    let postfix = Postfix::start(&machine, defences).unwrap();
    exercise(&machine, &world, Manner::Chunking);
    exercise(&machine, &world, Manner::Early);
    let log = postfix.log();
    assert!(!log.contains("improper command pipelining") && !log.contains("bare <LF>"), "{log}");
}

#[test]
fn exim_takes_bdat_and_early_envelopes() {
    let Some(machine) = machine("exim_takes_bdat", Exim::layer) else { return };
    let world = Catcher::smtp(&machine, "127.0.0.1:2599").unwrap();
    let exim = Exim::configure(&machine, EximLayout::Plain, "127.0.0.1");
    // Else it leaves all but the first ten messages of a connection to its next queue run.
    machine.shell("sed -i '1i smtp_accept_queue_per_connection = 0' /etc/exim4/exim4.conf");
    for who in REFUSED {
        exim.set_rule(who, Some("550 5.7.1 not here"));
    }
    exim.start();
    exercise(&machine, &world, Manner::Chunking);
    let log = exim.log();
    assert!(log.contains(" K "), "no message came by BDAT (K): {log}");
    exercise(&machine, &world, Manner::Early);
    let log = exim.log();
    assert!(!log.contains("synchronization error"), "{log}");
}

#[test]
fn sendmail_takes_early_envelopes() {
    let Some(machine) = machine("sendmail_takes_early_envelopes", Sendmail::layer) else { return };
    let world = Catcher::smtp(&machine, "127.0.0.1:2599").unwrap();
    let sendmail = Sendmail::configure(&machine, Ipv4Addr::LOCALHOST, "").unwrap();
    for who in REFUSED {
        sendmail.set_rule(&format!("To:{who}"), Some("ERROR:5.7.1:550 not here")).unwrap();
    }
    sendmail.start().unwrap();
    exercise(&machine, &world, Manner::Early);
}

/// Postrider's mail goes to another Postrider by LMTP, over TCP and over a Unix socket.
#[test]
fn postriders_own_lmtp_server_judges_each_recipient() {
    for socket in [false, true] {
        let to = Installation::with_mta("incoming: null.NullMTA\n");
        let path = to.path().join("lmtp.sock");
        if socket {
            to.configure(&format!("lmtp_listen: 127.0.0.1:{} unix:{}\n", to.lmtp_port, path.display()));
        }
        to.run(&["create", "bees@lists.example.com"]);
        let host = if socket { path.display().to_string() } else { "127.0.0.1".into() };
        let from = Installation::with_mta("incoming: null.NullMTA\nsmtp_protocol: lmtp\n");
        let text = std::fs::read_to_string(from.config()).unwrap();
        let text = text.replace("smtp_host: 127.0.0.1", &format!("smtp_host: {host}"));
        from.write(
            "postrider.cfg",
            &text.replace(&format!("smtp_port: {}", from.smtp_port), &format!("smtp_port: {}", to.lmtp_port)),
        );
        from.run(&["create", "ants@lists.example.org"]);
        from.run_with_input(
            &["addmembers", "-", "ants@lists.example.org"],
            "anne@example.org\nbees@lists.example.com\nnosuch@lists.example.com\n",
        );
        let (_to, _from) = (to.serve(), from.serve());
        let post = "From: anne@example.org\nTo: ants@lists.example.org\nSubject: for the bees\n\
                    Message-ID: <1@example.org>\n\nHello\n";
        from.deliver("anne@example.org", &["ants@lists.example.org"], post);
        let held = wait_for("the post at the other Postrider", LIMIT, || {
            let held = to.json(&["held", "--json"]);
            held.as_array()?.first().map(|post| post["subject"].as_str().unwrap().to_owned())
        });
        assert!(held.contains("for the bees"), "{held}");
        let log = wait_for("the refusals", LIMIT, || {
            Some(from.log()).filter(|log| log.matches("delivery failed: 550 5.1.1").count() == 2)
        });
        // Anne is no list either; the one who is was not held up.
        assert!(
            log.contains("recipient=nosuch@lists.example.com") && log.contains("recipient=anne@example.org"),
            "{log}"
        );
    }
}

#[test]
fn postfixs_lmtp_sink_takes_mail() {
    let Some(machine) = machine("postfixs_lmtp_sink", Layer::postfix) else { return };
    let mut sink = machine.command("smtp-sink").args(["-L", "-u", "nobody", "127.0.0.1:2400", "100"]).spawn().unwrap();
    machine.wait_for_port("127.0.0.1:2400", LIMIT).unwrap();
    let mut settings = settings(2400);
    settings.target.protocol = SmtpProtocol::Lmtp;
    let letters = vec![letter(verp(), TEXT, &people(50)), letter(EnvelopeSender::Null, TEXT, &people(250))];
    let results = deliver(&machine, settings, letters);
    assert!(results.values().all(|result| *result == DeliveryResult::Delivered), "{results:?}");
    let _ = sink.kill();
    let _ = sink.wait();
}
