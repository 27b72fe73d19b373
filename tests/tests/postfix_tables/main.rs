//! What the Postfix plugin writes, asked of the real Postfix: tables of every type, and the lines
//! for `main.cf` as the plugin tells them to the administrator.

mod site;

use postrider_plugin_api::sdk::{LmtpAddress, Severity};
use postrider_tests::mta_box::{Catcher, Layer, MtaBox, Postfix, SmtpSession};
use postrider_tests::require::{self, MTA_BOX};
use site::ListServer;
use std::{
    sync::atomic::{AtomicBool, Ordering},
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
    server.hook_up(&postfix);
    accepted(machine, "ants@lists.example.com", LIMIT).unwrap();
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

/// Waits until a new connection accepts the address; the time that it took.
fn accepted(machine: &MtaBox, address: &str, limit: Duration) -> Result<Duration, String> {
    let begin = Instant::now();
    loop {
        // Postfix that is just reloading may close the connection.
        let code = SmtpSession::connect(machine, "127.0.0.2", "127.0.0.1:25")
            .and_then(|mut session| session.mail("someone@remote.example").and_then(|_| session.rcpt(address)))
            .map_or(0, |reply| reply.code);
        if code == 250 {
            return Ok(begin.elapsed());
        }
        if begin.elapsed() > limit {
            return Err(format!("{address} still gets {code} after {limit:?}"));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn tcp(host: &str) -> LmtpAddress {
    LmtpAddress::Tcp { host: host.into(), port: 8024 }
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

    let problems: Vec<_> = server.check().into_iter().filter(|finding| finding.severity > Severity::Info).collect();
    assert!(problems.is_empty(), "{problems:?}");
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

/// A new list and a new domain while Postfix runs: accepted, delivered, nothing deferred, and a list
/// that is removed is refused.
fn follows_changes(table_type: &str) {
    if !require::all(&format!("follows_changes ({table_type})"), MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    let lists = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    let (mut server, postfix) = hooked_up(&machine, table_type, tcp("127.0.0.1"));
    assert_eq!(rcpt(&machine, "bees@lists.example.com"), 550);
    assert_eq!(rcpt(&machine, "bees@new.example"), 454);

    for list in ["bees@lists.example.com", "bees@new.example"] {
        server.roster.add(list);
        server.publish(true);
        accepted(&machine, list, LIMIT).unwrap_or_else(|late| panic!("{table_type}: {late}\n{}", postfix.log_tail()));
        for again in 0..20 {
            assert_eq!(rcpt(&machine, list), 250, "{table_type}: {list} was accepted and no longer is ({again})");
        }
        let mut session = stranger(&machine);
        session.rcpt(list).unwrap().expect(250);
        session.rcpt("nosuch@lists.example.com").unwrap().expect(550);
        session.data(MESSAGE).unwrap().expect(250);
        lists.wait_for(list, LIMIT);
    }
    assert!(!postfix.log().contains("status=deferred"), "{}", postfix.log_tail());

    server.roster.remove("bees@lists.example.com");
    server.publish(true);
    let begin = Instant::now();
    while rcpt(&machine, "bees@lists.example.com") != 550 {
        assert!(begin.elapsed() < LIMIT, "{table_type}: still accepted\n{}", postfix.log_tail());
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(rcpt(&machine, "ants@lists.example.com"), 250);
}

#[test]
fn hash_tables_follow_changes() {
    follows_changes("hash");
}

#[test]
fn lmdb_tables_follow_changes() {
    follows_changes("lmdb");
}

#[test]
fn regexp_tables_follow_changes() {
    follows_changes("regexp");
}

#[test]
fn sqlite_tables_follow_changes() {
    follows_changes("sqlite");
}

#[test]
fn texthash_tables_follow_changes() {
    follows_changes("texthash");
}

/// Strangers write to a list and to a domain without pause while both come into being: whatever is
/// accepted is delivered, and not one message is deferred or bounced on the way.
fn loses_nothing_under_traffic(table_type: &str) {
    if !require::all(&format!("loses_nothing_under_traffic ({table_type})"), MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    let lists = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    let (mut server, postfix) = hooked_up(&machine, table_type, tcp("127.0.0.1"));
    let (stop, machine) = (AtomicBool::new(false), &machine);
    let writers = ["ants@lists.example.com", "bees@lists.example.com", "cats@new.example", "cats@new.example"];
    let sent: usize = thread::scope(|scope| {
        let stop = &stop;
        let writers = writers.map(|address| scope.spawn(move || write_without_pause(machine, address, stop)));
        thread::sleep(Duration::from_secs(2));
        server.roster.add("bees@lists.example.com");
        server.roster.add("cats@new.example");
        server.publish(true);
        for list in ["bees@lists.example.com", "cats@new.example"] {
            accepted(machine, list, LIMIT).unwrap_or_else(|late| panic!("{table_type}: {late}"));
        }
        // Longer than the router's own pace of looking at its tables.
        thread::sleep(Duration::from_secs(13));
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    lists.wait_until_recipients(sent, LIMIT);
    let log = postfix.log();
    let troubled: Vec<_> = log.lines().filter(|line| line.contains("=deferred") || line.contains("=bounced")).collect();
    assert!(troubled.is_empty(), "{table_type}: {troubled:#?}");
}

/// Returns how many messages were accepted. Once accepted, an address must not be refused again.
fn write_without_pause(machine: &MtaBox, address: &str, stop: &AtomicBool) -> usize {
    let mut sent = 0;
    let mut accepted_since = None;
    while !stop.load(Ordering::Relaxed) {
        let message = || {
            let mut session = SmtpSession::connect(machine, "127.0.0.2", "127.0.0.1:25")?;
            session.mail("someone@remote.example")?;
            let code = session.rcpt(address)?.code;
            Ok::<_, std::io::Error>(if code == 250 { session.data(MESSAGE)?.code } else { code })
        };
        // A reload may cut a connection; nothing has been accepted then.
        let code = message().unwrap_or(0);
        if code == 250 {
            sent += 1;
            accepted_since.get_or_insert_with(Instant::now);
        } else if accepted_since.is_some_and(|since| since.elapsed() > Duration::from_secs(5)) {
            // For a moment after a reload old and new processes answer side by side.
            assert_eq!(code, 0, "{address} is refused again");
        }
        thread::sleep(Duration::from_millis(150));
    }
    sent
}

#[test]
fn hash_tables_lose_nothing_under_traffic() {
    loses_nothing_under_traffic("hash");
}

#[test]
fn lmdb_tables_lose_nothing_under_traffic() {
    loses_nothing_under_traffic("lmdb");
}

#[test]
fn regexp_tables_lose_nothing_under_traffic() {
    loses_nothing_under_traffic("regexp");
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
