//! SIGTERM ends the daemon in order, SIGHUP makes it read its configuration again.

use postrider_tests::installation::{free_port, wait_for};
use rustix::process::Signal;
use std::fs;
use std::net::TcpStream;

use super::site::{ANTS, MEMBERS, POST, SOON, Server, ants, post, wait_for_log, wait_until_queues_are_empty};
use postrider::deliver::sink::Script;
use postrider_tests::mta_box::Catcher;

#[test]
fn sigterm_lets_a_message_in_transfer_finish_and_keeps_it() {
    let installation = ants();
    let daemon = installation.serve();
    let mut idle = installation.lmtp();
    let mut lmtp = installation.lmtp();
    lmtp.expect("MAIL FROM:<anne@example.org>", "250");
    lmtp.expect(&format!("RCPT TO:<{ANTS}>"), "250");
    lmtp.expect("DATA", "354");
    lmtp.write(b"From: anne@example.org\r\nMessage-ID: <late@example.org>\r\n\r\nHalf");
    daemon.signal(Signal::TERM);
    wait_for_log(&installation, "stopping");
    assert!(idle.reply().starts_with("421 4.3.2"), "idle sessions are told");
    wait_for("closed LMTP port", SOON, || {
        TcpStream::connect(("127.0.0.1", installation.lmtp_port)).is_err().then_some(())
    });
    lmtp.write(b" and half.\r\n.\r\n");
    let reply = lmtp.reply();
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    assert!(lmtp.reply().starts_with("421 4.3.2"));
    daemon.stop();
    assert!(installation.log().contains("stopped"), "{}", installation.log());

    let server = Server::start(&installation, Script::default());
    let daemon = installation.serve();
    server.wait_for(MEMBERS.len());
    assert!(String::from_utf8_lossy(&server.messages()[0].message).contains("Half and half."));
    wait_until_queues_are_empty(&installation);
    assert_eq!(server.recipients(), MEMBERS);
    daemon.stop();
}

#[test]
fn sigterm_with_mail_in_every_queue_loses_and_doubles_nothing() {
    let installation = ants();
    let sink = Catcher::smtp_at(&format!("127.0.0.1:{}", installation.smtp_port)).expect("sink");
    let mut daemon = installation.serve();
    for number in 0..30 {
        let replies = installation.deliver("anne@example.org", &[ANTS], &post(number));
        assert!(replies[0].starts_with("250"), "{replies:?}");
        if number % 10 == 5 {
            daemon.stop();
            daemon = installation.serve();
        }
    }
    sink.wait_until_recipients(30 * MEMBERS.len(), SOON);
    wait_until_queues_are_empty(&installation);
    let recipients: usize = sink.caught().iter().map(|message| message.recipients.len()).sum();
    assert_eq!(recipients, 30 * MEMBERS.len());
    daemon.stop();
}

#[test]
fn sighup_takes_over_what_it_can_and_names_what_needs_a_restart() {
    let installation = ants();
    let daemon = installation.serve();
    let old = fs::read_to_string(installation.config()).expect("configuration");
    let (smtp, lmtp) = (free_port(), free_port());
    let new = old
        .replace(&format!("smtp_port: {}", installation.smtp_port), &format!("smtp_port: {smtp}"))
        .replace(&format!("lmtp_port: {}", installation.lmtp_port), &format!("lmtp_port: {lmtp}"));
    installation.write("postrider.cfg", &new);
    daemon.signal(Signal::HUP);
    let line = wait_for_log(&installation, "[mta] lmtp_port has changed");
    assert!(line.contains("restart the daemon") && line.contains("WARN"), "{line}");
    let line = wait_for_log(&installation, "configuration read again");
    assert!(line.contains("[mta] smtp_port") && !line.contains("lmtp_port"), "{line}");

    // Mail goes where the new file says; it still comes in at the old place.
    let sink = Catcher::smtp_at(&format!("127.0.0.1:{smtp}")).expect("sink");
    installation.deliver("anne@example.org", &[ANTS], POST);
    sink.wait_until_recipients(MEMBERS.len(), SOON);
    assert!(TcpStream::connect(("127.0.0.1", lmtp)).is_err());
    daemon.stop();
}

#[test]
fn sighup_with_a_wrong_file_keeps_the_old_configuration() {
    let installation = ants();
    let server = Server::start(&installation, Script::default());
    let daemon = installation.serve();
    let old = fs::read_to_string(installation.config()).expect("configuration");
    installation.write("postrider.cfg", &old.replace("smtp_port: ", "smtp_port: 7"));
    daemon.signal(Signal::HUP);
    let line = wait_for_log(&installation, "the old one stays");
    assert!(line.contains("ERROR") && line.contains("smtp_port") && line.contains("postrider.cfg:"), "{line}");
    installation.deliver("anne@example.org", &[ANTS], POST);
    server.wait_for(MEMBERS.len());
    // A file that has gone is no better.
    fs::remove_file(installation.config()).expect("remove");
    daemon.signal(Signal::HUP);
    wait_for_log(&installation, "cannot be read");
    installation.write("postrider.cfg", &old);
    daemon.signal(Signal::HUP);
    wait_for_log(&installation, "configuration read again; changed: nothing");
    daemon.stop();
}

#[test]
fn limits_of_lmtp_take_effect_when_the_log_says_that_they_do() {
    let installation = ants();
    let daemon = installation.serve();
    installation.configure("[lmtp]\nmax_message_size: 100K\n");
    daemon.signal(Signal::HUP);
    let line = wait_for_log(&installation, "[lmtp] max_message_size");
    let refused = installation.lmtp().send("MAIL FROM:<anne@example.org> SIZE=200000");
    if line.contains("restart the daemon") {
        assert!(refused.starts_with("250"), "{refused}");
    } else {
        assert!(refused.starts_with("552 5.3.4"), "{line}\n{refused}");
    }
    daemon.stop();
}

/// A resolver that does not answer: it leaves a mark when it is asked.
const SILENT_RESOLVER: &str = r#"
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    (void)node; (void)service; (void)hints; (void)found;
    close(creat(getenv("TEST_RESOLVER_ASKED"), 0600));
    sleep(600);
    return EAI_AGAIN;
}
"#;

#[test]
fn a_name_that_is_looked_up_for_ever_does_not_keep_a_stopped_daemon() {
    let mut installation = ants();
    let [source, library, mark] = ["resolver.c", "resolver.so", "asked"].map(|name| installation.path().join(name));
    fs::write(&source, SILENT_RESOLVER).expect("source");
    let compiled = std::process::Command::new("cc").args(["-fPIC", "-shared", "-o"]).args([&library, &source]).status();
    assert!(compiled.expect("cc; run tests/setup").success());
    let config = fs::read_to_string(installation.config()).expect("configuration");
    let config = config.replace("smtp_host: 127.0.0.1", "smtp_host: mail.example.invalid");
    fs::write(installation.config(), config).expect("configuration");
    installation.run_with_input(&["inject", ANTS], POST);
    installation.environment("LD_PRELOAD", library);
    installation.environment("TEST_RESOLVER_ASKED", &mark);
    let mut daemon = installation.serve();
    wait_for("a look-up", SOON, || mark.exists().then_some(()));
    daemon.signal(Signal::TERM);
    let status = wait_for("its end", SOON, || daemon.ended());
    assert!(status.success(), "{status}");
}
