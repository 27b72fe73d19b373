//! What the Postfix plugin writes, asked of the real Postfix: tables of every type, and the lines
//! for `main.cf` as the plugin tells them to the administrator.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the right answer")]

mod chroot;
mod instances;
mod mailboxes;
mod names;
mod neighbours;
mod other_host;
mod site;

use postrider_plugin_api::sdk::{LmtpAddress, Severity};
use postrider_tests::mta_box::{Catcher, Layer, MtaBox, Postfix, SmtpSession};
use postrider_tests::require::{self, MTA_BOX};
use site::ListServer;
use std::{
    thread,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(40);
const MESSAGE: &str = "From: someone@remote.example\nSubject: hello\n\nHello.\n";

/// Accepted, and then given to the list server with exactly this recipient (or the second one).
const KNOWN: &[(&str, &str)] = &[
    ("ants@lists.example.com", "ants@lists.example.com"),
    ("ants-request@lists.example.com", "ants-request@lists.example.com"),
    ("ANTS-Owner@LISTS.example.com", "ANTS-Owner@LISTS.example.com"),
    ("ants-bounces+user=remote.example@lists.example.com", "ants-bounces+user=remote.example@lists.example.com"),
    ("ants-confirm+0123abcd@lists.example.com", "ants-confirm+0123abcd@lists.example.com"),
    ("foo-request@lists.example.com", "foo-request@lists.example.com"),
    ("foo-request-owner@lists.example.com", "foo-request-owner@lists.example.com"),
    ("x.y-z_0@lists.example.com", "x.y-z_0@lists.example.com"),
    ("staff@real.example", "staff@virt.example"),
    ("staff-leave@real.example", "staff-leave@virt.example"),
    ("staff-bounces+user=remote.example@real.example", "staff-bounces+user=remote.example@virt.example"),
    ("staff-bounces@real.example", "staff-bounces@virt.example"),
];

const UNKNOWN: &[&str] = &[
    "nosuch@lists.example.com",
    "nosuch-bounces+a=b@lists.example.com",
    "ants-nosuch@lists.example.com",
    "foo-request-nosuch@lists.example.com",
    "xay-z_0@lists.example.com",
    "staff@lists.example.com",
    "ants@real.example",
    "nosuch@virt.example",
];

/// A box with a running Postfix that has the lists and is hooked up as the plugin says.
fn hooked_up<'b>(machine: &'b MtaBox, table_type: &str, lmtp: LmtpAddress) -> (ListServer<'b>, Postfix<'b>) {
    let postfix = Postfix::start(machine, "").unwrap();
    let mut server = ListServer::new(machine, table_type, lmtp);
    for list in ["ants", "foo", "foo-request", "x.y-z_0"] {
        server.roster.add(&format!("{list}@lists.example.com"));
    }
    server.roster.add_domain("real.example", "virt.example");
    server.roster.add("staff@real.example");
    server.write_tables();
    server.hook_up();
    accepted(machine, "ants@lists.example.com").unwrap();
    (server, postfix)
}

fn stranger(machine: &MtaBox) -> SmtpSession {
    let mut session = SmtpSession::connect(machine, "127.0.0.2", "127.0.0.1:25").unwrap();
    session.mail("someone@remote.example").unwrap().expect(250);
    session
}

fn rcpt(machine: &MtaBox, address: &str) -> u16 {
    stranger(machine).rcpt(address).unwrap().code
}

/// Waits until a new connection accepts the address.
fn accepted(machine: &MtaBox, address: &str) -> Result<(), String> {
    answered(machine, "127.0.0.1:25", address, 250)
}

/// Waits until a new connection to this server gets this answer to the address.
fn answered(machine: &MtaBox, server: &str, address: &str, expected: u16) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        // Postfix that is just reloading may close the connection.
        let code = SmtpSession::connect(machine, "127.0.0.2", server)
            .and_then(|mut session| session.mail("someone@remote.example").and_then(|_| session.rcpt(address)))
            .map_or(0, |reply| reply.code);
        if code == expected {
            return Ok(());
        }
        if begin.elapsed() > LIMIT {
            return Err(format!("{address} still gets {code} after {LIMIT:?}"));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn tcp(host: &str) -> LmtpAddress {
    LmtpAddress::tcp(host, 8024)
}

fn knows_lists_and_nothing_else(table_type: &str) {
    if !require::all(&format!("knows_lists_and_nothing_else ({table_type})"), MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    let lists = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    let (server, postfix) = hooked_up(&machine, table_type, tcp("localhost"));

    // Known and unknown in one session, of somebody whom Postfix does not trust.
    let mut session = stranger(&machine);
    for unknown in UNKNOWN {
        let reply = session.rcpt(unknown).unwrap();
        assert_eq!(reply.code, 550, "{table_type}: {unknown}: {}\n{}", reply.text, postfix.log_tail());
    }
    for (known, _) in KNOWN {
        let reply = session.rcpt(known).unwrap();
        assert_eq!(reply.code, 250, "{table_type}: {known}: {}\n{}", reply.text, postfix.log_tail());
    }
    assert_eq!(session.rcpt("somebody@elsewhere.example").unwrap().code, 454);
    session.data(MESSAGE).unwrap().expect(250);
    for (known, delivered) in KNOWN {
        let caught = lists.wait_for(delivered, LIMIT);
        assert_eq!(caught.sender, "someone@remote.example", "{known}");
    }
    let delivered: usize = lists.caught().iter().map(|message| message.recipients.len()).sum();
    assert_eq!(delivered, KNOWN.len(), "each once: {:?}", lists.caught());

    assert_no_problems(&server);
    let log = postfix.log();
    let complaints = log.lines().filter(|line| line.contains("warning:") || line.contains("fatal:"));
    // A reload may interrupt those that talk to one another; they try again.
    let complaints: Vec<_> = complaints.filter(|line| !line.contains("problem talking to")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn hash_tables_know_lists_and_nothing_else() {
    knows_lists_and_nothing_else("hash");
}

#[test]
fn lmdb_tables_know_lists_and_nothing_else() {
    knows_lists_and_nothing_else("lmdb");
}

#[test]
fn regexp_tables_know_lists_and_nothing_else() {
    knows_lists_and_nothing_else("regexp");
}

#[test]
fn sqlite_tables_know_lists_and_nothing_else() {
    knows_lists_and_nothing_else("sqlite");
}

#[test]
fn texthash_tables_know_lists_and_nothing_else() {
    knows_lists_and_nothing_else("texthash");
}

/// A Postfix that has relay domains, transports, aliases and mailboxes goes on as it was, and knows
/// the lists besides; one of them in a domain with mailboxes.
#[test]
fn what_the_site_had_goes_on_working() {
    if !require::all("what_the_site_had_goes_on_working", MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    let lists = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    let (world, backup) =
        (Catcher::smtp(&machine, "127.0.0.1:2599").unwrap(), Catcher::smtp(&machine, "127.0.0.1:2600").unwrap());
    for user in ["anna", "ben"] {
        machine.add_user(user);
    }
    let main_cf = "mydestination = $myhostname, localhost, shared.example\n\
                   relay_domains = backup.example\n\
                   transport_maps = hash:/etc/postfix/transport\n\
                   virtual_alias_domains = virtual.example\n\
                   virtual_alias_maps = hash:/etc/postfix/virtual\n";
    let postfix = Postfix::configure(&machine, main_cf).unwrap();
    machine.write("/etc/postfix/transport", "backup.example smtp:[127.0.0.1]:2600\nmta.example.com local:\nshared.example local:\n* smtp:[127.0.0.1]:2599\n").unwrap();
    machine.write("/etc/postfix/virtual", "hello@virtual.example anna\n").unwrap();
    machine.shell("postmap hash:/etc/postfix/transport hash:/etc/postfix/virtual");
    postfix.launch().unwrap();
    let mut server = ListServer::new(&machine, "hash", tcp("127.0.0.1"));
    server.roster.add("ants@lists.example.com");
    server.roster.add_domain("shared.example", "lists.shared.example");
    server.roster.add("staff@shared.example");
    server.write_tables();
    let before = machine.run(&["postconf", "-n"]);
    let way_back = server.hook_up();
    accepted(&machine, "ants@lists.example.com").unwrap();

    let mut session = stranger(&machine);
    for unknown in
        ["nosuch@lists.example.com", "nosuch@shared.example", "staff-no@shared.example", "no@virtual.example"]
    {
        assert_eq!(session.rcpt(unknown).unwrap().code, 550, "{unknown}\n{}", postfix.log_tail());
    }
    for known in [
        "ants@lists.example.com",
        "staff@shared.example",
        "staff-bounces+a=b@shared.example",
        "ben@shared.example",
        "hello@virtual.example",
        "anyone@backup.example",
    ] {
        assert_eq!(session.rcpt(known).unwrap().code, 250, "{known}\n{}", postfix.log_tail());
    }
    session.data(MESSAGE).unwrap().expect(250);
    for list in ["ants@lists.example.com", "staff@lists.shared.example", "staff-bounces+a=b@lists.shared.example"] {
        lists.wait_for(list, LIMIT);
    }
    backup.wait_for("anyone@backup.example", LIMIT);
    postfix.wait_for_log("to=<ben@shared.example>, relay=local", LIMIT);
    postfix.wait_for_log("to=<anna@mta.example.com>, orig_to=<hello@virtual.example>, relay=local", LIMIT);

    let mut trusted = SmtpSession::connect(&machine, "127.0.0.1", "127.0.0.1:25").unwrap();
    trusted.send("anna@mta.example.com", &["friend@elsewhere.example"], MESSAGE).unwrap();
    world.wait_for("friend@elsewhere.example", LIMIT);
    assert_no_problems(&server);

    way_back.go();
    assert_eq!(machine.run(&["postconf", "-n"]), before);
    answered(&machine, "127.0.0.1:25", "ants@lists.example.com", 454).unwrap();
    assert_eq!(rcpt(&machine, "ben@shared.example"), 250);
}

fn assert_no_problems(server: &ListServer<'_>) {
    let problems: Vec<_> = server.check().into_iter().filter(|finding| finding.severity > Severity::Info).collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

/// As Mailman's manual has it: routing and acceptance by address, from `postfix_lmtp`.
#[test]
fn a_main_cf_from_mailmans_manual_works_and_a_new_list_is_never_stale() {
    if !require::all("a_main_cf_from_mailmans_manual_works_and_a_new_list_is_never_stale", MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    let lists = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    let postfix = Postfix::start(&machine, "").unwrap();
    let mut server = ListServer::new(&machine, "hash", tcp("127.0.0.1"));
    server.roster.add("ants@lists.example.com");
    server.write_tables();
    let table = |name: &str| format!("hash:{}/{name}", server.site.table_dir);
    postfix.set("recipient_delimiter", "+");
    postfix.set("transport_maps", &table("postfix_lmtp"));
    postfix.set("local_recipient_maps", &table("postfix_lmtp"));
    postfix.set("relay_domains", &table("postfix_domains"));
    postfix.reload();
    accepted(&machine, "ants@lists.example.com").unwrap();
    stranger(&machine).send_one("ants@lists.example.com", MESSAGE);
    lists.wait_for("ants@lists.example.com", LIMIT);

    server.roster.add("bees@lists.example.com");
    server.publish(true);
    accepted(&machine, "bees@lists.example.com").unwrap();
    stranger(&machine).send_one("bees@lists.example.com", MESSAGE);
    lists.wait_for("bees@lists.example.com", LIMIT);
    assert!(!postfix.log().contains("=deferred"), "{}", postfix.log_tail());
    // Known weakness of that set-up, and what the check says about it.
    assert_eq!(rcpt(&machine, "nosuch@lists.example.com"), 250);
    let told = server
        .check()
        .into_iter()
        .any(|finding| finding.severity == Severity::Error && finding.subject == "relay_recipient_maps");
    assert!(told);
}

/// No name can match more than itself.
#[test]
fn expressions_match_only_what_they_are_made_from() {
    if !require::all("expressions_match_only_what_they_are_made_from", MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    let _postfix = Postfix::configure(&machine, "").unwrap();
    let mut server = ListServer::new(&machine, "regexp", tcp("127.0.0.1"));
    let names = ["a.b", "c++", "d|e", "(f)", "[g]", "h*", "i?", "j{2}", "k$", "^l", "m/n", "$1", "${1}", "o=p", "!q"];
    for name in names {
        server.roster.add(&format!("{name}@e-x.example.com"));
    }
    server.write_tables();
    let table = format!("regexp:{}/postfix_recipients", server.site.table_dir);
    let lookup = |address: &str| {
        let output = machine.output(&["postmap", "-q", address, &table]).unwrap();
        assert!(output.stderr.is_empty(), "{address}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    for name in names {
        assert_eq!(lookup(&format!("{name}@e-x.example.com")), format!("{name}.e-x.example.com"));
        assert_eq!(lookup(&format!("{name}-owner@e-x.example.com")), format!("{name}.e-x.example.com"));
        assert_eq!(lookup(&format!("{name}-bounces+x@e-x.example.com")), format!("{name}.e-x.example.com"));
    }
    for other in ["axb", "c", "ccc", "d", "e", "f", "g", "hh", "", "jj", "k", "l", "m", "1", "q", "aa.b", "a.bb"] {
        assert_eq!(lookup(&format!("{other}@e-x.example.com")), "", "{other}");
    }
    assert_eq!(lookup("a.b@e-xxexample.com"), "");
    assert_eq!(lookup("a.b@e-x.example.com.org"), "");
}

#[test]
fn the_list_server_is_reached_by_ipv6() {
    if !require::all("the_list_server_is_reached_by_ipv6", MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    let lists = Catcher::lmtp(&machine, "[::1]:8024").unwrap();
    let (_server, postfix) = hooked_up(&machine, "hash", tcp("::1"));
    let mut session = stranger(&machine);
    session.send_one("ants@lists.example.com", MESSAGE);
    postfix.wait_for_log("to=<ants@lists.example.com>", LIMIT);
    assert_eq!(lists.caught().len(), 1, "{}", postfix.log_tail());
}

#[test]
fn the_list_server_is_reached_by_a_unix_socket() {
    if !require::all("the_list_server_is_reached_by_a_unix_socket", MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    let socket = machine.shared().join("lmtp");
    let lists = Catcher::lmtp_unix(&socket).unwrap();
    let (_server, _postfix) = hooked_up(&machine, "regexp", LmtpAddress::Unix(socket.to_str().unwrap().into()));
    stranger(&machine).send_one("ants-bounces+a=b@lists.example.com", MESSAGE);
    lists.wait_for("ants-bounces+a=b@lists.example.com", LIMIT);
}

/// After `MAIL`.
trait SendOne {
    fn send_one(&mut self, recipient: &str, message: &str);
}

impl SendOne for SmtpSession {
    fn send_one(&mut self, recipient: &str, message: &str) {
        self.rcpt(recipient).unwrap().expect(250);
        self.data(message).unwrap().expect(250);
    }
}
