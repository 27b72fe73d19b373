//! Header, footer, and copies of each member's own, from LMTP to the mail server.

use super::site::{ANTS, POST, SOON, Server, bare};
use postrider::deliver::sink::{Answer, Script, Step};
use postrider_tests::installation::{Installation, wait_for};
use std::collections::BTreeMap;

const FOOTER: &str = ".\nFor ${user_name} <$user_email>, $list_name costs 0 $$\n.\n";

/// The list ants with three members, of whom one has no name and one no ASCII.
fn ants() -> Installation {
    let installation = bare();
    installation.run(&["create", ANTS]);
    let members = "Anne <Anne@Example.org>\nbart@example.net\nZo\u{eb} \u{87fb} <zoe@example.com>\n";
    installation.run_with_input(&["addmembers", "-", ANTS], members);
    let told = installation.run_with_input(
        &["set", ANTS, "personalize=full", "header=Hello $user_delivered_to", "--file", "footer=-"],
        FOOTER,
    );
    assert_eq!(told, "personalize = full\nheader = Hello $user_delivered_to\nfooter = 3 lines\n");
    installation
}

/// The copies by their recipients, checked.
fn copies(server: &Server) -> BTreeMap<String, String> {
    let mut copies = BTreeMap::new();
    for one in server.messages() {
        let [recipient] = &one.recipients[..] else { panic!("{:?} got one copy", one.recipients) };
        let text = String::from_utf8(one.message).expect("UTF-8");
        assert!(one.parameters.starts_with(&format!("SIZE={}", text.len())), "{}: {text}", one.parameters);
        assert_eq!(copies.insert(recipient.clone(), text), None, "{recipient} has two");
    }
    copies
}

#[track_caller]
fn assert_own(copies: &BTreeMap<String, String>, address: &str, name: &str, to: &str) {
    let copy = &copies[address];
    let body = format!(
        "\r\n\r\nHello {address}\r\nHello, ants.\r\n.\r\nFor {name} <{}>, ants costs 0 $\r\n.\r\n",
        address.to_lowercase()
    );
    assert!(copy.ends_with(&body), "{copy}");
    assert!(copy.contains(&format!("\r\nTo: {to}\r\n")), "{copy}");
    assert_eq!(copy.matches("\r\nTo: ").count(), 1, "{copy}");
}

#[test]
fn each_member_gets_his_own_footer_and_to_by_data_and_by_bdat() {
    for (script, extra) in [
        (Script::default(), "smtp_chunking: no\n"),
        (Script::default().with("CHUNKING").with("XVERP"), "smtp_chunking: yes\nverp_personalized_deliveries: yes\n"),
    ] {
        let installation = ants();
        installation.configure(extra);
        let server = Server::start(&installation, script);
        let daemon = installation.serve();
        let replies = installation.deliver("anne@example.org", &[ANTS], POST);
        assert!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
        server.wait_for(3);
        let copies = copies(&server);
        assert_own(&copies, "Anne@Example.org", "Anne", "Anne <Anne@Example.org>");
        assert_own(&copies, "bart@example.net", "", "bart@example.net");
        assert_own(&copies, "zoe@example.com", "Zo\u{eb} \u{87fb}", "=?utf-8?b?Wm/DqyDon7s=?= <zoe@example.com>");
        let verp = server.messages().iter().all(|one| one.sender.starts_with("ants-bounces+"));
        assert_eq!(verp, extra.contains("verp"), "{:?}", server.messages()[0].sender);
        daemon.stop();
    }
}

#[test]
fn a_copy_can_be_looked_at_and_goes_elsewhere_as_what_it_is() {
    let installation = ants();
    let script = Script::new(|moment| match moment.step {
        Step::Rcpt if !moment.line.contains("bart@") => Answer::say("451 4.7.1 later"),
        _ => Answer::Usual,
    });
    let server = Server::start(&installation, script);
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    let out = wait_for("two who wait", SOON, || {
        let out = installation.json(&["queue", "--json"])["out"][0].clone();
        (out["deferred"] == 2).then_some(out)
    });
    assert_eq!(out["personal"], true);
    daemon.stop();
    let shown = installation.run(&["queue", "show", "out", "1"]);
    assert!(shown.contains("\npersonal: each recipient gets a copy of his own"), "{shown}");
    assert!(!shown.contains("\nTo: "), "{shown}");
    let raw = installation.run(&["queue", "show", "out", "1", "--raw", "--as", "anne@example.org"]);
    assert!(raw.contains("\r\nFor Anne <anne@example.org>, ants"), "{raw}");
    assert!(raw.contains("\r\nTo: Anne <Anne@Example.org>\r\n"), "{raw}");
    let error = installation.fails(1, &["queue", "show", "out", "1", "--as", "bart@example.net"]);
    assert!(error.contains("nobody of this address waits for out 1"), "{error}");

    for format in ["json", "mbox"] {
        let file = installation.run(&["queue", "export", "--all", "--format", format, "-o", "-"]);
        let other = bare();
        other.run(&["create", ANTS]);
        let server = Server::start(&other, Script::default());
        other.run_with_input(&["queue", "import", "-"], &file);
        let daemon = other.serve();
        other.run(&["queue", "retry"]);
        server.wait_for(2);
        let copies = copies(&server);
        assert_own(&copies, "Anne@Example.org", "Anne", "Anne <Anne@Example.org>");
        assert_own(&copies, "zoe@example.com", "Zo\u{eb} \u{87fb}", "=?utf-8?b?Wm/DqyDon7s=?= <zoe@example.com>");
        daemon.stop();
    }
    drop(server);
}

#[test]
fn a_wrong_header_or_footer_is_refused_and_changes_nothing() {
    let installation = bare();
    installation.run(&["create", ANTS]);
    let before = installation.run(&["info", ANTS]);
    for (args, told) in [
        (&["footer=$user_nam"][..], "line 1: there is no variable `$user_nam`; did you mean `$user_name`?"),
        (&["footer=5 $"], "write `$$` for a dollar"),
        (&["footer=$user_name"], "the footer has `$user_name`, which is different for each member"),
        (&["personalize=yes"], "allowed is none"),
        (&["footer=x", "--file", "header=/nonexistent"], "/nonexistent cannot be read"),
        (&["--file", "header=/dev/zero"], "/dev/zero has more than 16384 octets"),
        (&["--file", "hedaer=/nonexistent"], "did you mean `header`?"),
        (&["--file", "header"], "write KEY=FILE"),
    ] {
        let error = installation.fails(1, &[&["set", ANTS][..], args].concat());
        assert!(error.contains(told), "{args:?}: {error}");
        assert_eq!(installation.run(&["info", ANTS]), before);
    }
    installation.run(&["set", ANTS, "footer=For $user_name\nof $list_name", "personalize=individual"]);
    let error = installation.fails(1, &["set", ANTS, "personalize=none"]);
    assert!(error.contains("set personalize=individual"), "{error}");
    let info = installation.run(&["info", ANTS]);
    assert!(
        info.contains("\nfooter =\n    | For $user_name\n    | of $list_name\npersonalize = individual\n"),
        "{info}"
    );
}
