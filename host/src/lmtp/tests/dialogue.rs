//! The sentences of RFC 2033, 5321 and their extensions, one a test.

use crate::lists::{EmailAddress, Subaddress};
use crate::lmtp::POSTMASTER_LIST;
use crate::lmtp::client::Client;
use crate::lmtp::fakes::settings;
use crate::lmtp::running::start;

#[test]
fn lhlo_announces_what_we_can() {
    let server = start(settings());
    let mut client = Client::tcp(server.address);
    assert_eq!(client.reply(), "220 lists.example LMTP Postrider");
    assert_eq!(
        client.ask("LHLO mta.example"),
        "250-lists.example\n250-PIPELINING\n250-ENHANCEDSTATUSCODES\n250-SIZE 33554432\n250-8BITMIME\n250 SMTPUTF8"
    );
    assert!(client.ask("QUIT").starts_with("221 2.0.0"));
    assert!(client.rest().is_empty(), "closed");
}

#[test]
fn helo_and_ehlo_are_not_lmtp() {
    let server = start(settings());
    let mut client = Client::tcp(server.address);
    client.reply();
    assert!(client.ask("HELO mta.example").starts_with("500 5.5.1"));
    assert!(client.ask("EHLO mta.example").starts_with("500 5.5.1"));
    assert!(client.ask("MAIL FROM:<>").starts_with("503 5.5.1"), "LHLO is still wanted");
}

#[test]
fn a_message_gets_one_reply_a_recipient_in_order() {
    let server = start(settings());
    let mut client = server.client();
    assert!(client.ask("MAIL FROM:<Anne@Example.com> BODY=8BITMIME SIZE=30").starts_with("250 2.1.0"));
    assert!(client.ask("RCPT TO:<ants@lists.example>").starts_with("250 2.1.5"));
    assert!(client.ask("RCPT TO:<bees-owner@virt.example>").starts_with("250 2.1.5"));
    assert!(client.ask("DATA").starts_with("354 "));
    client.send("Subject: x\r\n\r\n..dot\r\n.\r\nNOOP\r\n");
    let (first, second) = (client.reply(), client.reply());
    assert!(first.starts_with("250 2.0.0 Accepted as "), "{first}");
    assert_eq!(first, second);
    assert_eq!(client.reply(), "250 2.0.0 OK", "exactly two replies, then that of NOOP");
    let kept = server.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].sender.as_ref().map(EmailAddress::as_str), Some("Anne@Example.com"));
    assert_eq!(kept[0].to(), ["ants@lists.example", "bees-owner@virt.example"]);
    assert_eq!(kept[0].recipients[1].function, Subaddress::Owner);
    assert_eq!(kept[0].recipients[1].list, 2);
    assert_eq!(kept[0].content(), b"Subject: x\r\n\r\n.dot\r\n");
    let trace = String::from_utf8(kept[0].message.clone()).expect("ASCII");
    let id = first.strip_prefix("250 2.0.0 Accepted as ").expect("id");
    assert!(
        trace.starts_with(&format!(
            "Received: from client.example ([127.0.0.1])\r\n\tby lists.example (Postrider) with LMTP id {id};\r\n\t"
        )),
        "{trace}"
    );
}

#[test]
fn a_connection_serves_one_message_after_the_other() {
    let server = start(settings());
    let mut client = server.client();
    for _ in 0..3 {
        client.send("MAIL FROM:<>\r\nRCPT TO:<ants@lists.example>\r\nDATA\r\n");
        assert!(client.reply().starts_with("250 "));
        assert!(client.reply().starts_with("250 "));
        assert!(client.reply().starts_with("354 "));
        client.send("x\r\n.\r\n");
        assert!(client.reply().starts_with("250 "));
    }
    assert_eq!(server.kept().len(), 3);
    assert_eq!(server.kept()[2].sender, None);
}

#[test]
fn unknown_list_domain_and_subaddress_are_refused_at_rcpt_by_name() {
    let server = start(settings());
    let mut client = server.client();
    client.ask("MAIL FROM:<a@b.example>");
    for unknown in ["none@lists.example", "ants@other.example", "ants-none@lists.example", "postmaster@other.example"] {
        let reply = client.ask(&format!("RCPT TO:<{unknown}>"));
        assert!(reply.starts_with("550 5.1.1 ") && reply.contains(&format!("<{unknown}>")), "{reply}");
        assert!(client.ask("RCPT TO:<ants@lists.example>").starts_with("250 2.1.5"), "the same session goes on");
    }
}

#[test]
fn every_spelling_of_an_address_is_accepted() {
    let server = start(settings());
    let mut client = server.client();
    client.ask("MAIL FROM:<a@b.example>");
    for known in [
        "ANTS@Lists.Example",
        "\"ants\"@lists.example",
        "@relay.example,@[192.0.2.1]:ants@lists.example",
        "ants+x@lists.example",
        "ants@virt.example",
        "ants-bounces+anne=example.com@lists.example",
        &format!("ants-bounces+{}=department.university.example@lists.example", "x".repeat(60)),
    ] {
        let reply = client.ask(&format!("RCPT TO:<{known}>"));
        assert!(reply.starts_with("250 2.1.5"), "{known}: {reply}");
    }
}

#[test]
fn malformed_addresses_are_553() {
    let server = start(settings());
    let mut client = server.client();
    assert!(client.ask("MAIL FROM:<a@b@c>").starts_with("553 5.1.7"));
    assert!(client.ask("MAIL FROM:a@b").starts_with("553 5.1.7"));
    client.ask("MAIL FROM:<a@b.example>");
    for bad in ["<a@b@lists.example>", "<ants@lists.example.>", "<>", "<ants>", "ants@lists.example", "<a b@c>"] {
        let reply = client.ask(&format!("RCPT TO:{bad}"));
        assert!(reply.starts_with("553 5.1.3"), "{bad}: {reply}");
    }
}

#[test]
fn the_same_recipient_is_queued_once_and_answered_each_time() {
    let server = start(settings());
    let mut client = server.client();
    client.ask("MAIL FROM:<a@b.example>");
    for same in ["ants@lists.example", "ANTS@lists.example", "ants+x@lists.example", "ants@virt.example"] {
        assert!(client.ask(&format!("RCPT TO:<{same}>")).starts_with("250 2.1.5"));
    }
    for different in ["ants-bounces+a=b@lists.example", "ants-bounces+c=d@lists.example"] {
        assert!(client.ask(&format!("RCPT TO:<{different}>")).starts_with("250 2.1.5"));
    }
    client.ask("DATA");
    client.send(".\r\nNOOP\r\n");
    for _ in 0..6 {
        assert!(client.reply().starts_with("250 2.0.0 Accepted"));
    }
    assert_eq!(client.reply(), "250 2.0.0 OK");
    assert_eq!(
        server.kept()[0].to(),
        ["ants@lists.example", "ants-bounces+a=b@lists.example", "ants-bounces+c=d@lists.example"]
    );
    assert_eq!(server.kept()[0].recipients[1].detail.as_deref(), Some("a=b"));
}

#[test]
fn the_postmaster_of_every_domain_of_ours_is_the_site_owner() {
    let server = start(settings());
    let mut client = server.client();
    client.ask("MAIL FROM:<>");
    for postmaster in ["PostMaster", "postmaster@lists.example", "Postmaster@VIRT.example"] {
        assert!(client.ask(&format!("RCPT TO:<{postmaster}>")).starts_with("250 2.1.5"));
    }
    client.ask("DATA");
    client.send("x\r\n.\r\n");
    for _ in 0..3 {
        assert!(client.reply().starts_with("250 "));
    }
    let kept = server.kept();
    assert_eq!(kept[0].to(), ["root@site.example"], "once");
    let recipient = &kept[0].recipients[0];
    assert_eq!((recipient.list, recipient.list_address.as_str()), (POSTMASTER_LIST, ""));
    assert_eq!(recipient.function, Subaddress::Owner);
}

#[test]
fn a_store_that_fails_is_a_temporary_failure() {
    let server = start(settings());
    let mut client = server.client();
    client.ask("MAIL FROM:<>");
    assert!(client.ask("RCPT TO:<ill@lists.example>").starts_with("451 4.3.0"));
    assert!(client.ask("RCPT TO:<ants@lists.example>").starts_with("250 "));
}

#[test]
fn commands_out_of_order_are_503() {
    let server = start(settings());
    let mut client = Client::tcp(server.address);
    client.reply();
    assert!(client.ask("MAIL FROM:<>").starts_with("503 5.5.1"));
    assert!(client.ask("LHLO x").starts_with("250-"));
    assert!(client.ask("RCPT TO:<ants@lists.example>").starts_with("503 5.5.1"));
    assert!(client.ask("DATA").starts_with("503 5.5.1"));
    assert!(client.ask("MAIL FROM:<>").starts_with("250 "));
    assert!(client.ask("MAIL FROM:<>").starts_with("503 5.5.1"), "nested");
    assert!(client.ask("DATA").starts_with("503 5.5.1"), "without RCPT");
    assert!(client.ask("RCPT TO:<none@lists.example>").starts_with("550 "));
    assert!(client.ask("DATA").starts_with("503 5.5.1"), "without a valid RCPT");
    assert!(client.ask("RCPT TO:<ants@lists.example>").starts_with("250 "), "the transaction is still good");
    assert!(client.ask("DATA").starts_with("354 "));
}

#[test]
fn rset_and_lhlo_forget_the_transaction() {
    let server = start(settings());
    let mut client = server.client();
    for forget in ["RSET", "LHLO again.example"] {
        client.ask("MAIL FROM:<>");
        client.ask("RCPT TO:<ants@lists.example>");
        assert!(client.ask(forget).starts_with("250"));
        assert!(client.ask("DATA").starts_with("503 5.5.1"));
        assert!(client.ask("RCPT TO:<ants@lists.example>").starts_with("503 5.5.1"));
    }
}

#[test]
fn small_commands_are_answered_as_the_standard_says() {
    let server = start(settings());
    let mut client = server.client();
    for (command, reply) in [
        ("noop", "250 2.0.0"),
        ("NOOP text", "250 2.0.0"),
        ("VRFY anne", "252 2.0.0"),
        ("EXPN ants", "502 5.5.1"),
        ("HELP", "214 2.0.0"),
        ("RSET x", "501 5.5.4"),
        ("DATA x", "501 5.5.4"),
        ("QUIT x", "501 5.5.4"),
        ("LHLO", "501 5.5.4"),
        ("MAIL FROM", "501 5.5.4"),
        ("MAIL FROM:<a@b.example> SIZE=x", "501 5.5.4"),
        ("MAIL FROM:<a@b.example> BODY=BINARYMIME", "501 5.5.4"),
        ("MAIL FROM:<a@b.example> RET=FULL", "555 5.5.4"),
        ("MAIL FROM:<a@b.example> AUTH=<>", "555 5.5.4"),
    ] {
        let found = client.ask(command);
        assert!(found.starts_with(reply), "{command}: {found}");
    }
    client.ask("MAIL FROM:<>");
    assert!(client.ask("RCPT TO:<ants@lists.example> NOTIFY=NEVER").starts_with("555 5.5.4"));
}

#[test]
fn non_ascii_addresses_need_smtputf8() {
    let server = start(settings());
    let mut client = server.client();
    assert!(client.ask("MAIL FROM:<grüße@bücher.example>").starts_with("553 5.6.7"));
    assert!(client.ask("MAIL FROM:<a@b.example>").starts_with("250 "));
    assert!(client.ask("RCPT TO:<ants+ü@lists.example>").starts_with("553 5.6.7"));
    client.ask("RSET");
    assert!(client.ask("MAIL FROM:<grüße@bücher.example> SMTPUTF8").starts_with("250 "));
    assert!(client.ask("RCPT TO:<ants-bounces+ü=x@lists.example>").starts_with("250 "));
    let reply = client.ask("RCPT TO:<nichts-für@lists.example>");
    assert!(reply.starts_with("550 5.1.1") && reply.is_ascii(), "{reply}");
    client.send(b"RCPT TO:<ants+\xfc@lists.example>\r\n");
    assert!(client.reply().starts_with("553 5.1.3"), "Latin-1 is not UTF-8");
    client.ask("DATA");
    client.send("x\r\n.\r\n");
    assert!(client.reply().starts_with("250 "));
    assert_eq!(server.kept()[0].to(), ["ants-bounces+ü=x@lists.example"]);
    assert!(String::from_utf8_lossy(&server.kept()[0].message).contains("with UTF8LMTP id"));
}

#[test]
fn bare_cr_lf_and_nul_in_a_command_are_refused_whole() {
    for bad in ["MAIL FROM:<a\rb@c>", "NOOP\nQUIT", "NOOP\n\n", "RCPT TO:<ants@lists.example\0>", "NOOP\r", "\nQUIT\n"]
    {
        let server = start(settings());
        let mut client = server.client();
        let reply = client.ask(bad);
        assert!(reply.starts_with("500 5.5.2"), "{bad:?}: {reply}");
        assert!(client.ask("NOOP").starts_with("250 "), "one reply only, and still open");
    }
}

#[test]
fn an_over_long_command_is_refused_whole() {
    let server = start(settings());
    let mut client = server.client();
    for length in [4095, 5000, 200_000] {
        assert!(client.ask(&"x".repeat(length)).starts_with("500 5.5.2"));
        assert!(client.ask("NOOP").starts_with("250 "));
    }
    assert!(client.ask(&format!("NOOP {}", "x".repeat(4000))).starts_with("250 "));
}

#[test]
fn pipelined_commands_are_answered_in_order_across_messages() {
    let server = start(settings());
    let mut client = Client::tcp(server.address);
    // All of a session in one write, the next MAIL behind the dot included (RFC 2920, section 3.1).
    client.send(concat!(
        "LHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<none@lists.example>\r\nRCPT TO:<ants@lists.example>\r\nDATA\r\n",
        "one\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<bees@lists.example>\r\nDATA\r\ntwo\r\n.\r\nQUIT\r\n"
    ));
    let codes: Vec<String> = client.rest().iter().map(|line| line[..4].to_owned()).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).filter(|code| *code != "250-").collect();
    assert_eq!(codes, ["220 ", "250 ", "250 ", "550 ", "250 ", "354 ", "250 ", "250 ", "250 ", "354 ", "250 ", "221 "]);
    let kept = server.kept();
    assert_eq!((kept[0].content(), kept[1].content()), (&b"one\r\n"[..], &b"two\r\n"[..]));
}

#[test]
fn a_command_may_arrive_octet_by_octet() {
    let server = start(settings());
    let mut client = server.client();
    for octet in b"MAIL FROM:<>\r\nRCPT TO:<ants@lists.example>\r\nDATA\r\n..\r\n.\r\nQUIT\r\n" {
        client.send([*octet]);
    }
    let codes: Vec<String> = client.rest().iter().map(|line| line[..3].to_owned()).collect();
    assert_eq!(codes, ["250", "250", "354", "250", "221"]);
    assert_eq!(server.kept()[0].content(), b".\r\n");
}
